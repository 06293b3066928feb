"""From a chunk of raw records to columns of events: whole chunks at a time, one by one only where something is wrong."""

from __future__ import annotations

import re
from datetime import datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np
from xxhash import xxh3_64_intdigest

from schemas.catalogue import (
    ADMIN_BIT,
    ADMIN_ROLES,
    PAYMENT_STATUSES,
    RISK_BIT,
    TICKET_ACTIONS,
    EventKind,
)  # fmt: skip
from schemas.events import (
    ACCOUNT_ID_BYTES_MAX,
    EVENT_TYPES,
    OCCURRED_AT_END_MS,
    OCCURRED_AT_MIN_MS,
    VALUE_BYTES_MAX,
)  # fmt: skip
from schemas.reasons import EventNote, RejectReason
from schemas.topics import Input
from streams.events import (
    ABSENT,
    EVENT_AMOUNT,
    EVENT_COLUMNS,
    EVENT_DETAIL,
    EVENT_DUE,
    EVENT_HASH,
    EVENT_INPUT,
    EVENT_KIND,
    EVENT_MASK,
    EVENT_NATURAL,
    EVENT_OFFSET,
    EVENT_ROW,
    EVENT_THING,
    EVENT_TIME,
    EVENT_USER,
    Decoded,
    Reject,
    refusal,
)  # fmt: skip
from streams.hashes import digests, event_hashes, natural_keys
from streams.instants import cut_instants, instant_ms, may_be_rounded_up
from streams.intake import PageMasks, key_feature_masks, kind_masks, tag_masks
from streams.key_index import NOBODY
from streams.layout import BUCKETS, NOW, UNSET
from streams.murmur import partition_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from schemas.records import Chunk
    from streams.accounts import Accounts
    from streams.layout import Layout
    from streams.plan import Program

_DECODERS: Final = {topic: msgspec.json.Decoder(kind) for topic, kind in EVENT_TYPES.items()}
_FIRST, _LAST = itemgetter(0), itemgetter(-1)
_OPENING, _CLOSING = set(b"{"), set(b"}")
FAR_FUTURE_MS: Final = 1 << 60
_CURRENCY: Final = re.compile(r"[A-Za-z]{3}")


class Place(NamedTuple):
    """Which partition of how many; ``keyed`` is False for recorded files, whose records have no keys."""

    partition: int
    partitions: int
    keyed: bool


class Refused(Exception):
    """One record cannot be judged."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


class Decoder:
    """Decodes the chunks of one partition under one program; new accounts get their rows here."""

    def __init__(self, program: Program, accounts: Accounts, place: Place) -> None:
        policy = program.policy
        self.accounts, self._place, self._layout = accounts, place, program.layout
        self._skew_ms = policy.max_future_skew_s * 1000
        self._kinds = np.array(kind_masks(policy), np.int64)
        self._pages = PageMasks(policy)
        self._features, self._tags = key_feature_masks(policy), tag_masks(policy)

    def decode(self, topic: Input, chunk: Chunk) -> Decoded:
        """Return the events and rejects of a chunk, in offset order."""
        events, places, rejects = _parse(topic, chunk)
        times = _times(events)
        rows, kept = self._admit(events, places, times, chunk, rejects)
        if len(kept) != len(events):
            events, times = [events[i] for i in kept], times[kept]
            places = [places[i] for i in kept]
        rejects.sort()
        notes: dict[EventNote, int] = {}
        offsets, stamps = chunk.offsets[places], chunk.timestamps[places]
        future = (stamps >= 0) & (times - self._skew_ms > stamps)  # a sum with any 64-bit stamp may wrap
        if future.any():
            notes[EventNote.FUTURE_CLAMPED] = int(future.sum())
            times = np.where(future, np.maximum(stamps, OCCURRED_AT_MIN_MS), times)
        columns = np.empty((len(events), EVENT_COLUMNS), np.int64)
        columns[:, EVENT_TIME], columns[:, EVENT_OFFSET], columns[:, EVENT_ROW] = times, offsets, rows
        columns[:, EVENT_INPUT] = topic
        columns[:, EVENT_KIND] = kinds = _kinds(topic, events)
        columns[:, EVENT_MASK] = self._masks(topic, events, kinds, notes)
        _fill_details(topic, events, columns, self._layout)
        event_ids = [event.event_id for event in events]
        columns[:, EVENT_HASH] = event_hashes(topic, event_ids)
        columns[:, EVENT_NATURAL] = natural_keys(topic, events, times)
        is_facts = topic is Input.ACCOUNT_FACTS
        facts = {i: event for i, event in enumerate(events) if not event.erase} if is_facts else {}
        return Decoded(columns, event_ids, facts, rejects, notes, self._strangers(rows, places, chunk))

    def _strangers(self, rows: npt.NDArray[np.int64], places: Sequence[int], chunk: Chunk) -> list[Reject]:
        """Return the records of accounts that are not there, as they are refused if there is no room for them."""
        if not self.accounts.roster.unborn:
            return []
        found = []
        for i in np.nonzero(self.accounts.cells.i64[rows, NOW] == UNSET)[0].tolist():
            offset, key, value = int(chunk.offsets[places[i]]), chunk.keys[places[i]], chunk.values[places[i]]
            found.append(refusal(offset, key, value))
        return found

    def _admit(
        self,
        events: list[Any],
        places: Sequence[int],
        times: npt.NDArray[np.int64],
        chunk: Chunk,
        rejects: list[Reject],
    ) -> tuple[npt.NDArray[np.int64], Sequence[int]]:
        names = [event.account_id for event in events]
        said = _utf8("\0".join(names))
        rows = self.accounts.roster.rows_of(said, len(names))
        keys: Sequence[bytes | None] = []
        if self._place.keyed:
            keys = chunk.keys if len(names) == len(chunk.keys) else [chunk.keys[i] for i in places]
        plausible = not len(times) or (times.min() >= OCCURRED_AT_MIN_MS and times.max() < OCCURRED_AT_END_MS)
        # All joined: names that all have rows have no control characters, so if these are equal each is equal to its own.
        if plausible and (rows != NOBODY).all() and (not self._place.keyed or said == _joined(keys)):
            return rows, range(len(names))
        admitted, kept = [], []
        for i, (name, row) in enumerate(zip(names, rows.tolist(), strict=True)):
            key = keys[i] if self._place.keyed else _utf8(name)
            try:
                admitted.append(self._admit_one(name, key, int(times[i]), row))
                kept.append(i)
            except Refused as refused:
                at = places[i]
                offset = int(chunk.offsets[at])
                rejects.append(
                    Reject(offset, refused.reason, chunk.keys[at], chunk.values[at], refused.detail)
                )
        return np.array(admitted, np.int64), kept

    def _admit_one(self, name: str, key: bytes | None, t: int, row: int) -> int:
        encoded = _utf8(name)
        if not 0 < len(encoded) <= ACCOUNT_ID_BYTES_MAX or any(character < " " for character in name):
            detail = f"account_id {name[:40]!r} is empty, longer than {ACCOUNT_ID_BYTES_MAX} bytes or has a control character"
            raise Refused(RejectReason.BAD_ACCOUNT_ID, detail)
        if key is None:
            raise Refused(
                RejectReason.KEY_MISSING, "the record has no key; produce with account_id as the key"
            )
        if key != encoded:
            raise Refused(RejectReason.KEY_MISMATCH, f"the key is {key[:40]!r}, account_id is {name[:40]!r}")
        if not OCCURRED_AT_MIN_MS <= t < OCCURRED_AT_END_MS:
            detail = f"occurred_at is {t} ms, outside 1990..2099; seconds must be sent as milliseconds or as RFC 3339"
            raise Refused(RejectReason.IMPLAUSIBLE_TIME, detail)
        known = row if row != NOBODY else self.accounts.row_of(encoded)
        if known is not None:
            return known
        should = partition_of(encoded, self._place.partitions)
        if should != self._place.partition:
            detail = f"by murmur2 it belongs to partition {should} of {self._place.partitions}; set the producer's partitioner"
            raise Refused(RejectReason.WRONG_PARTITION, detail)
        return self.accounts.create(encoded, name)

    def _masks(
        self, topic: Input, events: list[Any], kinds: npt.NDArray[np.int64], notes: dict[EventNote, int]
    ) -> npt.NDArray[np.int64]:
        if topic is Input.PAGE_VISITS:
            pages, features = self._pages, self._features
            masks = np.array([pages[e.path if e.path is not None else e.url] for e in events], np.int64)
            named = [e.feature for e in events] if features else []
            if any(named):
                masks |= np.array([features.get(name, 0) for name in named], np.int64)
            for i in np.nonzero((masks >> RISK_BIT) & 1)[0]:
                if (events[i].user_role or "").lower() in ADMIN_ROLES:
                    masks[i] |= 1 << ADMIN_BIT
            return masks
        unknown = int(np.isin(kinds, (EventKind.TICKET_OTHER, EventKind.PAYMENT_OTHER)).sum())
        if unknown:
            notes[EventNote.UNKNOWN_VALUE] = unknown
        masks = self._kinds[kinds]
        if topic is Input.TICKETS and self._tags:
            for i in np.nonzero(kinds == EventKind.TICKET_OPENED)[0]:
                for tag in events[i].tags:
                    masks[i] |= self._tags.get(tag, 0)
        return masks


def _utf8(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


def _joined(keys: Sequence[bytes | None]) -> bytes | None:
    """Return keys with a NUL between each and the next, None if one is missing."""
    try:
        return b"\0".join(keys)  # type: ignore[arg-type]
    except TypeError:
        return None


def _kinds(topic: Input, events: list[Any]) -> npt.NDArray[np.int64]:
    if topic is Input.LOGINS:
        succeeded = np.array([e.success for e in events], np.bool_)
        return np.where(succeeded, int(EventKind.LOGIN), int(EventKind.LOGIN_FAILED))
    if topic is Input.TICKETS:
        return np.array([TICKET_ACTIONS.get(e.action, EventKind.TICKET_OTHER) for e in events], np.int64)
    if topic is Input.PAYMENTS:
        return np.array([PAYMENT_STATUSES.get(e.status, EventKind.PAYMENT_OTHER) for e in events], np.int64)
    kind = EventKind.PAGE_VISIT if topic is Input.PAGE_VISITS else EventKind.FACTS
    return np.full(len(events), int(kind), np.int64)


def _fill_details(topic: Input, events: list[Any], columns: npt.NDArray[np.int64], layout: Layout) -> None:
    """Fill the columns that only some features read, if one in force does."""
    columns[:, EVENT_USER] = columns[:, EVENT_DUE] = columns[:, EVENT_AMOUNT] = ABSENT
    columns[:, EVENT_THING] = columns[:, EVENT_DETAIL] = 0
    if topic is Input.ACCOUNT_FACTS:
        columns[:, EVENT_DETAIL] = [e.erase for e in events]
        return
    if not events:
        return
    if layout.users >= 0:
        columns[:, EVENT_USER] = [
            xxh3_64_intdigest(e.user_id.encode()) % BUCKETS if e.user_id else ABSENT for e in events
        ]
    if topic is Input.TICKETS:
        columns[:, EVENT_THING] = digests([e.ticket_id for e in events])
        columns[:, EVENT_DETAIL] = [e.csat or 0 for e in events]
    elif topic is Input.PAYMENTS:
        columns[:, EVENT_THING] = digests([e.payment_id for e in events])
        columns[:, EVENT_DUE] = [_due_ms(e.due_at) for e in events]
        if layout.sums:
            columns[:, EVENT_AMOUNT] = [
                ABSENT if e.amount_minor is None else max(e.amount_minor, ABSENT) for e in events
            ]
            columns[:, EVENT_DETAIL] = [currency_code(e.currency) for e in events]


def _due_ms(due_at: Any) -> int:
    due_ms = ABSENT if due_at is None else instant_ms(due_at)
    return due_ms if OCCURRED_AT_MIN_MS <= due_ms < OCCURRED_AT_END_MS else ABSENT


def currency_code(currency: str | None) -> int:
    """Return a currency of three letters as a number from 1, 0 for anything else."""
    if currency is None or not _CURRENCY.fullmatch(currency):
        return 0
    first, second, third = (ord(letter) - ord("A") for letter in currency.upper())
    return 1 + (first * 26 + second) * 26 + third


def _times(events: list[Any]) -> npt.NDArray[np.int64]:
    instants = [event.occurred_at for event in events]
    kinds = set(map(type, instants))
    if kinds == {datetime}:
        seconds = np.array([instant.timestamp() for instant in instants], np.float64)
        return np.rint(seconds * 1e6).astype(np.int64) // 1000
    return np.array([max(-FAR_FUTURE_MS, min(instant_ms(i), FAR_FUTURE_MS)) for i in instants], np.int64)


def _parse(topic: Input, chunk: Chunk) -> tuple[list[Any], Sequence[int], list[Reject]]:
    values = chunk.values
    if all(values):
        joined = b"\n".join(values)  # type: ignore[arg-type]
        small = len(joined) <= VALUE_BYTES_MAX or max(map(len, values)) <= VALUE_BYTES_MAX  # type: ignore[arg-type]
        if small and _are_objects(values) and (joined.isascii() or _is_utf8(joined)):
            try:
                events = _DECODERS[topic].decode_lines(joined)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                events = []
            if len(events) == len(values):
                if may_be_rounded_up(joined):
                    for event, value in zip(events, values, strict=True):
                        cut_instants(event, value)  # type: ignore[arg-type]
                return events, range(len(values)), []
    return _parse_singly(topic, chunk)


def _are_objects(values: Sequence[bytes | None]) -> bool:
    """Tell whether all begin and end as objects do: joined, no value then reaches into its neighbour.

    For "}", a line feed and "{" follow each other in JSON neither within an object nor, raw, within a text.
    """
    return set(map(_FIRST, values)) == _OPENING and set(map(_LAST, values)) == _CLOSING  # type: ignore[arg-type]


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _parse_singly(topic: Input, chunk: Chunk) -> tuple[list[Any], Sequence[int], list[Reject]]:
    events, places, rejects = [], [], []
    for i, value in enumerate(chunk.values):
        try:
            events.append(_parse_one(topic, value))
            places.append(i)
        except Refused as refused:
            rejects.append(
                Reject(int(chunk.offsets[i]), refused.reason, chunk.keys[i], value, refused.detail)
            )
    return events, places, rejects


def _parse_one(topic: Input, value: bytes | None) -> Any:
    if not value:
        raise Refused(RejectReason.EMPTY_VALUE, "the record has no value")
    if len(value) > VALUE_BYTES_MAX:
        detail = f"the value has {len(value)} bytes; at most {VALUE_BYTES_MAX} are read"
        raise Refused(RejectReason.VALUE_TOO_LARGE, detail)
    try:
        value.decode()
        event = _DECODERS[topic].decode(value)
    except msgspec.ValidationError as error:
        check_json(value)
        raise Refused(RejectReason.WRONG_TYPE, str(error)) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refused(RejectReason.NOT_JSON, str(error)) from None
    cut_instants(event, value)
    return event


def check_json(value: bytes) -> None:
    """Read a value to its end: a decoder stops at the first wrong type, and what follows may be no JSON.

    Raises:
        Refused: as ``not_json``.
    """
    try:
        value.decode()
        msgspec.json.decode(value, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refused(RejectReason.NOT_JSON, str(error)) from None
