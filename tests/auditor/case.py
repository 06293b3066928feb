"""What a rule is asked: its numbers, the account at an instant, and how the first model stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from tests.auditor.banddrop import BandDrop
    from tests.auditor.metrics import Moment
    from tests.auditor.rule_settings import RuleSettings

Evidence = dict[str, Any]


class FirstModel(NamedTuple):
    """How the first model stands: its past, its bands by name, the present one by index (None: no real one) and name."""

    drop: BandDrop
    bands: tuple[str, ...]
    band: int | None
    word: str


class Case(NamedTuple):
    """A rule with its numbers at an instant; `is_open`: it is a reason that is open."""

    rule: RuleSettings
    at: Moment
    first: FirstModel
    is_open: bool
