"""The control topic as a worker hears it: read to its end before anything is joined, then followed, all of it kept."""

from __future__ import annotations

from bisect import bisect_left
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from aiokafka.structs import TopicPartition

from agents.clients import changelog_consumer
from schemas.control import is_of_join
from schemas.errors import StateError
from schemas.topics import MIB
from streams.control import ControlLine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka import AIOKafkaConsumer

    from agents.clients import Connection

RECORDS_MAX: Final = 10_000
BYTES_MAX: Final = 64 * MIB
POLL_TIMEOUT_MS: Final = 200


class ControlLog:
    """All records of the control topic, in order. Outside any group: every worker hears every record."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self._connection, self._place = connection, TopicPartition(topic, 0)
        self._lines: list[ControlLine] = []
        self._bytes = 0
        self._consumer: AIOKafkaConsumer

    async def start(self) -> None:
        """Read to the present end.

        Raises:
            StateError: there is more than a worker keeps.
        """
        self._consumer = await changelog_consumer(self._connection, "read_committed")
        self._consumer.assign([self._place])
        self._consumer.seek(self._place, 0)
        end = (await self._consumer.end_offsets([self._place]))[self._place]
        while await self._consumer.position(self._place) < end:
            await self._read()

    async def follow(self) -> None:
        """Hear new records, for ever.

        Raises:
            StateError: there is more than a worker keeps.
        """
        while True:
            await self._read()

    async def stop(self) -> None:
        """Read no more."""
        await self._consumer.stop()

    def after(self, offset: int) -> Sequence[ControlLine]:
        """Return the records from an offset on, but those that a later one of their key replaces or withdraws.

        Taken together they would come to nothing; so one that cannot be followed is got rid of by withdrawing it.
        """
        if not self._lines or self._lines[-1].offset < offset:
            return ()
        lines = self._lines[bisect_left(self._lines, offset, key=attrgetter("offset")) :]
        last = {line.key: line.offset for line in lines}
        return [line for line in lines if line.key is None or last[line.key] == line.offset]

    def _forget(self, key: bytes | None) -> None:
        """Drop a join that was withdrawn, as compaction does: who had to take it in has done so."""
        self._bytes -= sum(len(line.value or b"") for line in self._lines if line.key == key)
        self._lines = [line for line in self._lines if line.key != key]

    async def _read(self) -> None:
        for records in (await self._consumer.getmany(timeout_ms=POLL_TIMEOUT_MS)).values():
            for record in records:
                if record.value is None and is_of_join(record.key):
                    self._forget(record.key)
                self._lines.append(ControlLine(record.offset, record.key, record.value))
                self._bytes += len(record.value or b"")
        if len(self._lines) > RECORDS_MAX or self._bytes > BYTES_MAX:
            raise StateError(
                f"topic {self._place.topic} has {len(self._lines)} records of {self._bytes} bytes; a worker keeps "
                f"{RECORDS_MAX} of {BYTES_MAX} bytes. Withdraw what `latido control list` shows as over or done; it goes as "
                "the topic is compacted."
            )
