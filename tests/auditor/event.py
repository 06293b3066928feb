"""One accepted event, and how a record becomes one or a dead letter."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, NamedTuple

from schemas.catalogue import (
    ADMIN_ROLES,
    KEY_FEATURE_PAGE,
    PAYMENT_STATUSES,
    RISK_PAGE_KINDS,
    TICKET_ACTIONS,
    EventKind,
)
from schemas.reasons import EventNote, RejectReason
from schemas.topics import Input
from tests.auditor.exact import partition_of, short_hash, xxh3
from tests.auditor.settings import Settings, address_path
from tests.auditor.wire import Fields, Rejected, checked_fields, instant_ms, parse_json

OCCURRED_AT_MIN_MS = 631_152_000_000
OCCURRED_AT_END_MS = 4_102_444_800_000
USER_BUCKETS = 128


class Recorded(NamedTuple):
    """One record of a partition of an input, as the broker or a recorded file holds it."""

    input: Input
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int


@dataclass(frozen=True)
class Event:
    """An accepted event. `natural_key` is None for what has none; `notes` are those that need no state.

    Attributes:
        user_bucket: bucket of the user, None without one.
        pages: kinds of the page that was visited.
        key_features: those that the visit uses.
        slot: hash of the id of the ticket or payment.
        tags: kinds of the ticket that is opened.
        due_ms: plausible instant at which a payment is due, None if none is told.
    """

    input: Input
    offset: int
    timestamp_ms: int
    event_id: str
    account_id: str
    time_ms: int
    kind: EventKind
    natural_key: tuple[str, ...] | None
    notes: tuple[EventNote, ...]
    user_bucket: int | None = None
    pages: frozenset[str] = frozenset()
    key_features: frozenset[str] = frozenset()
    is_admin: bool = False
    slot: int = 0
    tags: frozenset[str] = frozenset()
    csat: int | None = None
    amount_minor: int | None = None
    currency: str | None = None
    due_ms: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    expires_ms: int | None = None
    erases: bool = False

    @property
    def is_risk_visit(self) -> bool:
        return not self.pages.isdisjoint(RISK_PAGE_KINDS)

    def clamped_to(self, time_ms: int) -> Event:
        """Return the event set back to an instant, with a note."""
        return replace(self, time_ms=time_ms, notes=(EventNote.FUTURE_CLAMPED, *self.notes))


def decode(record: Recorded, settings: Settings, partitions: int, *, keyed: bool) -> Event:
    """Return the event of a record.

    Raises:
        Rejected: with the first reason that holds.
    """
    fields = checked_fields(record.input, record.value, recorded=not keyed)
    account_id: str = fields["account_id"]
    if keyed and record.key is None:
        raise Rejected(RejectReason.KEY_MISSING)
    if keyed and record.key != account_id.encode():
        raise Rejected(RejectReason.KEY_MISMATCH)
    time_ms = instant_ms(fields["occurred_at"])
    assert time_ms is not None
    if not _is_plausible(time_ms):
        raise Rejected(RejectReason.IMPLAUSIBLE_TIME)
    if partition_of(account_id, partitions) != record.partition:
        raise Rejected(RejectReason.WRONG_PARTITION)
    event = _event(record, fields, time_ms, settings)
    is_ahead = record.timestamp_ms >= 0 and time_ms > record.timestamp_ms + settings.future_skew_ms
    return event.clamped_to(max(record.timestamp_ms, OCCURRED_AT_MIN_MS)) if is_ahead else event


def plausible_ms(value: bytes | None) -> float:
    """Return the time of a record, whatever else becomes of it; -inf if it tells none that is plausible."""
    try:
        fields = parse_json(value or b"")
    except Rejected:
        return -inf
    time_ms = instant_ms(fields.get("occurred_at")) if isinstance(fields, dict) else None
    return time_ms if time_ms is not None and _is_plausible(time_ms) else -inf


def _is_plausible(time_ms: int) -> bool:
    return OCCURRED_AT_MIN_MS <= time_ms < OCCURRED_AT_END_MS


def _event(record: Recorded, fields: Fields, time_ms: int, settings: Settings) -> Event:
    kind = _kind(record.input, fields)
    is_unknown = kind in {EventKind.TICKET_OTHER, EventKind.PAYMENT_OTHER}
    return Event(
        input=record.input,
        offset=record.offset,
        timestamp_ms=record.timestamp_ms,
        event_id=fields["event_id"],
        account_id=fields["account_id"],
        time_ms=time_ms,
        kind=kind,
        natural_key=_natural_key(record.input, fields),
        notes=(EventNote.UNKNOWN_VALUE,) if is_unknown else (),
        **_details(record.input, kind, fields, settings),
    )


def _details(source: Input, kind: EventKind, fields: Fields, settings: Settings) -> dict[str, Any]:
    """Return what only an event of its input can tell."""
    match source:
        case Input.ACCOUNT_FACTS:
            told = {"facts": fields["facts"], "expires_ms": instant_ms(fields.get("expires_at"))}
            return told | {"erases": fields.get("erase", False)}
        case Input.TICKETS:
            tags = fields.get("tags", []) if kind is EventKind.TICKET_OPENED else []
            more = {"tags": frozenset(settings.tag_kinds(tags)), "csat": fields.get("csat")}
            return more | {"slot": short_hash(fields["ticket_id"])} | _user(fields)
        case Input.PAYMENTS:
            more = {name: fields.get(name) for name in ("amount_minor", "currency")}
            slot = {"slot": short_hash(fields["payment_id"]), "due_ms": _due_ms(fields.get("due_at"))}
            return more | slot | _user(fields)
        case Input.PAGE_VISITS:
            return _visited(fields, settings) | _user(fields)
    return _user(fields)


def _user(fields: Fields) -> dict[str, Any]:
    user_id = fields.get("user_id")
    return {"user_bucket": xxh3(user_id) % USER_BUCKETS if user_id else None}


def _due_ms(due_at: Any) -> int | None:
    due_ms = instant_ms(due_at)
    return due_ms if due_ms is not None and _is_plausible(due_ms) else None


def _visited(fields: Fields, settings: Settings) -> dict[str, Any]:
    """Return the kinds of the page that was visited, and who did so; its address is `path`, else `url`."""
    path, url = fields.get("path"), fields.get("url")
    address = url if path is None else path
    path = None if address is None else address_path(address)
    used = settings.key_features_used(path, fields.get("feature"))
    pages = set() if path is None else settings.page_kinds(path)
    return {
        "pages": frozenset(pages | ({KEY_FEATURE_PAGE} if used else set())),
        "key_features": frozenset(used),
        "is_admin": (fields.get("user_role") or "").lower() in ADMIN_ROLES,
    }


def _kind(source: Input, fields: Fields) -> EventKind:
    if source is Input.LOGINS:
        return EventKind.LOGIN if fields.get("success", True) else EventKind.LOGIN_FAILED
    if source is Input.TICKETS:
        return TICKET_ACTIONS.get(fields["action"], EventKind.TICKET_OTHER)
    if source is Input.PAYMENTS:
        return PAYMENT_STATUSES.get(fields["status"], EventKind.PAYMENT_OTHER)
    return EventKind.PAGE_VISIT if source is Input.PAGE_VISITS else EventKind.FACTS


def _natural_key(source: Input, fields: Fields) -> tuple[str, ...] | None:
    """Return what the natural key has beside the time; the words are those of the record."""
    if source is Input.PAYMENTS:
        return ("payment", fields["payment_id"], fields["status"])
    if source is Input.TICKETS:
        return ("ticket", fields["ticket_id"], fields["action"])
    return None
