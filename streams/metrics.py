"""What components measure: one small function per kind of feature, in integers.

Each returns (x, moving): the metric or ``NO_VALUE``, and whether a coming midnight may change it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from streams.cells import FACT_EXPIRES, FACT_VALUE, NO_FACT
from streams.compiled import int64, kernel
from streams.layout import DAY, FIRST_DAY, LAST_ACTIVE_DAY, NEVER
from streams.plan import (
    ANCHOR_END,
    FEATURE,
    LAG,
    LAST_DAY_SLOT,
    RATIO_MAX,
    RING_DAYS,
    SOURCE,
    VOLUME,
    WINDOW,
)  # fmt: skip
from streams.rhythm import usual_gap_days
from streams.tiles import window_days, window_sum

if TYPE_CHECKING:
    from streams.cells import Cells
    from streams.plan import Plan

NO_VALUE: Final = NO_FACT
COUNT, ACTIVE_DAYS, RATIO, SINCE_LAST, RHYTHM, FACT = range(6)
"""Codes of the feature catalogue."""


@kernel
def half_up(numerator: int, denominator: int) -> int:
    """Return numerator / denominator rounded half up, for a positive denominator."""
    return (2 * numerator + denominator) // (2 * denominator)


@kernel
def age_days(cells: Cells, row: int) -> int:
    """Return the local days since the account's first event, its own day included."""
    return int64(cells.u16[row, DAY]) - int64(cells.u16[row, FIRST_DAY]) + 1


@kernel
def ratio(recent: int, earlier: int, window: int, lag: int) -> int:
    """Return recent against earlier in thousandths, each per day of its window."""
    if earlier > 0:
        return min(half_up(1000 * recent * lag, earlier * window), RATIO_MAX)
    return RATIO_MAX if recent > 0 else 0


@kernel
def windowed(cells: Cells, plan: Plan, row: int, c: int) -> tuple[int, bool]:
    """Return a count, a number of active days or a ratio."""
    feature, ring = plan.components[c, FEATURE], plan.components[c, SOURCE]
    window, lag = plan.components[c, WINDOW], plan.components[c, LAG]
    day, age = int64(cells.u16[row, DAY]), age_days(cells, row)
    counted = int64(cells.u16[row, plan.scalars[LAST_DAY_SLOT] + ring])
    moving = age < window + lag or counted > day - plan.rings[ring, RING_DAYS]
    needs_age = feature != COUNT or plan.components[c, VOLUME] == 1
    if (needs_age and age < window + lag) or (feature == RATIO and counted == NEVER):
        return int64(NO_VALUE), moving
    if counted <= day - window - lag:
        return int64(0), moving
    if feature == ACTIVE_DAYS:
        return window_days(cells, plan, row, ring, day - window + 1, day), moving
    recent = window_sum(cells, plan, row, ring, day - window + 1, day)
    if feature == COUNT:
        return recent, moving
    earlier = window_sum(cells, plan, row, ring, day - window - lag + 1, day - window)
    return ratio(recent, earlier, window, lag), moving


@kernel
def elapsed(cells: Cells, plan: Plan, row: int, c: int) -> tuple[int, bool]:
    """Return the days since the last event of a source, or the silence in usual gaps."""
    rhythm = plan.components[c, FEATURE] == RHYTHM
    slot = LAST_ACTIVE_DAY if rhythm else plan.scalars[LAST_DAY_SLOT] + plan.components[c, SOURCE]
    last = int64(cells.u16[row, slot])
    if last == NEVER:
        return int64(NO_VALUE), False
    days = int64(cells.u16[row, DAY]) - last
    x = days
    if rhythm:
        gaps = math.floor(1000.0 * float(days) / usual_gap_days(cells, plan, row) + 0.5)
        x = int64(min(gaps, RATIO_MAX))
    return x, x < plan.anchors[plan.components[c, ANCHOR_END] - 1, 0]


@kernel
def fact(cells: Cells, row: int, slot: int, now: int) -> int:
    """Return a fact's value at ``now`` (thousandths, or the code of its category), or ``NO_VALUE``."""
    expires = cells.facts[row, slot, FACT_EXPIRES]
    return int64(cells.facts[row, slot, FACT_VALUE]) if expires > now else int64(NO_VALUE)


@kernel
def metric(cells: Cells, plan: Plan, row: int, c: int, now: int) -> tuple[int, bool]:
    """Return the metric of component ``c`` at ``now``."""
    feature = plan.components[c, FEATURE]
    if feature <= RATIO:
        return windowed(cells, plan, row, c)
    if feature <= RHYTHM:
        return elapsed(cells, plan, row, c)
    return fact(cells, row, plan.components[c, SOURCE], now), False
