"""Reasons of an episode and what each rests on."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from schemas.reasons import Rule
from schemas.wire import Count, DaysPerWeek, Points, Rate, Share, Time


class SilenceEvidence(Struct, frozen=True, kw_only=True, gc=False):
    """Why a silence is improbable for this account, as it stood when the reason joined.

    ``probability`` is that of one gap this long while the account is well; it follows from the yearly budget of
    false alarms and the account's own usual gap.
    """

    silent_for_s: Count
    usual_gap_s: Count
    gaps_known: Count
    probability: Share
    false_alarms_per_year: Annotated[float, Meta(gt=0)]


class AbsoluteSilenceEvidence(Struct, frozen=True, kw_only=True, gc=False):
    """A silence beyond the policy's plain cap, as it stood when the reason joined."""

    silent_for_s: Count
    limit_days: Count


class RiskPageEvidence(Struct, frozen=True, kw_only=True, gc=False):
    """Visits to cancel and refund pages; ``admin``: one of them by an administrator."""

    visits: Count
    last_visit_at: Time
    admin: bool


class DeclineEvidence(Struct, frozen=True, kw_only=True, gc=False):
    """Active days a week, in the last weeks and in those before them."""

    recent_days_per_week: DaysPerWeek
    earlier_days_per_week: DaysPerWeek


class NeverStartedEvidence(Struct, frozen=True, kw_only=True, gc=False):
    """Days since the account became a customer, none of them with activity."""

    days_since_start: Count
    limit_days: Count


class PaymentTroubleEvidence(Struct, frozen=True, kw_only=True, gc=False):
    """Payments in trouble: late, failed, refunded or disputed (``reversed``)."""

    late: Count
    failed: Count
    reversed: Count


class TicketTroubleEvidence(Struct, frozen=True, kw_only=True, gc=False):
    """Tickets opened in the last 7 days and usually in 7 days; open ones that are escalated, or open for too long."""

    opened: Count
    usual: Rate
    escalated: Count
    unresolved: Count


class BandDropEvidence(Struct, frozen=True, kw_only=True, gc=False):
    """The band now, the band fallen from if it has fallen, and the points lost against the best of the last days."""

    band: str
    band_before: str | None
    points_lost: Points | None


class UsersLeavingEvidence(Struct, frozen=True, kw_only=True, gc=False):
    """Distinct active users of the rule's shorter window, and of its longer one."""

    users: Count
    users_before: Count


class ReengagedEvidence(Struct, frozen=True, kw_only=True, gc=False):
    """The local day of the return, active days since, and the days of the gap that it ended."""

    returned_on: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$", extra_json_schema={"format": "date"})]
    active_days: Count
    silent_days: Count


class UsageSurgeEvidence(Struct, frozen=True, kw_only=True, gc=False):
    """Events of activity in the window, and usually in as many days."""

    events: Count
    usual: Rate


class UpgradeInterestEvidence(Struct, frozen=True, kw_only=True, gc=False):
    """Visits to upgrade and pricing pages in the window."""

    visits: Count
    window_days: Count


class SilenceReason(Struct, frozen=True, kw_only=True, gc=False, tag_field="rule", tag=Rule.SILENCE.label):
    """The account is silent for longer than its own rhythm explains, since ``since``."""

    model: str | None = None
    since: Time
    evidence: SilenceEvidence


class AbsoluteSilenceReason(
    Struct, frozen=True, kw_only=True, gc=False, tag_field="rule", tag=Rule.ABSOLUTE_SILENCE.label
):
    """The account is silent for longer than the policy allows anyone, since ``since``."""

    model: str | None = None
    since: Time
    evidence: AbsoluteSilenceEvidence


class RiskPageReason(Struct, frozen=True, kw_only=True, gc=False, tag_field="rule", tag=Rule.RISK_PAGE.label):
    """A cancel or refund page was visited, and it has not been quiet since for long enough."""

    model: str | None = None
    since: Time
    evidence: RiskPageEvidence


class DeclineReason(Struct, frozen=True, kw_only=True, gc=False, tag_field="rule", tag=Rule.DECLINE.label):
    """The account is active on far fewer days than in the weeks before."""

    model: str | None = None
    since: Time
    evidence: DeclineEvidence


class NeverStartedReason(
    Struct, frozen=True, kw_only=True, gc=False, tag_field="rule", tag=Rule.NEVER_STARTED.label
):
    """The account became a customer and has not been active since."""

    model: str | None = None
    since: Time
    evidence: NeverStartedEvidence


class PaymentTroubleReason(
    Struct, frozen=True, kw_only=True, gc=False, tag_field="rule", tag=Rule.PAYMENT_TROUBLE.label
):
    """A payment is late, failed or was taken back, and has not succeeded since."""

    model: str | None = None
    since: Time
    evidence: PaymentTroubleEvidence


class TicketTroubleReason(
    Struct, frozen=True, kw_only=True, gc=False, tag_field="rule", tag=Rule.TICKET_TROUBLE.label
):
    """Far more tickets than usual, an escalated one, or one that stays unresolved."""

    model: str | None = None
    since: Time
    evidence: TicketTroubleEvidence


class BandDropReason(Struct, frozen=True, kw_only=True, gc=False, tag_field="rule", tag=Rule.BAND_DROP.label):
    """The score of ``model`` has fallen into a worse band, or by many points, within some days."""

    model: str | None = None
    since: Time
    evidence: BandDropEvidence


class UsersLeavingReason(
    Struct, frozen=True, kw_only=True, gc=False, tag_field="rule", tag=Rule.USERS_LEAVING.label
):
    """Many of the users of the longer window were not active in the shorter one."""

    model: str | None = None
    since: Time
    evidence: UsersLeavingEvidence


class ReengagedReason(
    Struct, frozen=True, kw_only=True, gc=False, tag_field="rule", tag=Rule.REENGAGED.label
):
    """The account is active again after a silence that was told."""

    model: str | None = None
    since: Time
    evidence: ReengagedEvidence


class UsageSurgeReason(
    Struct, frozen=True, kw_only=True, gc=False, tag_field="rule", tag=Rule.USAGE_SURGE.label
):
    """The account is far more active than it usually is."""

    model: str | None = None
    since: Time
    evidence: UsageSurgeEvidence


class UpgradeInterestReason(
    Struct, frozen=True, kw_only=True, gc=False, tag_field="rule", tag=Rule.UPGRADE_INTEREST.label
):
    """The account looks at upgrades and prices."""

    model: str | None = None
    since: Time
    evidence: UpgradeInterestEvidence


Reason = (
    SilenceReason
    | DeclineReason
    | AbsoluteSilenceReason
    | NeverStartedReason
    | RiskPageReason
    | PaymentTroubleReason
    | TicketTroubleReason
    | BandDropReason
    | UsersLeavingReason
    | ReengagedReason
    | UsageSurgeReason
    | UpgradeInterestReason
)
"""A rule whose condition holds (of a resolved episode: held until now). ``rule`` comes first and names the evidence."""
