"""What `latido models` tells: the models that are known, what they can see, and the row that they need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from agents.program import is_policy, known_models, load_model, policy_with_models
from agents.tables import table_text
from schemas.catalogue import TEXT_FACTS
from streams.layout import make_layout

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agents.settings import Settings
    from schemas.component import Component
    from schemas.model_file import Dimension, Level, ModelFile
    from schemas.policy import Policy
    from streams.layout import Layout

LIST_HEADS: Final = (
    "model", "version", "enabled", "components", "scale", "bands", "min_coverage", "coverage from events",
    "facts that raise it", "file",
)  # fmt: skip
LAYOUT_HEADS: Final = ("kept of an account", "type", "cells", "bytes")
SINGLE: Final = "instants, days, counters"
RULES: Final = "rules: since"


class Kept(NamedTuple):
    """A part of an account's row: what it holds, the type of its cells, their number, and the bytes of all."""

    what: str
    cell_type: str
    cells: int
    size_bytes: int


def weight_of_events(model: ModelFile | Dimension) -> int:
    """Return the weight of the components that need no fact; over the denominator it is their coverage."""
    return sum(part.weight for part in model.components if part.metric.feature != "fact")


def weight_by_fact(model: ModelFile) -> dict[str, int]:
    """Return the weight that each fact adds when it is told, in the order of the file."""
    found: dict[str, int] = {}
    for part in model.components:
        if part.metric.feature == "fact" and part.metric.source:
            found[part.metric.source] = found.get(part.metric.source, 0) + part.weight
    return found


def models_table(policy: str, models_dir: Path | None) -> str:
    """Return the table of the models that a policy enables or could enable.

    Raises:
        ConfigError: the policy or one of the models is missing or has mistakes.
    """
    rules, enabled = policy_with_models(policy, models_dir)
    how = {name: "in shadow" if name in rules.shadow else "yes" for name in rules.models}
    known = {model.model: (model, how[model.model], str(source)) for model, source in enabled}
    for name, source in known_models(models_dir).items():
        known.setdefault(name, (load_model(name, models_dir), "no", str(source)))
    rows = [_model_row(*found) for found in known.values()]
    return f"policy {rules.policy} version {rules.version}\n" + table_text(LIST_HEADS, rows)


def _model_row(model: ModelFile, enabled: str, source: str) -> list[str]:
    whole, seen = model.denominator, weight_of_events(model)
    parts = [
        (seen, whole),
        *((weight_of_events(axis), axis.weight) for axis in model.dimensions if model.grid),
    ]
    enough = all(found > 0 and found >= model.min_coverage * of for found, of in parts)
    facts = ", ".join(f"{name} +{weight}/{whole}" for name, weight in weight_by_fact(model).items())
    return [
        model.model,
        str(model.version),
        enabled,
        str(len(model.components)),
        f"{model.scale[0]}..{model.scale[1]}",
        bands_text(model),
        f"{model.min_coverage:g}",
        f"{seen}/{whole}" + ("" if enough else ": no score without facts"),
        facts or "none",
        source,
    ]


def bands_text(model: ModelFile) -> str:
    """Return a model's bands in rising order, of a grid those of both axes."""
    return " x ".join(" < ".join(band.name for band in axis) for axis in model.levels)


def audience_text(model: ModelFile) -> str:
    """Return to whom a model applies: ``customer, trial; plan pro; age 31..90 days``."""
    asked = model.applies_to
    parts = [", ".join(asked.kind)]
    parts += [f"{fact} {', '.join(texts)}" for fact in TEXT_FACTS if (texts := getattr(asked, fact))]
    if asked.age:
        begin, end = asked.age.from_days or 1, asked.age.to_days
        parts.append(f"age from {begin} days" if end is None else f"age {begin}..{end} days")
    return "; ".join(parts)


def curve_text(part: Component) -> str:
    """Return how a component's metric becomes points: ``ramp 0: 0, 16: 100``."""
    if part.table is not None:
        return ", ".join(f"{name} {points:g}" for name, points in part.table.items())
    kind, anchors = ("ramp", part.ramp) if part.ramp else ("steps", part.steps or [])
    return f"{kind} " + ", ".join(f"{x:g}: {y:g}" for x, y in anchors)


def level_text(level: Level) -> str:
    """Return where a band or a level of an axis begins: ``from 50``, or ``above 50`` if a score of 50 is below it."""
    return f"{'from' if level.closed == 'left' else 'above'} {level.start:g}"


def size_text(model: ModelFile) -> str:
    """Return a model's name, version and size."""
    return f"{model.model} version {model.version}: {len(model.components)} components, {len(model.band_names)} bands"


def file_report(file: str, settings: Settings) -> str:
    """Return what is to be said of a model or policy, by path or name; a model is seen under LATIDO_POLICY.

    Raises:
        ConfigError: it has mistakes, or the policy or a model that it enables has.
    """
    if is_policy(file, settings.models_dir):
        policy, models = policy_with_models(file, settings.models_dir)
        return policy_report(policy, [model for model, _ in models])
    model = load_model(file, settings.models_dir)
    policy, models = policy_with_models(settings.policy, settings.models_dir)
    return model_report(model, policy, [model for model, _ in models])


def model_report(model: ModelFile, policy: Policy, enabled: Sequence[ModelFile]) -> str:
    """Return what a model costs under a policy: alone, and beside the enabled models in the place of its namesake."""
    alone = row_layout(policy, [model])
    all_models = list({**{other.model: other for other in enabled}, model.model: model}.values())
    together = row_layout(policy, all_models)
    names = ", ".join(each.model for each in all_models)
    return (
        f"{size_text(model)}; no mistakes\n"
        f"bytes per account under policy {policy.policy}: {alone.dtype.itemsize} alone, "
        f"{together.dtype.itemsize} together ({names}). Alone:\n{layout_table(alone)}"
    )


def policy_report(policy: Policy, models: Sequence[ModelFile]) -> str:
    """Return what a policy with its models costs."""
    layout = row_layout(policy, models)
    return (
        f"policy {policy.policy} version {policy.version}: models {enabled_text(policy)}; no mistakes\n"
        f"bytes per account: {layout.dtype.itemsize}\n{layout_table(layout)}"
    )


def enabled_text(policy: Policy) -> str:
    """Return the models of a policy: ``retention, health (in shadow)``."""
    return ", ".join(f"{name} (in shadow)" if name in policy.shadow else name for name in policy.models)


def row_layout(policy: Policy, models: Sequence[ModelFile]) -> Layout:
    """Return the layout of an account's row under a policy that enables these models."""
    names = [model.model for model in models]
    return make_layout(policy.model_copy(update={"models": names}), models)


def layout_table(layout: Layout) -> str:
    """Return a table of what a row holds; its bytes sum to the row's."""
    rows = [[part.what, part.cell_type, str(part.cells), str(part.size_bytes)] for part in kept(layout)]
    rows.append(["the row", "", "", str(layout.dtype.itemsize)])
    return table_text(LAYOUT_HEADS, rows, numbers=("cells", "bytes"))


def kept(layout: Layout) -> list[Kept]:
    """Return the parts of a row, what belongs together as one part, and what alignment leaves empty."""
    cells: dict[tuple[str, str], int] = {}
    for column in layout.columns:
        part = column.name.partition(": ")[0] if column.cells > 1 or ":" in column.name else SINGLE
        where = RULES if part.startswith("rule ") else part, column.type
        cells[where] = cells.get(where, 0) + column.cells
    sizes = {name: layout.dtype[name].base for name in layout.dtype.names or ()}
    parts = [Kept(what, sizes[kind].name, n, n * sizes[kind].itemsize) for (what, kind), n in cells.items()]
    left = layout.dtype.itemsize - sum(part.size_bytes for part in parts)
    return parts + ([Kept("alignment", "", 0, left)] if left else [])
