"""The five inputs as msgspec structs: one definition for decoding, JSON Schema and messages.

Unknown fields are ignored. ``occurred_at`` is RFC 3339 text with a zone, or integer milliseconds UTC.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

from schemas.topics import Input

Whole = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
"""A whole number of 64 bits, signed."""

Instant = Annotated[datetime, Meta(tz=True)] | Whole
"""An instant: RFC 3339 text with a zone, or integer milliseconds since 1970-01-01 UTC."""

FactValue = str | bool | Whole | float | None


class Login(Struct, gc=False):
    """A user logged in, or tried to."""

    event_id: str
    account_id: str
    occurred_at: Instant
    user_id: str | None = None
    method: str = "unknown"
    success: bool = True


class Ticket(Struct, gc=False):
    """One action on a support ticket."""

    event_id: str
    account_id: str
    occurred_at: Instant
    ticket_id: str
    action: str
    user_id: str | None = None
    severity: str | None = None
    tags: list[str] = []
    csat: Annotated[int, Meta(ge=1, le=5)] | None = None


class Payment(Struct, gc=False):
    """One change of a payment's status. ``amount_minor`` is in the currency's minor unit (cents)."""

    event_id: str
    account_id: str
    occurred_at: Instant
    payment_id: str
    status: str
    user_id: str | None = None
    amount_minor: Whole | None = None
    currency: str | None = None
    due_at: Instant | None = None


class PageVisit(Struct, gc=False):
    """A page or feature was visited; ``path`` is preferred, else the path of ``url`` is taken."""

    event_id: str
    account_id: str
    occurred_at: Instant
    user_id: str | None = None
    path: str | None = None
    url: str | None = None
    feature: str | None = None
    duration_ms: Whole | None = None
    user_role: str | None = None


class AccountFacts(Struct, gc=False):
    """A partial update of what is known of an account; ``null`` deletes a fact, ``erase`` the whole account."""

    event_id: str
    account_id: str
    occurred_at: Instant
    facts: dict[str, FactValue]
    author: str | None = None
    expires_at: Instant | None = None
    erase: bool = False


Event = Login | Ticket | Payment | PageVisit | AccountFacts

EVENT_TYPES: Final[dict[Input, type[Struct]]] = {
    Input.ACCOUNT_FACTS: AccountFacts,
    Input.LOGINS: Login,
    Input.TICKETS: Ticket,
    Input.PAYMENTS: Payment,
    Input.PAGE_VISITS: PageVisit,
}

RECORDED_TYPES: Final[dict[str, Input]] = {
    "facts": Input.ACCOUNT_FACTS,
    "login": Input.LOGINS,
    "ticket": Input.TICKETS,
    "payment": Input.PAYMENTS,
    "page_visit": Input.PAGE_VISITS,
}
"""The ``type`` of a line in a recorded file, and the input it belongs to."""

VALUE_BYTES_MAX: Final = 1 << 20
ACCOUNT_ID_BYTES_MAX: Final = 256
OCCURRED_AT_MIN_MS: Final = 631_152_000_000
"""1990-01-01 UTC."""
OCCURRED_AT_END_MS: Final = 4_102_444_800_000
"""2100-01-01 UTC, exclusive."""


def is_account_id(name: str) -> bool:
    """Return whether a text can be the id of an account."""
    size = len(name.encode("utf-8", "surrogatepass"))
    return 0 < size <= ACCOUNT_ID_BYTES_MAX and all(character >= " " for character in name)
