"""Rules over good news: an account that is back, uses far more, or looks at upgrades."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

from tests.auditor.exact import EPOCH, half_up

if TYPE_CHECKING:
    from tests.auditor.case import Case, Evidence


def reengaged(case: Case) -> bool:
    """Tell whether the condition of `reengaged` holds."""
    at, returned = case.at, case.at.history.returned
    if returned is None or at.day >= returned.day + case.rule["quiet_days"]:
        return False
    return bool(at.history.active_within(returned.day, at.day, at.day) >= case.rule["active_days"])


def reengaged_evidence(case: Case) -> Evidence:
    """Return what shows `reengaged`."""
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


def usage_surge(case: Case) -> bool:
    """Tell whether the condition of `usage_surge` holds."""
    rule = case.rule
    recent, before = _activity(case)
    is_old_enough = case.at.age_days >= rule["window_days"] + rule["baseline_days"]
    is_surge = 1000 * recent * rule["baseline_days"] >= rule["ratio"] * before * rule["window_days"]
    return bool(is_old_enough and recent >= rule["events_min"] and before > 0 and is_surge)


def usage_surge_evidence(case: Case) -> Evidence:
    """Return what shows `usage_surge`."""
    recent, before = _activity(case)
    usual = half_up(Fraction(1000 * before * case.rule["window_days"], case.rule["baseline_days"]))
    return {"events": recent, "usual": usual / 1000}


def upgrade_interest(case: Case) -> bool:
    """Tell whether the condition of `upgrade_interest` holds."""
    return bool(case.at.total("upgrade_pages", case.rule["window_days"]) >= case.rule["visits"])


def upgrade_interest_evidence(case: Case) -> Evidence:
    """Return what shows `upgrade_interest`."""
    window = case.rule["window_days"]
    return {"visits": case.at.total("upgrade_pages", window), "window_days": window}
