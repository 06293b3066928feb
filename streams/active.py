"""The set of active days, and the test for a decline: active days of the last weeks against those of the weeks before.

Weekly numbers of active days scatter more (or less) than a Poisson law says, so their variance is taken from the account's
own earlier weeks: z = (m0 - m1) / sqrt(phi m0 (1/R + 1/B)) with the means m0 of B earlier and m1 of R recent weeks, and
phi = variance / mean (a two-sample test with an estimated dispersion, McCullagh and Nelder 1989, section 4.5).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from schemas.policy import ACTIVE_DAYS_KEPT
from schemas.reasons import Rule
from streams.compiled import int64, kernel
from streams.layout import DAY
from streams.plan import (
    ACTIVE,
    AT_LEAST,
    BASELINE,
    DECLINE_LEVEL,
    PHI_MIN,
    RATIO_T,
    RULE_WINDOW,
)
from streams.tiles import clear_bit, get_bit, set_bit

if TYPE_CHECKING:
    from streams.cells import Cells
    from streams.plan import Plan

DECLINE = int(Rule.DECLINE)


@kernel
def roll_active(cells: Cells, plan: Plan, row: int, present: int, day: int) -> None:
    """Clear the days after ``present``, up to ``day``."""
    for past in range(max(present + 1, day - ACTIVE_DAYS_KEPT + 1), day + 1):
        clear_bit(cells.u8[row], plan.scalars[ACTIVE], past % ACTIVE_DAYS_KEPT)


@kernel
def note_active_day(cells: Cells, plan: Plan, row: int, day: int) -> None:
    """Add a day to the set, unless it is too old to be kept."""
    if day > int64(cells.u16[row, DAY]) - ACTIVE_DAYS_KEPT:
        set_bit(cells.u8[row], plan.scalars[ACTIVE], day % ACTIVE_DAYS_KEPT)


@kernel
def active_days(cells: Cells, plan: Plan, row: int, first: int, last: int) -> int:
    """Return the number of active days of first..last, all among the days kept."""
    total, slot = int64(0), plan.scalars[ACTIVE]
    for day in range(first, last + 1):
        total += get_bit(cells.u8[row], slot, day & (ACTIVE_DAYS_KEPT - 1))  # a power of two
    return total


@kernel
def active_days_of_week(cells: Cells, plan: Plan, row: int, last: int) -> int:
    """Return the number of active days among ``last`` and the six days before it, all among the days kept."""
    slot, first = plan.scalars[ACTIVE], (last - 6) & (ACTIVE_DAYS_KEPT - 1)
    low, high = slot + first // 8, slot + (first // 8 + 1) % (ACTIVE_DAYS_KEPT // 8)
    bits = (int64(cells.u8[row, low]) | int64(cells.u8[row, high]) << 8) >> first % 8
    pairs = (bits & 0x55) + (bits >> 1 & 0x15)  # the number of bits set in each two, then in each four
    fours = (pairs & 0x33) + (pairs >> 2 & 0x33)
    return (fours & 0x0F) + (fours >> 4)


@kernel
def active_weeks(cells: Cells, plan: Plan, row: int) -> tuple[int, int, int]:
    """Return the active days of the recent weeks, of the earlier ones, and the sum of squares of the latter's weeks."""
    recent, earlier, squares = int64(0), int64(0), int64(0)
    day, weeks = int64(cells.u16[row, DAY]), plan.rules[DECLINE, RULE_WINDOW]
    for week in range(weeks + plan.rules[DECLINE, BASELINE]):
        days = active_days_of_week(cells, plan, row, day - 7 * week)
        if week < weeks:
            recent += days
        else:
            earlier += days
            squares += days * days
    return recent, earlier, squares


@kernel
def is_declining(cells: Cells, plan: Plan, row: int, is_open: bool) -> bool:  # noqa: FBT001
    """Return whether the rate has fallen, or if the reason is open whether it has not come back half of the way."""
    recent, earlier, squares = active_weeks(cells, plan, row)
    if earlier < plan.rules[DECLINE, AT_LEAST] or earlier == 0:
        return False
    r, b, drop = (
        plan.rules[DECLINE, RULE_WINDOW],
        plan.rules[DECLINE, BASELINE],
        plan.rules[DECLINE, RATIO_T],
    )
    if is_open:
        return bool(recent * b * 2000 <= (2000 - drop) * earlier * r)
    if recent * b * 1000 > (1000 - drop) * earlier * r:
        return False
    m0, m1 = float(earlier) / float(b), float(recent) / float(r)
    variance = (float(squares) - float(earlier) * m0) / (float(b) - 1.0)
    phi = max(variance / m0, float(plan.numbers[PHI_MIN]))
    z = (m0 - m1) / math.sqrt(phi * m0 * (1.0 / float(r) + 1.0 / float(b)))
    return bool(z >= plan.numbers[DECLINE_LEVEL])
