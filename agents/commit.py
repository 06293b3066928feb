"""One transaction for rows, outputs, positions and holder keys of all partitions of a worker.

    1. begin
    2. per partition: changelog records, then outputs by topic, then control records, as whole batches
    3. await the future of *every* batch: aiokafka commits what is left of a transaction whose batch failed
    4. end the transaction

A failure at any point raises, and the process must end: what was drained is in no log. The transaction
is then aborted by whoever fences this process, or by the broker when it times out; nothing of it is ever
visible to a ``read_committed`` reader. If the process dies in step 4, the next owner reads which of the two
it was.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from agents.clients import BATCH_BYTES
from agents.ports import Commit
from agents.record_batch import RecordBatch, RowRecords
from schemas.records import NO_ROWS
from schemas.topics import CONTROL, MIB, Output

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Mapping, Sequence

    from aiokafka import AIOKafkaProducer
    from aiokafka.producer.message_accumulator import BatchBuilder

    from agents.ports import DeliveryObserver
    from schemas.records import Batch, OutputRecord, PackedRows

    Pair = tuple[bytes, bytes | None]
    Record = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]

IN_FLIGHT_BYTES_MAX: Final = 24 * MIB
"""Unacknowledged bytes of a transaction. aiokafka puts all batches for a broker into one request, and a
broker closes the connection on a request above 100 MiB."""


class DeliveryTopics(NamedTuple):
    """The names of the topics that a worker writes to."""

    changelog: str
    outputs: Mapping[Output, str]
    control: str = CONTROL


class Committer:
    """Writes batches through one transactional producer. Not reentrant: the caller holds a lock."""

    def __init__(
        self,
        producer: AIOKafkaProducer,
        topics: DeliveryTopics,
        observer: DeliveryObserver,
        compression: str | None = None,
    ) -> None:
        self._producer, self._topics, self._observer = producer, topics, observer
        self._compression = compression

    async def commit(
        self, batches: Iterable[Batch], marks: Mapping[int, Sequence[Pair]] | None = None
    ) -> dict[int, int]:
        """Commit the batches and the holder keys of ``marks`` (by partition), all or nothing.

        Returns:
            For each partition written to, the changelog offset after its last record.
        """
        marks = marks or {}
        work = {batch.partition: batch for batch in batches if not batch.is_empty}
        partitions = sorted(work.keys() | marks.keys())
        if not partitions:
            return {}
        started = time.monotonic()
        await self._producer.begin_transaction()
        shipment = _Shipment(self._producer, self._compression)
        for partition in partitions:
            await self._ship(shipment, partition, work.get(partition), marks.get(partition, ()))
        ends = await shipment.settle()
        await self._producer.commit_transaction()
        self._observer.on_committed(
            Commit(
                partitions=len(partitions),
                events=sum(batch.events for batch in work.values()),
                changelog_records=shipment.counts[True],
                output_records=shipment.counts[False],
                record_bytes=shipment.sent_bytes,
                seconds=time.monotonic() - started,
            )
        )
        return ends

    async def write(self, parts: Iterable[tuple[int, Sequence[Pair]]]) -> int:
        """Commit changelog records, some of a partition at a time as they are asked for, all or nothing; return how many."""
        await self._producer.begin_transaction()
        shipment = _Shipment(self._producer, self._compression)
        for partition, pairs in parts:
            await shipment.put_changelog(self._topics.changelog, partition, NO_ROWS, pairs)
        await shipment.settle()
        await self._producer.commit_transaction()
        return shipment.counts[True]

    async def stop(self) -> None:
        """Close the producer; an open transaction is left to be aborted."""
        await self._producer.stop()

    async def _ship(
        self, shipment: _Shipment, partition: int, batch: Batch | None, marks: Sequence[Pair]
    ) -> None:
        rows, pairs = (batch.rows, batch.records) if batch else (NO_ROWS, [])
        await shipment.put_changelog(self._topics.changelog, partition, rows, [*pairs, *marks])
        for topic, records in _by_topic(batch.outputs if batch else ()).items():
            await shipment.put_outputs(self._topics.outputs[topic], partition, records)
        if batch and batch.control:
            said: list[Record] = [(key, value, []) for key, value in batch.control]
            await shipment.put_outputs(self._topics.control, 0, said)


def _by_topic(outputs: Iterable[OutputRecord]) -> dict[Output, list[Record]]:
    topics: dict[Output, list[Record]] = {}
    for output in outputs:
        topics.setdefault(output.topic, []).append((output.key, output.sent, list(output.headers)))
    return topics


class _Sent(NamedTuple):
    acknowledged: asyncio.Future[object]
    changelog_partition: int | None
    records: int


class _Shipment:
    """The batches of one transaction, with a bound on what is unacknowledged."""

    def __init__(self, producer: AIOKafkaProducer, compression: str | None) -> None:
        self.sent_bytes = 0
        self.counts = {True: 0, False: 0}
        self._producer, self._compression = producer, compression
        self._timestamp_ms = time.time_ns() // 1_000_000
        self._in_flight: list[_Sent] = []
        self._in_flight_bytes = 0
        self._changelog_ends: dict[int, int] = {}

    async def put_changelog(
        self, topic: str, partition: int, rows: PackedRows, pairs: Iterable[Pair]
    ) -> None:
        """Send changelog records in order: those of rows, then the others."""
        batch, left = self._changelog_batch(), RowRecords(rows)
        while left.count:
            batch.add_rows(left)
            if left.count:
                await self._send(batch, topic, partition, changelog=True)
                batch = self._changelog_batch()
        for key, value in pairs:
            if not batch.add(key, value):
                await self._send(batch, topic, partition, changelog=True)
                batch = self._changelog_batch()
                batch.add(key, value)
        if batch.record_count():
            await self._send(batch, topic, partition, changelog=True)

    def _changelog_batch(self) -> RecordBatch:
        return RecordBatch(BATCH_BYTES, self._compression, self._timestamp_ms)

    async def put_outputs(self, topic: str, partition: int, records: Iterable[Record]) -> None:
        """Send output records in order."""
        builder = self._producer.create_batch()
        stamp = self._timestamp_ms
        for key, value, headers in records:
            if builder.append(timestamp=stamp, key=key, value=value, headers=headers) is None:
                await self._send(builder, topic, partition, changelog=False)
                builder = self._producer.create_batch()
                builder.append(timestamp=stamp, key=key, value=value, headers=headers)
        await self._send(builder, topic, partition, changelog=False)

    async def settle(self) -> dict[int, int]:
        """Wait until the broker has every batch; return the changelog's next offset by partition.

        Raises:
            KafkaError: a batch failed, so the transaction must not be committed.
        """
        for sent in self._in_flight:
            metadata: object = await sent.acknowledged
            if sent.changelog_partition is not None:
                end = metadata.offset + sent.records  # type: ignore[attr-defined]
                self._changelog_ends[sent.changelog_partition] = end
        self._in_flight.clear()
        self._in_flight_bytes = 0
        return self._changelog_ends

    async def _send(self, builder: BatchBuilder, topic: str, partition: int, *, changelog: bool) -> None:
        builder.close()
        size, records = builder.size(), builder.record_count()
        if self._in_flight_bytes + size > IN_FLIGHT_BYTES_MAX:
            await self.settle()
        acknowledged = await self._producer.send_batch(builder, topic, partition=partition)
        self._in_flight.append(_Sent(acknowledged, partition if changelog else None, records))
        self._in_flight_bytes += size
        self.sent_bytes += size
        self.counts[changelog] += records
