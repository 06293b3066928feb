"""The auditor against figures worked out by hand: the rules of both episodes.

In the timelines time runs to the right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.auditor import scenarios
from tests.auditor.exact import DAY_MS, HOUR_MS
from tests.auditor.rules_silence import surprise
from tests.auditor.scenarios import (
    Tree,
    at,
    component,
    facts,
    login,
    model,
    payment,
    ticket,
    visit,
)

if TYPE_CHECKING:
    from tests.auditor.reference import Audit

START = "2026-01-05 10:00"
"""A Monday, ten hours after its midnight."""
SINCE_MIDNIGHT_D = 0.4167


def run(events: list[Tree], rules: Tree, **more: Any) -> Audit:
    """Return the audit of events that are received as they happen."""
    raises = {"raise_severity": more.pop("raises", None)}
    dated = [event | {"received_at": event["occurred_at"]} for event in events]
    return scenarios.run(dated, policy=scenarios.only(**rules) | raises, **more)


def days_on(days: float) -> int:
    """Return the instant so many days after the start."""
    return at(START) + round(days * DAY_MS)


def told(found: Audit, *, opportunities: bool = False) -> list[Any]:
    """Return the messages of an episode: days since the midnight before the start, status, severity, what resolved it."""
    return [
        (
            round((at(m["effective_at"][:-1]) - at(START)) / DAY_MS + SINCE_MIDNIGHT_D, 4),
            m["status"],
            m["severity"],
            m["resolved_by"],
        )
        for m in (found.opportunities if opportunities else found.disengagements)
    ]


def evidence(found: Audit, number: int = 0) -> dict[str, Any]:
    """Return the evidence of the first reason of a message."""
    found_evidence: dict[str, Any] = (found.disengagements + found.opportunities)[number]["reasons"][0][
        "evidence"
    ]
    return found_evidence


# --- activity ------------------------------------------------------------------------------------------------------


#   facts on day 0, and never active: at the midnight of day 2; a log-in on day 4 ends it
#   a customer since day 1: one day later; since before the first event: as without it
@pytest.mark.parametrize(("since", "fires"), [(None, 2), ("2026-01-06", 3), ("2026-01-03", 2)])
def test_an_account_never_started(since: str | None, fires: float) -> None:
    events = [facts(START, customer_since=since), login(days_on(4))]
    found = run(events, {"never_started": {"days": 2}})
    assert told(found) == [
        (fires, "firing", "warning", None),
        (4.4167, "resolved", "warning", "activity"),
    ]
    assert evidence(found) == {"days_since_start": 2, "limit_days": 2}


# three weeks of five active days: m0 = 5, no variance, so phi is the least, 0.5; then none: m1 = 0
#   z = 5 / sqrt(0.5 * 5 * (1/1 + 1/3)) = 5 / sqrt(10/3) = 2.7386
# and 4, 5, 6 days: variance (77 - 15 * 5) / 2 = 1, phi = max(1/5, 0.5): the same z
# and 0, 5, 10 of 15: variance (125 - 75) / 2 = 25, phi = 5: z = 5 / sqrt(5 * 5 * 4/3) = 0.8660
@pytest.mark.parametrize(
    ("baseline", "z"), [([5, 5, 5], 2.738613), ([4, 5, 6], 2.738613), ([0, 5, 10], 0.866025), ([0, 0, 0], 0)]
)
def test_a_decline_is_measured_in_its_own_deviations(baseline: list[int], z: float) -> None:
    assert surprise([0], baseline, 0.5) == pytest.approx(z, abs=1e-6)


#   active on weekdays of three weeks (days 0-18), then on days 28, 29, 30; the last week ends today, the baseline before it
#   day 27: the account is 28 days old; 0 days in the last week (21-27), 15 in the baseline (0-20): fires at its midnight
#   day 30: 3 days in the last week (24-30), 12 in the baseline (3-23): 3 * 3 <= 0.75 * 12 still holds while open
#   day 31: 3 days in the last week (25-31), 11 in the baseline (4-24): 9 > 8.25, over at its midnight
def test_a_decline_ends_only_when_half_of_the_drop_is_made_good() -> None:
    active = [week + day for week in (0, 7, 14) for day in range(5)]
    rule = {"weeks": 1, "baseline_weeks": 3, "active_days_min": 3, "drop": 0.5, "level": 2.7, "phi_min": 0.5}
    events = [login(days_on(day)) for day in (*active, 28, 29, 30)]
    found = run(events, {"decline": rule}, until="2026-02-10 00:00")
    assert told(found) == [(27, "firing", "warning", None), (31, "resolved", "warning", "condition_over")]
    assert [evidence(found, i) for i in (0, 1)] == [
        {"recent_days_per_week": 0, "earlier_days_per_week": 5},
        {"recent_days_per_week": 3, "earlier_days_per_week": 3.667},
    ]
    assert run(events, {"decline": rule | {"level": 2.74}}).disengagements == []


#   two users on day 0, one of them again on day 12: on day 13 the account is 14 days old, and 1 of 2 was there this week
#   on day 14 nobody is left of day 0, and 1 of 1 was there
def test_users_are_leaving() -> None:
    events = [login(days_on(day), user_id=name) for day, name in ((0, "ann"), (0, "bob"), (12, "ann"))]
    rule = {"window_days": 7, "of_days": 14, "share": 0.5, "users_min": 2}
    found = run(events, {"users_leaving": rule}, until="2026-01-25 00:00")
    assert told(found) == [(13, "firing", "warning", None), (14, "resolved", "warning", "condition_over")]
    assert [evidence(found, i) for i in (0, 1)] == [
        {"users": 1, "users_before": 2},
        {"users": 1, "users_before": 1},
    ]
    assert run(events, {"users_leaving": rule | {"share": 0.499}}).disengagements == []


# --- payments and tickets ------------------------------------------------------------------------------------------


#   due on day 1 at 10:00; late by one day on day 2 at 10:00; paid on day 3, or trouble for two days, to the millisecond
@pytest.mark.parametrize("is_paid", [True, False])
def test_a_payment_is_in_trouble_some_days_after_it_was_due(*, is_paid: bool) -> None:
    events = [payment(days_on(0), "due", due_at=days_on(1))]
    if is_paid:
        events.append(payment(days_on(3), "succeeded"))
    found = run(events, {"payment_trouble": {"late_days": 1, "quiet_days": 2}}, until="2026-01-20 00:00")
    assert told(found) == [
        (2.4167, "firing", "warning", None),
        (3.4167 if is_paid else 4.4167, "resolved", "warning", "condition_over"),
    ]
    assert evidence(found) == {"late": 1, "failed": 0, "reversed": 0}


@pytest.mark.parametrize(
    ("status", "state"), [("failed", "failed"), ("refunded", "reversed"), ("disputed", "reversed")]
)
def test_a_payment_that_went_wrong_is_in_trouble_at_once(status: str, state: str) -> None:
    rules = {"payment_trouble": {"late_days": 1, "quiet_days": 2}}
    found = run([payment(days_on(0), status)], rules, until="2026-01-20 00:00")
    assert told(found) == [
        (0.4167, "firing", "warning", None),
        (2.4167, "resolved", "warning", "condition_over"),
    ]
    assert evidence(found) == {"late": 0, "failed": 0, "reversed": 0} | {state: 1}


#   opened, and unresolved for two days; escalated within; resolved
def test_a_ticket_stays_unresolved_or_is_escalated() -> None:
    events = [ticket(days_on(0), "opened"), ticket(days_on(3), "escalated"), ticket(days_on(4), "resolved")]
    found = run(events, {"ticket_trouble": {"unresolved_days": 2}}, until="2026-01-20 00:00")
    assert told(found) == [
        (2.4167, "firing", "warning", None),
        (4.4167, "resolved", "warning", "condition_over"),
    ]
    assert evidence(found) == {"opened": 1, "usual": 0.0, "escalated": 0, "unresolved": 1}
    escalated = run(events[1:], {"ticket_trouble": {"unresolved_days": 2}})
    assert evidence(escalated) == {"opened": 0, "usual": 0.0, "escalated": 1, "unresolved": 0}


#   one ticket on day 9, in the four weeks before the last one; four on day 37: usually 1/4 a week, and 4 >= 16 * 1/4
#   an account that began on day 3 is 35 days old by then; on day 4, too young for a spike
@pytest.mark.parametrize(("first_day", "fires"), [(3, True), (4, False)])
def test_a_spike_of_tickets(first_day: int, *, fires: bool) -> None:
    events = [
        login(days_on(first_day)),
        *(ticket(days_on(day), action, ticket_id="T1") for day, action in ((9, "opened"), (10, "resolved"))),
        *(
            ticket(days_on(37) + n * HOUR_MS + more, action, ticket_id=f"S{n}")
            for n in range(4)
            for more, action in ((0, "opened"), (1, "resolved"))
        ),
    ]
    found = run(events, {"ticket_trouble": {"spike_min": 4, "spike_ratio": 16}})
    assert bool(found.disengagements) == fires
    if fires:
        assert evidence(found) == {"opened": 4, "usual": 0.25, "escalated": 0, "unresolved": 0}
    assert run(events, {"ticket_trouble": {"spike_min": 4, "spike_ratio": 16.001}}).disengagements == []


# --- the first model -----------------------------------------------------------------------------------------------


#   nps   day 0   60 high
#         day 1   40 low: fallen from high, 20 points below the best of the days before
#         day 3   10:00: the fall is two days old; the best of days 1 and 2 is 40: neither holds
def test_a_band_drops_for_some_days() -> None:
    events = [facts(START, nps=60), facts(days_on(1), nps=40)]
    rule = {"points": 15, "days": 2}
    found = run(events, {"band_drop": rule}, until="2026-01-20 00:00")
    assert told(found) == [
        (1.4167, "firing", "warning", None),
        (3.4167, "resolved", "warning", "condition_over"),
    ]
    assert found.disengagements[0]["reasons"][0]["model"] == "test"
    assert [evidence(found, i) for i in (0, 1)] == [
        {"band": "low", "band_before": "high", "points_lost": 20},
        {"band": "low", "band_before": None, "points_lost": 0},
    ]


#   nps 90, then 75: the band is the same, 15 points are lost; 74.99 would be 15.01; with 75.004 it is 14.996, half up 15
@pytest.mark.parametrize(("nps", "fires"), [(75, True), (75.004, True), (75.006, False)])
def test_points_are_lost_within_a_band(nps: float, *, fires: bool) -> None:
    events = [facts(START, nps=90), facts(days_on(1), nps=nps)]
    assert bool(run(events, {"band_drop": {"points": 15}}).disengagements) == fires


#   nps 60 high; pinned to 10: low; pinned to 90: high; released, and nps 20: low, which is no fall either
def test_what_a_person_pinned_or_released_is_no_fall() -> None:
    pins: list[dict[str, Any]] = [
        {"override.test": 10},
        {"override.test": 90},
        {"override.test": None, "nps": 20},
    ]
    events = [facts(START, nps=60), *(facts(days_on(n + 1), None, **pin) for n, pin in enumerate(pins))]
    found = run(events, {"band_drop": {"points": 50}})
    assert [c["new"]["band"] for c in found.score_changes] == ["high", "low", "high", "low"]
    assert found.disengagements == []


#   a fall from high to low on day 1; back up on day 1.5; the next fall, from middle, is a fall of its own
def test_a_fall_is_from_the_highest_band_that_was_not_reached_again() -> None:
    bands = [
        {"name": name, "from": cut, "closed": "left"} for name, cut in (("low", 0), ("mid", 40), ("top", 70))
    ]
    steps = [(0, 80), (1, 50), (1.2, 20), (1.5, 45), (1.6, 20)]
    events = [facts(days_on(day), nps=nps) for day, nps in steps]
    tree = model(component("nps"), bands=bands, dwell_h=0)
    found = run(events, {"band_drop": {"points": 100, "days": 2}}, models=[tree], until="2026-01-20 00:00")
    assert evidence(found)["band_before"] == "top"
    assert told(found)[-1][0] == 4.0167


# --- good news -----------------------------------------------------------------------------------------------------


#   log-in on day 0; absolute silence from day 3 on; back on day 5 and 6: two active days within three
#   quiet after three days from the return: at the midnight of day 8
def test_an_account_is_reengaged_after_a_silence_that_was_told() -> None:
    events = [login(days_on(day)) for day in (0, 5, 5.1, 6)]
    rules = {"absolute_silence": {"days": 2}, "reengaged": {"active_days": 2, "quiet_days": 3}}
    found = run(events, rules, until="2026-01-20 00:00")
    assert told(found, opportunities=True) == [
        (6.4167, "firing", "info", None),
        (8, "resolved", "info", "condition_over"),
    ]
    reason = found.opportunities[0]["reasons"][0]
    assert reason["evidence"] == {"returned_on": "2026-01-10", "active_days": 2, "silent_days": 5}
    assert found.opportunities[0]["since"] != found.disengagements[0]["since"]


#   7 log-ins in days 0-6, then 11 on day 13: usually 7, 11 >= 1.5 * 7 and 10 is not
@pytest.mark.parametrize(("events", "fires"), [(11, True), (10, False)])
def test_usage_surges(events: int, *, fires: bool) -> None:
    told_events = [login(days_on(day)) for day in range(7)] + [login(days_on(13) + n) for n in range(events)]
    rule = {"window_days": 7, "baseline_days": 7, "ratio": 1.5, "events_min": 10}
    found = run(told_events, {"usage_surge": rule})
    assert bool(found.opportunities) == fires
    if fires:
        assert evidence(found) == {"events": 11, "usual": 7}
        assert found.disengagements == []


def test_upgrade_pages_are_of_interest() -> None:
    events = [visit(days_on(0), "/pricing"), visit(days_on(3), "/upgrade")]
    found = run(events, {"upgrade_interest": {"visits": 2, "window_days": 7}}, until="2026-01-20 00:00")
    assert told(found, opportunities=True) == [
        (3.4167, "firing", "info", None),
        (7, "resolved", "info", "condition_over"),
    ]
    assert evidence(found) == {"visits": 2, "window_days": 7}


# --- raised severity -----------------------------------------------------------------------------------------------


#   a visit to a risk page on day 0: info. The renewal on day 3 is within 2 days from day 1 on: escalated to warning,
#   and stays so. An account that is worth enough is raised from the start; nothing raises good news.
@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"renewal_date": "2026-01-08"}, [(0.4167, "firing", "info"), (1, "escalated", "warning")]),
        ({"renewal_date": "2026-01-04"}, [(0.4167, "firing", "info")]),
        ({"arr": 1000}, [(0.4167, "firing", "warning")]),
        ({"arr": 999.999}, [(0.4167, "firing", "info")]),
    ],
)
def test_a_renewal_or_value_raises_the_severity(known: Tree, expected: list[tuple[float, str, str]]) -> None:
    raises = {"renewal_within_days": 2, "arr_from": 1000}
    rules: Tree = {"risk_page": {"severity": "info"}, "upgrade_interest": {"visits": 1}}
    events = [
        facts(START, None, **known),
        visit(days_on(0) + 1, "/cancel"),
        visit(days_on(0) + 2, "/pricing"),
    ]
    found = run(events, rules, raises=raises, until="2026-01-11 00:00")
    assert [(day, *more) for day, *more, _ in told(found)] == expected
    assert [m["severity"] for m in found.opportunities] == ["info"]


def test_no_severity_is_above_critical() -> None:
    events = [facts(START, renewal_date="2026-01-08"), visit(days_on(0) + 1, "/cancel")]
    assert (
        run(events, {"risk_page": {"severity": "critical"}}, raises={}).disengagements[0]["severity"]
        == "critical"
    )
