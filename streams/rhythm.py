"""An account's rhythm of active days: gamma-exponential (Lomax) gaps with forgetting.

A gap between active days is exponential with the account's own rate; the rate has a gamma prior (``prior_rate``,
``prior_days``). With n gaps of total G days remembered, P(gap > s) = ((a + G) / (a + G + s))^(r + n), hence the
silence that a gap outlasts with probability p is s* = (a + G) (p^(-1 / (r + n)) - 1).

The unit of gaps is a day, with a calendar a working day, or by the policy's choice an hour.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from schemas.reasons import Rule
from streams.compiled import int64, kernel
from streams.days import start_of_day
from streams.layout import (
    DAY,
    GAP_COUNT,
    GAP_SUM,
    GAPS,
    LAST_ACTIVE,
    LAST_ACTIVE_DAY,
    NEVER,
    OPEN,
    RETURNED_DAY,
    SILENT_DAYS,
)  # fmt: skip
from streams.plan import BUDGET, FORGETTING, HORIZON, HOUR_MS, HOURLY, PRIOR, PRIOR_RATE, YEAR_UNITS

if TYPE_CHECKING:
    from streams.cells import Cells
    from streams.plan import Plan

PROBABILITY_MAX: Final = 0.5
GAPS_MAX: Final = 65_535
LONGEST_DAYS: Final = 40_000
_SILENCES: Final = 1 << Rule.SILENCE | 1 << Rule.ABSOLUTE_SILENCE


@kernel
def worked(plan: Plan, day: int) -> int:
    """Return the number of a local day: with a calendar that of working days up to it, else the day itself."""
    return int64(plan.worked[min(day, len(plan.worked) - 1)]) if len(plan.worked) > 1 else int64(day)


@kernel
def last_active_hour(cells: Cells, row: int) -> int:
    """Return the number of the hour in which the account was last active; it was active once."""
    return int64(cells.i64[row, LAST_ACTIVE]) // HOUR_MS


@kernel
def note_activity(cells: Cells, plan: Plan, row: int, day: int, t: int) -> bool:
    """Take activity on local day ``day`` at ``t``; False if it is too late for the rhythm."""
    last, last_hour = int64(cells.u16[row, LAST_ACTIVE_DAY]), last_active_hour(cells, row)
    cells.i64[row, LAST_ACTIVE] = max(cells.i64[row, LAST_ACTIVE], t)
    if day > last:
        if cells.u16[row, OPEN] & _SILENCES:
            cells.u16[row, RETURNED_DAY], cells.u16[row, SILENT_DAYS] = day, day - last
        cells.u16[row, LAST_ACTIVE_DAY] = day
    if plan.scalars[HOURLY]:
        hour = t // HOUR_MS
        if hour <= last_hour:
            return bool(hour == last_hour)
        gap = hour - last_hour
    elif day <= last:
        return bool(day == last)
    else:
        gap = worked(plan, day) - worked(plan, last)
    if last != NEVER and 1 <= gap <= plan.scalars[HORIZON]:
        forgetting = plan.numbers[FORGETTING]
        cells.f64[row, GAP_COUNT] = forgetting * cells.f64[row, GAP_COUNT] + 1.0
        cells.f64[row, GAP_SUM] = forgetting * cells.f64[row, GAP_SUM] + float(gap)
        cells.u16[row, GAPS] = min(int64(cells.u16[row, GAPS]) + 1, GAPS_MAX)
    return True


@kernel
def silent_units(cells: Cells, plan: Plan, row: int) -> int:
    """Return how many units the account is silent at the start of its present day; it was active once."""
    day = int64(cells.u16[row, DAY])
    if plan.scalars[HOURLY]:
        begin = start_of_day(plan.zones, cells.zone[row], day)
        return int64(max(int64(0), begin // HOUR_MS - last_active_hour(cells, row)))
    return worked(plan, day) - worked(plan, int64(cells.u16[row, LAST_ACTIVE_DAY]))


@kernel
def usual_gap(cells: Cells, plan: Plan, row: int) -> float:
    """Return the inverse of the expected rate: the gap that is usual for this account, in units."""
    rate = plan.numbers[PRIOR_RATE] + cells.f64[row, GAP_COUNT]
    return float((plan.numbers[PRIOR] + cells.f64[row, GAP_SUM]) / rate)


@kernel
def alarm_probability(cells: Cells, plan: Plan, row: int) -> float:
    """Return the probability per gap that spends the yearly budget of false alarms."""
    p = float(plan.numbers[BUDGET]) * usual_gap(cells, plan, row) / float(plan.numbers[YEAR_UNITS])
    return min(p, PROBABILITY_MAX)


@kernel
def alarm_unit(cells: Cells, plan: Plan, row: int) -> int:
    """Return how many units after its last active one the account, if not active before, is silent beyond s*."""
    shape = float(plan.numbers[PRIOR_RATE] + cells.f64[row, GAP_COUNT])
    scale = float(plan.numbers[PRIOR] + cells.f64[row, GAP_SUM])
    longest = scale * (math.pow(alarm_probability(cells, plan, row), -1.0 / shape) - 1.0)
    return int64(min(math.floor(longest), LONGEST_DAYS * (24 if plan.scalars[HOURLY] else 1))) + 1


@kernel
def alarm_day(cells: Cells, plan: Plan, row: int) -> int:
    """Return the first local day on which the account, if not active before, is silent beyond s*, by days."""
    last = int64(cells.u16[row, LAST_ACTIVE_DAY])
    target = worked(plan, last) + alarm_unit(cells, plan, row)
    if len(plan.worked) == 1:
        return target
    return int64(plan.workdays[min(target, len(plan.workdays) - 1)])


@kernel
def alarm_ms(cells: Cells, plan: Plan, row: int) -> int:
    """Return the instant at which the account, if not active before, is silent beyond s*, by hours."""
    return HOUR_MS * (last_active_hour(cells, row) + alarm_unit(cells, plan, row))
