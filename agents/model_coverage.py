"""How much of recorded accounts the models see, and what they make of them: coverage, facts that would raise it, bands."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

from agents.model_tables import audience_text
from agents.program import known_models, load_model, policy_with_models
from agents.replay import fold_files
from agents.tables import table_text
from agents.zones import ZoneDatabase
from schemas.errors import ConfigError
from schemas.outputs import AccountView
from schemas.policy import Rules
from schemas.reasons import NOT_APPLICABLE
from streams.plan import compile_program
from streams.views import view_records

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from schemas.model_file import ModelFile
    from schemas.outputs import ModelScore
    from streams.plan import Program

HEADS: Final = ("model", "applies to", "scored", "mean coverage", "facts that would raise it most")
FACTS_TOLD: Final = 5
ROWS_AT_ONCE: Final = 1000


class Coverage(msgspec.Struct):
    """What a model sees of the accounts that it is for; sums over them.

    ``present`` is the sum of their coverages, ``gains`` what each fact that is not told would add to it.
    """

    accounts: int = 0
    scored: int = 0
    present: float = 0.0
    gains: Counter[str] = msgspec.field(default_factory=Counter)

    def add(self, model: ModelFile, score: ModelScore) -> None:
        """Count an account."""
        self.accounts += 1
        self.scored += score.score is not None
        self.present += score.coverage
        missing = {part.name for part in score.components if part.missing is not None}
        for part in model.components:
            if part.name in missing and part.metric.feature == "fact" and part.metric.source is not None:
                self.gains[part.metric.source] += part.weight / model.denominator  # type: ignore[assignment]


def views(files: Sequence[Path], program: Program) -> Iterator[AccountView]:
    """Yield the views of all accounts of recorded events, as they are at their end.

    Raises:
        ConfigError: a file cannot be read, or there is no account in them.
    """
    accounts = fold_files(files, program).accounts
    rows = accounts.existing()
    if not rows:
        raise ConfigError(
            f"no event of {', '.join(map(str, files))} was taken. Give recorded events, a JSON object a line "
            "with a `type`; `latido replay` writes what is wrong with them to dead-letters.jsonl."
        )
    decoder = msgspec.json.Decoder(AccountView)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        for record in view_records(accounts, rows[start : start + ROWS_AT_ONCE]):
            yield decoder.decode(record.value)


def coverage_table(files: Sequence[Path], policy: str, models_dir: Path | None) -> str:
    """Return a table of what each model that a policy enables or could enable sees of recorded accounts.

    Raises:
        ConfigError: the policy or one of the models is missing or has mistakes, or a file cannot be read.
    """
    rules, enabled = policy_with_models(policy, models_dir)
    found = {model.model: model for model, _ in enabled}
    for name in known_models(models_dir):
        found.setdefault(name, load_model(name, models_dir))
    models = list(found.values())
    scoring = rules.model_copy(update={"models": list(found), "shadow": [], "rules": Rules()})
    covered, total = [Coverage() for _ in models], 0
    for view in views(files, compile_program(scoring, models, ZoneDatabase())):
        total += 1
        for model, score, coverage in zip(models, view.scores, covered, strict=True):
            if score.band != NOT_APPLICABLE:
                coverage.add(model, score)
    rows = [_row(*each, total) for each in zip(models, covered, strict=True)]
    return table_text(HEADS, rows, numbers=HEADS[1:4])


def _row(model: ModelFile, coverage: Coverage, total: int) -> list[str]:
    applies = f"{coverage.accounts} of {total}"
    if not coverage.accounts:
        return [
            model.model,
            applies,
            "0",
            "-",
            f"none of the accounts is of those it is for: {audience_text(model)}",
        ]
    gains = [
        f"{fact} +{gain / coverage.accounts:.3f}" for fact, gain in coverage.gains.most_common(FACTS_TOLD)
    ]
    mean = f"{coverage.present / coverage.accounts:.3f}"
    return [model.model, applies, str(coverage.scored), mean, ", ".join(gains) or "none"]
