"""Sentences that a customer-success person reads, from the evidence of an alert."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from schemas.outputs import AbsoluteSilenceReason, RiskPageReason, SilenceReason
from schemas.reasons import ResolvedBy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas.outputs import AbsoluteSilenceEvidence, Reason, RiskPageEvidence, SilenceEvidence

DAY_S: Final = 86_400
FEW_GAPS: Final = 3


def days_text(seconds: int) -> str:
    """Return a duration as whole days: ``today``, ``1 day``, ``9 days``."""
    days = seconds // DAY_S
    return "less than a day" if days == 0 else "1 day" if days == 1 else f"{days} days"


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
    times = "once" if evidence.visits == 1 else f"{evidence.visits} times"
    who = " by an administrator" if evidence.admin else ""
    return f"A cancel or refund page was visited {times}{who}."


def sentence(reason: Reason) -> str:
    """Return the sentence of a reason."""
    match reason:
        case SilenceReason():
            return silence_text(reason.evidence)
        case AbsoluteSilenceReason():
            return absolute_silence_text(reason.evidence)
        case RiskPageReason():
            return risk_page_text(reason.evidence)


ENDED: Final = {
    ResolvedBy.ACTIVITY: "active again",
    ResolvedBy.QUIET_PERIOD: "quiet since",
    ResolvedBy.CLOSED: "the account was closed",
}


def summary(reasons: Iterable[Reason], resolved_by: ResolvedBy | None) -> str:
    """Return the text of an episode's message."""
    text = " ".join(map(sentence, reasons))
    return text if resolved_by is None else f"Resolved ({ENDED[resolved_by]}). It was: {text}"
