r"""Who may write to a changelog partition: holder keys and fences, whatever the consumer group believes.

A producer writes to changelog partition p only while the key ``\0own:<its transactional id>`` stands there.

**Acquire** (all partitions of an assignment together; nothing is processed meanwhile)

1. Read the changelog, committed records only, from where this process stopped reading (the beginning if the
   partition is not in memory) to the last stable offset. Holder keys seen are the *holders*.
2. Fence every foreign holder: InitProducerId with *its* transactional id. The broker aborts its open
   transaction, writes the markers, and from then on refuses that producer everywhere.
3. In one transaction write the own holder key and tombstones of the fenced ones, in every partition.
4. Read on until the position reaches the high watermark taken *after* 3. A new foreign holder: back to 2.
5. The memory now holds everything that was ever committed to these partitions. Processing starts.

**Commit**: rows, outputs and positions, only of partitions that are held (``commit.py``).

**Release**: one last transaction with everything processed and a tombstone of the own key in every
partition. Nobody needs to be fenced after it. Of what is not acquired again a snapshot is written.

Why nobody commits behind the owner's back: only a producer whose key stands in the partition writes there.
Of two that contend, the later one to commit step 3 reads the earlier one's key in step 4 and fences it.
After a fence nothing of the fenced producer can commit, and all it did commit lies below the watermark of
step 4. There is one key *per holder*, so compaction cannot hide one holder behind another.

**Where it may break, and what then**

- has a snapshot (``snapshots.py``): it stands for the changelog up to its offset, and step 1 reads from the record
  on with which its writer gave up; if the log holds another one there, the whole changelog is read.
- dies in 1 or 2: nothing was written; a fenced holder was cut off for nothing, ends and is started again.
- dies between 2 and 3: the fenced holder's key still stands; the next owner fences it once more.
- dies in 3, outcome unknown: if the own key stands, the next owner fences this id; if not, it never held.
- dies in 4, or later between commits: the own key stands; the next owner fences it, nothing is open.
- dies in a commit: the next owner's fence aborts it, or it had been committed and step 4 reads it.
- dies in a release, outcome unknown: as in a commit; either the key stands, or everything is committed.
- is stopped for minutes and wakes up: its next transaction is refused (ProducerFenced), the process ends.
- fences a dead process whose successor lives: every process has a new id, so the successor is not hit.
- is assigned again what it never lost: the tail holds nothing but holder keys, memory is kept.
- is assigned again after others wrote: the tail holds their records, memory is dropped and loaded anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from typing import TYPE_CHECKING, Protocol

from agents.changelog import HOLDER_PREFIX, HOLDS, ChangelogReader, holder_key, holder_of
from agents.clients import Connection, transactional_producer
from agents.progress import Progress
from agents.snapshots import Found, Refused
from schemas.reasons import SnapshotRefusal
from schemas.topics import Input

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from agents.commit import Committer, Pair
    from agents.ports import DeliveryObserver, PartitionFactory, PartitionPort
    from agents.snapshots import Snapshots
    from schemas.records import Batch


class Fence(Protocol):
    """Cuts a producer off."""

    async def fence(self, transactional_id: str) -> None:
        """Return when nothing that this producer has not yet committed can ever be committed."""


class TransactionFence:
    """Fences by InitProducerId with the other's transactional id."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def fence(self, transactional_id: str) -> None:
        """Abort the producer's open transaction and raise its epoch."""
        producer = await transactional_producer(self._connection, transactional_id)
        await producer.stop()


class Holding:
    """One owned partition: its fold, its holders, how far its changelog and its inputs were read."""

    def __init__(self, port: PartitionPort) -> None:
        self.port = port
        self.holders: set[str] = set()
        self.changelog_next = 0
        self.input_next: dict[Input, int] = {}
        """Consumer position of each input up to which everything was offered."""
        self.offered_last: dict[Input, int] = {}
        """Offset of the last record offered of each input."""
        self.committed: dict[Input, int] = {}
        self.is_loaded = False
        self.records_loaded = 0
        self.released_at: int | None = None
        """Changelog offset after the transaction that gave it up, while nobody has taken it since."""
        self.left_by: str | None = None
        """Who wrote the snapshot in memory, until the first record from its end on was seen: at the latest our own key."""


class Ownership:
    """Acquires and releases partitions, and commits for those that are held."""

    def __init__(
        self,
        transactional_id: str,
        committer: Committer,
        *,
        fence: Fence,
        open_changelog: Callable[[], ChangelogReader],
        new_partition: PartitionFactory,
        observer: DeliveryObserver,
        snapshots: Snapshots | None = None,
    ) -> None:
        self.holdings: dict[int, Holding] = {}
        self.progress: Progress | None = None
        """How far the latest assignment's changelogs are read."""
        self._id, self._committer, self._fence = transactional_id, committer, fence
        self._open_changelog, self._new_partition, self._observer = open_changelog, new_partition, observer
        self._snapshots = snapshots
        self._saving: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    async def acquire(self, partitions: set[int]) -> None:
        """Own exactly these partitions, with their committed state in memory (steps 1 to 5)."""
        async with self._lock:
            started = time.monotonic()
            await self._saved()
            lost = {number: self.holdings[number] for number in self.holdings.keys() - partitions}
            self.holdings = {number: self._kept(number) for number in sorted(partitions)}
            try:
                await self._load()
            except BaseException:
                self.holdings = {}  # half loaded: neither to be drained nor to be read on from
                raise
            self._finish_loading(time.monotonic() - started)
            self._observer.on_acquired(frozenset(partitions), time.monotonic() - started)
            self._saving = asyncio.create_task(self._save(lost), name="snapshots")

    async def commit(self, on_drained: Callable[[], None] = lambda: None) -> None:
        """Commit everything since the last commit, of all partitions.

        Args:
            on_drained: called as soon as everything has been taken, before it is sent.
        """
        async with self._lock:
            batches = self._drained()
            on_drained()
            await self._write(batches, {})
        if self._saving is not None and self._saving.done():
            await self._saved()

    async def save(self) -> None:
        """Write snapshots of everything that was released, in the end."""
        async with self._lock:
            await self._saved()
            await self._save(self.holdings)

    async def release(self) -> None:
        """Commit everything and give all partitions up; they stay in memory."""
        async with self._lock:
            held = [number for number, holding in self.holdings.items() if self._id in holding.holders]
            if not held:
                return
            marks: dict[int, list[Pair]] = {number: [(holder_key(self._id), None)] for number in held}
            ends = await self._write(self._drained(), marks)
            for number in held:
                self.holdings[number].holders.discard(self._id)
                self.holdings[number].released_at = ends[number]
            self._observer.on_released(frozenset(held))

    async def confirm(self) -> None:
        """Write the own holder keys once more.

        Raises:
            ProducerFenced: somebody else took the partitions over.
        """
        async with self._lock:
            await self._write([], {number: self._claim(set()) for number in self.holdings})

    async def _load(self) -> None:
        if self.holdings:
            async with self._open_changelog() as changelog:
                with _collector_paused():
                    await self._take_over(changelog)

    async def _take_over(self, changelog: ChangelogReader) -> None:
        ends = await changelog.stable_ends(self.holdings)
        for number, holding in self.holdings.items():
            holding.released_at = None
            if not holding.is_loaded:
                self._restore(number, holding, ends[number])
                await asyncio.sleep(0)
        starts = {number: holding.changelog_next for number, holding in self.holdings.items()}
        self.progress = progress = Progress(starts, self._observer)
        progress.aim(ends)
        changelog.seek(starts)
        await changelog.read_to(ends, self, progress.on_positions)
        while True:
            foreign = {number: holding.holders - {self._id} for number, holding in self.holdings.items()}
            for holder in sorted(set().union(*foreign.values())):
                self._observer.on_fenced(holder)
                await self._fence.fence(holder)
            await self._committer.commit(
                [], {number: self._claim(others) for number, others in foreign.items()}
            )
            ends = progress.aim(await changelog.high_watermarks(self.holdings))
            await changelog.read_to(ends, self, progress.on_positions)
            if all(holding.holders <= {self._id} for holding in self.holdings.values()):
                break
        progress.tell()
        for number, holding in self.holdings.items():
            holding.changelog_next = await changelog.position(number)

    def _restore(self, number: int, holding: Holding, end: int) -> None:
        """Take the snapshot of a partition, if there is one: the tail begins with what its writer last wrote."""
        if self._snapshots is None:
            return
        try:
            found = self._snapshots.read(number, holding.port.layout, end)
        except Refused as refused:
            self._observer.on_snapshot_refused(number, refused.reason, refused.detail)
            return
        if found is not None:
            holding.port.restore(found.state)
            holding.changelog_next, holding.left_by = found.offset - 1, found.holder
            self._observer.on_snapshot_read(number, found.offset)

    def _refuse(self, number: int) -> None:
        holding = self.holdings[number]
        detail = f"the log does not hold at offset {holding.changelog_next} how {holding.left_by} left"
        self._observer.on_snapshot_refused(number, SnapshotRefusal.NOT_IN_LOG, detail)
        self.holdings[number] = Holding(self._new_partition(number))

    async def _save(self, holdings: Mapping[int, Holding]) -> None:
        """Write the snapshots of partitions that were released, each in a thread; nobody changes them any more."""
        for number, holding in sorted(holdings.items()):
            if self._snapshots is None or holding.released_at is None:
                continue
            found = Found(holding.port.saved(), holding.released_at, self._id)
            try:
                size = await asyncio.to_thread(self._snapshots.write, number, found)
            except OSError as error:
                self._observer.on_snapshot_failed(number, error)
            else:
                self._observer.on_snapshot_written(number, size)

    async def _saved(self) -> None:
        """Wait for snapshots in the making; an exception of theirs is one of ours."""
        saving, self._saving = self._saving, None
        if saving is not None:
            await saving

    def take(self, partition: int, keys: list[bytes], values: list[bytes | None]) -> int | None:
        """Load what the changelog reader read (``ChangelogSink``)."""
        holding = self.holdings[partition]
        if holding.left_by is not None:
            if (keys[0], values[0]) != (holder_key(holding.left_by), None):
                self._refuse(partition)
                return 0
            holding.left_by = None
        held = {at for at, key in enumerate(keys) if key.startswith(HOLDER_PREFIX)}
        if len(held) < len(keys) and holding.is_loaded:
            # Somebody else wrote here since it was loaded: what is in memory is not a prefix of the log.
            self.holdings[partition] = Holding(self._new_partition(partition))
            return 0
        for at in sorted(held):
            change = holding.holders.discard if values[at] is None else holding.holders.add
            change(holder_of(keys[at]))
        if held:
            keys = [key for at, key in enumerate(keys) if at not in held]
            values = [value for at, value in enumerate(values) if at not in held]
        if keys:
            holding.port.load(keys, values)
            holding.records_loaded += len(keys)
        return None

    def _drained(self) -> list[Batch]:
        return [holding.port.drain() for holding in self.holdings.values() if self._id in holding.holders]

    async def _write(self, batches: list[Batch], marks: Mapping[int, Sequence[Pair]]) -> dict[int, int]:
        ends = await self._committer.commit(batches, marks)
        for batch in batches:
            self.holdings[batch.partition].committed = dict(batch.positions)
        for number, end in ends.items():
            holding = self.holdings[number]
            holding.changelog_next = max(holding.changelog_next, end)
        return ends

    def _claim(self, others: set[str]) -> list[Pair]:
        return [(holder_key(self._id), HOLDS), *((holder_key(other), None) for other in sorted(others))]

    def _kept(self, number: int) -> Holding:
        return self.holdings.get(number) or Holding(self._new_partition(number))

    def _finish_loading(self, seconds: float) -> None:
        for number, holding in self.holdings.items():
            if not holding.is_loaded:
                holding.port.loaded()
                holding.is_loaded = True
                holding.committed = {topic: holding.port.position(topic) for topic in Input}
                self._observer.on_loaded(number, holding.records_loaded, seconds)


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep the garbage collector out of a load: millions of new objects, none of them garbage.

    It more than doubles the time otherwise. What was loaded stays, so it is not looked at again.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
