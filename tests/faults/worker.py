"""A worker process: the real ``Delivery`` with partitions of the real core, and in Faust's place its seams.

Of ``agents/batching.py`` the consumer thread runs as it is (generations, positions, polls, ends); what Faust does around it
(the group, the two queues, when it asks for positions) is done here in all the orders that it may take.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextvars import copy_context
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, NoReturn

from aiokafka.errors import (
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from faust.types import TP

import agents.delivery
from agents.batching import POLLS_QUEUED_MAX, PollScheduler, _ConsumerThread
from agents.clients import FetchLog
from agents.delivery import Delivery, WorkerSettings
from agents.ownership import TransactionFence
from agents.ports import NullObserver
from tests.faults.clients import SimulatedConsumer
from tests.faults.group import HEARTBEAT_S, Group, Joined
from tests.faults.loop import LANE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine
    from random import Random

    from agents.ownership import Holding
    from agents.polls import Poll
    from agents.ports import PartitionFactory
    from tests.faults.network import Network, Process

GROUP_COMMIT_S: Final = 2.0
HANGS_AFTER_S: Final = 1.0


class Watched(Delivery):
    """Keeps the reason why it ended."""

    reason: BaseException | None = None

    def die(self, error: BaseException) -> NoReturn:
        self.reason = error
        super().die(error)


class Watcher(NullObserver):
    """Counts what it hears."""

    def __init__(self) -> None:
        self.commits = self.fenced = self.stale = self.gave_up = 0

    def on_committed(self, commit: object) -> None:
        self.commits += 1

    def on_fenced(self, transactional_id: str) -> None:
        self.fenced += 1

    def on_stale(self, rows: int) -> None:
        self.stale += 1

    def on_gave_up_waiting(self, partition: int) -> None:
        self.gave_up += 1


class ConsumerThread:
    """Faust's consumer thread with the real methods of ours."""

    start_generation: Any = _ConsumerThread.start_generation
    _fetch_records: Any = _ConsumerThread._fetch_records
    _poll: Any = _ConsumerThread._poll

    def __init__(self, consumer: SimulatedConsumer, worker: Worker) -> None:
        self.generation = 0
        self.consumer, self.app = worker, SimpleNamespace(delivery=worker.delivery)
        self._consumer = consumer
        self._positions: dict[TP, int] = {}
        self._fetch_log = FetchLog(consumer)

    def _ensure_consumer(self) -> SimulatedConsumer:
        return self._consumer


class Worker:
    """One life of a worker."""

    def __init__(
        self,
        process: Process,
        settings: WorkerSettings,
        new_partition: PartitionFactory,
        *,
        group: Group,
        network: Network,
        chance: Random,
        watcher: Watcher,
    ) -> None:
        self.process, self.watcher = process, watcher
        self._flow = asyncio.Event()
        self.delivery = Watched(
            settings, new_partition, observer=watcher, fence=TransactionFence(settings.connection)
        )
        self._settings, self._group, self._network, self._chance = settings, group, network, chance
        self._polls: asyncio.Queue[Poll] = asyncio.Queue(POLLS_QUEUED_MAX)
        self._assigned: set[TP] = set()
        self._joined = Joined(-1, ())
        self._rejoin, self._leave = asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[Any]] = []

    @property
    def flow_active(self) -> bool:
        """Whether polls flow: not during a rebalance."""
        return self._flow.is_set()

    @property
    def transactional_id(self) -> str | None:
        """The id under which it writes; None before it has one."""
        ownership = getattr(self.delivery, "_ownership", None)
        return None if ownership is None else ownership._id

    def leave(self) -> None:
        """Stop on request, in order."""
        self._leave.set()
        self._rejoin.set()

    async def run(self) -> None:
        """Live until something ends it."""
        try:
            await self.delivery.start()
        except Exception as error:
            self.delivery.die(error)
            raise
        self._consumer = SimulatedConsumer(isolation_level=self._settings.isolation_level)
        self._thread = ConsumerThread(self._consumer, self)
        for work in (self._poll_for_ever(), self._take_for_ever(), self._commit_offsets_for_ever()):
            self._watch(asyncio.create_task(work))
        self._watch(self._start_in_thread(self._beat_for_ever()))
        membership = self._watch(asyncio.create_task(self._be_a_member()))
        await self._leave.wait()
        await self._or_die(self.delivery.stop())
        membership.cancel()
        await self._network.request("LeaveGroup", lambda: self._group.leave(self.process.name))
        if self._chance.random() < 0.8:
            await self.delivery.save()
        agents.delivery.leave(0)

    def owned(self) -> list[tuple[int, Holding]]:
        """Return the partitions that it has in the group's present generation, and processes."""
        if self._joined.generation != self._group.generation or not self.delivery.drive.accepting:
            return []
        return [*self.delivery._ownership.holdings.items()]

    def _watch(self, task: asyncio.Task[Any]) -> asyncio.Task[Any]:
        task.add_done_callback(self.delivery.die_of_task)
        return task

    def _start_in_thread(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        context = copy_context()
        context.run(LANE.set, self.process.thread)
        return asyncio.get_running_loop().create_task(work, context=context)

    async def _or_die(self, step: Awaitable[None]) -> None:
        try:
            await step
        except Exception as error:
            self.delivery.die(error)
            raise

    # -- the group ----------------------------------------------------------------------------------------------------

    async def _be_a_member(self) -> None:
        while True:
            await self._or_die(self.delivery.on_revoked())
            self._flow.clear()
            if self._chance.random() < 0.5:
                while not self._polls.empty():
                    self._polls.get_nowait()
            self._joined = Joined(-1, ())
            if self._chance.random() < 0.2:
                await asyncio.sleep(6 * self._chance.random())  # the others go on without it
            try:
                self._joined = await self._join()
            except UnknownMemberIdError:
                continue
            self._rejoin.clear()
            names = self.delivery.inputs
            self._assigned = {TP(topic, number) for number in self._joined.partitions for topic in names}
            self._begin_where_the_group_is()
            if self._chance.random() < 0.2:
                self._watch(asyncio.create_task(self._seek()))  # Faust, still busy with the last assignment
            await self._or_die(self.delivery.on_assigned(self._assigned))
            await asyncio.sleep(0.01 * self._chance.random())
            if self._chance.random() < 0.1:
                self._flow.set()
            await self._seek()
            self._flow.set()
            await self._rejoin.wait()

    async def _join(self) -> Joined:
        name = self.process.name
        joined: Joined = await self._network.request("JoinGroup", lambda: self._group.join(name))
        return joined

    def _begin_where_the_group_is(self) -> None:
        """aiokafka fetches from the group's offsets until Faust seeks."""
        self._consumer.assign(self._assigned)
        for tp in sorted(self._assigned):
            self._consumer.seek(tp, self._group.offsets.get(tp, 0))

    async def _seek(self) -> None:
        """As ``seek_to_committed`` of ``agents/batching.py``."""
        assigned = set(self._assigned)
        if not assigned:
            return
        earliest = await self._network.request("ListOffsets", lambda: dict.fromkeys(assigned, 0))
        hints = await self._network.request(
            "OffsetFetch",
            lambda: {tp: offset for tp, offset in self._group.offsets.items() if tp in assigned},
        )
        try:
            generation, starts = await self.delivery.start_positions(assigned, earliest, hints)
        except Exception as error:
            self.delivery.die(error)
            raise
        self._network.tell(f"{self.process.name} begins generation {generation} at {_offsets(starts)}")
        starts = {tp: offset for tp, offset in starts.items() if tp in self._assigned}
        await self._start_in_thread(self._thread.start_generation(generation, starts))

    async def _beat_for_ever(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            generation = self._joined.generation
            if generation < 0:
                continue
            try:
                await self._beat(generation)
            except (RebalanceInProgressError, UnknownMemberIdError, IllegalGenerationError):
                if generation == self._joined.generation:
                    self._rejoin.set()

    async def _beat(self, generation: int) -> None:
        name = self.process.name
        await self._network.request("Heartbeat", lambda: self._group.heartbeat(name, generation))

    async def _commit_offsets_for_ever(self) -> None:
        while True:
            await asyncio.sleep(GROUP_COMMIT_S * self._chance.random())
            offsets, generation = self.delivery.group_offsets(), self._joined.generation
            if offsets and generation >= 0:
                with contextlib.suppress(KafkaError):
                    await self._commit_offsets(generation, offsets)

    async def _commit_offsets(self, generation: int, offsets: dict[TP, int]) -> None:
        name = self.process.name
        await self._network.request("OffsetCommit", lambda: self._group.commit(name, generation, offsets))

    # -- polls --------------------------------------------------------------------------------------------------------

    async def _poll_for_ever(self) -> None:
        while True:
            if not self.flow_active or not self._assigned:
                await asyncio.sleep(0.02)
                continue
            fetch = self._thread._fetch_records(self._consumer, self._assigned, timeout=HANGS_AFTER_S)
            found = await self._start_in_thread(fetch)
            for _, carried in PollScheduler().iterate(found):
                await self._polls.put(carried.value)

    async def _take_for_ever(self) -> None:
        """Hand the polls to the worker; some lie in Faust's queues through a whole rebalance."""
        holds_back = self._chance.random() < 0.5
        while True:
            poll = await self._polls.get()
            if holds_back:
                await self._flow.wait()
            self._network.tell(f"{self.process.name} takes {_shown(poll)}")
            await self._or_die(self.delivery.take(poll))
            if self.delivery.misplaced:
                await self._seek()


def _shown(poll: Poll) -> str:
    chunks = " ".join(f"{chunk.topic}[{chunk.partition}] {chunk.start}-{chunk.end}" for chunk in poll.chunks)
    return f"a poll of generation {poll.generation}: {chunks}, {len(poll.ends)} ends"


def _offsets(starts: dict[TP, int]) -> str:
    return " ".join(f"{tp.topic}[{tp.partition}] {offset}" for tp, offset in sorted(starts.items()))
