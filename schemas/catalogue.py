"""Catalogues as data: kinds of events, sources that are counted, features that models read, facts.

Models, rules, plan and reference pages are all read from these tables; no source or feature is named elsewhere.
"""

from __future__ import annotations

from datetime import date
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
_INPUTS: Final = {"login": "logins", "page": "page-visits", "ticket": "tickets", "payment": "payments"}
ACTIVITY_INPUT: Final = {kind: _INPUTS[kind.split("_")[0]] for kind in ACTIVITY_KINDS}
"""The topic, without prefix, in which each of them comes."""

PAGE_KINDS: Final = ("cancel", "refund", "upgrade", "pricing", "complementary")
"""Names of page kinds that a policy may give path patterns for."""
KEY_FEATURE_PAGE: Final = "key_feature"
"""Kind of a page visit that uses a key feature of the policy."""
TICKET_TAG_KINDS: Final = ("feature_request", "stability")
"""Kinds of tickets that a policy may name tags for."""
RISK_PAGE_KINDS: Final = ("cancel", "refund")
ADMIN_ROLES: Final = ("admin", "owner", "billing")


class Signal(StrEnum):
    """Whether no event at all says something of a young account."""

    VOLUME = "volume"
    INCIDENT = "incident"


class Source(NamedTuple):
    """A stream of countable happenings: event kinds, visits of page kinds, tickets opened with a kind of tag.

    ``bit`` marks it in event columns.
    """

    name: str
    bit: int
    signal: Signal
    kinds: tuple[EventKind, ...]
    pages: tuple[str, ...]
    what: str
    tags: tuple[str, ...] = ()


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
    Source(
        "feature_requests",
        12,
        Signal.INCIDENT,
        (),
        (),
        "tickets opened that ask for a feature",
        ("feature_request",),
    ),
    Source(
        "stability_tickets",
        13,
        Signal.INCIDENT,
        (),
        (),
        "tickets opened about gaps and stability",
        ("stability",),
    ),
)
SOURCE_BY_NAME: Final = {source.name: source for source in SOURCES}
ACTIVITY_BIT: Final = SOURCE_BY_NAME["activity"].bit
RISK_BIT: Final = SOURCE_BY_NAME["risk_pages"].bit
ADMIN_BIT: Final = 30
"""A bit beside the sources in event columns: the user's role is an administrator's."""
KEY_FEATURE_BIT: Final = 32
"""The first of the bits that mark the key features which a visit uses."""
KEY_FEATURES_MAX: Final = 16


class Measurement(NamedTuple):
    """Something of which every week keeps sum and number."""

    name: str
    unit: str
    what: str


MEASUREMENTS: Final[tuple[Measurement, ...]] = (
    Measurement("csat", "1..5", "satisfaction told with a ticket event"),
    Measurement("resolve_hours", "hours", "time from a ticket's opening to its resolution"),
)
MEASUREMENT_BY_NAME: Final = {measurement.name: measurement for measurement in MEASUREMENTS}


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
    Feature(
        "decayed",
        6,
        "events",
        1000,
        ("source", "window_days", "half_life_days"),
        "events in the window, an event of half_life_days ago counting half",
    ),
    Feature(
        "sum",
        7,
        "minor units",
        1,
        ("source", "window_days"),
        "amounts of the window's payments in the account's first currency",
    ),
    Feature("users", 8, "users", 1, ("window_days",), "distinct active users (128 buckets: about 6 % error)"),
    Feature(
        "user_share",
        9,
        "1",
        1000,
        ("window_days", "of_days"),
        "distinct active users against the fact `seats`, else against those of of_days",
    ),
    Feature("open_tickets", 10, "tickets", 1, (), "tickets open now (of the last 90 days, at most 6)"),
    Feature(
        "mean", 11, "the measurement's own", 1000, ("source", "window_days"), "mean of a measurement by weeks"
    ),
    Feature("key_features", 12, "1", 1000, ("window_days",), "share of the key features that were used"),
    Feature(
        "first_use",
        13,
        "days",
        1000,
        (),
        "days from the account's start to the first use of a key feature, or so far; mean over them",
    ),
    Feature("late_payments", 14, "payments", 1, (), "payments due or failed and not paid since (at most 4)"),
    Feature(
        "pattern",
        15,
        "1",
        1000,
        ("source", "window_days", "lag_days"),
        "share of the events that the account's own earlier weekdays let expect, over whole days; more on one weekday does not "
        "make up for less on another",
    ),
)
FEATURE_BY_NAME: Final = {feature.name: feature for feature in FEATURES}


class Fact(NamedTuple):
    """A fact that is read. ``values`` are the categories of a categorical fact, empty for any other.

    ``readable``: models may read it as a metric. ``range``: the least and the largest number that it may be. ``days``: told
    without an end, it expires so long after.
    """

    name: str
    unit: str
    values: tuple[str, ...]
    what: str
    readable: bool = True
    range: tuple[int, int] | None = None
    days: int | None = None


YES_NO: Final = ("no", "yes")
"""Categories of a question; ``false`` and ``true`` mean them, too."""
_LOW_HIGH: Final = ("low", "medium", "high")
_RATING: Final = (1, 10)
_PERCENT: Final = (0, 100)
_REVIEWED: Final = "reached of what was agreed, at the latest business review"
FACTS: Final[tuple[Fact, ...]] = (
    Fact("kind", "", ("customer", "trial", "partner", "internal", "closed"), "what the account is to us"),
    Fact("nps", "-100..100", (), "latest net promoter survey", range=(-100, 100), days=365),
    Fact(
        "csm_sentiment", "", ("good", "neutral", "poor"), "the customer-success manager's judgement", days=90
    ),
    Fact("arr", "currency a year", (), "annual recurring revenue", range=(0, 10**12)),
    Fact("seats", "seats", (), "seats bought", range=(0, 10_000_000)),
    Fact("references_given", "references", (), "references and recommendations given", range=(0, 1000)),
    Fact("savings_pct", "0..100", (), f"savings {_REVIEWED}", range=_PERCENT, days=365),
    Fact("efficiency_pct", "0..100", (), f"efficiency {_REVIEWED}", range=_PERCENT, days=365),
    Fact("goals_pct", "0..100", (), f"goals {_REVIEWED}", range=_PERCENT, days=365),
    Fact("time_zone", "zone name", (), "the account's time zone", readable=False),
    Fact("customer_since", "date", (), "day on which it became a customer", readable=False),
    Fact("renewal_date", "date", (), "day on which its contract is renewed or ends", readable=False),
    Fact("segment", "text", (), "the segment that it is in: a model may be for some only", readable=False),
    Fact("plan", "text", (), "the plan that it is on: likewise", readable=False),
    Fact("fits_profile", "", YES_NO, "it fits the profile of company that we look for", days=365),
    Fact("needs_fit", "", YES_NO, "its current needs suit the product", days=365),
    Fact("low_effort", "", YES_NO, "it takes low effort to maintain and serve", days=365),
    Fact("good_revenue", "", YES_NO, "its revenue suffices, or may: growth, referrals, its name", days=365),
    Fact(
        "fits_profile_rating",
        "1..10",
        (),
        "how far it fits the profile that we look for",
        range=_RATING,
        days=365,
    ),
    Fact(
        "needs_fit_rating",
        "1..10",
        (),
        "how well its current needs suit the product",
        range=_RATING,
        days=365,
    ),
    Fact(
        "low_effort_rating",
        "1..10",
        (),
        "how little effort it takes; 10 is the least",
        range=_RATING,
        days=365,
    ),
    Fact(
        "good_revenue_rating", "1..10", (), "how good its revenue is or may become", range=_RATING, days=365
    ),
    Fact("employees", "employees", (), "size of the company", range=(0, 10_000_000)),
    Fact("growth_pct", "percent a year", (), "growth of its business with us", range=(-100, 1000), days=365),
    Fact("growth_potential", "", _LOW_HIGH, "how far its business with us may grow", days=365),
    Fact("upsell_potential", "", ("none", "some", "high"), "what else it may buy", days=365),
    Fact("cost_to_serve_pct", "percent of revenue", (), "what serving it costs", range=(0, 1000), days=365),
    Fact("influence", "", _LOW_HIGH, "its weight in its sector", days=365),
    Fact("referral_potential", "", _LOW_HIGH, "whether it may bring others", days=365),
    Fact("fit_pct", "0..100", (), "how far it fits the profile of a good customer", range=_PERCENT, days=365),
    Fact("sector_fit", "", ("poor", "fair", "good"), "whether its sector is one that we serve well"),
    Fact("decision_maker_known", "", YES_NO, "we know who decides, and they us", days=365),
    Fact("complement_need", "", ("none", "some", "clear"), "its need of the complementary product", days=365),
    Fact(
        "meetings_attended_pct", "0..100", (), "meetings attended of those agreed", range=_PERCENT, days=180
    ),
    Fact(
        "commitment",
        "",
        ("intends_to_renew", "neutral", "apprehensive"),
        "its long-term commitment, as its customer-success manager hears it",
        days=90,
    ),
    Fact(
        "ecosystem_share_pct", "0..100", (), "our share of what it uses of the kind", range=_PERCENT, days=365
    ),
    Fact(
        "communications",
        "a quarter",
        (),
        "individual communications in a quarter",
        range=(0, 100_000),
        days=91,
    ),
    Fact("reviews_held", "a year", (), "business reviews held in a year", range=(0, 1000), days=365),
    Fact(
        "receivables_overdue_pct", "0..100", (), "overdue share of what it owes us", range=_PERCENT, days=91
    ),
    Fact(
        "outcome",
        "",
        ("churned", "renewed", "expanded", "converted"),
        "what became of it, when told",
        readable=False,
    ),
)
"""Facts that models and rules read. Any other fact is kept and shown in the account view."""
FACT_DAYS: Final = {fact.name: fact.days for fact in FACTS if fact.days is not None}
DATE_FACTS: Final = tuple(fact.name for fact in FACTS if fact.unit == "date")
TEXT_FACTS: Final = tuple(fact.name for fact in FACTS if fact.unit == "text")
"""Facts that models compare with the texts which their ``applies_to`` names."""
ZONE_FACT: Final = "time_zone"
READABLE_FACTS: Final = tuple(fact.name for fact in FACTS if fact.readable)
OVERRIDE_PREFIX: Final = "override."
"""``override.<model>`` pins a score, ``override.<model>.<component>`` a component's points."""
FORGOTTEN_DAYS: Final = 90
"""An open ticket is forgotten so long after it was opened, an unpaid payment after it was due or failed, an override
that names no end after it was told."""
DATE_MIN, DATE_END = date(1990, 1, 1), date(2100, 1, 1)
"""Dates in facts: from the first, before the second."""
FACT_BY_NAME: Final = {fact.name: fact for fact in FACTS}
DEFAULT_KIND: Final = "customer"
CLOSED_KIND: Final = "closed"
