"""The page of the shipped models, made from their files: what each asks, where its numbers are from, what it is made of."""

from __future__ import annotations

import re
from textwrap import fill
from typing import TYPE_CHECKING, Final

from agents.model_tables import audience_text, curve_text, level_text, weight_by_fact, weight_of_events
from agents.program import known_models, load_model
from schemas.words_en import ENGLISH
from streams.measured import metric_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from importlib.resources.abc import Traversable

    from schemas.model_file import ModelFile

WIDTH: Final = 110
MISSING: Final = {
    "spread": "is spread over what is known",
    "count": "counts nothing and takes nothing from the rest",
    "spread_in_dimension": "is spread within its dimension",
}
_REMARK: Final = re.compile(r"^ +- name: (\S+) # (.+)$", re.MULTILINE)


def page() -> str:
    """Return the page."""
    shipped = {name: (load_model(name), _text(source)) for name, source in known_models(None).items()}
    parts = [
        "# Models",
        fill(
            "The scoring systems that ship as files in `schemas/models/`. A policy enables a model by its name (key "
            "`models`); copy a file to change its numbers, under another name. Named under `shadow` as well it is tried before "
            "it counts ([operations.md](operations.md)). This page is made from the files by "
            "`python -m agents.generate`; [semantics.md](semantics.md) says how a score is computed, "
            "[catalogue.md](catalogue.md) what a component may measure.",
            WIDTH,
        ),
        fill(
            "A model scores the accounts of the kinds in its `applies_to`, and of these only those in the `segment`, on the "
            "`plan` (facts, compared as texts) and of the `age` in days since they were first seen that it names, if it names "
            "any: `applies_to: {kind: [customer], segment: [small, mid-market], plan: [team], age: {from_days: 31, "
            "to_days: 365}}`. Of any other account the score is null and the band `not_applicable`.",
            WIDTH,
        ),
        _table(
            ("model", "scale", "bands", "for", "known from events alone"),
            (_row(model) for model, _ in shipped.values()),
        ),
    ]
    for model, text in shipped.values():
        parts += _section(model, text)
    return "\n\n".join(parts) + "\n"


def _text(source: Traversable) -> str:
    return source.read_text(encoding="utf-8")


def _row(model: ModelFile) -> tuple[str, ...]:
    cells = " x ".join(str(len(axis)) for axis in model.levels)
    return (
        f"[`{model.model}`](#{model.model})",
        "{}..{}".format(*model.scale),
        f"grid of {cells}" if model.grid else ", ".join(model.band_names),
        audience_text(model),
        f"{weight_of_events(model)} of {model.denominator}",
    )


def _section(model: ModelFile, text: str) -> Iterator[str]:
    yield f"## {model.model}"
    for line in re.match(r"(?:# .*\n)*", text)[0].splitlines():  # type: ignore[index]  # matches anything
        yield fill(line.removeprefix("# "), WIDTH)
    remarks = dict(_REMARK.findall(text))
    yield _table(
        ("dimension", "component", "weight", "measures", "points", ""),
        (
            (
                group.name,
                f"`{part.name}`",
                str(part.weight),
                metric_text(part.metric, ENGLISH),
                curve_text(part),
                remarks.get(part.name, ""),
            )
            for group in model.dimensions
            for part in group.components
        ),
    )
    for name, axis in zip(model.grid or ("bands",), model.levels, strict=True):
        yield fill(
            f"{name.capitalize()}: {'; '.join(f'`{level.name}` {level_text(level)}' for level in axis)}.",
            WIDTH,
        )
    services = [(band.name, band.service) for band in model.bands or [] if band.service]
    if services:
        yield _table(("band", "service"), services)
    facts = ", ".join(f"`{name}` {weight}" for name, weight in weight_by_fact(model).items())
    yield fill(
        f"Weights are of {model.denominator}; at least {model.min_coverage:g} of them must be known, and what is missing "
        f"{MISSING[model.missing]}. A band is left {model.hysteresis:g} points past its cut, a rise after a fall waits for "
        f"{model.dwell_h} hours, a move of {model.min_change:g} points is told."
        + (f" Facts add {facts}." if facts else ""),
        WIDTH,
    )


def _table(head: tuple[str, ...], rows: Iterable[Iterable[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
