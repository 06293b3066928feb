"""What is kept of one account folded into that of another: counts add, days unite, the newer wins.

Days are those of each account's own zone. One that the account which goes on has not reached counts as its present one:
the other's zone may lie further east.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.policy import ACTIVE_DAYS_KEPT
from streams.active import note_active_day
from streams.cells import AMOUNT_LEFT_OUT
from streams.compiled import int64, kernel
from streams.conditions import RISK_PAGE, RULES
from streams.layout import (
    ABSENT,
    BITS,
    BUCKETS,
    DAY,
    FIRST_DAY,
    GAP_COUNT,
    GAP_SUM,
    GAPS,
    KNOWN_ACTIVE,
    KNOWN_RINGS,
    LAST_ACTIVE,
    LAST_ACTIVE_DAY,
    LAST_EVENT_DAY,
    NEVER,
    OPEN,
    PAYMENTS,
    RISK_ADMIN,
    RISK_COUNT,
    RISK_LAST,
    TICKETS,
    UNSET,
    USER_SEEN,
    WIDE,
)  # fmt: skip
from streams.plan import (
    ACTIVE,
    CURRENCY,
    FORGETTING,
    HORIZON,
    HOURLY,
    KEY_FEATURE_COUNT,
    KEY_FEATURES,
    LAST_DAY_SLOT,
    PAYMENT_IDS,
    PAYMENT_STATES,
    QUIET,
    RING_DAYS,
    RING_OFFSET,
    RING_WIDTH,
    SINCE_SLOT,
    TICKET_IDS,
    TICKET_STATES,
    USERS,
    WEEK_COUNT,
    WEEK_NUMBERS,
    WEEK_SUMS,
)  # fmt: skip
from streams.rhythm import worked
from streams.slots import unite
from streams.tiles import AMOUNT_MAX, NARROW_MAX, WIDE_MAX, get_bit, set_bit
from streams.users import age, mark_user
from streams.weeks import NUMBER_MAX, SUM_MAX, week_of

if TYPE_CHECKING:
    from streams.cells import Cells
    from streams.plan import Plan

RISKS_MAX = 65_535


@kernel
def later_day(cells: Cells, row: int, slot: int, day: int) -> None:
    """Let a cell of u16 hold the later of its day and ``day``, which is not after the account's present one."""
    cells.u16[row, slot] = max(int64(cells.u16[row, slot]), min(day, int64(cells.u16[row, DAY])))


@kernel
def earlier_day(cells: Cells, row: int, slot: int, day: int) -> None:
    """Let a cell of u16 hold the earlier of its day and ``day``, each of which may be ``NEVER``."""
    mine = int64(cells.u16[row, slot])
    if day != NEVER and (mine == NEVER or day < mine):
        cells.u16[row, slot] = min(day, int64(cells.u16[row, DAY]))


@kernel
def fold_counts(cells: Cells, plan: Plan, row: int, others: Cells, other: int) -> None:
    """Add the daily counts; of sources of which only days are kept, unite these."""
    day, last = int64(cells.u16[row, DAY]), int64(others.u16[other, DAY])
    for s in range(plan.rings.shape[0]):
        days, offset, width = plan.rings[s, RING_DAYS], plan.rings[s, RING_OFFSET], plan.rings[s, RING_WIDTH]
        later_day(
            cells,
            row,
            plan.scalars[LAST_DAY_SLOT] + s,
            int64(others.u16[other, plan.scalars[LAST_DAY_SLOT] + s]),
        )
        for past in range(last - days + 1, last + 1):
            source, target = past % days, min(past, day) % days
            if width == WIDE:
                count = int64(cells.u16[row, offset + target]) + int64(others.u16[other, offset + source])
                cells.u16[row, offset + target] = min(count, WIDE_MAX)
            elif width == BITS:
                if get_bit(others.u8[other], offset, source):
                    set_bit(cells.u8[row], offset, target)
            else:
                count = int64(cells.u8[row, offset + target]) + int64(others.u8[other, offset + source])
                cells.u8[row, offset + target] = min(count, NARROW_MAX)


@kernel
def fold_sums(cells: Cells, plan: Plan, row: int, others: Cells, other: int) -> None:
    """Add the daily sums if they are of one currency."""
    if plan.sums.shape[0] == 0:
        return
    day, last, slot = int64(cells.u16[row, DAY]), int64(others.u16[other, DAY]), plan.scalars[CURRENCY]
    if cells.u16[row, slot] == 0:
        cells.u16[row, slot] = others.u16[other, slot]
    if others.u16[other, slot] == 0:
        return
    if others.u16[other, slot] != cells.u16[row, slot]:
        cells.notes[AMOUNT_LEFT_OUT] += 1
        return
    for s in range(plan.sums.shape[0]):
        days, offset = plan.sums[s, RING_DAYS], plan.sums[s, RING_OFFSET]
        for past in range(last - days + 1, last + 1):
            target = offset + min(past, day) % days
            total = int64(cells.i64[row, target]) + int64(others.i64[other, offset + past % days])
            cells.i64[row, target] = min(total, AMOUNT_MAX)


@kernel
def fold_weeks(cells: Cells, plan: Plan, row: int, others: Cells, other: int) -> None:
    """Add the weekly sums and numbers of measurements."""
    now, last = week_of(int64(cells.u16[row, DAY])), week_of(int64(others.u16[other, DAY]))
    for k in range(plan.weeks.shape[0]):
        count, sums, numbers = (
            plan.weeks[k, WEEK_COUNT],
            plan.weeks[k, WEEK_SUMS],
            plan.weeks[k, WEEK_NUMBERS],
        )
        for past in range(last - count + 1, last + 1):
            source, target = past % count, min(past, now) % count
            total = int64(cells.i32[row, sums + target]) + int64(others.i32[other, sums + source])
            number = int64(cells.u16[row, numbers + target]) + int64(others.u16[other, numbers + source])
            cells.i32[row, sums + target] = min(total, SUM_MAX)
            cells.u16[row, numbers + target] = min(number, NUMBER_MAX)


@kernel
def fold_users(cells: Cells, plan: Plan, row: int, others: Cells, other: int) -> None:
    """Let each bucket have the later of both days."""
    day, last = int64(cells.u16[row, DAY]), int64(others.u16[other, DAY])
    for bucket in range(BUCKETS):
        cell = int64(others.u8[other, plan.scalars[USERS] + bucket])
        if cell != 0:
            mark_user(cells, plan, row, bucket, min(day, last - age(cell, last)))
    if others.u8[other, USER_SEEN]:  # by users of long ago too
        cells.u8[row, USER_SEEN] = 1


@kernel
def fold_days(cells: Cells, plan: Plan, row: int, others: Cells, other: int) -> None:
    """Unite the active days, and take the first and last of the days and instants that are kept."""
    last = int64(others.u16[other, DAY])
    if plan.scalars[ACTIVE] != ABSENT:
        for past in range(last - ACTIVE_DAYS_KEPT + 1, last + 1):
            if get_bit(others.u8[other], plan.scalars[ACTIVE], past % ACTIVE_DAYS_KEPT):
                note_active_day(cells, plan, row, min(past, int64(cells.u16[row, DAY])))
    earlier_day(cells, row, FIRST_DAY, int64(others.u16[other, FIRST_DAY]))
    later_day(cells, row, LAST_ACTIVE_DAY, int64(others.u16[other, LAST_ACTIVE_DAY]))
    later_day(cells, row, LAST_EVENT_DAY, int64(others.u16[other, LAST_EVENT_DAY]))
    cells.i64[row, LAST_ACTIVE] = max(cells.i64[row, LAST_ACTIVE], others.i64[other, LAST_ACTIVE])
    if plan.scalars[KEY_FEATURES] != ABSENT:
        features, slot = plan.scalars[KEY_FEATURE_COUNT], plan.scalars[KEY_FEATURES]
        for k in range(features):
            earlier_day(cells, row, slot + k, int64(others.u16[other, slot + k]))
            later_day(cells, row, slot + features + k, int64(others.u16[other, slot + features + k]))


@kernel
def fold_rhythm(cells: Cells, plan: Plan, row: int, others: Cells, other: int) -> None:
    """Count the gaps of the united active days; where not all of these are known, keep the gaps of who has more."""
    is_whole = plan.scalars[ACTIVE] != ABSENT and cells.known[row, KNOWN_ACTIVE] == 0
    if plan.scalars[HOURLY] or not is_whole:
        if others.u16[other, GAPS] > cells.u16[row, GAPS]:
            cells.u16[row, GAPS] = others.u16[other, GAPS]
            cells.f64[row, GAP_COUNT] = others.f64[other, GAP_COUNT]
            cells.f64[row, GAP_SUM] = others.f64[other, GAP_SUM]
        return
    day, before, forgetting = int64(cells.u16[row, DAY]), int64(NEVER), plan.numbers[FORGETTING]
    count, total, gaps = 0.0, 0.0, int64(0)
    for past in range(day - ACTIVE_DAYS_KEPT + 1, day + 1):
        if not get_bit(cells.u8[row], plan.scalars[ACTIVE], past % ACTIVE_DAYS_KEPT):
            continue
        gap = worked(plan, past) - worked(plan, before)
        if before != NEVER and 1 <= gap <= plan.scalars[HORIZON]:
            count, total, gaps = forgetting * count + 1.0, forgetting * total + float(gap), gaps + 1
        before = int64(past)
    cells.f64[row, GAP_COUNT], cells.f64[row, GAP_SUM], cells.u16[row, GAPS] = count, total, gaps


@kernel
def fold_risk(cells: Cells, plan: Plan, row: int, others: Cells, other: int) -> None:
    """Take the risk visits of the later one; the other's are told with them if they lie within the quiet time before it."""
    mine, theirs = int64(cells.i64[row, RISK_LAST]), int64(others.i64[other, RISK_LAST])
    if theirs == UNSET:
        return
    count, admin = int64(others.u16[other, RISK_COUNT]), int64(others.u8[other, RISK_ADMIN])
    if mine != UNSET and abs(theirs - mine) < plan.rules[RISK_PAGE, QUIET]:
        cells.u16[row, RISK_COUNT] = min(int64(cells.u16[row, RISK_COUNT]) + count, RISKS_MAX)
        cells.u8[row, RISK_ADMIN] = max(int64(cells.u8[row, RISK_ADMIN]), admin)
    elif theirs > mine:
        cells.u16[row, RISK_COUNT], cells.u8[row, RISK_ADMIN] = count, admin
    cells.i64[row, RISK_LAST] = max(mine, theirs)


@kernel
def fold(cells: Cells, plan: Plan, row: int, others: Cells, other: int) -> None:
    """Fold an account into another one.

    Args:
        cells: the accounts.
        plan: what to compute.
        row: the one that goes on.
        others: cells of the same layout.
        other: the row of the one that has ended; its day is not before that of ``row``.
    """
    for k in range(KNOWN_RINGS + plan.rings.shape[0] + plan.sums.shape[0]):
        theirs = min(int64(others.known[other, k]), int64(cells.u16[row, DAY]))
        cells.known[row, k] = max(int64(cells.known[row, k]), theirs)
    fold_counts(cells, plan, row, others, other)
    fold_sums(cells, plan, row, others, other)
    fold_weeks(cells, plan, row, others, other)
    if plan.scalars[USERS] != ABSENT:
        fold_users(cells, plan, row, others, other)
    fold_days(cells, plan, row, others, other)
    fold_rhythm(cells, plan, row, others, other)
    fold_risk(cells, plan, row, others, other)
    if plan.scalars[TICKET_IDS] != ABSENT:
        unite(cells, row, others, other, plan.scalars[TICKET_IDS], plan.scalars[TICKET_STATES], TICKETS)
    if plan.scalars[PAYMENT_IDS] != ABSENT:
        unite(cells, row, others, other, plan.scalars[PAYMENT_IDS], plan.scalars[PAYMENT_STATES], PAYMENTS)
    for rule in range(RULES):
        slot = plan.rules[rule, SINCE_SLOT]
        if slot >= 0 and not int64(cells.u16[row, OPEN]) >> rule & 1:
            cells.i64[row, slot] = max(cells.i64[row, slot], others.i64[other, slot])
