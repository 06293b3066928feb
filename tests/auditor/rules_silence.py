"""Rules over activity: silence, absolute silence, never started, decline."""

from __future__ import annotations

from fractions import Fraction
from math import sqrt
from typing import TYPE_CHECKING

from tests.auditor import rhythm
from tests.auditor.exact import HOUR_MS, half_up

if TYPE_CHECKING:
    from tests.auditor.case import Case, Evidence
    from tests.auditor.history import History
    from tests.auditor.metrics import Moment
    from tests.auditor.rule_settings import RuleSettings


def _silent_for_s(at: Moment) -> int:
    return (at.now_ms - at.history.last_active_ms) // 1000


def silence_limit(rule: RuleSettings, history: History) -> tuple[int, float]:
    """Return the whole units of silence that are not improbable, and the probability of a longer one."""
    settings = history.settings.rhythm
    return rhythm.silence_limit(history.rhythm(), settings, rule["false_alarms_per_year"])


def silent_hours_end_ms(rule: RuleSettings, history: History) -> int:
    """Return the instant at which a silence that is judged by hours becomes improbable."""
    return HOUR_MS * (history.last_active_ms // HOUR_MS + silence_limit(rule, history)[0] + 1)


def silence(case: Case) -> bool:
    """Tell whether the condition of `silence` holds."""
    at, settings = case.at, case.at.history.settings.rhythm
    if not at.history.active:
        return False
    if settings.is_hourly:
        return at.now_ms >= silent_hours_end_ms(case.rule, at.history)
    silent = settings.number_of(at.day) - settings.number_of(at.history.last_active_day)
    return silent >= silence_limit(case.rule, at.history)[0] + 1


def silence_evidence(case: Case) -> Evidence:
    """Return what shows `silence`."""
    history = case.at.history
    usual_gap_s = history.settings.rhythm.unit_s * history.usual_gap()
    return {
        "silent_for_s": _silent_for_s(case.at),
        "usual_gap_s": int(usual_gap_s + 0.5),
        "gaps_known": history.rhythm().gaps,
        "probability": int(1e9 * silence_limit(case.rule, history)[1] + 0.5) / 1e9,
        "false_alarms_per_year": float(case.rule["false_alarms_per_year"]),
    }


def absolute_silence(case: Case) -> bool:
    """Tell whether the condition of `absolute_silence` holds."""
    at = case.at
    return bool(at.history.active) and at.day >= at.history.last_active_day + case.rule["days"] + 1


def absolute_silence_evidence(case: Case) -> Evidence:
    """Return what shows `absolute_silence`."""
    return {"silent_for_s": _silent_for_s(case.at), "limit_days": case.rule["days"]}


def never_started(case: Case) -> bool:
    """Tell whether the condition of `never_started` holds."""
    at = case.at
    return not at.history.active and at.day >= at.history.start_day(at.now_ms) + case.rule["days"]


def never_started_evidence(case: Case) -> Evidence:
    """Return what shows `never_started`."""
    since = case.at.day - case.at.history.start_day(case.at.now_ms)
    return {"days_since_start": max(0, since), "limit_days": case.rule["days"]}


def _active_in_weeks(case: Case) -> tuple[list[int], list[int]]:
    """Return the active days of each of the last weeks, and of each of the baseline, counted back from today."""
    at, recent = case.at, case.rule["weeks"]
    weeks = [
        at.history.active_within(at.day - 7 * i - 6, at.day - 7 * i, at.day)
        for i in range(recent + case.rule["baseline_weeks"])
    ]
    return weeks[:recent], weeks[recent:]


def decline(case: Case) -> bool:
    """Tell whether the condition of `decline` holds."""
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


def decline_evidence(case: Case) -> Evidence:
    """Return what shows `decline`."""
    recent, baseline = _active_in_weeks(case)
    return {
        "recent_days_per_week": half_up(Fraction(1000 * sum(recent), len(recent))) / 1000,
        "earlier_days_per_week": half_up(Fraction(1000 * sum(baseline), len(baseline))) / 1000,
    }
