"""Rules of the two episodes: reasons join and leave, with their severities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.reasons import Severity
from streams.cells import BEGAN_TO_WAIT, WAITED, WAITED_IN_VAIN
from streams.compiled import int64, kernel
from streams.conditions import (
    CLOSED,
    GOOD_NEWS,
    RESTS_ON_ABSENCE,
    RISK_PAGE,
    RULES,
    account_kind,
    holds,
)
from streams.evidence import keep_evidence
from streams.layout import (
    ABSENT,
    DAY,
    OPEN,
    RISK_ADMIN,
    RISK_COUNT,
    UNSET,
)  # fmt: skip
from streams.metrics import NO_VALUE, fact
from streams.muting import guard_at
from streams.plan import (
    ARR_FACT,
    ARR_FROM,
    MUTE_END,
    MUTE_FROM,
    REFRACTORY,
    RENEWAL_DAYS,
    RENEWAL_FACT,
    REPEATED_SEVERITY,
    RULE_SEVERITY,
    SIGNS_TOGETHER,
    SINCE_SLOT,
)  # fmt: skip

if TYPE_CHECKING:
    from streams.cells import Cells
    from streams.plan import Plan

NO_SEVERITY: Final = -1
CRITICAL: Final = int(Severity.CRITICAL)


@kernel
def is_raised(cells: Cells, plan: Plan, row: int, now: int) -> bool:
    """Return whether a renewal is near or the account is worth more attention."""
    if plan.scalars[RENEWAL_FACT] != ABSENT and plan.scalars[RENEWAL_DAYS] != ABSENT:
        renewal = fact(cells, row, plan.scalars[RENEWAL_FACT], now)
        left = renewal - int64(cells.u16[row, DAY])
        if renewal != NO_VALUE and 0 <= left <= plan.scalars[RENEWAL_DAYS]:
            return True
    if plan.scalars[ARR_FROM] == ABSENT:
        return False
    arr = fact(cells, row, plan.scalars[ARR_FACT], now)
    return bool(arr != NO_VALUE and arr >= plan.scalars[ARR_FROM])


@kernel
def severity_of(cells: Cells, plan: Plan, row: int, rule: int, raised: bool) -> int:  # noqa: FBT001
    """Return the severity of a reason whose condition holds."""
    severity = plan.rules[rule, RULE_SEVERITY]
    if rule == RISK_PAGE and (cells.u16[row, RISK_COUNT] >= 2 or cells.u8[row, RISK_ADMIN] == 1):
        severity = plan.rules[rule, REPEATED_SEVERITY]
    return int64(min(severity + 1, CRITICAL) if raised else severity)


@kernel
def is_waiting(cells: Cells, plan: Plan, row: int, rule: int, guard: int) -> bool:
    """Return whether a reason that is not open began to hold while a source was stalled: its since is in that interval."""
    since = int64(cells.i64[row, plan.rules[rule, SINCE_SLOT]])
    is_of_absence = (RESTS_ON_ABSENCE >> rule) & 1 == 1
    return is_of_absence and plan.guards[guard, MUTE_FROM] <= since < plan.guards[guard, MUTE_END]


@kernel
def join_and_leave(cells: Cells, plan: Plan, row: int, now: int) -> tuple[int, int, int]:
    """Judge every rule at ``now``: reasons leave whose condition is gone, and join where it holds.

    Returns:
        the mask of open reasons, and the highest severity among those of disengagement and of opportunity
        (``NO_SEVERITY`` for none).
    """
    before = int64(cells.u16[row, OPEN])
    after, bad, good, signs = int64(0), int64(NO_SEVERITY), int64(NO_SEVERITY), int64(0)
    closed, raised = account_kind(cells, row, now) == CLOSED, is_raised(cells, plan, row, now)
    guard = guard_at(plan, now)
    for rule in range(RULES):
        slot = plan.rules[rule, SINCE_SLOT]
        was_open = (before >> rule) & 1 == 1
        if slot < 0:
            continue
        waits = guard >= 0 and not was_open and is_waiting(cells, plan, row, rule, guard)
        if closed or not holds(cells, plan, row, rule, now, was_open):
            if waits:
                cells.i64[row, slot] = UNSET
                cells.notes[WAITED_IN_VAIN] += 1
            continue
        if not was_open:
            since = int64(cells.i64[row, slot])
            if not waits:
                if since != UNSET and now < since + plan.rules[rule, REFRACTORY]:
                    continue
                cells.i64[row, slot] = now
            if guard >= 0 and (RESTS_ON_ABSENCE >> rule) & 1 and now < plan.guards[guard, MUTE_END]:
                cells.notes[BEGAN_TO_WAIT] += not waits
                continue
            cells.notes[WAITED] += waits
            keep_evidence(cells, plan, row, rule, now)
        after |= 1 << rule
        if (GOOD_NEWS >> rule) & 1:
            good, signs = max(good, severity_of(cells, plan, row, rule, False)), signs + 1  # noqa: FBT003
        else:
            bad = max(bad, severity_of(cells, plan, row, rule, raised))
    if 0 < plan.scalars[SIGNS_TOGETHER] <= signs:
        good = min(good + 1, CRITICAL)
    cells.u16[row, OPEN] = after
    return after, bad, good
