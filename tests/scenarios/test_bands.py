"""Bands: cuts and their sides, hysteresis, dwell. The score is the fact `nps`; the cut is 50, the margin 2, the dwell 24 h."""

from __future__ import annotations

import pytest

from tests.auditor.scenarios import component, model
from tests.scenarios.timeline import bands, facts, play, run

FOUR = model(
    component("nps"),
    bands=bands(
        ("critical", 0, "left"), ("at_risk", 30, "left"), ("good", 50, "right"), ("great", 70, "left")
    ),
)
"""Bands and sides of the cuts as in `health`."""


# --- cuts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("score", "band"),
    [
        (100, "great"),
        (70, "great"),  # 70 is closed left: it begins its band
        (69.999, "good"),
        (50.001, "good"),
        (50, "at_risk"),  # 50 is closed right: it ends the band below
        (30, "at_risk"),
        (29.999, "critical"),
        (0, "critical"),
    ],
)
def test_a_cut_belongs_to_the_side_that_it_says(score: float, band: str) -> None:
    story = run(facts("0 12:00", nps=score), until="1 00:00", models=[FOUR])
    assert story.scores == [f"0 12:00 {score:g} {band} by fact"]


# --- hysteresis ----------------------------------------------------------------------------------------------------


#   51 is high by the plain cut; 49.5 is below the cut and not below 48; 47.9 is
#   then 51 is above the cut and not above 52; 52.1 is
def test_the_worked_example_of_hysteresis() -> None:
    play("""
    day      0         10        20        30        40
    nps      51        49.5      47.9      51        52.1
    band     high                low                 high
    """)


#   closed left: it falls below 48, not at 48; it rises at 52, not below
def test_the_margin_of_a_left_closed_cut_to_the_last_unit() -> None:
    play("""
    day      0         10        20        30        40
    nps      51        48        47.999    51.999    52
    band     high                low                 high
    """)


#   closed right: it falls at 48, not above; it rises above 52, not at 52
def test_the_margin_of_a_right_closed_cut_to_the_last_unit() -> None:
    play(
        """
    day      0         10        20        30        40
    nps      51        48.001    48        52        52.001
    band     high                low                 high
    """,
        models=[model(component("nps"), bands=bands(("low", 0, "left"), ("high", 50, "right")))],
    )


def test_a_score_that_oscillates_around_the_cut_emits_one_change() -> None:
    play("""
    day      0         10        20        30        40
    nps      49 51 49  51 48 52  51 49 51  48 51 49  51
    band     low             high
    """)


#   good is (50, 70): for great 72 is asked, and at 68 great is not left; down to 48.001 it stays good
#   a fall goes as far as the plain cuts say, and so does a rise
def test_a_band_is_left_by_its_own_cut_or_the_next_ones() -> None:
    play(
        """
    day      0         10        20        30        40        50        60        70        80
    nps      60        71.999    72        68        67.999    48.001    48        10        90
    band     good                great               good                at_risk   critical  great
    """,
        models=[FOUR],
    )


#   from great to 48.001, where good would have stayed: at_risk by the plain cuts
def test_a_fall_over_a_band_knows_no_margin_of_that_band() -> None:
    play(
        """
    day      0         10        20
    nps      90        48.001
    band     great     at_risk
    """,
        models=[FOUR],
    )


#   60 is high; without the fact there is no score; 49.5, which a high band would have outlived, is low by the plain cut
def test_the_first_band_after_none_is_that_of_the_plain_cuts() -> None:
    play("""
    day      0         10        20        30        40
    nps      60        -                             49.5
    score    60        -                             49.5
    band     high      insufficient_evidence         low
    """)


# --- dwell ---------------------------------------------------------------------------------------------------------


#   a fall at 10 h; the rise that is due at 20 h waits until 34 h
def test_a_rise_within_the_dwell_waits_until_its_end() -> None:
    story = play("""
    hour     0         10        20        30        40
    nps      60        40        60
    band     high      low                     high
    """)
    assert story.scores == ["0 00:00 60 high by fact", "0 10:00 40 low by fact", "1 10:00 60 high by time"]


#   a fall at 10 h, a rise that waits, and it is over before the end of the dwell: nothing is told
def test_a_rise_that_is_over_before_the_end_of_the_dwell_never_was() -> None:
    play("""
    hour     0         10        20        30        40
    nps      60        40        60        40        41
    band     high      low
    """)


#   great, a fall to good at 10 h; at 20 h the rise waits; at 30 h the second fall does not
#   and from then on it is the second fall's dwell that holds: until 54 h, not until 34 h
def test_a_second_fall_passes_at_once_and_its_own_dwell_begins() -> None:
    play(
        """
    hour     0         10        20        30        40        50        60
    nps      90        60        75        20        75
    band     great     good                critical                great
    """,
        models=[FOUR],
    )


#   no fall before: the first rise, and a second one, pass at once
def test_a_rise_without_a_fall_before_it_does_not_wait() -> None:
    play(
        """
    hour     0         10        20        30
    nps      20        40        60        90
    band     critical  at_risk   good      great
    """,
        models=[FOUR],
    )


#   fall at 0 12:00: a millisecond before its end the rise waits for it; at its end the timer comes first, then the event
@pytest.mark.parametrize(
    ("asked", "risen"),
    [("1 11:59:59.999", "1 12:00 60 high by time"), ("1 12:00", "1 12:00 60 high by fact")],
)
def test_the_dwell_ends_at_its_exact_instant(asked: str, risen: str) -> None:
    told = [facts("0 10:00", nps=60), facts("0 12:00", nps=40), facts(asked, nps=60)]
    story = run(*told, until="3 00:00")
    assert story.scores == ["0 10:00 60 high by fact", "0 12:00 40 low by fact", risen]


def test_without_a_dwell_nothing_waits() -> None:
    play(
        """
    hour     0         10        20        30
    nps      60        40        60        40
    band     high      low       high      low
    """,
        models=[model(component("nps"), dwell_h=0)],
    )
