"""What the simulated broker and its clients promise, held to the same assertions as a real Kafka with the real clients."""

from __future__ import annotations

import asyncio
import gc
import uuid
from contextvars import copy_context
from random import Random
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import pytest
from aiokafka.errors import MessageSizeTooLargeError, ProducerFenced
from aiokafka.structs import TopicPartition
from confluent_kafka.admin import NewTopic

import agents.clients
from agents.changelog import ChangelogReader
from agents.clients import BATCH_BYTES, Connection, changelog_consumer, transactional_producer
from tests.faults.broker import Broker
from tests.faults.clients import CLUSTER, Cluster, SimulatedConsumer, SimulatedProducer
from tests.faults.loop import LANE, SimulatedLoop
from tests.faults.network import PROCESS, Network, Process

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

    Scenario = Callable[["Clients"], Awaitable[None]]

COMMITTED: Final = "read_committed"
UNCOMMITTED: Final = "read_uncommitted"
LIMIT: Final = 1 << 20


class Clients:
    """The worker's clients on a topic of two partitions, with names of its own."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.connection, self.topic = Connection(bootstrap), topic
        self.tp = TopicPartition(topic, 0)
        self._started: list[Any] = []

    async def producer(self, name: str) -> AIOKafkaProducer:
        started = await transactional_producer(self.connection, f"{self.topic}-{name}")
        self._started.append(started)
        return started

    async def reader(self, isolation: str, start: int = 0) -> AIOKafkaConsumer:
        started = await changelog_consumer(self.connection, isolation)
        self._started.append(started)
        started.assign([self.tp])
        started.seek(self.tp, start)
        return started

    async def ends(self) -> tuple[int, int]:
        """Return the last stable offset and the high watermark."""
        async with ChangelogReader(self.connection, self.topic) as changelog:
            return (await changelog.stable_ends([0]))[0], (await changelog.high_watermarks([0]))[0]

    async def read(self, isolation: str, end: int) -> list[bytes]:
        """Read from the beginning until the position is at the end."""
        consumer, values = await self.reader(isolation), []
        while await consumer.position(self.tp) < end:
            for records in (await consumer.getmany(self.tp, timeout_ms=200)).values():
                values += [record.value for record in records]
        return values

    async def close(self) -> None:
        for client in self._started:
            await client.stop()


async def send(producer: AIOKafkaProducer, topic: str, *values: bytes, partition: int = 0) -> int:
    """Send a batch in an open transaction; return the offset of its first record."""
    builder = producer.create_batch()
    for value in values:
        assert builder.append(timestamp=1, key=b"acme", value=value, headers=[]) is not None
    builder.close()
    metadata: Any = await (await producer.send_batch(builder, topic, partition=partition))
    return int(metadata.offset)


def in_memory(scenario: Scenario) -> None:
    """Run a scenario on the simulated broker."""
    loop = SimulatedLoop(Random(1))
    network = Network(loop, Random(2), lambda _line: None, lambda _process, _why: None)
    broker = Broker(network.later)
    broker.create("topic", 2, LIMIT)
    process, context = Process(loop, "test"), copy_context()

    async def run() -> None:
        clients = Clients("simulated", "topic")
        await scenario(clients)
        await clients.close()
        loop.stop()

    context.run(PROCESS.set, process)
    context.run(CLUSTER.set, Cluster(broker, network, Random(3)))
    context.run(LANE.set, process.main)
    with (
        patch.object(agents.clients, "AIOKafkaProducer", SimulatedProducer),
        patch.object(agents.clients, "AIOKafkaConsumer", SimulatedConsumer),
    ):
        task = loop.start(process.main, run(), context)
        task.add_done_callback(lambda done: done.result(), context=context)
        loop.run()
        loop.close()


@pytest.fixture(params=["in memory", pytest.param("a real Kafka", marks=pytest.mark.kafka)])
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Scenario], None]]:
    yield in_memory if request.param == "in memory" else on_kafka(request)
    gc.collect()  # batches of fenced producers that nobody awaits are told of here, not amid another test


def on_kafka(request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    kafka = request.getfixturevalue("kafka")

    def really(scenario: Scenario) -> None:
        topic = f"contract-{uuid.uuid4().hex[:8]}"
        admin = kafka.admin()  # its answers end with it
        made = admin.create_topics([NewTopic(topic, 2, 1, config={"max.message.bytes": str(LIMIT)})])
        made[topic].result(10)

        async def whole() -> None:
            clients = Clients(kafka.broker, topic)
            try:
                await scenario(clients)
            finally:
                await clients.close()

        asyncio.run(whole())

    return really


def test_a_marker_takes_an_offset_and_is_never_delivered(run: Callable[[Scenario], None]) -> None:
    async def scenario(clients: Clients) -> None:
        producer = await clients.producer("a")
        for start in (0, 3):
            await producer.begin_transaction()
            assert await send(producer, clients.topic, b"1", b"2") == start
            await producer.commit_transaction()
        assert await clients.read(COMMITTED, 6) == [b"1", b"2", b"1", b"2"]
        assert await clients.ends() == (6, 6)

    run(scenario)


def test_an_open_transaction_holds_the_last_stable_offset_and_hides_what_follows(
    run: Callable[[Scenario], None],
) -> None:
    async def scenario(clients: Clients) -> None:
        slow, quick = await clients.producer("slow"), await clients.producer("quick")
        await slow.begin_transaction()
        await send(slow, clients.topic, b"slow")
        await quick.begin_transaction()
        await send(quick, clients.topic, b"quick")
        await quick.commit_transaction()
        assert await clients.read(UNCOMMITTED, 3) == [b"slow", b"quick"]
        assert await clients.ends() == (0, 3)
        reader = await clients.reader(COMMITTED)
        assert await reader.getmany(clients.tp, timeout_ms=400) == {}
        state = reader._subscription.subscription.assignment.state_value(clients.tp)
        assert (state.position, state.lso, state.highwater) == (0, 0, 3)
        await slow.commit_transaction()
        assert await clients.read(COMMITTED, 4) == [b"slow", b"quick"]

    run(scenario)


def test_aborted_records_are_passed_over_by_a_committed_reader_alone(run: Callable[[Scenario], None]) -> None:
    async def scenario(clients: Clients) -> None:
        producer = await clients.producer("a")
        await producer.begin_transaction()
        await send(producer, clients.topic, b"no", b"no")
        await producer.abort_transaction()
        reader = await clients.reader(COMMITTED)
        while await reader.position(clients.tp) < 3:
            assert await reader.getmany(clients.tp, timeout_ms=200) == {}
        assert await clients.read(UNCOMMITTED, 3) == [b"no", b"no"]
        assert await clients.ends() == (3, 3)

    run(scenario)


def test_whoever_takes_an_id_over_aborts_what_it_left_open_and_fences_it(
    run: Callable[[Scenario], None],
) -> None:
    async def scenario(clients: Clients) -> None:
        old = await clients.producer("a")
        await old.begin_transaction()
        await send(old, clients.topic, b"old")
        new = await clients.producer("a")
        assert await clients.ends() == (2, 2)
        with pytest.raises(ProducerFenced):
            await old.commit_transaction()
        await new.begin_transaction()
        await send(new, clients.topic, b"new")
        await new.commit_transaction()
        assert await clients.read(COMMITTED, 4) == [b"new"]

    run(scenario)


def test_a_fenced_producer_that_had_nothing_open_is_refused_at_its_next_batch(
    run: Callable[[Scenario], None],
) -> None:
    async def scenario(clients: Clients) -> None:
        old = await clients.producer("a")
        await old.begin_transaction()
        await send(old, clients.topic, b"old")
        await old.commit_transaction()
        await clients.producer("a")
        await old.begin_transaction()
        with pytest.raises(ProducerFenced):
            await send(old, clients.topic, b"too late")
        assert await clients.read(COMMITTED, 2) == [b"old"]

    run(scenario)


def test_another_id_is_not_touched_by_a_fence(run: Callable[[Scenario], None]) -> None:
    async def scenario(clients: Clients) -> None:
        mine = await clients.producer("mine")
        await mine.begin_transaction()
        await send(mine, clients.topic, b"1")
        await clients.producer("other")
        await send(mine, clients.topic, b"2")
        await mine.commit_transaction()
        assert await clients.read(COMMITTED, 3) == [b"1", b"2"]

    run(scenario)


def test_a_batch_beyond_the_limit_fails_alone_and_the_rest_is_committed(
    run: Callable[[Scenario], None],
) -> None:
    """Why every batch is awaited before the transaction is committed."""

    async def scenario(clients: Clients) -> None:
        producer = await clients.producer("a")
        await producer.begin_transaction()
        await send(producer, clients.topic, b"small")
        with pytest.raises(MessageSizeTooLargeError):
            await send(producer, clients.topic, b"x" * (LIMIT + 1), partition=1)
        await producer.commit_transaction()
        assert await clients.read(COMMITTED, 2) == [b"small"]

    run(scenario)


def test_a_full_batch_takes_nothing_more_and_a_large_record_has_one_of_its_own(
    run: Callable[[Scenario], None],
) -> None:
    async def scenario(clients: Clients) -> None:
        producer = await clients.producer("a")
        builder = producer.create_batch()
        taken = 0
        while builder.append(timestamp=1, key=b"k", value=b"v" * 100_000, headers=[]) is not None:
            taken += 1
        assert taken == BATCH_BYTES // 100_000 - 1
        assert builder.record_count() == taken
        assert 100_000 * taken < builder.size() <= BATCH_BYTES
        alone = producer.create_batch()
        assert alone.append(timestamp=1, key=b"k", value=b"v" * (BATCH_BYTES + 1), headers=[]) is not None

    run(scenario)


def test_a_seek_drops_what_was_fetched_ahead(run: Callable[[Scenario], None]) -> None:
    async def scenario(clients: Clients) -> None:
        producer = await clients.producer("a")
        await producer.begin_transaction()
        await send(producer, clients.topic, *[b"%d" % number for number in range(20)])
        await producer.commit_transaction()
        reader = await clients.reader(COMMITTED)
        await asyncio.sleep(0.3)  # the fetch is there
        reader.seek(clients.tp, 15)
        values: list[bytes] = []
        while len(values) < 5:
            for records in (await reader.getmany(clients.tp, timeout_ms=200)).values():
                values += [record.value for record in records]
        assert values == [b"15", b"16", b"17", b"18", b"19"]

    run(scenario)
