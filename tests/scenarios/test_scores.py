"""Scores: coverage, missing evidence, exact contributions, rounding, what is sent, to whom a model applies."""

from __future__ import annotations

from typing import Any

import pytest

from tests.auditor.scenarios import component, model
from tests.scenarios.timeline import Tree, bands, facts, play, run

TWO = model(component("savings_pct"), component("efficiency_pct"))
FINE = {"min_change": 0.001}


def points_of(*parts: float, weights: tuple[int, ...] | None = None, **changes: Any) -> Tree:
    """Return the score change of facts that are told at once, one component each."""
    names = ("savings_pct", "efficiency_pct", "goals_pct")[: len(parts)]
    tree = model(*map(component, names, weights or (1,) * len(parts)), **changes)
    told: Tree = dict(zip(names, parts, strict=True))
    return run(facts("0 12:00", **told), until="1 00:00", models=[tree]).changes[0]


def contributions(change: Tree) -> list[tuple[object, ...]]:
    return [tuple(each.values()) for each in change["contributions"]]


# --- coverage ------------------------------------------------------------------------------------------------------


#   of 1000 parts 500 are asked for: 499 known are not enough, 500 and 501 are
@pytest.mark.parametrize(("known", "outcome"), [(499, (None, 0.499)), (500, (80, 0.5)), (501, (80, 0.501))])
def test_below_min_coverage_there_is_no_score_and_at_it_there_is(
    known: int, outcome: tuple[float | None, float]
) -> None:
    tree = model(component("savings_pct", known), component("efficiency_pct", 1000 - known))
    shown = run(facts("0 12:00", savings_pct=80), until="1 00:00", models=[tree]).view["scores"][0]
    assert (shown["score"], shown["coverage"]) == outcome
    assert shown["band"] == ("high" if outcome[0] else "insufficient_evidence")


#   savings 80, efficiency unknown: 80, as if there were no efficiency; then efficiency 0: (80 + 0) / 2
#   then savings is gone: 0 of what is known; then nothing is known, and that is no score of 0
def test_missing_is_not_zero() -> None:
    story = play(
        """
    day              0         10        20        30
    savings_pct      80                  -
    efficiency_pct             0                   -
    score            80        40        0         -
    """,
        models=[TWO | FINE],
    )
    assert [change["new"]["coverage"] for change in story.changes] == [0.5, 1, 0.5, 0]
    assert [contributions(change) for change in story.changes] == [
        [("savings_pct", None, 80, 80), ("efficiency_pct", None, None, 0)],
        [("savings_pct", 80, 40, -40), ("efficiency_pct", None, 0, 0)],
        [("savings_pct", 40, None, -40), ("efficiency_pct", 0, 0, 0)],
        [("savings_pct", None, None, 0), ("efficiency_pct", 0, None, 0)],
    ]


# --- contributions and rounding ------------------------------------------------------------------------------------


#   (100 + 100 + 0) / 3 = 66.666..., half up 66.667; shares 33.333 + 33.333 + 0, one unit is left:
#   the remainders are 1/3, 1/3, 0: of equal ones the earlier component has it
def test_what_is_left_goes_to_the_largest_remainder_and_of_equal_ones_to_the_earlier() -> None:
    change = points_of(100, 100, 0)
    assert change["new"]["score"] == 66.667
    assert [new for _, _, new, _ in contributions(change)] == [33.334, 33.333, 0]


#   (0 + 100 + 100 * 2) / 4, in thousandths 300,000 / 4 = 75,000: nothing is left
#   weights 1, 2, 4 of 100, 100, 50: 500,000 / 7 = 71,428.57, half up 71,429; shares 14,285.71 28,571.43 28,571.43:
#   floors sum to 71,427, two units are left: the largest remainder .71, then .43 of the earlier
def test_shares_with_weights_sum_to_the_score_to_the_last_unit() -> None:
    assert [new for _, _, new, _ in contributions(points_of(0, 100, 100, weights=(1, 1, 2)))] == [0, 25, 50]
    change = points_of(100, 100, 50, weights=(1, 2, 4))
    assert change["new"]["score"] == 71.429
    assert [new for _, _, new, _ in contributions(change)] == [14.286, 28.572, 28.571]


#   66.667 = 33.334 + 33.333 + 0, then the second is 0: 33.333 = 33.333 + 0 + 0
#   differences -0.001 - 33.333 + 0 = -33.334: those of the scores
def test_differences_of_contributions_sum_to_the_change_to_the_last_unit() -> None:
    tree = model(*map(component, ("savings_pct", "efficiency_pct", "goals_pct")))
    told = [
        facts("0 12:00", savings_pct=100, efficiency_pct=100, goals_pct=0),
        facts("1 12:00", efficiency_pct=0),
    ]
    change = run(*told, until="2 00:00", models=[tree]).changes[1]
    assert (change["old"]["score"], change["new"]["score"]) == (66.667, 33.333)
    assert contributions(change) == [
        ("savings_pct", 33.334, 33.333, -0.001),
        ("efficiency_pct", 33.333, 0, -33.333),
        ("goals_pct", 0, 0, 0),
    ]
    assert change["dimensions"] == [{"name": "all", "old": 66.667, "new": 33.333}]


#   (49.999 + 50.000) / 2 = 49.9995, half up 50.000, which is high where the cut is closed left
#   (50.000 + 50.001) / 2 = 50.0005, half up 50.001, which is high where it is closed right
@pytest.mark.parametrize(
    ("parts", "side", "score"), [((49.999, 50), "left", 50), ((50, 50.001), "right", 50.001)]
)
def test_a_half_is_rounded_up_and_bands_judge_the_rounded_score(
    parts: tuple[float, float], side: str, score: float
) -> None:
    new = points_of(*parts, bands=bands(("low", 0, "left"), ("high", 50, side)))["new"]
    assert (new["score"], new["band"]) == (score, "high")


#   a ramp from -100 to 0 and 50: at 0.5 it is 50 + (90 - 50) * 0.5 / 50 = 50.4
#   steps: the last x that is reached; below the first one, the first
@pytest.mark.parametrize(
    ("curve", "points"),
    [
        (
            {"ramp": [[-80, 0], [0, 50], [50, 90]]},
            {-81: 0, -80: 0, -40: 25, 0: 50, 0.5: 50.4, 50: 90, 99: 90},
        ),
        (
            {"steps": [[0, 40], [1, 80], [3, 100]]},
            {-1: 40, 0: 40, 0.999: 40, 1: 80, 2.999: 80, 3: 100, 99: 100},
        ),
    ],
)
def test_the_points_of_a_curve(curve: Tree, points: dict[float, float]) -> None:
    tree = model(component("nps", metric={"feature": "fact", "source": "nps"}, **curve))
    for told, expected in points.items():
        story = run(facts("0 12:00", nps=told), until="1 00:00", models=[tree])
        assert story.view["scores"][0]["score"] == expected, told


def test_a_category_without_points_is_missing() -> None:
    judged = component(
        "mood", metric={"feature": "fact", "source": "csm_sentiment"}, table={"good": 100, "poor": 0}
    )
    play(
        """
    day            0         10        20
    csm_sentiment  good      neutral   poor
    score          100       -         0
    """,
        models=[model(judged)],
    )


# --- what is sent --------------------------------------------------------------------------------------------------


#   compared with the last one sent: 64.999 is 4.999 from 60, 65 is 5; then 68 is 3 from 65, and 61 is 4
def test_a_score_is_sent_when_it_moved_by_min_change_since_the_last_one_sent() -> None:
    play(
        """
    day      0         10        20        30        40        50
    nps      60        64.999    65        68        61        60
    score    60                  65                            60
    """,
        models=[model(component("nps"), min_change=5)],
    )


#   steps of two points are sent when they add up to five or more
def test_a_slow_drift_is_sent_too() -> None:
    play(
        """
    day      0         10        20        30
    nps      60        62        64        66
    score    60                            66
    """,
        models=[model(component("nps"), min_change=5)],
    )


# --- to whom a model applies ---------------------------------------------------------------------------------------


#   a partner is not scored; once it is a customer it is, by the plain cut; then it is a trial
def test_a_model_scores_those_to_whom_it_applies_and_says_so_of_others() -> None:
    story = play("""
    day      0              15             30
    kind     partner        customer       trial
    nps      60
    score    -              60             -
    band     not_applicable high           not_applicable
    """)
    assert [change["new"]["coverage"] for change in story.changes] == [0, 1, 0]
