"""Daily scores of the first model, and its falls: what a drop of band or of points is judged by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.reasons import Rule
from streams.compiled import int64, kernel, row_cells
from streams.days import DAY_MS
from streams.layout import ABSENT, DAY, NO_DAILY, NONE, UNSET
from streams.levels import FIRST_BAND
from streams.plan import (
    AT_LEAST,
    DAILY,
    FALL_AT,
    FELL_FROM,
    LIMIT_DAYS,
    OVERRIDDEN,
    PRESENT_BAND,
)

if TYPE_CHECKING:
    from streams.cells import Cells
    from streams.plan import Plan

BAND_DROP = int(Rule.BAND_DROP)


@kernel
def roll_daily(cells: Cells, plan: Plan, row: int, present: int, day: int) -> None:
    """Let the present day's score stand for the days after it, up to ``day``."""
    first, days = plan.scalars[DAILY], plan.rules[BAND_DROP, LIMIT_DAYS] + 1
    last = cells.u16[row, first + present % days]
    for past in range(max(present + 1, day - days + 1), day + 1):
        cells.u16[row, first + past % days] = last


@kernel
def note_score(
    cells: Cells,
    plan: Plan,
    row: int,
    evidence: int,
    was: int,
    band: int,
    pinned: bool,  # noqa: FBT001
    now: int,
) -> None:
    """Take the first model's evidence score (thousandths or ``NONE``) and its band, ``was`` before this evaluation."""
    first, days = plan.scalars[DAILY], plan.rules[BAND_DROP, LIMIT_DAYS] + 1
    hundredths = int64(NO_DAILY) if evidence == NONE else (evidence + 5) // 10
    cells.u16[row, first + int64(cells.u16[row, DAY]) % days] = hundredths
    if FIRST_BAND <= band < was and not pinned and cells.u8[row, plan.scalars[OVERRIDDEN]] == 0:
        if not has_fallen(cells, plan, row, was, now):
            cells.u8[row, plan.scalars[FELL_FROM]] = was
        cells.i64[row, plan.scalars[FALL_AT]] = now
    cells.u8[row, plan.scalars[OVERRIDDEN]] = pinned


@kernel
def forget_scores(cells: Cells, plan: Plan, row: int) -> None:
    """Begin anew: the first model is another one."""
    first = plan.scalars[DAILY]
    for day in range(plan.rules[BAND_DROP, LIMIT_DAYS] + 1):
        cells.u16[row, first + day] = NO_DAILY
    cells.i64[row, plan.scalars[FALL_AT]] = UNSET
    cells.u8[row, plan.scalars[FELL_FROM]] = cells.u8[row, plan.scalars[OVERRIDDEN]] = 0


@kernel
def fall_end(cells: Cells, plan: Plan, row: int) -> int:
    """Return the instant at which the last fall is over by time; there was one."""
    return int64(int64(cells.i64[row, plan.scalars[FALL_AT]]) + plan.rules[BAND_DROP, LIMIT_DAYS] * DAY_MS)


@kernel
def has_fallen(cells: Cells, plan: Plan, row: int, band: int, now: int) -> bool:
    """Return whether at ``now`` a band of cell code ``band`` is below the one fallen from."""
    if cells.i64[row, plan.scalars[FALL_AT]] == UNSET or now >= fall_end(cells, plan, row):
        return False
    return bool(FIRST_BAND <= band < int64(cells.u8[row, plan.scalars[FELL_FROM]]))


@kernel
def points_lost(cells: Cells, plan: Plan, row: int) -> int:
    """Return what the score is below the best of the last days, in hundredths, or ``ABSENT``."""
    first, days = plan.scalars[DAILY], plan.rules[BAND_DROP, LIMIT_DAYS] + 1
    today, best = first + int64(cells.u16[row, DAY]) % days, int64(ABSENT)
    daily_scores = row_cells(cells.u16, row)
    present = int64(daily_scores[today])
    for i in range(first, first + days):  # the present day and all that count before it, in any order
        daily = int64(daily_scores[i])
        if i != today and daily != NO_DAILY:
            best = max(best, daily)
    return int64(ABSENT) if best == ABSENT or present == NO_DAILY else max(int64(0), best - present)


@kernel
def is_dropping(cells: Cells, plan: Plan, row: int) -> bool:
    """Return whether the score is at least the rule's points below the best of the last days."""
    return bool(points_lost(cells, plan, row) >= plan.rules[BAND_DROP, AT_LEAST])


@kernel
def present_band(cells: Cells, plan: Plan, row: int) -> int:
    """Return the cell code of the first model's band."""
    return int64(cells.u8[row, plan.models[0, PRESENT_BAND]])
