"""`latido report shadow`: what models in shadow tell of recorded events, beside a live one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from agents.replay import OUTPUT_FILES, replay_files
from agents.tables import table_text
from schemas.errors import ConfigError
from schemas.outputs import AccountView
from schemas.topics import Output

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from streams.plan import Program


class _Level(msgspec.Struct):
    band: str


class _Change(msgspec.Struct):
    model: str
    old: _Level
    new: _Level


class Told(NamedTuple):
    """What was told: score changes by model, those of them in which the band changed, bands at the end by model and account."""

    changes: Counter[str]
    moves: Counter[str]
    bands: dict[str, dict[str, str]]


def shadow_text(files: Sequence[Path], program: Program, against: str | None) -> str:
    """Return for each model in shadow how much it tells, and in which bands accounts end by it and by a live model.

    ``against`` names the live model; None is the first.

    Raises:
        ConfigError: the policy has none in shadow, ``against`` is not live, a file cannot be read, or activates other models.
    """
    policy = program.policy
    if not policy.shadow:
        raise ConfigError(
            f"policy {policy.policy} has no model in shadow (models: {', '.join(policy.models)}). Name some of its models, not "
            "the first, under `shadow:`, or give a policy that does by --policy."
        )
    live = policy.models[0] if against is None else against
    if live not in policy.live:
        raise ConfigError(
            f"{live!r} is not a live model of policy {policy.policy}; those are: {', '.join(policy.live)}."
        )
    told = told_by(files, program)
    return "\n\n".join(_beside(told, live, name) for name in policy.shadow)


def told_by(files: Sequence[Path], program: Program) -> Told:
    """Return what a policy tells of recorded events, of live models and of those in shadow.

    Raises:
        ConfigError: a file cannot be read, or activates a policy with other models.
    """
    told = Told(Counter(), Counter(), {name: {} for name in program.policy.models})
    with TemporaryDirectory(prefix="latido-shadow-") as folder:
        replay_files(files, program, partitions=1, until_ms=None, out=Path(folder))
        views = list(_read(Path(folder) / OUTPUT_FILES[Output.ACCOUNTS], AccountView))
        _require_same(views, program)
        for topic in (Output.SCORE_CHANGES, Output.SHADOW_SCORES):
            for change in _read(Path(folder) / OUTPUT_FILES[topic], _Change):
                told.changes[change.model] += 1
                told.moves[change.model] += change.old.band != change.new.band
        for view in views:
            for score in view.scores + view.shadow:
                told.bands[score.model][view.account_id] = score.band
    return told


def _require_same(views: Sequence[AccountView], program: Program) -> None:
    """Raise a ``ConfigError`` if accounts end under other models than those of the policy, or in other places."""
    live, shadow = program.policy.live, program.policy.shadow
    for view in views:
        counts, shown = [score.model for score in view.scores], [score.model for score in view.shadow]
        if counts != live or set(shown) != set(shadow):
            raise ConfigError(
                f"the recorded events activate another policy (a line of type control, kind policy: live {', '.join(counts)}; "
                f"in shadow {', '.join(shown) or 'none'}), so nothing can be told of {program.policy.policy} (in shadow "
                f"{', '.join(shadow)}). Leave that line out of the files."
            )


def _beside(told: Told, live: str, shadow: str) -> str:
    """Return what is told of a model in shadow beside a live one."""
    pairs = Counter((told.bands[live][account], band) for account, band in told.bands[shadow].items())
    rows = [[str(count), *pair] for pair, count in pairs.most_common()]
    parts = [f"{told.changes[name]} score changes, {told.moves[name]} of the band" for name in (live, shadow)]
    return (
        f"{live}: {parts[0]}; {shadow} (in shadow): {parts[1]}\n"
        f"{table_text(('accounts', live, shadow), rows, numbers=('accounts',))}"
    )


def _read(path: Path, kind: type[Any]) -> Iterator[Any]:
    decoder = msgspec.json.Decoder(kind)
    with path.open("rb") as lines:
        yield from map(decoder.decode, lines)
