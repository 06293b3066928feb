"""From a poll to processed events: offer, step until nothing more can be done, hold back what is too far on.

Everything runs on one event loop, in bounded steps with a pause after each, so heartbeats and commits go
on. One poll is worked off before the next one is taken: what waits, waits in the broker.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents.ownership import Holding, Ownership
    from agents.pace import CommitPace, Throttle
    from agents.polls import Poll, PolledChunk
    from agents.ports import ControlSource, DeliveryObserver
    from schemas.topics import Input

STEP_ROWS_MAX: Final = 5_000
QUEUED_ROWS_MAX: Final = 200_000
"""Rows of a worker that may wait for inputs that lag behind, shared out over its partitions ..."""
QUEUED_ROWS_MIN: Final = 20_000
"""... of which each may have at least so many: some fetches of each of its inputs."""
WAIT_MAX_S: Final = 5.0
WAIT_COUNTED_MAX_S: Final = 0.2
"""The longest that one pause between two polls counts as waiting: a stopped process has not waited."""
END_FORWARD_S: Final = 0.1
"""How often the ends of inputs without new records move the clock."""
THROTTLE_PAUSE_S: Final = 0.01


class HoleError(RuntimeError):
    """Records between two polls were lost on their way here. Going on would lose them for good: stop."""


class Drive:
    """Works polls off for the partitions that are owned."""

    def __init__(
        self,
        ownership: Ownership,
        pace: CommitPace,
        inputs: Mapping[str, Input],
        *,
        control: ControlSource,
        throttle: Throttle | None,
        observer: DeliveryObserver,
    ) -> None:
        self.accepting = False
        self.misplaced = False
        """An input is to be read on from elsewhere: a generation has to begin."""
        self.generation = 0
        self.held_back: frozenset[tuple[str, int]] = frozenset()
        """Topic partitions that are too far ahead to be read now; replaced as a whole."""
        self.alive_s = time.monotonic()
        """When work or a look for work last happened."""
        self.room = asyncio.Event()
        """Set when a commit has taken what was processed."""
        self.full = asyncio.Event()
        """Set when processing waits for a commit."""
        self._ownership, self._pace, self._inputs = ownership, pace, inputs
        self._control, self._throttle, self._observer = control, throttle, observer
        self._waited_s: dict[int, float] = {}
        self._answered_ms = 0
        self._ends_forwarded_s = 0.0

    @property
    def queued(self) -> int:
        """Rows that could be processed now."""
        ports = (holding.port for holding in self._ownership.holdings.values())
        return sum(port.queued for port in ports if not port.waiting)

    def begin_generation(self) -> int:
        """Refuse every poll that was made before the seek that follows."""
        self.generation += 1
        self.misplaced = False
        self.held_back = frozenset()
        self._waited_s.clear()
        return self.generation

    async def take(self, poll: Poll) -> None:
        """Process one poll as far as it can be.

        Raises:
            HoleError: a chunk does not continue where the last one of its input ended.
        """
        waited_s, self.alive_s = time.monotonic() - self.alive_s, time.monotonic()
        if not self.accepting or poll.generation != self.generation:
            self._observer.on_stale(sum(len(chunk.records.offsets) for chunk in poll.chunks))
            return
        touched = self._hear_control()
        if self.misplaced:  # what this poll says of places is not so any more
            return
        touched |= self._offer(poll)
        touched |= self._forward_ends(poll)
        touched |= self._count_waits(min(waited_s, WAIT_COUNTED_MAX_S), poll.answered_ms)
        await self._advance(touched)
        self._hold_back()
        self.alive_s = time.monotonic()

    def _hear_control(self) -> set[int]:
        """Let every partition take the control records that it has not taken."""
        heard = set()
        for number, holding in self._ownership.holdings.items():
            lines = self._control.after(holding.port.control_next)
            if not lines:
                continue
            heard.add(number)
            for topic, offset in holding.port.take_control(lines).items():
                holding.input_next[topic] = offset
                self.misplaced = True
        return heard

    def _offer(self, poll: Poll) -> set[int]:
        for chunk in poll.chunks:
            self._offer_chunk(chunk)
        return {chunk.partition for chunk in poll.chunks}

    def _offer_chunk(self, chunk: PolledChunk) -> None:
        topic = self._inputs[chunk.topic]
        holding = self._ownership.holdings[chunk.partition]
        expected = holding.input_next[topic]
        if chunk.start != expected:
            raise HoleError(
                f"{chunk.topic}[{chunk.partition}]: read up to {expected}, "
                f"and the next records begin at {chunk.start}"
            )
        holding.port.offer(topic, chunk.records)
        holding.input_next[topic] = chunk.end
        holding.offered_last[topic] = int(chunk.records.offsets[-1])
        self._pace.offered_bytes += chunk.value_bytes

    def _forward_ends(self, poll: Poll) -> set[int]:
        """Tell at once the ends that the poll's own records reached; all ends and the lag a few times a second."""
        arrived = {(chunk.topic, chunk.partition) for chunk in poll.chunks}
        all_of_them = self.alive_s - self._ends_forwarded_s >= END_FORWARD_S
        ends = [end for end in poll.ends if all_of_them or (end.topic, end.partition) in arrived]
        for end in ends:
            self._ownership.holdings[end.partition].port.end_reached(self._inputs[end.topic], end.at_ms)
        if all_of_them:
            self._ends_forwarded_s = self.alive_s
            self._observer.on_lag({self._inputs[topic]: records for topic, records in poll.lag.items()})
        return {end.partition for end in ends}

    def _count_waits(self, waited_s: float, answered_ms: int) -> set[int]:
        """Give up waits that lasted too long while this worker was idle and the broker answered."""
        answered = answered_ms != self._answered_ms
        self._answered_ms = answered_ms
        given_up = set()
        for number, holding in self._ownership.holdings.items():
            if not holding.port.waiting:
                self._waited_s.pop(number, None)
                continue
            waited = self._waited_s.get(number, 0.0) + (waited_s if answered else 0.0)
            self._waited_s[number] = waited
            if waited > WAIT_MAX_S:
                holding.port.give_up_waiting()
                self._observer.on_gave_up_waiting(number)
                del self._waited_s[number]
                given_up.add(number)
        return given_up

    async def _advance(self, partitions: set[int]) -> None:
        """Step the partitions in turn until none of them gets any further."""
        while partitions and self.accepting:
            further = set()
            for number in sorted(partitions):
                if await self._step(number):
                    further.add(number)
            partitions = further

    async def _step(self, number: int) -> bool:
        rows_max = await self._allowance()
        await self._room_for_more()
        if not self.accepting:
            return False
        port = self._ownership.holdings[number].port
        events = port.step(rows_max)
        self._pace.events += events
        self._pace.pending_bytes[number] = port.pending_bytes
        if self._throttle is not None:
            self._throttle.spend(events)
        self.alive_s = time.monotonic()
        await asyncio.sleep(0)
        return events > 0 or port.due_now()

    async def _allowance(self) -> int:
        if self._throttle is None:
            return STEP_ROWS_MAX
        while self.accepting:
            allowed = self._throttle.allowance(time.monotonic())
            if allowed:
                return min(allowed, STEP_ROWS_MAX)
            self.alive_s = time.monotonic()
            await asyncio.sleep(THROTTLE_PAUSE_S)
        return 0

    async def _room_for_more(self) -> None:
        while self._pace.full and self.accepting:
            self.room.clear()
            self.full.set()
            await self.room.wait()

    def _hold_back(self) -> None:
        """Stop reading the inputs of a partition that has too much, except those it has nothing of."""
        held = set()
        limit = max(QUEUED_ROWS_MIN, QUEUED_ROWS_MAX // max(1, len(self._ownership.holdings)))
        for number, holding in self._ownership.holdings.items():
            over, still_much = holding.port.queued >= limit, holding.port.queued >= limit // 2
            for name, topic in self._inputs.items():
                was_held = still_much and (name, number) in self.held_back
                if (over or was_held) and self._has_queued(holding, topic):
                    held.add((name, number))
        self.held_back = frozenset(held)

    @staticmethod
    def _has_queued(holding: Holding, topic: Input) -> bool:
        return holding.offered_last.get(topic, -1) > holding.port.position(topic)
