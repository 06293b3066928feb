"""Tickets and payments in slots: a few of each, what they are now, and since when, in whole seconds."""

from __future__ import annotations

from typing import NamedTuple

from schemas.catalogue import EventKind
from tests.auditor.exact import DAY_MS, HOUR_MS

TICKET_SLOTS, PAYMENT_SLOTS = 6, 4
FORGOTTEN_MS = 90 * DAY_MS

OPEN, ESCALATED, RESOLVED = "open", "escalated", "resolved"
DUE, FAILED, REVERSED, PAID = "due", "failed", "reversed", "paid"


class Slot(NamedTuple):
    """A ticket or payment: its state, and the instant of it."""

    state: str
    at_ms: int

    @property
    def is_done(self) -> bool:
        return self.state in {RESOLVED, PAID}

    def is_open(self, now_ms: int) -> bool:
        """Tell whether this ticket is open now."""
        return self.state in {OPEN, ESCALATED} and now_ms < self.at_ms + FORGOTTEN_MS

    def is_late(self, now_ms: int) -> bool:
        """Tell whether this payment is late now."""
        is_owed = self.state == FAILED or (self.state == DUE and self.at_ms <= now_ms)
        return is_owed and now_ms < self.at_ms + FORGOTTEN_MS

    def later(self, time_ms: int) -> Slot:
        """Return the slot in the same state, at the later of two instants."""
        return Slot(self.state, max(self.at_ms, time_ms))


Slots = dict[int, Slot]
"""Slots by the hash of the id."""


def in_seconds(time_ms: int) -> int:
    """Return an instant cut to a whole second, still in milliseconds."""
    return time_ms // 1000 * 1000


def put(slots: Slots, key: int, slot: Slot | None, *, most: int) -> None:
    """Keep a slot; if it is a new one and all are taken, the one that matters least goes."""
    if slot is None:
        return
    if key not in slots and len(slots) == most:
        free(slots)
    slots[key] = slot


def free(slots: Slots) -> None:
    """Free the slot that matters least."""
    del slots[min(slots, key=lambda other: (0 if slots[other].is_done else 1, slots[other].at_ms, other))]


def hours_to_resolve(slot: Slot | None, action: EventKind, time_ms: int) -> int | None:
    """Return the hours that a ticket was open if this event resolves it, else None."""
    if (
        action is not EventKind.TICKET_RESOLVED
        or slot is None
        or slot.state == RESOLVED
        or slot.at_ms > time_ms
    ):
        return None
    return (time_ms - slot.at_ms) // HOUR_MS


def next_ticket(slot: Slot | None, action: EventKind, time_ms: int) -> Slot | None:
    """Return the slot of a ticket after an event."""
    match action:
        case EventKind.TICKET_OPENED | EventKind.TICKET_REOPENED:
            return Slot(OPEN, time_ms) if _begins(slot, time_ms) else slot
        case EventKind.TICKET_ESCALATED:
            return _escalated(slot, time_ms)
        case EventKind.TICKET_RESOLVED:
            return _resolved(slot, time_ms)
    return slot


def _begins(slot: Slot | None, time_ms: int) -> bool:
    """Tell whether an event of a ticket begins its life, or another one after it was resolved."""
    return slot is None or (slot.state == RESOLVED and slot.at_ms < time_ms)


def _escalated(slot: Slot | None, time_ms: int) -> Slot | None:
    if slot is not None and slot.state == OPEN:
        return Slot(ESCALATED, slot.at_ms)
    return Slot(ESCALATED, time_ms) if _begins(slot, time_ms) else slot


def _resolved(slot: Slot | None, time_ms: int) -> Slot:
    if slot is None:
        return Slot(RESOLVED, time_ms)
    if slot.state == RESOLVED:
        return slot.later(time_ms)
    return Slot(RESOLVED, time_ms) if slot.at_ms <= time_ms else slot


def next_payment(slot: Slot | None, status: EventKind, time_ms: int, due_ms: int) -> Slot | None:
    """Return the slot of a payment after an event; `due_ms` is the instant at which a `due` says it is due."""
    match status:
        case EventKind.PAYMENT_DUE:
            return Slot(DUE, due_ms) if slot is None or slot.state == DUE else slot
        case EventKind.PAYMENT_FAILED:
            return _towards(slot, FAILED, time_ms, over={DUE}, over_older={PAID, REVERSED})
        case EventKind.PAYMENT_REFUNDED | EventKind.PAYMENT_DISPUTED:
            return _towards(slot, REVERSED, time_ms, over={DUE, FAILED}, over_older={PAID})
        case EventKind.PAYMENT_SUCCEEDED:
            if slot is not None and slot.state in {FAILED, REVERSED}:
                return Slot(PAID, time_ms) if slot.at_ms <= time_ms else slot
            return _towards(slot, PAID, time_ms, over={DUE}, over_older=set())
    return slot


def _towards(slot: Slot | None, state: str, time_ms: int, *, over: set[str], over_older: set[str]) -> Slot:
    """Return a slot on the way to a state: over some states always, over others if they are older."""
    if slot is None or slot.state in over or (slot.state in over_older and slot.at_ms < time_ms):
        return Slot(state, time_ms)
    return slot.later(time_ms) if slot.state == state else slot
