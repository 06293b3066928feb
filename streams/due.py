"""The next instant at which something can change without an event: timers are an optimisation, never a rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.audience import AGE_END, AGE_FROM, AGE_TO
from streams.cells import FACT_EXPIRES
from streams.compiled import int64, kernel
from streams.conditions import (
    ABSOLUTE_SILENCE,
    CLOSED,
    NEVER_STARTED,
    PAYMENT_TROUBLE,
    RISK_PAGE,
    RULES,
    SILENCE,
    TICKET_TROUBLE,
    account_kind,
    first_late_day,
    silence_day,
    silence_ms,
    trouble_begins,
)  # fmt: skip
from streams.days import DAY_MS, start_of_day
from streams.drop import fall_end, is_dropping
from streams.layout import (
    ABSENT,
    DAY,
    FIRST_DAY,
    LAST_ACTIVE_DAY,
    LAST_EVENT_DAY,
    NEVER,
    PAYMENTS,
    RISK_LAST,
    TICKETS,
    UNSET,
)  # fmt: skip
from streams.metrics import NO_VALUE, fact
from streams.muting import told_at
from streams.plan import (
    CLOSED_DAYS,
    DAILY,
    DWELL,
    FALL_AT,
    FELL_AT,
    GRID,
    HOURLY,
    LIMIT_DAYS,
    PAYMENT_IDS,
    PAYMENT_STATES,
    QUIET,
    QUIET_DAYS,
    REFRACTORY,
    RENEWAL_DAYS,
    RENEWAL_FACT,
    RULE_DAYS,
    SINCE_SLOT,
    TICKET_IDS,
    TICKET_STATES,
    ZONE_FACT,
)  # fmt: skip
from streams.slots import FORGOTTEN_MS, PENDING, WORSE, at_ms

if TYPE_CHECKING:
    from streams.cells import Cells
    from streams.plan import Plan


@kernel
def sooner(present: int, candidate: int, now: int) -> int:
    """Return the sooner of two instants, leaving out a candidate that is not after ``now``."""
    return candidate if now < candidate < present else present


@kernel
def told_zone(cells: Cells, row: int, now: int) -> int:
    """Return the number of the zone that was told of the account, that of the policy without one."""
    zone = fact(cells, row, ZONE_FACT, now)
    return int64(0) if zone == NO_VALUE else zone


@kernel
def due_day(cells: Cells, plan: Plan, row: int, due: int, day: int, now: int) -> int:
    """Return the sooner of ``due`` and the start of a local day that has not begun."""
    if day <= int64(cells.u16[row, DAY]):
        return due
    return sooner(due, start_of_day(plan.zones, int64(cells.zone[row]), day), now)


@kernel
def silences_due(cells: Cells, plan: Plan, row: int, due: int, now: int) -> int:
    """Return the sooner of ``due`` and the instants at which a silence becomes too long, or has never ended."""
    if cells.u16[row, LAST_ACTIVE_DAY] == NEVER:
        if plan.rules[NEVER_STARTED, SINCE_SLOT] >= 0:
            due = due_day(cells, plan, row, due, first_late_day(cells, plan, row, now), now)
        return due
    for rule in (SILENCE, ABSOLUTE_SILENCE):
        if plan.rules[rule, SINCE_SLOT] < 0:
            continue
        if rule == SILENCE and plan.scalars[HOURLY]:
            due = sooner(due, silence_ms(cells, plan, row, now), now)
        else:
            due = due_day(cells, plan, row, due, silence_day(cells, plan, row, rule, now), now)
    return due


@kernel
def cases_due(cells: Cells, plan: Plan, row: int, due: int, now: int) -> int:
    """Return the sooner of ``due`` and the instants at which tickets and payments become trouble or are forgotten."""
    if plan.scalars[TICKET_IDS] != ABSENT:
        unresolved = plan.rules[TICKET_TROUBLE, LIMIT_DAYS] * DAY_MS
        for i in range(TICKETS):
            if cells.u8[row, plan.scalars[TICKET_STATES] + i] in (PENDING, WORSE):
                at = at_ms(cells, row, plan.scalars[TICKET_IDS], TICKETS, i)
                due = sooner(sooner(due, at + unresolved, now), at + FORGOTTEN_MS, now)
    if plan.scalars[PAYMENT_IDS] != ABSENT:
        quiet = plan.rules[PAYMENT_TROUBLE, QUIET]
        for i in range(PAYMENTS):
            if cells.u8[row, plan.scalars[PAYMENT_STATES] + i] < PENDING:
                continue
            at = at_ms(cells, row, plan.scalars[PAYMENT_IDS], PAYMENTS, i)
            due = sooner(sooner(due, at, now), at + FORGOTTEN_MS, now)
            begin = trouble_begins(cells, plan, row, i)
            due = sooner(sooner(due, begin, now), begin + quiet, now)
    return due


@kernel
def facts_due(cells: Cells, row: int, due: int, now: int) -> int:
    """Return the sooner of ``due`` and the instants at which facts and overrides expire."""
    for f in range(cells.facts.shape[1]):
        due = sooner(due, int64(cells.facts[row, f, FACT_EXPIRES]), now)
    block = int64(cells.block[row])
    if block >= 0:
        for target in range(cells.overrides.shape[1]):
            due = sooner(due, int64(cells.overrides[block, target, FACT_EXPIRES]), now)
    return due


@kernel
def expires_now(cells: Cells, row: int, now: int) -> bool:
    """Return whether a fact that a model reads expires at exactly ``now``."""
    for f in range(cells.facts.shape[1]):
        if cells.facts[row, f, FACT_EXPIRES] == now:
            return True
    block = int64(cells.block[row])
    if block >= 0:
        for target in range(cells.overrides.shape[1]):
            if cells.overrides[block, target, FACT_EXPIRES] == now:
                return True
    return False


@kernel
def may_change_at_midnight(cells: Cells, plan: Plan, row: int, now: int) -> bool:
    """Return whether a coming midnight may change what the rules find, or the zone in force."""
    if told_zone(cells, row, now) != cells.zone[row]:
        return True
    if int64(cells.u16[row, DAY]) - int64(cells.u16[row, LAST_EVENT_DAY]) <= plan.scalars[RULE_DAYS]:
        return True
    return plan.scalars[DAILY] != ABSENT and is_dropping(cells, plan, row)


@kernel
def retirement_due(cells: Cells, plan: Plan, row: int, due: int, now: int) -> int:
    """Return the sooner of ``due`` and the midnight at which the account retires if nothing more happens."""
    last, tomorrow = int64(cells.u16[row, LAST_EVENT_DAY]), int64(cells.u16[row, DAY]) + 1
    closed, quiet = plan.scalars[CLOSED_DAYS], plan.scalars[QUIET_DAYS]
    if quiet != ABSENT:
        due = due_day(cells, plan, row, due, max(tomorrow, last + quiet), now)
    if closed != ABSENT and account_kind(cells, row, now) == CLOSED:
        due = due_day(cells, plan, row, due, max(tomorrow, last + closed), now)
    return due


@kernel
def next_due(cells: Cells, plan: Plan, row: int, moving: bool, now: int) -> int:  # noqa: FBT001
    """Return the next instant at which something can change; ``moving``: a midnight may change a score."""
    due = facts_due(cells, row, told_at(cells, plan, row, now), now)
    if moving or may_change_at_midnight(cells, plan, row, now):
        due = due_day(cells, plan, row, due, int64(cells.u16[row, DAY]) + 1, now)
    due = retirement_due(cells, plan, row, silences_due(cells, plan, row, due, now), now)
    due = cases_due(cells, plan, row, due, now)
    if plan.rules[RISK_PAGE, SINCE_SLOT] >= 0 and cells.i64[row, RISK_LAST] != UNSET:
        due = sooner(due, int64(cells.i64[row, RISK_LAST]) + plan.rules[RISK_PAGE, QUIET], now)
    if plan.scalars[DAILY] != ABSENT and cells.i64[row, plan.scalars[FALL_AT]] != UNSET:
        due = sooner(due, fall_end(cells, plan, row), now)
    if plan.scalars[RENEWAL_FACT] != ABSENT:
        renewal = fact(cells, row, plan.scalars[RENEWAL_FACT], now)
        if renewal != NO_VALUE:
            due = due_day(cells, plan, row, due, renewal - plan.scalars[RENEWAL_DAYS], now)
    for rule in range(RULES):
        slot = plan.rules[rule, SINCE_SLOT]
        if slot >= 0 and cells.i64[row, slot] != UNSET:
            due = sooner(due, int64(cells.i64[row, slot]) + plan.rules[rule, REFRACTORY], now)
    for m in range(plan.models.shape[0]):
        begin, end = plan.audiences[m, AGE_FROM], plan.audiences[m, AGE_TO]
        if end - begin < AGE_END - 1:
            first = int64(cells.u16[row, FIRST_DAY])
            due = due_day(cells, plan, row, due, first + begin - 1, now)
            if end < AGE_END:
                due = due_day(cells, plan, row, due, first + end, now)
        for axis in range(1 if plan.models[m, GRID] == 0 else 2):
            fell_at = int64(cells.i64[row, plan.models[m, FELL_AT] + axis])
            if fell_at != UNSET:
                due = sooner(due, fell_at + plan.models[m, DWELL], now)
    return due
