"""A policy and its models compiled to arrays of integers, which the kernel interprets.

The kernel's machine code therefore does not depend on what policies and models say. Columns of the 2-D tables are
named by the constants beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from schemas.catalogue import FACT_BY_NAME, FEATURE_BY_NAME, Signal
from schemas.reasons import Rule, Severity
from streams.days import DAY_MS, Zone
from streams.layout import Layout, make_layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from schemas.model_file import Component, ModelFile
    from schemas.policy import Policy

FEATURE, SOURCE, WINDOW, LAG, WEIGHT, CURVE, ANCHOR, ANCHOR_END, DIMENSION, VOLUME, COMPONENT_COLUMNS = range(
    11
)
RAMP, STEPS, CATEGORIES = range(3)
"""Kinds of curve."""
RING_BIT, RING_WIDTH, RING_OFFSET, RING_DAYS, RING_COLUMNS = range(5)
(
    PART,
    PART_END,
    DIM,
    DIM_END,
    BAND,
    BAND_END,
    DENOMINATOR,
    MIN_COVERAGE,
    MARGIN,
    DWELL,
    MIN_CHANGE,
    KINDS,
    FELL_AT,
    SENT_SCORE,
    CHANGE,
    SENT_DIMS,
    SENT_PARTS,
    SENT_COVERAGE,
    PRESENT_BAND,
    MODEL_COLUMNS,
) = range(20)
SINCE_SLOT, RULE_SEVERITY, REPEATED_SEVERITY, LIMIT_DAYS, QUIET, REPEAT_AFTER, REFRACTORY, RULE_COLUMNS = (
    range(8)
)
PRIOR_RATE, PRIOR_DAYS, FORGETTING, BUDGET, RHYTHM_COLUMNS = range(5)
RATIO_MAX: Final = 1_000_000
FIRST_BAND: Final = 2
"""Band cells: 0 insufficient evidence, 1 not applicable, then the model's bands in rising order."""


class Plan(NamedTuple):
    """Arrays that the kernel interprets; all int64 but ``rhythm`` (float64).

    ``components`` (C, COMPONENT_COLUMNS), ``anchors`` (A, 2) of x and thousandths of points, ``rings``
    (S, RING_COLUMNS), ``models`` (M, MODEL_COLUMNS), ``bands`` (B, 2) of cut and 1 if closed right, ``rules``
    (len(Rule), RULE_COLUMNS; SINCE_SLOT is -1 where a rule is off), ``rhythm`` (RHYTHM_COLUMNS,), ``scalars``
    (longest gap learned in days, slot of the rings' last days, grace in ms).
    """

    components: npt.NDArray[np.int64]
    anchors: npt.NDArray[np.int64]
    rings: npt.NDArray[np.int64]
    models: npt.NDArray[np.int64]
    bands: npt.NDArray[np.int64]
    rules: npt.NDArray[np.int64]
    rhythm: npt.NDArray[np.float64]
    scalars: npt.NDArray[np.int64]
    zone: Zone


HORIZON_DAYS, LAST_DAY_SLOT, GRACE_MS = range(3)


class Program(NamedTuple):
    """What the core runs: policy, models, layout, plan, and the facts that the plan reads, by slot."""

    policy: Policy
    models: tuple[ModelFile, ...]
    layout: Layout
    plan: Plan
    facts: tuple[str, ...]


def compile_program(policy: Policy, models: Sequence[ModelFile], zone: Zone) -> Program:
    """Compile a policy, its enabled models (in the policy's order) and its time zone's table."""
    layout = make_layout(policy, models)
    facts = _facts(models)
    anchors: list[tuple[int, int]] = []
    components: list[list[int]] = []
    bands: list[tuple[int, int]] = []
    heads: list[list[int]] = []
    dimension = 0
    for index, model in enumerate(models):
        head = [len(components), 0, dimension, 0, len(bands), 0]
        for group in model.dimensions:
            components += [_component(part, layout, facts, anchors, dimension) for part in group.components]
            dimension += 1
        bands += [(_thousandths(band.start), int(band.closed == "right")) for band in model.bands]
        head[1::2] = len(components), dimension, len(bands)
        heads.append(head + _model(model, layout, index))
    plan = Plan(
        components=_table(components, COMPONENT_COLUMNS),
        anchors=_table(anchors, 2),
        rings=_table([(r.source.bit, r.width, r.offset, r.days) for r in layout.rings], RING_COLUMNS),
        models=_table(heads, MODEL_COLUMNS),
        bands=_table(bands, 2),
        rules=_rules(policy, layout),
        rhythm=_rhythm(policy),
        scalars=np.array([policy.rhythm.horizon_days, layout.last_day, policy.grace_s * 1000], np.int64),
        zone=zone,
    )
    return Program(policy, tuple(models), layout, plan, facts)


def _table(rows: Sequence[Sequence[int]], columns: int) -> npt.NDArray[np.int64]:
    return np.array(rows, np.int64).reshape(len(rows), columns)


def _thousandths(value: float) -> int:
    return round(value * 1000)


def _facts(models: Sequence[ModelFile]) -> tuple[str, ...]:
    read = [c.metric.source for m in models for c in m.components if c.metric.feature == "fact"]
    return tuple(dict.fromkeys(["kind", *(name for name in read if name)]))


def _component(
    part: Component, layout: Layout, facts: tuple[str, ...], anchors: list[tuple[int, int]], dimension: int
) -> list[int]:
    feature = FEATURE_BY_NAME[part.metric.feature]
    source, volume = -1, 0
    if feature.name == "fact":
        source = facts.index(part.metric.source or "")
    elif part.metric.source is not None:
        source = next(i for i, ring in enumerate(layout.rings) if ring.source.name == part.metric.source)
        volume = int(layout.rings[source].source.signal is Signal.VOLUME)
    curve = RAMP if part.ramp else STEPS if part.steps else CATEGORIES
    first = len(anchors)
    if part.table is not None:
        codes = {name: code for code, name in enumerate(FACT_BY_NAME[part.metric.source or ""].values)}
        anchors += [(codes[name], _thousandths(points)) for name, points in part.table.items()]
    else:
        anchors += [(round(x * feature.scale), _thousandths(y)) for x, y in part.ramp or part.steps or []]
    window, lag = part.metric.window_days or 0, part.metric.lag_days or 0
    return [feature.code, source, window, lag, part.weight, curve, first, len(anchors), dimension, volume]


def _model(model: ModelFile, layout: Layout, index: int) -> list[int]:
    slots = layout.models[index]
    kinds = sum(1 << FACT_BY_NAME["kind"].values.index(kind) for kind in model.applies_to.kind)
    return [
        model.denominator, _thousandths(model.min_coverage), _thousandths(model.hysteresis),
        model.dwell_h * 3_600_000, _thousandths(model.min_change), kinds,
        slots.fell_at, slots.sent_score, slots.change, slots.dimensions, slots.parts, slots.coverage, slots.band,
    ]  # fmt: skip


def _rules(policy: Policy, layout: Layout) -> npt.NDArray[np.int64]:
    table = np.zeros((len(Rule), RULE_COLUMNS), np.int64)
    table[:, SINCE_SLOT] = -1
    for rule, slot in layout.rule_since.items():
        numbers = getattr(policy.rules, rule.label)
        table[rule, SINCE_SLOT] = slot
        table[rule, RULE_SEVERITY] = Severity[numbers.severity.upper()]
        table[rule, REPEATED_SEVERITY] = Severity[
            getattr(numbers, "repeated_severity", numbers.severity).upper()
        ]
        table[rule, LIMIT_DAYS] = getattr(numbers, "days", 0)
        table[rule, QUIET] = getattr(numbers, "quiet_days", 0) * DAY_MS
        table[rule, REPEAT_AFTER] = getattr(numbers, "repeat_after_min", 0) * 60_000
        table[rule, REFRACTORY] = numbers.refractory_days * DAY_MS
    return table


def _rhythm(policy: Policy) -> npt.NDArray[np.float64]:
    silence, rhythm = policy.rules.silence, policy.rhythm
    budget = silence.false_alarms_per_year if silence else 0.0
    return np.array([rhythm.prior_rate, rhythm.prior_days, rhythm.forgetting, budget], np.float64)
