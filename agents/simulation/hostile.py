"""Bad input, seeded: each record with the named outcome that it must have. Nothing here may stop a worker."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agents.simulation.clocktext import instant_text
from schemas.events import ACCOUNT_ID_BYTES_MAX, VALUE_BYTES_MAX
from schemas.reasons import EventNote, RejectReason
from schemas.topics import Input

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np

    from agents.simulation.company import SimulatedEvent

Expected = RejectReason | EventNote
YEAR_2099_MS: Final = 4_070_908_800_000
YEAR_2150_MS: Final = 5_680_281_600_000


class HostileRecord(NamedTuple):
    """A record as it is produced, and what must become of it.

    ``partition_shift`` is added to the partition that the key belongs to (0: the right one).
    """

    topic: Input
    key: bytes | None
    value: bytes | None
    expected: Expected
    case: str
    partition_shift: int = 0


class _Draft(NamedTuple):
    """What a case starts from: a good event, its members, and a unique event id for a record of its own."""

    good: SimulatedEvent
    members: dict[str, Any]
    event_id: str

    def record(self, case: str, expected: Expected, **changed: object) -> HostileRecord:
        """Return the good event with a new id and some members changed (``None``: left out)."""
        members = {**self.members, "event_id": self.event_id, **changed}
        kept = {name: value for name, value in members.items() if value is not None}
        return self.raw(case, expected, json.dumps(kept).encode())

    def raw(self, case: str, expected: Expected, value: bytes | None) -> HostileRecord:
        return HostileRecord(self.good.topic, self.good.account_id.encode(), value, expected, case)


def _duplicate(draft: _Draft) -> HostileRecord:
    return draft.raw("duplicate", EventNote.DUPLICATE, draft.good.body)


def _truncated(draft: _Draft) -> HostileRecord:
    return draft.raw("truncated", RejectReason.NOT_JSON, draft.good.body[: len(draft.good.body) // 2])


def _not_utf8(draft: _Draft) -> HostileRecord:
    return draft.raw("not_utf8", RejectReason.NOT_JSON, b'{"event_id":"\xff\xfe"}')


def _tombstone(draft: _Draft) -> HostileRecord:
    return draft.raw("tombstone", RejectReason.EMPTY_VALUE, None)


def _empty(draft: _Draft) -> HostileRecord:
    return draft.raw("empty", RejectReason.EMPTY_VALUE, b"")


def _array(draft: _Draft) -> HostileRecord:
    return draft.raw("array", RejectReason.WRONG_TYPE, b"[" + draft.good.body + b"]")


def _user_is_number(draft: _Draft) -> HostileRecord:
    return draft.record("user_is_number", RejectReason.WRONG_TYPE, account_id=17)


def _account_missing(draft: _Draft) -> HostileRecord:
    return draft.record("account_missing", RejectReason.WRONG_TYPE, account_id=None)


def _time_without_zone(draft: _Draft) -> HostileRecord:
    return draft.record("time_without_zone", RejectReason.WRONG_TYPE, occurred_at="2026-03-01T10:00:00")


def _time_is_word(draft: _Draft) -> HostileRecord:
    return draft.record("time_is_word", RejectReason.WRONG_TYPE, occurred_at="yesterday")


def _key_of_other(draft: _Draft) -> HostileRecord:
    return draft.record("key_of_other", RejectReason.KEY_MISMATCH)._replace(key=b"somebody-else")


def _no_key(draft: _Draft) -> HostileRecord:
    return draft.record("no_key", RejectReason.KEY_MISSING)._replace(key=None)


def _account(draft: _Draft, case: str, name: str) -> HostileRecord:
    record = draft.record(case, RejectReason.BAD_ACCOUNT_ID, account_id=name)
    return record._replace(key=name.encode())


def _nul_account(draft: _Draft) -> HostileRecord:
    return _account(draft, "nul_account", "acct\x00admin")


def _empty_account(draft: _Draft) -> HostileRecord:
    return _account(draft, "empty_account", "")


def _long_account(draft: _Draft) -> HostileRecord:
    return _account(draft, "long_account", "a" * (ACCOUNT_ID_BYTES_MAX + 1))


def _year_1970(draft: _Draft) -> HostileRecord:
    return draft.record("year_1970", RejectReason.IMPLAUSIBLE_TIME, occurred_at=0)


def _year_2150(draft: _Draft) -> HostileRecord:
    return draft.record("year_2150", RejectReason.IMPLAUSIBLE_TIME, occurred_at=YEAR_2150_MS)


def _year_2099(draft: _Draft) -> HostileRecord:
    return draft.record("year_2099", EventNote.FUTURE_CLAMPED, occurred_at=instant_text(YEAR_2099_MS))


def _too_large(draft: _Draft) -> HostileRecord:
    return draft.record("too_large", RejectReason.VALUE_TOO_LARGE, note="x" * VALUE_BYTES_MAX)


def _unknown_value(draft: _Draft) -> HostileRecord:
    record = draft.record("unknown_value", EventNote.UNKNOWN_VALUE, ticket_id="tk-odd", action="teleported")
    return record._replace(topic=Input.TICKETS)


def _wrong_partition(draft: _Draft) -> HostileRecord:
    name = f"stray-{draft.event_id}"
    record = draft.record("wrong_partition", RejectReason.WRONG_PARTITION, account_id=name)
    return record._replace(key=name.encode(), partition_shift=1)


CASES: Final[tuple[Callable[[_Draft], HostileRecord], ...]] = (
    _duplicate,
    _truncated,
    _not_utf8,
    _tombstone,
    _empty,
    _array,
    _user_is_number,
    _account_missing,
    _time_without_zone,
    _time_is_word,
    _key_of_other,
    _no_key,
    _nul_account,
    _empty_account,
    _long_account,
    _year_1970,
    _year_2150,
    _year_2099,
    _too_large,
    _unknown_value,
    _wrong_partition,
)


def hostile_records(
    rng: np.random.Generator, good: Sequence[SimulatedEvent], count: int
) -> Iterator[HostileRecord]:
    """Yield ``count`` bad records made from ``good`` events; every case comes once before any comes twice.

    A duplicate is a record of ``good`` itself, so ``good`` must be produced before.
    """
    assert good, "bad records are made from good ones: give at least one event"
    for number in range(count):
        if number % len(CASES) == 0:
            order = rng.permutation(len(CASES))
        event = good[int(rng.integers(0, len(good)))]
        case = CASES[int(order[number % len(CASES)])]
        yield case(_Draft(event, json.loads(event.body), f"hostile-{number:06d}"))
