"""Band drop of the first model, whose score is the fact `nps`: a fall of its band, or 15 points, within 14 days."""

from __future__ import annotations

import pytest

from tests.auditor.scenarios import component, model
from tests.scenarios.timeline import bands, facts, login, play, run

FOUR = model(
    component("nps"),
    bands=bands(
        ("critical", 0, "left"), ("at_risk", 30, "left"), ("good", 50, "right"), ("great", 70, "left")
    ),
)


# --- by band -------------------------------------------------------------------------------------------------------


#   51 -> 47.9 is 3.1 points: only the band has fallen; 14 days later it is what is usual now
def test_a_fall_of_the_band_for_14_days() -> None:
    story = play("""
    day        0         10        20
    nps        51   47.9
    band       high low
    band_drop  .....F.............R.
    severity   .....w.............w.
    """)
    assert story.messages == [
        "5 12:00 firing warning band_drop",
        "19 12:00 resolved warning band_drop by condition_over",
    ]
    assert story.alerts[0]["reasons"][0]["model"] == "test"
    # On day 5 the best of the days before is 51; on day 19 that of days 5 to 18 is 47.9, and there is no fall any more.
    assert [story.evidence("band_drop", number) for number in (0, 1)] == [
        {"band": "low", "band_before": "high", "points_lost": 3.1},
        {"band": "low", "band_before": None, "points_lost": 0},
    ]


def test_a_band_that_is_back_ends_it() -> None:
    story = play("""
    day        0         10        20
    nps        51   47.9    52.1
    band       high low     high
    band_drop  .....F.......R.......
    """)
    assert story.messages[1] == "13 12:00 resolved warning band_drop by condition_over"
    assert story.evidence("band_drop", 1) == {"band": "high", "band_before": None, "points_lost": 0}


#   great, good on day 6, at_risk on day 11: one fall from great, whose 14 days begin again; a rise to good is not back
def test_a_second_fall_goes_on_with_the_first() -> None:
    story = play(
        """
    day        0         10        20
    nps        72    67   48       52.1
    band       great good at_risk  good
    band_drop  ......F..................R..
    """,
        models=[FOUR],
    )
    assert story.messages[1] == "25 12:00 resolved warning band_drop by condition_over"
    assert story.evidence("band_drop") == {"band": "good", "band_before": "great", "points_lost": 5}
    on_day_24 = run(
        *(facts(f"{day} 12:00", nps=nps) for day, nps in ((0, 72), (6, 67), (11, 48), (20, 52.1))),
        until="24",
        models=[FOUR],
        rules={"band_drop": {}},
    ).view["episodes"][0]["reasons"][0]
    # 67 of day 10 is the best of days 10 to 23.
    assert on_day_24["evidence"] == {"band": "good", "band_before": "great", "points_lost": 14.9}


#   without a score there is no band to fall from: 51, none, 40 is 11 points and no fall
def test_a_score_that_comes_again_lower_has_not_fallen() -> None:
    play("""
    day        0                             30
    nps        51   -                        40
    band       high insufficient_evidence    low
    band_drop  .................................
    """)


# --- by points -----------------------------------------------------------------------------------------------------


#   90 -> 75 is 15 points, with no band left; day 4, the last with 90, is out of the 14 days before on day 19
def test_a_loss_of_points_without_a_fall_of_the_band() -> None:
    story = play("""
    day        0         10        20
    nps        90   75
    band       high
    band_drop  .....F.............R.
    """)
    assert story.messages == [
        "5 12:00 firing warning band_drop",
        "19 00:00 resolved warning band_drop by condition_over",
    ]
    assert [story.evidence("band_drop", number) for number in (0, 1)] == [
        {"band": "high", "band_before": None, "points_lost": 15},
        {"band": "high", "band_before": None, "points_lost": 0},
    ]


#   judged in hundredths, half up: 75.004 is 75.00, and 15 points lost; 75.005 is 75.01
@pytest.mark.parametrize(("score", "count"), [(75.004, 1), (75.005, 0), (75.01, 0)])
def test_points_are_judged_in_hundredths(score: float, count: int) -> None:
    story = run(facts("0 12:00", nps=90), facts("5 12:00", nps=score), until="6", rules={"band_drop": {}})
    assert len(story.messages) == count


#   a loss within one day is none yet: the best is that of the days before, and the day's score is its last
#   day 5: 60, 90, 74 -> on day 6 the best is 74; day 6: 60 is 14 points
def test_the_score_of_a_day_is_its_last_one() -> None:
    told = [facts("0 12:00", nps=60), facts("5 09:00", nps=90), facts("5 15:00", nps=74)]
    story = run(*told, facts("6 12:00", nps=60), until="8", rules={"band_drop": {}})
    assert story.messages == []


#   day 4 is in the 14 days before day 18, and not in those before day 19
@pytest.mark.parametrize(("day", "count"), [(18, 1), (19, 0)])
def test_points_lost_slowly_are_seen_within_14_days(day: int, count: int) -> None:
    told = [facts("0 12:00", nps=90), facts("5 12:00", nps=80), facts(f"{day} 12:00", nps=75)]
    assert len(run(*told, until=f"{day} 23:59", rules={"band_drop": {}}).messages) == count


#   the very first day has no days before it: the band falls, and of points nothing is known
def test_on_the_first_day_no_points_are_lost() -> None:
    story = run(facts("0 12:00", nps=60), facts("0 13:00", nps=40), until="1", rules={"band_drop": {}})
    assert story.messages == ["0 13:00 firing warning band_drop"]
    assert story.evidence("band_drop") == {"band": "low", "band_before": "high", "points_lost": None}


#   every day has a score, also one on which nothing happened: 90 on days 0 to 29
def test_silent_days_have_the_score_of_the_day_before() -> None:
    story = run(facts("0 12:00", nps=90), facts("30 12:00", nps=75), until="31", rules={"band_drop": {}})
    assert story.messages == ["30 12:00 firing warning band_drop"]


#   the band of the second model falls: nothing
def test_only_the_first_model_is_meant() -> None:
    first = model(component("seats"), model="first")
    told = [facts("0 12:00", nps=60, seats=60), facts("5 12:00", nps=20), login("6 12:00")]
    models = [first, model(component("nps"))]
    assert run(*told, until="7", models=models, rules={"band_drop": {}}).messages == []
    assert run(*told, until="7", models=models[::-1], rules={"band_drop": {}}).messages
