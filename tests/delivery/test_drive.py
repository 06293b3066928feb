"""From polls to steps: what is refused, what waits, what is held back. No broker: a scripted partition."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from faust.types import TP

import agents.drive
from agents.drive import QUEUED_ROWS_MAX, QUEUED_ROWS_MIN, STEP_ROWS_MAX, Drive, HoleError
from agents.ownership import Holding
from agents.pace import EVENTS_MAX, PENDING_BYTES_MAX, CommitPace, Throttle
from agents.polls import EndOfInput, Poll, PolledChunk
from agents.ports import NullObserver
from schemas.records import Chunk
from schemas.topics import Input
from streams.control import ControlLine
from tests.delivery.fold import FoldPartition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agents.ports import PartitionPort

LOGINS, TICKETS = "logins", "tickets"
INPUTS = {LOGINS: Input.LOGINS, TICKETS: Input.TICKETS}
AT_MS = 1_750_000_000_000


class WaitingPartition(FoldPartition):
    """Processes logins only while there are tickets, or after it gave up waiting for them."""

    @property
    def waiting(self) -> bool:  # type: ignore[override]
        return self.queued > 0 and not self.may_go

    @property
    def may_go(self) -> bool:
        return self.gave_up > 0 or any(topic is Input.TICKETS for topic, _, _ in self._queue)

    def step(self, rows_max: int) -> int:
        return super().step(rows_max) if self.may_go else 0


class Bottomless(CommitPace):
    """A transaction that is never full."""

    @property
    def full(self) -> bool:
        return False


class Watcher(NullObserver):
    def __init__(self) -> None:
        self.stale: list[int] = []
        self.gave_up: list[int] = []
        self.lag: list[dict[Input, int]] = []

    def on_lag(self, lag: Mapping[Input, int]) -> None:
        self.lag.append(dict(lag))

    def on_stale(self, rows: int) -> None:
        self.stale.append(rows)

    def on_gave_up_waiting(self, partition: int) -> None:
        self.gave_up.append(partition)


class Rig:
    """A drive over one partition, with polls in the making."""

    def __init__(
        self, port: PartitionPort, throttle: Throttle | None = None, pace: CommitPace | None = None
    ) -> None:
        holding = Holding(port)
        holding.input_next = {Input.LOGINS: 0, Input.TICKETS: 0}
        self.watcher, self.pace, self.holding = Watcher(), pace or CommitPace(100), holding
        self.ownership = cast("Any", SimpleNamespace(holdings={0: holding}))
        self.control: list[ControlLine] = []
        known = cast("Any", SimpleNamespace(after=lambda offset: self.control[offset:]))
        self.drive = Drive(
            self.ownership, self.pace, INPUTS, control=known, throttle=throttle, observer=self.watcher
        )
        self.drive.begin_generation()
        self.drive.accepting = True
        self._answered_ms = AT_MS

    def own(self, count: int) -> None:
        """Own partitions 0 to ``count`` - 1; those beside 0 stay empty."""
        self.ownership.holdings |= {number: Holding(FoldPartition(number)) for number in range(1, count)}

    async def poll(
        self,
        *chunks: PolledChunk,
        ends: tuple[EndOfInput, ...] = (),
        generation: int = 1,
        lag: dict[str, int] | None = None,
    ) -> None:
        self._answered_ms += 20
        await self.drive.take(
            Poll(generation, [*chunks], [*ends], self._answered_ms, lag or {}, TP(LOGINS, 0), 0)
        )


def chunk(topic: str, start: int, end: int, rows: int | None = None) -> PolledChunk:
    count = end - start if rows is None else rows
    offsets = np.arange(start, start + count, dtype=np.int64)
    records = Chunk([b"acme"] * count, [b"{}"] * count, offsets, np.full(count, AT_MS, np.int64))
    return PolledChunk(topic, 0, start, end, records, 2 * count)


async def test_chunks_that_continue_are_processed_and_markers_take_offsets_of_their_own() -> None:
    rig = Rig(port := FoldPartition(0))
    await rig.poll(chunk(LOGINS, 0, 11, rows=10), chunk(TICKETS, 0, 5))
    await rig.poll(chunk(LOGINS, 11, 20))
    assert port.counts[b"acme"] == [0, 19, 5, 0, 0]
    assert rig.holding.input_next == {Input.LOGINS: 20, Input.TICKETS: 5}
    assert rig.pace.events == 24


async def test_control_is_heard_before_the_records_of_a_poll_and_once() -> None:
    class Hearing(FoldPartition):
        def take_control(self, lines: Iterable[ControlLine]) -> dict[Input, int]:
            heard.append((self.queued, len(list(lines))))
            self.control_next = 1
            return {}

    heard: list[tuple[int, int]] = []
    rig = Rig(Hearing(0))
    rig.control = [ControlLine(0, b"pause:x", None)]
    await rig.poll(chunk(LOGINS, 0, 10))
    await rig.poll(chunk(LOGINS, 10, 20))
    assert heard == [(0, 1)]
    assert rig.pace.events == 20
    assert not rig.drive.misplaced


async def test_an_input_that_goes_on_is_sought_again_and_its_poll_dropped() -> None:
    class GoingOn(FoldPartition):
        def take_control(self, lines: Iterable[ControlLine]) -> dict[Input, int]:
            super().take_control(lines)
            return {Input.LOGINS: 7}

    rig = Rig(GoingOn(0))
    await rig.poll(chunk(LOGINS, 0, 10))
    rig.control = [ControlLine(0, b"resume_input:x", None)]
    await rig.poll(chunk(LOGINS, 10, 20), chunk(TICKETS, 0, 5))
    assert rig.drive.misplaced
    assert rig.holding.input_next == {Input.LOGINS: 7, Input.TICKETS: 0}
    rig.drive.begin_generation()
    assert not rig.drive.misplaced


@pytest.mark.parametrize("start", [9, 11], ids=["records came twice", "records were lost"])
async def test_a_chunk_that_does_not_continue_is_a_hole(start: int) -> None:
    rig = Rig(FoldPartition(0))
    await rig.poll(chunk(LOGINS, 0, 10))
    with pytest.raises(
        HoleError, match=rf"logins\[0\]: read up to 10, and the next records begin at {start}"
    ):
        await rig.poll(chunk(LOGINS, start, 20))


async def test_polls_of_an_older_generation_are_dropped_whole_and_counted() -> None:
    rig = Rig(port := FoldPartition(0))
    rig.drive.begin_generation()
    await rig.poll(chunk(LOGINS, 7, 10), ends=(EndOfInput(LOGINS, 0, AT_MS),), generation=1)
    assert (port.counts, port.ends_ms, rig.watcher.stale) == ({}, {}, [3])
    await rig.poll(chunk(LOGINS, 0, 10), generation=2)
    assert port.counts[b"acme"][Input.LOGINS] == 10


async def test_nothing_is_taken_while_partitions_are_given_up() -> None:
    rig = Rig(port := FoldPartition(0))
    rig.drive.accepting = False
    await rig.poll(chunk(LOGINS, 0, 10))
    assert (port.queued, rig.watcher.stale) == (0, [10])


async def test_an_end_is_told_after_the_records_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, int]] = []
    monkeypatch.setattr(
        FoldPartition, "offer", lambda _self, _topic, c: told.append(("rows", len(c.offsets)))
    )
    monkeypatch.setattr(
        FoldPartition, "end_reached", lambda _self, _topic, at_ms: told.append(("end", at_ms))
    )
    await Rig(FoldPartition(0)).poll(chunk(LOGINS, 0, 3), ends=(EndOfInput(LOGINS, 0, AT_MS),))
    assert told == [("rows", 3), ("end", AT_MS)]


async def test_what_lies_unread_is_told_a_few_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(FoldPartition(0))
    for unread in (30, 20):
        await rig.poll(chunk(LOGINS, 30 - unread, 40 - unread), lag={LOGINS: unread, TICKETS: 0})
    assert rig.watcher.lag == [{Input.LOGINS: 30, Input.TICKETS: 0}]
    monkeypatch.setattr(agents.drive, "END_FORWARD_S", 0.0)
    await rig.poll(lag={LOGINS: 0, TICKETS: 0})
    assert rig.watcher.lag[1:] == [{Input.LOGINS: 0, Input.TICKETS: 0}]


async def test_ends_without_records_are_told_a_few_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(port := FoldPartition(0))
    for at_ms in (AT_MS, AT_MS + 20, AT_MS + 40):
        await rig.poll(ends=(EndOfInput(TICKETS, 0, at_ms),))
    assert port.ends_ms == {Input.TICKETS: AT_MS}
    monkeypatch.setattr(agents.drive, "END_FORWARD_S", 0.0)
    await rig.poll(ends=(EndOfInput(TICKETS, 0, AT_MS + 60),))
    assert port.ends_ms == {Input.TICKETS: AT_MS + 60}


async def test_the_wait_for_a_lagging_input_is_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents.drive, "WAIT_MAX_S", 0.05)
    rig = Rig(port := WaitingPartition(0))
    await rig.poll(chunk(LOGINS, 0, 10))
    assert port.queued == 10
    await _poll_until(rig, lambda: port.gave_up == 1)
    assert (port.queued, rig.watcher.gave_up) == (0, [0])


async def test_no_wait_is_given_up_while_the_broker_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents.drive, "WAIT_MAX_S", 0.02)
    rig = Rig(port := WaitingPartition(0))
    await rig.poll(chunk(LOGINS, 0, 10))
    for _ in range(5):
        await asyncio.sleep(0.01)
        await rig.drive.take(Poll(1, [], [], rig._answered_ms, {}, TP(LOGINS, 0), 0))
    assert port.gave_up == 0


async def test_a_process_that_was_stopped_has_not_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents.drive, "WAIT_COUNTED_MAX_S", 0.001)
    monkeypatch.setattr(agents.drive, "WAIT_MAX_S", 0.02)
    rig = Rig(port := WaitingPartition(0))
    await rig.poll(chunk(LOGINS, 0, 10))
    await asyncio.sleep(0.05)
    await rig.poll()
    assert port.gave_up == 0


async def test_an_input_that_is_far_ahead_is_held_back_until_half_is_worked_off() -> None:
    """
    logins   ################  200,000 rows wait for tickets: held back
    tickets  .                 has nothing queued: goes on being read
    """
    rig = Rig(port := WaitingPartition(0), pace=Bottomless(100))
    await rig.poll(chunk(LOGINS, 0, QUEUED_ROWS_MAX - 1))
    assert rig.drive.held_back == frozenset()
    await rig.poll(chunk(LOGINS, QUEUED_ROWS_MAX - 1, QUEUED_ROWS_MAX))
    assert rig.drive.held_back == {TP(LOGINS, 0)}
    await rig.poll()
    assert rig.drive.held_back == {TP(LOGINS, 0)}
    await rig.poll(chunk(TICKETS, 0, 1))
    assert port.queued == 0
    assert rig.drive.held_back == frozenset()


async def test_processing_waits_for_a_commit_when_a_transaction_is_full() -> None:
    rig = Rig(port := FoldPartition(0))
    taking = asyncio.create_task(rig.poll(chunk(LOGINS, 0, 3 * EVENTS_MAX)))
    async with asyncio.timeout(10):
        await rig.drive.full.wait()
    assert rig.pace.events == EVENTS_MAX
    assert not taking.done()
    committing = asyncio.create_task(_commit_for_ever(rig))
    async with asyncio.timeout(10):
        await taking
    committing.cancel()
    assert port.counts[b"acme"][Input.LOGINS] == 3 * EVENTS_MAX


async def test_processing_waits_for_a_commit_when_rows_and_outputs_are_many() -> None:
    class Heavy(FoldPartition):
        pending_bytes = PENDING_BYTES_MAX

    rig = Rig(port := Heavy(0))
    taking = asyncio.create_task(rig.poll(chunk(LOGINS, 0, 2 * STEP_ROWS_MAX)))
    async with asyncio.timeout(10):
        await rig.drive.full.wait()
        assert port.queued == STEP_ROWS_MAX
        committing = asyncio.create_task(_commit_for_ever(rig))
        await taking
    committing.cancel()
    assert port.queued == 0


@pytest.mark.parametrize(("owned", "limit"), [(4, QUEUED_ROWS_MAX // 4), (40, QUEUED_ROWS_MIN)])
async def test_partitions_share_what_may_wait_down_to_a_floor(owned: int, limit: int) -> None:
    rig = Rig(WaitingPartition(0))
    rig.own(owned)
    await rig.poll(chunk(LOGINS, 0, limit - 1))
    assert rig.drive.held_back == frozenset()
    await rig.poll(chunk(LOGINS, limit - 1, limit))
    assert rig.drive.held_back == {TP(LOGINS, 0)}


async def test_giving_up_partitions_does_not_wait_for_room() -> None:
    rig = Rig(port := FoldPartition(0))
    taking = asyncio.create_task(rig.poll(chunk(LOGINS, 0, 3 * EVENTS_MAX)))
    async with asyncio.timeout(10):
        await rig.drive.full.wait()
        rig.drive.accepting = False
        rig.drive.room.set()
        await taking
    assert port.queued == 2 * EVENTS_MAX


async def test_the_throttle_holds_the_rate() -> None:
    rig = Rig(FoldPartition(0), Throttle(2_000))
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    await rig.poll(chunk(LOGINS, 0, 1_000))
    assert 0.35 <= loop.time() - started_s < 2.0


async def _commit_for_ever(rig: Rig) -> None:
    while True:
        await rig.drive.full.wait()
        rig.pace.drained()
        rig.drive.full.clear()
        rig.drive.room.set()


async def _poll_until(rig: Rig, reached: Any) -> None:
    async with asyncio.timeout(10):
        while not reached():
            await asyncio.sleep(0.005)
            await rig.poll()
