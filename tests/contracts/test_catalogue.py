"""The reference page explains every name there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from schemas import reference
from schemas.catalogue import FACTS, FEATURES, SOURCES
from schemas.reasons import CauseKind, EventNote, Missing, RejectReason, ResolvedBy, Rule, Status

if TYPE_CHECKING:
    from collections.abc import Iterable


@pytest.mark.parametrize(
    ("names", "explained"),
    [
        (RejectReason, reference.REJECTS),
        (EventNote, reference.NOTES),
        (Rule, reference.RULES),
        (CauseKind, reference.CAUSES),
        (Status, reference.STATUSES),
        (ResolvedBy, reference.RESOLUTIONS),
        (Missing, reference.MISSING),
    ],
    ids=["reject reasons", "notes", "rules", "causes", "statuses", "resolutions", "missing"],
)
def test_every_member_is_explained_in_its_order(
    names: Iterable[object], explained: dict[object, str]
) -> None:
    assert list(explained) == list(names)


@pytest.mark.parametrize("name", [entry.name for table in (SOURCES, FEATURES, FACTS) for entry in table])
def test_every_entry_of_the_catalogue_has_a_row(name: str) -> None:
    assert f"\n| `{name}` |" in reference.page()


@pytest.mark.parametrize("rule", Rule, ids=lambda rule: rule.label)
def test_a_rule_shows_its_settings(rule: Rule) -> None:
    row = next(line for line in reference.page().splitlines() if line.startswith(f"| `{rule.label}` |"))
    assert "`severity: " in row
