"""`latido models diff`: what two models differ in, and which recorded accounts are in another band by the second."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from agents.model_coverage import views
from agents.model_tables import audience_text, curve_text, level_text, weight_of_events
from agents.program import load_model, load_program_of
from agents.tables import table_text
from schemas.words_en import ENGLISH
from streams.measured import metric_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from schemas.component import Component
    from schemas.model_file import ModelFile

ABSENT: Final = "-"
WHAT: Final = "what"
Difference = tuple[str, str, str]


def diff_text(first: str, second: str, files: Sequence[Path], policy: str, models_dir: Path | None) -> str:
    """Return what two models, by name or path, differ in; with recorded events also whose band differs, and how.

    Raises:
        ConfigError: a model or the policy is missing or has mistakes, or a file cannot be read.
    """
    one, other = (load_model(each, models_dir) for each in (first, second))
    found = list(differences(one, other))
    told = table_text((WHAT, first, second), found) if found else "the models do not differ"
    return f"{told}\n\n{bands_text(first, second, files, policy, models_dir)}" if files else told


def differences(one: ModelFile, other: ModelFile) -> Iterator[Difference]:
    """Yield what two models differ in: its name, and how it is in each."""
    mine, theirs = dict(_facets(one)), dict(_facets(other))
    for name in {**mine, **theirs}:
        pair = mine.get(name, ABSENT), theirs.get(name, ABSENT)
        if pair[0] != pair[1]:
            yield name, *pair


def _facets(model: ModelFile) -> Iterator[tuple[str, str]]:
    """Yield all that a model says, each with its name."""
    yield "model", model.model
    yield "version", str(model.version)
    yield "scale", f"{model.scale[0]}..{model.scale[1]}"
    yield "scores accounts that are", audience_text(model)
    yield "weight of everything", str(model.denominator)
    yield "weight seen in events alone", f"{weight_of_events(model)} of {model.denominator}"
    yield "least coverage", f"{model.min_coverage:g}"
    yield "what is missing", model.missing
    for name, axis in zip(model.grid or ("band",), model.levels, strict=True):
        for level in axis:
            yield f"{name} {level.name}", level_text(level)
    for band in model.bands or []:
        if band.service:
            yield f"service of band {band.name}", band.service
    yield "a band is left", f"{model.hysteresis:g} points past its cut"
    yield "a rise after a fall waits", f"{model.dwell_h} hours"
    yield "a move is told from", f"{model.min_change:g} points"
    for dimension in model.dimensions:
        yield f"dimension {dimension.name}: weight", str(dimension.weight)
        for part in dimension.components:
            yield from _facets_of(part, dimension.name)


def _facets_of(part: Component, dimension: str) -> Iterator[tuple[str, str]]:
    yield f"component {part.name}: dimension", dimension
    yield f"component {part.name}: weight", str(part.weight)
    yield f"component {part.name}: measures", metric_text(part.metric, ENGLISH)
    yield f"component {part.name}: points", curve_text(part)


def bands_text(first: str, second: str, files: Sequence[Path], policy: str, models_dir: Path | None) -> str:
    """Return how many recorded accounts are in another band by the second model, and from which to which."""
    programs = [load_program_of(model, policy, models_dir) for model in (first, second)]
    old, new = (
        {view.account_id: view.scores[0].band for view in views(files, program)} for program in programs
    )
    moves = Counter((band, new[account]) for account, band in old.items() if band != new[account])
    head = f"{sum(moves.values())} of {len(old)} accounts are in another band"
    rows = [[str(count), *move] for move, count in moves.most_common()]
    return (
        f"{head}:\n{table_text(('accounts', first, second), rows, numbers=('accounts',))}" if rows else head
    )
