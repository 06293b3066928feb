"""One owned partition: decode, merge, memory, accounts and messages in sequence, and what there is to commit."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Final

from agents.beside import CLOCK, LAYOUT, META, RESERVED, Beside, Part, read_clock
from agents.dead_letter import add_refusals, dead_letter
from agents.observer import NullPartitionObserver, PartitionObserver, PartitionState
from agents.outbox import Outbox
from agents.reading import Reading
from agents.report import report
from schemas.control import ActivatePolicy, kind_of
from schemas.reasons import EventNote
from schemas.records import Batch, Snapshot
from streams.accounts import Accounts
from streams.brake import BRAKE
from streams.cells import WRITTEN
from streams.clock import ENDLESS_MS, NEVER_MS
from streams.control import CONTROL, Control
from streams.decode import Place
from streams.erased import ERASED
from streams.events import nothing_taken
from streams.inflow import INFLOW, Inflow
from streams.instants import instant_ms
from streams.intervals import reasons_waiting
from streams.memory import PREFIX, Memory
from streams.merge import POSITION, Merge, Progress, position_record, read_position
from streams.messages import Messages
from streams.plan import IN_FORCE_FROM
from streams.saved import saved_state
from streams.succession import succeed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas.records import Chunk
    from schemas.topics import Input
    from streams.control import ControlLine, Entry
    from streams.events import Decoded
    from streams.plan import Program

SWEEP_ROWS: Final = 500


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
        application: str | None = None,
    ) -> None:
        self.partition = partition
        self.accounts = Accounts(program)
        self.merge = Merge(program.policy.grace_s * 1000)
        self.control = Control(program, partition, partitions, application)
        self._place = Place(partition, partitions, keyed)
        self._reading = Reading(program, self.accounts, self._place)
        self._stops: list[Entry] = []  # policies, merges and joins to come, in their order
        self._memory = Memory()
        self._observer = observer or NullPartitionObserver()
        self.outbox = Outbox(partition, self._observer)
        self._events = self._waiting = 0
        self._sweeping = self._adopting = False
        self._committed: dict[Input, Progress] = {}
        self.inflow = Inflow()
        self.inflow.follow(program.policy, NEVER_MS)
        parts: dict[bytes, Part] = {
            CONTROL: self.control, ERASED: self.accounts.erased, BRAKE: self.outbox.brake, INFLOW: self.inflow,
        }  # fmt: skip
        self._beside = Beside(partitions, parts)

    # -- events in ----------------------------------------------------------------------------------------------

    @property
    def queued(self) -> int:
        """Events offered and not yet processed."""
        return self.merge.queued

    @property
    def pending_bytes(self) -> int:
        """About how many bytes of rows and outputs wait for the next drain."""
        return self.accounts.changed_bytes + self.outbox.size

    @property
    def clock_ms(self) -> int:
        """The partition's clock."""
        return self.merge.clock_ms

    @property
    def grace_ms(self) -> int:
        """How far the clock stays behind what is known of the inputs."""
        return self.merge.grace_ms

    @property
    def halted(self) -> Input | None:
        """The input whose rejects halted the partition."""
        return next((topic for topic, queue in self.merge.queues.items() if queue.halting), None)

    @property
    def waiting(self) -> bool:
        """Queued events wait for an input that has unread records."""
        return self.merge.waiting

    def offer(self, topic: Input, chunk: Chunk) -> None:
        """Take a chunk that continues where the last one of its input ended; as ``take_control`` at a policy's instant."""
        for decoded, last_offset in self._reading.parts(chunk, self.merge.queues[topic]):
            self._queue(topic, decoded, last_offset)

    def _queue(self, topic: Input, decoded: Decoded, last_offset: int) -> None:
        queue = self.merge.queues[topic]
        queue.offer(decoded, last_offset)
        # The position is beyond the rejects that nothing waits before: a drain from here on must have them.
        if passed := queue.passed_rejects():
            self.outbox.put([dead_letter(self.partition, topic, reject) for reject in passed])
            self._observer.on_step(self.partition, {}, [(topic, reject.reason) for reject in passed])
        if decoded.notes:
            self._observer.on_notes(self.partition, decoded.notes)

    def end_reached(self, topic: Input, at_ms: int) -> None:
        """Hear that at wall time ``at_ms`` the input had nothing beyond what was offered."""
        self.merge.queues[topic].end_reached(at_ms)
        self.outbox.wall_ms = max(self.outbox.wall_ms, at_ms)

    def give_up_waiting(self) -> None:
        """Go on without the inputs that are awaited."""
        self.merge.give_up_waiting()

    def due_now(self) -> bool:
        """Tell whether a bounded step left due timers over."""
        return self._sweeping

    def step(self, rows_max: int) -> int:
        """Merge and advance up to ``rows_max`` events, then fire what is due by the clock, in bounded steps."""
        if self._adopting or self.merge.has_come_to_stop():
            self._come_to_stop()
            return 0
        before, clock_before = self.merge.largest_ms, self.merge.clock_ms
        taken = self.merge.take(rows_max)
        count, moved = len(taken.columns), taken.clock.now_ms[0] > clock_before
        if not (count or taken.rejects or moved or self._sweeping):
            return 0
        notes = {}
        repeats = self._memory.judge(taken.columns, before) if count else 0
        if repeats:
            notes[EventNote.DUPLICATE] = repeats
        self._heard(self.inflow.take(taken.columns, int(taken.clock.now_ms[0])))
        messages = Messages(self.accounts, self.partition, taken)
        self.accounts.advance(taken.columns, taken.facts, taken.clock, messages.emit)  # type: ignore[arg-type]
        messages.tell_until(count)
        add_refusals(taken, self.accounts.keys)
        self.outbox.put([dead_letter(self.partition, topic, reject) for topic, reject in taken.rejects])
        self.merge.clock_ms = clock_ms = int(taken.clock.now_ms[0])
        self._heard(self.inflow.reach(clock_ms))
        is_running = clock_ms > NEVER_MS
        self._sweeping = is_running and not self.accounts.sweep(clock_ms, SWEEP_ROWS, count, messages.emit)
        self._events += count
        self._tell(messages)
        if not self._sweeping:
            self._settle()
        self._waiting += report(self._observer, self.partition, taken, self.accounts.cells.notes, notes)
        return count

    def sweep_all(self) -> None:
        """Fire everything that is due by the clock, under the policies that it passes."""
        clock_ms = self.merge.clock_ms
        while self._adopting or self.merge.stop_ms <= clock_ms:
            self.merge.clock_ms = min(clock_ms, self.merge.stop_ms - 1)
            self._come_to_stop()
        self.merge.clock_ms = clock_ms
        self._heard(self.inflow.reach(clock_ms))
        messages = self._messages()
        while not self.accounts.sweep(clock_ms, SWEEP_ROWS, 0, messages.emit):
            pass
        self._tell(messages)
        self._settle()

    def _heard(self, changed: bool) -> None:  # noqa: FBT001
        """Let silences wait, or be judged again, if what is known of the inputs changed that."""
        if changed:
            self.accounts.guard(self.inflow.guards())
            self.outbox.notify(self.inflow.take_notices())

    def _messages(self) -> Messages:
        nothing = nothing_taken(self.merge.clock())
        return Messages(self.accounts, self.partition, nothing, self.control.before)

    def _tell(self, messages: Messages) -> None:
        self.outbox.tell(messages, self.control.program.policy)

    def _settle(self) -> None:
        self.outbox.settle(self.merge.clock_ms, self.control.program.policy, self.accounts)

    # -- control ------------------------------------------------------------------------------------------------

    @property
    def control_next(self) -> int:
        """The offset of the first control record that was not taken."""
        return self.control.next_offset

    def take_control(self, lines: Iterable[ControlLine]) -> dict[Input, int]:
        """Take the control records that were not taken yet, in order.

        Returns:
            for each halted input that goes on now the offset from which it is to be offered.

        Raises:
            StateError: one of them cannot be followed.
        """
        for line in lines:
            if line.offset < self.control.next_offset:
                continue
            reached_ms = max(self.merge.offered_ms, self.merge.clock_ms)
            entry = self.control.take(line, reached_ms, self.merge.clock_ms)
            if entry is not None:
                late = entry.at_ms > instant_ms(entry.record.effective_at)
                self._observer.on_control(self.partition, kind_of(entry.record), late=late)
        return self._follow()

    def _follow(self) -> dict[Input, int]:
        """Let what was taken count."""
        mutes = self.control.mutes()
        self.accounts.mute(mutes)
        self.outbox.brake.mute(mutes)
        policies = self.control.to_come()
        self._reading.follow(policies, self.control.program_of)
        self._stops = sorted([*policies, *self.control.moves()], key=attrgetter("at_ms"))  # policies first
        self.merge.stop_ms = self._stops[0].at_ms if self._stops else ENDLESS_MS
        going_on = {}
        for topic, queue in self.merge.queues.items():
            queue.goes_on = self.control.goes_on(topic)
            if queue.go_on():
                going_on[topic] = queue.offered + 1
        return going_on

    def _come_to_stop(self) -> None:
        """Do a bounded step: fire what is due, let the next policy take hold, or accounts adopt it, or merge or join some."""
        self._sweeping = True
        messages, control = self._messages(), self.control
        if self._adopting:
            self._adopting = not self.accounts.adopt(
                SWEEP_ROWS, control.clock_ms, control.news(), messages.emit
            )
            if not self._adopting:
                control.adopted()
        else:
            self.merge.come_to_stop()
            self._heard(self.inflow.reach(self.merge.clock_ms))
            if self.accounts.sweep(self.merge.clock_ms, SWEEP_ROWS, 0, messages.emit):
                self._tell(messages)
                self._settle()
                messages, stop = self._messages(), self._stops[0]
                if isinstance(stop.record, ActivatePolicy):
                    self._take_hold(stop)
                else:
                    self._move(stop, messages)
        self._tell(messages)

    def _take_hold(self, stop: Entry) -> None:
        self.control.take_hold(stop, self.merge.clock_ms)
        unwritten = self.accounts.unwritten()
        self._use(self.control.program)
        self._settle()  # without a brake nothing waits from here on
        self.accounts.cells.changed[unwritten] |= WRITTEN
        self._adopting = True

    def _move(self, stop: Entry, messages: Messages) -> None:
        """Let a merge or a join count."""
        by, is_held = self.control.application, self.outbox.brake.is_held
        outcome, said = succeed(self.accounts, stop, self.merge.clock_ms, messages, by, is_held)
        self.outbox.say(said)
        self.control.moved(stop)
        self._follow()
        self._observer.on_merged(self.partition, outcome)

    def _use(self, program: Program) -> None:
        """Go on under a program, with the same accounts in the same rows."""
        if program is not self.accounts.program:
            self.accounts = self.accounts.under(program)
        self.inflow.follow(program.policy, int(program.plan.scalars[IN_FORCE_FROM]))
        self._heard(changed=True)  # first: what is due follows from how long silences waited
        self.accounts.loaded()
        self._reading = Reading(program, self.accounts, self._place)
        self.merge.grace_ms = program.policy.grace_s * 1000
        self._follow()
        self._waiting = reasons_waiting(self.accounts)

    # -- batches out --------------------------------------------------------------------------------------------

    def drain(self) -> Batch:
        """Hand out everything since the last drain: rows, memory, positions, outputs."""
        evaluated = self.accounts.take_evaluated()  # a snapshot has it; its clock must not lie before that
        outputs = self.outbox.drain(self.accounts, evaluated, self.clock_ms)
        rows, ended = self.accounts.take_changed()
        if ended:
            self._waiting = reasons_waiting(self.accounts)
        records = ended + self._memory.take_changed()
        self.accounts.give_back(self.merge.awaited_rows)
        positions = {topic: queue.progress for topic, queue in self.merge.queues.items()}
        beside = self._beside.take_changed()
        for topic, progress in positions.items():
            if self._committed.get(topic, Progress()) != progress:
                beside |= [position_record(topic, progress)]
        if evaluated or records or beside or len(rows.key_ends):
            self._beside.complete(beside, self.accounts.program, self.clock_ms)
        records += beside.items()
        events, self._events, self._committed = self._events, 0, positions
        is_known = self.outbox.wall_ms > NEVER_MS < self.clock_ms
        behind_s = max(0, self.outbox.wall_ms - self.clock_ms) / 1000 if is_known else 0.0
        state = PartitionState(
            behind_s, self.queued, self.halted is not None, int(self.accounts.cells.there[0]),
            self.accounts.program.policy.accounts_max, self.outbox.brake.held, self._waiting, self.inflow.stalled,
        )  # fmt: skip
        self._observer.on_state(self.partition, state)
        offsets = {topic: progress.offset for topic, progress in positions.items() if progress.offset >= 0}
        return Batch(self.partition, records, outputs, offsets, events, rows, self.outbox.take_control())

    # -- recovery -----------------------------------------------------------------------------------------------

    def load(self, keys: list[bytes], values: list[bytes | None]) -> None:
        """Take a chunk of the changelog, in order.

        Raises:
            StateError: it was written under another partition count, or by a newer program.
        """
        rows = [i for i, key in enumerate(keys) if key[0] != RESERVED]
        if len(rows) == len(keys):
            self.accounts.load(keys, values)
            return
        self.accounts.load([keys[i] for i in rows], [values[i] for i in rows])
        for key, value in zip(keys, values, strict=True):
            if key.startswith(PREFIX):
                self._memory.load(key, value)
            elif key[0] == RESERVED:
                self._load_beside(key, value)

    def _load_beside(self, key: bytes, value: bytes | None) -> None:
        if self._beside.load(key, value) or value is None:
            return
        if key.startswith(POSITION):
            self._load_progress(*read_position(key, value))
        elif key == CLOCK:
            self.merge.clock_ms = read_clock(value)
        elif key == META:
            self._beside.check_count(value)
        elif key.startswith(LAYOUT):
            self.accounts.foreign.learn_layout(key[len(LAYOUT) :], value)

    def _load_progress(self, topic: Input, progress: Progress) -> None:
        """Go on where the changelog ends, at once: a partition may be drained before `loaded` (with a holder key)."""
        queue = self.merge.queues[topic]
        if progress[:2] > queue.progress[:2]:
            assert not queue.queued, (
                f"{topic.name}: another owner went on from {queue.progress} to {progress}"
            )
            self.merge.restore(topic, progress)
            self._committed[topic] = progress

    @property
    def layout(self) -> bytes:
        """The fingerprint of the layout of the rows in memory."""
        return self.accounts.program.layout.fingerprint

    def saved(self) -> Snapshot:
        """Return all that the changelog holds, right after everything was drained and committed. Rows are not copied."""
        return saved_state(self.accounts, [*self._memory.saved(), *self._beside.held()])

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
        self.control.loaded()
        self._use(self.control.program)
        self._adopting, self._sweeping = self.control.before is not None, self.clock_ms > NEVER_MS
        self._memory.loaded()
        self.outbox.brake.loaded()
        self.outbox.views.waits = True

    def position(self, topic: Input) -> int:
        """Return the last offset of the input that is folded in, -1 if none."""
        return self.merge.queues[topic].progress.offset
