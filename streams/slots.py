"""Tickets and payments that an account is remembered with: a few slots of id, state and instant.

    ticket    opened, reopened -> OPEN       escalated -> ESCALATED       resolved -> DONE
    payment   due -> DUE                     failed -> FAILED             refunded, disputed -> REVERSED    succeeded -> DONE

A done one is remembered so that what comes late does not open it again; it is the first to make room. Instants are whole
seconds, kept from 2045 on so that 32 bits hold what may occur.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.catalogue import FORGOTTEN_DAYS, EventKind
from streams.compiled import int64, kernel
from streams.days import DAY_MS

if TYPE_CHECKING:
    from streams.cells import Cells

FREE, DONE, PENDING, WORSE, REVERSED = range(5)
"""PENDING is an open ticket or a payment that is due, WORSE an escalated ticket or a failed payment."""
BASE_S: Final = 2_366_841_600
FORGOTTEN_MS: Final = FORGOTTEN_DAYS * DAY_MS
TICKET_OPENED, TICKET_REOPENED = int(EventKind.TICKET_OPENED), int(EventKind.TICKET_REOPENED)
TICKET_ESCALATED, TICKET_RESOLVED = int(EventKind.TICKET_ESCALATED), int(EventKind.TICKET_RESOLVED)
PAYMENT_DUE, PAYMENT_SUCCEEDED = int(EventKind.PAYMENT_DUE), int(EventKind.PAYMENT_SUCCEEDED)
PAYMENT_FAILED = int(EventKind.PAYMENT_FAILED)
PAYMENT_REFUNDED, PAYMENT_DISPUTED = int(EventKind.PAYMENT_REFUNDED), int(EventKind.PAYMENT_DISPUTED)
NO_HOURS: Final = -1


@kernel
def low_bits(thing: int) -> int:
    """Return the low 32 bits of a hash as a signed number."""
    low = thing & 0xFFFFFFFF
    return low - (1 << 32) if low >= 1 << 31 else low


@kernel
def at_ms(cells: Cells, row: int, ids: int, slots: int, i: int) -> int:
    """Return the instant of slot ``i``, in ms."""
    return (int64(cells.i32[row, ids + slots + i]) + BASE_S) * 1000


@kernel
def put(cells: Cells, row: int, ids: int, states: int, slots: int, i: int, state: int, ms: int) -> None:
    """Set state and instant of slot ``i``."""
    cells.u8[row, states + i] = state
    cells.i32[row, ids + slots + i] = ms // 1000 - BASE_S


@kernel
def find(cells: Cells, row: int, ids: int, states: int, slots: int, thing: int) -> int:
    """Return the slot of a ticket or payment, a new one being given (state FREE) if it has none."""
    free, victim, wanted = int64(-1), int64(0), low_bits(thing)
    for i in range(slots):
        if cells.u8[row, states + i] == FREE:
            free = int64(i) if free < 0 else free
        elif cells.i32[row, ids + i] == wanted:
            return int64(i)
        elif goes_before(cells, row, ids, states, slots, i, victim):
            victim = int64(i)
    chosen = victim if free < 0 else free
    cells.u8[row, states + chosen] = FREE
    cells.i32[row, ids + chosen] = wanted
    return chosen


@kernel
def goes_before(cells: Cells, row: int, ids: int, states: int, slots: int, i: int, j: int) -> bool:
    """Return whether slot ``i`` makes room before slot ``j``: a done one first, then the older, then the smaller id."""
    return lies_before(cells, row, ids, states, slots, i, cells, row, j)


@kernel
def lies_before(
    cells: Cells, row: int, ids: int, states: int, slots: int, i: int, others: Cells, other: int, j: int
) -> bool:
    """Return whether slot ``i`` makes room before slot ``j`` of the row ``other`` of ``others``, as ``goes_before``."""
    pending_i, pending_j = cells.u8[row, states + i] != DONE, others.u8[other, states + j] != DONE
    if pending_i != pending_j:
        return bool(pending_j)
    at_i, at_j = cells.i32[row, ids + slots + i], others.i32[other, ids + slots + j]
    if at_i != at_j:
        return bool(at_i < at_j)
    return bool(cells.i32[row, ids + i] < others.i32[other, ids + j])


@kernel
def take_over(
    cells: Cells, row: int, others: Cells, other: int, ids: int, states: int, slots: int, i: int, j: int
) -> None:
    """Let slot ``i`` be slot ``j`` of the row ``other`` of ``others``."""
    cells.u8[row, states + i] = others.u8[other, states + j]
    cells.i32[row, ids + i] = others.i32[other, ids + j]
    cells.i32[row, ids + slots + i] = others.i32[other, ids + slots + j]


@kernel
def unite(cells: Cells, row: int, others: Cells, other: int, ids: int, states: int, slots: int) -> None:
    """Take the slots of the row ``other`` of ``others``: of one id the later, and then of all of them those that fit."""
    shared = int64(0)
    for j in range(slots):
        for i in range(slots):
            is_same = (
                cells.u8[row, states + i] != FREE and cells.i32[row, ids + i] == others.i32[other, ids + j]
            )
            if others.u8[other, states + j] != FREE and is_same:
                shared |= 1 << j
                if others.i32[other, ids + slots + j] > cells.i32[row, ids + slots + i]:
                    take_over(cells, row, others, other, ids, states, slots, i, j)
    for j in range(slots):
        if others.u8[other, states + j] == FREE or shared >> j & 1:
            continue
        chosen = int64(0)
        for i in range(1, slots):
            if cells.u8[row, states + chosen] != FREE and (
                cells.u8[row, states + i] == FREE or goes_before(cells, row, ids, states, slots, i, chosen)
            ):
                chosen = int64(i)
        if cells.u8[row, states + chosen] == FREE or lies_before(
            cells, row, ids, states, slots, chosen, others, other, j
        ):
            take_over(cells, row, others, other, ids, states, slots, chosen, j)


@kernel
def take_ticket(
    cells: Cells, row: int, ids: int, states: int, slots: int, kind: int, thing: int, t: int
) -> int:
    """Take a ticket event at ``t``; return the hours from opening to resolution if it resolves one, else NO_HOURS."""
    opens, escalates = kind in (TICKET_OPENED, TICKET_REOPENED), kind == TICKET_ESCALATED
    if not (opens or escalates or kind == TICKET_RESOLVED):
        return int64(NO_HOURS)
    i = find(cells, row, ids, states, slots, thing)
    t = t // 1000 * 1000
    state, at = int64(cells.u8[row, states + i]), at_ms(cells, row, ids, slots, i)
    hours = int64(NO_HOURS)
    if opens or escalates:
        if state == FREE or (state == DONE and t > at):
            put(cells, row, ids, states, slots, i, PENDING if opens else WORSE, t)
        elif escalates and state == PENDING:
            cells.u8[row, states + i] = WORSE
    elif state in (FREE, DONE):
        put(cells, row, ids, states, slots, i, DONE, t if state == FREE else max(at, t))
    elif at <= t:
        put(cells, row, ids, states, slots, i, DONE, t)
        hours = int64((t - at) // 3_600_000)
    return hours


@kernel
def take_payment(
    cells: Cells, row: int, ids: int, states: int, slots: int, kind: int, thing: int, t: int, due: int
) -> None:
    """Take a payment event at ``t``; ``due`` is the instant at which a payment that is due is so."""
    fails, reverses = kind == PAYMENT_FAILED, kind in (PAYMENT_REFUNDED, PAYMENT_DISPUTED)
    if not (fails or reverses or kind in (PAYMENT_DUE, PAYMENT_SUCCEEDED)):
        return
    i = find(cells, row, ids, states, slots, thing)
    t, due = t // 1000 * 1000, due // 1000 * 1000
    state, at = int64(cells.u8[row, states + i]), at_ms(cells, row, ids, slots, i)
    if kind == PAYMENT_DUE:
        if state in (FREE, PENDING):
            put(cells, row, ids, states, slots, i, PENDING, due)
    elif kind == PAYMENT_SUCCEEDED:
        if state in (FREE, PENDING) or (state in (WORSE, REVERSED) and at <= t):
            put(cells, row, ids, states, slots, i, DONE, t)
        elif state == DONE:
            put(cells, row, ids, states, slots, i, DONE, max(at, t))
    elif fails:
        if state in (FREE, PENDING) or (state in (DONE, REVERSED) and at < t):
            put(cells, row, ids, states, slots, i, WORSE, t)
        elif state == WORSE:
            put(cells, row, ids, states, slots, i, WORSE, max(at, t))
    elif state in (FREE, PENDING, WORSE) or (state == DONE and at < t):
        put(cells, row, ids, states, slots, i, REVERSED, t)
    elif state == REVERSED:
        put(cells, row, ids, states, slots, i, REVERSED, max(at, t))


@kernel
def is_open(cells: Cells, row: int, ids: int, states: int, slots: int, i: int, now: int) -> bool:
    """Return whether the ticket of slot ``i`` is open at ``now``."""
    return bool(
        cells.u8[row, states + i] in (PENDING, WORSE)
        and now < at_ms(cells, row, ids, slots, i) + FORGOTTEN_MS
    )


@kernel
def is_late(cells: Cells, row: int, ids: int, states: int, slots: int, i: int, now: int) -> bool:
    """Return whether the payment of slot ``i`` is late at ``now``: due or failed, and not paid since."""
    at, state = at_ms(cells, row, ids, slots, i), cells.u8[row, states + i]
    if now >= at + FORGOTTEN_MS:
        return False
    return bool(state == WORSE or (state == PENDING and at <= now))
