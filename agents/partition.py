"""One owned partition: decode, merge, memory, accounts and messages in sequence, and what there is to commit."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from agents.observer import NullPartitionObserver, PartitionObserver
from schemas.errors import StateError
from schemas.outputs import DEAD_LETTER_KEY_BYTES_MAX, DEAD_LETTER_VALUE_BYTES_MAX
from schemas.reasons import EventNote
from schemas.records import Batch, OutputRecord, Snapshot
from schemas.topics import INPUT_TOPICS, Input, Output
from streams.accounts import Accounts
from streams.cells import AMOUNT_LEFT_OUT, LATE_FOR_RHYTHM, TOO_LATE
from streams.clock import NEVER_MS
from streams.decode import Decoder, Place
from streams.events import EVENT_INPUT, no_events
from streams.layout import VIEW_DUE
from streams.memory import PREFIX, Memory
from streams.merge import Merge, Progress, Taken
from streams.messages import Messages
from streams.migration import describe
from streams.view_queue import ViewQueue, is_behind
from streams.views import view_records

if TYPE_CHECKING:
    from schemas.records import Chunk
    from streams.events import Reject
    from streams.plan import Program

POSITION: Final = b"\0pos:"
META: Final = b"\0meta"
LAYOUT: Final = b"\0layout:"
"""Followed by a fingerprint: what is needed to read rows that begin with it."""
SWEEP_ROWS: Final = 500
_PROGRESS: Final = struct.Struct("<qqiB")

_NOTES: Final = {
    LATE_FOR_RHYTHM: EventNote.LATE_FOR_RHYTHM,
    TOO_LATE: EventNote.TOO_LATE,
    AMOUNT_LEFT_OUT: EventNote.AMOUNT_LEFT_OUT,
}


class Partition:
    """Implements ``PartitionPort``: everything about what events mean, nothing about how they arrive."""

    def __init__(
        self,
        program: Program,
        *,
        partition: int,
        partitions: int,
        observer: PartitionObserver | None = None,
        keyed: bool = True,
    ) -> None:
        self.partition = partition
        self.accounts = Accounts(program)
        self.merge = Merge(program.policy.grace_s * 1000)
        self.grace_ms = program.policy.grace_s * 1000
        self._partitions = partitions
        self._decoder = Decoder(program.policy, self.accounts, Place(partition, partitions, keyed))
        self._memory = Memory()
        self._observer = observer or NullPartitionObserver()
        self._outputs: list[OutputRecord] = []
        self._output_bytes = 0
        self._urgent: set[int] = set()
        self._view_queue = ViewQueue()
        self._views_wait = False
        self._wall_ms = NEVER_MS
        self._events = 0
        self._sweeping = False
        self._committed: dict[Input, Progress] = {}
        self._fixed = {
            META: msgspec.json.encode({"partitions": partitions}),
            LAYOUT + program.layout.fingerprint: describe(program.layout),
        }
        """What the first batch of an owner adds, where the changelog has it not."""
        self._beside: dict[bytes, bytes] = {}
        """What the changelog holds beside accounts and the memory of ids."""

    # -- events in ----------------------------------------------------------------------------------------------

    @property
    def queued(self) -> int:
        """Events offered and not yet processed."""
        return self.merge.queued

    @property
    def pending_bytes(self) -> int:
        """About how many bytes of rows and outputs wait for the next drain."""
        return self.accounts.changed_bytes + self._output_bytes

    @property
    def clock_ms(self) -> int:
        """The partition's clock."""
        return self.merge.clock_ms

    @property
    def halted(self) -> Input | None:
        """The input whose rejects halted the partition."""
        return next((topic for topic, queue in self.merge.queues.items() if queue.halting), None)

    @property
    def waiting(self) -> bool:
        """Queued events wait for an input that has unread records."""
        bound = self.merge.bound
        return self.queued > 0 and not any(
            len(found[0]) for queue in self.merge.queues.values() if (found := queue.ready(bound, 1))
        )

    def offer(self, topic: Input, chunk: Chunk) -> None:
        """Take a chunk that continues where the last one of its input ended."""
        decoded = self._decoder.decode(topic, chunk)
        self.merge.queues[topic].offer(decoded, int(chunk.offsets[-1]))
        if decoded.notes:
            self._observer.on_notes(self.partition, decoded.notes)

    def end_reached(self, topic: Input, at_ms: int) -> None:
        """Hear that at wall time ``at_ms`` the input had nothing beyond what was offered."""
        self.merge.queues[topic].end_reached(at_ms)
        self._wall_ms = max(self._wall_ms, at_ms)

    def give_up_waiting(self) -> None:
        """Go on without the inputs that are awaited."""
        self.merge.give_up_waiting()

    def due_now(self) -> bool:
        """Tell whether a bounded step left due timers over."""
        return self._sweeping

    def step(self, rows_max: int) -> int:
        """Merge and advance up to ``rows_max`` events, then fire what is due by the clock, in bounded steps."""
        before = self.merge.largest_ms
        clock_before = self.merge.clock_ms
        taken = self.merge.take(rows_max)
        count = len(taken.columns)
        self._put_out([self._dead_letter(topic, reject) for topic, reject in taken.rejects])
        moved = taken.clock.now_ms[0] > clock_before
        if not (count or taken.rejects or moved or self._sweeping):
            return 0
        notes = {}
        repeats = self._memory.judge(taken.columns, before) if count else 0
        if repeats:
            notes[EventNote.DUPLICATE] = repeats
        messages = Messages(self.accounts, self.partition, taken)
        self.accounts.advance(taken.columns, taken.facts, taken.clock, messages.emit)  # type: ignore[arg-type]
        messages.tell_until(count)
        self.merge.clock_ms = int(taken.clock.now_ms[0])
        if self.merge.clock_ms > NEVER_MS:
            self._sweeping = not self.accounts.sweep(self.merge.clock_ms, SWEEP_ROWS, count, messages.emit)
        self._events += count
        self._put_out(messages.records)
        self._urgent |= messages.urgent
        self._report(taken, messages, notes)
        return count

    def sweep_all(self) -> None:
        """Fire everything that is due by the clock."""
        nothing = Taken(no_events(), [], [], [], self.merge.clock())
        messages = Messages(self.accounts, self.partition, nothing)
        while not self.accounts.sweep(self.merge.clock_ms, SWEEP_ROWS, 0, messages.emit):
            pass
        self._put_out(messages.records)
        self._urgent |= messages.urgent
        self._observer.on_outputs(messages.score_changes, messages.alerts)

    def _put_out(self, records: list[OutputRecord]) -> None:
        self._outputs += records
        self._output_bytes += sum(len(record.value) for record in records)

    def _report(self, taken: Taken, messages: Messages, notes: dict[EventNote, int]) -> None:
        late = self.accounts.cells.notes
        if late.any():
            notes |= {note: int(late[cell]) for cell, note in _NOTES.items()}
            late[:] = 0
        if notes:
            self._observer.on_notes(self.partition, notes)
        counts = np.bincount(taken.columns[:, EVENT_INPUT], minlength=len(Input)).tolist()
        rejects = [(topic, reject.reason) for topic, reject in taken.rejects]
        self._observer.on_step(self.partition, dict(zip(Input, counts, strict=True)), rejects)
        self._observer.on_outputs(messages.score_changes, messages.alerts)

    def _dead_letter(self, topic: Input, reject: Reject) -> OutputRecord:
        value = reject.value or b""
        headers = (
            ("latido_reason", str(reject.reason).encode()),
            ("latido_detail", reject.detail.encode("utf-8", "replace")[:1000]),
            ("latido_topic", INPUT_TOPICS[topic].name.encode()),
            ("latido_partition", b"%d" % self.partition),
            ("latido_offset", b"%d" % reject.offset),
            ("latido_key_bytes", b"%d" % len(reject.key or b"")),
            ("latido_value_bytes", b"%d" % len(value)),
        )
        key = None if reject.key is None else reject.key[:DEAD_LETTER_KEY_BYTES_MAX]
        return OutputRecord(Output.DEAD_LETTERS, key, value[:DEAD_LETTER_VALUE_BYTES_MAX], headers)

    # -- batches out --------------------------------------------------------------------------------------------

    def drain(self) -> Batch:
        """Hand out everything since the last drain: rows, memory, positions, outputs."""
        outputs = self._outputs + self._views(self.accounts.take_evaluated())
        changelog = self.accounts.take_changed() + self._memory.take_changed()
        positions = {topic: queue.progress for topic, queue in self.merge.queues.items()}
        beside = {
            POSITION + b"%d" % topic: _PROGRESS.pack(*progress)
            for topic, progress in positions.items()
            if self._committed.get(topic, Progress()) != progress
        }
        if changelog or beside:
            beside |= {key: value for key, value in self._fixed.items() if key not in self._beside}
        self._beside |= beside
        changelog += beside.items()
        events, self._events, self._committed = self._events, 0, positions
        self._outputs, self._output_bytes = [], 0
        self._observer.on_state(
            self.partition,
            behind_s=max(0, self._wall_ms - self.merge.clock_ms) / 1000
            if self._wall_ms > NEVER_MS < self.clock_ms
            else 0.0,
            queued=self.queued,
            halted=self.halted is not None,
            accounts=len(self.accounts),
        )
        offsets = {topic: progress.offset for topic, progress in positions.items() if progress.offset >= 0}
        return Batch(self.partition, changelog, outputs, offsets, events)

    def _views(self, evaluated: list[int]) -> list[OutputRecord]:
        urgent, self._urgent = self._urgent, set()
        if is_behind(self._wall_ms, self.clock_ms):
            self._views_wait = True
            return []
        due = self.accounts.cells.u8[: len(self.accounts), VIEW_DUE]
        self._view_queue.add(np.nonzero(due)[0].tolist() if self._views_wait else evaluated)
        self._views_wait = False
        chosen = self._view_queue.take(urgent, self._wall_ms)
        due[chosen] = 0
        return view_records(self.accounts, chosen)

    # -- recovery -----------------------------------------------------------------------------------------------

    def load(self, keys: list[bytes], values: list[bytes | None]) -> None:
        """Take a chunk of the changelog, in order.

        Raises:
            StateError: it was written under another partition count, or by a newer program.
        """
        rows = [i for i, key in enumerate(keys) if key[0] != 0]
        if len(rows) == len(keys):
            self.accounts.load(keys, values)
            return
        self.accounts.load([keys[i] for i in rows], [values[i] for i in rows])
        for key, value in zip(keys, values, strict=True):
            if key.startswith(PREFIX):
                self._memory.load(key, value)
            elif key[0] == 0 and value is not None:
                self._beside[key] = value
                self._load_beside(key, value)

    def _load_beside(self, key: bytes, value: bytes) -> None:
        if key.startswith(POSITION):
            self._load_progress(Input(int(key[len(POSITION) :])), Progress(*_PROGRESS.unpack(value)))
        elif key == META:
            self._check_count(msgspec.json.decode(value)["partitions"])
        elif key.startswith(LAYOUT):
            self.accounts.learn_layout(key[len(LAYOUT) :], value)

    def _load_progress(self, topic: Input, progress: Progress) -> None:
        """Go on where the changelog ends, at once: a partition may be drained before `loaded` (with a holder key).

        A partition that stays in memory keeps what is queued; it finds its own progress here, or nothing.
        """
        queue = self.merge.queues[topic]
        if progress.offset > queue.progress.offset:
            assert not queue.queued, (
                f"{topic.name}: another owner went on from {queue.progress} to {progress}"
            )
            self.merge.restore(topic, progress)
            self._committed[topic] = progress

    def _check_count(self, written: int) -> None:
        if written != self._partitions:
            raise StateError(
                f"The account table was written for {written} partitions, the input topics have {self._partitions} now. "
                "Accounts would be scored apart from their history. Set the topics back, or start a new application: give "
                "LATIDO_APPLICATION_ID a new name and create its topics."
            )

    @property
    def layout(self) -> bytes:
        """The fingerprint of the layout of the rows in memory."""
        return self.accounts.program.layout.fingerprint

    def saved(self) -> Snapshot:
        """Return all that the changelog holds, right after everything was drained and committed. Rows are not copied."""
        return self.accounts.saved([*self._memory.saved(), *self._beside.items()])

    def restore(self, saved: Snapshot) -> None:
        """Take a snapshot of this layout, before anything of the changelog.

        Raises:
            StateError: as ``load``.
        """
        self.accounts.restore(saved)
        if saved.others:
            self.load(*map(list, zip(*saved.others, strict=True)))

    def loaded(self) -> None:
        """Migrate what was written under another layout, and derive what is not written.

        Raises:
            StateError: a layout is not described, or a time zone not known.
        """
        self.accounts.loaded()
        self._memory.loaded()
        self._views_wait = True

    def position(self, topic: Input) -> int:
        """Return the last offset of the input that is folded in, -1 if none."""
        return self.merge.queues[topic].progress.offset
