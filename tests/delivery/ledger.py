"""A partition that is written to by the test itself, and owners of it without any consumer group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agents.changelog import ChangelogReader
from agents.clients import Connection, transactional_producer
from agents.commit import Committer
from agents.ownership import Fence, Ownership, TransactionFence
from agents.ports import Commit, NullObserver
from schemas.records import Batch, OutputRecord, Snapshot
from schemas.topics import Output
from tests.delivery.fold import FoldPartition

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

    from agents.snapshots import Snapshots
    from schemas.reasons import SnapshotRefusal
    from tests.delivery.support import Application


class LedgerPartition(FoldPartition):
    """Rows and outputs as the test writes them; a drain hands out what was written since the last one."""

    def __init__(self, partition: int) -> None:
        super().__init__(partition)
        self.rows: dict[bytes, bytes] = {}
        self._changed: dict[bytes, bytes | None] = {}
        self._said: list[tuple[bytes, bytes | None]] = []

    def say(self, key: bytes, value: bytes | None) -> None:
        self._said.append((key, value))

    def write(self, key: bytes, value: bytes | None) -> None:
        self._changed[key] = value
        self._apply(key, value)

    def tell(self, value: bytes, topic: Output = Output.SCORE_CHANGES) -> None:
        self._outputs.append(OutputRecord(topic, b"acme", value))

    def count(self) -> None:
        """Add one to the counter and tell its new value."""
        value = b"%d" % (int(self.rows.get(b"counter", b"0")) + 1)
        self.write(b"counter", value)
        self.tell(value)

    def drain(self) -> Batch:
        changed, events = [*self._changed.items()], len(self._changed)
        batch = Batch(self.partition, changed, self._outputs, {}, events, control=self._said)
        self._changed, self._outputs, self._said = {}, [], []
        return batch

    def load(self, keys: list[bytes], values: list[bytes | None]) -> None:
        for key, value in zip(keys, values, strict=True):
            self._apply(key, value)

    def saved(self) -> Snapshot:
        return Snapshot(self.layout, [], np.zeros((0, 0), np.uint8), {}, [], [*self.rows.items()])

    def _apply(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = value


class NoFence:
    """Cuts nobody off: the negative control."""

    async def fence(self, transactional_id: str) -> None:
        """Do nothing."""


class Watcher(NullObserver):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.commits: list[Commit] = []
        self.fenced: list[str] = []
        self.loaded: dict[int, int] = {}
        self.snapshots: list[tuple[str, int, object]] = []

    def on_committed(self, commit: Commit) -> None:
        self.commits.append(commit)

    def on_fenced(self, transactional_id: str) -> None:
        self.fenced.append(transactional_id)

    def on_snapshot_read(self, partition: int, offset: int) -> None:
        self.snapshots.append(("read", partition, offset))

    def on_snapshot_refused(self, partition: int, reason: SnapshotRefusal, detail: str) -> None:
        assert detail
        self.snapshots.append(("refused", partition, reason))

    def on_snapshot_written(self, partition: int, size: int) -> None:
        self.snapshots.append(("written", partition, size))

    def on_snapshot_failed(self, partition: int, error: OSError) -> None:
        self.snapshots.append(("failed", partition, error.errno))

    def on_loaded(self, partition: int, records: int, seconds: float) -> None:
        assert seconds >= 0
        self.loaded[partition] = records


class Owner:
    """A process that owns partitions, as far as Kafka can tell."""

    def __init__(self, producer: AIOKafkaProducer, ownership: Ownership, watcher: Watcher) -> None:
        self.producer, self.ownership, self.watcher = producer, ownership, watcher

    def ledger(self, partition: int = 0) -> LedgerPartition:
        port = self.ownership.holdings[partition].port
        assert isinstance(port, LedgerPartition)
        return port

    async def vanish(self) -> None:
        """End without a word, whatever is open."""
        await self.producer.stop()


async def new_owner(
    application: Application, name: str, fence: Fence | None = None, snapshots: Snapshots | None = None
) -> Owner:
    """Start an owner with a transactional id of its own."""
    connection = Connection(application.bootstrap)
    producer = await transactional_producer(connection, f"{application.name}-{name}")
    watcher = Watcher()
    ownership = Ownership(
        f"{application.name}-{name}",
        Committer(producer, application.topics, watcher),
        fence=fence or TransactionFence(connection),
        open_changelog=lambda: ChangelogReader(connection, application.changelog),
        new_partition=LedgerPartition,
        observer=watcher,
        snapshots=snapshots,
    )
    return Owner(producer, ownership, watcher)
