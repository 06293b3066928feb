"""`bigcommerce`: ten metrics in seventeenths; the four event topics cover three of them, facts the rest."""

from __future__ import annotations

from typing import Any

import pytest

from agents.program import load_model
from tests.models.golden import changes, dimensions, played, require, score_of
from tests.scenarios.timeline import facts, login, payment, ticket

COMPONENTS = (
    "nps", "references", "meetings", "csm_sentiment", "commitment",
    "gaps_and_stability", "ecosystem_share", "growth", "growth_potential", "billing",
)  # fmt: skip
BEST: dict[str, Any] = {
    "nps": 100, "references_given": 3, "meetings_attended_pct": 100, "csm_sentiment": "good",
    "commitment": "intends_to_renew", "ecosystem_share_pct": 100, "growth_pct": 20, "growth_potential": "high",
}  # fmt: skip


def test_weights_are_exactly_those_of_the_source() -> None:
    model = load_model("bigcommerce")
    assert model.denominator == 17
    assert {part.name: part.weight for part in model.components} == {
        "nps": 1, "references": 1, "meetings": 1, "csm_sentiment": 2, "commitment": 6,
        "gaps_and_stability": 1, "ecosystem_share": 1, "growth": 1, "growth_potential": 1, "billing": 2,
    }  # fmt: skip
    assert {group.name: group.weight for group in model.dimensions} == {
        "relationship": 11, "product": 2, "business": 4,
    }  # fmt: skip


#   log-ins, a tagged ticket, a payment: 3 of 17 = 0.17647, and never a score
@pytest.mark.parametrize("days", [1, 100])
def test_the_four_event_topics_alone_are_three_seventeenths(days: int) -> None:
    seen = [
        login("0 10:00", user_id="kim"),
        ticket("0 11:00", "opened", tags=["bug"]),
        payment("0 12:00", "due"),
        payment("0 13:00", "succeeded"),
    ]
    found = score_of("bigcommerce", *seen, until=str(days))
    require(found, None, "insufficient_evidence", 0.176, **dict.fromkeys(COMPONENTS))
    absent = {part["name"] for part in found["components"] if part["missing"]}
    assert set(COMPONENTS) - absent == {"gaps_and_stability", "billing"}


# Seventeenths: 3, 4, 5, 6, 7, 8 are below the half; with 9 there is a score: of the nine weights
#   nps 0 -> 50, no reference -> 40, meetings 80, share 40, growth 0 -> 50, potential medium -> 50, gaps 100, billing 2 * 100
#   50 + 40 + 80 + 40 + 50 + 50 + 100 + 200 = 610 / 9 = 67.778, then a reference -> 80: 650 / 9 = 72.222
#   then sentiment neutral: (650 + 2 * 50) / 11 = 68.182, great still; commitment neutral: (750 + 6 * 50) / 17 = 61.765
@pytest.mark.parametrize(
    ("told", "coverage", "score", "band"),
    [
        (1, 0.235, None, "insufficient_evidence"),  # 4/17
        (2, 0.294, None, "insufficient_evidence"),
        (3, 0.353, None, "insufficient_evidence"),
        (4, 0.412, None, "insufficient_evidence"),
        (5, 0.471, None, "insufficient_evidence"),  # 8/17
        (6, 0.529, 67.778, "good"),  # 9/17
        (7, 0.529, 72.222, "great"),
        (8, 0.647, 68.182, "great"),  # 11/17
        (9, 1, 61.765, "good"),
    ],
)
def test_coverage_rises_fact_by_fact(told: int, coverage: float, score: float | None, band: str) -> None:
    one_by_one: list[dict[str, Any]] = [
        {"nps": 0}, {"references_given": 0}, {"meetings_attended_pct": 80}, {"ecosystem_share_pct": 40},
        {"growth_pct": 0}, {"growth_potential": "medium"}, {"references_given": 1}, {"csm_sentiment": "neutral"},
        {"commitment": "neutral"},
    ]  # fmt: skip
    events = [facts(f"0 1{number}:00", **fact) for number, fact in enumerate(one_by_one[:told])]
    found = score_of("bigcommerce", login("0 09:00"), *events, until="0 20:00")
    assert (found["coverage"], found["score"], found["band"]) == (coverage, score, band)


# All 100: floors of n/17 of 100 are 5.882 (remainder 6), 11.764 (12), 35.294 (2); four thousandths are left for the
# largest remainders: the two of weight 2, then the first two of weight 1
def test_the_best_account_is_shared_out_to_the_last_thousandth() -> None:
    found = score_of("bigcommerce", facts("0 12:00", **BEST), until="1")
    require(
        found, 100, "great", 1,
        nps=5.883, references=5.883, meetings=5.882, csm_sentiment=11.765, commitment=35.294,
        gaps_and_stability=5.882, ecosystem_share=5.882, growth=5.882, growth_potential=5.882, billing=11.765,
    )  # fmt: skip
    assert dimensions(found) == {"relationship": 100, "product": 100, "business": 100}


# Band edges. No ticket and no late payment: gaps 100, billing 2 * 100; no reference 40.
#   70: intends to renew 600, good 200, share 50; the rest 0: 300 + 40 + 600 + 200 + 50 = 1190 / 17
#   50: neutral 300, neutral 100, meetings 60, share 50: 300 + 40 + 300 + 100 + 60 + 50 = 850 / 17
#   30: apprehensive 0, neutral 100, meetings 70: 300 + 40 + 0 + 100 + 70 = 510 / 17
LEAST: dict[str, Any] = {
    "nps": -100, "references_given": 0, "meetings_attended_pct": 0, "csm_sentiment": "poor",
    "commitment": "apprehensive", "ecosystem_share_pct": 0, "growth_pct": -20, "growth_potential": "low",
}  # fmt: skip
AT_70 = LEAST | {"commitment": "intends_to_renew", "csm_sentiment": "good", "ecosystem_share_pct": 50}
AT_50 = LEAST | {
    "commitment": "neutral", "csm_sentiment": "neutral", "meetings_attended_pct": 60, "ecosystem_share_pct": 50,
}  # fmt: skip
AT_30 = LEAST | {"csm_sentiment": "neutral", "meetings_attended_pct": 70}


@pytest.mark.parametrize(
    ("told", "score", "band"),
    [
        (AT_70, 70, "great"),
        (AT_70 | {"ecosystem_share_pct": 49.983}, 69.999, "good"),  # 1189.983 / 17
        (AT_50 | {"ecosystem_share_pct": 50.017}, 50.001, "good"),  # 850.017 / 17
        (AT_50, 50, "at_risk"),
        (AT_30, 30, "at_risk"),
        (AT_30 | {"meetings_attended_pct": 69.983}, 29.999, "critical"),  # 509.983 / 17
        (LEAST, 20, "critical"),  # 340 / 17
    ],
)
def test_the_edges_of_the_bands(told: dict[str, Any], score: float, band: str) -> None:
    found = score_of("bigcommerce", facts("0 12:00", **told), until="1")
    assert (found["score"], found["band"], found["coverage"]) == (score, band, 1)


#   two payments late: billing 0; three tickets tagged as stability within four weeks: 50 - 50/4 = 37.5
#   1700 - 200 - 62.5 = 1437.5 / 17 = 84.559; dimensions: product (37.5 + 100) / 2, business 200 / 4
def test_late_payments_and_tagged_tickets_take_points_away() -> None:
    told = facts("0 12:00", **BEST)
    late = [payment("0 13:00", "due", f"P{number}") for number in range(2)]
    tickets = [ticket(f"0 14:0{number}", "opened", f"T{number}", tags=["outage"]) for number in range(3)]
    other = ticket("0 15:00", "opened", "T9", tags=["question"])
    found = score_of("bigcommerce", told, *late, *tickets, other, until="1")
    assert (found["score"], found["band"]) == (84.559, "great")
    assert dimensions(found) == {"relationship": 100, "product": 68.75, "business": 50}


#   best: 100; apprehensive: 1100 / 17 = 64.706, good; poor, too: 900 / 17 = 52.941; intends to renew again: 1500 / 17 = 88.235
#   a judgement of commitment is good for 90 days: then (1500 - 600) / 11 = 81.818, the weight is spread; so is one of the mood,
#   which is told again
def test_one_account_falls_and_rises_and_its_commitment_grows_old() -> None:
    story = played(
        "bigcommerce",
        facts("0 12:00", **BEST),
        facts("10 12:00", commitment="apprehensive"),
        facts("20 12:00", csm_sentiment="poor"),
        facts("30 12:00", commitment="intends_to_renew"),
        facts("100 12:00", csm_sentiment="poor"),
        until="125",
    )
    assert changes(story) == [
        "0 12:00 100 great", "10 12:00 64.706 good", "20 12:00 52.941 good", "30 12:00 88.235 great",
        "120 12:00 81.818 great",
    ]  # fmt: skip
    assert story.view["scores"][0]["coverage"] == 0.647


def test_an_override_of_the_score_and_of_a_component() -> None:
    told = facts("0 12:00", **AT_50)
    pinned = score_of("bigcommerce", told, facts("0 13:00", override__bigcommerce=25), until="1")
    assert (pinned["score"], pinned["band"], pinned["coverage"]) == (25, "critical", 1)
    assert pinned["components"][-1] == {"name": "override", "contribution": -25, "missing": None}
    #   commitment pinned to 100 in place of 50: + 6 * 50 / 17 = 17.647
    part = score_of("bigcommerce", told, facts("0 13:00", override__bigcommerce__commitment=100), until="1")
    assert (part["score"], part["band"]) == (67.647, "good")
    assert part["components"][-1]["contribution"] == 17.647
