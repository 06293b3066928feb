"""`qualification`: is this trial ready to be talked to, at the present moment."""

from __future__ import annotations

import pytest

from tests.models.golden import (
    FEATURE_PATHS,
    changes,
    dimensions,
    logins,
    played,
    require,
    score_of,
    unjudged_until,
    visits,
)
from tests.scenarios.timeline import Tree, facts, login

TRIAL = facts("0 08:00", kind="trial")


def all_features(day: int) -> list[Tree]:
    """Return a visit to each key feature on a day."""
    return [visit for path in FEATURE_PATHS for visit in visits(f"{day} 10:00", path)]


#   first day, a log-in: no key feature used so far, in no day -> 100, no pricing page -> 0, touched today -> 100
#   (15 * 100 + 20 * 0 + 20 * 100) / 55; 1500 / 55 = 27.2727 has the larger remainder
def test_on_its_first_day_a_trial_is_judged_by_what_needs_no_week() -> None:
    found = score_of("qualification", TRIAL, login("0 09:00"), until="0 10:00")
    require(
        found, 63.636, "warm", 0.55, logins=None, key_features=None, first_use=27.273, pricing_pages=0, last_touch=36.363
    )  # fmt: skip
    assert dimensions(found) == {"usage": 100, "interest": 50}


def test_before_it_is_touched_nothing_is_said() -> None:
    found = score_of("qualification", TRIAL, until="0 10:00")
    parts = dict.fromkeys(("logins", "key_features", "first_use", "pricing_pages", "last_touch"))
    require(found, None, "insufficient_evidence", 0.35, **parts)


# Judged from noon of day 20 on, all is known. Log-ins 20 points a day of five, key features 10 a visit up to five, then 5.
#  100: 5 days 2500, 15 visits 2000, each feature used on day 0 1500, two pricing pages 2000, touched today 2000
#   70: 5 days 2500, 5 visits 1000, 1500, no pricing page, 2000; 4 visits: 6800
#   40: 2 days 1000, 5 visits 1000, first used on day 20 -> 0, 0, 2000; 4 visits: 3800
#    0: nothing ever: of the last touch nothing is known
@pytest.mark.parametrize(
    ("days", "feature_visits", "early", "pricing", "score", "band"),
    [
        (5, 15, True, 2, 100, "qualified"),
        (5, 5, True, 0, 70, "qualified"),
        (5, 4, True, 0, 68, "warm"),
        (2, 5, False, 0, 40, "warm"),
        (2, 4, False, 0, 38, "cold"),
        (1, 0, False, 1, 37, "cold"),  # 500 + 0 + 0 + 60 * 20 + 2000
        (0, 0, False, 0, 0, "cold"),
    ],
)
def test_the_edges_of_the_bands(
    days: int,
    feature_visits: int,
    early: bool,  # noqa: FBT001
    pricing: int,
    score: float,
    band: str,
) -> None:
    outside, inside = unjudged_until("20 12:00", "trial")
    seen = [*(all_features(0) if early else []), *logins(range(21 - days, 21))]
    seen += visits("20 10:00", "/app/reports", feature_visits) + visits("20 11:00", "/pricing", pricing)
    found = score_of("qualification", outside, *seen, inside, until="20 13:00")
    assert (found["score"], found["band"], found["coverage"]) == (score, band, 1 if days else 0.8)


# A first day with everything: 100 of 55. Then nothing: since the last touch 2 days -> 80, 3 -> 60, 4 -> 50, 5 -> 40
#   (15 * 100 + 20 * 100 + 20 p) / 55 = 92.727, 85.455, 81.818 (not told), 78.182
#   day 6: a week is known: 1 day of log-ins 20 * 25, 3 visits 30 * 20, 1500, 2000, 30 * 20: 52
#   day 7: 0 + 0 + 1500 + 2000 + 400: 39
#   day 8: 17.143: 38.429, within 2 of the cut; day 9: 14.286: 37.857: cold. A log-in on day 10: 500 + 1500 + 2000 + 2000
def test_it_cools_down_with_time_alone_and_warms_up_again() -> None:
    start = [TRIAL, login("0 09:00"), *all_features(0), *visits("0 11:00", "/pricing", 2)]
    story = played("qualification", *start, login("10 09:00"), until="10 10:00")
    assert [line for line in changes(story) if not line.startswith("0 ")] == [
        "2 00:00 92.727 qualified",
        "3 00:00 85.455 qualified",
        "5 00:00 78.182 qualified",
        "6 00:00 52 warm",
        "7 00:00 39 warm",
        "9 00:00 37.857 cold",
        "10 09:00 60 warm",
    ]
    assert {change["cause"]["kind"] for change in story.changes[-7:-1]} == {"time"}


#   who has bought is a customer, and no trial to be judged
def test_a_customer_is_not_judged_any_more() -> None:
    seen = [TRIAL, login("0 09:00"), facts("0 12:00", kind="customer", outcome="converted")]
    story = played("qualification", *seen, until="1")
    assert changes(story) == ["0 09:00 63.636 warm", "0 12:00 - not_applicable"]
    assert story.view["facts"] == {"kind": "customer", "outcome": "converted"}


def test_an_override_of_the_score_and_of_a_component() -> None:
    seen = [TRIAL, login("0 09:00")]
    pinned = score_of("qualification", *seen, facts("0 10:00", override__qualification=90), until="0 11:00")
    assert (pinned["score"], pinned["band"], pinned["components"][-1]["contribution"]) == (
        90,
        "qualified",
        26.364,
    )
    #   an interest in prices that was told on the phone: (1500 + 2000 + 2000) / 55 = 100
    seen.append(facts("0 10:00", override__qualification__pricing_pages=100))
    part = score_of("qualification", *seen, until="0 11:00")
    assert (part["score"], part["components"][-1]["contribution"]) == (100, 36.364)
