"""Sentences that a customer-success person reads, from the evidence of an alert."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, assert_never

from schemas.evidence import (
    AbsoluteSilenceReason,
    BandDropReason,
    DeclineReason,
    NeverStartedReason,
    PaymentTroubleReason,
    ReengagedReason,
    RiskPageReason,
    SilenceReason,
    TicketTroubleReason,
    UpgradeInterestReason,
    UsageSurgeReason,
    UsersLeavingReason,
)
from schemas.reasons import ResolvedBy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.evidence import (
        AbsoluteSilenceEvidence,
        BandDropEvidence,
        DeclineEvidence,
        NeverStartedEvidence,
        PaymentTroubleEvidence,
        Reason,
        ReengagedEvidence,
        RiskPageEvidence,
        SilenceEvidence,
        TicketTroubleEvidence,
        UpgradeInterestEvidence,
        UsageSurgeEvidence,
        UsersLeavingEvidence,
    )

DAY_S: Final = 86_400
FEW_GAPS: Final = 3
TEN: Final = 10


def number_text(number: float) -> str:
    """Return a number as a person reads it: ``4.75``, ``2.5``, ``12.3``, ``3``."""
    if isinstance(number, int):
        return str(number)
    text = f"{number:.2f}" if number < TEN else f"{number:.1f}"
    return text.rstrip("0").rstrip(".")


def many(number: float, noun: str) -> str:
    """Return a number with its noun: ``1 day``, ``2.5 days``."""
    text = number_text(number)
    return f"{text} {noun}" if text == "1" else f"{text} {noun}s"


def times_text(number: float) -> str:
    """Return how often: ``not at all``, ``once``, ``3 times``."""
    return {"0": "not at all", "1": "once"}.get(number_text(number), f"{number_text(number)} times")


def counts_text(noun: str, *counts: tuple[int, str]) -> str:
    """Return counts that are not zero, the noun with the first: ``1 payment late, 2 failed``; empty if all are zero."""
    told = [(number, what) for number, what in counts if number]
    return ", ".join(
        [f"{number if place else many(number, noun)} {what}" for place, (number, what) in enumerate(told)]
    )


def days_text(seconds: int) -> str:
    """Return a duration as whole days: ``less than a day``, ``1 day``, ``9 days``."""
    days = seconds // DAY_S
    return "less than a day" if days == 0 else many(days, "day")


def usual_text(gap_s: int) -> str:
    """Return a usual gap between active days as a range of whole days."""
    gap = gap_s / DAY_S
    low, high = max(1, math.floor(gap + 0.05)), max(1, math.ceil(gap - 0.05))
    if low == high:
        return "every day" if low == 1 else f"every {low} days"
    return f"every {low}-{high} days"


def silence_text(evidence: SilenceEvidence) -> str:
    """Return the sentence of a silence: rhythm, silence, and the rate of false alarms at this setting."""
    ago = days_text(evidence.silent_for_s)
    known = "" if evidence.gaps_known >= FEW_GAPS else " (few gaps are known: this rests on the prior)"
    rate = f"{evidence.false_alarms_per_year:g}"
    return (
        f"Usually active {usual_text(evidence.usual_gap_s)}{known}; last seen {ago} ago. "
        f"At this setting a healthy account is expected to raise {rate} such alerts a year."
    )


def absolute_silence_text(evidence: AbsoluteSilenceEvidence) -> str:
    """Return the sentence of a silence beyond the plain cap."""
    return f"Not seen for {days_text(evidence.silent_for_s)}; the cap is {evidence.limit_days} days."


def risk_page_text(evidence: RiskPageEvidence) -> str:
    """Return the sentence of visits to cancel or refund pages."""
    who = " by an administrator" if evidence.admin else ""
    return f"A cancel or refund page was visited {times_text(evidence.visits)}{who}."


def decline_text(evidence: DeclineEvidence) -> str:
    """Return the sentence of a falling rate of active days."""
    recent, earlier = evidence.recent_days_per_week, evidence.earlier_days_per_week
    now = f"Active {many(recent, 'day')} a week" if recent else "Not active"
    return f"{now} in the last weeks, {number_text(earlier) if earlier else 'not at all'} before."


def never_started_text(evidence: NeverStartedEvidence) -> str:
    """Return the sentence of an account without any activity since its start."""
    days = evidence.days_since_start
    since = (
        f"in the {many(days, 'day')} since it became a customer"
        if days
        else "since it became a customer today"
    )
    return f"Never active {since}; the limit is {many(evidence.limit_days, 'day')}."


def payment_trouble_text(evidence: PaymentTroubleEvidence) -> str:
    """Return the sentence of payments in trouble."""
    counts = counts_text(
        "payment",
        (evidence.late, "late"),
        (evidence.failed, "failed"),
        (evidence.reversed, "refunded or disputed"),
    )
    return f"{counts or 'No payment was late, failed, refunded or disputed lately'}."


def ticket_trouble_text(evidence: TicketTroubleEvidence) -> str:
    """Return the sentence of many, escalated or unresolved tickets."""
    usual = number_text(evidence.usual) if evidence.usual else "none"
    counts = counts_text(
        "ticket",
        (evidence.opened, f"opened in the last 7 days (usually {usual})"),
        (evidence.escalated, "escalated"),
        (evidence.unresolved, "open for too long"),
    )
    return f"{counts or 'No ticket was opened in the last 7 days, none is escalated or open for too long'}."


def band_text(band: str) -> str:
    """Return the name of a band as it is read: ``at risk``."""
    return band.replace("_", " ")


def band_drop_text(evidence: BandDropEvidence) -> str:
    """Return the sentence of a score that fell: by a band, by points, or both."""
    band, before = band_text(evidence.band), evidence.band_before
    now = (
        f'The score is "{band}"'
        if before is None
        else f'The score fell from "{band_text(before)}" to "{band}"'
    )
    lost = evidence.points_lost
    return f"{now}, {many(lost, 'point')} below its best of the last days." if lost else f"{now}."


def users_leaving_text(evidence: UsersLeavingEvidence) -> str:
    """Return the sentence of users who are not seen any more."""
    if not evidence.users_before:
        return "No user was active for months."
    seen = "None" if evidence.users == 0 else evidence.users
    return f"{seen} of {many(evidence.users_before, 'user')} active in the last weeks."


def reengaged_text(evidence: ReengagedEvidence) -> str:
    """Return the sentence of a return after a silence."""
    gap = many(evidence.silent_days, "day")
    return f"Back on {evidence.returned_on} after {gap}; {many(evidence.active_days, 'active day')} since."


def usage_surge_text(evidence: UsageSurgeEvidence) -> str:
    """Return the sentence of more activity than usual."""
    lately = f"Used {times_text(evidence.events)} lately" if evidence.events else "Not used lately"
    return f"{lately}, usually {times_text(evidence.usual)} in as many days."


def upgrade_interest_text(evidence: UpgradeInterestEvidence) -> str:
    """Return the sentence of visits to upgrade and pricing pages."""
    visits = many(evidence.visits, "visit") if evidence.visits else "No visit"
    return f"{visits} to upgrade or pricing pages in the last {many(evidence.window_days, 'day')}."


def sentence(reason: Reason) -> str:  # noqa: PLR0911, PLR0912 - a case for each rule
    """Return the sentence of a reason."""
    match reason:
        case SilenceReason():
            return silence_text(reason.evidence)
        case DeclineReason():
            return decline_text(reason.evidence)
        case AbsoluteSilenceReason():
            return absolute_silence_text(reason.evidence)
        case NeverStartedReason():
            return never_started_text(reason.evidence)
        case RiskPageReason():
            return risk_page_text(reason.evidence)
        case PaymentTroubleReason():
            return payment_trouble_text(reason.evidence)
        case TicketTroubleReason():
            return ticket_trouble_text(reason.evidence)
        case BandDropReason():
            return band_drop_text(reason.evidence)
        case UsersLeavingReason():
            return users_leaving_text(reason.evidence)
        case ReengagedReason():
            return reengaged_text(reason.evidence)
        case UsageSurgeReason():
            return usage_surge_text(reason.evidence)
        case UpgradeInterestReason():
            return upgrade_interest_text(reason.evidence)
        case _ as missed:
            assert_never(missed)


WAS: Final[dict[type[Reason], str]] = {
    DeclineReason: "Fewer active days than before.",
    PaymentTroubleReason: "Trouble with payments.",
    TicketTroubleReason: "Trouble with support tickets.",
    BandDropReason: "The score had fallen.",
    UsersLeavingReason: "Users no longer active.",
    UsageSurgeReason: "Used more than usual.",
    UpgradeInterestReason: "Interest in an upgrade.",
}
"""What a reason was when it is over and its evidence tells how things are now."""

ENDED: Final = {
    ResolvedBy.ACTIVITY: "activity was seen",
    ResolvedBy.QUIET_PERIOD: "quiet since",
    ResolvedBy.CONDITION_OVER: "no longer the case",
    ResolvedBy.CLOSED: "the account was closed",
    ResolvedBy.POLICY: "another policy is in force",
}


def past_sentence(reason: Reason) -> str:
    """Return the sentence of a reason that is over."""
    was, told = WAS.get(type(reason)), sentence(reason)
    return told if was is None else f"{was} Now: {told}"


def summary(reasons: Sequence[Reason], resolved_by: ResolvedBy | None) -> str:
    """Return the text of an episode's message."""
    if resolved_by is None:
        return " ".join(map(sentence, reasons))
    if not reasons:
        return "Resolved: what it rested on is not judged any more."
    return f"Resolved ({ENDED[resolved_by]}). It was: {' '.join(map(past_sentence, reasons))}"
