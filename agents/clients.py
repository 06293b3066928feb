"""aiokafka's clients as the delivery layer needs them.

This module, ``record_batch.py`` and ``produce.py`` alone know its private names.

Pinned to ``aiokafka==0.14.*``; ``tests/delivery/test_private_names.py`` fails loudly on an upgrade.
"""
# ruff: noqa: SLF001 (private names are what this module is about)

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.errors import KafkaConnectionError, KafkaError, NodeNotReadyError
from aiokafka.structs import TopicPartition

from agents.produce import join_once
from schemas.errors import BrokerError
from schemas.topics import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BATCH_BYTES: Final = 900_000
"""A batch is closed at this size; a larger record gets a batch of its own."""
RECORD_BYTES_MAX: Final = 17 * MIB
TRANSACTION_TIMEOUT_MS: Final = 10_000
REQUEST_TIMEOUT_MS: Final = 40_000
"""Longer than a broker restart takes: batches are retried that long before the process gives up."""
METADATA_PAUSE_S: Final = 0.1
CONNECT_TIMEOUT_S: Final = 8.0
RECOVERY_PARTITION_BYTES: Final = 1 * MIB
RECOVERY_FETCH_BYTES: Final = 8 * MIB


class Connection(NamedTuple):
    """How to reach the broker, and what differs on librdkafka's mock broker.

    ``compression`` is ``None`` or ``"zstd"`` (aiokafka's lz4 runs at level 9). ``check_crcs`` is off on the
    mock broker only: its transaction markers carry wrong checksums.
    """

    bootstrap: str
    compression: str | None = None
    check_crcs: bool = True


async def transactional_producer(
    connection: Connection, transactional_id: str, timeout_ms: int = TRANSACTION_TIMEOUT_MS
) -> AIOKafkaProducer:
    """Start a producer; it aborts the open transaction of whoever used the id before, and fences it.

    Returns when the markers of that transaction are written.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=connection.bootstrap,
        transactional_id=transactional_id,
        transaction_timeout_ms=timeout_ms,
        compression_type=connection.compression,
        max_batch_size=BATCH_BYTES,
        max_request_size=RECORD_BYTES_MAX,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        retry_backoff_ms=10,
    )
    _survive_lost_lookups(producer.client)
    calm(producer.client)
    join_once(producer.client)
    await producer.start()
    return producer


async def changelog_consumer(connection: Connection, isolation_level: str) -> AIOKafkaConsumer:
    """Start a consumer outside any group, with fetches large enough for bulk recovery."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=connection.bootstrap,
        isolation_level=isolation_level,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=RECOVERY_PARTITION_BYTES,
        fetch_max_bytes=RECOVERY_FETCH_BYTES,
        fetch_max_wait_ms=50,
        check_crcs=connection.check_crcs,
    )
    calm(consumer._client)
    await consumer.start()
    FetchLog(consumer)
    return consumer


async def require_broker(connection: Connection) -> None:
    """Connect once, so that a wrong address is a message and not a traceback.

    Raises:
        BrokerError: nobody answers at the address.
    """
    client = AIOKafkaClient(bootstrap_servers=connection.bootstrap, request_timeout_ms=5_000)
    try:
        with _unsaid("aiokafka"):
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await client.bootstrap()
    except (TimeoutError, OSError, KafkaError) as error:
        raise BrokerError(
            f"no Kafka broker answers at {connection.bootstrap}. Is it running, and does its advertised "
            "listener name an address that can be reached from here? The setting is LATIDO_BROKER."
        ) from error
    finally:
        await client.close()


@contextlib.contextmanager
def _unsaid(logger_name: str) -> Iterator[None]:
    """Keep a library from logging what is about to be told better."""
    logger = logging.getLogger(logger_name)
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def calm(client: AIOKafkaClient) -> None:
    """Pause between failed metadata requests: aiokafka asks 4,000 times a second while a broker is away."""
    update = client._metadata_update

    async def paused(cluster: object, topics: object) -> bool:
        updated = bool(await update(cluster, topics))
        if not updated:
            await asyncio.sleep(METADATA_PAUSE_S)
        return updated

    client._metadata_update = paused


def _survive_lost_lookups(client: AIOKafkaClient) -> None:
    """Make a connection lost during a coordinator look-up retriable: else it kills the sender for good."""
    lookup = client.coordinator_lookup

    async def retriable(kind: object, key: object) -> Any:
        try:
            return await lookup(kind, key)
        except KafkaConnectionError as error:
            raise NodeNotReadyError(str(error)) from error

    client.coordinator_lookup = retriable


class FetchLog:
    """When each fetch that was answered had been asked, and records handed over as they lie in the batch.

    aiokafka stamps an answer when it is *handled*. A process that was stopped for minutes would then take an
    old answer for a new one. What an answer says was true after its request went out, so that time is kept.

    The record objects are those of the batch: building aiokafka's own of each costs as much as all the rest
    of the fetch path.
    """

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self.asked_ms: dict[TopicPartition, int] = {}
        self._fetcher = consumer._fetcher
        self._fetch = self._fetcher._proc_fetch_request
        self._fetcher._proc_fetch_request = self._logged_fetch

    async def _logged_fetch(self, assignment: Any, node_id: int, request: Any) -> bool:
        asked_ms = time.time_ns() // 1_000_000
        tps = [TopicPartition(topic, part[0]) for topic, parts in request.topics for part in parts]
        before = _answer_times(assignment, tps)
        fetched = bool(await self._fetch(assignment, node_id, request))
        for tp, answered_ms in _answer_times(assignment, tps).items():
            if answered_ms != before[tp]:
                self.asked_ms[tp] = asked_ms
            result = self._fetcher._records.get(tp)
            if type(result) is FetchResult and type(result._partition_records) is PartitionRecords:
                result._partition_records = _AsTheyLie(result._partition_records)
        return fetched


def _answer_times(assignment: Any, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]:
    states = {tp: assignment.state_value(tp) for tp in tps}
    return {tp: state.timestamp for tp, state in states.items() if state is not None}


class _AsTheyLie:
    """The records of a fetch as they lie in the batch, from aiokafka's generator itself."""

    def __init__(self, records: PartitionRecords) -> None:
        records._consumer_record = _as_it_lies
        self._records = records

    def __iter__(self) -> Iterator[Any]:
        return cast("Iterator[Any]", self._records._records_iterator)

    def __next__(self) -> Any:
        return next(iter(self))

    @property
    def next_fetch_offset(self) -> int:
        return int(self._records.next_fetch_offset)


def _as_it_lies(_tp: TopicPartition, record: Any) -> Any:
    return record
