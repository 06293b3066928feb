"""Whole fetches through Faust: one message per poll, and the only place that knows Faust's private names.

Record by record Faust costs 65 us an event; one message per poll costs 200 us a poll. Of Faust this keeps
the consumer thread (heartbeats survive a busy loop), membership, co-partitioned assignment, the life cycle
and the delivery to an agent. It does not use its tables, acks, gaps or commits.

Pinned to ``faust-streaming==0.15.*``; ``tests/delivery/test_private_names.py`` fails loudly on an upgrade.
"""
# ruff: noqa: SLF001 (private names are what this module is about)

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar, Final

import faust
from aiokafka.errors import ConsumerStoppedError
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from mode.utils.queues import ThrowableQueue

from agents.clients import FetchLog, calm
from agents.polls import EndOfInput, Poll, polled
from schemas.topics import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from aiokafka import AIOKafkaConsumer
    from faust.types import TP

    from agents.polls import DeliveryPort

SCHEME: Final = "latido"
"""The URL scheme under which Faust finds this transport."""
IDLE_POLL_S: Final = 0.1
"""A poll without records is handed over this often: it moves the clock."""
POLL_RECORDS_MAX: Final = 10_000
POLLS_QUEUED_MAX: Final = 2
FETCH_MIN_BYTES: Final = 1_000_000
FETCH_MAX_WAIT_MS: Final = 20
"""Records gather in the broker. Faust's own 1 byte and 1500 ms park a busy partition behind the long poll of
idle ones: a tail of 1.6 s."""
FETCH_MAX_BYTES: Final = 16 * MIB


class _ConsumerThread(AIOKafkaConsumerThread):
    generation = 0

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        delivery: DeliveryPort = self.app.delivery
        consumer._fetch_min_bytes = FETCH_MIN_BYTES
        consumer._fetch_max_bytes = FETCH_MAX_BYTES
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS
        consumer._isolation_level = delivery.isolation_level
        consumer._check_crcs = delivery.check_crcs
        calm(consumer._client)
        return consumer

    async def on_start(self) -> None:
        await super().on_start()
        self._positions: dict[TP, int] = {}
        self._fetch_log = FetchLog(self._consumer)

    async def start_generation(self, generation: int, starts: dict[TP, int]) -> None:
        """Seek and take the number over: one step of the thread's loop, so no poll sees half of it."""
        consumer = self._ensure_consumer()
        for tp, offset in starts.items():
            consumer.seek(tp, offset)
        self.generation, self._positions = generation, dict(starts)

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109
        max_records: int | None = None,  # noqa: ARG002
    ) -> Poll | dict[TP, Any]:
        if not self.consumer.flow_active:
            return {}
        fetcher = consumer._fetcher
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError
        wanted = set(active_partitions) - self.app.delivery.held_back
        if not wanted:  # aiokafka would take an empty set for all
            await asyncio.sleep(IDLE_POLL_S)
            return self._poll(consumer, {})
        with fetcher._subscriptions.fetch_context():
            fetched = await fetcher.fetched_records(
                wanted, timeout=min(timeout or IDLE_POLL_S, IDLE_POLL_S), max_records=POLL_RECORDS_MAX
            )
        return self._poll(consumer, fetched)

    def _poll(self, consumer: AIOKafkaConsumer, fetched: Mapping[TP, Sequence[Any]]) -> Poll | dict[TP, Any]:
        assignment = consumer._subscription.subscription.assignment
        states = {tp: assignment.state_value(tp) for tp in self._positions if tp in assignment.tps}
        ready = {tp: state for tp, state in states.items() if state.has_valid_position}
        chunks = []
        for tp, records in fetched.items():
            if tp in ready:
                # From the end of the last chunk, not from the last poll: a fetch of nothing but markers moves on as well.
                chunks.append(polled(tp, self._positions[tp], ready[tp].position, records))
                self._positions[tp] = ready[tp].position
        asked_ms = self._fetch_log.asked_ms
        ends = [
            EndOfInput(tp.topic, tp.partition, asked_ms[tp])
            for tp, state in ready.items()
            if tp in asked_ms and state.highwater is not None and state.position >= state.highwater
        ]
        lag = dict.fromkeys((tp.topic for tp in ready), 0)
        for tp, state in ready.items():
            lag[tp.topic] += max(0, (state.highwater or 0) - state.position)
        carrier = next(iter(ready), None)
        if carrier is None:
            return {}
        answered_ms = max((asked_ms.get(tp, 0) for tp in ready), default=0)
        return Poll(self.generation, chunks, ends, answered_ms, lag, carrier, ready[carrier].position)


class _Carried:
    """Looks like an aiokafka record to Faust's consumer."""

    __slots__ = ("offset", "partition", "topic", "value")
    timestamp = timestamp_type = headers = key = checksum = None
    serialized_key_size = serialized_value_size = 0

    def __init__(self, poll: Poll) -> None:
        self.topic, self.partition = poll.carrier
        self.offset, self.value = poll.carrier_offset, poll


class PollScheduler:
    """Faust's ``ConsumerScheduler``: the poll is one message."""

    def iterate(self, poll: Poll | dict[TP, Any]) -> Iterator[tuple[TP, _Carried]]:
        """Yield the poll as it is; nothing if there was none."""
        if isinstance(poll, Poll):
            yield poll.carrier, _Carried(poll)


class PollSchema(faust.Schema):
    """Hands the poll to the stream without decoding anything."""

    def compile(self, app: faust.App, **_options: Any) -> Any:
        """Return the function that makes a stream's event of a message."""
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> Any:  # noqa: ARG001
            return create_event(None, message.value, None, message)

        return decode


class BlockingQueue(ThrowableQueue):
    """Blocks when full; Faust's own would pause partitions one by one, and lose a second each time."""

    pressure_high_ratio = 0.5


class _BatchConsumer(Consumer):
    scheduler: PollScheduler

    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        await self._or_die(self.app.delivery.on_revoked())
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        await self._or_die(self.app.delivery.on_assigned(assigned))
        await super().on_partitions_assigned(assigned, generation_id)

    async def seek_to_committed(self) -> dict[TP, int]:
        """Seek to where the changelog says. Faust calls this after every assignment."""
        delivery: DeliveryPort = self.app.delivery
        assigned = self.assignment()
        if not assigned:
            return {}
        earliest = await self.earliest_offsets(*assigned)
        hints: Mapping[TP, int] = await super().seek_to_committed()
        try:
            generation, starts = await delivery.start_positions(assigned, earliest, hints)
        except Exception as error:
            delivery.die(error)
            raise
        await self._thread.call_thread(self._thread.start_generation, generation, starts)
        return starts

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002, FBT001, FBT002
        """Write group offsets: a hint for lag tools, after the transactions that decide."""
        offsets = self.app.delivery.group_offsets()
        if not offsets or self.app.rebalancing:
            return False
        return bool(await self._commit(offsets))

    def ack(self, message: Any) -> bool:
        """Forget the message: progress is in the changelog."""
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Ignore it: acks are not used for progress."""

    async def on_stop(self) -> None:
        await self._or_die(self.app.delivery.on_revoked())
        await super().on_stop()

    async def _or_die(self, step: Any) -> None:
        try:
            await step
        except Exception as error:
            self.app.delivery.die(error)
            raise


class _BatchTransport(Transport):
    Consumer: ClassVar[Any] = _BatchConsumer


TRANSPORTS.aliases[SCHEME] = f"{__name__}:_BatchTransport"


class BatchingApp(faust.App):
    """A Faust app whose one agent gets whole polls."""

    delivery: DeliveryPort

    def FlowControlQueue(self, maxsize: int | None = None, *, clear_on_resume: bool = False) -> BlockingQueue:  # noqa: N802
        """Return the queue between the consumer and the agent."""
        return BlockingQueue(maxsize=maxsize, flow_control=self.flow_control, clear_on_resume=clear_on_resume)

    def deliver(self, topics: Sequence[str], delivery: DeliveryPort) -> None:
        """Subscribe one agent to the topics and hand every poll to the delivery."""
        self.delivery = delivery
        schema = PollSchema(key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

        async def polls(stream: Any) -> None:
            async for event in stream.noack().events():
                try:
                    await delivery.take(event.value)
                    if delivery.misplaced:
                        await self.consumer.seek_to_committed()
                except Exception as error:
                    delivery.die(error)
                    raise
                await stream.ack(event)

        self.agent(self.topic(*topics, schema=schema), name="polls")(polls)
