"""Accepted events as columns: one row of int64 per event, and beside it what only Python needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from schemas.reasons import RejectReason

if TYPE_CHECKING:
    import numpy.typing as npt

    from schemas.reasons import EventNote
    from schemas.topics import Input
    from streams.clock import Clock

(
    EVENT_KEY,
    EVENT_TIME,
    EVENT_OFFSET,
    EVENT_ROW,
    EVENT_MASK,
    EVENT_INPUT,
    EVENT_HASH,
    EVENT_NATURAL,
    EVENT_KIND,
    EVENT_USER,
    EVENT_THING,
    EVENT_DUE,
    EVENT_AMOUNT,
    EVENT_DETAIL,
    EVENT_COLUMNS,
) = range(15)
"""Key is the running maximum of times within the input; hashes are 64-bit, NATURAL is 0 where there is none.

USER is a user's bucket; THING the hash of the ticket or payment; DUE when a payment is due; AMOUNT in minor units; DETAIL a
ticket event's CSAT, a payment's currency as a number (0: none), or 1 of facts that erase. ABSENT stands for no user, due
instant or amount.
"""
ABSENT: Final = -1
NO_ROW: Final = -1
"""Row of an event that is not applied: a duplicate, or of an erased account."""
REFUSED: Final = -2
"""Less the row of its account: row of an event that would have begun one account too many."""


class Reject(NamedTuple):
    """A record that could not be judged: where it was, why, and its untouched bytes."""

    offset: int
    reason: RejectReason
    key: bytes | None
    value: bytes | None
    detail: str


def refusal(offset: int, key: bytes | None, value: bytes | None) -> Reject:
    """Return the reject of a record whose account would be one too many."""
    detail = "the partition has as many accounts as accounts_max of the policy allows; raise it, or stop who makes up ids"
    return Reject(offset, RejectReason.TOO_MANY_ACCOUNTS, key, value, detail)


class Decoded(NamedTuple):
    """One decoded chunk of one input, in offset order.

    ``columns`` (events, EVENT_COLUMNS) int64 without keys yet; ``event_ids`` one per event; ``facts`` maps an index
    into the columns to the decoded facts event, but of one that erases; ``notes`` counts what is remarkable; ``strangers``
    are the records of accounts that are not there, as they would be refused, in offset order.
    """

    columns: npt.NDArray[np.int64]
    event_ids: list[str]
    facts: dict[int, object]
    rejects: list[Reject]
    notes: dict[EventNote, int]
    strangers: list[Reject]


def no_events() -> npt.NDArray[np.int64]:
    """Return columns without events."""
    return np.zeros((0, EVENT_COLUMNS), np.int64)


class Taken(NamedTuple):
    """Events in merge order with the clock before the first, what only Python needs, and the rejects passed."""

    columns: npt.NDArray[np.int64]
    event_ids: list[str]
    """By input, as they were queued, an empty one of each that was not taken: ``event_id`` finds that of an event."""
    order: npt.NDArray[np.int64]
    """Of each event the index of its id."""
    facts: list[tuple[int, object]]
    rejects: list[tuple[Input, Reject]]
    clock: Clock
    strangers: dict[tuple[int, int], Reject]
    """By input and offset the records of accounts that were not there as they were read."""

    def event_id(self, event: int) -> str:
        """Return the id of an event by its index in merge order."""
        return self.event_ids[int(self.order[event])]


def nothing_taken(clock: Clock) -> Taken:
    """Return no events at all, at a clock."""
    return Taken(no_events(), [], np.zeros(0, np.int64), [], [], clock, {})
