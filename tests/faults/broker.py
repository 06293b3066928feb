"""What matters of Kafka, in memory: logs, transactions with markers, fences, the last stable offset, group offsets.

    offset   0   1   2   3   4   5   6
    record   a   b  [M]  c   d   e   .     [M] commit or abort: a marker takes an offset and is never delivered
                         ^           ^
                         |           high watermark
                         last stable offset: c's transaction is open

Everything here happens at once; when a request arrives and whether its answer comes is the network's (``network.py``).
``test_contract.py`` holds this and a real Kafka to the same assertions.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from aiokafka.errors import ConcurrentTransactions, InvalidTxnState, MessageSizeTooLargeError, ProducerFenced
from aiokafka.structs import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MESSAGE_BYTES_MAX: Final = 1 << 20
RECORD_OVERHEAD_BYTES: Final = 20


class Stored(NamedTuple):
    """A record as it lies in a log (and as aiokafka hands records of a batch out)."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    @property
    def size(self) -> int:
        return len(self.key or b"") + len(self.value or b"") + RECORD_OVERHEAD_BYTES


class Fetched(NamedTuple):
    """What a fetch says of a partition: records, where to go on, and the two ends of the log."""

    records: list[Stored]
    next_offset: int
    high_watermark: int
    last_stable: int


class Log:
    """One partition. An offset is an index; None is a marker."""

    def __init__(self) -> None:
        self.records: list[Stored | None] = []
        self.open: dict[int, int] = {}
        """First offset of each open transaction, by producer id."""
        self._writer: list[int | None] = []
        self._aborted: set[int] = set()

    @property
    def high_watermark(self) -> int:
        return len(self.records)

    @property
    def last_stable(self) -> int:
        return min(self.open.values(), default=self.high_watermark)

    def append(self, rows: Sequence[Stored], producer: int | None = None) -> int:
        """Append records, renumbered; return the offset of the first."""
        first = self.high_watermark
        self.records += [row._replace(offset=first + i) for i, row in enumerate(rows)]
        self._writer += [producer] * len(rows)
        if producer is not None:
            self.open.setdefault(producer, first)
        return first

    def mark(self, producer: int, *, commit: bool) -> None:
        """End the producer's transaction here."""
        first = self.open.pop(producer, None)
        if first is None:
            return
        if not commit:
            self._aborted |= {i for i in range(first, self.high_watermark) if self._writer[i] == producer}
        self.records.append(None)
        self._writer.append(None)

    def is_transactional(self, offset: int) -> bool:
        """Tell whether the record at an offset was written in a transaction."""
        return self._writer[offset] is not None

    def compact(self, tail: int) -> None:
        """Remove all but the newest record of each key, and what was aborted; the last ``tail`` entries stay."""
        end = min(self.last_stable, self.high_watermark - tail)
        newest = {
            record.key: record.offset
            for record in self.records
            if record is not None and record.offset not in self._aborted and record.offset < self.last_stable
        }
        for i in range(end):
            record = self.records[i]
            if record is not None and (i in self._aborted or newest[record.key] != i):
                self.records[i] = None

    def read(self, offset: int, entries_max: int, *, committed: bool) -> Fetched:
        """Read up to so many entries; a committed reader sees none beyond the last stable offset."""
        stop = min(offset + entries_max, self.last_stable if committed else self.high_watermark)
        found = [
            record
            for i in range(offset, stop)
            if (record := self.records[i]) is not None and not (committed and i in self._aborted)
        ]
        return Fetched(found, max(offset, stop), self.high_watermark, self.last_stable)


class Transaction:
    """What the coordinator knows of a transactional id."""

    def __init__(self, producer: int) -> None:
        self.producer, self.epoch = producer, -1
        self.partitions: set[TopicPartition] = set()
        self.is_ending = False
        self.ends_s = 0.0
        self.last_commit: bool | None = None
        """How the latest transaction of this epoch ended."""


class Producing(NamedTuple):
    """Who writes: a transactional id, and the producer id and epoch that it got."""

    transactional_id: str
    producer: int
    epoch: int


class Broker:
    """Topics, transactions and group offsets.

    Args:
        later: called with each marker that is to be written; a real broker writes them after it answered.
    """

    def __init__(self, later: Callable[[Callable[[], None]], None]) -> None:
        self.logs: dict[TopicPartition, Log] = {}
        self.limits: dict[str, int] = {}
        self.group_offsets: dict[TopicPartition, int] = {}
        self.transactions: dict[str, Transaction] = {}
        self._later = later
        self._written: defaultdict[tuple[int, int, TopicPartition], dict[int, int]] = defaultdict(dict)

    @property
    def is_writing(self) -> bool:
        """Whether a transaction is open or its markers are still to be written."""
        return any(state.partitions for state in self.transactions.values())

    def create(self, topic: str, partitions: int, message_bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        self.limits[topic] = message_bytes_max
        for number in range(partitions):
            self.logs[TopicPartition(topic, number)] = Log()

    # -- transactions -------------------------------------------------------------------------------------------------

    def init_producer(self, transactional_id: str) -> Producing:
        """Give the id a new epoch, which fences its former user, and abort what that one left open.

        Raises:
            ConcurrentTransactions: markers of its last transaction are still being written; ask again.
        """
        state = self.transactions.setdefault(transactional_id, Transaction(len(self.transactions)))
        if state.is_ending:
            raise ConcurrentTransactions
        state.epoch += 1
        state.last_commit = None
        if state.partitions:
            self._end(state, commit=False)
            raise ConcurrentTransactions
        return Producing(transactional_id, state.producer, state.epoch)

    def add_partitions(self, who: Producing, partitions: Iterable[TopicPartition], now_s: float) -> None:
        """Begin or widen the transaction."""
        state = self._current(who)
        if state.is_ending:
            raise ConcurrentTransactions
        if not state.partitions:
            state.ends_s = now_s
        state.last_commit = None
        state.partitions |= set(partitions)

    def produce(
        self, who: Producing, partition: TopicPartition, rows: Sequence[Stored], sequence: int
    ) -> int:
        """Append a batch of the open transaction; a repeat of a sequence number is answered alike, and not appended.

        Raises:
            MessageSizeTooLargeError: beyond the topic's limit.
            InvalidTxnState: the partition is not in an open transaction of this producer.
        """
        written = self._written[who.producer, who.epoch, partition]
        if sequence in written and self.transactions[who.transactional_id].epoch == who.epoch:
            return written[sequence]
        state = self._current(who)
        if sum(row.size for row in rows) > self.limits[partition.topic]:
            raise MessageSizeTooLargeError
        if state.is_ending or partition not in state.partitions:
            raise InvalidTxnState
        written[sequence] = self.logs[partition].append(rows, who.producer)
        return written[sequence]

    def end_transaction(self, who: Producing, *, commit: bool) -> None:
        """End the transaction; the markers follow. Asked again, it says the same again."""
        state = self._current(who)
        if state.is_ending or not state.partitions:
            if state.last_commit is not commit:
                raise InvalidTxnState
            return
        self._end(state, commit=commit)

    def expire_transactions(self, now_s: float, timeout_s: float) -> None:
        """Abort transactions that are open for too long, and fence those who hold them."""
        for state in self.transactions.values():
            if state.partitions and not state.is_ending and state.ends_s + timeout_s < now_s:
                state.epoch += 1
                self._end(state, commit=False)

    def _current(self, who: Producing) -> Transaction:
        state = self.transactions[who.transactional_id]
        if state.epoch != who.epoch:
            raise ProducerFenced
        return state

    def _end(self, state: Transaction, *, commit: bool) -> None:
        state.is_ending, state.last_commit = True, commit
        left = sorted(state.partitions)

        def write_marker() -> None:
            self.logs[left.pop()].mark(state.producer, commit=commit)
            if left:
                self._later(write_marker)
            else:
                state.partitions, state.is_ending = set(), False

        self._later(write_marker)
