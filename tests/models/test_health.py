"""`health`: relationship and usage a quarter each, value half; bands [70,100], (50,70), [30,50], [0,30)."""

from __future__ import annotations

from typing import Any

import pytest

from agents.program import load_model
from tests.models.golden import changes, dimensions, logins, played, require, score_of
from tests.scenarios.timeline import event, facts, login, millis, ticket


def test_the_weights_of_the_dimensions_are_those_of_the_source() -> None:
    model = load_model("health")
    assert [(group.name, 100 * group.weight / model.denominator) for group in model.dimensions] == [
        ("relationship", 25), ("usage", 25), ("value", 50),
    ]  # fmt: skip


# On its first day support requests (5) and open tickets (4) are known, both 100; with all facts 84 of 100 is present.
# No reference: 40. 15 nps + 10 * 40 + 5 * 100 + 4 * 100 + 15 savings + 15 efficiency + 20 goals, divided by 84:
#   70: nps 0 -> 50, 62, 60, 100:      750 + 400 + 900 + 930 + 900 + 2000 = 5880
#   50: nps 0 -> 50, 50, 40, 40:       750 + 400 + 900 + 750 + 600 + 800  = 4200
#   30: nps -100 -> 0, 38, 30, 10:       0 + 400 + 900 + 570 + 450 + 200  = 2520
AT_70: dict[str, Any] = {
    "nps": 0,
    "references_given": 0,
    "savings_pct": 62,
    "efficiency_pct": 60,
    "goals_pct": 100,
}
AT_50 = AT_70 | {"savings_pct": 50, "efficiency_pct": 40, "goals_pct": 40}
AT_30 = AT_70 | {"nps": -100, "savings_pct": 38, "efficiency_pct": 30, "goals_pct": 10}


@pytest.mark.parametrize(
    ("told", "score", "band"),
    [
        (
            AT_70 | {"nps": 100, "references_given": 3, "savings_pct": 100, "efficiency_pct": 100},
            100,
            "great",
        ),
        (AT_70, 70, "great"),
        (AT_70 | {"savings_pct": 61.994}, 69.999, "good"),  # 5879.91 / 84 = 69.99893
        (AT_50 | {"savings_pct": 50.006}, 50.001, "good"),  # 4200.09 / 84 = 50.00107
        (AT_50, 50, "at_risk"),
        (AT_30, 30, "at_risk"),
        (AT_30 | {"savings_pct": 37.994}, 29.999, "critical"),  # 2519.91 / 84
        (AT_30 | {"savings_pct": 0, "efficiency_pct": 0, "goals_pct": 0}, 15.476, "critical"),  # 1300 / 84
    ],
)
def test_the_edges_of_the_bands(told: dict[str, Any], score: float, band: str) -> None:
    found = score_of("health", facts("0 12:00", **told), until="1")
    assert (found["score"], found["band"], found["coverage"]) == (score, band, 0.84)


#   5880 / 84: contributions are points * weight / 84; floors 8.928 4.761 5.952 4.761 11.071 10.714 23.809 make 69.996,
#   of the remainders 48, 76, 32, 76, 36, 24, 44 (of 84) the largest four are references, open tickets, nps, goals
def test_the_score_of_seventy_is_shared_out_to_the_last_thousandth() -> None:
    found = score_of("health", facts("0 12:00", **AT_70), until="1")
    require(
        found, 70, "great", 0.84,
        nps=8.929, references=4.762, usage=None, feature_requests=None, support_requests=5.952, open_tickets=4.762,
        savings=11.071, efficiency=10.714, goals=23.81,
    )  # fmt: skip
    #   of relationship (750 + 400) / 25, of usage (500 + 400) / 9, of value (930 + 900 + 2000) / 50
    assert dimensions(found) == {"relationship": 46, "usage": 100, "value": 76.6}


#   usage alone is a quarter: 8 days with a log-in -> 60, no request in twelve weeks -> 50, no tickets -> 100, 100
@pytest.mark.parametrize(
    ("told", "score", "coverage"), [({}, None, 0.25), ({"nps": 0, "references_given": 0}, None, 0.5)]
)
def test_usage_without_facts_is_not_enough(
    told: dict[str, Any], score: float | None, coverage: float
) -> None:
    seen = [login("0 09:00"), *logins(range(80, 88))]
    found = score_of("health", *seen, facts("88 09:00", **told), until="90")
    if coverage < 0.5:
        require(
            found,
            score,
            "insufficient_evidence",
            coverage,
            **{part["name"]: None for part in found["components"]},
        )
    else:
        # 750 + 400 + 12 * 60 + 4 * 50 + 500 + 400 = 2970 / 50
        assert (found["score"], found["band"], found["coverage"]) == (59.4, "good", 0.5)


#   all of it: nps 50 -> 90, three references -> 100, 8 days -> 60, a request for a feature -> 100, which is also one
#   ticket opened and open -> 100, 100; savings 80, efficiency 60, goals 50
#   15 * 90 + 10 * 100 + 12 * 60 + 4 * 100 + 5 * 100 + 4 * 100 + 15 * 80 + 15 * 60 + 20 * 50 = 7470
def test_an_account_of_which_everything_is_known() -> None:
    told: dict[str, Any] = {
        "nps": 50,
        "references_given": 3,
        "savings_pct": 80,
        "efficiency_pct": 60,
        "goals_pct": 50,
    }
    seen = [login("0 09:00"), *logins(range(80, 87)), ticket("87 09:00", "opened", tags=["idea"])]
    found = score_of("health", *seen, facts("88 09:00", **told), until="90")
    require(
        found, 74.7, "great", 1,
        nps=13.5, references=10, usage=7.2, feature_requests=4, support_requests=5, open_tickets=4,
        savings=12, efficiency=9, goals=10,
    )  # fmt: skip


#   surveys of day 0 (nps 0), 10 (50) and 20 (-100), each 15 of 84: 5880, + 15 * 40 = 6480, 5880 - 750 = 5130
#   the one of day 5 comes in on day 12, after that of day 10: it is older and changes nothing
def test_nps_is_indexed_again_as_surveys_arrive() -> None:
    late = event("facts", "5 12:00", facts={"nps": -100}) | {"received": "12 12:00"}
    story = played(
        "health",
        facts("0 12:00", **AT_70),
        facts("10 12:00", nps=50),
        late,
        facts("20 12:00", nps=-100),
        until="21",
    )
    assert late["occurred_at"] == millis("5 12:00")
    assert changes(story) == ["0 12:00 70 great", "10 12:00 77.143 great", "20 12:00 61.071 good"]


#   70; goals 100 -> 40: 4680 / 84 = 55.714, good; 100 again: 70, great asks for 72; a reference -> 80: 6280 / 84 = 74.762
#   savings 0 and goals 40: (6280 - 930 - 1200) / 84 = 49.405; all back: past 50 by the margin, and so to where the cuts say
def test_one_account_falls_and_rises() -> None:
    story = played(
        "health",
        facts("0 12:00", **AT_70),
        facts("3 12:00", goals_pct=40),
        facts("6 12:00", goals_pct=100),
        facts("9 12:00", references_given=1),
        facts("12 12:00", savings_pct=0, goals_pct=40),
        facts("15 12:00", savings_pct=62, goals_pct=100),
        until="16",
    )
    assert changes(story) == [
        "0 12:00 70 great", "3 12:00 55.714 good", "6 12:00 70 good", "9 12:00 74.762 great", "12 12:00 49.405 at_risk",
        "15 12:00 74.762 great",
    ]  # fmt: skip


#   pinned to 10 from day 1 noon to day 2, 6 o'clock: critical; then 70 again, the band waits for the end of the dwell
def test_an_override_holds_until_it_expires() -> None:
    told = [facts("0 12:00", **AT_70), facts("1 12:00", "2 06:00", override__health=10)]
    story = played("health", *told, until="4")
    assert changes(story) == [
        "0 12:00 70 great", "1 12:00 10 critical", "2 06:00 70 critical", "2 12:00 70 great",
    ]  # fmt: skip
    assert story.changes[1]["contributions"][-1] == {
        "component": "override",
        "old": None,
        "new": -60,
        "delta": -60,
    }
