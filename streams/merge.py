"""The inputs of a partition merged into one order, and the clock that follows from them.

The order is that of (running maximum of event times within the input, rank of the input, offset): it does not depend
on how fetches were cut. While an input may still have unread records, the others wait for it.

    logins       1----3------7            at its end: no bound
    page-visits  1--2--4--5------ ?       unread records: the next key is 5 or more
    taken        1 1 2 3 4 5              7 waits
"""

from __future__ import annotations

import struct
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from schemas.topics import Input
from streams.clock import ENDLESS_MS, NEVER_MS, Clock
from streams.events import EVENT_KEY, EVENT_OFFSET, EVENT_ROW, EVENT_TIME, Decoded, Reject, Taken, no_events

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

HALT_AFTER: Final = 100
"""Rejects in a row of one input that halt its partition."""
LAST_RANK: Final = len(Input)
POSITION: Final = b"\0pos:"
"""Followed by an input's rank: the key of its progress in the changelog."""
PROGRESS: Final = struct.Struct("<qqiB")
"""The value there."""


class Progress(NamedTuple):
    """How far an input is folded in: what a new owner must know to go on in the same order.

    ``run`` is the number of rejects in a row up to ``offset``; ``halted`` 1 if they halted the input.
    """

    offset: int = -1
    largest_ms: int = NEVER_MS
    run: int = 0
    halted: int = 0


def position_record(topic: Input, progress: Progress) -> tuple[bytes, bytes]:
    """Return the changelog record that says how far an input is folded in."""
    return POSITION + b"%d" % topic, PROGRESS.pack(*progress)


def read_position(key: bytes, value: bytes) -> tuple[Input, Progress]:
    """Return what such a record says."""
    return Input(int(key[len(POSITION) :])), Progress(*PROGRESS.unpack(value))


class InputQueue:
    """Decoded records of one input that wait for their turn."""

    def __init__(self, topic: Input, progress: Progress) -> None:
        self.topic = topic
        self.progress = progress
        self.offered = progress.offset
        self.ended_ms = NEVER_MS
        self.waited_for = True
        self.halting = bool(progress.halted)
        self.goes_on: dict[int, int] = {}
        """By offset of a reject that would halt the input: where it is read on instead."""
        self.queued = 0
        self._unhalted = -1
        self._largest_ms = progress.largest_ms
        self._run = progress.run
        self._blocks: deque[tuple[npt.NDArray[np.int64], list[str], dict[int, object]]] = deque()
        self._head = 0
        self._rejects: deque[Reject] = deque()
        self._strangers: deque[Reject] = deque()

    @property
    def offered_ms(self) -> int:
        """The largest key offered."""
        return self._largest_ms

    def raise_to(self, key: int) -> None:
        """Let all that is offered from now on have at least this key."""
        self._largest_ms = max(self._largest_ms, key)

    def offer(self, decoded: Decoded, last_offset: int) -> None:
        """Queue a decoded chunk whose last record had ``last_offset``."""
        if self.halting:
            return
        self.ended_ms, self.waited_for = NEVER_MS, True
        decoded = after(decoded, self.offered)
        while True:
            columns, rejects, last = self._halt_in_time(decoded, last_offset)
            self.offered = max(self.offered, last)
            self._queue(columns, rejects, decoded)
            if not self.go_on():
                return
            decoded = after(decoded, self.offered)

    def go_on(self) -> bool:
        """Lift the halt if it is known where the input is read on; return whether it was."""
        if not self.halting or self.offered not in self.goes_on:
            return False
        self._unhalted, self.offered = self.offered, self.goes_on[self.offered] - 1
        self._run, self.halting = 0, False
        self._settle(None)
        return True

    def _queue(self, columns: npt.NDArray[np.int64], rejects: Sequence[Reject], decoded: Decoded) -> None:
        self._rejects.extend(rejects)
        if len(columns):
            times = columns[:, EVENT_TIME]
            columns[:, EVENT_KEY] = np.maximum(np.maximum.accumulate(times), self._largest_ms)
            self._largest_ms = int(columns[-1, EVENT_KEY])
            self._blocks.append((columns, decoded.event_ids, decoded.facts))
            self._strangers.extend(
                each for each in decoded.strangers if each.offset <= columns[-1, EVENT_OFFSET]
            )
            self.queued += len(columns)
        self._settle(None)

    def _halt_in_time(self, decoded: Decoded, last: int) -> tuple[npt.NDArray[np.int64], list[Reject], int]:
        columns, rejects = decoded.columns, decoded.rejects
        if not rejects:
            self._run = 0 if len(columns) else self._run
            return columns, rejects, last
        offsets = columns[:, EVENT_OFFSET]
        previous = -1
        for count, reject in enumerate(rejects, 1):
            between = np.searchsorted(offsets, reject.offset) > np.searchsorted(offsets, previous)
            self._run = 1 if between else self._run + 1
            previous = reject.offset
            if self._run == HALT_AFTER:
                self.halting = True
                return columns[offsets < reject.offset], rejects[:count], reject.offset
        if len(offsets) and offsets[-1] > previous:
            self._run = 0
        return columns, rejects, last

    def end_reached(self, at_ms: int) -> None:
        """Hear that at wall time ``at_ms`` nothing lay beyond what was offered."""
        if not self.halting:
            self.ended_ms = at_ms

    @property
    def head_ms(self) -> int:
        """The key of the next event, or ``ENDLESS_MS``."""
        return int(self._blocks[0][0][self._head, EVENT_KEY]) if self._blocks else ENDLESS_MS

    @property
    def bound(self) -> tuple[int, int]:
        """The (key, rank) up to which other inputs need not wait for this one."""
        if not self.halting and (self.ended_ms != NEVER_MS or not self.waited_for):
            return ENDLESS_MS, LAST_RANK
        return self._largest_ms, int(self.topic)

    @property
    def frontier_ms(self) -> int:
        """The time up to which this input is known."""
        if not self.queued and self.ended_ms != NEVER_MS:
            return self.ended_ms
        return self.progress.largest_ms

    def ready(self, bound: tuple[int, int], rows_max: int) -> list[npt.NDArray[np.int64]]:
        """Return the columns of up to ``rows_max`` events within ``bound``, without removing them."""
        side = "right" if self.topic <= bound[1] else "left"
        found, head, left = [], self._head, rows_max
        for columns, _, _ in self._blocks:
            part = columns[head : head + left]
            count = int(np.searchsorted(part[:, EVENT_KEY], bound[0], side=side))  # type: ignore[call-overload]
            found.append(part[:count])
            left -= count
            if count < len(part) or not left:
                break
            head = 0
        return found

    def remove(self, count: int) -> tuple[list[str], dict[int, object]]:
        """Remove the first ``count`` events; return their ids, and their facts by index among them."""
        event_ids: list[str] = []
        facts: dict[int, object] = {}
        last = None
        while len(event_ids) < count:
            columns, ids, told = self._blocks[0]
            end = min(len(columns), self._head + count - len(event_ids))
            if told:
                facts |= {
                    len(event_ids) + i - self._head: told[i] for i in range(self._head, end) if i in told
                }
            event_ids += ids[self._head : end]
            last = columns[end - 1]
            self._head = end
            if end == len(columns):
                self._blocks.popleft()
                self._head = 0
        self.queued -= count
        self._settle(last)
        return event_ids, facts

    def _settle(self, last: npt.NDArray[np.int64] | None) -> None:
        offset = int(self._blocks[0][0][self._head, EVENT_OFFSET]) - 1 if self._blocks else self.offered
        largest = self.progress.largest_ms if last is None else int(last[EVENT_KEY])
        floor = -1 if last is None else int(last[EVENT_OFFSET])
        floor = max(floor, self._unhalted)
        passed = sum(floor < reject.offset <= offset for reject in self._rejects)
        run = passed if last is not None else self._new_run(offset)
        halted = int(self.halting and not self._blocks)
        self.progress = Progress(offset, largest, run, halted)

    def _new_run(self, offset: int) -> int:
        before, run = self.progress.offset, self.progress.run
        if before <= self._unhalted <= offset:
            before, run = self._unhalted, 0
        return run + sum(before < r.offset <= offset for r in self._rejects)

    def passed_rejects(self) -> list[Reject]:
        """Remove and return the rejects up to the present position."""
        return self._passed(self._rejects)

    def passed_strangers(self) -> list[Reject]:
        """Remove and return the records up to the present position of accounts that were not there as they were read."""
        return self._passed(self._strangers)

    def _passed(self, waiting: deque[Reject]) -> list[Reject]:
        passed = []
        while waiting and waiting[0].offset <= self.progress.offset:
            passed.append(waiting.popleft())
        return passed

    @property
    def rows(self) -> set[int]:
        """The rows of the queued events."""
        return {row for columns, _, _ in self._blocks for row in np.unique(columns[:, EVENT_ROW]).tolist()}


def after(decoded: Decoded, offset: int) -> Decoded:
    """Return what was decoded of the records behind an offset."""
    first = int(np.searchsorted(decoded.columns[:, EVENT_OFFSET], offset, side="right"))
    rejects = [reject for reject in decoded.rejects if reject.offset > offset]
    strangers = [each for each in decoded.strangers if each.offset > offset]
    if first == 0 and len(rejects) == len(decoded.rejects):
        return decoded
    facts = {i - first: told for i, told in decoded.facts.items() if i >= first}
    return decoded._replace(
        columns=decoded.columns[first:], event_ids=decoded.event_ids[first:], facts=facts, rejects=rejects,
        strangers=strangers,
    )  # fmt: skip


class Merge:
    """The five inputs of one partition."""

    def __init__(self, grace_ms: int) -> None:
        self.queues = {topic: InputQueue(topic, Progress()) for topic in Input}
        self.clock_ms = NEVER_MS
        self.until_ms = ENDLESS_MS
        self.stop_ms = ENDLESS_MS
        """Events with this key or a greater one wait, and so does the clock, until ``stop_ms`` is moved."""
        self.grace_ms = grace_ms

    def restore(self, topic: Input, progress: Progress) -> None:
        """Go on where an earlier owner had come to."""
        goes_on = self.queues[topic].goes_on
        self.queues[topic] = InputQueue(topic, progress)
        self.queues[topic].goes_on = goes_on

    @property
    def offered_ms(self) -> int:
        """The largest key offered."""
        return max(queue.offered_ms for queue in self.queues.values())

    def has_come_to_stop(self) -> bool:
        """Tell whether all before ``stop_ms`` has been taken, and an event or the clock is at it."""
        if self.stop_ms > self.until_ms or any(
            queue.head_ms < self.stop_ms for queue in self.queues.values()
        ):
            return False
        if any(queue.bound[0] < self.stop_ms for queue in self.queues.values()):
            return False
        frontier = min(queue.frontier_ms for queue in self.queues.values())
        return self.queued > 0 or self.stop_ms + self.grace_ms <= frontier < ENDLESS_MS

    @property
    def queued(self) -> int:
        """Events offered and not yet taken."""
        return sum(queue.queued for queue in self.queues.values())

    def awaited_rows(self) -> set[int]:
        """Return the rows of all queued events."""
        return set().union(*(queue.rows for queue in self.queues.values()))

    @property
    def largest_ms(self) -> int:
        """The largest key taken so far."""
        return max(queue.progress.largest_ms for queue in self.queues.values())

    @property
    def bound(self) -> tuple[int, int]:
        """The (key, rank) up to which the order is known."""
        last = min(self.until_ms, self.stop_ms - 1)
        return min((last, LAST_RANK), *(queue.bound for queue in self.queues.values()))

    @property
    def waiting(self) -> bool:
        """Whether queued events wait for an input that has unread records."""
        bound = self.bound
        return self.queued > 0 and not any(
            len(found[0]) for queue in self.queues.values() if (found := queue.ready(bound, 1))
        )

    def lagging(self) -> list[Input]:
        """Return the inputs that the others wait for."""
        bound = self.bound
        return [topic for topic, queue in self.queues.items() if queue.bound == bound and not queue.halting]

    def give_up_waiting(self) -> None:
        """Take without the inputs that are awaited, until they deliver again."""
        for topic in self.lagging():
            self.queues[topic].waited_for = False

    def take(self, rows_max: int) -> Taken:
        """Remove up to ``rows_max`` events whose place in the order is known.

        The clock is moved up to the first of them; whoever takes them moves it on (``streams/clock.py``).
        """
        self._move_clock(queue.frontier_ms for queue in self.queues.values())
        bound, clock = self.bound, self.clock()
        ready = {topic: queue.ready(bound, rows_max) for topic, queue in self.queues.items() if queue.queued}
        parts = [part for found in ready.values() for part in found if len(part)]
        columns = np.concatenate(parts) if parts else no_events()
        order = np.argsort(columns[:, EVENT_KEY], kind="stable")[:rows_max]
        event_ids: list[str] = []
        facts: dict[int, object] = {}
        start = 0
        for topic, found in ready.items():
            offered = sum(map(len, found))
            count = int(((order >= start) & (order < start + offered)).sum())
            if count:
                ids, told = self.queues[topic].remove(count)
                facts |= {start + i: fact for i, fact in told.items()}
                event_ids += ids
            event_ids += [""] * (offered - count)
            start += offered
        told_at = [(j, facts[i]) for j, i in enumerate(order.tolist()) if i in facts] if facts else []
        strangers = {
            (int(topic), each.offset): each
            for topic in ready
            for each in self.queues[topic].passed_strangers()
        }
        return Taken(columns[order], event_ids, order, told_at, self._rejects(), clock, strangers)

    def _rejects(self) -> list[tuple[Input, Reject]]:
        return [(topic, reject) for topic, queue in self.queues.items() for reject in queue.passed_rejects()]

    def clock(self) -> Clock:
        """Return the clock and what moves it, as they are before the next event."""
        inputs = np.array(
            [
                [self._stopped(queue.frontier_ms), queue.queued, self._stopped(queue.ended_ms)]
                for queue in self.queues.values()
            ],
            np.int64,
        )
        return Clock(np.array([self.clock_ms], np.int64), inputs)

    def _stopped(self, frontier_ms: int) -> int:
        """Return a frontier that does not move the clock to ``stop_ms``."""
        return (
            frontier_ms if frontier_ms >= ENDLESS_MS else min(frontier_ms, self.stop_ms - 1 + self.grace_ms)
        )

    def _move_clock(self, frontiers: Iterable[int]) -> None:
        frontier = min(map(self._stopped, frontiers))
        if NEVER_MS < frontier < ENDLESS_MS:
            self.clock_ms = max(self.clock_ms, frontier - self.grace_ms)

    def come_to_stop(self) -> None:
        """Move the clock as near to ``stop_ms`` as the inputs are known to have come."""
        queues = self.queues.values()
        self._move_clock(self.stop_ms if queue.queued else queue.frontier_ms for queue in queues)
