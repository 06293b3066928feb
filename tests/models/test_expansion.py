"""`expansion`: fit as a letter, A best, engagement as a number, 1 best; each axis a score of 0..100 underneath."""

from __future__ import annotations

from typing import Any, Final

import pytest

from agents.program import load_model
from tests.models.golden import (
    FEATURE_PATHS,
    changes,
    dimensions,
    model_tree,
    played,
    require,
    score_of,
    unjudged_until,
    visits,
)
from tests.scenarios.timeline import Story, Tree, facts, instant, login, run

BEST_FIT: Final[dict[str, Any]] = {
    "sector_fit": "good", "employees": 250, "complement_need": "clear", "decision_maker_known": "yes", "growth_pct": 20,
}  # fmt: skip
WORST_FIT: Final[dict[str, Any]] = {
    "sector_fit": "poor", "employees": 10, "complement_need": "none", "decision_maker_known": "no", "growth_pct": -10,
}  # fmt: skip


def engaged(days: int, users: int = 0, features: int = 0, complementary: int = 0) -> list[Tree]:
    """Return what an account does on the last `days` days up to day 27: users log in, pages are visited on the last of them."""
    seen = [login(f"{day} 09:00") for day in range(28 - days, 28)]
    seen += [login(f"27 10:{user:02}", user_id=f"user-{user}") for user in range(users)]
    for path in FEATURE_PATHS[:features]:
        seen += visits("27 11:00", path)
    return seen + visits("27 12:00", "/marketplace/apps", complementary)


def account(
    fit: dict[str, Any], seats: float, *seen: Tree, name: str = "expansion", kind: str = "customer"
) -> Tree:
    """Return the score of an account that is known since day 0 and judged from the evening of day 27 on."""
    told = facts("0 12:00", seats=seats, **fit)
    outside, inside = unjudged_until("27 23:00", kind)
    return score_of(name, outside, told, *seen, inside, until="27 23:59")


# Fit: 15 sector + 10 size + 10 need + 5 decision maker + 10 growth, divided by 50. Engagement: 100 of everything:
#   16 days, 8 users of 10 seats, 3 of 3 features, 6 visits
#   80: 1500 + 1000 + 1000 + 500 + 0                     249 employees -> 99.7: 3997 / 50 = 79.94
#   60: 1500 + 1000 +    0 + 500 + 0                                            2997 / 50 = 59.94
#   40: 1500 +    0 +    0 + 500 + 0                     growth -0.02 -> 49.9 and nobody known: 1999 / 50 = 39.98
#   20:    0 + 1000 +    0 +   0 + 0                     249 employees: 997 / 50 = 19.94
@pytest.mark.parametrize(
    ("fit", "points", "letter"),
    [
        (BEST_FIT, 100, "A"),
        (BEST_FIT | {"growth_pct": -10}, 80, "A"),
        (BEST_FIT | {"growth_pct": -10, "employees": 249}, 79.94, "B"),
        (BEST_FIT | {"growth_pct": -10, "complement_need": "none"}, 60, "B"),
        (BEST_FIT | {"growth_pct": -10, "complement_need": "none", "employees": 249}, 59.94, "C"),
        (WORST_FIT | {"sector_fit": "good", "decision_maker_known": "yes"}, 40, "C"),
        (WORST_FIT | {"sector_fit": "good", "growth_pct": -0.02}, 39.98, "D"),
        (WORST_FIT | {"employees": 250}, 20, "D"),
        (WORST_FIT | {"employees": 249}, 19.94, "E"),
        (WORST_FIT, 0, "E"),
    ],
)
def test_the_letters_of_fit_at_their_edges(fit: dict[str, Any], points: float, letter: str) -> None:
    found = account(fit, 10, *engaged(16, 8, 3, 6))
    assert dimensions(found) == {"fit": points, "engagement": 100}
    assert (found["grid"], found["band"], found["coverage"]) == (f"{letter}1", f"{letter}1", 1)
    assert found["score"] == points / 2 + 50


# Engagement: 15 days + 10 users + 10 features + 15 pages, divided by 50.
#   80: 16 days 1500 + 8 of 10 users 1000 + 0 + 6 pages 1500; 15 days -> 95: 3925 / 50 = 78.5
#   60: 16 days 1500 + 1 of 10 users 0 + 0 + 6 pages 1500;             2925 / 50 = 58.5
#   40: 16 days 1500 + 4 of 10 users 500 + 0 + 0;                      1925 / 50 = 38.5
#   20: 8 days 900 + 4 of 25 users (0.16 -> 10) 100 + 0 + 0; 7 days -> 52.5: 887.5 / 50 = 17.75
@pytest.mark.parametrize(
    ("seats", "seen", "points", "number"),
    [
        (10, engaged(16, 8, 3, 6), 100, "1"),
        (10, engaged(16, 8, 0, 6), 80, "1"),
        (10, engaged(15, 8, 0, 6), 78.5, "2"),
        (10, engaged(16, 1, 0, 6), 60, "2"),
        (10, engaged(15, 1, 0, 6), 58.5, "3"),
        (10, engaged(16, 4, 0, 0), 40, "3"),
        (10, engaged(15, 4, 0, 0), 38.5, "4"),
        (25, engaged(8, 4, 0, 0), 20, "4"),
        (25, engaged(7, 4, 0, 0), 17.75, "5"),
        (10, [], 0, "5"),  # of users nothing is known: 0 of 40 is present
    ],
)
def test_the_numbers_of_engagement_at_their_edges(
    seats: float, seen: list[Tree], points: float, number: str
) -> None:
    found = account(BEST_FIT, seats, *seen)
    assert dimensions(found) == {"fit": 100, "engagement": points}
    assert (found["grid"], found["band"]) == (f"A{number}", f"A{number}")


# Fit: fair 750, 50 employees -> 40: 400, some 600, no 0, growth 0 -> 50: 500: 2250 / 50 = 45. Engagement: 8 days 900,
#   4 of 10 users 500, 1 of 3 features 33.3: 333, 3 pages 1200: 2933 / 50 = 58.66. Score 5183 / 100; all parts are exact
def test_an_account_in_the_middle_to_the_last_thousandth() -> None:
    fit = {
        "sector_fit": "fair", "employees": 50, "complement_need": "some", "decision_maker_known": "no", "growth_pct": 0,
    }  # fmt: skip
    found = account(fit, 10, *engaged(8, 4, 1, 3))
    require(
        found, 51.83, "C3", 1,
        sector=7.5, size=4, need=6, decision_maker=0, growth=5,
        active_days=9, users_active=5, breadth=3.33, complementary_pages=12,
    )  # fmt: skip
    assert dimensions(found) == {"fit": 45, "engagement": 58.66}
    assert (found["grid"], found["scale"], found["service"]) == ("C3", [0, 100], None)


def test_the_worst_and_the_best_cell() -> None:
    assert account(WORST_FIT, 10)["grid"] == "E5"
    assert account(BEST_FIT, 10, *engaged(16, 8, 3, 6))["grid"] == "A1"
    assert load_model("expansion").band_names == [letter + digit for letter in "EDCBA" for digit in "54321"]


# --- evidence ------------------------------------------------------------------------------------------------------


#   engagement is all known, and half of the whole; of fit nothing, then 10 of 50, then 25 of 50
@pytest.mark.parametrize(
    ("fit", "coverage", "cell"),
    [
        ({}, 0.5, None),
        ({"growth_pct": 20}, 0.6, None),
        ({"employees": 250, "growth_pct": 20, "decision_maker_known": "yes"}, 0.75, "A1"),
    ],
)
def test_each_axis_needs_evidence_of_its_own(fit: dict[str, Any], coverage: float, cell: str | None) -> None:
    found = account(fit, 10, *engaged(16, 8, 3, 6))
    assert (found["grid"], found["band"]) == (cell, cell or "insufficient_evidence")
    assert found["coverage"] == coverage
    assert (found["score"] is None) is (cell is None)


#   at first only the pages of engagement are known, 15 of 50; with day 27 a window of 28 days is. Engagement: 28 days 1500,
#   no user was seen, no feature 0, no page 0: 1500 / 40 = 37.5; score (5000 + 1500) / 90 = 72.222
def test_engagement_is_known_after_four_weeks() -> None:
    told = facts("0 12:00", seats=10, **BEST_FIT)
    story = played("expansion", told, *(login(f"{day} 09:00") for day in range(28)), until="28")
    assert changes(story) == ["27 00:00 72.222 A4"]


def test_an_account_to_which_it_does_not_apply_has_no_cell() -> None:
    found = account(BEST_FIT, 10, *engaged(16, 8, 3, 6), kind="trial")
    assert (found["grid"], found["band"], found["score"]) == (None, "not_applicable", None)


# --- from cell to cell ---------------------------------------------------------------------------------------------


def moved(*told: Tree, until: str = "40", **world: Any) -> Story:
    """Return what becomes of an account of fit 100 and engagement 100, A1, when it is told more."""
    start = facts("0 12:00", seats=10, **BEST_FIT)
    everything = [login(f"{day} 09:00", user_id=f"user-{day % 8}") for day in range(60)]
    everything += [
        visit for day in range(60) for path in FEATURE_PATHS for visit in visits(f"{day} 10:00", path)
    ]
    everything += [visit for day in range(60) for visit in visits(f"{day} 11:00", "/marketplace")]
    events = sorted([start, *everything, *told], key=lambda each: each["occurred_at"])
    return run(*events, until=until, models=[model_tree("expansion")], **world)


def cells(story: Story) -> list[str]:
    """Return when which cell was sent."""
    return [f"{instant(change['effective_at'])} {change['grid']}" for change in story.changes]


#   fit 100; growth -10: 80, A; employees 230 -> 94: 3940 / 50 = 78.8, within 2 points: still A; 200 -> 85: 3850 / 50 = 77: B
#   250 again: 80, below 82: B; growth 0: 90: A. Scores that moved by 5 are told as well
def test_a_letter_falls_and_rises_past_its_cut_by_the_margin() -> None:
    story = moved(
        facts("29 12:00", growth_pct=-10),
        facts("30 12:00", employees=230),
        facts("31 12:00", employees=200),
        facts("32 13:00", employees=250),
        facts("33 12:00", growth_pct=0),
    )
    assert cells(story) == ["27 00:00 A1", "29 12:00 A1", "31 12:00 B1", "33 12:00 A1"]
    assert [change["new"]["score"] for change in story.changes] == [100, 90, 88.5, 95]
    assert (story.changes[2]["old"]["band"], story.changes[2]["new"]["band"]) == ("A1", "B1")


#   the number falls at noon of day 30 (pages pinned to 20: engagement 76), the letter a day later (15 + 10 + 5 of 50: 60)
#   the letter's rise of an hour later waits for its own dwell, until noon of day 32; the number rises before, when its pin ends
def test_each_axis_has_its_own_dwell() -> None:
    story = moved(
        facts("30 12:00", "32 06:00", override__expansion__complementary_pages=20),
        facts("31 12:00", employees=10, growth_pct=-10),
        facts("31 13:00", employees=250, growth_pct=20),
    )
    assert cells(story) == [
        "27 00:00 A1", "30 12:00 A2", "31 12:00 B2", "31 13:00 B2", "32 06:00 B1", "32 12:00 A1",
    ]  # fmt: skip


#   the number falls at noon of day 30 (engagement 76) and would rise an hour later: it does when its dwell ends
def test_the_end_of_the_numbers_dwell_is_an_instant() -> None:
    story = moved(facts("30 12:00", "30 13:00", override__expansion__complementary_pages=20))
    assert cells(story) == ["27 00:00 A1", "30 12:00 A2", "30 13:00 A2", "31 12:00 A1"]
    assert [change["cause"]["kind"] for change in story.changes[1:]] == ["override", "evidence", "time"]


#   a component pinned moves its axis and shows as `override`; contributions and dimensions are those of the evidence
#   sector pinned to 0: fit (0 + 1000 + 1000 + 500 + 1000) / 50 = 70: B, score (3500 + 5000) / 100
def test_a_pinned_component_moves_the_cell() -> None:
    found = moved(facts("30 12:00", override__expansion__sector=0)).view["scores"][0]
    assert (found["grid"], found["score"]) == ("B1", 85)
    assert found["components"][-1] == {"name": "override", "contribution": -15, "missing": None}
    assert dimensions(found) == {"fit": 100, "engagement": 100}


def test_the_score_of_a_grid_cannot_be_pinned() -> None:
    found = moved(facts("30 12:00", override__expansion=10)).view["scores"][0]
    assert (found["grid"], found["score"], len(found["components"])) == ("A1", 100, 9)


#   cells have no order, so no band is fallen from: from A1 to B1 with 11.5 points less is nothing, to E1 50 points are lost
def test_for_a_band_drop_only_the_points_of_a_grid_count() -> None:
    quiet = moved(facts("30 12:00", growth_pct=-10, employees=200), rules={"band_drop": {}})
    assert cells(quiet)[-1] == "30 12:00 B1"
    assert quiet.alerts == []
    loud = moved(facts("30 12:00", **WORST_FIT), rules={"band_drop": {}})
    assert loud.evidence("band_drop") == {"band": "E1", "band_before": None, "points_lost": 50}


# --- four by four --------------------------------------------------------------------------------------------------


# Fit: 75 = 1500 + 1000 + 0 + 500 + growth 5 -> 62.5 .. : 1500 + 250 employees 1000 + some 600 + yes 500 + growth -7 -> 15: 150
#      50 = 1500 + 0 + 0 + 500 + growth 0 -> 50: 500; 25 = fair 750 + growth 0 500
@pytest.mark.parametrize(
    ("fit", "points", "letter"),
    [
        (BEST_FIT, 100, "A"),
        (BEST_FIT | {"complement_need": "some", "growth_pct": -7}, 75, "A"),
        (BEST_FIT | {"complement_need": "some", "growth_pct": -7.02}, 74.98, "B"),
        (WORST_FIT | {"sector_fit": "good", "decision_maker_known": "yes", "growth_pct": 0}, 50, "B"),
        (WORST_FIT | {"sector_fit": "good", "decision_maker_known": "yes", "growth_pct": -0.02}, 49.98, "C"),
        (WORST_FIT | {"sector_fit": "fair", "growth_pct": 0}, 25, "C"),
        (WORST_FIT | {"sector_fit": "fair", "growth_pct": -0.02}, 24.98, "D"),
        (WORST_FIT, 0, "D"),
    ],
)
def test_four_letters(fit: dict[str, Any], points: float, letter: str) -> None:
    found = account(fit, 10, *engaged(16, 8, 3, 6), name="expansion-4x4")
    assert (dimensions(found)["fit"], found["grid"]) == (points, f"{letter}1")


#   75: 16 days 1500 + 8 of 10 users 1000 + 6 pages 1500 are 80; 12 days -> 80: 1200 + 1000 + 1500 = 74
#   50: 16 days 1500 + 8 users 1000; 15 days: 1425 + 1000 = 48.5
#   25: 9 days -> 65: 975 + 1 of 3 features 333 = 26.16; 8 days 900 + 333 = 24.66
@pytest.mark.parametrize(
    ("seen", "points", "number"),
    [
        (engaged(16, 8, 0, 6), 80, "1"),
        (engaged(12, 8, 0, 6), 74, "2"),
        (engaged(16, 8, 0, 0), 50, "2"),
        (engaged(15, 8, 0, 0), 48.5, "3"),
        (engaged(9, 1, 1, 0), 26.16, "3"),
        (engaged(8, 1, 1, 0), 24.66, "4"),
    ],
)
def test_four_numbers(seen: list[Tree], points: float, number: str) -> None:
    found = account(WORST_FIT, 10, *seen, name="expansion-4x4")
    assert (dimensions(found)["engagement"], found["grid"]) == (points, f"D{number}")
