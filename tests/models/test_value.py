"""`value`: four questions, a point for each yes, 0..4; and `value-weighted`: each from 1 to 10, their mean as 0..100."""

from __future__ import annotations

from typing import Any

import pytest

from tests.models.golden import changes, model_tree, played, require, score_of
from tests.scenarios.timeline import facts, login, run, visit

QUESTIONS = ("fits_profile", "needs_fit", "low_effort", "good_revenue")


def answers(text: str) -> dict[str, Any]:
    """Return the answers of a text like `yny-`: yes, no, unanswered."""
    names = {"y": "yes", "n": "no"}
    return {question: names[mark] for question, mark in zip(QUESTIONS, text, strict=True) if mark != "-"}


# --- value ---------------------------------------------------------------------------------------------------------


# A yes is 4 points of weight 1 of 4: 4 * 1 / 4 = 1. What is unanswered is neither in the sum nor taken off the 4.
@pytest.mark.parametrize(
    ("told", "score", "band", "coverage", "parts"),
    [
        ("yyyy", 4, "high", 1, (1, 1, 1, 1)),
        ("yyny", 3, "high", 1, (1, 1, 0, 1)),  # 3 is the cut of high, on its upper side
        ("ynny", 2, "medium", 1, (1, 0, 0, 1)),  # 2 is the cut of medium
        ("nnny", 1, "low", 1, (0, 0, 0, 1)),
        ("nnnn", 0, "low", 1, (0, 0, 0, 0)),  # 0 is where low begins
        ("yyy-", 3, "high", 0.75, (1, 1, 1, None)),
        (
            "yy--",
            2,
            "medium",
            0.5,
            (1, 1, None, None),
        ),  # two yes of two answered; half of the weight is enough
        ("y-n-", 1, "low", 0.5, (1, None, 0, None)),
        ("y---", None, "insufficient_evidence", 0.25, (None,) * 4),
    ],
)
def test_an_answer_is_a_point_or_none(
    told: str, score: float | None, band: str, coverage: float, parts: tuple[float | None, ...]
) -> None:
    found = score_of("value", facts("0 12:00", **answers(told)), until="0 13:00")
    require(found, score, band, coverage, **dict(zip(QUESTIONS, parts, strict=True)))
    assert found["scale"] == [0, 4]


#   yes, yes, yes, yes -> 4; a no -> 3, still high: each changed answer is told; -> 2 medium; and up again, at once
def test_it_falls_and_rises_with_the_answers_of_one_account() -> None:
    story = played(
        "value",
        facts("0 12:00", **answers("yyyy")),
        facts("1 12:00", low_effort="no"),
        facts("1 13:00", good_revenue="no"),
        facts("1 14:00", low_effort="yes", good_revenue="yes"),
        until="2 00:00",
    )
    assert changes(story) == ["0 12:00 4 high", "1 12:00 3 high", "1 13:00 2 medium", "1 14:00 4 high"]
    last = story.changes[-1]
    assert [(part["component"], part["delta"]) for part in last["contributions"]] == [
        ("fits_profile", 0), ("needs_fit", 0), ("low_effort", 1), ("good_revenue", 1),
    ]  # fmt: skip
    assert (last["old"]["score"], last["new"]["score"], last["scale"], last["grid"]) == (2, 4, [0, 4], None)


#   two yes and two no are 2; the pin says 4: manual judgement adds 2, and the evidence stays as it is
def test_an_override_pins_the_score_on_the_models_own_scale() -> None:
    told = facts("0 12:00", **answers("ynny"))
    found = score_of("value", told, facts("0 13:00", override__value=4), until="0 14:00")
    require(
        found, 4, "high", 1, fits_profile=1, needs_fit=0, low_effort=0, good_revenue=1, override=2
    )  # fmt: skip


@pytest.mark.parametrize("pin", [4.001, 5, -1, True])
def test_an_override_beyond_the_scale_is_none(pin: Any) -> None:
    told = facts("0 12:00", override__value=pin, **answers("ynny"))
    found = score_of("value", told, until="0 14:00")
    require(found, 2, "medium", 1, fits_profile=1, needs_fit=0, low_effort=0, good_revenue=1)


#   two yes, two unanswered: 2 of 2. A component pinned to 4 is a third yes: 3, of which 1 is manual judgement
def test_a_pinned_component_counts_as_an_answer() -> None:
    told = facts("0 12:00", override__value__low_effort=4, **answers("yy--"))
    found = score_of("value", told, until="0 14:00")
    require(
        found, 3, "high", 0.5, fits_profile=1, needs_fit=1, low_effort=None, good_revenue=None, override=1
    )  # fmt: skip


def test_true_and_false_are_yes_and_no_and_anything_else_is_no_answer() -> None:
    told = facts("0 12:00", fits_profile=True, needs_fit=False, low_effort="maybe", good_revenue=1)
    found = score_of("value", told, until="0 14:00")
    require(found, 1, "low", 0.5, fits_profile=1, needs_fit=0, low_effort=None, good_revenue=None)


#   answers are good for 365 days: those of day 0 are gone on day 365, at noon, and the two of day 10 alone say 2 of 2
def test_answers_grow_old() -> None:
    story = played(
        "value",
        facts("0 12:00", **answers("yyyy")),
        facts("10 12:00", fits_profile="yes", needs_fit="yes"),
        until="380",
    )
    assert changes(story) == ["0 12:00 4 high", "365 12:00 2 medium", "375 12:00 - insufficient_evidence"]
    assert [change["cause"]["kind"] for change in story.changes] == ["fact", "evidence", "evidence"]


def test_an_end_that_is_told_with_the_answers_goes_before() -> None:
    told = facts("0 12:00", "400 12:00", **answers("yyyy"))
    assert changes(played("value", told, until="410")) == [
        "0 12:00 4 high", "400 12:00 - insufficient_evidence",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "band"), [("trial", "high"), ("partner", "high"), ("internal", "not_applicable")]
)
def test_it_judges_customers_trials_and_partners(kind: str, band: str) -> None:
    found = score_of("value", facts("0 12:00", kind=kind, **answers("yyyy")), until="0 13:00")
    assert (found["band"], found["score"]) == (band, 4 if band == "high" else None)


def test_it_is_told_beside_every_alert() -> None:
    told = facts("0 12:00", **answers("yyny"))
    story = played("value", told, visit("1 12:00", "/cancel"), until="2", rules={"risk_page": {}})
    assert [(alert["status"], alert["value"]) for alert in story.alerts] == [("firing", 3)]


#   15 points are those of a scale as long as 0..100: of 0..4 they are 0.6. From 4 to 3 the band is high still, a point is lost
#   26 of 100 are 1.04 of 4: a point is not enough
@pytest.mark.parametrize(("points", "messages"), [(15, ["1 12:00 firing warning band_drop"]), (26, [])])
def test_a_drop_is_measured_on_the_models_own_scale(points: float, messages: list[str]) -> None:
    told = [facts("0 12:00", **answers("yyyy")), facts("1 12:00", low_effort="no")]
    story = played("value", *told, until="2", rules={"band_drop": {"points": points}})
    assert story.messages == messages
    if messages:
        assert story.evidence("band_drop") == {"band": "high", "band_before": None, "points_lost": 1}


# --- value-weighted ------------------------------------------------------------------------------------------------

RATINGS = tuple(f"{question}_rating" for question in QUESTIONS)


def rated(*ratings: float | None) -> dict[str, Any]:
    return {name: rating for name, rating in zip(RATINGS, ratings, strict=True) if rating is not None}


# A rating r is (r - 1) * 100 / 9 points; a quarter of each.
@pytest.mark.parametrize(
    ("ratings", "score", "band", "coverage", "parts"),
    [
        ((10, 10, 10, 10), 100, "high", 1, (25, 25, 25, 25)),
        ((1, 1, 1, 1), 0, "low", 1, (0, 0, 0, 0)),
        ((5.5, 5.5, 5.5, 5.5), 50, "medium", 1, (12.5, 12.5, 12.5, 12.5)),
        # 100 + 66.667 + 33.333 + 0 = 200 / 4; 66.667 / 4 = 16.66675 has the largest remainder
        ((10, 7, 4, 1), 50, "medium", 1, (25, 16.667, 8.333, 0)),
        ((4.6, 4.6, 4.6, 4.6), 40, "medium", 1, (10, 10, 10, 10)),  # 3.6 * 100 / 9: the cut of medium
        ((4.6, 4.6, 4.6, 4.599), 39.997, "low", 1, (10, 10, 10, 9.997)),  # 39.989 for the last, / 4 = 9.99725
        ((7.3, 7.3, 7.3, 7.3), 70, "high", 1, (17.5, 17.5, 17.5, 17.5)),  # 6.3 * 100 / 9: the cut of high
        ((7.3, 7.3, 7.3, 7.299), 69.997, "medium", 1, (17.5, 17.5, 17.5, 17.497)),
        ((10, 10, None, None), 100, "high", 0.5, (50, 50, None, None)),  # spread over what is there
        ((10, None, 1, 1), 33.333, "low", 0.75, (33.333, None, 0, 0)),  # 100 / 3
        ((10, None, None, None), None, "insufficient_evidence", 0.25, (None,) * 4),
        ((10, 10, 11, 0), 100, "high", 0.5, (50, 50, None, None)),  # 11 and 0 are no ratings of 1..10
        ((10.001, 0.999, 10, 1), 50, "medium", 0.5, (None, None, 50, 0)),
    ],
)
def test_four_ratings_give_their_mean(
    ratings: tuple[float | None, ...],
    score: float | None,
    band: str,
    coverage: float,
    parts: tuple[float | None, ...],
) -> None:
    found = score_of("value-weighted", facts("0 12:00", **rated(*ratings)), until="0 13:00")
    require(found, score, band, coverage, **dict(zip(QUESTIONS, parts, strict=True)))


#   all ratings 7.3 are 70, high; 7.2 are 68.889, within 2 points of the cut: it stays, and 1.111 points are not told
#   7.1 are 67.778: medium; at 7.3 it stays medium, 7.5 are 72.222: risen
def test_the_mean_falls_and_rises_past_its_cut_by_the_margin() -> None:
    ratings = {"0 12:00": 7.3, "10 12:00": 7.2, "20 12:00": 7.1, "30 12:00": 7.3, "40 12:00": 7.5}
    told = [facts(when, **rated(*[rating] * 4)) for when, rating in ratings.items()]
    assert changes(played("value-weighted", *told, until="50")) == [
        "0 12:00 70 high", "20 12:00 67.778 medium", "40 12:00 72.222 high",
    ]  # fmt: skip


def test_an_override_of_the_weighted_value() -> None:
    told = facts("0 12:00", **rated(10, 10, 10, 10) | {"override.value-weighted": 30})
    found = score_of("value-weighted", told, until="1")
    parts = dict.fromkeys(QUESTIONS, 25)
    require(found, 30, "low", 1, **parts, override=-70)


#   a copy that weighs the profile 3 of 6: (3 * 100 + 0 + 0 + 0) / 6 = 50
def test_weights_are_those_of_the_file() -> None:
    mine = model_tree("value-weighted") | {"denominator": 6}
    mine["dimensions"][0]["weight"], mine["dimensions"][0]["components"][0]["weight"] = 6, 3
    told = facts("0 12:00", **rated(10, 1, 1, 1))
    found = run(told, login("0 13:00"), until="1", models=[mine]).view["scores"][0]
    require(found, 50, "medium", 1, fits_profile=50, needs_fit=0, low_effort=0, good_revenue=0)


# --- a scale of one's own ------------------------------------------------------------------------------------------


#   1..10, weights 1 and 2: (1 * 10 + 2 * 4) / 3 = 6; contributions 3.333 and 2.667
def test_a_model_of_one_to_ten() -> None:
    mine = model_tree("value-weighted") | {"scale": [1, 10], "denominator": 3, "min_change": 0.5}
    ramp = {"ramp": [[1, 1], [10, 10]]}
    group = mine["dimensions"][0] | {"weight": 3}
    group["components"] = [group["components"][0] | ramp, group["components"][1] | ramp | {"weight": 2}]
    mine |= {"dimensions": [group], "hysteresis": 0.5}
    mine["bands"] = [
        {"name": "low", "from": 1, "closed": "left"}, {"name": "high", "from": 6, "closed": "left"},
    ]  # fmt: skip
    story = run(facts("0 12:00", **rated(10, 4, None, None)), until="1", models=[mine])
    require(story.view["scores"][0], 6, "high", 1, fits_profile=3.333, needs_fit=2.667)
    assert story.changes[0]["scale"] == [1, 10]
