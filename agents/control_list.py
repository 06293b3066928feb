"""What the control topic holds, and what the partitions have made of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from agents.beside import CLOCK, read_clock
from agents.changelog import read_changelog
from agents.clients import Connection
from agents.control_log import RECORDS_MAX
from agents.latest import Span, read_spans
from agents.letter_text import visible
from agents.tables import table_text
from agents.topics import check_topics
from schemas.control import (
    ActivatePolicy,
    ControlRecord,
    JoinAccount,
    Pause,
    Resume,
    ResumeInput,
    SkipInput,
    control_key,
    kind_of,
)
from schemas.errors import StateError
from schemas.topics import CONTROL as TOPIC
from schemas.topics import INPUT_BY_NAME, Input
from streams.clock import NEVER_MS
from streams.control import (
    CONTROL,
    ControlLine,
    Entry,
    Standing,
    home_of,
    offset_of,
    read_control,
    read_entry,
    read_standing,
)
from streams.instants import instant_ms, instant_text
from streams.merge import POSITION, Progress, read_position

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agents.settings import Settings

HEADS: Final = ("key", "kind", "counts from", "author", "state")
UNHEARD, TO_COME, DUE, IN_FORCE = "not heard yet", "to come", "due", "in force"
OVER, DONE, WITHDRAWN = "over", "done", "withdrawn"
TAKEN_IN: Final = "taken in, or withdrawn before"
"""What a record is in a partition. ``DUE``: its instant has come, and nothing beyond it is committed there yet; ``OVER``: a
pause that a resume ended, a policy that another followed; ``DONE``: any other record that counts."""
COUNTING: Final = (IN_FORCE, OVER, DONE)


class Known(NamedTuple):
    """A record of the topic; ``record`` is None if it cannot be followed, and ``why`` says so.

    ``withdrawn_at`` is the offset of the record of its key that came after it and took its place, without a value as a rule;
    that of the record itself if the topic has neither any more, and only partitions keep it.
    """

    key: str
    offset: int
    record: ControlRecord | None
    why: str = ""
    withdrawn_at: int | None = None


class Heard:
    """What one partition has committed of the topic, and how far it has got with events."""

    def __init__(self) -> None:
        self.standing = Standing()
        self.entries: dict[int, Entry] = {}
        self.inputs: dict[Input, Progress] = {}
        self.clock_ms = NEVER_MS

    def load(self, key: bytes, value: bytes | None) -> None:
        """Take one changelog record."""
        if key.startswith(CONTROL + b":"):
            offset = offset_of(key)
            self.entries.pop(offset, None)
            if value is not None:
                self.entries[offset] = read_entry(key, value)
        elif value is None:
            return
        elif key == CONTROL:
            self.standing = read_standing(value)
        elif key == CLOCK:
            self.clock_ms = read_clock(value)
        elif key.startswith(POSITION):
            topic, progress = read_position(key, value)
            self.inputs[topic] = progress

    @property
    def reached_ms(self) -> int:
        """The greatest instant of the events that it has taken, or its clock if that is beyond."""
        return max(self.clock_ms, *(progress.largest_ms for progress in self.inputs.values()), NEVER_MS)

    def state(self, known: Known, now_ms: int) -> str:
        """Return what a record is here."""
        entry, record, withdrawn_at = self.entries.get(known.offset), known.record, known.withdrawn_at
        has_end = isinstance(record, Pause | ActivatePolicy)
        if self.standing.next <= known.offset:
            return UNHEARD
        if entry is None:
            return WITHDRAWN if withdrawn_at is not None else OVER if has_end else DONE
        if isinstance(record, ResumeInput | SkipInput):
            progress = self.inputs.get(INPUT_BY_NAME[record.input], Progress())
            goes_on = progress.offset > record.offset or (
                progress.offset == record.offset and not progress.halted
            )
            return DONE if goes_on else TO_COME
        is_reached = entry.at_ms <= self.reached_ms
        if isinstance(record, ActivatePolicy):
            if self.standing.policy == known.offset:
                return IN_FORCE
        elif is_reached or (withdrawn_at is not None and withdrawn_at < self.standing.next):
            return DONE if not has_end else OVER if is_reached and self._is_resumed(entry) else IN_FORCE
        return DUE if entry.at_ms <= now_ms else TO_COME

    def _is_resumed(self, pause: Entry) -> bool:
        resumes = [each for each in self.entries.values() if isinstance(each.record, Resume)]
        return any(pause[:2] < each[:2] and each.at_ms <= self.reached_ms for each in resumes)


class Listing(NamedTuple):
    """The records of the topic in their order, and by partition what has been made of them."""

    records: list[Known]
    heard: dict[int, Heard]

    def states(self, known: Known, now_ms: int) -> Counter[str]:
        """Return in how many partitions a record is what, of those that it concerns."""
        home = None if known.record is None else home_of(known.record, len(self.heard))
        heard = [each for partition, each in self.heard.items() if home in (None, partition)]
        return Counter(each.state(known, now_ms) for each in heard)

    def from_ms(self, known: Known) -> int | None:
        """Return the latest instant from which a record counts in any partition."""
        if known.record is None:
            return None
        counts = [
            each.entries[known.offset].at_ms for each in self.heard.values() if known.offset in each.entries
        ]
        return max(counts, default=instant_ms(known.record.effective_at))


def listing(settings: Settings) -> Listing:
    """Return what the topic holds, and what is committed of it.

    Raises:
        BrokerError: the broker does not answer.
        TopicsError: topics are missing or do not fit.
    """
    sink = _Sink(check_topics(settings))
    asyncio.run(read_changelog(Connection(settings.broker), settings.changelog, list(sink.heard), sink))
    found: dict[bytes | None, Known] = {}
    span = Span(settings.topic_prefix + TOPIC, 0, RECORDS_MAX)
    for seen in read_spans(settings.broker, f"{settings.application_id}-look", [span], "read_committed"):
        before = found.pop(seen.key, None)
        if seen.value is not None:
            found[seen.key] = _known(ControlLine(seen.offset, seen.key, seen.value))
        elif before is not None:
            found[seen.key] = before._replace(withdrawn_at=before.withdrawn_at or seen.offset)
    by_offset = {known.offset: known for known in found.values() if _is_own(known, settings)}
    for heard in sink.heard.values():
        for offset, entry in heard.entries.items():
            gone = Known(control_key(entry.record).decode(), offset, entry.record, withdrawn_at=offset)
            by_offset.setdefault(offset, gone)
    return Listing([known for _, known in sorted(by_offset.items())], sink.heard)


def _is_own(known: Known, settings: Settings) -> bool:
    """Return whether it is anything but a join of another application, which only that takes."""
    return not isinstance(known.record, JoinAccount) or known.record.application == settings.application_id


def _known(line: ControlLine) -> Known:
    key = (line.key or b"").decode("utf-8", "replace")
    try:
        return Known(key, line.offset, read_control(line))
    except StateError as error:
        return Known(key, line.offset, None, str(error))


class _Sink:
    """Keeps control and positions of each partition (``ChangelogSink``)."""

    def __init__(self, partitions: int) -> None:
        self.heard = {partition: Heard() for partition in range(partitions)}

    def take(self, partition: int, keys: list[bytes], values: list[bytes | None]) -> None:
        """Take consecutive records."""
        heard = self.heard[partition]
        for key, value in zip(keys, values, strict=True):
            heard.load(key, value)


# --- for people ----------------------------------------------------------------------------------------------------


def state_text(listing: Listing, known: Known, now_ms: int) -> str:
    """Return what is known of a record: ``in force in 3 of 4 partitions, due in 1``."""
    if known.record is None:
        if known.withdrawn_at is not None:
            return WITHDRAWN
        return f"cannot be followed, workers stop before it: {visible(known.why)}"
    states = listing.states(known, now_ms)
    if known.withdrawn_at is not None:
        if isinstance(known.record, JoinAccount):  # its owner withdraws it as it takes it in
            return TAKEN_IN
        counts = f", but it counts already and stays so: {_told(states, *COUNTING)}"
        return WITHDRAWN + (counts if counting(states) else "")
    told = [_told(states, IN_FORCE, DUE, TO_COME, OVER, DONE, UNHEARD)]
    counts_ms, said_ms = listing.from_ms(known), instant_ms(known.record.effective_at)
    if counts_ms != said_ms and not isinstance(known.record, ResumeInput | SkipInput):
        told.append(f"came late: it was to count from {instant_text(said_ms)}")
    return ", ".join(told)


def _told(states: Counter[str], *which: str) -> str:
    of, some = states.total(), [state for state in which if states[state]]
    return ", ".join(
        state if states[state] == of else f"{state} in {states[state]} of {of} partitions" for state in some
    )


def counting(states: Counter[str]) -> int:
    """Return in how many partitions a record counts."""
    return sum(states[state] for state in COUNTING)


def listing_text(listing: Listing, now_ms: int) -> str:
    """Return the table of what the topic holds."""
    return table_text(HEADS, [_row(listing, known, now_ms) for known in listing.records])


def _row(listing: Listing, known: Known, now_ms: int) -> Sequence[str]:
    state, record = state_text(listing, known, now_ms), known.record
    if record is None:
        return visible(known.key), "?", "?", "", state
    counts_ms = listing.from_ms(known)
    assert counts_ms is not None
    return visible(known.key), kind_of(record), instant_text(counts_ms), visible(record.author or ""), state


def listing_json(listing: Listing, now_ms: int) -> Iterable[bytes]:
    """Return the same as JSON, an object for each record."""
    for known in listing.records:
        record, counts_ms = known.record, listing.from_ms(known)
        told: dict[str, Any] = {
            "key": known.key,
            "offset": known.offset,
            "kind": None if record is None else kind_of(record),
            "effective_at": None if record is None else instant_text(instant_ms(record.effective_at)),
            "counts_from": None if counts_ms is None else instant_text(counts_ms),
            "author": None if record is None else record.author,
            "withdrawn": known.withdrawn_at is not None,
            "partitions": listing.states(known, now_ms) if record is not None else {},
            "state": state_text(listing, known, now_ms),
        }
        yield msgspec.json.encode(told)
