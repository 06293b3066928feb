"""Weekly sums and numbers of measurements; weeks begin on Mondays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.compiled import int64, kernel
from streams.layout import DAY, NEVER
from streams.plan import WEEK_COUNT, WEEK_NUMBERS, WEEK_SUMS

if TYPE_CHECKING:
    from streams.cells import Cells
    from streams.plan import Plan

CSAT, RESOLVE_HOURS = range(2)
"""Codes of the catalogue's measurements."""
SUM_MAX: Final = (1 << 31) - 1
NUMBER_MAX: Final = 65_535


@kernel
def week_of(day: int) -> int:
    """Return the number of a day's week (1970-01-01 was a Thursday)."""
    return (day + 3) // 7


@kernel
def first_day_of(week: int) -> int:
    """Return the Monday of a week."""
    return 7 * week - 3


@kernel
def roll_weeks(cells: Cells, plan: Plan, row: int, present: int, day: int) -> None:
    """Clear the weeks after that of ``present``, up to that of ``day``."""
    before, now = week_of(present) if present != NEVER else int64(NEVER), week_of(day)
    for k in range(plan.weeks.shape[0]):
        count = plan.weeks[k, WEEK_COUNT]
        for week in range(max(before + 1, now - count + 1), now + 1):
            cells.i32[row, plan.weeks[k, WEEK_SUMS] + week % count] = 0
            cells.u16[row, plan.weeks[k, WEEK_NUMBERS] + week % count] = 0


@kernel
def measure(cells: Cells, plan: Plan, row: int, k: int, day: int, value: int) -> None:
    """Add a value of measurement ``k`` taken on ``day`` to its week, unless that is too old to be kept."""
    count, week = plan.weeks[k, WEEK_COUNT], week_of(day)
    if week <= week_of(int64(cells.u16[row, DAY])) - count:
        return
    at, number = plan.weeks[k, WEEK_SUMS] + week % count, plan.weeks[k, WEEK_NUMBERS] + week % count
    cells.i32[row, at] = min(int64(cells.i32[row, at]) + value, SUM_MAX)
    cells.u16[row, number] = min(int64(cells.u16[row, number]) + 1, NUMBER_MAX)


@kernel
def weekly(cells: Cells, plan: Plan, row: int, k: int, weeks: int) -> tuple[int, int]:
    """Return sum and number over the present week and the ``weeks - 1`` before."""
    count, now = plan.weeks[k, WEEK_COUNT], week_of(int64(cells.u16[row, DAY]))
    total, number = int64(0), int64(0)
    for week in range(now - weeks + 1, now + 1):
        total += int64(cells.i32[row, plan.weeks[k, WEEK_SUMS] + week % count])
        number += int64(cells.u16[row, plan.weeks[k, WEEK_NUMBERS] + week % count])
    return total, number
