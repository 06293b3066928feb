"""The brake: in each hour only so many episodes of a topic fire as the partition's own past allows; the others wait their turn.

It judges the messages of a partition in one order, whoever came upon them first: by their place (``effects.PLACE``).

    hour   0         1         2         3            limit 3
    due    ..x..x....xxxxxxx...........x.             seven at once in hour 1
    sent   ..x..x....xxx.......xxx.....  x.           four wait: three go first in hour 2 and fill it, then one in hour 3
"""

from __future__ import annotations

from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from schemas.policy import WEEKS_MAX
from schemas.reasons import Status, Trouble
from schemas.records import OutputRecord
from schemas.topics import Output
from streams.cells import FOREVER
from streams.clock import NEVER_MS
from streams.notices import Notice
from streams.plan import HOUR_MS, MUTE_END, MUTE_FROM

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from schemas.policy import Brake as Numbers

BRAKE: Final = b"\0brake"
"""The key of what was counted; followed by a colon and an account's key: what waits of that account."""
TOPICS: Final = (Output.DISENGAGEMENTS, Output.OPPORTUNITIES)
WEEK_MS: Final = 168 * HOUR_MS
MONDAY_MS: Final = 96 * HOUR_MS
"""1970-01-05: weeks begin on Mondays, UTC."""


class Step(msgspec.Struct, frozen=True, array_like=True):
    """What a message says of an episode; ``is_unmuted``: it fires because alerts are not muted any more."""

    status: Status
    reasons: tuple[str, ...]
    is_unmuted: bool


class Said(msgspec.Struct, frozen=True, array_like=True):
    """A message with its place in the order of the partition; ``step`` is None of a score change."""

    record: OutputRecord
    place_ms: int
    is_standing: bool
    step: Step | None

    @property
    def key(self) -> bytes:
        """The account's key."""
        assert self.record.key is not None
        return self.record.key

    @property
    def fires(self) -> bool:
        """Whether it is an episode's first message, and counts."""
        return self.step is not None and self.step.status is Status.FIRING and not self.step.is_unmuted


class _Counts(msgspec.Struct):
    """Firings of a topic: sent in the present hour, the most of an hour of this week, and of each whole week before.

    ``since_ms`` is when the first of those that wait was held, ``held`` how many have been since; ``last_ms`` the last such
    instant, which comes once, so that no notice has the id of another.
    """

    sent: int = 0
    since_ms: int = NEVER_MS
    last_ms: int = NEVER_MS
    held: int = 0
    most: int = 0
    weeks: list[int] = []


class _Standing(msgspec.Struct):
    """What is kept of a partition: the hour up to which all is judged, whether its week is whole, numbers given out, counts."""

    hour_ms: int = NEVER_MS
    is_whole: bool = False
    numbers: int = 0
    counts: dict[Output, _Counts] = msgspec.field(
        default_factory=lambda: {topic: _Counts() for topic in TOPICS}
    )


class _Held(msgspec.Struct, array_like=True):
    """An episode that waits: its number in the queue, and its messages."""

    number: int
    said: list[Said]


class _Waiting(msgspec.Struct, array_like=True):
    """What waits of an account: messages that are not judged yet, each by its number, and by topic the episode that is held."""

    unjudged: list[tuple[int, Said]] = []
    held: dict[Output, _Held] = {}


class Tally(msgspec.Struct):
    """What the brake did since it was last asked: episodes held, sent later, and resolved before they were sent."""

    held: int = 0
    released: int = 0
    dropped: int = 0


class Brake:
    """What waits in one partition; messages go in as they come, and out in the order of the partition."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._notices: list[Notice] = []
        self._standing = _Standing()
        self._waiting: dict[bytes, _Waiting] = {}
        self._queues: dict[Output, dict[bytes, _Held]] = {topic: {} for topic in TOPICS}
        self._mutes = np.zeros((0, 2), np.int64)
        self._touched: set[bytes] = set()
        self._written: set[bytes] = set()
        self._saved = msgspec.json.encode(self._standing)

    def take_notices(self) -> list[Notice]:
        """Return what operators should hear of since the last call."""
        notices, self._notices = self._notices, []
        return notices

    @property
    def held(self) -> int:
        """Episodes that wait now."""
        return sum(map(len, self._queues.values()))

    def is_held(self, key: bytes, topic: Output) -> bool:
        """Tell whether an account's episode waits."""
        return key in self._queues[topic]

    def mute(self, intervals: npt.NDArray[np.int64]) -> None:
        """Know the intervals in which alerts are muted, (intervals, 2) in ms."""
        self._mutes = intervals

    # -- in and out ---------------------------------------------------------------------------------------------

    def take(self, said: Iterable[Said], numbers: Numbers | None) -> list[Said]:
        """Take messages as they come; return those that go out at once: nothing of their accounts waits, or views end."""
        if numbers is None and not self._waiting:
            return list(said)
        out = []
        for each in said:
            waits = each.key in self._waiting or (each.fires and each.place_ms > NEVER_MS)
            if waits and each.record.topic is not Output.ACCOUNTS:
                self._wait(each)
            else:
                out.append(each)
        return out

    def _wait(self, said: Said) -> None:
        waiting = self._waiting.setdefault(said.key, _Waiting())
        if waiting.unjudged and waiting.unjudged[-1][1].place_ms > said.place_ms:
            last_ms = waiting.unjudged[-1][1].place_ms
            said = msgspec.structs.replace(said, place_ms=last_ms, is_standing=False)
        waiting.unjudged.append((self._number(), said))
        self._touched.add(said.key)

    def _number(self) -> int:
        self._standing.numbers += 1
        return self._standing.numbers

    def settle(self, clock_ms: int, numbers: Numbers | None) -> list[Said]:
        """Judge all that waits up to the clock, once all instants up to it have fired; return what goes out now."""
        out: list[Said] = []
        if numbers is None:
            self._release_before(FOREVER, clock_ms, None, out)
            counts = {topic: _Counts(last_ms=each.last_ms) for topic, each in self._standing.counts.items()}
            self._standing = _Standing(numbers=self._standing.numbers, counts=counts)
        for _, said in sorted(self._take_unjudged(clock_ms), key=_order):
            self._pass_to(said.place_ms, numbers, out)
            self._judge(said, numbers, out)
        self._pass_to(clock_ms, numbers, out)
        for key in [key for key, waiting in self._waiting.items() if not (waiting.held or waiting.unjudged)]:
            del self._waiting[key]
        return out

    def _take_unjudged(self, clock_ms: int) -> list[tuple[int, Said]]:
        """Return what has its place by the clock: that of a next owner has not come as far as the last one's."""
        found = []
        for key, waiting in self._waiting.items():
            later = [each for each in waiting.unjudged if each[1].place_ms > clock_ms]
            if len(later) < len(waiting.unjudged):
                found += waiting.unjudged[: len(waiting.unjudged) - len(later)]
                waiting.unjudged = later
                self._touched.add(key)
        return found

    def _judge(self, said: Said, numbers: Numbers | None, out: list[Said]) -> None:
        topic, waiting = said.record.topic, self._waiting[said.key]
        if topic in waiting.held:
            if said.step is not None and said.step.status is Status.RESOLVED:
                del waiting.held[topic], self._queues[topic][said.key]
                self.tally.dropped += 1
                self._end(topic, said.place_ms, numbers)
            else:
                waiting.held[topic].said.append(said)
        elif said.fires and numbers is not None:
            self._begin(said.place_ms)
            counts, limit = self._standing.counts[topic], self._limit(topic, numbers)
            if limit is None or counts.sent < limit:
                counts.sent += 1
                out.append(said)
            else:
                waiting.held[topic] = self._queues[topic][said.key] = _Held(self._number(), [said])
                self.tally.held += 1
                counts.held += 1
                if counts.since_ms == NEVER_MS:
                    counts.since_ms = counts.last_ms = max(said.place_ms, counts.last_ms + 1)
                    self._note(topic, Status.FIRING, said.place_ms, limit)
        else:
            out.append(said)

    def _limit(self, topic: Output, numbers: Numbers) -> int | None:
        """Return how many episodes of a topic may fire in the present hour, None while any number may."""
        weeks = self._standing.counts[topic].weeks[-numbers.weeks :]
        return max(numbers.firings_min, round(numbers.factor * 1000) * max(weeks) // 1000) if weeks else None

    def _note(self, topic: Output, status: Status, at_ms: int, limit: int) -> None:
        counts = self._standing.counts[topic]
        since_ms, held = counts.since_ms, counts.held
        self._notices.append(
            Notice(Trouble.BRAKE, topic, status, max(at_ms, since_ms), since_ms, limit, held)
        )

    def _end(self, topic: Output, at_ms: int, numbers: Numbers | None) -> None:
        """Note that nothing of a topic waits any more, if it is so."""
        counts = self._standing.counts[topic]
        if counts.since_ms > NEVER_MS and not self._queues[topic]:
            self._note(topic, Status.RESOLVED, at_ms, (numbers and self._limit(topic, numbers)) or 0)
            counts.since_ms, counts.held = NEVER_MS, 0

    # -- hours --------------------------------------------------------------------------------------------------

    def _begin(self, place_ms: int) -> None:
        if self._standing.hour_ms == NEVER_MS:
            self._standing.hour_ms = place_ms // HOUR_MS * HOUR_MS

    def _pass_to(self, until_ms: int, numbers: Numbers | None, out: list[Said]) -> None:
        """Let all hours begin, and all muting end, that do so up to an instant."""
        standing = self._standing
        if standing.hour_ms == NEVER_MS:
            return
        while (hour_ms := self._next_hour(until_ms)) <= until_ms:
            self._unmute(hour_ms, numbers, out)
            self._count(hour_ms)
            standing.hour_ms = hour_ms
            if numbers is not None and not self._is_muted(hour_ms):
                self._release_some(hour_ms, numbers, out)
        self._unmute(until_ms, numbers, out)

    def _next_hour(self, until_ms: int) -> int:
        """Return the next hour at whose beginning there is anything to do, or the last one up to an instant."""
        hour_ms = self._standing.hour_ms + HOUR_MS
        if self.held:
            return hour_ms
        week_ms = MONDAY_MS + ((hour_ms - MONDAY_MS - 1) // WEEK_MS + 1) * WEEK_MS
        return max(hour_ms, min(week_ms, until_ms // HOUR_MS * HOUR_MS))

    def _count(self, hour_ms: int) -> None:
        """Count the present hour as ended, and its week if another begins at ``hour_ms``."""
        standing, ends = self._standing, (hour_ms - MONDAY_MS) % WEEK_MS == 0
        for counts in standing.counts.values():
            counts.most, counts.sent = max(counts.most, counts.sent), 0
            if ends:
                if standing.is_whole:
                    counts.weeks = [*counts.weeks, counts.most][-WEEKS_MAX:]
                counts.most = 0
        standing.is_whole = standing.is_whole or ends

    def _is_muted(self, at_ms: int) -> bool:
        mutes = self._mutes
        return bool(((mutes[:, MUTE_FROM] <= at_ms) & (at_ms < mutes[:, MUTE_END])).any())

    def _unmute(self, until_ms: int, numbers: Numbers | None, out: list[Said]) -> None:
        """Send all that has waited since before an instant, up to the one given, from which alerts are sent again."""
        if self.held:
            ends = [end_ms for end_ms in self._mutes[:, MUTE_END].tolist() if end_ms <= until_ms]
            last_ms = max((end_ms for end_ms in ends if not self._is_muted(end_ms)), default=NEVER_MS)
            if last_ms > NEVER_MS:
                self._release_before(last_ms, last_ms, numbers, out)

    def _release_some(self, at_ms: int, numbers: Numbers, out: list[Said]) -> None:
        for topic, queue in self._queues.items():
            counts, limit = self._standing.counts[topic], self._limit(topic, numbers)
            for key in list(islice(queue, limit)):
                counts.sent += 1
                self._release(topic, key, out)
            self._end(topic, at_ms, numbers)

    def _release_before(self, place_ms: int, at_ms: int, numbers: Numbers | None, out: list[Said]) -> None:
        for topic, queue in self._queues.items():
            for key, held in list(queue.items()):
                if held.said[0].place_ms < place_ms:
                    self._release(topic, key, out)
            self._end(topic, at_ms, numbers)

    def _release(self, topic: Output, key: bytes, out: list[Said]) -> None:
        out += self._queues[topic].pop(key).said
        del self._waiting[key].held[topic]
        self._touched.add(key)
        self.tally.released += 1

    # -- changelog ----------------------------------------------------------------------------------------------

    def take_changed(self) -> list[tuple[bytes, bytes | None]]:
        """Return the changelog records of what changed since the last call."""
        records: list[tuple[bytes, bytes | None]] = []
        for key in sorted(self._touched):
            at, waiting = BRAKE + b":" + key, self._waiting.get(key)
            if waiting is not None:
                records.append((at, msgspec.msgpack.encode(waiting)))
                self._written.add(key)
            elif key in self._written:
                records.append((at, None))
                self._written.remove(key)
        self._touched.clear()
        saved = msgspec.json.encode(self._standing)
        if saved != self._saved:
            self._saved = saved
            records.append((BRAKE, saved))
        return records

    def load(self, key: bytes, value: bytes | None) -> None:
        """Take one changelog record."""
        account = key[len(BRAKE) + 1 :]
        if key == BRAKE:
            assert value is not None
            self._saved, self._standing = value, msgspec.json.decode(value, type=_Standing)
        elif value is None:
            self._waiting.pop(account, None)
            self._written.discard(account)
        else:
            self._waiting[account] = msgspec.msgpack.decode(value, type=_Waiting)
            self._written.add(account)

    def loaded(self) -> None:
        """Queue what was loaded as it was queued."""
        held = [
            (held.number, topic, key, held)
            for key, waiting in self._waiting.items()
            for topic, held in waiting.held.items()
        ]
        self._queues = {topic: {} for topic in TOPICS}
        for _, topic, key, episode in sorted(held, key=itemgetter(0)):
            self._queues[topic][key] = episode


def _order(waits: tuple[int, Said]) -> tuple[int, bool, bytes, int]:
    """Return the place of a message: at one instant what is due comes before what happens, by account."""
    number, said = waits
    return said.place_ms, not said.is_standing, said.key if said.is_standing else b"", number
