"""Overrides: manual judgement pins a score or a component's points, shows as such, and ends."""

from __future__ import annotations

import pytest

from tests.auditor.scenarios import component, model
from tests.scenarios.timeline import Tree, facts, play, run

ALL = {"min_change": 0.001}
TWO = model(component("savings_pct"), component("efficiency_pct"), **ALL)
NPS = model(component("nps"), **ALL)


def parts(change: Tree) -> dict[str, tuple[float | None, float | None, float]]:
    """Return the contributions of a change by component: old, new, delta."""
    return {each["component"]: (each["old"], each["new"], each["delta"]) for each in change["contributions"]}


# --- of a score ----------------------------------------------------------------------------------------------------


#   40 by evidence, 90 by judgement: the difference of 50 shows as a contribution of its own, the evidence's stays;
#   withdrawn, the score is the evidence again
def test_an_override_pins_the_score_and_shows_as_such() -> None:
    story = play(
        """
    day            0         10        20
    nps            40
    override.test            90        -
    score          40        90        40
    band           low       high      low
    """,
        models=[NPS],
    )
    assert [change["cause"]["kind"] for change in story.changes] == ["fact", "override", "override"]
    assert [parts(change) for change in story.changes] == [
        {"nps": (None, 40, 40)},
        {"nps": (40, 40, 0), "override": (None, 50, 50)},
        {"nps": (40, 40, 0), "override": (50, None, -50)},
    ]
    assert list(parts(story.changes[1]))[-1] == "override"
    assert [change["new"]["coverage"] for change in story.changes] == [1, 1, 1]


#   the evidence moves beneath the pin: nothing is sent, the view shows what the pin adds now
def test_evidence_that_moves_beneath_an_override_changes_no_score() -> None:
    story = play(
        """
    day            0         10        20
    nps            40                  70
    override.test            90
    score          40        90
    """,
        models=[NPS],
    )
    shown = story.view["scores"][0]
    assert shown["score"] == 90
    assert shown["components"] == [
        {"name": "nps", "contribution": 70, "missing": None},
        {"name": "override", "contribution": 20, "missing": None},
    ]


#   a judgement below the evidence is a negative contribution
def test_an_override_may_lower() -> None:
    change = run(
        facts("0 12:00", nps=80), facts("1 12:00", override__test=30), until="2", models=[NPS]
    ).changes[1]
    assert parts(change) == {"nps": (80, 80, 0), "override": (None, -50, -50)}


#   nothing is known: the score is the pin, its coverage is 0, all of it is the override's
def test_an_override_needs_no_evidence_and_is_none() -> None:
    change = run(facts("0 12:00", override__test=80), until="1", models=[TWO]).changes[0]
    assert change["new"] == {"score": 80, "band": "high", "coverage": 0}
    assert parts(change)["override"] == (None, 80, 80)
    assert change["dimensions"] == [{"name": "all", "old": None, "new": None}]


#   without an end it ends 90 days after it was told, at that instant; with one, at that one
@pytest.mark.parametrize(
    ("expires", "ends"), [(None, "90 12:00"), ("5 08:30:00.250", "5 08:30:00.250"), ("200", "200 00:00")]
)
def test_an_override_ends_by_itself(expires: str | None, ends: str) -> None:
    told = [facts("0 11:00", nps=40), facts("0 12:00", expires, override__test=90)]
    story = run(*told, until="210", models=[NPS])
    assert story.scores[1:] == ["0 12:00 90 high by override", f"{ends} 40 low by evidence"]


@pytest.mark.parametrize("value", [-0.001, 100.001, "high"])
def test_any_other_value_is_no_override(value: object) -> None:
    story = run(facts("0 11:00", nps=40), facts("0 12:00", override__test=value), until="1", models=[NPS])
    assert story.scores == ["0 11:00 40 low by fact"]


#   0 and 100 are values like any other
@pytest.mark.parametrize(("value", "band"), [(0, "low"), (100, "high")])
def test_an_override_to_the_end_of_the_scale(value: int, band: str) -> None:
    story = run(facts("0 11:00", nps=51), facts("0 12:00", override__test=value), until="1", models=[NPS])
    assert story.scores[-1] == f"0 12:00 {value} {band} by override"


def test_where_a_model_does_not_apply_no_override_does() -> None:
    told = facts("0 12:00", kind="partner", override__test=90)
    assert run(told, until="1", models=[NPS]).scores == ["0 12:00 - not_applicable by override"]


# --- of a component ------------------------------------------------------------------------------------------------


#   savings 80, efficiency 40: 60. Efficiency pinned to 100: (80 + 100) / 2 = 90; the contributions are the evidence's;
#   it ends at the instant that was told
def test_an_override_of_a_component_pins_its_points() -> None:
    told = [
        facts("0 12:00", savings_pct=80, efficiency_pct=40),
        facts("1 12:00", "3 18:00", override__test__efficiency_pct=100),
    ]
    story = run(*told, until="4", models=[TWO])
    assert story.scores == [
        "0 12:00 60 high by fact",
        "1 12:00 90 high by override",
        "3 18:00 60 high by evidence",
    ]
    assert parts(story.changes[1]) == {
        "savings_pct": (40, 40, 0),
        "efficiency_pct": (20, 20, 0),
        "override": (None, 30, 30),
    }


#   efficiency is not known: pinned it counts as present, (80 + 20) / 2; the coverage is that of the evidence, one half
def test_a_pinned_component_without_evidence_counts_and_covers_nothing() -> None:
    told = [facts("0 12:00", savings_pct=80), facts("1 12:00", override__test__efficiency_pct=20)]
    story = run(*told, until="2", models=[TWO])
    assert story.scores == ["0 12:00 80 high by fact", "1 12:00 50 high by override"]
    assert story.changes[1]["new"]["coverage"] == 0.5
    assert parts(story.changes[1]) == {
        "savings_pct": (80, 80, 0),
        "efficiency_pct": (None, None, 0),
        "override": (None, -30, -30),
    }


#   without enough evidence a pinned component makes no score: the evidence score is null
def test_a_pinned_component_is_no_evidence() -> None:
    assert run(facts("0 12:00", override__test__savings_pct=80), until="1", models=[TWO]).scores == []


#   the score is pinned, and a component too: the score's pin holds
def test_the_override_of_the_score_wins() -> None:
    told = facts("0 12:00", savings_pct=80, override__test=30, override__test__savings_pct=100)
    assert run(told, until="1", models=[TWO]).scores == ["0 12:00 30 low by override"]


# --- no alert comes of it ------------------------------------------------------------------------------------------


#   the band falls when a pin of 90 is withdrawn, or when a pin of 40 is set: neither is a reason
def test_no_band_drop_comes_of_an_override_or_of_its_end() -> None:
    play("""
    day            0         10        20
    nps            40
    override.test            90        -
    band           low       high      low
    band_drop      .......................
    """)
    play("""
    day            0         10        20
    nps            60
    override.test            40        -
    band           high      low       high
    band_drop      .......................
    """)


#   beneath the pin the evidence falls from 90 to 70: 20 points are lost, and that is told of the evidence
def test_points_lost_beneath_an_override_are_lost() -> None:
    story = play("""
    day            0         10        20
    nps            90                  70
    override.test            95
    band_drop      ....................F..
    """)
    assert story.evidence("band_drop") == {"band": "high", "band_before": None, "points_lost": 20}


#   an override of a model that there is not pins nothing
def test_an_override_of_another_model_pins_nothing() -> None:
    story = run(facts("0 12:00", nps=49), facts("2 12:00", override__other=90), until="3")
    assert story.scores == ["0 12:00 49 low by fact"]
