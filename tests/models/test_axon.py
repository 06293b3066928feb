"""`axon`: usage first, against the account's own weekly pattern; relationship and payments beside it."""

from __future__ import annotations

from typing import Any

import pytest

from agents.explain_text import missing_text
from agents.program import load_model
from schemas.words_en import ENGLISH
from streams.measured import metric_text
from tests.models.golden import changes, logins, played, require, score_of, unjudged_until
from tests.scenarios.timeline import Tree, facts, payment

NOW = "64 06:00"
"""A Tuesday: the last seven whole days are Tuesday, day 57, to Monday, day 63, the eight weeks before days 1 to 56."""
OFFICE = [day for day in range(57) if day % 7 < 5]
"""Mondays to Fridays up to day 56."""
UNKNOWN: dict[str, float | None] = {"nps": None, "csm_sentiment": None}


def office(tuesday: int, wednesday: int, thursday: int, friday: int, monday: int) -> list[Tree]:
    """Return two log-ins on every working day for eight weeks, and so many on those of the last."""
    last = zip((57, 58, 59, 60, 63), (tuesday, wednesday, thursday, friday, monday), strict=True)
    return logins(OFFICE, 2) + [seen for day, times in last for seen in logins([day], times)]


def account(*seen: Tree, **told: Any) -> Tree:
    """Return the score of an account that is judged from the morning of day 64 on."""
    outside, inside = unjudged_until(NOW)
    return score_of("axon", outside, *seen, facts("63 23:00", **told), inside, until="64 07:00")


def failed(payments: int) -> list[Tree]:
    """Return failed payments: each is a failed one and a late one."""
    return [payment(f"63 2{number}:00", "failed", f"P{number}") for number in range(payments)]


def test_usage_is_seven_tenths() -> None:
    model = load_model("axon")
    assert {group.name: group.weight / model.denominator for group in model.dimensions} == {
        "usage": 0.7, "relationship": 0.15, "payments": 0.15,
    }  # fmt: skip


# As usual: 19 days with use in four weeks -> 100, silent for a day, a usual gap is longer than that -> 100, payments 100:
#   100 of the 85 that are known; floors make 99.998, the largest remainders are those of 800 / 85 and 3500 / 85
def test_an_account_that_goes_on_as_usual() -> None:
    require(
        account(*office(2, 2, 2, 2, 2)), 100, "steady", 0.85,
        weekly_pattern=41.177, regularity=23.529, own_rhythm=17.647, late_payments=9.412, failed_payments=8.235, **UNKNOWN,
    )  # fmt: skip


# Expected are 2 on each of 5 weekdays: 10. What is below counts, what is above does not make up for it.
#   9 of 10: 0.9 -> 100; 8: 0.8 -> 85; 5: 0.5 -> 40; 2: 0.2 -> 0. All else is 100 (5000), with 15 days of use 95 (4900).
#   (35 p + 5000) / 85
@pytest.mark.parametrize(
    ("last", "score", "band"),
    [
        ((20, 20, 20, 20, 20), 100, "steady"),
        ((1, 2, 2, 2, 2), 100, "steady"),
        ((1, 1, 2, 2, 2), 93.824, "steady"),
        ((1, 1, 1, 1, 1), 75.294, "steady"),
        ((1, 1, 1, 1, 20), 81.471, "steady"),  # 0.6 -> 55
        ((0, 0, 0, 0, 10), 57.647, "slipping"),  # ten events, as always, but 0.2 of the pattern; 4900 / 85
    ],
)
def test_use_below_the_own_weekly_pattern(
    last: tuple[int, int, int, int, int], score: float, band: str
) -> None:
    found = account(*office(*last))
    assert (found["score"], found["band"]) == (score, band)


#   five on Saturday, five on Sunday: nobody expected them, and nobody came on working days: 0; 16 days of use -> 100
#   silent since Sunday: two days are less than one and a half usual gaps, as gaps over weekends are three days
def test_use_on_other_days_than_the_own_is_not_the_pattern() -> None:
    found = account(*logins(OFFICE, 2), *logins([61, 62], 5))
    assert found["score"] == 58.824  # 5000 / 85
    assert found["components"][0] == {"name": "weekly_pattern", "contribution": 0, "missing": None}


# 70: 0.8 of the pattern 85 * 35 = 2975, + 2000 + 1500, nps -56.25 -> 21.875: 175, neutral 350, three payments failed and late 0
# 40: 0.2 of it 0, 15 days 95 * 20 = 1900, + 1500, nps 31.25 -> 75: 600, poor 0, payments 0
@pytest.mark.parametrize(
    ("last", "told", "score", "band"),
    [
        ((2, 2, 2, 2, 2), {"nps": 100, "csm_sentiment": "good"}, 85, "steady"),  # without payments, 15 of 100
        ((1, 1, 2, 2, 2), {"nps": -56.25, "csm_sentiment": "neutral"}, 70, "steady"),
        ((1, 1, 2, 2, 2), {"nps": -56.3, "csm_sentiment": "neutral"}, 69.998, "slipping"),
        ((0, 0, 0, 0, 10), {"nps": 31.25, "csm_sentiment": "poor"}, 40, "slipping"),
        (
            (0, 0, 0, 0, 10),
            {"nps": 31.2, "csm_sentiment": "poor"},
            39.997,
            "off_pattern",
        ),  # 74.96 * 8 = 599.68
    ],
)
def test_the_edges_of_the_bands(
    last: tuple[int, int, int, int, int], told: dict[str, Any], score: float, band: str
) -> None:
    found = account(*office(*last), *failed(3), **told)
    assert (found["score"], found["band"], found["coverage"]) == (score, band, 1)


#   4 log-ins on every day, from day 64 to 70 one: of the pattern 0.893, 0.786, .. 0.25 are left at the midnights that follow
#   points 98.95, 82.9, 66.85, 50.65, 35.2, 20.933, 6.667; (35 p + 5000) / 85 is told when it has moved by 5
#   from day 71 on 4 again: what was expected of a Tuesday is now (7 * 4 + 1) / 8 instead of 4:
#   day 72: (7 * 29 + 6 * 56) / (7 * (6 * 32 + 29)) = 0.348 -> 19.733; day 73: (14 * 29 + 5 * 56) / (7 * 218) = 0.45 -> 33.333
def test_one_account_falls_off_its_pattern_and_comes_back() -> None:
    days = [*logins(range(64), 4), *logins(range(64, 71)), *logins(range(71, 73), 4)]
    assert changes(played("axon", *days, until="73 06:00")) == [
        "27 00:00 100 steady",
        "66 00:00 92.959 steady",
        "67 00:00 86.35 steady",
        "68 00:00 79.679 steady",
        "69 00:00 73.318 steady",
        "70 00:00 67.443 slipping",
        "71 00:00 61.569 slipping",
        "72 00:00 66.949 slipping",
        "73 00:00 72.549 steady",
    ]


#   before eight weeks and a week are over the pattern is not known: 50 of 100 are, from the 28th day on
@pytest.mark.parametrize(
    ("until", "coverage"), [("26 12:00", 0.3), ("27 12:00", 0.5), ("62 12:00", 0.5), ("63 12:00", 0.85)]
)
def test_the_pattern_takes_nine_weeks_to_be_known(until: str, coverage: float) -> None:
    found = score_of("axon", *logins(range(int(until[:2]) + 1)), until=until)
    assert (found["score"], found["coverage"]) == (100 if coverage >= 0.5 else None, coverage)


def test_how_long_the_pattern_takes_is_said_by_explain() -> None:
    pattern = load_model("axon").components[0].metric
    assert metric_text(pattern, ENGLISH) == (
        "activity in 7 days against the same weekdays in the 56 days before"
    )
    assert (
        missing_text(pattern, None, None, ENGLISH)
        == "nothing of it was seen yet, or the account is known for less than 64 days"
    )


#   a pattern that was never there: nothing in the eight weeks before is nothing to fall from
def test_whoever_comes_back_after_months_is_within_the_pattern() -> None:
    found = account(*logins([0]), *logins([63], 3))
    #   pattern 100; 1 day of 28 -> 7.5; of the rhythm only the pattern is looked at here
    assert found["components"][0]["contribution"] == pytest.approx(35 * 100 / 85, abs=0.001)


def test_an_override_of_the_score_and_of_the_pattern() -> None:
    seen = office(1, 1, 1, 1, 1)
    pinned = account(*seen, override__axon=20)
    assert (pinned["score"], pinned["band"], pinned["components"][-1]["contribution"]) == (
        20,
        "off_pattern",
        -55.294,
    )
    #   the pattern pinned to 100 in place of 40: + 35 * 60 / 85 = 24.706
    part = account(*seen, override__axon__weekly_pattern=100)
    assert (part["score"], part["components"][-1]["contribution"]) == (100, 24.706)
