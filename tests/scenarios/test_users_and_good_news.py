"""`users_leaving`, and the good news: `reengaged`, `usage_surge`, `upgrade_interest`."""

from __future__ import annotations

import pytest

from tests.scenarios.timeline import login, play, run, visit

LEAVING = {"users_leaving": {"window_days": 7, "of_days": 14}}


# --- users leaving: at most half of at least 5 users ---------------------------------------------------------------


#   six users until day 5, three of them again on day 10. Day 13: the account is 14 days old; 3 of the 6 were there
#   in 7..13. Day 19: of the users of 6..19 there are only three, too few to say anything
def test_users_are_leaving_when_only_half_of_them_are_left() -> None:
    story = play(
        """
    day            0         10        20
    users          6....6....3..........
    users_leaving  .............F.....R.
    severity       .............w.....w.
    """,
        rules=LEAVING,
    )
    assert story.messages == [
        "13 00:00 firing warning users_leaving",
        "19 00:00 resolved warning users_leaving by condition_over",
    ]
    assert [story.evidence("users_leaving", number) for number in (0, 1)] == [
        {"users": 3, "users_before": 6},
        {"users": 0, "users_before": 3},
    ]


#   four of six are more than half, until day 17: then none of them was there in 11..17
def test_more_than_half_of_the_users_are_not_leaving() -> None:
    play(
        """
    day            0         10        20
    users          6....6....4..........
    users_leaving  .................F.R.
    """,
        rules=LEAVING,
    )


#   back on day 15: four of six
def test_users_that_come_back_end_it() -> None:
    story = play(
        """
    day            0         10
    users          6....6....3....4
    users_leaving  .............F.R
    """,
        rules=LEAVING,
    )
    assert story.evidence("users_leaving", 1) == {"users": 4, "users_before": 6}


#   five users are enough: 2 of 5; four are not: 1 of 4
@pytest.mark.parametrize(("users", "left", "count"), [(5, 2, 1), (5, 3, 0), (4, 1, 0)])
def test_fewer_than_five_users_say_nothing(users: int, left: int, count: int) -> None:
    logins = [login("5 12:00", user_id=f"user-{n}") for n in range(users)]
    logins += [login("10 12:00", user_id=f"user-{n}") for n in range(left)]
    story = run(login("0 12:00"), *logins, until="13", rules=LEAVING)
    assert len(story.messages) == count


#   the shipped windows: 28 of 91 days; six users until day 62, three again on day 70; 91 days old on day 90,
#   when 28 days reach back to day 63
def test_the_shipped_windows_are_28_of_91_days() -> None:
    logins = [
        login(f"{day} 12:00", user_id=f"user-{n}")
        for day, count in ((0, 6), (62, 6), (70, 3))
        for n in range(count)
    ]
    story = run(*logins, until="90", rules={"users_leaving": {}})
    assert story.messages == ["90 00:00 firing warning users_leaving"]
    assert story.evidence("users_leaving") == {"users": 3, "users_before": 6}


# --- reengaged: 3 active days within 14 after a silence that was told ----------------------------------------------

SILENT = {"absolute_silence": {"days": 9}}


#   silent from day 0, told on day 10, back on day 20; the third active day is day 22; 14 days from day 20 on
def test_an_account_that_is_back_after_a_silence() -> None:
    story = play(
        """
    day              0         10        20        30
    login            x...................xxx......x......
    absolute_silence ..........F.........R...............
    reengaged        ......................F...........R.
    """,
        rules=SILENT,
    )
    assert story.messages[2:] == [
        "22 12:00 firing info reengaged",
        "34 00:00 resolved info reengaged by condition_over",
    ]
    assert story.order == ["disengagements", "disengagements", "opportunities", "opportunities"]
    told = {"returned_on": "2026-01-25", "active_days": 3, "silent_days": 20}
    # Days 20, 21, 22; on day 34 day 29 as well.
    assert [story.evidence("reengaged", number) for number in (2, 3)] == [told, told | {"active_days": 4}]


#   the third active day may be day 33, and not day 34; two log-ins of one day are one active day
@pytest.mark.parametrize(("third", "count"), [("33 23:59:59.999", 2), ("34 00:00", 0)])
def test_the_last_moment_to_be_back(third: str, count: int) -> None:
    days = ("0 12:00", "20 12:00", "20 13:00", "27 12:00", third)
    story = run(*map(login, days), until="35", rules=SILENT | {"reengaged": {}})
    assert len(story.messages) == 2 + count


#   a gap of nine days was not told: nothing to come back from
def test_after_a_silence_that_was_not_told_nobody_is_back() -> None:
    play(
        """
    day              0         10        20
    login            x........xxxx............
    absolute_silence ......................F..
    reengaged        .........................
    """,
        rules=SILENT,
    )


# --- usage surge ---------------------------------------------------------------------------------------------------


#   a window of 7 days against 14 before: from 6 events and 1.5 times the usual on
#   day 20: the account is 21 days old; 6 events in 14..20, 8 in 0..13, which is 4 in 7 days: 6 >= 1.5 * 4
#   day 21: 5 events in 15..21
def test_a_surge_of_usage_against_the_own_usual() -> None:
    rules = {"usage_surge": {"window_days": 7, "baseline_days": 14, "events_min": 6}}
    story = play(
        """
    day          0         10        20
    login        x.x.x.x.x.x.xxxxxxxx...
    usage_surge  ....................FR.
    """,
        rules=rules,
    )
    assert story.messages == [
        "20 00:00 firing info usage_surge",
        "21 00:00 resolved info usage_surge by condition_over",
    ]
    assert story.evidence("usage_surge") == {"events": 6, "usual": 4}
    #   one event more in the baseline: 6 < 1.5 * 4.5
    play(
        """
    day          0         10        20
    login        x.x.x.x.x.xxxxxxxxxx...
    usage_surge  .......................
    """,
        rules=rules,
    )


#   the shipped numbers: two events a day in 42 days are 28 in 14 days: 42 would be 1.5 times as many, 50 are the least
#   the fiftieth is the second of day 55
def test_the_shipped_surge_has_at_least_50_events() -> None:
    story = play("""
    day          0         10        20        30        40        50
    login        222222222222222222222222222222222222222222444444444444.2
    usage_surge  .......................................................F
    """)
    assert story.messages == ["55 12:01 firing info usage_surge"]
    assert story.evidence("usage_surge") == {"events": 50, "usual": 28}


#   without any activity before there is nothing usual: 60 events are no surge
def test_who_only_begins_does_not_surge() -> None:
    play(
        """
    day          0         10        20        30        40        50        60
    P1           d............................................................
    login        ...........................................................zz
    usage_surge  .............................................................
    """
    )


# --- upgrade interest: 2 visits within 14 days ---------------------------------------------------------------------


#   days 2 and 10; on day 16 the first is out of the last 14 days
def test_repeated_visits_to_upgrade_pages() -> None:
    story = play("""
    day               0         10
    upgrade           ..x.......x.......
    upgrade_interest  ..........F.....R.
    """)
    assert story.messages == [
        "10 12:00 firing info upgrade_interest",
        "16 00:00 resolved info upgrade_interest by condition_over",
    ]
    assert story.order == ["opportunities", "opportunities"]
    assert [story.evidence("upgrade_interest", number) for number in (0, 1)] == [
        {"visits": 2, "window_days": 14},
        {"visits": 1, "window_days": 14},
    ]


#   both on day 2, and then nothing at all: they leave together, on day 16
def test_visits_of_one_day_leave_together() -> None:
    visits = [visit("2 12:00", "/upgrade"), visit("2 13:00", "/upgrade")]
    assert run(*visits, until="20", rules={"upgrade_interest": {}}).messages == [
        "2 13:00 firing info upgrade_interest",
        "16 00:00 resolved info upgrade_interest by condition_over",
    ]


@pytest.mark.parametrize(("second", "count"), [("15 23:59:59.999", 1), ("16 00:00", 0)])
def test_the_second_visit_is_within_14_days(second: str, count: int) -> None:
    story = run(
        visit("2 12:00", "/upgrade"), visit(second, "/pricing"), until=second, rules={"upgrade_interest": {}}
    )
    assert len(story.messages) == count
