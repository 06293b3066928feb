"""Each rule's condition at an instant, how severe it is, and what shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.reasons import OPPORTUNITIES, Rule, Severity
from tests.auditor import rules_opportunity, rules_silence, rules_trouble
from tests.auditor.facts import day_told, thousandths

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.auditor.case import Case, Evidence
    from tests.auditor.metrics import Moment


def holds(rule: Rule, case: Case) -> bool:
    """Tell whether a rule's condition holds."""
    return not case.at.history.is_closed(case.at.now_ms) and CONDITIONS[rule](case)


def severity(rule: Rule, case: Case) -> Severity:
    """Return how severe a reason is as it stands."""
    own = case.rule.severity
    if rule is Rule.RISK_PAGE and rules_trouble.is_repeated(case):
        own = Severity[case.rule["repeated_severity"].upper()]
    is_raised = rule not in OPPORTUNITIES and _raises(case.at)
    return Severity(min(own + is_raised, Severity.CRITICAL))


def evidence(rule: Rule, case: Case) -> Evidence:
    """Return what shows a reason as it stands."""
    return EVIDENCE[rule](case)


def _raises(at: Moment) -> bool:
    """Tell whether a renewal is near or the account is of value."""
    settings = at.history.settings
    renewal = day_told(at.history.fact("renewal_date", at.now_ms))
    arr = at.history.readable_fact("arr", at.now_ms)
    is_near = (
        settings.renewal_within_days is not None
        and renewal is not None
        and 0 <= renewal - at.day <= settings.renewal_within_days
    )
    return is_near or (
        settings.arr_from is not None and arr is not None and thousandths(arr) >= settings.arr_from
    )


CONDITIONS: dict[Rule, Callable[[Case], bool]] = {
    Rule.SILENCE: rules_silence.silence,
    Rule.DECLINE: rules_silence.decline,
    Rule.ABSOLUTE_SILENCE: rules_silence.absolute_silence,
    Rule.NEVER_STARTED: rules_silence.never_started,
    Rule.RISK_PAGE: rules_trouble.risk_page,
    Rule.PAYMENT_TROUBLE: rules_trouble.payment_trouble,
    Rule.TICKET_TROUBLE: rules_trouble.ticket_trouble,
    Rule.BAND_DROP: rules_trouble.band_drop,
    Rule.USERS_LEAVING: rules_trouble.users_leaving,
    Rule.REENGAGED: rules_opportunity.reengaged,
    Rule.USAGE_SURGE: rules_opportunity.usage_surge,
    Rule.UPGRADE_INTEREST: rules_opportunity.upgrade_interest,
}
EVIDENCE: dict[Rule, Callable[[Case], Evidence]] = {
    Rule.SILENCE: rules_silence.silence_evidence,
    Rule.DECLINE: rules_silence.decline_evidence,
    Rule.ABSOLUTE_SILENCE: rules_silence.absolute_silence_evidence,
    Rule.NEVER_STARTED: rules_silence.never_started_evidence,
    Rule.RISK_PAGE: rules_trouble.risk_page_evidence,
    Rule.PAYMENT_TROUBLE: rules_trouble.payment_trouble_evidence,
    Rule.TICKET_TROUBLE: rules_trouble.ticket_trouble_evidence,
    Rule.BAND_DROP: rules_trouble.band_drop_evidence,
    Rule.USERS_LEAVING: rules_trouble.users_leaving_evidence,
    Rule.REENGAGED: rules_opportunity.reengaged_evidence,
    Rule.USAGE_SURGE: rules_opportunity.usage_surge_evidence,
    Rule.UPGRADE_INTEREST: rules_opportunity.upgrade_interest_evidence,
}
