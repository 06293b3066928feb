r"""The changelog of the account table: its holder keys, and the bulk reader.

Keys that start with NUL are reserved. ``\0own:<transactional id>`` says that this producer may still write to
the partition: the delivery layer's own, never shown to a partition. All other NUL keys are the partition's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, Self

from aiokafka.structs import TopicPartition

from agents.clients import Connection, changelog_consumer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from types import TracebackType

    from aiokafka import AIOKafkaConsumer

HOLDER_PREFIX: Final = b"\0own:"
HOLDS: Final = b"1"
POLL_TIMEOUT_MS: Final = 200


def holder_key(transactional_id: str) -> bytes:
    """Return the key that names a producer as a holder of a changelog partition."""
    return HOLDER_PREFIX + transactional_id.encode()


def holder_of(key: bytes) -> str:
    """Return the transactional id named by a holder key."""
    return key[len(HOLDER_PREFIX) :].decode()


class ChangelogSink(Protocol):
    """Takes what the reader reads."""

    def take(self, partition: int, keys: list[bytes], values: list[bytes | None]) -> int | None:
        """Take consecutive records; return an offset to read from next if it is not the following one."""


class ChangelogReader:
    """Reads partitions of the changelog, committed records only, in whole fetches.

    Progress is a *position*, never the offset of a record: transaction markers, aborted and compacted records
    take offsets and are not delivered, so the last record may lie far before the end.
    """

    def __init__(self, connection: Connection, topic: str) -> None:
        self._connection, self._topic = connection, topic
        self._reader: AIOKafkaConsumer
        self._watermarks: AIOKafkaConsumer

    async def __aenter__(self) -> Self:
        self._reader = await changelog_consumer(self._connection, "read_committed")
        try:
            self._watermarks = await changelog_consumer(self._connection, "read_uncommitted")
        except BaseException:
            await self._reader.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._reader.stop()
        await self._watermarks.stop()

    def seek(self, starts: Mapping[int, int]) -> None:
        """Read these partitions, each from its offset."""
        tps = {self._tp(partition): offset for partition, offset in starts.items()}
        self._reader.assign(list(tps))
        for tp, offset in tps.items():
            self._reader.seek(tp, offset)

    async def stable_ends(self, partitions: Collection[int]) -> dict[int, int]:
        """Return where the oldest open transaction begins, or the end of the log if there is none."""
        ends = await self._reader.end_offsets([self._tp(partition) for partition in partitions])
        return {tp.partition: end for tp, end in ends.items()}

    async def high_watermarks(self, partitions: Collection[int]) -> dict[int, int]:
        """Return the ends of the log, open transactions included."""
        ends = await self._watermarks.end_offsets([self._tp(partition) for partition in partitions])
        return {tp.partition: end for tp, end in ends.items()}

    async def position(self, partition: int) -> int:
        """Return the offset to be read next."""
        return int(await self._reader.position(self._tp(partition)))

    async def read_to(
        self,
        ends: Mapping[int, int],
        sink: ChangelogSink,
        on_positions: Callable[[Mapping[int, int]], None] | None = None,
    ) -> None:
        """Hand every record below the ends to the sink, and possibly some beyond; tell the positions after each fetch."""
        left = {partition for partition, end in ends.items() if await self.position(partition) < end}
        while left:
            fetched = await self._reader.getmany(*map(self._tp, left), timeout_ms=POLL_TIMEOUT_MS)
            for tp, records in fetched.items():
                keys = [record.key for record in records]
                restart = sink.take(tp.partition, keys, [record.value for record in records])
                if restart is not None:
                    self._reader.seek(tp, restart)
            positions = {partition: await self.position(partition) for partition in left}
            if on_positions is not None:
                on_positions(positions)
            left = {partition for partition, at in positions.items() if at < ends[partition]}

    def _tp(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topic, partition)


async def read_changelog(
    connection: Connection, topic: str, partitions: Collection[int], sink: ChangelogSink
) -> None:
    """Hand all that is committed in partitions of a changelog to a sink."""
    async with ChangelogReader(connection, topic) as changelog:
        changelog.seek(dict.fromkeys(partitions, 0))
        await changelog.read_to(await changelog.stable_ends(partitions), sink)
