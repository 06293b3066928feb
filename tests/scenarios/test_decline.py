"""Decline: the active days of the last 4 weeks against those of the 12 before, with the shipped numbers.

With four days a week in the baseline, always: s0 = 48, m0 = 4, no variance, so phi is the least, 0.5, and

    z = (4 - m1) / sqrt(0.5 * 4 * (1/4 + 1/12)) = (4 - m1) / 0.81650

reaches 3 when m1 <= 1.5505: s1 <= 6 active days. (The drop of a half would be reached at s1 <= 8.)
While open it holds as long as s1 * 12 * 2000 <= 1500 * s0 * 4: s1 <= s0 / 4.
"""

from __future__ import annotations

import pytest

from tests.scenarios.timeline import facts, login, play, run

STEADY = [login(f"{7 * week + day} 12:00") for week in range(20) for day in range(4)]
"""Active on days 0-3 of twenty weeks, the last time on day 136."""


#   join: the account is 112 days old on day 111, and not before: s1 = 4 (84, 91, 98, 105), z = (4 - 1) / 0.8165 = 3.674
#   leave: it stays at one day a week, and that becomes the new normal: the baseline of day 184 still has
#          day 73, the four of week 11, and 11 Mondays: s0 = 16, 4 <= 4; that of day 185 has s0 = 15, 4 > 3.75
def test_a_decline_joins_when_the_account_is_old_enough_and_leaves_at_the_new_normal() -> None:
    story = play("""
    week     0         10        20
    login    444444444444111111111111111
    decline  ...............F..........R
    severity ...............w..........w
    """)
    assert story.messages == [
        "111 00:00 firing warning decline",
        "185 00:00 resolved warning decline by condition_over",
    ]
    assert [story.evidence("decline", number) for number in (0, 1)] == [
        {"recent_days_per_week": 1, "earlier_days_per_week": 4},
        {"recent_days_per_week": 1, "earlier_days_per_week": 1.25},
    ]


#   join: on day 154 s1 = 7 (127-129 and 133-136), z = 2.25 / 0.8165 = 2.756; on day 155 s1 = 6, z = 3.062
#   leave: back in week 23. On day 176 s1 = 10 (161-164, 168-171, 175, 176), s0 = 42 (active days of 65-148), 10 <= 10.5;
#          with the log-in of day 177 s1 = 11, s0 = 41: 11 > 10.25
def test_a_decline_joins_when_the_drop_is_beyond_chance_and_leaves_when_half_of_it_is_made_good() -> None:
    story = play("""
    week     0         10        20
    login    44444444444444444444...444
    decline  ......................F..R
    """)
    assert story.messages == [
        "155 00:00 firing warning decline",
        "177 12:00 resolved warning decline by condition_over",
    ]
    assert [story.evidence("decline", number) for number in (0, 1)] == [
        {"recent_days_per_week": 1.5, "earlier_days_per_week": 4},
        {"recent_days_per_week": 2.75, "earlier_days_per_week": 3.417},
    ]


#   z is 3.0619 with 6 days left, 3.3681 with 5 (day 156: 129 and 133-136)
@pytest.mark.parametrize(("level", "day"), [(3.061, 155), (3.062, 156)])
def test_the_level_decides_from_which_deviation_on(level: float, day: int) -> None:
    story = run(*STEADY, until=f"{day}", rules={"decline": {"level": level}})
    assert story.messages == [f"{day} 00:00 firing warning decline"]


#   with level 2 the drop decides: at s1 = 8 exactly, 8 * 12 * 1000 <= 500 * 48 * 4; that is day 150 (123-136)
@pytest.mark.parametrize(("drop", "day"), [(0.5, 150), (0.501, 154)])
def test_the_drop_decides_from_which_share_on(drop: float, day: int) -> None:
    story = run(*STEADY, until=f"{day}", rules={"decline": {"level": 2, "drop": drop}})
    assert story.messages == [f"{day} 00:00 firing warning decline"]


#   a day a week for 12 weeks, then none: on day 111 s0 = 12 is enough, m0 = 1, z = 1 / sqrt(0.5 / 3) = 2.449
#   a day later the first Monday is out of the baseline: s0 = 11, and it is over, though nothing came back
def test_a_baseline_of_few_active_days_says_nothing() -> None:
    story = play(
        """
    week     0         10
    login    111111111111......
    decline  ...............FR.
    """,
        rules={"decline": {"level": 2}},
    )
    assert story.messages == [
        "111 00:00 firing warning decline",
        "112 00:00 resolved warning decline by condition_over",
    ]


#   the same with the first log-in left out: 11 active days, never enough; the account is as old, by a fact of day 0
def test_a_baseline_of_eleven_active_days_never_was_enough() -> None:
    logins = [login(f"{7 * week} 12:00") for week in range(1, 12)]
    assert run(facts("0 12:00", nps=60), *logins, until="140", rules={"decline": {"level": 2}}).messages == []


#   several log-ins of a day are one active day: what counts is days, not volume
def test_volume_is_no_decline() -> None:
    busy = [login(f"{7 * week + day} 13:00") for week in range(10) for day in range(4)]
    story = run(*STEADY, *busy, until="139", rules={"decline": {}})
    assert story.messages == []
