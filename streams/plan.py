"""A policy and its models compiled to arrays of integers, which the kernel interprets.

The kernel's machine code therefore does not depend on what policies and models say. Columns of the 2-D tables are
named by the constants beside them.
"""

from __future__ import annotations

import math
from datetime import date
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from schemas.catalogue import (
    FACT_BY_NAME,
    FEATURE_BY_NAME,
    MEASUREMENT_BY_NAME,
    OVERRIDE_PREFIX,
    SOURCE_BY_NAME,
    Signal,
)
from schemas.policy import WEEKDAYS
from schemas.reasons import Rule, Severity
from streams.audience import audiences, named_texts, names_asked
from streams.change_form import ChangeForms, forms_of
from streams.clock import NEVER_MS
from streams.days import DAY_MS, not_a_zone, one_zone
from streams.layout import ABSENT, BUCKETS, SPIKE_DAYS, Layout, make_layout
from streams.wording import CATALOGUES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from schemas.component import Component
    from schemas.model_file import ModelFile
    from schemas.policy import Policy
    from schemas.words import Words
    from streams.days import ZoneBook, Zones
    from streams.layout import Ring

_EPOCH: Final = date(1970, 1, 1)
DAYS: Final = (date(2101, 1, 1) - _EPOCH).days
"""Days of a calendar."""
YEAR_DAYS: Final = 365.25
VALUE: Final = "value"
"""The model whose score is told beside every episode."""
_RULE_RINGS: Final = {
    Rule.TICKET_TROUBLE: "tickets_opened",
    Rule.USAGE_SURGE: "activity",
    Rule.UPGRADE_INTEREST: "upgrade_pages",
}
(
    FEATURE, SOURCE, WINDOW, LAG, WEIGHT, CURVE, ANCHOR, ANCHOR_END, DIMENSION, VOLUME, DECAY, COMPONENT_COLUMNS,
) = range(12)  # fmt: skip
RAMP, STEPS, CATEGORIES = range(3)
"""Kinds of curve."""
SPREAD, COUNTED, IN_DIMENSION = range(3)
"""What becomes of the weight of a component that is missing; a model's GRID is where the levels of its second axis begin, 0
without a grid."""
WAYS: Final = ("spread", "count", "spread_in_dimension")
RING_BIT, RING_WIDTH, RING_OFFSET, RING_DAYS, RING_COLUMNS = range(5)
(
    PART, PART_END, DIM, DIM_END, BAND, BAND_END, DENOMINATOR, MIN_COVERAGE, MARGIN, DWELL, MIN_CHANGE, FELL_AT,
    SENT_SCORE, CHANGE, SENT_OVERRIDE, SENT_DIMS, SENT_PARTS, SENT_COVERAGE, PRESENT_BAND, MISSING, GRID, TARGET,
    MODEL_COLUMNS,
) = range(23)  # fmt: skip
(
    SINCE_SLOT, RULE_SEVERITY, REPEATED_SEVERITY, LIMIT_DAYS, QUIET, REPEAT_AFTER, REFRACTORY, RULE_WINDOW, BASELINE, AT_LEAST,
    RATIO_T, RULE_RING, RULE_COLUMNS,
) = range(13)  # fmt: skip
"""RATIO_T: a ratio, share or drop in thousandths; AT_LEAST: the least number of days, events, users, hundredths of points."""
PRIOR_RATE, PRIOR, FORGETTING, BUDGET, YEAR_UNITS, DECLINE_LEVEL, PHI_MIN, NUMBERS = range(8)
WEEK_SUMS, WEEK_NUMBERS, WEEK_COUNT, WEEK_COLUMNS = range(4)
RATIO_MAX: Final = 1_000_000
HALF: Final = 65_536
"""What an event of today counts in a decayed count."""
HOUR_MS: Final = 3_600_000
KIND_FACT, ZONE_FACT = range(2)
"""Slots of the facts that are always read."""
(
    HORIZON, LAST_DAY_SLOT, GRACE_MS, HOURLY, CURRENCY, ACTIVE, USERS, TICKET_IDS, TICKET_STATES, PAYMENT_IDS,
    PAYMENT_STATES, KEY_FEATURES, KEY_FEATURE_COUNT, DAILY, FALL_AT, FELL_FROM, OVERRIDDEN, SINCE_FACT, RENEWAL_FACT,
    ARR_FACT, SEATS_FACT, RENEWAL_DAYS, ARR_FROM, RULE_DAYS, VALUE_MODEL, SIGNS_TOGETHER, IN_FORCE_FROM,
    CLOSED_DAYS, QUIET_DAYS, ERASED_MS, ACCOUNTS_MAX, SCALARS,
) = range(32)  # fmt: skip
MUTE_FROM, MUTE_END, MUTE_COLUMNS = range(3)


class Plan(NamedTuple):
    """Arrays that the kernel interprets; all int64 but ``numbers`` (float64).

    ``components`` (C, COMPONENT_COLUMNS), ``anchors`` (A, 2) of x and thousandths of points, ``rings`` and ``sums`` (S,
    RING_COLUMNS), ``weeks`` (measurements, WEEK_COLUMNS), ``known_days`` (K,) how far back each knowledge is read,
    ``models`` (M, MODEL_COLUMNS), ``bands`` (B, 2) of cut and 1 if closed right, ``rules`` (len(Rule), RULE_COLUMNS;
    SINCE_SLOT is -1 where a rule is off), ``decay`` the weights of decayed counts (per component from its DECAY on),
    ``users`` (BUCKETS + 1,) users by marked buckets, ``worked`` the number of working days up to each day and ``workdays``
    the day of each (both of length 1 without a calendar), ``numbers`` (NUMBERS,), ``scalars`` (SCALARS,) with a slot of -1
    for what is not kept, ``mutes`` (intervals, MUTE_COLUMNS) the half-open intervals, in order, in which alerts are held
    back, ``guards`` (intervals, MUTE_COLUMNS) those in which silences wait because a source is stalled, in order and apart
    from each other, ``audiences`` and ``names_asked`` to whom each model applies (``streams/audience.py``).
    """

    components: npt.NDArray[np.int64]
    anchors: npt.NDArray[np.int64]
    rings: npt.NDArray[np.int64]
    sums: npt.NDArray[np.int64]
    weeks: npt.NDArray[np.int64]
    known_days: npt.NDArray[np.int64]
    models: npt.NDArray[np.int64]
    bands: npt.NDArray[np.int64]
    rules: npt.NDArray[np.int64]
    decay: npt.NDArray[np.int64]
    users: npt.NDArray[np.int64]
    worked: npt.NDArray[np.int64]
    workdays: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.float64]
    scalars: npt.NDArray[np.int64]
    mutes: npt.NDArray[np.int64]
    guards: npt.NDArray[np.int64]
    audiences: npt.NDArray[np.int64]
    names_asked: npt.NDArray[np.int64]
    zones: Zones


class Pin(NamedTuple):
    """What an override pins: the slot of its value, and the numbers that it may be (none of them if ``low`` is more)."""

    target: int
    low: int
    high: int


class Program(NamedTuple):
    """What the core runs: policy, models, layout, plan, the facts that the plan reads by slot, overrides by name.

    ``named`` are the texts that models compare facts with, by fact, each with its number, ``zones`` gives the tables of the
    zones that facts name, ``words`` the messages of the policy's language, ``forms`` how each model's changes are told.
    """

    policy: Policy
    models: tuple[ModelFile, ...]
    layout: Layout
    plan: Plan
    facts: tuple[str, ...]
    named: dict[str, dict[str, int]]
    overrides: dict[str, Pin]
    zones: ZoneBook
    words: Words
    forms: ChangeForms


def compile_program(
    policy: Policy, models: Sequence[ModelFile], zones: ZoneBook, in_force_from: int = NEVER_MS
) -> Program:
    """Compile a policy and its enabled models (in the policy's order); no evaluation is before ``in_force_from`` (ms).

    Raises:
        ConfigError: the policy's time zone is not known.
    """
    zone = zones.table(policy.time_zone)
    if zone is None:
        raise not_a_zone(policy.time_zone)
    layout = make_layout(policy, models)
    named = named_texts(models)
    facts = (*_facts(policy, models), *named)
    anchors: list[tuple[int, int]] = []
    decay: list[int] = []
    components: list[list[int]] = []
    bands: list[tuple[int, int]] = []
    heads: list[list[int]] = []
    overrides: dict[str, Pin] = {}
    dimension = 0
    for index, model in enumerate(models):
        head = [len(components), 0, dimension, 0, len(bands), 0]
        for group in model.dimensions:
            components += [
                _component(part, layout, facts, anchors, decay, dimension) for part in group.components
            ]
            dimension += 1
        grid = len(bands) + len(model.levels[0]) if model.grid else 0
        bands += [
            (_thousandths(band.start), int(band.closed == "right")) for axis in model.levels for band in axis
        ]
        head[1::2] = len(components), dimension, len(bands)
        heads.append([*head, *_model(model, layout, index), grid, len(overrides)])
        low, high = model.scale
        overrides[OVERRIDE_PREFIX + model.model] = Pin(len(overrides), low, low - 1 if model.grid else high)
        for part in model.components:
            overrides[f"{OVERRIDE_PREFIX}{model.model}.{part.name}"] = Pin(len(overrides), low, high)
    worked, workdays = _calendar(policy)
    plan = Plan(
        components=_table(components, COMPONENT_COLUMNS),
        anchors=_table(anchors, 2),
        rings=_rings(layout.rings),
        sums=_rings(layout.sums),
        weeks=_table(layout.weeks, WEEK_COLUMNS),
        known_days=np.array([knowledge.days for knowledge in layout.knowledge], np.int64),
        models=_table(heads, MODEL_COLUMNS),
        bands=_table(bands, 2),
        rules=_rules(policy, layout, models[0]),
        decay=np.array(decay or [0], np.int64),
        users=np.array([users_of(marked) for marked in range(BUCKETS + 1)], np.int64),
        worked=worked,
        workdays=workdays,
        numbers=_numbers(policy),
        scalars=np.array([*_scalars(policy, layout, facts), in_force_from, *_ends(policy)], np.int64),
        mutes=_table([], MUTE_COLUMNS),
        guards=_table([], MUTE_COLUMNS),
        audiences=audiences(models, facts),
        names_asked=names_asked(models, named),
        zones=one_zone(zone),
    )
    words = CATALOGUES[policy.language]
    forms = forms_of(models, words)
    return Program(policy, tuple(models), layout, plan, facts, named, overrides, zones, words, forms)


def users_of(marked: int) -> int:
    """Return the number of users that mark so many of the buckets: linear counting (Whang et al. 1990)."""
    empty = max(BUCKETS - marked, 0.5)  # all marked: as if half a bucket were free
    return math.floor(-BUCKETS * math.log(empty / BUCKETS) + 0.5)


def _calendar(policy: Policy) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    if policy.calendar is None:
        return np.zeros(1, np.int64), np.zeros(1, np.int64)
    closed = {WEEKDAYS.index(name) for name in policy.calendar.weekend}
    days = np.arange(DAYS)
    works = ~np.isin((days + 3) % 7, list(closed))
    works[[d for day in policy.calendar.holidays if 0 <= (d := (day - _EPOCH).days) < DAYS]] = False
    return np.cumsum(works, dtype=np.int64), np.concatenate([[0], days[works]]).astype(np.int64)


def _table(rows: Sequence[Sequence[int]], columns: int) -> npt.NDArray[np.int64]:
    return np.array(rows, np.int64).reshape(len(rows), columns)


def _thousandths(value: float) -> int:
    return round(value * 1000)


def _rings(rings: Sequence[Ring]) -> npt.NDArray[np.int64]:
    return _table([(r.source.bit, r.width, r.offset, r.days) for r in rings], RING_COLUMNS)


def _facts(policy: Policy, models: Sequence[ModelFile]) -> tuple[str, ...]:
    """Return the facts that models and rules read; those in KIND_FACT and ZONE_FACT come first."""
    metrics = [component.metric for model in models for component in model.components]
    features, more = {metric.feature for metric in metrics}, policy.raise_severity
    read = ["kind", "time_zone"]
    if policy.rules.never_started or "first_use" in features:
        read.append("customer_since")
    if more and more.renewal_within_days is not None:
        read.append("renewal_date")
    if more and more.arr_from is not None:
        read.append("arr")
    if "user_share" in features:
        read.append("seats")
    return tuple(dict.fromkeys([*read, *(m.source for m in metrics if m.feature == "fact" and m.source)]))


def _component(
    part: Component,
    layout: Layout,
    facts: tuple[str, ...],
    anchors: list[tuple[int, int]],
    decay: list[int],
    dimension: int,
) -> list[int]:
    feature, name = FEATURE_BY_NAME[part.metric.feature], part.metric.source or ""
    source = ABSENT
    if feature.name == "fact":
        source = facts.index(name)
    elif feature.name == "mean":
        source = list(MEASUREMENT_BY_NAME).index(name)
    elif name:
        rings = layout.sums if feature.name == "sum" else layout.rings
        source = next(i for i, ring in enumerate(rings) if ring.source.name == name)
    volume = name in SOURCE_BY_NAME and SOURCE_BY_NAME[name].signal is Signal.VOLUME
    curve = RAMP if part.ramp else STEPS if part.steps else CATEGORIES
    first = len(anchors)
    if part.table is not None:
        codes = {name: code for code, name in enumerate(FACT_BY_NAME[part.metric.source or ""].values)}
        anchors += [(codes[name], _thousandths(points)) for name, points in part.table.items()]
    else:
        anchors += [(round(x * feature.scale), _thousandths(y)) for x, y in part.ramp or part.steps or []]
    window, lag = part.metric.window_days or 0, part.metric.lag_days or part.metric.of_days or 0
    weights = len(decay)
    if part.metric.half_life_days:
        decay += [
            math.floor(HALF * 2.0 ** (-age / part.metric.half_life_days) + 0.5) for age in range(window)
        ]
    head = [feature.code, source, window, lag, part.weight, curve, first, len(anchors)]
    return [*head, dimension, int(volume), weights]


def _model(model: ModelFile, layout: Layout, index: int) -> list[int]:
    slots = layout.models[index]
    return [
        model.denominator, _thousandths(model.min_coverage), _thousandths(model.hysteresis),
        model.dwell_h * 3_600_000, _thousandths(model.min_change),
        slots.fell_at, slots.sent_score, slots.change, slots.override, slots.dimensions, slots.parts, slots.coverage,
        slots.band, WAYS.index(model.missing),
    ]  # fmt: skip


def _rules(policy: Policy, layout: Layout, first: ModelFile) -> npt.NDArray[np.int64]:
    table = np.zeros((len(Rule), RULE_COLUMNS), np.int64)
    table[:, SINCE_SLOT] = -1
    for rule, slot in layout.rule_since.items():
        numbers = getattr(policy.rules, rule.label)
        table[rule, SINCE_SLOT] = slot
        table[rule, RULE_SEVERITY] = Severity[numbers.severity.upper()]
        table[rule, REPEATED_SEVERITY] = Severity[
            getattr(numbers, "repeated_severity", numbers.severity).upper()
        ]
        table[rule, LIMIT_DAYS] = _first(numbers, "days", "unresolved_days", "late_days")
        table[rule, QUIET] = getattr(numbers, "quiet_days", 0) * DAY_MS
        table[rule, REPEAT_AFTER] = getattr(numbers, "repeat_after_min", 0) * 60_000
        table[rule, REFRACTORY] = numbers.refractory_days * DAY_MS
        table[rule, RULE_WINDOW] = _first(numbers, "window_days", "weeks")
        table[rule, BASELINE] = _first(numbers, "baseline_days", "baseline_weeks", "of_days")
        table[rule, AT_LEAST] = _first(
            numbers, "active_days_min", "spike_min", "users_min", "active_days", "events_min", "visits"
        )
        table[rule, RATIO_T] = _thousandths(_first(numbers, "drop", "spike_ratio", "share", "ratio"))
        ring = _RULE_RINGS.get(rule)
        table[rule, RULE_RING] = next(
            (i for i, r in enumerate(layout.rings) if r.source.name == ring), ABSENT
        )
    if policy.rules.band_drop:
        length, hundredths = first.scale[1] - first.scale[0], round(policy.rules.band_drop.points * 100)
        table[Rule.BAND_DROP, AT_LEAST] = max(1, (2 * length * hundredths + 100) // 200)
    return table


def _first(numbers: object, *names: str) -> Any:
    """Return the first of the named numbers that a rule has, 0 if it has none."""
    return next((getattr(numbers, name) for name in names if hasattr(numbers, name)), 0)


def _numbers(policy: Policy) -> npt.NDArray[np.float64]:
    silence, rhythm, decline = policy.rules.silence, policy.rhythm, policy.rules.decline
    hourly = rhythm.unit == "hour"
    year = YEAR_DAYS * 24 if hourly else YEAR_DAYS
    if policy.calendar:
        year = YEAR_DAYS * (7 - len(set(policy.calendar.weekend))) / 7
    return np.array(
        [
            rhythm.prior_rate, rhythm.prior_days * (24 if hourly else 1), rhythm.forgetting,
            silence.false_alarms_per_year if silence else 0.0, year,
            decline.level if decline else 0.0, decline.phi_min if decline else 0.0,
        ],
        np.float64,
    )  # fmt: skip


def _scalars(policy: Policy, layout: Layout, facts: tuple[str, ...]) -> list[int]:
    hourly, more = policy.rhythm.unit == "hour", policy.raise_severity
    read = ("customer_since", "renewal_date", "arr", "seats")
    slots = [facts.index(name) if name in facts else ABSENT for name in read]
    within, arr, signs = (
        (more.renewal_within_days, more.arr_from, more.signs_together) if more else (None,) * 3
    )
    return [
        policy.rhythm.horizon_days * (24 if hourly else 1), layout.last_day, policy.grace_s * 1000, hourly,
        layout.currency, layout.active, layout.users, *layout.tickets, *layout.payments, layout.first_use,
        len(policy.key_features), *layout.drop, *slots,
        ABSENT if within is None else within, ABSENT if arr is None else _thousandths(arr), _rule_days(policy),
        policy.models.index(VALUE) if VALUE in policy.live else ABSENT, signs or ABSENT,
    ]  # fmt: skip


def _ends(policy: Policy) -> list[int]:
    days = [policy.retire.closed_days, policy.retire.quiet_days] if policy.retire else [None, None]
    retire = [ABSENT if each is None else each for each in days]
    return [*retire, policy.erased_days * DAY_MS, policy.accounts_max]


def _rule_days(policy: Policy) -> int:
    """Return how many days after its last event an account's rules may still change by a midnight alone."""
    rules, days = policy.rules, [0]
    if rules.decline:
        days.append(7 * (rules.decline.weeks + rules.decline.baseline_weeks))
    if rules.ticket_trouble:
        days.append(SPIKE_DAYS)
    if rules.users_leaving:
        days.append(rules.users_leaving.of_days)
    if rules.reengaged:
        days.append(rules.reengaged.quiet_days)
    if rules.usage_surge:
        days.append(rules.usage_surge.window_days + rules.usage_surge.baseline_days)
    if rules.upgrade_interest:
        days.append(rules.upgrade_interest.window_days)
    return max(days)
