"""The auditor against figures worked out by hand: bands, episodes, facts, scores.

In the timelines time runs to the right.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.auditor.event import decode
from tests.auditor.history import History
from tests.auditor.metrics import Moment, measure
from tests.auditor.scenarios import (
    NPS,
    Tree,
    alerts,
    at,
    bands,
    component,
    default_policy,
    event,
    facts,
    login,
    model,
    only,
    payment,
    records,
    retention,
    run,
    shown,
    ticket,
    visit,
)
from tests.auditor.score import judge, plain_band, points
from tests.auditor.settings import Settings, read_model, read_settings

DAY_MS = 86_400_000
SILENCE = {"severity": "warning", "false_alarms_per_year": 0.5, "refractory_days": 7}
ABSOLUTE = {"severity": "critical", "days": 90, "refractory_days": 7}
RISK = {
    "severity": "info",
    "repeated_severity": "warning",
    "quiet_days": 14,
    "repeat_after_min": 30,
    "refractory_days": 7,
}
THREE_BANDS = [
    {"name": "low", "from": 0, "closed": "left"},
    {"name": "middle", "from": 50, "closed": "left"},
    {"name": "high", "from": 70, "closed": "left"},
]


# --- how these tests are told ------------------------------------------------------------------------------------


def told(events: list[Tree], settings: Settings) -> History:
    """Return the history of events that were taken in this order."""
    history = History(settings)
    for record in records(events):
        happened = decode(record, settings, 1, keyed=False)
        history.apply(happened, happened.time_ms // DAY_MS, "UTC")
    return history


def moment(history: History, when: str) -> Moment:
    return Moment(history, at(when), at(when) // DAY_MS, "UTC")


def measured(
    events: list[Tree], when: str, feature: str, source: str | None = None, window: int = 0, lag: int = 0
) -> int | str | None:
    """Return a metric of a history at an instant, in its integer units."""
    metric = {"feature": feature, "source": source, "window_days": window, "lag_days": lag}
    tree = model(component("it", metric=metric, ramp=[[0, 0], [100, 100]]))
    settings = read_settings(only(), {"test": tree})
    return measure(settings.models[0].components[0], moment(told(events, settings), when))


def weekdays() -> list[Tree]:
    """Return a log-in at 10:00 of each weekday of two weeks, 5 to 16 January 2026 (the fifth is a Monday)."""
    return [login(f"2026-01-{day:02d} 10:00") for day in (5, 6, 7, 8, 9, 12, 13, 14, 15, 16)]


# --- bands: margin and dwell -------------------------------------------------------------------------------------


# cut 50, margin 2, the dwell long over between the steps
#
#   day      1      3      5      7      9
#   score   51     49.5   47.9   51     52.1
#   band    high   high   LOW    low    HIGH
def test_a_band_is_left_only_when_the_score_is_past_the_cut_by_the_margin() -> None:
    scores = [51, 49.5, 47.9, 51, 52.1]
    result = run([facts(f"2026-01-0{2 * i + 1} 10:00", nps=nps) for i, nps in enumerate(scores)])
    assert bands(result) == [
        (shown("2026-01-01 10:00"), "high", "fact"),
        (shown("2026-01-05 10:00"), "low", "fact"),
        (shown("2026-01-09 10:00"), "high", "fact"),
    ]


#   day 1 10:00   day 3 10:00       11:00                        day 4 10:00
#   60 high       40 falls: low     60 waits ... dwell 24 h ...  rises: high, and time is the cause
def test_a_rise_within_the_dwell_after_a_fall_waits_for_its_end() -> None:
    steps = [("2026-01-01 10:00", 60), ("2026-01-03 10:00", 40), ("2026-01-03 11:00", 60)]
    result = run([facts(when, nps=nps) for when, nps in steps], until="2026-01-06 00:00")
    assert bands(result)[1:] == [
        (shown("2026-01-03 10:00"), "low", "fact"),
        (shown("2026-01-04 10:00"), "high", "time"),
    ]


#   day 1     day 3 10:00    11:00
#   80 high   60 middle      40 low: a second fall passes at once
def test_a_second_fall_within_the_dwell_does_not_wait() -> None:
    steps = [("2026-01-01 10:00", 80), ("2026-01-03 10:00", 60), ("2026-01-03 11:00", 40)]
    three_bands = model(component("nps"), bands=THREE_BANDS)
    result = run([facts(when, nps=nps) for when, nps in steps], models=[three_bands])
    assert bands(result)[1:] == [
        (shown("2026-01-03 10:00"), "middle", "fact"),
        (shown("2026-01-03 11:00"), "low", "fact"),
    ]


# first band by the plain cut; then a fall needs 48, a rise 52
#
#            | the cut itself | falls at             | rises at
#   left     | high           | below 48 (47.999)    | 52 and above
#   right    | low            | 48 and below         | above 52 (52.001)
@pytest.mark.parametrize(
    ("closed", "scores", "band"),
    [
        ("left", [50], "high"),
        ("left", [49.999], "low"),
        ("right", [50], "low"),
        ("right", [50.001], "high"),
        ("left", [60, 48], "high"),
        ("left", [60, 47.999], "low"),
        ("right", [60, 48.001], "high"),
        ("right", [60, 48], "low"),
        ("left", [40, 51.999], "low"),
        ("left", [40, 52], "high"),
        ("right", [40, 52], "low"),
        ("right", [40, 52.001], "high"),
    ],
)
def test_each_cut_and_each_margin_has_a_side(closed: str, scores: list[float], band: str) -> None:
    cuts = [NPS["bands"][0], {"name": "high", "from": 50, "closed": closed}]
    events = [facts(f"2026-01-0{i + 1} 10:00", nps=nps) for i, nps in enumerate(scores)]
    result = run(events, models=[model(component("nps"), bands=cuts)])
    assert result.final["acme"]["models"]["test"]["band"] == band


@pytest.mark.parametrize(
    ("score", "band"),
    [(0, 0), (29_999, 0), (30_000, 1), (49_999, 1), (50_000, 2), (69_999, 2), (70_000, 3), (100_000, 3)],
)
def test_both_edges_of_each_cut_of_retention(score: int, band: int) -> None:
    assert plain_band(read_model(retention()).bands, score) == band


#   day 1     day 2    day 3   day 4
#   60 high   40 low   null    51: plain cuts again, though 52 would be asked of a low account
def test_after_a_null_score_the_band_is_that_of_the_plain_cuts() -> None:
    scores = [60, 40, None, 51]
    result = run([facts(f"2026-01-0{i + 1} 10:00", nps=nps) for i, nps in enumerate(scores)])
    assert [band for _, band, _ in bands(result)] == ["high", "low", "insufficient_evidence", "high"]


#   60 -> 64.999 moved by 4.999: no; -> 65 by 5: yes; the next is measured from 65: 60.001 no, 60 yes
def test_a_score_is_sent_when_it_moved_by_min_change_since_it_was_last_sent() -> None:
    scores = [60, 64.999, 65, 60.001, 60]
    events = [facts(f"2026-01-0{i + 1} 10:00", nps=nps) for i, nps in enumerate(scores)]
    result = run(events, models=[model(component("nps"), min_change=5)])
    assert [change["new"]["score"] for change in result.score_changes] == [60.0, 65.0, 60.0]
    assert [change["old"]["score"] for change in result.score_changes] == [None, 60.0, 65.0]


# --- silence -----------------------------------------------------------------------------------------------------


# every weekday of two weeks, forgetting off
#
#   Mo 5  Tu 6  We 7  Th 8  Fr 9  .  .  Mo 12  Tu 13  We 14  Th 15  Fr 16  . . . . . . . . . . . . . .  Sa 31
#   nine gaps: 1 1 1 1 3 1 1 1 1 = 11 days      n = 9, G = 11
#   usual gap = (7 + 11) / (1 + 9) = 1.8 days = 155,520 s
#   p  = 0.5 * 1.8 / 365.25 = 0.9 / 365.25 = 0.002464066 to nine places
#   s* = 18 * (p^(-1/10) - 1): ln p = -6.00592, a tenth is 0.600592, e^0.600592 = 1.82320, 18 * 0.82320 = 14.82 days
#   alarm at the midnight that starts day 16 + 14 + 1 = 31; silent from the 16th 10:00: 14 d 14 h = 1,260,000 s
def test_silence_of_an_account_that_is_active_every_weekday() -> None:
    rhythm = {"prior_rate": 1.0, "prior_days": 7.0, "forgetting": 1.0, "horizon_days": 90}
    policy = only(silence=SILENCE) | {"rhythm": rhythm}
    result = run(weekdays(), policy=policy, until="2026-02-10 00:00")
    assert alerts(result) == [(shown("2026-01-31 00:00"), "firing", "warning", ["silence"])]
    assert result.disengagements[0]["reasons"][0]["evidence"] == {
        "silent_for_s": 1_260_000,
        "usual_gap_s": 155_520,
        "gaps_known": 9,
        "probability": 0.002464066,
        "false_alarms_per_year": 0.5,
    }


# the same to the end of the day before: nothing is said of an unfinished day
def test_silence_is_not_judged_before_its_midnight() -> None:
    policy = only(silence=SILENCE) | {"rhythm": {"forgetting": 1.0}}
    assert alerts(run(weekdays(), policy=policy, until="2026-01-30 23:59:59")) == []


#   1 Jan   2 Jan   5 Jan                    6 Apr
#   gaps  1       3          91: beyond the horizon of 90, not learned, but the day counts as the last one
#   with forgetting 0.97:  n = 0.97 * 1 + 1 = 1.97   G = 0.97 * 1 + 3 = 3.97
def test_the_rhythm_forgets_and_skips_departures() -> None:
    settings = read_settings(only(), {"test": NPS})
    active = ["2026-01-01 10:00", "2026-01-02 10:00", "2026-01-05 10:00", "2026-04-06 10:00"]
    history = told([login(when) for when in active], settings)
    assert history.rhythm() == pytest.approx((1.97, 3.97, 2))
    assert history.usual_gap() == pytest.approx((7 + 3.97) / (1 + 1.97))
    assert history.last_active_day == at("2026-04-06 00:00") // DAY_MS


#   1 Jan 10:00                            1 Apr: the 90th day     2 Apr 00:00: day 1 Jan + 90 + 1
#   log-in                                 allowed                 firing
def test_absolute_silence_fires_at_the_midnight_after_the_last_day_allowed() -> None:
    policy = only(absolute_silence=ABSOLUTE)
    result = run([login("2026-01-01 10:00")], policy=policy, until="2026-04-30 00:00")
    assert alerts(result) == [(shown("2026-04-02 00:00"), "firing", "critical", ["absolute_silence"])]
    evidence = result.disengagements[0]["reasons"][0]["evidence"]
    assert evidence == {"silent_for_s": 91 * 86_400 - 10 * 3600, "limit_days": 90}


# one log-in: n = G = 0, usual gap 7, p = 3.5 / 365.25 = 0.0095825, s* = 7 * (1 / p - 1) = 7 * 103.357 = 723.5 days,
# so of the two rules the plain cap of 90 days is first
#
#   1 Jan 10:00        2 Apr 00:00                    1 May 09:00
#   log-in             absolute_silence: firing       log-in: resolved by activity
def test_activity_resolves_a_silence() -> None:
    policy = only(silence=SILENCE, absolute_silence=ABSOLUTE)
    result = run([login("2026-01-01 10:00"), login("2026-05-01 09:00")], policy=policy)
    assert alerts(result) == [
        (shown("2026-04-02 00:00"), "firing", "critical", ["absolute_silence"]),
        (shown("2026-05-01 09:00"), "resolved", "critical", ["absolute_silence"]),
    ]
    assert result.disengagements[1]["resolved_by"] == "activity"
    assert result.disengagements[1]["since"] == shown("2026-04-02 00:00")


# weekdays as above: silence on 31 Jan (warning); the cap: 16 Jan + 91 days = 17 Apr (critical)
#
#   16 Jan    31 Jan            17 Apr                          20 Apr 10:00
#   last      firing, warning   escalated, both reasons         resolved: both, by the first of them
def test_a_second_reason_escalates_the_one_episode_that_is_open() -> None:
    policy = only(silence=SILENCE, absolute_silence=ABSOLUTE) | {"rhythm": {"forgetting": 1.0}}
    result = run([*weekdays(), login("2026-04-20 10:00")], policy=policy)
    both = ["silence", "absolute_silence"]
    assert alerts(result) == [
        (shown("2026-01-31 00:00"), "firing", "warning", ["silence"]),
        (shown("2026-04-17 00:00"), "escalated", "critical", both),
        (shown("2026-04-20 10:00"), "resolved", "critical", both),
    ]
    assert len({message["episode_id"] for message in result.disengagements}) == 1
    assert len({message["alert_id"] for message in result.disengagements}) == 3


# --- risk pages --------------------------------------------------------------------------------------------------


#   1 Jan 10:00     10:29        10:59                15 Jan 10:59
#   /cancel: info   a reload     repeated: warning    fourteen quiet days later: resolved
#   (the reload at 10:29 is the last visit, so the one at 10:59 is exactly half an hour after it)
def test_a_risk_page_visited_again_escalates_and_fourteen_quiet_days_resolve_it() -> None:
    visits = [visit(f"2026-01-01 {when}", "/cancel") for when in ("10:00", "10:29", "10:59")]
    result = run(visits, policy=only(risk_page=RISK), until="2026-02-01 00:00")
    assert alerts(result) == [
        (shown("2026-01-01 10:00"), "firing", "info", ["risk_page"]),
        (shown("2026-01-01 10:59"), "escalated", "warning", ["risk_page"]),
        (shown("2026-01-15 10:59"), "resolved", "warning", ["risk_page"]),
    ]
    assert [message["resolved_by"] for message in result.disengagements] == [None, None, "quiet_period"]
    last = {"visits": 2, "last_visit_at": shown("2026-01-01 10:59"), "admin": False}
    assert [message["reasons"][0]["evidence"] for message in result.disengagements[1:]] == [last, last]


@pytest.mark.parametrize("role", ["admin", "Owner", "BILLING"])
def test_one_visit_of_an_administrator_is_a_warning(role: str) -> None:
    visits = [visit("2026-01-01 10:00", "/help/refund-policy", user_role=role)]
    result = run(visits, policy=only(risk_page=RISK))
    assert alerts(result) == [(shown("2026-01-01 10:00"), "firing", "warning", ["risk_page"])]


# quiet 5 days, refractory 7 days from the joining
#
#   1 Jan 10:00   6 Jan 10:00   7 Jan 10:00               8 Jan 10:00                12 Jan 10:00
#   firing        resolved      a visit: within 7 days,   the refractory time ends   five days after
#                               so nothing joins          and it holds: firing       the visit: resolved
def test_a_reason_joins_again_when_its_refractory_time_ends_and_it_still_holds() -> None:
    policy = only(risk_page=RISK | {"quiet_days": 5})
    visits = [visit("2026-01-01 10:00", "/cancel"), visit("2026-01-07 10:00", "/cancel")]
    result = run(visits, policy=policy, until="2026-02-01 00:00")
    assert [(when, status) for when, status, _, _ in alerts(result)] == [
        (shown("2026-01-01 10:00"), "firing"),
        (shown("2026-01-06 10:00"), "resolved"),
        (shown("2026-01-08 10:00"), "firing"),
        (shown("2026-01-12 10:00"), "resolved"),
    ]
    first, second = (message["episode_id"] for message in result.disengagements[::2])
    assert first != second


#   1 Jan 10:00   2 Jan 10:00                 20 Jan 10:00
#   firing        kind = closed: resolved     a visit raises nothing while it is closed
def test_a_closed_account_raises_nothing() -> None:
    events = [
        visit("2026-01-01 10:00", "/cancel"),
        facts("2026-01-02 10:00", kind="closed", owner="Ana"),
        visit("2026-01-20 10:00", "/cancel"),
    ]
    result = run(events, policy=only(risk_page=RISK), until="2026-02-01 00:00")
    ends = [(message["status"], message["resolved_by"]) for message in result.disengagements]
    assert ends == [("firing", None), ("resolved", "closed")]
    assert [message["owner"] for message in result.disengagements] == [None, "Ana"]
    assert result.final["acme"]["models"]["test"]["band"] == "not_applicable"


#   09:00 (told second, by an administrator)     10:00 (told first)
#   late: no visit more, the last stays, but an administrator was there: warning, at the account's 10:00
def test_a_late_visit_to_a_risk_page_adds_no_visit() -> None:
    visits = [
        visit("2026-01-01 10:00", "/cancel"),
        visit("2026-01-01 09:00", "/cancel", user_role="admin"),
    ]
    result = run(visits, policy=only(risk_page=RISK))
    assert alerts(result)[1:] == [(shown("2026-01-01 10:00"), "escalated", "warning", ["risk_page"])]
    evidence = result.disengagements[1]["reasons"][0]["evidence"]
    assert evidence == {"visits": 1, "last_visit_at": shown("2026-01-01 10:00"), "admin": True}


# --- facts -------------------------------------------------------------------------------------------------------


#   1 Jan 10:00                    3 Jan 15:30
#   nps 60, held for two days      it expires: no evidence is left, and that is the cause
def test_a_fact_that_expires_changes_the_score_at_that_instant_and_is_its_cause() -> None:
    result = run([facts("2026-01-01 10:00", "2026-01-03 15:30", nps=60)], until="2026-02-01 00:00")
    assert bands(result) == [
        (shown("2026-01-01 10:00"), "high", "fact"),
        (shown("2026-01-03 15:30"), "insufficient_evidence", "evidence"),
    ]
    change = result.score_changes[1]
    assert change["old"] == {"score": 60.0, "band": "high", "coverage": 1.0}
    assert change["new"] == {"score": None, "band": "insufficient_evidence", "coverage": 0.0}
    assert change["contributions"] == [{"component": "nps", "old": 60.0, "new": None, "delta": -60.0}]
    nothing = dict.fromkeys(("topic", "event_id", "partition", "offset"))
    assert change["cause"] == {"kind": "evidence"} | nothing


#   10:00 nps 60    11:00 nps 40, told last    12:00 null
#   the deletion is newer than the late value: no nps
def test_an_older_value_does_not_bring_a_deleted_fact_back() -> None:
    steps = [("2026-01-01 10:00", 60), ("2026-01-01 12:00", None), ("2026-01-01 11:00", 40)]
    result = run([facts(when, nps=nps) for when, nps in steps])
    assert result.final["acme"]["models"]["test"]["score"] is None


@pytest.mark.parametrize("value", ["60", True, None])
def test_what_is_no_number_is_no_evidence_for_a_number(value: Any) -> None:
    result = run([facts("2026-01-01 10:00", nps=value)])
    standing = result.final["acme"]["models"]["test"]
    assert standing == {"score": None, "band": "insufficient_evidence", "coverage": 0}


# --- scores ------------------------------------------------------------------------------------------------------


# weights 1, 1, 1; the mean of the points, then whole thousandths and what is left to the largest remainders
#
#   10, 20, 20   50 / 3 = 16.667   3.333 (1/3 left)  6.666 (2/3)  6.666 (2/3)   two units: to the second and third
#   10, 10, 10   30 / 3 = 10       3.333 each, 1/3 left each                    one unit: to the earliest
#    0,  0, 50   50 / 3 = 16.667   0, 0, 16.666 (2/3)                           one unit: to the third
@pytest.mark.parametrize(
    ("values", "score", "shares"),
    [
        ((10, 20, 20), 16.667, [3.333, 6.667, 6.667]),
        ((10, 10, 10), 10.0, [3.334, 3.333, 3.333]),
        ((0, 0, 50), 16.667, [0.0, 0.0, 16.667]),
    ],
)
def test_contributions_sum_to_the_score_by_largest_remainder(
    values: tuple[int, int, int], score: float, shares: list[float]
) -> None:
    three = model(component("nps"), component("arr"), component("seats"))
    nps, arr, seats = values
    change = run([facts("2026-01-01 10:00", nps=nps, arr=arr, seats=seats)], models=[three]).score_changes[0]
    assert change["new"]["score"] == score
    assert [part["new"] for part in change["contributions"]] == shares


# weights 2, 1, 1 over 4
#
#   nps 60, arr 30         (120 + 30) / 3 = 50, coverage 3/4    contributions 40, 10, -
#   nps 60                 60, coverage 2/4                     60, -, -
#   seats 90               coverage 1/4, below one half         -, -, -      (a missing one counts as 0 in deltas)
def test_missing_is_spread_over_what_is_present_until_coverage_is_too_low() -> None:
    three = model(component("nps", 2), component("arr"), component("seats"), min_change=1)
    events = [
        facts("2026-01-01 10:00", nps=60, arr=30),
        facts("2026-01-02 10:00", arr=None),
        facts("2026-01-03 10:00", nps=None, seats=90),
    ]
    changes = run(events, models=[three]).score_changes
    assert [change["new"]["score"] for change in changes] == [50.0, 60.0, None]
    assert [change["new"]["coverage"] for change in changes] == [0.75, 0.5, 0.25]
    deltas = [[part["delta"] for part in change["contributions"]] for change in changes]
    assert deltas == [[40.0, 10.0, 0.0], [20.0, -10.0, 0.0], [-60.0, 0.0, 0.0]]


# windows of 7 and 7 days, today 20 Jan: recent 14..20, earlier 7..13
#
#   recent 3, earlier 7     half_up(1000 * 3 * 7 / (7 * 7)) = half_up(428.57) = 429
#   recent 0, earlier 7     0
#   recent 3, earlier 0     1,000,000: saturated
#   recent 0, earlier 0     0, as it was counted once
@pytest.mark.parametrize(
    ("active", "ratio"),
    [([*range(7, 14), 14, 15, 20], 429), ([*range(7, 14)], 0), ([1, 14, 15, 20], 1_000_000), ([1], 0)],
    ids=["less than before", "nothing now", "nothing before", "nothing in either"],
)
def test_a_ratio_to_the_own_earlier_window(active: list[int], ratio: int) -> None:
    events = [facts("2026-01-01 00:00", owner="Ana"), *(login(f"2026-01-{day:02d} 10:00") for day in active)]
    assert measured(events, "2026-01-20 12:00", "ratio", "logins", 7, 7) == ratio


# the account's first day is the 8th: on the 20th it is 13 days old, on the 21st 14 = 7 + 7
# active on the 8th..19th: five days of 15..21, seven of 8..14; half_up(1000 * 5 / 7) = half_up(714.29) = 714
def test_a_ratio_is_missing_while_the_account_is_younger_than_both_windows() -> None:
    events = [login(f"2026-01-{day:02d} 10:00") for day in range(8, 20)]
    assert measured(events, "2026-01-20 12:00", "ratio", "logins", 7, 7) is None
    assert measured(events, "2026-01-21 12:00", "ratio", "logins", 7, 7) == 714


def test_a_ratio_of_what_was_never_counted_is_missing() -> None:
    events = [visit("2026-01-01 10:00", "/x")]
    assert measured(events, "2026-03-01 12:00", "ratio", "logins", 7, 7) is None


# 1 Jan twice, 5 Jan once; age 6 days on the 6th, 7 on the 7th
#
#   volume (log-ins)        missing on the 6th; on the 7th 3 on 2 days; on the 8th (2..8) only that of the 5th
#   incident (escalations)  no event is good news from the first day on: 0
def test_no_event_says_nothing_of_a_young_account_except_of_incidents() -> None:
    events = [login("2026-01-01 10:00"), login("2026-01-01 11:00"), login("2026-01-05 10:00")]
    sixth, seventh, eighth = (f"2026-01-0{day} 12:00" for day in (6, 7, 8))
    assert measured(events, sixth, "count", "logins", 7) is None
    assert measured(events, sixth, "active_days", "logins", 7) is None
    assert measured(events, sixth, "count", "tickets_escalated", 7) == 0
    assert measured(events, seventh, "count", "logins", 7) == 3
    assert measured(events, seventh, "active_days", "logins", 7) == 2
    assert measured(events, eighth, "count", "logins", 7) == 1
    assert measured(events, eighth, "since_last", "logins") == 3
    assert measured(events, eighth, "since_last", "payments_succeeded") is None


# one log-in, five days ago: usual gap 7 days, 5 / 7 = 0.714285 -> 714; never active: missing
def test_rhythm_is_silence_in_units_of_the_usual_gap() -> None:
    assert measured([login("2026-01-01 10:00")], "2026-01-06 12:00", "rhythm") == 714
    assert measured([facts("2026-01-01 10:00", owner="Ana")], "2026-01-06 12:00", "rhythm") is None


# own_rhythm: 100 until 1.5, 75 at 3, so 87.5 at 2.25, half way; 30 at 6, 0 at 12 and beyond
# risk_pages in steps: 0 -> 100, 1 -> 30, 2 and more -> 0; escalations 0 -> 100, 1 and 2 -> 50, 3 -> 0
def test_ramps_are_straight_between_anchors_and_steps_hold_until_the_next() -> None:
    parts = {c.name: c for c in read_model(retention()).components}
    ramp = [points(parts["own_rhythm"], x) for x in (0, 1500, 2250, 3000, 6000, 12_000, 99_999)]
    assert ramp == [100_000, 100_000, 87_500, 75_000, 30_000, 0, 0]
    assert [points(parts["risk_pages"], x) for x in range(4)] == [100_000, 30_000, 0, 0]
    assert [points(parts["escalations"], x) for x in range(4)] == [100_000, 50_000, 50_000, 0]


# one log-in: rhythm (25) present with 100, trends (50) missing, frictions (10 + 8 + 7) present with 100
#   coverage 50 / 100 is just enough; score 100; contributions 25/50, 10/50, 8/50, 7/50 of 100
def test_retention_of_a_new_account() -> None:
    result = run(
        [login("2026-01-01 10:00")], policy=default_policy(models=["retention"]), models=[retention()]
    )
    change = result.score_changes[0]
    assert change["new"] == {"score": 100.0, "band": "healthy", "coverage": 0.5}
    assert change["old"] == {"score": None, "band": "insufficient_evidence", "coverage": 0.0}
    shares = [part["new"] for part in change["contributions"]]
    assert shares == [50.0, None, None, 20.0, 16.0, 14.0]
    assert [part["new"] for part in change["dimensions"]] == [100.0, None, 100.0]
    where = {"topic": "logins", "event_id": "e0", "partition": 0, "offset": 0}
    assert change["cause"] == {"kind": "event"} | where


# a log-in on each of 57 days: 28 and 28 days of one each: ratio 1, nothing is wrong: 100
# then two payments go wrong (0 points) and a ticket escalates (50 points), all on the last day
#   (25*100 + 35*100 + 15*100 + 10*100 + 8*0 + 7*50) / 100 = (2500 + 3500 + 1500 + 1000 + 0 + 350) / 100 = 88.5
def test_retention_of_an_account_in_trouble() -> None:
    start = at("2026-01-01 10:00")
    end = start + 56 * DAY_MS + 3_600_000
    trouble = [
        payment(end, "failed", payment_id="P1"),
        payment(end, "disputed", payment_id="P2"),
        ticket(end, "escalated"),
    ]
    events = [*(login(start + day * DAY_MS) for day in range(57)), *trouble]
    account = run(events, policy=default_policy(models=["retention"]), models=[retention()]).final["acme"]
    assert account["models"]["retention"] == {"score": 88_500, "band": "healthy", "coverage": 1000}
    assert account["gaps"] == 56


def test_a_model_that_does_not_apply_says_so() -> None:
    result = run([facts("2026-01-01 10:00", nps=60, kind="trial"), facts("2026-01-02 10:00", kind=None)])
    assert bands(result) == [
        (shown("2026-01-01 10:00"), "not_applicable", "fact"),
        (shown("2026-01-02 10:00"), "high", "fact"),
    ]


# the ids are BLAKE2b-128 of the parts, joined by NUL; the episode's instant is 1 Jan 2026 10:00 in milliseconds
def test_ids_are_hashes_of_what_they_name() -> None:
    events = [visit("2026-01-01 10:00", "/cancel"), facts("2026-01-02 10:00", nps=60)]
    result = run(events, policy=only(risk_page=RISK))
    since = b"1767261600000"
    change, episode, alert = (
        blake2b(b"\0".join(parts), digest_size=16).hexdigest()
        for parts in (
            (b"change", b"acme", b"test", b"568054801"),  # half the seconds from 1990 to then, and 1
            (b"episode", b"acme", since, b"1"),
            (b"alert", b"acme", since, b"1", b"firing", b"info"),
        )
    )
    assert result.score_changes[0]["change_id"] == change
    assert result.disengagements[0]["episode_id"] == episode
    assert result.disengagements[0]["alert_id"] == alert


@given(st.lists(st.tuples(st.integers(0, 100_000), st.integers(1, 50)), min_size=1, max_size=3))
def test_contributions_always_sum_to_the_score(thousandths_and_weights: list[tuple[int, int]]) -> None:
    parts = list(zip(("nps", "arr", "seats"), thousandths_and_weights, strict=False))
    tree = model(*(component(name, weight) for name, (_, weight) in parts))
    settings = read_settings(only(), {"test": tree})
    values = {name: thousandths / 1000 for name, (thousandths, _) in parts}
    history = told([event("facts", "2026-01-01 10:00", facts=values)], settings)
    scored = judge(settings.models[0], moment(history, "2026-01-01 10:00"))
    assert scored.score is not None
    assert sum(share or 0 for share in scored.contributions) == scored.score
