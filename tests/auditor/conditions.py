"""The rules: whether each one's condition holds at an instant, how severe it is, and what shows it."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from math import sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from schemas.reasons import OPPORTUNITIES, Rule, Severity
from tests.auditor import rhythm
from tests.auditor.exact import DAY_MS, EPOCH, HOUR_MS, half_up, rfc3339
from tests.auditor.facts import day_told, thousandths
from tests.auditor.metrics import users
from tests.auditor.settings import SPIKE_DAYS
from tests.auditor.slots import DUE, ESCALATED, FAILED, REVERSED

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.auditor.banddrop import BandDrop
    from tests.auditor.history import History, RiskVisits
    from tests.auditor.metrics import Moment
    from tests.auditor.settings import RuleSettings
    from tests.auditor.slots import Slot

Evidence = dict[str, Any]
WEEK, MONTH = 7, 28


class FirstModel(NamedTuple):
    """How the first model stands: its past, its bands by name, the present one by index (None: no real one) and name."""

    drop: BandDrop
    bands: tuple[str, ...]
    band: int | None
    word: str


class Case(NamedTuple):
    """A rule with its numbers at an instant; `is_open`: it is a reason that is open."""

    rule: RuleSettings
    at: Moment
    first: FirstModel
    is_open: bool


def holds(rule: Rule, case: Case) -> bool:
    """Tell whether a rule's condition holds."""
    return not case.at.history.is_closed(case.at.now_ms) and CONDITIONS[rule](case)


def severity(rule: Rule, case: Case) -> Severity:
    """Return how severe a reason is as it stands."""
    own = case.rule.severity
    if rule is Rule.RISK_PAGE and _is_repeated(case):
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


# --- silence -----------------------------------------------------------------------------------------------------


def _silent_for_s(at: Moment) -> int:
    return (at.now_ms - at.history.last_active_ms) // 1000


def silence_limit(rule: RuleSettings, history: History) -> tuple[int, float]:
    """Return the whole units of silence that are not improbable, and the probability of a longer one."""
    settings = history.settings.rhythm
    return rhythm.silence_limit(history.rhythm(), settings, rule["false_alarms_per_year"])


def silent_hours_end_ms(rule: RuleSettings, history: History) -> int:
    """Return the instant at which a silence that is judged by hours becomes improbable."""
    return HOUR_MS * (history.last_active_ms // HOUR_MS + silence_limit(rule, history)[0] + 1)


def _silence(case: Case) -> bool:
    at, settings = case.at, case.at.history.settings.rhythm
    if not at.history.active:
        return False
    if settings.is_hourly:
        return at.now_ms >= silent_hours_end_ms(case.rule, at.history)
    silent = settings.number_of(at.day) - settings.number_of(at.history.last_active_day)
    return silent >= silence_limit(case.rule, at.history)[0] + 1


def _silence_evidence(case: Case) -> Evidence:
    history = case.at.history
    usual_gap_s = history.settings.rhythm.unit_s * history.usual_gap()
    return {
        "silent_for_s": _silent_for_s(case.at),
        "usual_gap_s": int(usual_gap_s + 0.5),
        "gaps_known": history.rhythm().gaps,
        "probability": int(1e9 * silence_limit(case.rule, history)[1] + 0.5) / 1e9,
        "false_alarms_per_year": float(case.rule["false_alarms_per_year"]),
    }


def _absolute_silence(case: Case) -> bool:
    at = case.at
    return bool(at.history.active) and at.day >= at.history.last_active_day + case.rule["days"] + 1


def _absolute_silence_evidence(case: Case) -> Evidence:
    return {"silent_for_s": _silent_for_s(case.at), "limit_days": case.rule["days"]}


def _never_started(case: Case) -> bool:
    at = case.at
    return not at.history.active and at.day >= at.history.start_day(at.now_ms) + case.rule["days"]


def _never_started_evidence(case: Case) -> Evidence:
    since = case.at.day - case.at.history.start_day(case.at.now_ms)
    return {"days_since_start": max(0, since), "limit_days": case.rule["days"]}


# --- decline -----------------------------------------------------------------------------------------------------


def _active_in_weeks(case: Case) -> tuple[list[int], list[int]]:
    """Return the active days of each of the last weeks, and of each of the baseline, counted back from today."""
    at, recent = case.at, case.rule["weeks"]
    weeks = [
        at.history.active_within(at.day - 7 * i - 6, at.day - 7 * i, at.day)
        for i in range(recent + case.rule["baseline_weeks"])
    ]
    return weeks[:recent], weeks[recent:]


def _decline(case: Case) -> bool:
    rule = case.rule
    recent, baseline = _active_in_weeks(case)
    s1, s0 = sum(recent), sum(baseline)
    if case.at.age_days < 7 * (len(recent) + len(baseline)) or s0 < rule["active_days_min"]:
        return False
    if case.is_open:
        return bool(s1 * len(baseline) * 2000 <= (2000 - rule["drop"]) * s0 * len(recent))
    is_far_less = s1 * len(baseline) * 1000 <= (1000 - rule["drop"]) * s0 * len(recent)
    return is_far_less and bool(surprise(recent, baseline, rule["phi_min"]) >= rule["level"])


def surprise(recent: list[int], baseline: list[int], phi_min: float) -> float:
    """Return z, by how many of its own standard deviations the recent mean lies below the mean of the baseline."""
    s1, s0 = sum(recent), sum(baseline)
    if s0 == 0:
        return 0.0
    r, b = len(recent), len(baseline)
    m0, m1 = s0 / b, s1 / r
    variance = (sum(c * c for c in baseline) - s0 * m0) / (b - 1)
    phi = max(variance / m0, phi_min)
    return (m0 - m1) / sqrt(phi * m0 * (1 / r + 1 / b))


def _decline_evidence(case: Case) -> Evidence:
    recent, baseline = _active_in_weeks(case)
    return {
        "recent_days_per_week": half_up(Fraction(1000 * sum(recent), len(recent))) / 1000,
        "earlier_days_per_week": half_up(Fraction(1000 * sum(baseline), len(baseline))) / 1000,
    }


# --- risk pages, payments, tickets ---------------------------------------------------------------------------------


def risk_quiet_ms(rule: RuleSettings) -> int:
    """Return how long no visit to a risk page ends the concern."""
    return int(rule["quiet_days"]) * DAY_MS


def risk_visits(rule: RuleSettings, history: History) -> RiskVisits | None:
    """Return what is known of visits to risk pages."""
    return history.risk_visits(risk_quiet_ms(rule), rule["repeat_after_min"] * 60_000)


def _risk_page(case: Case) -> bool:
    visits = risk_visits(case.rule, case.at.history)
    return visits is not None and case.at.now_ms < visits.last_ms + risk_quiet_ms(case.rule)


def _is_repeated(case: Case) -> bool:
    visits = risk_visits(case.rule, case.at.history)
    return visits is not None and (visits.visits >= 2 or visits.admin)


def _risk_page_evidence(case: Case) -> Evidence:
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


def _payment_trouble_evidence(case: Case) -> Evidence:
    return {
        "late": _in_trouble(case, DUE),
        "failed": _in_trouble(case, FAILED),
        "reversed": _in_trouble(case, REVERSED),
    }


def _payment_trouble(case: Case) -> bool:
    return any(_payment_trouble_evidence(case).values())


def unresolved_from_ms(rule: RuleSettings, slot: Slot) -> int:
    """Return the instant from which a ticket is unresolved for too long."""
    return slot.at_ms + int(rule["unresolved_days"]) * DAY_MS


def _open_slots(case: Case) -> list[Slot]:
    return [slot for slot in case.at.history.tickets.values() if slot.is_open(case.at.now_ms)]


def _opened(case: Case) -> tuple[int, int]:
    """Return the tickets opened in the last week, and in the four before."""
    at = case.at
    return at.total("tickets_opened", WEEK), at.total("tickets_opened", MONTH, back=WEEK)


def _ticket_trouble(case: Case) -> bool:
    recent, before = _opened(case)
    is_spike = (
        case.at.age_days >= SPIKE_DAYS
        and recent >= case.rule["spike_min"]
        and 4000 * recent >= case.rule["spike_ratio"] * before
    )
    found = _ticket_trouble_evidence(case)
    return is_spike or bool(found["escalated"] or found["unresolved"])


def _ticket_trouble_evidence(case: Case) -> Evidence:
    recent, before = _opened(case)
    open_slots = _open_slots(case)
    return {
        "opened": recent,
        "usual": half_up(Fraction(1000 * before, 4)) / 1000,
        "escalated": sum(slot.state == ESCALATED for slot in open_slots),
        "unresolved": sum(unresolved_from_ms(case.rule, slot) <= case.at.now_ms for slot in open_slots),
    }


# --- scores and users ----------------------------------------------------------------------------------------------


def _band_drop(case: Case) -> bool:
    lost = case.first.drop.lost(case.at.day)
    has_lost = lost is not None and lost >= case.rule["points"]
    return has_lost or case.first.drop.is_fallen(case.first.band, case.at.now_ms)


def _band_drop_evidence(case: Case) -> Evidence:
    lost = case.first.drop.lost(case.at.day)
    is_fallen = case.first.drop.is_fallen(case.first.band, case.at.now_ms)
    return {
        "band": case.first.word,
        "band_before": case.first.bands[case.first.drop.fallen_from or 0] if is_fallen else None,
        "points_lost": None if lost is None else max(0, lost) / 100,
    }


def _users_leaving(case: Case) -> bool:
    rule = case.rule
    if case.at.age_days < rule["of_days"]:
        return False
    recent, before = users(rule["window_days"], case.at), users(rule["of_days"], case.at)
    return bool(before >= rule["users_min"] and recent * 1000 <= rule["share"] * before)


def _users_leaving_evidence(case: Case) -> Evidence:
    return {
        "users": users(case.rule["window_days"], case.at),
        "users_before": users(case.rule["of_days"], case.at),
    }


# --- good news -----------------------------------------------------------------------------------------------------


def _reengaged(case: Case) -> bool:
    at, returned = case.at, case.at.history.returned
    if returned is None or at.day >= returned.day + case.rule["quiet_days"]:
        return False
    return bool(at.history.active_within(returned.day, at.day, at.day) >= case.rule["active_days"])


def _reengaged_evidence(case: Case) -> Evidence:
    at, returned = case.at, case.at.history.returned
    assert returned is not None
    return {
        "returned_on": (EPOCH + timedelta(days=returned.day)).date().isoformat(),
        "active_days": at.history.active_within(returned.day, at.day, at.day),
        "silent_days": returned.silent_days,
    }


def _activity(case: Case) -> tuple[int, int]:
    """Return the activity of the window and of the baseline before it."""
    window, baseline = case.rule["window_days"], case.rule["baseline_days"]
    return case.at.total("activity", window), case.at.total("activity", baseline, back=window)


def _usage_surge(case: Case) -> bool:
    rule = case.rule
    recent, before = _activity(case)
    is_old_enough = case.at.age_days >= rule["window_days"] + rule["baseline_days"]
    is_surge = 1000 * recent * rule["baseline_days"] >= rule["ratio"] * before * rule["window_days"]
    return bool(is_old_enough and recent >= rule["events_min"] and before > 0 and is_surge)


def _usage_surge_evidence(case: Case) -> Evidence:
    recent, before = _activity(case)
    usual = half_up(Fraction(1000 * before * case.rule["window_days"], case.rule["baseline_days"]))
    return {"events": recent, "usual": usual / 1000}


def _upgrade_interest(case: Case) -> bool:
    return bool(case.at.total("upgrade_pages", case.rule["window_days"]) >= case.rule["visits"])


def _upgrade_interest_evidence(case: Case) -> Evidence:
    window = case.rule["window_days"]
    return {"visits": case.at.total("upgrade_pages", window), "window_days": window}


CONDITIONS: dict[Rule, Callable[[Case], bool]] = {
    Rule.SILENCE: _silence,
    Rule.DECLINE: _decline,
    Rule.ABSOLUTE_SILENCE: _absolute_silence,
    Rule.NEVER_STARTED: _never_started,
    Rule.RISK_PAGE: _risk_page,
    Rule.PAYMENT_TROUBLE: _payment_trouble,
    Rule.TICKET_TROUBLE: _ticket_trouble,
    Rule.BAND_DROP: _band_drop,
    Rule.USERS_LEAVING: _users_leaving,
    Rule.REENGAGED: _reengaged,
    Rule.USAGE_SURGE: _usage_surge,
    Rule.UPGRADE_INTEREST: _upgrade_interest,
}
EVIDENCE: dict[Rule, Callable[[Case], Evidence]] = {
    Rule.SILENCE: _silence_evidence,
    Rule.DECLINE: _decline_evidence,
    Rule.ABSOLUTE_SILENCE: _absolute_silence_evidence,
    Rule.NEVER_STARTED: _never_started_evidence,
    Rule.RISK_PAGE: _risk_page_evidence,
    Rule.PAYMENT_TROUBLE: _payment_trouble_evidence,
    Rule.TICKET_TROUBLE: _ticket_trouble_evidence,
    Rule.BAND_DROP: _band_drop_evidence,
    Rule.USERS_LEAVING: _users_leaving_evidence,
    Rule.REENGAGED: _reengaged_evidence,
    Rule.USAGE_SURGE: _usage_surge_evidence,
    Rule.UPGRADE_INTEREST: _upgrade_interest_evidence,
}
