"""A producer and a consumer as the worker asks aiokafka for them, over the simulated network.

They stand in for ``AIOKafkaProducer`` and ``AIOKafkaConsumer`` in ``agents/clients.py``, down to the private names that
``agents/clients.py`` and ``agents/batching.py`` use. ``test_contract.py`` holds both to the same assertions.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka.errors import ConcurrentTransactions, IllegalOperation, ProducerFenced
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from tests.faults.broker import Broker, Fetched, Producing, Stored

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from random import Random

    from agents.record_batch import RecordBatch
    from tests.faults.network import Network

FETCH_WAIT_S: Final = 0.2
BUSY_S: Final = 0.01
LOST_S: Final = 60.0


class Cluster(NamedTuple):
    """Where clients of this context connect to, and the chance that cuts their fetches."""

    broker: Broker
    network: Network
    chance: Random


CLUSTER: ContextVar[Cluster] = ContextVar("cluster")


class Client:
    """The part of ``AIOKafkaClient`` that is wrapped by name."""

    async def coordinator_lookup(self, kind: object, key: object) -> int:
        return 0

    async def send(self, node_id: int, request: object) -> object:
        raise AssertionError("the simulated producer sends its batches itself")

    async def _metadata_update(self, cluster: object, topics: object) -> bool:
        return True


# -- producing --------------------------------------------------------------------------------------------------------


class Builder:
    """A batch in the making."""

    def __init__(self, bytes_max: int) -> None:
        self.rows: list[Stored] = []
        self._bytes_max, self._size = bytes_max, 61

    def append(
        self, *, timestamp: int, key: bytes | None, value: bytes | None, headers: Any = ()
    ) -> object | None:
        row = Stored(-1, timestamp, key, value, tuple(headers))
        if self.rows and self._size + row.size > self._bytes_max:
            return None
        self.rows.append(row)
        self._size += row.size
        return row

    def close(self) -> None:
        """A closed batch takes nothing more; nobody tries."""

    def size(self) -> int:
        return self._size

    def record_count(self) -> int:
        return len(self.rows)


class Metadata(NamedTuple):
    """What is known of a batch that was written."""

    topic: str
    partition: int
    offset: int


def _read(batch: RecordBatch) -> list[Stored]:
    """Return the records of a batch that is bytes already, as aiokafka reads them."""
    read = MemoryRecords(bytes(batch._build())).next_batch()
    assert read is not None
    assert read.validate_crc()
    return [Stored(-1, r.timestamp, r.key, r.value, tuple(r.headers)) for r in read]


class _Batch(NamedTuple):
    partition: TopicPartition
    rows: list[Stored]
    sequence: int
    acknowledged: asyncio.Future[Metadata]


class SimulatedProducer:
    """One transactional producer; batches of a partition go out one after another, and are tried until they are in."""

    def __init__(self, *, transactional_id: str, max_batch_size: int, **_options: Any) -> None:
        self.client = Client()
        self._id, self._batch_bytes_max = transactional_id, max_batch_size
        self._cluster = CLUSTER.get()
        self._who: Producing
        self._added: set[TopicPartition] = set()
        self._batches: list[_Batch] = []
        self._sequence = 0
        self._is_open = self._failed = False
        self._fatal: BaseException | None = None
        self._sending: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    async def start(self) -> None:
        broker = self._cluster.broker
        while True:
            with contextlib.suppress(ConcurrentTransactions):
                self._who = await self._ask(
                    "InitProducerId", lambda: broker.init_producer(self._id), self._id
                )
                break
            await asyncio.sleep(BUSY_S)

    async def stop(self) -> None:
        if self._sending is not None:
            self._sending.cancel()

    async def begin_transaction(self) -> None:
        self._raise_if_fatal()
        if self._is_open and self._failed:
            raise IllegalOperation("the transaction failed, and was not aborted")
        assert not self._is_open, "a transaction is open"
        self._is_open = True
        self._added = set()

    def create_batch(self) -> Builder:
        return Builder(self._batch_bytes_max)

    async def send_batch(
        self, batch: Builder | RecordBatch, topic: str, *, partition: int
    ) -> asyncio.Future[Metadata]:
        self._raise_if_fatal()
        assert self._is_open, "no transaction is open"
        self._sequence += 1
        acknowledged = asyncio.get_running_loop().create_future()
        tp = TopicPartition(topic, partition)
        rows = batch.rows if isinstance(batch, Builder) else _read(batch)
        self._batches.append(_Batch(tp, rows, self._sequence, acknowledged))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_for_ever())
        self._wake.set()
        return acknowledged

    async def commit_transaction(self) -> None:
        """Commit what the broker took, once every batch has had its answer, good or bad: as aiokafka does."""
        await self._end(commit=True)

    async def abort_transaction(self) -> None:
        await self._end(commit=False)

    async def _end(self, *, commit: bool) -> None:
        self._raise_if_fatal()
        assert self._is_open, "no transaction is open"
        pending = [batch.acknowledged for batch in self._batches]
        if pending:
            await asyncio.wait(pending)
        self._raise_if_fatal()
        broker, who = self._cluster.broker, self._who
        if self._added:
            what = "commit" if commit else "abort"
            await self._ask("EndTxn", lambda: broker.end_transaction(who, commit=commit), what)
        self._is_open = False

    async def _send_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._batches:
                await self._send_some()

    async def _send_some(self) -> None:
        """Send the first batch of each partition; then they have their answers."""
        firsts: dict[TopicPartition, _Batch] = {}
        for batch in self._batches:
            firsts.setdefault(batch.partition, batch)
        try:
            await self._add(firsts.keys() - self._added)
        except Exception as error:  # noqa: BLE001 - whoever awaits a batch hears of it
            self._fail(error)
            return
        await asyncio.gather(*(self._produce(batch) for batch in firsts.values()))
        gone = {batch.sequence for batch in firsts.values()}
        self._batches = [batch for batch in self._batches if batch.sequence not in gone]

    async def _add(self, partitions: Collection[TopicPartition]) -> None:
        if not partitions:
            return
        broker, who, now_s = self._cluster.broker, self._who, asyncio.get_running_loop().time()
        named = sorted(partitions)
        while True:
            with contextlib.suppress(ConcurrentTransactions):
                await self._ask("AddPartitionsToTxn", lambda: broker.add_partitions(who, named, now_s))
                break
            await asyncio.sleep(BUSY_S)
        self._added |= set(partitions)

    async def _produce(self, batch: _Batch) -> None:
        broker, who = self._cluster.broker, self._who
        tp = batch.partition
        try:
            first = await self._ask(
                "Produce",
                lambda: broker.produce(who, tp, batch.rows, batch.sequence),
                f"{tp.topic}[{tp.partition}] {len(batch.rows)}",
            )
        except ProducerFenced as error:
            self._fatal = error
            batch.acknowledged.set_exception(error)
        except Exception as error:  # noqa: BLE001 - likewise
            self._failed = True
            batch.acknowledged.set_exception(error)
        else:
            batch.acknowledged.set_result(Metadata(tp.topic, tp.partition, first))
        batch.acknowledged.add_done_callback(_heard)

    async def _ask(self, what: str, apply: Any, detail: str = "") -> Any:
        try:
            return await self._cluster.network.request(what, apply, detail)
        except ConcurrentTransactions:
            raise
        except Exception as error:
            if what != "Produce":
                self._fatal = error
            raise

    def _fail(self, error: BaseException) -> None:
        self._fatal = error
        for batch in self._batches:
            batch.acknowledged.set_exception(error)
            _heard(batch.acknowledged)
        self._batches = []

    def _raise_if_fatal(self) -> None:
        if self._fatal is not None:
            raise self._fatal


def _heard(future: asyncio.Future[Metadata]) -> None:
    """Look at the exception, so that nobody complains about what the worker did not await."""
    future.exception()


# -- consuming --------------------------------------------------------------------------------------------------------


class PartitionState:
    """Where a consumer is in a partition, and what the latest answer said of its ends."""

    def __init__(self) -> None:
        self.at: int | None = None
        self.highwater: int | None = None
        self.lso: int | None = None
        self.timestamp: int | None = None

    @property
    def has_valid_position(self) -> bool:
        return self.at is not None

    @property
    def position(self) -> int:
        assert self.at is not None
        return self.at


class Assignment:
    """The partitions of a consumer, until the next assignment."""

    def __init__(self, tps: Collection[TopicPartition]) -> None:
        self.tps = frozenset(tps)
        self.active = True
        self._states = {tp: PartitionState() for tp in sorted(tps)}

    def state_value(self, tp: TopicPartition) -> PartitionState | None:
        return self._states.get(tp)

    def positions(self) -> Iterator[tuple[TopicPartition, int]]:
        for tp, state in self._states.items():
            if state.at is not None:
                yield tp, state.at


class Subscriptions:
    """``SubscriptionState`` as far as a poll looks into it."""

    def __init__(self) -> None:
        self.assignment = Assignment(())

    @property
    def subscription(self) -> Subscriptions:
        return self

    def fetch_context(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


class FetchRequest(NamedTuple):
    """The part of the protocol's request that is looked at."""

    topics: list[tuple[str, list[tuple[int, int]]]]


class Fetcher:
    """Fetches ahead: one request on its way, for the partitions whose records were all taken."""

    def __init__(self, cluster: Cluster, subscriptions: Subscriptions, *, committed: bool) -> None:
        self._cluster, self._subscriptions, self.committed = cluster, subscriptions, committed
        self._records: dict[TopicPartition, tuple[Assignment, int, Fetched]] = {}
        self._arrived, self._wake = asyncio.Event(), asyncio.Event()
        self._fetching: asyncio.Task[None] | None = None
        self._closed = False

    def restart(self) -> None:
        """Forget the request on its way: the assignment is another."""
        self.close()
        self._closed = False
        self._records.clear()
        self._fetching = asyncio.create_task(self._fetch_for_ever())

    def wake(self) -> None:
        self._wake.set()

    def close(self) -> None:
        self._closed = True
        if self._fetching is not None:
            self._fetching.cancel()

    async def _fetch_for_ever(self) -> None:
        assignment = self._subscriptions.assignment
        while True:
            wanted = [(tp, at) for tp, at in assignment.positions() if tp not in self._records]
            if not wanted:
                self._wake.clear()
                await self._wake.wait()
                continue
            topics: dict[str, list[tuple[int, int]]] = {}
            for tp, at in wanted:
                topics.setdefault(tp.topic, []).append((tp.partition, at))
            await self._proc_fetch_request(assignment, 0, FetchRequest([*topics.items()]))

    async def _proc_fetch_request(self, assignment: Assignment, node_id: int, request: FetchRequest) -> bool:
        asked = {TopicPartition(topic, number): at for topic, parts in request.topics for number, at in parts}
        answer = await self._cluster.network.request("Fetch", lambda: self._answer(asked))
        if not assignment.active:
            return False
        for tp, fetched in answer.found.items():
            state = assignment.state_value(tp)
            if state is None or state.at != asked[tp]:
                continue
            state.highwater, state.lso = fetched.high_watermark, fetched.last_stable
            state.timestamp = round(1000 * asyncio.get_running_loop().time())
            if fetched.next_offset > asked[tp]:
                self._records[tp] = (assignment, asked[tp], fetched)
        self._arrived.set()
        return True

    def _answer(self, asked: Mapping[TopicPartition, int]) -> Any:
        """Answer at once if there is anything, else after a wait."""
        if self._look(asked, whole=True).has_news(asked):
            return self._look(asked)
        later = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(FETCH_WAIT_S, lambda: later.set_result(self._look(asked)))
        return later

    def _look(self, asked: Mapping[TopicPartition, int], *, whole: bool = False) -> FetchAnswer:
        """Look at each partition; what is there is cut anywhere, or left out, as by a limit of bytes."""
        chance, broker = self._cluster.chance, self._cluster.broker
        limit = self._cluster.network.weather.fetch_entries_max
        return FetchAnswer(
            {
                tp: broker.logs[tp].read(
                    at, limit if whole else int(limit * chance.random() ** 2 * 1.2), committed=self.committed
                )
                for tp, at in asked.items()
            }
        )

    async def fetched_records(
        self,
        wanted: Collection[TopicPartition],
        timeout: float = 0.0,
        max_records: int | None = None,
    ) -> dict[TopicPartition, list[Stored]]:
        """Take what was fetched; with nothing there, wait for an answer."""
        drained = self._drain(wanted, max_records or 1 << 30)
        if not drained and timeout > 0:
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._arrived.wait()
            drained = self._drain(wanted, max_records or 1 << 30)
        return drained

    def _drain(self, wanted: Collection[TopicPartition], left: int) -> dict[TopicPartition, list[Stored]]:
        drained: dict[TopicPartition, list[Stored]] = {}
        for tp in [tp for tp in self._records if tp in wanted]:
            assignment, at, fetched = self._records.pop(tp)
            state = assignment.state_value(tp)
            if not assignment.active or state is None or state.at != at:
                continue
            taken, rest = fetched.records[:left], fetched.records[left:]
            left -= len(taken)
            state.at = rest[0].offset if rest else fetched.next_offset
            if rest:
                self._records[tp] = (assignment, state.at, fetched._replace(records=rest))
            if taken:
                drained[tp] = taken
        self._wake.set()
        return drained


class FetchAnswer(NamedTuple):
    """What a fetch says, by partition; short in a trace."""

    found: dict[TopicPartition, Fetched]

    def has_news(self, asked: Mapping[TopicPartition, int]) -> bool:
        return any(fetched.next_offset > asked[tp] for tp, fetched in self.found.items())

    def __str__(self) -> str:
        return " ".join(
            f"{tp.topic}[{tp.partition}]..{fetched.next_offset}/{fetched.last_stable}/{fetched.high_watermark}"
            for tp, fetched in self.found.items()
            if fetched.records
        )


class SimulatedConsumer:
    """A consumer of assigned partitions."""

    def __init__(self, *, isolation_level: str, **_options: Any) -> None:
        self._cluster = CLUSTER.get()
        self._client = Client()
        self._subscription = Subscriptions()
        committed = isolation_level == "read_committed"
        self._fetcher = Fetcher(self._cluster, self._subscription, committed=committed)
        self._closed = False

    async def start(self) -> None:
        """There is nothing to connect."""

    async def stop(self) -> None:
        self._closed = True
        self._fetcher.close()

    def assign(self, tps: Collection[TopicPartition]) -> None:
        self._subscription.assignment.active = False
        self._subscription.assignment = Assignment(tps)
        self._fetcher.restart()

    def seek(self, tp: TopicPartition, offset: int) -> None:
        state = self._subscription.assignment.state_value(TopicPartition(*tp))
        assert state is not None, f"{tp} is not assigned"
        state.at = offset
        self._fetcher.wake()

    async def position(self, tp: TopicPartition) -> int:
        state = self._subscription.assignment.state_value(tp)
        assert state is not None, f"{tp} is not assigned"
        return state.position

    async def getmany(self, *tps: TopicPartition, timeout_ms: int = 0) -> dict[TopicPartition, list[Stored]]:
        wanted = tps or self._subscription.assignment.tps
        return await self._fetcher.fetched_records(wanted, timeout_ms / 1000)

    async def end_offsets(self, tps: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the last stable offsets for a committed reader, else the high watermarks."""
        logs, committed = self._cluster.broker.logs, self._fetcher.committed
        answer = await self._cluster.network.request(
            "ListOffsets",
            lambda: {tp: logs[tp].last_stable if committed else logs[tp].high_watermark for tp in tps},
        )
        return dict(answer)
