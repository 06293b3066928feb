"""One partition: records in offset order become events, the inputs are merged, repeats found, the clock moved."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from schemas.reasons import EventNote, Merged, RejectReason, ResolvedBy
from tests.auditor.account import Account, Outputs
from tests.auditor.control import NEVER_MUTED, Muting
from tests.auditor.ends import Erasures
from tests.auditor.event import Event, Recorded, decode
from tests.auditor.exact import DAY_MS
from tests.auditor.merging import Join, Merge, copied, join_of, renamed, take_in
from tests.auditor.wire import Rejected

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from schemas.topics import Input
    from tests.auditor.settings import Settings

REJECTS_MAX = 100
NO_APPLICATION = ""
"""A replay is that of none."""
GENERATION_MAX = 250_000


class Reject(NamedTuple):
    offset: int
    reason: RejectReason


class Key(NamedTuple):
    """Place of an accepted record in the merge order."""

    time_ms: float
    rank: int
    offset: float


NOTHING_BEFORE = Key(-inf, 0, -inf)


@dataclass
class Lane:
    """One input of one partition, decoded up to the record at which it halted, if it did."""

    events: list[Event] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    halted_at: int | None = None


def decode_lane(records: Sequence[Recorded], settings: Settings, partitions: int, *, keyed: bool) -> Lane:
    """Decode the records of one input of one partition, in offset order; stop at the 100th reject in a row."""
    lane = Lane()
    in_a_row = 0
    for record in records:
        try:
            lane.events.append(decode(record, settings, partitions, keyed=keyed))
            in_a_row = 0
        except Rejected as rejected:
            lane.rejects.append(Reject(record.offset, rejected.reason))
            in_a_row += 1
        if in_a_row == REJECTS_MAX:
            lane.halted_at = record.offset
            break
    return lane


def keyed_events(events: Sequence[Event]) -> list[tuple[Key, Event]]:
    """Return the events of one input with their keys: the running maximum of the time, the rank, the offset."""
    found = []
    largest = -inf
    for event in events:
        largest = max(largest, event.time_ms)
        found.append((Key(largest, int(event.input), event.offset), event))
    return found


@dataclass
class Memory:
    """Ids of the present and the former generation, each of one UTC day, or less if it was full."""

    day: int | None = None
    current: set[Hashable] = field(default_factory=set)
    previous: set[Hashable] = field(default_factory=set)

    def begin(self, day: int) -> None:
        """Begin a new generation if the day is another or the current one is full."""
        if self.day != day:
            self.previous = self.current if self.day == day - 1 else set()
            self.day, self.current = day, set()
        elif len(self.current) >= GENERATION_MAX:
            self.previous, self.current = self.current, set()

    def knows(self, key: Hashable) -> bool:
        return key in self.current or key in self.previous

    def add(self, key: Hashable) -> None:
        self.current.add(key)


class Partition:
    """The accounts of one partition, and all that is judged per partition."""

    def __init__(
        self, number: int, settings: Settings, muting: Muting = NEVER_MUTED, moves: Sequence[Merge] = ()
    ) -> None:
        """`moves`: merges that concern this partition, in the order in which they count."""
        self.number = number
        self.settings = settings
        self.muting = muting
        self.made: list[Join] = []
        self.gone: list[str] = []
        self.moved: list[Merged] = []
        self._moves: list[Merge | Join] = list(moves)
        self.accounts: dict[str, Account] = {}
        self.outputs = Outputs()
        self.notes: Counter[str] = Counter()
        self.rejects: list[tuple[Input, Reject]] = []
        self.halts: list[tuple[Input, int]] = []
        self.left = 0
        self._memory = Memory()
        self._erasures = Erasures()
        self._largest_key_ms = -inf
        self._largest_time_ms = -inf
        self._clock_ms = -inf
        self._soonest_ms: float = inf

    def expect(self, join: Join) -> None:
        """Take a join that was made while this partition ran, in another one or in itself."""
        self._moves = sorted([*self._moves, join], key=_place)

    def run(self, lanes: dict[Input, Lane], until_ms: int | None) -> Iterator[float]:
        """Take the events of all inputs in the order of their keys, and move the clock after each.

        Yields:
            The place of what comes next; it is to be resumed as no other partition has anything to do before that.
        """
        self.halts = [(i, lane.halted_at) for i, lane in lanes.items() if lane.halted_at is not None]
        queues = {i: keyed_events(lane.events) for i, lane in lanes.items()}
        barrier = self._barrier(queues)
        taken = {
            i: [(key, event) for key, event in queue if _is_taken(key, barrier, until_ms)]
            for i, queue in queues.items()
        }
        left = {i: queue[len(taken[i]) :] for i, queue in queues.items()}
        self.left = sum(map(len, left.values()))
        self._collect_rejects(lanes, left)
        yield from self._take_all(taken, endless={i for i in left if left[i]} | {i for i, _ in self.halts})
        if not self.halts:
            end_ms = self._largest_time_ms - self.settings.grace_ms if until_ms is None else until_ms
            yield from self._move_accounts(end_ms, on_the_way_ms=0)
            self._move_clock(end_ms)

    def _barrier(self, queues: dict[Input, list[tuple[Key, Event]]]) -> Key | None:
        """Return the last key that a halt lets pass: that of the halted input's last event. None without a halt."""
        return min((queues[i][-1][0] if queues[i] else NOTHING_BEFORE for i, _ in self.halts), default=None)

    def _collect_rejects(self, lanes: dict[Input, Lane], left: dict[Input, list[tuple[Key, Event]]]) -> None:
        """Keep the rejects that lie before the first event of their input that is not taken."""
        for i, lane in lanes.items():
            end = left[i][0][0].offset if left[i] else inf
            self.rejects += [(i, reject) for reject in lane.rejects if reject.offset < end]

    def _take_all(self, taken: dict[Input, list[tuple[Key, Event]]], endless: set[Input]) -> Iterator[float]:
        """Take events in order; an input that holds more than these never comes to its end."""
        left = {i: len(queue) for i, queue in taken.items()}
        frontiers = {i: -inf if left[i] or i in endless else inf for i in taken}
        for key, event in sorted((pair for queue in taken.values() for pair in queue), key=_key):
            yield from self._move_accounts(key.time_ms, on_the_way_ms=self.settings.grace_ms)
            self._take(key, event)
            left[event.input] -= 1
            has_more = left[event.input] > 0 or event.input in endless
            frontiers[event.input] = key.time_ms if has_more else inf
            self._follow(frontiers)

    def _follow(self, frontiers: dict[Input, float]) -> None:
        frontier = min(frontiers.values())
        if frontier < inf:
            self._move_clock(frontier - self.settings.grace_ms)

    def _move_accounts(self, place_ms: float, on_the_way_ms: int) -> Iterator[float]:
        """Do the merges and joins whose place is not after an instant, each as the clock has come to just before it.

        Args:
            place_ms: the instant: of the next event's key, or of the clock in the end.
            on_the_way_ms: by how much the clock stays behind what was read.
        """
        while True:
            next_ms = self._next_place(place_ms)
            yield next_ms
            if self._next_place(place_ms) < next_ms:
                continue
            if not self._moves or self._moves[0].at_ms > place_ms:
                return
            move = self._moves.pop(0)
            self._move_clock(min(move.at_ms - on_the_way_ms, move.at_ms - 1))
            self.moved.append(self._merge(move) if isinstance(move, Merge) else self._join(move))

    def _next_place(self, place_ms: float) -> float:
        return min(place_ms, self._moves[0].at_ms) if self._moves else place_ms

    def _merge(self, merge: Merge) -> Merged:
        if merge.old == merge.new:
            return Merged.SAME
        self._fire(merge.old, merge.at_ms)
        account = self.accounts.pop(merge.old, None)
        if account is None:
            return Merged.NOT_THERE
        self.made.append(join_of(merge, copied(account), NO_APPLICATION))
        self._end(account, merge.at_ms, ResolvedBy.MERGED)
        self._erasures.remember(merge.old, merge.at_ms, by_merge=True)
        return Merged.ENDED

    def _join(self, join: Join) -> Merged:
        name = join.new
        if self._erasures.leave_out(name, join.at_ms) and not self._erasures.is_merged(name):
            return Merged.ERASED
        self._fire(name, join.at_ms)
        is_there = name in self.accounts
        if is_there:
            self.notes.update(note.value for note in take_in(self.accounts[name], join))
        else:
            self.accounts[name] = renamed(join, self.number, self.muting)
        self.accounts[name].be_merged(self.outputs)
        self._soonest_ms = min(self._soonest_ms, self.accounts[name].next_instant(join.at_ms))
        return Merged.JOINED if is_there else Merged.RENAMED

    def _take(self, key: Key, event: Event) -> None:
        self._largest_key_ms = max(self._largest_key_ms, key.time_ms)
        self._largest_time_ms = max(self._largest_time_ms, event.time_ms)
        notes = set(event.notes)
        if self._is_duplicate(event):
            notes.add(EventNote.DUPLICATE)
        else:
            notes |= self._apply(event)
        self.notes.update(note.value for note in notes)

    def _is_duplicate(self, event: Event) -> bool:
        self._memory.begin(int(self._largest_key_ms // DAY_MS))
        keys: list[Hashable] = [(event.input, event.event_id)]
        if event.natural_key is not None:
            keys.append((*event.natural_key, event.time_ms))
        if any(self._memory.knows(key) for key in keys):
            return True
        for key in keys:
            self._memory.add(key)
        return False

    def _apply(self, event: Event) -> set[EventNote]:
        name, ends = event.account_id, self.settings.ends
        if not event.erases and self._erasures.leave_out(name, event.time_ms):
            return {EventNote.MERGED if self._erasures.is_merged(name) else EventNote.ERASED}
        self._fire(name, event.time_ms)
        account = self.accounts.get(name) or Account(name, self.number, self.settings, self.muting)
        now_ms = account.now_of(event, self._clock_ms)
        if event.erases:
            self._end(account, now_ms, ResolvedBy.ERASED)
            self.accounts.pop(name, None)
            self._erasures.remember(name, now_ms + ends.erased_ms)
            return set()
        if name not in self.accounts:
            if len(self.accounts) >= ends.accounts_max:
                self.rejects.append((event.input, Reject(event.offset, RejectReason.TOO_MANY_ACCOUNTS)))
                return set()
            account.begin_numbers_at(now_ms)
            self.accounts[name] = account
        notes = account.take(event, self._clock_ms, self.outputs)
        assert account.now_ms is not None
        self._soonest_ms = min(self._soonest_ms, account.next_instant(account.now_ms))
        return notes

    def _fire(self, name: str, end_ms: int) -> None:
        """Fire the instants of an account, if it is there; it may not be any more then."""
        if name in self.accounts:
            self.accounts[name].fire_until(end_ms, self.outputs)
            if self.accounts[name].has_ended:
                del self.accounts[name]
                self.gone.append(name)

    def _end(self, account: Account, now_ms: int, by: ResolvedBy) -> None:
        account.end(now_ms, by, self.outputs)
        self.gone.append(account.account_id)

    def _move_clock(self, clock_ms: float) -> None:
        """Move the clock and fire what is due in every account."""
        self._clock_ms = max(self._clock_ms, clock_ms)
        if self._clock_ms < self._soonest_ms:
            return
        self._soonest_ms = inf
        for name in list(self.accounts):
            self._fire(name, int(self._clock_ms))
        for account in self.accounts.values():
            assert account.now_ms is not None
            self._soonest_ms = min(self._soonest_ms, account.next_instant(account.now_ms))


def _place(move: Merge | Join) -> tuple[int, int, str]:
    """Return what orders merges and joins: of one instant merges come first, then joins, as they lie in the topic."""
    return (move.at_ms, move.said_ms, move.key) if isinstance(move, Join) else (move.at_ms, 0, "")


def _key(pair: tuple[Key, Event]) -> Key:
    return pair[0]


def _is_taken(key: Key, barrier: Key | None, until_ms: int | None) -> bool:
    return (barrier is None or key <= barrier) and (until_ms is None or key.time_ms <= until_ms)
