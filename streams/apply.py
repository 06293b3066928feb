"""Folding one event into the state of its account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.catalogue import ACTIVITY_BIT, ADMIN_BIT, KEY_FEATURE_BIT, RISK_BIT, EventKind
from streams.active import note_active_day
from streams.cells import (
    AMOUNT_LEFT_OUT,
    FACT_AT,
    FACT_EXPIRES,
    FACT_VALUE,
    LATE_FOR_RHYTHM,
    NO_FACT,
    TOO_LATE,
)  # fmt: skip
from streams.compiled import int64, kernel
from streams.conditions import RISK_PAGE, note_risk_visit
from streams.days import local_day
from streams.events import (
    EVENT_AMOUNT,
    EVENT_DETAIL,
    EVENT_DUE,
    EVENT_KIND,
    EVENT_MASK,
    EVENT_THING,
    EVENT_TIME,
    EVENT_USER,
)  # fmt: skip
from streams.layout import ABSENT, FIRST_DAY, LAST_EVENT_DAY, NEVER, PAYMENTS, TICKETS
from streams.plan import (
    ACTIVE,
    KEY_FEATURE_COUNT,
    KEY_FEATURES,
    PAYMENT_IDS,
    PAYMENT_STATES,
    SINCE_SLOT,
    TICKET_IDS,
    TICKET_STATES,
    USERS,
    WEEK_COUNT,
)  # fmt: skip
from streams.rhythm import note_activity
from streams.slots import NO_HOURS, take_payment, take_ticket
from streams.tiles import add_amount, count_event, is_own_currency, is_summed
from streams.users import mark_user
from streams.weeks import CSAT, RESOLVE_HOURS, measure

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from streams.cells import Cells
    from streams.plan import Plan

FACT_UPDATE_COLUMNS: Final = 5
"""Columns of a fact update: index of its event in the batch, fact slot (an override's target behind the facts), value
(``NO_FACT`` deletes), time, expiry."""
FIRST_TICKET_KIND, LAST_TICKET_KIND = int(EventKind.TICKET_OPENED), int(EventKind.TICKET_OTHER)
FIRST_PAYMENT_KIND: Final = int(EventKind.PAYMENT_DUE)


@kernel
def apply_event(cells: Cells, plan: Plan, row: int, event: npt.NDArray[np.int64]) -> None:
    """Fold one event (its columns) into the state."""
    mask, t = event[EVENT_MASK], event[EVENT_TIME]
    day = local_day(plan.zones, int64(cells.zone[row]), t)
    first = int64(cells.u16[row, FIRST_DAY])
    if first == NEVER or day < first:
        cells.u16[row, FIRST_DAY] = day
    cells.u16[row, LAST_EVENT_DAY] = max(int64(cells.u16[row, LAST_EVENT_DAY]), day)
    kept = count_event(cells, plan, row, mask, day)
    if is_summed(plan, mask):
        amount = event[EVENT_AMOUNT]
        if is_own_currency(cells, plan, row, amount, event[EVENT_DETAIL]):
            added = add_amount(cells, plan, row, mask, day, amount)
            kept = kept and added
        else:
            cells.notes[AMOUNT_LEFT_OUT] += 1
    if not kept:
        cells.notes[TOO_LATE] += 1
    if (mask >> ACTIVITY_BIT) & 1:
        if not note_activity(cells, plan, row, day, t):
            cells.notes[LATE_FOR_RHYTHM] += 1
        if plan.scalars[ACTIVE] != ABSENT:
            note_active_day(cells, plan, row, day)
        if plan.scalars[USERS] != ABSENT and event[EVENT_USER] >= 0:
            mark_user(cells, plan, row, event[EVENT_USER], day)
    if (mask >> RISK_BIT) & 1 and plan.rules[RISK_PAGE, SINCE_SLOT] >= 0:
        note_risk_visit(cells, plan, row, t, (mask >> ADMIN_BIT) & 1)
    apply_case(cells, plan, row, event, day)
    if plan.scalars[KEY_FEATURES] != ABSENT and mask >> KEY_FEATURE_BIT:
        note_uses(cells, plan, row, mask >> KEY_FEATURE_BIT, day)


@kernel
def apply_case(cells: Cells, plan: Plan, row: int, event: npt.NDArray[np.int64], day: int) -> None:
    """Fold what an event says of a ticket or a payment into the state."""
    kind, t = event[EVENT_KIND], event[EVENT_TIME]
    ids, states = plan.scalars[TICKET_IDS], plan.scalars[TICKET_STATES]
    if FIRST_TICKET_KIND <= kind <= LAST_TICKET_KIND:
        if ids != ABSENT:
            hours = take_ticket(cells, row, ids, states, TICKETS, kind, event[EVENT_THING], t)
            if hours != NO_HOURS and plan.weeks[RESOLVE_HOURS, WEEK_COUNT] > 0:
                measure(cells, plan, row, RESOLVE_HOURS, day, hours)
        if event[EVENT_DETAIL] > 0 and plan.weeks[CSAT, WEEK_COUNT] > 0:
            measure(cells, plan, row, CSAT, day, event[EVENT_DETAIL])
    elif kind >= FIRST_PAYMENT_KIND and plan.scalars[PAYMENT_IDS] != ABSENT:
        ids, states = plan.scalars[PAYMENT_IDS], plan.scalars[PAYMENT_STATES]
        due = t if event[EVENT_DUE] == ABSENT else event[EVENT_DUE]
        take_payment(cells, row, ids, states, PAYMENTS, kind, event[EVENT_THING], t, due)


@kernel
def note_uses(cells: Cells, plan: Plan, row: int, bits: int, day: int) -> None:
    """Take a use of the key features in ``bits`` on ``day``."""
    features, slot = plan.scalars[KEY_FEATURE_COUNT], plan.scalars[KEY_FEATURES]
    for k in range(features):
        if (bits >> k) & 1:
            first = int64(cells.u16[row, slot + k])
            cells.u16[row, slot + k] = day if first == NEVER else min(first, day)
            last = slot + features + k
            cells.u16[row, last] = max(int64(cells.u16[row, last]), day)


@kernel
def apply_facts(cells: Cells, row: int, updates: npt.NDArray[np.int64], event: int, cursor: int) -> int:
    """Apply the fact updates of one event from ``cursor`` on; the newest time wins, of equal ones the later."""
    facts = cells.facts.shape[1]
    while cursor < updates.shape[0] and updates[cursor, 0] == event:
        slot = updates[cursor, 1]
        if slot < facts:
            apply_fact(cells.facts[row], slot, updates[cursor])
        else:
            apply_fact(cells.overrides[cells.block[row]], slot - facts, updates[cursor])
        cursor += 1
    return cursor


@kernel
def apply_fact(cells: npt.NDArray[np.int64], slot: int, update: npt.NDArray[np.int64]) -> None:
    """Apply one update to the facts or overrides of an account, (slots, 3) int64."""
    if update[3] >= cells[slot, FACT_AT]:
        cells[slot, FACT_VALUE], cells[slot, FACT_AT] = update[2], update[3]
        cells[slot, FACT_EXPIRES] = NO_FACT if update[2] == NO_FACT else update[4]
