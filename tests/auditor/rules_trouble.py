"""Rules over trouble: risk pages, payments, tickets, a band that drops, users who leave."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from tests.auditor.exact import DAY_MS, half_up, rfc3339
from tests.auditor.metrics import users
from tests.auditor.settings import SPIKE_DAYS
from tests.auditor.slots import DUE, ESCALATED, FAILED, REVERSED

if TYPE_CHECKING:
    from tests.auditor.case import Case, Evidence
    from tests.auditor.history import History, RiskVisits
    from tests.auditor.rule_settings import RuleSettings
    from tests.auditor.slots import Slot

WEEK, MONTH = 7, 28


def risk_quiet_ms(rule: RuleSettings) -> int:
    """Return how long no visit to a risk page ends the concern."""
    return int(rule["quiet_days"]) * DAY_MS


def risk_visits(rule: RuleSettings, history: History) -> RiskVisits | None:
    """Return what is known of visits to risk pages."""
    return history.risk_visits(risk_quiet_ms(rule), rule["repeat_after_min"] * 60_000)


def risk_page(case: Case) -> bool:
    """Tell whether the condition of `risk_page` holds."""
    visits = risk_visits(case.rule, case.at.history)
    return visits is not None and case.at.now_ms < visits.last_ms + risk_quiet_ms(case.rule)


def is_repeated(case: Case) -> bool:
    """Tell whether a visit to a risk page was repeated or an administrator's."""
    visits = risk_visits(case.rule, case.at.history)
    return visits is not None and (visits.visits >= 2 or visits.admin)


def risk_page_evidence(case: Case) -> Evidence:
    """Return what shows `risk_page`."""
    visits = risk_visits(case.rule, case.at.history)
    assert visits is not None
    return {"visits": visits.visits, "last_visit_at": rfc3339(visits.last_ms), "admin": visits.admin}


def trouble_ms(rule: RuleSettings, slot: Slot) -> tuple[int, int] | None:
    """Return from when until when a payment is in trouble, None if it never is."""
    if slot.state not in {DUE, FAILED, REVERSED}:
        return None
    from_ms = slot.at_ms + (rule["late_days"] * DAY_MS if slot.state == DUE else 0)
    return from_ms, from_ms + rule["quiet_days"] * DAY_MS


def _in_trouble(case: Case, state: str) -> int:
    """Return how many payments in a state are in trouble now."""
    spans = [trouble_ms(case.rule, slot) for slot in case.at.history.payments.values() if slot.state == state]
    return sum(span is not None and span[0] <= case.at.now_ms < span[1] for span in spans)


def payment_trouble_evidence(case: Case) -> Evidence:
    """Return what shows `payment_trouble`."""
    return {
        "late": _in_trouble(case, DUE),
        "failed": _in_trouble(case, FAILED),
        "reversed": _in_trouble(case, REVERSED),
    }


def payment_trouble(case: Case) -> bool:
    """Tell whether the condition of `payment_trouble` holds."""
    return any(payment_trouble_evidence(case).values())


def unresolved_from_ms(rule: RuleSettings, slot: Slot) -> int:
    """Return the instant from which a ticket is unresolved for too long."""
    return slot.at_ms + int(rule["unresolved_days"]) * DAY_MS


def _open_slots(case: Case) -> list[Slot]:
    return [slot for slot in case.at.history.tickets.values() if slot.is_open(case.at.now_ms)]


def _opened(case: Case) -> tuple[int, int]:
    """Return the tickets opened in the last week, and in the four before."""
    at = case.at
    return at.total("tickets_opened", WEEK), at.total("tickets_opened", MONTH, back=WEEK)


def ticket_trouble(case: Case) -> bool:
    """Tell whether the condition of `ticket_trouble` holds."""
    recent, before = _opened(case)
    is_spike = (
        case.at.age_days >= SPIKE_DAYS
        and recent >= case.rule["spike_min"]
        and 4000 * recent >= case.rule["spike_ratio"] * before
    )
    found = ticket_trouble_evidence(case)
    return is_spike or bool(found["escalated"] or found["unresolved"])


def ticket_trouble_evidence(case: Case) -> Evidence:
    """Return what shows `ticket_trouble`."""
    recent, before = _opened(case)
    open_slots = _open_slots(case)
    return {
        "opened": recent,
        "usual": half_up(Fraction(1000 * before, 4)) / 1000,
        "escalated": sum(slot.state == ESCALATED for slot in open_slots),
        "unresolved": sum(unresolved_from_ms(case.rule, slot) <= case.at.now_ms for slot in open_slots),
    }


def band_drop(case: Case) -> bool:
    """Tell whether the condition of `band_drop` holds."""
    lost = case.first.drop.lost(case.at.day)
    has_lost = lost is not None and lost >= case.rule["points"]
    return has_lost or case.first.drop.is_fallen(case.first.band, case.at.now_ms)


def band_drop_evidence(case: Case) -> Evidence:
    """Return what shows `band_drop`."""
    lost = case.first.drop.lost(case.at.day)
    is_fallen = case.first.drop.is_fallen(case.first.band, case.at.now_ms)
    return {
        "band": case.first.word,
        "band_before": case.first.bands[case.first.drop.fallen_from or 0] if is_fallen else None,
        "points_lost": None if lost is None else max(0, lost) / 100,
    }


def users_leaving(case: Case) -> bool:
    """Tell whether the condition of `users_leaving` holds."""
    rule = case.rule
    if case.at.age_days < rule["of_days"]:
        return False
    recent, before = users(rule["window_days"], case.at), users(rule["of_days"], case.at)
    return bool(before >= rule["users_min"] and recent * 1000 <= rule["share"] * before)


def users_leaving_evidence(case: Case) -> Evidence:
    """Return what shows `users_leaving`."""
    return {
        "users": users(case.rule["window_days"], case.at),
        "users_before": users(case.rule["of_days"], case.at),
    }
