"""What the delivery layer asks of the rest: a partition that folds events, and somebody who watches.

The delivery layer (``batching``, ``polls``, ``clients``, ``changelog``, ``commit``, ``ownership``, ``pace``,
``drive``, ``delivery``, ``worker_app``) moves chunks and batches exactly once and knows nothing of what an
event means. Both sides of that border are protocols, so each is tested without the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from schemas.reasons import SnapshotRefusal
    from schemas.records import Batch, Chunk, Snapshot
    from schemas.topics import Input
    from streams.control import ControlLine


class PartitionPort(Protocol):
    """One partition number: the state shared by the inputs, and the events that wait to be folded into it.

    All of it is synchronous, bounded and deterministic. An exception is an error of ours and ends the
    process: there is no undo, and memory that differs from the log must not survive.
    """

    partition: int

    @property
    def queued(self) -> int:
        """Rows offered and not yet processed."""

    @property
    def pending_bytes(self) -> int:
        """About how many bytes of rows and outputs wait for the next drain."""

    @property
    def clock_ms(self) -> int:
        """The partition's clock."""

    @property
    def halted(self) -> Input | None:
        """The input whose rejects halted the partition."""

    @property
    def waiting(self) -> bool:
        """Queued events wait for an input that has unread records."""

    @property
    def control_next(self) -> int:
        """The offset of the first control record that was not taken."""

    def take_control(self, lines: Iterable[ControlLine]) -> Mapping[Input, int]:
        """Take control records; return the halted inputs that go on, each with the offset to be offered next."""

    def offer(self, topic: Input, chunk: Chunk) -> None:
        """Take a chunk that continues where the last one of its input ended."""

    def end_reached(self, topic: Input, at_ms: int) -> None:
        """Hear that at wall time ``at_ms`` the input had nothing beyond what was offered."""

    def step(self, rows_max: int) -> int:
        """Merge and advance up to ``rows_max`` events, fire timers; return the events processed."""

    def give_up_waiting(self) -> None:
        """Go on without the input that is awaited; the partition counts it."""

    def due_now(self) -> bool:
        """Tell whether a bounded step left due timers over."""

    def drain(self) -> Batch:
        """Hand out everything since the last drain: rows, outputs, positions."""

    def load(self, keys: list[bytes], values: list[bytes | None]) -> None:
        """Take a chunk of the changelog, in order, without holder keys."""

    @property
    def layout(self) -> bytes:
        """The fingerprint of the layout of the rows in memory."""

    def saved(self) -> Snapshot:
        """Return all that the changelog holds, holder keys left out, right after everything was committed."""

    def restore(self, saved: Snapshot) -> None:
        """Take a snapshot of this layout, before anything of the changelog; its rows become the partition's."""

    def loaded(self) -> None:
        """Hear that the changelog has been read to its end."""

    def position(self, topic: Input) -> int:
        """Return the last offset of the input that is folded in, -1 if none."""


if TYPE_CHECKING:
    PartitionFactory = Callable[[int], PartitionPort]


class ControlSource(Protocol):
    """Knows the control topic, from its beginning."""

    def after(self, offset: int) -> Sequence[ControlLine]:
        """Return the records from an offset on."""


class Commit(NamedTuple):
    """One committed transaction, for those who watch."""

    partitions: int
    events: int
    changelog_records: int
    output_records: int
    record_bytes: int
    seconds: float


class Recovery(NamedTuple):
    """How far the changelogs of an assignment are read; by offsets, so what compaction removed counts too."""

    read: dict[int, int]
    unread: dict[int, int]
    seconds: float


class DeliveryObserver(Protocol):
    """Hears of every operational event of the delivery layer, once, on the main loop. Must not raise."""

    def on_committed(self, commit: Commit) -> None:
        """A transaction was committed."""

    def on_fenced(self, transactional_id: str) -> None:
        """A foreign holder of a partition was fenced."""

    def on_lag(self, lag: Mapping[Input, int]) -> None:
        """So many records of each input, of all owned partitions, were not yet read."""

    def on_stale(self, rows: int) -> None:
        """Records fetched under an older assignment were dropped; they will be fetched again."""

    def on_recovering(self, recovery: Recovery) -> None:
        """Changelogs are being read: told every two seconds, and when they are read to the end."""

    def on_loaded(self, partition: int, records: int, seconds: float) -> None:
        """A partition's changelog was read: how many records, and how long the whole recovery took."""

    def on_snapshot_read(self, partition: int, offset: int) -> None:
        """A snapshot was taken into memory; the changelog is read from its offset on."""

    def on_snapshot_refused(self, partition: int, reason: SnapshotRefusal, detail: str) -> None:
        """A snapshot is not used, and the whole changelog is read."""

    def on_snapshot_written(self, partition: int, size: int) -> None:
        """A snapshot of so many bytes was written."""

    def on_snapshot_failed(self, partition: int, error: OSError) -> None:
        """A snapshot could not be written: the next owner reads the whole changelog."""

    def on_acquired(self, partitions: frozenset[int], seconds: float) -> None:
        """The partitions are owned and their committed state is in memory."""

    def on_released(self, partitions: frozenset[int]) -> None:
        """The partitions were given up with everything committed."""

    def on_gave_up_waiting(self, partition: int) -> None:
        """The bounded wait for a lagging input ended without its records."""

    def on_unread_deleted(self, topic: str, partition: int, records: int) -> None:
        """Retention deleted records of an input before they were read."""


class NullObserver:
    """Watches nothing."""

    def on_committed(self, commit: Commit) -> None:
        """Ignore it."""

    def on_fenced(self, transactional_id: str) -> None:
        """Ignore it."""

    def on_lag(self, lag: Mapping[Input, int]) -> None:
        """Ignore it."""

    def on_stale(self, rows: int) -> None:
        """Ignore it."""

    def on_recovering(self, recovery: Recovery) -> None:
        """Ignore it."""

    def on_loaded(self, partition: int, records: int, seconds: float) -> None:
        """Ignore it."""

    def on_snapshot_read(self, partition: int, offset: int) -> None:
        """Ignore it."""

    def on_snapshot_refused(self, partition: int, reason: SnapshotRefusal, detail: str) -> None:
        """Ignore it."""

    def on_snapshot_written(self, partition: int, size: int) -> None:
        """Ignore it."""

    def on_snapshot_failed(self, partition: int, error: OSError) -> None:
        """Ignore it."""

    def on_acquired(self, partitions: frozenset[int], seconds: float) -> None:
        """Ignore it."""

    def on_released(self, partitions: frozenset[int]) -> None:
        """Ignore it."""

    def on_gave_up_waiting(self, partition: int) -> None:
        """Ignore it."""

    def on_unread_deleted(self, topic: str, partition: int, records: int) -> None:
        """Ignore it."""
