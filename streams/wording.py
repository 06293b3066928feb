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
from schemas.words_en import ENGLISH
from schemas.words_es import SPANISH

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
    from schemas.words import Language, Plural, Words

DAY_S: Final = 86_400
FEW_GAPS: Final = 3
TEN: Final = 10
ENDS: Final = (ResolvedBy.ERASED, ResolvedBy.RETIRED, ResolvedBy.MERGED)
"""Of an account that ended it is told that it did, and nothing else."""
CATALOGUES: Final[dict[Language, Words]] = {"en": ENGLISH, "es": SPANISH}


def number_text(number: float, words: Words) -> str:
    """Return a number as a person reads it: ``4.75``, ``2.5``, ``12.3``, ``3``."""
    if isinstance(number, int):
        return str(number)
    text = f"{number:.2f}" if number < TEN else f"{number:.1f}"
    return text.rstrip("0").rstrip(".").replace(".", words.decimal_mark)


def many(number: float, forms: Plural, words: Words, **further: str) -> str:
    """Return a message with a number in its right form: ``1 day``, ``2.5 days``."""
    return form(number_text(number, words), forms, **further)


def form(number: str, forms: Plural, **further: str) -> str:
    """Return a message with a number that is text already in its right form."""
    return (forms.one if number == "1" else forms.other).format(n=number, **further)


def times_text(number: float, words: Words) -> str:
    """Return how often: ``not at all``, ``once``, ``3 times``."""
    text = number_text(number, words)
    return {"0": words.never, "1": words.once}.get(text) or words.times.format(n=text)


def counts_text(noun: Plural, words: Words, *counts: tuple[int, Plural], **further: str) -> str:
    """Return counts that are not zero, the noun with the first: ``1 payment late, 2 failed``; empty if all are zero."""
    told = [(number, many(number, what, words, **further)) for number, what in counts if number]
    return ", ".join(
        [
            f"{number if place else many(number, noun, words)} {what}"
            for place, (number, what) in enumerate(told)
        ]
    )


def days_text(seconds: int, words: Words) -> str:
    """Return a duration as whole days: ``less than a day``, ``1 day``, ``9 days``."""
    days = seconds // DAY_S
    return words.less_than_a_day if days == 0 else many(days, words.days, words)


def usual_text(gap_s: int, words: Words) -> str:
    """Return a usual gap between active days as a range of whole days."""
    gap = gap_s / DAY_S
    low, high = max(1, math.floor(gap + 0.05)), max(1, math.ceil(gap - 0.05))
    if low == high:
        return words.every_day if low == 1 else words.every_days.format(n=low)
    return words.every_range.format(low=low, high=high)


def silence_text(evidence: SilenceEvidence, words: Words) -> str:
    """Return the sentence of a silence: rhythm, silence, and the rate of false alarms at this setting."""
    rate = f"{evidence.false_alarms_per_year:g}"
    return words.silence.format(
        usual=usual_text(evidence.usual_gap_s, words),
        few="" if evidence.gaps_known >= FEW_GAPS else words.few_gaps,
        ago=days_text(evidence.silent_for_s, words),
        alarms=form(rate.replace(".", words.decimal_mark), words.false_alarms),
    )


def absolute_silence_text(evidence: AbsoluteSilenceEvidence, words: Words) -> str:
    """Return the sentence of a silence beyond the plain cap."""
    silent, limit = days_text(evidence.silent_for_s, words), many(evidence.limit_days, words.days, words)
    return words.absolute_silence.format(silent=silent, limit=limit)


def risk_page_text(evidence: RiskPageEvidence, words: Words) -> str:
    """Return the sentence of visits to cancel or refund pages."""
    message = words.risk_page_admin if evidence.admin else words.risk_page
    return message.format(times=times_text(evidence.visits, words))


def decline_text(evidence: DeclineEvidence, words: Words) -> str:
    """Return the sentence of a falling rate of active days."""
    recent, earlier = evidence.recent_days_per_week, evidence.earlier_days_per_week
    return words.decline.format(
        now=words.active.format(days=many(recent, words.days, words)) if recent else words.not_active,
        before=number_text(earlier, words) if earlier else words.no_days,
    )


def never_started_text(evidence: NeverStartedEvidence, words: Words) -> str:
    """Return the sentence of an account without any activity since its start."""
    days, limit = evidence.days_since_start, many(evidence.limit_days, words.days, words)
    if not days:
        return words.never_started_today.format(limit=limit)
    return words.never_started.format(days=many(days, words.days, words), limit=limit)


def payment_trouble_text(evidence: PaymentTroubleEvidence, words: Words) -> str:
    """Return the sentence of payments in trouble."""
    counts = counts_text(
        words.payments,
        words,
        (evidence.late, words.payments_late),
        (evidence.failed, words.payments_failed),
        (evidence.reversed, words.payments_reversed),
    )
    return f"{counts}." if counts else words.no_payments


def ticket_trouble_text(evidence: TicketTroubleEvidence, words: Words) -> str:
    """Return the sentence of many, escalated or unresolved tickets."""
    counts = counts_text(
        words.tickets,
        words,
        (evidence.opened, words.tickets_opened),
        (evidence.escalated, words.tickets_escalated),
        (evidence.unresolved, words.tickets_unresolved),
        usual=number_text(evidence.usual, words) if evidence.usual else words.none_usual,
    )
    return f"{counts}." if counts else words.no_tickets


def band_text(band: str, words: Words) -> str:
    """Return the name of a band as it is read: ``at risk``; that of a model of one's own as it is written."""
    return words.bands.get(band) or band.replace("_", " ")


def model_text(model: str, words: Words) -> str:
    """Return the name of a model as it is read; that of one's own as it is written."""
    return words.models.get(model) or model


def band_drop_text(evidence: BandDropEvidence, words: Words) -> str:
    """Return the sentence of a score that fell: by a band, by points, or both."""
    band, before = band_text(evidence.band, words), evidence.band_before
    if before is None:
        now = words.band_is.format(band=band)
    else:
        now = words.band_fell.format(before=band_text(before, words), band=band)
    lost = evidence.points_lost
    return words.band_lost.format(fell=now, points=many(lost, words.points, words)) if lost else f"{now}."


def users_leaving_text(evidence: UsersLeavingEvidence, words: Words) -> str:
    """Return the sentence of users who are not seen any more."""
    if not evidence.users_before:
        return words.no_users
    users = many(evidence.users_before, words.users, words)
    return words.users_left.format(seen=evidence.users or words.nobody, users=users)


def reengaged_text(evidence: ReengagedEvidence, words: Words) -> str:
    """Return the sentence of a return after a silence."""
    gap, active = (
        many(evidence.silent_days, words.days, words),
        many(evidence.active_days, words.active_days, words),
    )
    return words.reengaged.format(day=evidence.returned_on, gap=gap, active=active)


def usage_surge_text(evidence: UsageSurgeEvidence, words: Words) -> str:
    """Return the sentence of more activity than usual."""
    times = times_text(evidence.events, words)
    lately = words.used.format(times=times) if evidence.events else words.not_used
    return words.usage_surge.format(used=lately, usual=times_text(evidence.usual, words))


def upgrade_interest_text(evidence: UpgradeInterestEvidence, words: Words) -> str:
    """Return the sentence of visits to upgrade and pricing pages."""
    visits = many(evidence.visits, words.visits, words) if evidence.visits else words.no_visits
    window = many(evidence.window_days, words.days, words)
    return words.upgrade_interest.format(visits=visits, window=window)


def sentence(reason: Reason, words: Words) -> str:  # noqa: PLR0911, PLR0912 - a case for each rule
    """Return the sentence of a reason."""
    match reason:
        case SilenceReason():
            return silence_text(reason.evidence, words)
        case DeclineReason():
            return decline_text(reason.evidence, words)
        case AbsoluteSilenceReason():
            return absolute_silence_text(reason.evidence, words)
        case NeverStartedReason():
            return never_started_text(reason.evidence, words)
        case RiskPageReason():
            return risk_page_text(reason.evidence, words)
        case PaymentTroubleReason():
            return payment_trouble_text(reason.evidence, words)
        case TicketTroubleReason():
            return ticket_trouble_text(reason.evidence, words)
        case BandDropReason():
            return band_drop_text(reason.evidence, words)
        case UsersLeavingReason():
            return users_leaving_text(reason.evidence, words)
        case ReengagedReason():
            return reengaged_text(reason.evidence, words)
        case UsageSurgeReason():
            return usage_surge_text(reason.evidence, words)
        case UpgradeInterestReason():
            return upgrade_interest_text(reason.evidence, words)
        case _ as missed:
            assert_never(missed)


def past_sentence(reason: Reason, words: Words) -> str:
    """Return the sentence of a reason that is over."""
    was, told = words.was.get(str(reason.__struct_config__.tag)), sentence(reason, words)
    return told if was is None else words.was_and_is.format(was=was, told=told)


def summary(reasons: Sequence[Reason], resolved_by: ResolvedBy | None, words: Words) -> str:
    """Return the text of an episode's message."""
    if resolved_by is None:
        return " ".join([sentence(reason, words) for reason in reasons])
    if resolved_by in ENDS:
        return words.resolved_untold.format(ended=words.ended[resolved_by])
    if not reasons:
        return words.resolved_unjudged
    told = " ".join([past_sentence(reason, words) for reason in reasons])
    return words.resolved.format(ended=words.ended[resolved_by], told=told)
