"""Silence: `silence` by days, by working days and by hours, `absolute_silence`, `never_started`.

Figures of `silence`, with r = prior rate, a = prior, n gaps that sum to G, a budget of b a year:

    usual = (a + G) / (r + n)    p = b * usual / year (at most 0.5)    s* = (a + G) * (p ** (-1 / (r + n)) - 1)

and the alarm is at the midnight that starts the day floor(s*) + 1 after the last active one.
"""

from __future__ import annotations

import pytest

from tests.scenarios.timeline import Tree, date_of, facts, login, payment, play, run, visit

RHYTHM = {"prior_rate": 1.0, "prior_days": 7.0, "forgetting": 1.0}
"""Without forgetting: n and G are what one counts."""
EVERY_OTHER_DAY = [login(f"{day} 12:00") for day in range(0, 20, 2)]


# --- by days -------------------------------------------------------------------------------------------------------


#   9 gaps of 2: usual = 25 / 10 = 2.5 d, p = 0.5 * 2.5 / 365.25 = 0.00342231, s* = 25 * (p ** -0.1 - 1) = 19.107
#   18 + 19 + 1 = 38: at its midnight the silence is 19.5 days long, and so it stays in the evidence
def test_a_silence_that_the_own_rhythm_does_not_explain() -> None:
    story = play(
        """
    day      0         10        20        30        40
    login    x.x.x.x.x.x.x.x.x.x.......................x.
    silence  ......................................F...R.
    severity ......................................w...w.
    """,
        rhythm=RHYTHM,
    )
    assert story.messages == [
        "38 00:00 firing warning silence",
        "42 12:00 resolved warning silence by activity",
    ]
    when_joined = {
        "silent_for_s": 1_684_800,
        "usual_gap_s": 216_000,
        "gaps_known": 9,
        "probability": 0.003422313,
        "false_alarms_per_year": 0.5,
    }
    assert [story.evidence("silence", number) for number in (0, 1)] == [when_joined, when_joined]


#   a log-in a millisecond before that midnight, and there is no alarm; at the midnight the timer comes first
@pytest.mark.parametrize(
    ("back", "messages"),
    [
        ("37 23:59:59.999", []),
        ("38", ["38 00:00 firing warning silence", "38 00:00 resolved warning silence by activity"]),
    ],
)
def test_the_alarm_is_at_midnight_to_the_millisecond(back: str, messages: list[str]) -> None:
    story = run(*EVERY_OTHER_DAY, login(back), until="40", rules={"silence": {}}, rhythm=RHYTHM)
    assert story.messages == messages


#   silence is judged in whole days: at which hour of day 18 it was active does not matter
@pytest.mark.parametrize("last", ["18 00:00", "18 23:59:59.999"])
def test_the_hour_of_the_last_activity_does_not_matter(last: str) -> None:
    story = run(*EVERY_OTHER_DAY, login(last), until="39", rules={"silence": {}}, rhythm=RHYTHM)
    assert story.messages[0].startswith("38 00:00 firing")


#   with the shipped forgetting of 0.97: n = 1 + 0.97 + ... + 0.97^8 = 7.9923, G = 2 n = 15.9846
#   usual = 22.9846 / 8.9923 = 2.5560, p = 0.0034990, s* = 22.9846 * (p ** (-1 / 8.9923) - 1) = 20.124: a day later
def test_gaps_that_fade_make_it_wait_longer() -> None:
    play("""
    day      0         10        20        30        40
    login    x.x.x.x.x.x.x.x.x.x........................x
    silence  .......................................F...R
    """)


#   p = 5 * 2.5 / 365.25 = 0.0342231, s* = 25 * (p ** -0.1 - 1) = 10.035: 18 + 10 + 1
def test_a_larger_budget_of_false_alarms_tells_earlier() -> None:
    story = play(
        """
    day      0         10        20        30
    login    x.x.x.x.x.x.x.x.x.x............
    silence  .............................F..
    """,
        rules={"silence": {"false_alarms_per_year": 5}},
        rhythm=RHYTHM,
    )
    assert story.evidence("silence")["false_alarms_per_year"] == 5
    assert story.evidence("silence")["probability"] == 0.034223135


#   no gap: all rests on the prior: usual = 7 d, p = 0.5 * 7 / 365.25, s* = 7 * (1 / p - 1) = 365.25 * 2 - 7 = 723.5
#   gaps of 1 and 1: usual = 9 / 3 = 3 d, p = 0.00410678, s* = 9 * (p ** (-1 / 3) - 1) = 47.201: 2 + 47 + 1
#   no gap and a budget of 50: p = 50 * 7 / 365.25 is cut to 0.5, s* = 7 * (2 - 1) = 7: a gap of 7 is not beyond it
@pytest.mark.parametrize(
    ("days", "budget", "fires", "gaps", "usual_d", "probability"),
    [
        ((0,), 0.5, 724, 0, 7, 0.009582478),
        ((0, 1, 2), 0.5, 50, 2, 3, 0.004106776),
        ((0,), 50, 8, 0, 7, 0.5),
    ],
)
def test_few_gaps_rest_on_the_prior_and_say_so(
    days: tuple[int, ...], budget: float, fires: int, gaps: int, usual_d: int, probability: float
) -> None:
    logins = [login(f"{day} 12:00") for day in days]
    rules = {"silence": {"false_alarms_per_year": budget}}
    assert run(*logins, until=f"{fires - 1} 23:59:59.999", rules=rules, rhythm=RHYTHM).messages == []
    story = run(*logins, until=f"{fires}", rules=rules, rhythm=RHYTHM)
    assert story.messages == [f"{fires} 00:00 firing warning silence"]
    evidence = story.evidence("silence")
    assert (evidence["gaps_known"], evidence["usual_gap_s"], evidence["probability"]) == (
        gaps,
        86_400 * usual_d,
        probability,
    )


#   a horizon of 10 days: a gap of 10 is learned, one of 11 is a departure and a return
@pytest.mark.parametrize(("gap", "known"), [(10, 2), (11, 1)])
def test_a_gap_beyond_the_horizon_is_not_learned(gap: int, known: int) -> None:
    story = run(
        *(login(f"{day} 12:00") for day in (0, 1, 1 + gap)),
        until="200",
        rules={"silence": {}},
        rhythm=RHYTHM | {"horizon_days": 10},
    )
    assert story.evidence("silence")["gaps_known"] == known


#   payments and a resolved ticket are not activity: the silence of the log-ins goes on
def test_what_is_not_activity_does_not_end_a_silence() -> None:
    play(
        """
    day      0         10        20        30        40
    login    x.x.x.x.x.x.x.x.x.x...........................
    P1       ..............................d.....s.........
    T1       ...............................r..............
    silence  ......................................F.......
    """,
        rhythm=RHYTHM,
    )


# --- by working days -----------------------------------------------------------------------------------------------


#   two weeks of five days: 9 gaps of 1 working day: usual = 16 / 10 = 1.6, year = 365.25 * 5 / 7 = 260.893,
#   p = 0.5 * 1.6 / year = 0.00306639, s* = 16 * (p ** -0.1 - 1) = 12.540: the 13th working day after day 11,
#   a Friday: 14-18 are the first five, 21-25 up to ten, 28, 29, 30
def test_weekends_are_no_silence() -> None:
    story = play(
        """
    day      0         10        20        30
    login    xxxxx..xxxxx......................
    silence  ..............................F...
    """,
        rhythm=RHYTHM,
        calendar={"weekend": ["saturday", "sunday"]},
    )
    evidence = story.evidence("silence")
    assert (evidence["usual_gap_s"], evidence["gaps_known"]) == (round(1.6 * 86_400), 9)
    assert evidence["probability"] == 0.003066393


#   days 15 and 16 are holidays, as is day 13, a Sunday that did not count anyway: two working days later
def test_holidays_are_no_silence() -> None:
    play(
        """
    day      0         10        20        30
    login    xxxxx..xxxxx......................
    silence  ................................F.
    """,
        rhythm=RHYTHM,
        calendar={"weekend": ["saturday", "sunday"], "holidays": [date_of(day) for day in (13, 15, 16)]},
    )


#   a log-in on Saturday, day 12: no working day after Friday, no gap is learned; and it is the last active day:
#   the silence counts from Saturday, whose number is Friday's: the same midnight
def test_activity_on_a_weekend_is_activity_and_no_gap() -> None:
    story = play(
        """
    day      0         10        20        30
    login    xxxxx..xxxxxx.....................
    silence  ..............................F...
    """,
        rhythm=RHYTHM,
        calendar={"weekend": ["saturday", "sunday"]},
    )
    evidence = story.evidence("silence")
    assert (evidence["gaps_known"], evidence["silent_for_s"]) == (9, 17 * 86_400 + 43_200)


# --- by hours ------------------------------------------------------------------------------------------------------


#   9 gaps of 1 hour, prior a day: usual = (24 + 9) / 10 = 3.3 h, p = 0.5 * 3.3 / 8766 = 0.000188227,
#   s* = 33 * (p ** -0.1 - 1) = 44.812: the hour 9 + 44 + 1 begins the alarm, whatever midnight says
def test_a_silence_by_hours() -> None:
    story = play(
        """
    hour     0         10        20        30        40        50
    login    xxxxxxxxxx....................................................x.
    silence  ......................................................F.......R.
    """,
        rhythm=RHYTHM | {"prior_days": 1.0, "unit": "hour"},
    )
    assert story.messages[0] == "2 06:00 firing warning silence"
    assert story.evidence("silence") == {
        "silent_for_s": 45 * 3600,
        "usual_gap_s": 11_880,
        "gaps_known": 9,
        "probability": 0.000188227,
        "false_alarms_per_year": 0.5,
    }


#   an hour is the unit: at which minute of hour 9 it was active does not matter
@pytest.mark.parametrize(("back", "fires"), [("2 05:59:59.999", False), ("2 06:00", True)])
def test_the_alarm_by_hours_is_at_the_full_hour(back: str, *, fires: bool) -> None:
    story = run(
        *(login(f"0 0{hour}:30") for hour in range(10)),
        login("0 09:59:59.999"),
        login(back),
        until="2 12:00",
        rules={"silence": {}},
        rhythm=RHYTHM | {"prior_days": 1.0, "unit": "hour"},
    )
    assert story.messages == (
        ["2 06:00 firing warning silence", "2 06:00 resolved warning silence by activity"] if fires else []
    )


# --- absolute silence ----------------------------------------------------------------------------------------------


#   a limit of 9 days: day 0 + 9 + 1; at that midnight 9.5 days silent
def test_an_absolute_silence_whatever_the_rhythm() -> None:
    story = play(
        """
    day              0         10        20
    visit            x.............x.........
    absolute_silence ..........F...R.........
    severity         ..........c...c.........
    """,
        rules={"absolute_silence": {"days": 9}},
    )
    assert story.messages == [
        "10 00:00 firing critical absolute_silence",
        "14 12:00 resolved critical absolute_silence by activity",
    ]
    when_joined = {"silent_for_s": 820_800, "limit_days": 9}
    assert [story.evidence("absolute_silence", number) for number in (0, 1)] == [when_joined, when_joined]


@pytest.mark.parametrize(("back", "count"), [("9 23:59:59.999", 0), ("10", 2)])
def test_a_day_at_the_limit_is_not_beyond_it(back: str, count: int) -> None:
    story = run(login("0 12:00"), login(back), until="12", rules={"absolute_silence": {"days": 9}})
    assert len(story.messages) == count


def test_the_shipped_limit_is_90_days() -> None:
    play("""
    day              0
    login            x
    day              85
    absolute_silence ......F...
    """)


# --- never started -------------------------------------------------------------------------------------------------


#   known since day 0, never active: day 14; payments are no activity; the first log-in ends it
def test_a_customer_that_never_started() -> None:
    story = play("""
    day            0         10        20
    arr            5000
    P1             ..........s...........
    login          ..................x...
    never_started  ..............F...R...
    severity       ..............w...w...
    """)
    assert story.messages == [
        "14 00:00 firing warning never_started",
        "18 12:00 resolved warning never_started by activity",
    ]
    assert story.evidence("never_started") == {"days_since_start": 14, "limit_days": 14}


def started(since: str | None, *events: Tree) -> list[str]:
    told = facts("0 12:00", customer_since=since)
    return run(told, *events, until="30", rules={"never_started": {}}).messages


@pytest.mark.parametrize(("first", "count"), [("13 23:59:59.999", 0), ("14", 2)])
def test_the_last_moment_to_start(first: str, count: int) -> None:
    assert len(started(None, login(first))) == count


#   a customer from day 3 on has until day 17; one from before its first event counts from that event
@pytest.mark.parametrize(("since", "fires"), [(3, 17), (0, 14), (-5, 14)])
def test_the_start_is_that_of_the_customer_and_not_before_the_first_event(since: int, fires: int) -> None:
    assert started(date_of(since)) == [f"{fires} 00:00 firing warning never_started"]


#   once active, never again, however long it is silent
def test_who_was_active_once_has_started() -> None:
    assert started(None, payment("1 12:00", "failed"), visit("2 12:00")) == []


# --- the grace -----------------------------------------------------------------------------------------------------


#   somebody else's log-in moves the clock to two minutes before it; then a log-in of day 37 arrives late
#   at 38 00:01:59.999 the clock stands a millisecond before the alarm, which never comes; at 38 00:02 it has been told
@pytest.mark.parametrize(
    ("other", "messages"),
    [
        ("38 00:01:59.999", []),
        ("38 00:02", ["38 00:00 firing warning silence", "38 00:00 resolved warning silence by activity"]),
    ],
)
def test_a_silence_is_judged_when_the_grace_has_passed(other: str, messages: list[str]) -> None:
    arrived = [*EVERY_OTHER_DAY, login(other, account_id="other"), login("37 23:59")]
    story = run(*arrived, until="39", rules={"silence": {}}, rhythm=RHYTHM)
    assert story.messages == messages


#   the account itself has moved on: its own event passes what is due before it, whatever the clock says
def test_the_accounts_own_next_event_does_not_wait_for_the_grace() -> None:
    arrived = [*EVERY_OTHER_DAY, login("38 00:00:00.001"), login("37 23:59")]
    story = run(*arrived, until="39", rules={"silence": {}}, rhythm=RHYTHM)
    assert story.messages == [
        "38 00:00 firing warning silence",
        "38 00:00:00.001 resolved warning silence by activity",
    ]
