"""Catalogues as data: kinds of events, sources that are counted, features that models read, facts.

Models, rules, plan and reference pages are all read from these tables; no source or feature is named elsewhere.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final, NamedTuple


class EventKind(IntEnum):
    """What happened, after decoding; the value is a code in event columns."""

    FACTS = 0
    LOGIN = 1
    LOGIN_FAILED = 2
    PAGE_VISIT = 3
    TICKET_OPENED = 4
    TICKET_COMMENTED = 5
    TICKET_ESCALATED = 6
    TICKET_RESOLVED = 7
    TICKET_REOPENED = 8
    TICKET_OTHER = 9
    PAYMENT_DUE = 10
    PAYMENT_SUCCEEDED = 11
    PAYMENT_FAILED = 12
    PAYMENT_REFUNDED = 13
    PAYMENT_DISPUTED = 14
    PAYMENT_OTHER = 15

    @property
    def label(self) -> str:
        """Return the name used in policy files."""
        return self.name.lower()


TICKET_ACTIONS: Final = {
    "opened": EventKind.TICKET_OPENED,
    "commented": EventKind.TICKET_COMMENTED,
    "escalated": EventKind.TICKET_ESCALATED,
    "resolved": EventKind.TICKET_RESOLVED,
    "reopened": EventKind.TICKET_REOPENED,
}
PAYMENT_STATUSES: Final = {
    "due": EventKind.PAYMENT_DUE,
    "succeeded": EventKind.PAYMENT_SUCCEEDED,
    "failed": EventKind.PAYMENT_FAILED,
    "refunded": EventKind.PAYMENT_REFUNDED,
    "disputed": EventKind.PAYMENT_DISPUTED,
}
ACTIVITY_KINDS: Final = tuple(
    kind.label for kind in EventKind if not kind.label.endswith("_other") and kind is not EventKind.FACTS
)
"""Names that a policy may list under ``activity``."""

PAGE_KINDS: Final = ("cancel", "refund", "upgrade", "pricing", "key_feature", "complementary")
"""Names of page kinds that a policy may give path patterns for."""
RISK_PAGE_KINDS: Final = ("cancel", "refund")
ADMIN_ROLES: Final = ("admin", "owner", "billing")


class Signal(StrEnum):
    """Whether no event at all says something of a young account."""

    VOLUME = "volume"
    INCIDENT = "incident"


class Source(NamedTuple):
    """A stream of countable happenings: event kinds, or visits of page kinds. ``bit`` marks it in event columns."""

    name: str
    bit: int
    signal: Signal
    kinds: tuple[EventKind, ...]
    pages: tuple[str, ...]
    what: str


SOURCES: Final[tuple[Source, ...]] = (
    Source("activity", 0, Signal.VOLUME, (), (), "events that the policy counts as activity"),
    Source("logins", 1, Signal.VOLUME, (EventKind.LOGIN,), (), "successful log-ins"),
    Source("failed_logins", 2, Signal.INCIDENT, (EventKind.LOGIN_FAILED,), (), "log-ins that failed"),
    Source("page_visits", 3, Signal.VOLUME, (EventKind.PAGE_VISIT,), (), "page visits of any kind"),
    Source("risk_pages", 4, Signal.INCIDENT, (), RISK_PAGE_KINDS, "visits to cancel and refund pages"),
    Source(
        "upgrade_pages", 5, Signal.INCIDENT, (), ("upgrade", "pricing"), "visits to upgrade and pricing pages"
    ),
    Source("key_feature_pages", 6, Signal.VOLUME, (), ("key_feature",), "visits to key features"),
    Source(
        "complementary_pages",
        7,
        Signal.INCIDENT,
        (),
        ("complementary",),
        "visits to the complementary product",
    ),
    Source("tickets_opened", 8, Signal.INCIDENT, (EventKind.TICKET_OPENED,), (), "tickets opened"),
    Source("tickets_escalated", 9, Signal.INCIDENT, (EventKind.TICKET_ESCALATED,), (), "tickets escalated"),
    Source(
        "payments_succeeded", 10, Signal.VOLUME, (EventKind.PAYMENT_SUCCEEDED,), (), "payments that succeeded"
    ),
    Source(
        "payments_failed",
        11,
        Signal.INCIDENT,
        (EventKind.PAYMENT_FAILED, EventKind.PAYMENT_REFUNDED, EventKind.PAYMENT_DISPUTED),
        (),
        "payments that failed, were refunded or disputed",
    ),
)
SOURCE_BY_NAME: Final = {source.name: source for source in SOURCES}
ACTIVITY_BIT: Final = SOURCE_BY_NAME["activity"].bit
RISK_BIT: Final = SOURCE_BY_NAME["risk_pages"].bit
ADMIN_BIT: Final = 30
"""A bit beside the sources in event columns: the user's role is an administrator's."""


class Feature(NamedTuple):
    """A kind of metric. ``scale`` is what one unit of a model file's x is in the kernel's integers."""

    name: str
    code: int
    unit: str
    scale: int
    needs: tuple[str, ...]
    what: str


FEATURES: Final[tuple[Feature, ...]] = (
    Feature("count", 0, "events", 1, ("source", "window_days"), "events in the window"),
    Feature("active_days", 1, "days", 1, ("source", "window_days"), "days with an event in the window"),
    Feature(
        "ratio",
        2,
        "1",
        1000,
        ("source", "window_days", "lag_days"),
        "events in the window against the account's own earlier window",
    ),
    Feature("since_last", 3, "days", 1, ("source",), "days since the last event"),
    Feature(
        "rhythm",
        4,
        "usual gaps",
        1000,
        (),
        "silence in units of the account's own usual gap between active days",
    ),
    Feature("fact", 5, "the fact's own", 1000, ("source",), "a fact that was told of the account"),
)
FEATURE_BY_NAME: Final = {feature.name: feature for feature in FEATURES}


class Fact(NamedTuple):
    """A fact that models may read. ``values`` are the categories of a categorical fact, empty for a number."""

    name: str
    unit: str
    values: tuple[str, ...]
    what: str


FACTS: Final[tuple[Fact, ...]] = (
    Fact("kind", "", ("customer", "trial", "partner", "internal", "closed"), "what the account is to us"),
    Fact("nps", "-100..100", (), "latest net promoter survey"),
    Fact("csm_sentiment", "", ("good", "neutral", "poor"), "the customer-success manager's judgement"),
    Fact("arr", "currency a year", (), "annual recurring revenue"),
    Fact("seats", "seats", (), "seats bought"),
)
"""Facts that models may read as metrics. Any other fact is kept and shown in the account view."""
FACT_BY_NAME: Final = {fact.name: fact for fact in FACTS}
DEFAULT_KIND: Final = "customer"
CLOSED_KIND: Final = "closed"
