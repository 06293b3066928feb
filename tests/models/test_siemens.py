"""`siemens`: three aggregates side by side, each the mean of what is known of it, and their mean with equal weights."""

from __future__ import annotations

from typing import Any

import pytest

from agents.program import load_model
from tests.models.golden import changes, dimensions, model_tree, played, require, score_of, visits
from tests.scenarios.timeline import Tree, facts, login, payment, run

UNKNOWN: dict[str, float | None] = {"payment_frequency": None, "active_users": None, "key_features": None}
"""What takes four weeks or thirteen to be known."""


def test_the_aggregates_weigh_alike() -> None:
    model = load_model("siemens")
    assert {group.name: group.weight for group in model.dimensions} == {
        "relational": 6,
        "financial": 6,
        "usage": 6,
    }


# Relational: (50 + 50 + 80) / 3 = 60. Financial: late payments 100, overdue 20 % -> 50: 75. Usage is not known.
#   the score is (60 + 75) / 2 = 67.5; if weights were spread over everything it would be (2 * 180 + 2 * 150) / 10 = 66
#   contributions: half of a third of 50, 50, 80, half of a half of 100, 50; the first of equal remainders gets what is left
def test_what_is_missing_weighs_on_its_own_aggregate_only() -> None:
    told = facts("0 12:00", communications=3, nps=0, reviews_held=2, receivables_overdue_pct=20)
    found = score_of("siemens", told, until="1")
    require(
        found, 67.5, "good", 0.556,
        communications=8.334, nps=8.333, business_reviews=13.333, punctuality=25, receivables=12.5, **UNKNOWN,
    )  # fmt: skip
    assert dimensions(found) == {"relational": 60, "financial": 75, "usage": None}


#   a copy in which relational weighs twice as much: (2 * 60 + 75) / 3, whatever is known of each
def test_aggregates_weigh_what_the_file_says() -> None:
    mine = model_tree("siemens") | {"denominator": 24}
    relational = mine["dimensions"][0]
    relational["weight"] = 12
    for part in relational["components"]:
        part["weight"] = 4
    told = facts("0 12:00", communications=3, nps=0, reviews_held=2, receivables_overdue_pct=20)
    found = run(told, until="1", models=[mine]).view["scores"][0]
    assert (found["score"], found["coverage"]) == (65, 0.667)


def active_account(users: int, feature_days: int, payments: int) -> list[Tree]:
    """Return events of an account that is known for 100 days, by the end of which all that they tell is known."""
    return [
        login("0 09:00"),
        *(login(f"90 09:{user:02}", user_id=f"user-{user}") for user in range(users)),
        *(visit for day in range(80, 80 + feature_days) for visit in visits(f"{day} 10:00", "/app/reports")),
        *(payment(f"{20 + number} 10:00", "succeeded", f"P{number}") for number in range(payments)),
    ]


# All known: relational 60, financial (3 payments -> 100, 100, overdue 0 -> 100) = 100, usage (5 users -> 50, 4 days -> 50) = 50
#   70; contributions: a ninth of 50, 50, 80, of 100 three times, a sixth of 50 twice: floors make 69.997, the largest
#   remainders are those of 80 / 9, 50 / 9, 50 / 9
def test_an_account_of_which_everything_is_known() -> None:
    told = facts("95 12:00", communications=3, nps=0, reviews_held=2, receivables_overdue_pct=0)
    found = score_of("siemens", *active_account(5, 4, 3), told, until="99")
    require(
        found, 70, "good", 1,
        communications=5.556, nps=5.556, business_reviews=8.889, payment_frequency=11.111, punctuality=11.111,
        receivables=11.111, active_users=8.333, key_features=8.333,
    )  # fmt: skip
    assert dimensions(found) == {"relational": 60, "financial": 100, "usage": 50}


#   events alone: financial (1 payment -> 60, 100) = 80, usage (no user in four weeks -> 0, 12 days -> 100) = 50: 65, 10 of 18
def test_events_alone_are_enough() -> None:
    seen = active_account(0, 12, 1)
    seen += [login("1 09:00", user_id="kim")]
    found = score_of("siemens", *seen, until="99")
    assert (found["score"], found["band"], found["coverage"]) == (65, "good", 0.556)
    assert dimensions(found) == {"relational": None, "financial": 80, "usage": 50}


def test_without_evidence_of_half_of_it_there_is_no_score() -> None:
    told = facts("0 12:00", communications=3, nps=0, reviews_held=2)  # and late payments: 8 of 18
    found = score_of("siemens", told, until="1")
    require(
        found, None, "insufficient_evidence", 0.444,
        **UNKNOWN, communications=None, nps=None, business_reviews=None, punctuality=None, receivables=None,
    )  # fmt: skip


# Edges: relational and financial alone, each 100, 80, 60, 40 or 0
#   80: (12 -> 100, nps 50 -> 90, one review -> 50) / 3; (100, overdue 16 % -> 60) / 2      16.01 % -> 59.975: 79.994
#   60: (50 + 50 + 80) / 3; (100, overdue 38 % -> 20) / 2                                   38.01 % -> 19.983: 59.996
#   40: (100, nps -60 -> 20, none -> 0) / 3; (one late -> 40, overdue 26 % -> 40) / 2       26.01 % -> 39.983: 39.996
AT_80: dict[str, Any] = {"communications": 12, "nps": 50, "reviews_held": 1, "receivables_overdue_pct": 16}
AT_60: dict[str, Any] = {"communications": 3, "nps": 0, "reviews_held": 2, "receivables_overdue_pct": 38}
AT_40: dict[str, Any] = {"communications": 12, "nps": -60, "reviews_held": 0, "receivables_overdue_pct": 26}
BEST: dict[str, Any] = {"communications": 12, "nps": 100, "reviews_held": 4, "receivables_overdue_pct": 0}
WORST: dict[str, Any] = {"communications": 0, "nps": -100, "reviews_held": 0, "receivables_overdue_pct": 50}


@pytest.mark.parametrize(
    ("told", "late", "score", "band"),
    [
        (BEST, 0, 100, "strong"),
        (AT_80, 0, 80, "strong"),
        (AT_80 | {"receivables_overdue_pct": 16.01}, 0, 79.994, "good"),
        (AT_60, 0, 60, "good"),
        (AT_60 | {"receivables_overdue_pct": 38.01}, 0, 59.996, "fair"),
        (AT_40, 1, 40, "fair"),
        (AT_40 | {"receivables_overdue_pct": 26.01}, 1, 39.996, "weak"),
        (WORST, 2, 0, "weak"),
    ],
)
def test_the_edges_of_the_bands(told: dict[str, Any], late: int, score: float, band: str) -> None:
    due = [payment("0 11:00", "due", f"P{number}") for number in range(late)]
    found = score_of("siemens", *due, facts("0 12:00", **told), until="1")
    assert (found["score"], found["band"], found["coverage"]) == (score, band, 0.556)


#   80; a payment late: financial (40 + 60) / 2 = 50: 65, good; no communication, nps -100: relational 50 / 3 = 16.667: 33.333
#   the payment made and 12 communications: financial 80, relational (100 + 0 + 50) / 3 = 50: 65
def test_one_account_falls_and_rises() -> None:
    story = played(
        "siemens",
        facts("0 12:00", **AT_80),
        payment("10 12:00", "due"),
        facts("13 12:00", communications=0, nps=-100),
        facts("16 12:00", communications=12),
        payment("16 13:00", "succeeded"),
        until="17",
    )
    assert changes(story) == [
        "0 12:00 80 strong", "10 12:00 65 good", "13 12:00 33.333 weak", "16 12:00 50 fair", "16 13:00 65 good",
    ]  # fmt: skip


#   relational 60; financial (3 payments -> 100, 100, overdue not told) = 100; usage (no user was ever seen, no key feature
#   in four weeks -> 0) = 0. With what is overdue pinned to 0 points financial is (100 + 100 + 0) / 3
def test_a_pinned_component_is_part_of_its_aggregate() -> None:
    told = facts("95 12:00", communications=3, nps=0, reviews_held=2)
    seen = [login("0 09:00"), *(payment(f"{20 + n} 10:00", "succeeded", f"P{n}") for n in range(3))]
    before = score_of("siemens", *seen, told, until="99")
    assert (before["score"], before["coverage"]) == (53.333, 0.722)  # (60 + 100 + 0) / 3, 13 of 18
    pin = facts("96 12:00", override__siemens__receivables=0)
    after = score_of("siemens", *seen, told, pin, until="99")
    assert (after["score"], after["coverage"]) == (42.222, 0.722)  # (60 + 66.667 + 0) / 3
    assert after["components"][-1] == {"name": "override", "contribution": -11.111, "missing": None}
    assert dimensions(after) == dimensions(before)
