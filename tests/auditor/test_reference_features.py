"""The auditor against figures worked out by hand: features, slots, overrides, time zones, calendars, hours.

In the timelines time runs to the right.
"""

from __future__ import annotations

from typing import Any

import pytest

from schemas.catalogue import PAYMENT_STATUSES, TICKET_ACTIONS
from tests.auditor.exact import DAY_MS, HOUR_MS
from tests.auditor.scenarios import (
    NPS,
    Tree,
    alerts,
    at,
    bands,
    component,
    facts,
    login,
    model,
    only,
    payment,
    run,
    shown,
    ticket,
    visit,
)
from tests.auditor.slots import Slot, next_payment, next_ticket, put
from tests.auditor.worlds import metric

START = "2026-01-05 10:00"
"""A Monday."""


def days_on(days: float) -> int:
    """Return the instant so many days after the start."""
    return at(START) + int(days * DAY_MS)


def measured(events: list[Tree], its: Tree, *, policy: Tree | None = None, until: str | None = None) -> Any:
    """Return the points of one component in the end; its ramp gives one point for each unit of the metric."""
    tree = model(component("it", metric=its, ramp=[[0, 0], [100, 100]]), min_coverage=0)
    found = run(events, models=[tree], policy=policy, until=until)
    score = found.final["acme"]["models"]["test"]["score"]
    return None if score is None else score / 1000


def users(*names: str, at_ms: int) -> list[Tree]:
    return [login(at_ms + i, user_id=name) for i, name in enumerate(names)]


def override(when: str, name: str, value: Any, **more: Any) -> Tree:
    """Return a fact that pins a score or a component, beside others."""
    told: dict[str, Any] = {f"override.{name}": value}
    return facts(when, None, **more, **told)


# --- features ------------------------------------------------------------------------------------------------------


# log-ins 3 days ago (weight 2^-1 with a half life of 3 days) and today (1), and one 7 days ago, outside of the window
def test_an_event_of_a_half_life_ago_counts_half() -> None:
    events = [login(days_on(d)) for d in (0, 4, 7)]
    assert measured(events, metric("decayed", "logins", 7, half_life_days=3)) == 1.5


#   day 0     EUR 30    the account's currency from here on
#   day 1     eur 5     USD 7 and no amount at all are left out
#   day 7     EUR 1     the 30 are out of the window: 5 + 1
def test_a_sum_is_in_the_first_currency() -> None:
    paid: list[tuple[float, dict[str, Any]]] = [
        (0, {"amount_minor": 30, "currency": "EUR"}),
        (1, {"amount_minor": 5, "currency": "eur"}),
        (1.1, {"amount_minor": 7, "currency": "USD"}),
        (1.2, {"currency": "EUR"}),
        (7, {"amount_minor": 1, "currency": "EUR"}),
    ]
    events = [payment(days_on(d), "succeeded", payment_id=f"P{d}", **more) for d, more in paid]
    its = metric("sum", "payments_succeeded", 7)
    tree = model(component("it", metric=its, ramp=[[0, 0], [100, 100]]), min_coverage=0)
    found = run(events, models=[tree])
    assert found.final["acme"]["models"]["test"]["score"] == 6000
    assert found.notes["amount_left_out"] == 2


# three buckets of 128: -128 ln(1 - 3/128) = 3.036 users; two of them within the last week, and 5 seats
def test_users_are_buckets_seen_in_the_window() -> None:
    events = [*users("ann", "bob", "cyd", at_ms=days_on(0)), *users("ann", "bob", "", at_ms=days_on(13))]
    assert measured(events, metric("users", window=14)) == 3
    assert measured(events, metric("users", window=7)) == 2
    share: Tree = {"metric": metric("user_share", window=7, of_days=14), "ramp": [[0, 0], [1, 100]]}
    tree = model(component("it", 1, **share), min_coverage=0)
    scores = [
        run([*events, *more], models=[tree]).final["acme"]["models"]["test"]["score"]
        for more in ([], [facts(days_on(13.1), seats=5)], [facts(days_on(13.1), seats=0.5)])
    ]
    assert scores == [66_700, 40_000, 66_700]


# csat 5 on a Sunday, 2 and 3 on the Monday after: a mean over one week sees the present one only
def test_a_mean_is_over_calendar_weeks() -> None:
    events = [ticket(days_on(d), "commented", csat=csat) for d, csat in ((-1, 5), (0, 2), (0.1, 3))]
    assert measured(events, metric("mean", "csat", 7)) == 2.5
    assert measured(events, metric("mean", "csat", 14)) == 3.333


# opened at 10:00:00.999 (kept as 10:00:00), resolved at 14:59:59.999 of the next day: 28 whole hours, and 29 a second later
@pytest.mark.parametrize(("late_ms", "hours"), [(999, 28), (1000, 29)])
def test_hours_to_resolve_are_whole_ones_between_whole_seconds(late_ms: int, hours: int) -> None:
    resolved_ms = days_on(1) + 5 * HOUR_MS - 1000 + late_ms
    events = [ticket(days_on(0) + 999, "opened"), ticket(resolved_ms, "resolved")]
    assert measured(events, metric("mean", "resolve_hours", 7)) == hours


#   reports    used on days 0 and 9, by path        ... first use after 0 days
#   automation used on day 3, by the name           ... after 3 days; not within 7 days of day 10
#   exports    never                                ... 10 days so far
def test_key_features_are_used_by_path_or_by_name() -> None:
    named = {"reports": ["/app/reports*"], "automation": ["/app/automation*"], "exports": ["/exports"]}
    policy = only() | {"key_features": named}
    events = [
        visit(days_on(0), "/app/reports/7"),
        visit(days_on(3), "/elsewhere", feature="automation"),
        visit(days_on(9), "/app/reports"),
        facts(days_on(10), owner="ana"),
    ]
    breadth = model(component("it", metric=metric("key_features", window=7), ramp=[[0, 0], [1, 100]]))
    found = run(events, policy=policy, models=[breadth])
    assert found.final["acme"]["models"]["test"]["score"] == 33_300
    assert measured(events, metric("first_use"), policy=policy) == pytest.approx(13 / 3, abs=0.0005)
    since = facts(days_on(10.1), customer_since="2026-01-07")
    assert measured([*events, since], metric("first_use"), policy=policy) == pytest.approx(9 / 3, abs=0.0005)
    assert measured(events, metric("active_days", "key_feature_pages", 7), policy=policy) == 1


def test_tickets_with_tags_are_of_their_kinds() -> None:
    policy = only() | {"ticket_tags": {"feature_request": ["idea"], "stability": ["bug", "idea"]}}
    events = [
        ticket(days_on(0), "opened", ticket_id="T1", tags=["idea"]),
        ticket(days_on(1), "opened", ticket_id="T2", tags=["bug", "other"]),
        ticket(days_on(2), "commented", ticket_id="T3", tags=["bug"]),
        ticket(days_on(2), "opened", ticket_id="T4", tags=["Bug"]),
    ]
    assert measured(events, metric("count", "feature_requests", 7), policy=policy) == 1
    assert measured(events, metric("count", "stability_tickets", 7), policy=policy) == 2


# --- slots ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "state"),
    [
        (["opened 1"], "open 1"),
        (["opened 1", "opened 2"], "open 1"),
        (["opened 2", "escalated 1"], "escalated 2"),
        (["escalated 1", "opened 2"], "escalated 1"),
        (["opened 2", "resolved 1"], "open 2"),
        (["opened 2", "resolved 2"], "resolved 2"),
        (["escalated 2", "resolved 3", "resolved 1"], "resolved 3"),
        (["resolved 2", "opened 2"], "resolved 2"),
        (["resolved 2", "reopened 3"], "open 3"),
        (["resolved 2", "escalated 2"], "resolved 2"),
        (["resolved 2", "escalated 3"], "escalated 3"),
        (["commented 1"], None),
    ],
)
def test_a_ticket_takes_its_events_in_any_order(events: list[str], state: str | None) -> None:
    slot: Slot | None = None
    for told in events:
        action, time = told.split()
        slot = next_ticket(slot, TICKET_ACTIONS[action], int(time))
    assert slot == _slot(state)


@pytest.mark.parametrize(
    ("events", "state"),
    [
        (["due 1", "due 5"], "due 5"),
        (["due 5", "due 1"], "due 1"),
        (["failed 1", "due 5"], "failed 1"),
        (["due 5", "failed 1"], "failed 1"),
        (["failed 2", "failed 1"], "failed 2"),
        (["failed 1", "failed 2"], "failed 2"),
        (["succeeded 1", "succeeded 2"], "paid 2"),
        (["failed 2", "succeeded 1"], "failed 2"),
        (["failed 2", "succeeded 2"], "paid 2"),
        (["due 5", "succeeded 1"], "paid 1"),
        (["succeeded 2", "failed 2"], "paid 2"),
        (["succeeded 2", "failed 3"], "failed 3"),
        (["failed 3", "refunded 1"], "reversed 1"),
        (["disputed 3", "failed 3"], "reversed 3"),
        (["disputed 3", "failed 4"], "failed 4"),
        (["succeeded 2", "disputed 3", "refunded 2"], "reversed 3"),
        (["disputed 3", "succeeded 3"], "paid 3"),
        (["succeeded 3", "due 4"], "paid 3"),
    ],
)
def test_a_payment_takes_its_events_in_any_order(events: list[str], state: str | None) -> None:
    slot: Slot | None = None
    for told in events:
        status, time = told.split()
        slot = next_payment(slot, PAYMENT_STATUSES[status], int(time), due_ms=int(time))
    assert slot == _slot(state)


def _slot(state: str | None) -> Slot | None:
    return None if state is None else Slot(state.split()[0], int(state.split()[1]))


# in the order in which they go: done ones before all others, then the oldest, then the least hash
def test_what_matters_least_makes_room() -> None:
    slots = {5: Slot("paid", 9), -5: Slot("paid", 9), 1: Slot("due", 2), 2: Slot("failed", 1)}
    gone: list[int] = []
    for key in range(10, 14):
        before = set(slots)
        put(slots, key, Slot("due", 100), most=4)
        gone += before - set(slots)
    assert gone == [-5, 5, 2, 1]


#   day 0 opened and failed     a due payment is late at its due instant     day 90 to the millisecond: both are forgotten
@pytest.mark.parametrize(
    ("event", "feature", "begins"),
    [
        (ticket(START, "opened"), "open_tickets", START),
        (payment(START, "failed"), "late_payments", START),
        (payment("2026-01-02 08:00", "due", due_at=at(START)), "late_payments", START),
    ],
)
def test_a_ticket_or_payment_counts_for_ninety_days(event: Tree, feature: str, begins: str) -> None:
    its: Tree = {"metric": metric(feature), "steps": [[0, 0], [1, 100]]}
    found = run([event], models=[model(component("it", 1, **its))], until="2026-05-01 00:00")
    assert bands(found)[-2:] == [
        (shown(begins), "high", "time" if event["occurred_at"] < at(begins) else "event"),
        (shown("2026-04-05 10:00"), "low", "time"),
    ]


# --- overrides -----------------------------------------------------------------------------------------------------


#   nps 40, size 80 (weights 1 and 1): 60. Pinned to 90: the parts stay, `override` carries 30.
#   Released: back to 60. One component pinned to 100: (100 + 80) / 2 = 90, again 30.
def test_an_override_pins_a_score_and_carries_the_difference() -> None:
    seats = component("size", metric=metric("fact", "seats"), ramp=[[0, 0], [100, 100]])
    told = [
        facts("2026-01-01 10:00", nps=40, seats=80),
        override("2026-01-02 10:00", "test", 90),
        override("2026-01-03 10:00", "test", None),
        override("2026-01-04 10:00", "test.nps", 100),
        override("2026-01-05 10:00", "test.nps", "high"),
    ]
    found = run(told, models=[model(component("nps"), seats, min_change=1)])
    assert [c["new"]["score"] for c in found.score_changes] == [60, 90, 60, 90, 60]
    assert [c["cause"]["kind"] for c in found.score_changes] == ["fact", *["override"] * 4]
    parts = [[part["new"] for part in c["contributions"]] for c in found.score_changes]
    assert parts == [[20, 40], [20, 40, 30], [20, 40, None], [20, 40, 30], [20, 40, None]]
    for change in found.score_changes:
        moved = sum(part["delta"] for part in change["contributions"])
        assert moved == change["new"]["score"] - (change["old"]["score"] or 0)


def test_a_pinned_score_needs_no_evidence_and_a_pinned_component_does() -> None:
    pinned = run([override(START, "test", 33.3335)])
    assert pinned.score_changes[0]["new"] == {"score": 33.334, "band": "low", "coverage": 0.0}
    assert run([override(START, "test.nps", 70)]).score_changes == []


# an override that names no end ends after 90 days to the millisecond, and that is the end of evidence
def test_an_override_ends_by_itself() -> None:
    found = run([override(START, "test", 90, nps=40)], until="2026-05-01 00:00")
    assert bands(found) == [
        (shown(START), "high", "override"),
        (shown("2026-04-05 10:00"), "low", "evidence"),
    ]


@pytest.mark.parametrize("value", [-0.001, 100.001, "90", True, None])
def test_what_is_no_number_from_0_to_100_pins_nothing(value: Any) -> None:
    assert [c["new"]["score"] for c in run([override(START, "test", value, nps=40)]).score_changes] == [40]


# --- the account's own time zone -----------------------------------------------------------------------------------


#   active on 5 January 09:00 UTC; told of its zone at 10:00, which comes into force at the next midnight of UTC;
#   a silence beyond one whole day is absolute: at the midnight that begins the 7th, wherever that is
#
#   UTC                      5th 10:00 ... 6th 00:00 ................................ 7th 00:00 fires
#   Asia/Tokyo (+9)          5th 10:00 ... 6th 00:00 it is 09:00 ... 6th 15:00 fires
#   America/Los_Angeles (-8) 5th 10:00 ... 6th 00:00 it is the 5th, 16:00 ........... 7th 08:00 fires: no day comes twice
#   Mars/Olympus             as the policy
#   Asia/Tokyo until 23:00   as the policy
#   America/Los_Angeles until the 7th 05:00, the 6th 21:00 there: it stays in force until the midnight that comes next there
@pytest.mark.parametrize(
    ("zone", "expires_at", "fires"),
    [
        ("UTC", None, "2026-01-07 00:00"),
        ("Asia/Tokyo", None, "2026-01-06 15:00"),
        ("America/Los_Angeles", None, "2026-01-07 08:00"),
        ("Mars/Olympus", None, "2026-01-07 00:00"),
        ("Asia/Tokyo", "2026-01-05 23:00", "2026-01-07 00:00"),
        ("America/Los_Angeles", "2026-01-07 05:00", "2026-01-07 08:00"),
    ],
)
def test_a_time_zone_comes_into_force_at_the_next_midnight(
    zone: str, expires_at: str | None, fires: str
) -> None:
    events = [login("2026-01-05 09:00"), facts("2026-01-05 10:00", expires_at=expires_at, time_zone=zone)]
    rule = {"severity": "critical", "days": 1}
    found = run(events, policy=only(absolute_silence=rule), until="2026-01-08 00:00")
    assert alerts(found) == [(shown(fires), "firing", "critical", ["absolute_silence"])]


# --- calendar and hours --------------------------------------------------------------------------------------------


#   a log-in on each working day of two weeks: 9 gaps of one working day, n = 9 and G = 9 without forgetting
#   usual gap (7 + 9) / (1 + 9) = 1.6 working days; p = 50 * 1.6 / (365.25 * 5 / 7) = 0.3067; s* = 16 (p^-0.1 - 1) = 2.01
#   the last log-in is on Friday the 16th: Monday is the first working day, Tuesday the second, Wednesday the third
#   with Wednesday the 21st a holiday it is Thursday
@pytest.mark.parametrize(
    ("holidays", "fires"), [([], "2026-01-21 00:00"), (["2026-01-21"], "2026-01-22 00:00")]
)
def test_days_off_are_no_silence(holidays: list[str], fires: str) -> None:
    events = [login(f"2026-01-{day:02d} 10:00") for day in (5, 6, 7, 8, 9, 12, 13, 14, 15, 16)]
    policy = only(silence={"false_alarms_per_year": 50}) | {
        "rhythm": {"forgetting": 1.0},
        "calendar": {"weekend": ["saturday", "sunday"], "holidays": holidays},
    }
    found = run(events, policy=policy, until="2026-01-25 00:00")
    assert alerts(found) == [(shown(fires), "firing", "warning", ["silence"])]
    evidence = found.disengagements[0]["reasons"][0]["evidence"]
    assert evidence["usual_gap_s"] == 138_240
    assert evidence["gaps_known"] == 9
    assert evidence["probability"] == pytest.approx(0.306639, abs=1e-6)


#   log-ins at 10:59 and 11:01: one hour apart; prior 7 days = 168 hours: usual gap 169 / 2 = 84.5 hours
#   p = 50 * 84.5 / 8766 = 0.48198; s* = 169 (p^-0.5 - 1) = 74.4 hours: at 11:00 + 75 hours, three days later at 14:00
def test_silence_may_be_judged_by_hours() -> None:
    policy = only(silence={"false_alarms_per_year": 50}) | {"rhythm": {"unit": "hour", "forgetting": 1.0}}
    events = [login("2026-01-05 10:59"), login("2026-01-05 11:01")]
    found = run(events, policy=policy, until="2026-01-10 00:00")
    assert alerts(found) == [(shown("2026-01-08 14:00"), "firing", "warning", ["silence"])]
    evidence = found.disengagements[0]["reasons"][0]["evidence"]
    assert evidence["usual_gap_s"] == 304_200
    assert evidence["probability"] == pytest.approx(0.481976, abs=1e-6)


def test_the_cause_of_an_event_of_facts_is_an_override_if_one_is_named() -> None:
    assert bands(run([override(START, "nobody", None, nps=60)], models=[NPS])) == [
        (shown(START), "high", "override")
    ]
