"""How many events of an input come in an hour, and when that is far too few: a source that is stalled is not silence.

hour        9    10   11   12   13   14   15        usual: 30 an hour; expected_min 20, share 0.2, back 0.5
came        31   28   0    3    29   33   30
stalled     .    .    F    .    B    .    .         F: from the end of hour 11 silences wait; B: the inflow is back, and after
                                                    settle_hours more those that are left are told
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from schemas.policy import HOLD_DAYS_MAX, INFLOW_WEEKS_MAX
from schemas.reasons import Status, Trouble
from schemas.topics import INPUT_BY_NAME, INPUT_TOPICS, Input
from streams.clock import NEVER_MS
from streams.days import DAY_MS
from streams.events import EVENT_INPUT, EVENT_KEY, EVENT_ROW, NO_ROW
from streams.notices import Notice
from streams.plan import HOUR_MS

if TYPE_CHECKING:
    import numpy.typing as npt

    from schemas.policy import Policy, StalledSources

INFLOW: Final = b"\0inflow"
"""The key of what is kept of all inputs; followed by a colon and an input's rank: its closed hours."""
WEEK_HOURS: Final = 168
LOOK_BACK_HOURS: Final = 24
KEPT_MS: Final = 400 * DAY_MS
WAITS_MAX: Final = 64
"""How long waits are kept that are over, and how many: their time is no silence."""
KEPT_HOURS: Final = INFLOW_WEEKS_MAX * WEEK_HOURS + LOOK_BACK_HOURS
SETTLED_HOURS: Final = KEPT_HOURS + HOLD_DAYS_MAX * 24
"""After so many hours without an event nothing is usual and nothing waits: of those that follow only the newest matter."""
UNKNOWN: Final = -1
"""An hour that was not seen whole. One that was stalled, with ``n`` events, is kept as ``-2 - n`` and no measure of others."""
NO_HOUR: Final = -1
FLOWING, STALLED, BACK, SPENT = range(4)
"""States of an input. ``SPENT``: it was stalled for so long that nothing waits any more."""
_WAITING: Final = (STALLED, BACK)


class _Source(msgspec.Struct):
    """An input: its state, the interval in which silences wait, usual and seen when it was last judged.

    ``first`` is the last hour that was not seen whole, ``open`` the events of hours that are not closed.
    """

    first: int
    state: int = FLOWING
    from_ms: int = 0
    end_ms: int = 0
    open: dict[int, int] = {}
    usual: int = 0
    seen: int = 0


class _Standing(msgspec.Struct):
    """The greatest key or clock so far, the first hour that is not closed, inputs by rank, intervals of the past."""

    reach_ms: int = NEVER_MS
    hour: int = NO_HOUR
    sources: dict[int, _Source] = {}
    past: list[tuple[int, int]] = []


class Inflow:
    """What is known of the inputs of one partition."""

    def __init__(self) -> None:
        self._notices: list[Notice] = []
        self._numbers: StalledSources | None = None
        self._grace_ms = 0
        self._standing = _Standing()
        self._hours: dict[int, list[int]] = {}
        self._touched: set[int] = set()
        self._written: set[int] = set()
        self._saved = msgspec.json.encode(self._standing)

    @property
    def stalled(self) -> frozenset[Input]:
        """The inputs for which silences wait now."""
        sources = self._standing.sources.items()
        return frozenset(Input(rank) for rank, source in sources if source.state in _WAITING)

    def take_notices(self) -> list[Notice]:
        """Return what operators should hear of since the last call."""
        notices, self._notices = self._notices, []
        return notices

    def follow(self, policy: Policy, from_ms: int) -> None:
        """Go by the numbers of a policy in force; what it does not name ends at once, not before ``from_ms``."""
        self._numbers, self._grace_ms = policy.stalled_sources, policy.grace_s * 1000
        named = [] if self._numbers is None else [INPUT_BY_NAME[name] for name in self._numbers.inputs]
        standing = self._standing
        for rank, source in list(standing.sources.items()):
            if Input(rank) not in named:
                if source.state in _WAITING:
                    source.end_ms = min(source.end_ms, max(standing.reach_ms + 1, from_ms))
                    self._end(Input(rank), source)
                del standing.sources[rank]
                self._hours.pop(rank, None)
                self._touched.add(rank)
        if not named:
            standing.hour = NO_HOUR
        elif standing.hour != NO_HOUR:
            self._begin(standing.reach_ms // HOUR_MS)

    def _begin(self, hour: int) -> None:
        """Count the inputs that were not counted yet; of those the hour is not seen whole."""
        assert self._numbers is not None
        for name in self._numbers.inputs:
            self._standing.sources.setdefault(int(INPUT_BY_NAME[name]), _Source(hour))

    # -- events and time ----------------------------------------------------------------------------------------

    def take(self, columns: npt.NDArray[np.int64], clock_ms: int) -> bool:
        """Count events in merge order, from the clock before them; return whether the intervals changed."""
        changed = self.reach(clock_ms)
        if self._numbers is None or not len(columns):
            return changed
        hours, standing = columns[:, EVENT_KEY] // HOUR_MS, self._standing
        if standing.hour == NO_HOUR:
            standing.hour = int(hours[0])
            self._begin(standing.hour)
        starts = np.concatenate([[0], np.flatnonzero(np.diff(hours)) + 1])
        counted, inputs = columns[:, EVENT_ROW] != NO_ROW, columns[:, EVENT_INPUT]
        counts = {
            rank: np.add.reduceat((counted & (inputs == rank)).astype(np.int64), starts).tolist()
            for rank in standing.sources
        }
        for i, hour in enumerate(hours[starts].tolist()):
            changed |= self.reach(hour * HOUR_MS)
            for rank, source in standing.sources.items() if hour >= standing.hour else ():
                source.open[hour] = source.open.get(hour, 0) + counts[rank][i]
        return self.reach(int(columns[-1, EVENT_KEY])) or changed

    def reach(self, at_ms: int) -> bool:
        """Close the hours that ended by an instant, the grace before; return whether the intervals changed."""
        standing, numbers, changed = self._standing, self._numbers, False
        if at_ms <= standing.reach_ms:
            return False
        standing.reach_ms = at_ms
        last, quiet = (at_ms - self._grace_ms) // HOUR_MS - 1, 0
        while numbers is not None and standing.hour != NO_HOUR and standing.hour <= last:
            quiet = 0 if any(source.open for source in standing.sources.values()) else quiet + 1
            if quiet > SETTLED_HOURS:
                standing.hour = max(standing.hour, last - KEPT_HOURS)
            told_ms = (standing.hour + 1) * HOUR_MS + self._grace_ms
            for rank, source in standing.sources.items():
                changed |= self._close(Input(rank), source, told_ms, numbers)
            standing.hour += 1
        return changed

    def _close(self, topic: Input, source: _Source, told_ms: int, numbers: StalledSources) -> bool:
        """Judge an input as an hour is closed, which is told at an instant; return whether its interval changed."""
        hour, hours = self._standing.hour, self._hours.setdefault(int(topic), [UNKNOWN] * KEPT_HOURS)
        count, is_whole = source.open.pop(hour, 0), hour > source.first
        hours[hour % KEPT_HOURS] = count if is_whole else UNKNOWN
        self._touched.add(int(topic))
        usual, seen = _window(hours, hour, numbers)
        before = source.state, source.end_ms
        self._judge(topic, source, usual, seen, told_ms, numbers)
        if source.state in (STALLED, SPENT) and is_whole:
            hours[hour % KEPT_HOURS] = -2 - count
        return before != (source.state, source.end_ms)

    def _judge(
        self, topic: Input, source: _Source, usual: int, seen: int, told_ms: int, numbers: StalledSources
    ) -> None:
        is_low = usual > 0 and 1_000_000 * seen < round(1000 * numbers.stalled_below) * usual
        is_back = usual > 0 and 1_000_000 * seen >= round(1000 * numbers.back_from) * usual
        source.usual, source.seen = usual // 1000, seen
        if source.state in _WAITING and told_ms >= source.end_ms:
            self._end(topic, source)
        if source.state == FLOWING and is_low:
            source.state, source.from_ms = STALLED, told_ms
            source.end_ms = told_ms + numbers.hold_days * DAY_MS
            self._note(topic, source, Status.FIRING, told_ms)
        elif source.state == STALLED and is_back:
            source.state = BACK
            source.end_ms = min(source.end_ms, told_ms + numbers.settle_hours * HOUR_MS)
        elif source.state == BACK and is_low:
            source.state, source.end_ms = STALLED, source.from_ms + numbers.hold_days * DAY_MS
        elif source.state == SPENT and is_back:
            source.state = FLOWING

    def _end(self, topic: Input, source: _Source) -> None:
        """Let nothing wait any more for an input."""
        self._note(topic, source, Status.RESOLVED, source.end_ms)
        past = [*self._standing.past, (source.from_ms, source.end_ms)]
        self._standing.past = [span for span in past if span[1] >= source.end_ms - KEPT_MS][-WAITS_MAX:]
        source.state = SPENT if source.state == STALLED else FLOWING

    def _note(self, topic: Input, source: _Source, status: Status, at_ms: int) -> None:
        name = INPUT_TOPICS[topic].name
        notice = Notice(
            Trouble.STALLED_SOURCE, name, status, at_ms, source.from_ms, source.usual, source.seen
        )
        self._notices.append(notice)

    # -- what waits ---------------------------------------------------------------------------------------------

    def guards(self) -> npt.NDArray[np.int64]:
        """Return the intervals in which silences wait, (intervals, 2) in ms, in order and apart from each other."""
        sources = self._standing.sources.values()
        now = [(source.from_ms, source.end_ms) for source in sources if source.state in _WAITING]
        found: list[list[int]] = []
        for from_ms, end_ms in sorted([*self._standing.past, *now]):
            if found and from_ms <= found[-1][1]:
                found[-1][1] = max(found[-1][1], end_ms)
            else:
                found.append([from_ms, end_ms])
        return np.array(found, np.int64).reshape(len(found), 2)

    # -- changelog ----------------------------------------------------------------------------------------------

    def take_changed(self) -> list[tuple[bytes, bytes | None]]:
        """Return the changelog records of what changed since the last call."""
        records: list[tuple[bytes, bytes | None]] = []
        for rank in sorted(self._touched):
            hours = self._hours.get(rank)
            if hours is not None:
                records.append((_key(rank), np.array(hours, "<i4").tobytes()))
                self._written.add(rank)
            elif rank in self._written:
                records.append((_key(rank), None))
                self._written.remove(rank)
        self._touched.clear()
        hour_ms = self._standing.reach_ms // HOUR_MS * HOUR_MS  # whoever goes on from there comes to the same
        saved = msgspec.json.encode(msgspec.structs.replace(self._standing, reach_ms=hour_ms))
        if saved != self._saved:
            self._saved = saved
            records.append((INFLOW, saved))
        return records

    def load(self, key: bytes, value: bytes | None) -> None:
        """Take one changelog record."""
        if key == INFLOW:
            assert value is not None
            self._saved, self._standing = value, msgspec.json.decode(value, type=_Standing)
            return
        rank = int(key[len(INFLOW) + 1 :])
        if value is None:
            self._hours.pop(rank, None)
            self._written.discard(rank)
        else:
            self._hours[rank] = np.frombuffer(value, "<i4").tolist()
            self._written.add(rank)


def _window(hours: list[int], last: int, numbers: StalledSources) -> tuple[int, int]:
    """Return what is usual, in thousandths, in the fewest hours up to one that are enough to tell, and what came then.

    Nothing is usual if ``LOOK_BACK_HOURS`` are not enough.
    """
    usual = seen = 0
    for hour in range(last, last - LOOK_BACK_HOURS, -1):
        before = [hours[(hour - week * WEEK_HOURS) % KEPT_HOURS] for week in range(1, numbers.weeks + 1)]
        whole = [count for count in before if count >= 0]
        count = hours[hour % KEPT_HOURS]
        if whole and count != UNKNOWN:
            usual += 1000 * sum(whole) // len(whole)
            seen += count if count >= 0 else -2 - count
            if usual >= 1000 * numbers.expected_min:
                return usual, seen
    return 0, seen


def _key(rank: int) -> bytes:
    return INFLOW + b":%d" % rank
