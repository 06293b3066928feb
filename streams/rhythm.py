"""An account's rhythm of active days: gamma-exponential (Lomax) gaps with forgetting.

A gap between active days is exponential with the account's own rate; the rate has a gamma prior (``prior_rate``,
``prior_days``). With n gaps of total G days remembered, P(gap > s) = ((a + G) / (a + G + s))^(r + n), hence the
silence that a gap outlasts with probability p is s* = (a + G) (p^(-1 / (r + n)) - 1).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from streams.compiled import int64, kernel
from streams.layout import GAP_COUNT, GAP_SUM, GAPS, LAST_ACTIVE, LAST_ACTIVE_DAY, NEVER
from streams.plan import BUDGET, FORGETTING, HORIZON_DAYS, PRIOR_DAYS, PRIOR_RATE

if TYPE_CHECKING:
    from streams.cells import Cells
    from streams.plan import Plan

YEAR_DAYS: Final = 365.25
PROBABILITY_MAX: Final = 0.5
GAPS_MAX: Final = 65_535


@kernel
def note_activity(cells: Cells, plan: Plan, row: int, day: int, t: int) -> bool:
    """Take activity on local day ``day`` at ``t``; False if it is too late for the rhythm."""
    last = int64(cells.u16[row, LAST_ACTIVE_DAY])
    cells.i64[row, LAST_ACTIVE] = max(cells.i64[row, LAST_ACTIVE], t)
    if day <= last:
        return day == last
    gap = day - last
    if last != NEVER and gap <= plan.scalars[HORIZON_DAYS]:
        forgetting = plan.rhythm[FORGETTING]
        cells.f64[row, GAP_COUNT] = forgetting * cells.f64[row, GAP_COUNT] + 1.0
        cells.f64[row, GAP_SUM] = forgetting * cells.f64[row, GAP_SUM] + float(gap)
        cells.u16[row, GAPS] = min(int64(cells.u16[row, GAPS]) + 1, GAPS_MAX)
    cells.u16[row, LAST_ACTIVE_DAY] = day
    return True


@kernel
def usual_gap_days(cells: Cells, plan: Plan, row: int) -> float:
    """Return the inverse of the expected rate: the gap that is usual for this account, in days."""
    rate = plan.rhythm[PRIOR_RATE] + cells.f64[row, GAP_COUNT]
    return float((plan.rhythm[PRIOR_DAYS] + cells.f64[row, GAP_SUM]) / rate)


@kernel
def alarm_probability(cells: Cells, plan: Plan, row: int) -> float:
    """Return the probability per gap that spends the yearly budget of false alarms."""
    return min(float(plan.rhythm[BUDGET]) * usual_gap_days(cells, plan, row) / YEAR_DAYS, PROBABILITY_MAX)


@kernel
def alarm_day(cells: Cells, plan: Plan, row: int) -> int:
    """Return the first local day on which the account, if not active before, is silent beyond s*."""
    shape = float(plan.rhythm[PRIOR_RATE] + cells.f64[row, GAP_COUNT])
    scale = float(plan.rhythm[PRIOR_DAYS] + cells.f64[row, GAP_SUM])
    longest = scale * (math.pow(alarm_probability(cells, plan, row), -1.0 / shape) - 1.0)
    return int64(cells.u16[row, LAST_ACTIVE_DAY]) + int64(min(math.floor(longest), 40_000)) + 1
