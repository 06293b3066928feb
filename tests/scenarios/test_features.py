"""What components measure: windows against the own earlier one, half-lives, amounts, users, payments that are late.

The models have one component of weight 1, so that the score shows the metric: 0 points at 0, 100 at the `top`.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.auditor.scenarios import component, model
from tests.scenarios.timeline import Tree, facts, login, measured, millis, payment, play, run, ticket, visit

ALL = {"min_change": 0.001}


def score(*events: Tree, at: str, of: Tree, **policy: Any) -> float | None:
    """Return the score of the one component at an instant."""
    found: float | None = run(*events, until=at, models=[model(of)], **policy).view["scores"][0]["score"]
    return found


# --- windows -------------------------------------------------------------------------------------------------------


#   of log-ins, none says something too: it takes 7 days to know. Of payments that failed the first one does
def test_a_volume_is_known_when_its_window_is_and_an_incident_at_once() -> None:
    logins = measured("count", 10, source="logins", window_days=7)
    failures = measured("count", 10, source="payments_failed", window_days=7)
    told = [login("0 12:00"), login("0 13:00"), payment("0 14:00", "failed")]
    assert [score(*told, at=at, of=logins) for at in ("5 23:59:59.999", "6", "7")] == [None, 20, 0]
    assert [score(*told, at=at, of=failures) for at in ("0 14:00", "6", "7")] == [10, 10, 0]


#   three log-ins on two days
def test_active_days_are_days_and_not_events() -> None:
    of = measured("active_days", 10, source="logins", window_days=7)
    assert score(login("0 12:00"), login("0 13:00"), login("3 12:00"), at="6", of=of) == 20


#   9 gaps of 2: usual = (7 + 18) / 10 = 2.5 days; on day 23 5 days of silence are 2 usual gaps
def test_silence_in_usual_gaps() -> None:
    rhythm = {"prior_rate": 1.0, "prior_days": 7.0, "forgetting": 1.0}
    logins = [login(f"{day} 12:00") for day in range(0, 20, 2)]
    found = [
        score(*logins, at=at, of=measured("rhythm", 4), rhythm=rhythm) for at in ("18 12:00", "23", "40")
    ]
    assert found == [0, 50, 100]


#   three opened, one resolved; 90 days after the first was opened it is forgotten
def test_tickets_that_are_open() -> None:
    told = [ticket(f"{day} 12:00", "opened", f"T{day}") for day in range(3)] + [
        ticket("5 12:00", "resolved", "T2")
    ]
    of = measured("open_tickets", 10)
    assert [score(*told, at=at, of=of) for at in ("4 12:00", "5 12:00", "90 11:59:59.999", "90 12:00")] == [
        30, 20, 20, 10,
    ]  # fmt: skip


#   weeks begin on Mondays: day 6 is of the first, day 7 of the second; two weeks on day 13 have both, on day 14 one
def test_a_mean_is_taken_by_weeks() -> None:
    told = [ticket("6 12:00", "opened", csat=5), ticket("7 12:00", "commented", csat=2)]
    of = measured("mean", 10, source="csat", window_days=14)
    assert [score(*told, at=at, of=of) for at in ("6 12:00", "13 12:00", "14", "21")] == [50, 35, 20, None]
    hours = measured("mean", 24, source="resolve_hours", window_days=14)
    told = [ticket("6 12:00", "opened"), ticket("7 00:59:59", "resolved")]
    assert score(*told, at="7 12:00", of=hours) == 50


#   three key features: one used by its path, one by its name, on days 2 and 4; the third never
#   in 7 days: 2/3, known from day 6 on; on day 9 day 2 is out of them. First use: (2 + 4 + 9 days so far) / 3 = 5
def test_breadth_and_first_use_of_key_features() -> None:
    told = [login("0 12:00"), visit("2 12:00", "/app/reports/7"), visit("4 12:00", feature="automation")]
    breadth, first_use = measured("key_features", 1, window_days=7), measured("first_use", 10)
    assert [score(*told, at=at, of=breadth) for at in ("5", "6", "8", "9")] == [None, 66.7, 66.7, 33.3]
    assert score(*told, at="9", of=first_use) == 50


# --- the own earlier window ----------------------------------------------------------------------------------------

TREND = measured("ratio", 1, source="logins", window_days=7, lag_days=7)


#   younger than both windows (13 days old on day 12) nothing is known; then 0 log-ins of 7..13 against 7 of 0..6: 0
#   with both windows empty it stays 0, not missing; on day 21 1 against 0 is the most there is; on day 28 0 against 1
def test_a_ratio_to_an_empty_earlier_window_is_0_and_not_missing() -> None:
    play(
        """
    day      0         10        20        30
    login    xxxxxxx..............x............
    score                 0       100    0
    """,
        models=[model(TREND, **ALL)],
    )


#   7 log-ins, then 3: 3/7 = 0.42857, half up 0.429
def test_a_ratio_is_rounded_to_thousandths() -> None:
    logins = [login(f"{day} 12:00") for day in (*range(7), 7, 9, 11)]
    assert score(*logins, at="13 12:00", of=TREND) == 42.9


#   windows of different length: 4 log-ins in 7 days against 8 in 14, which is 4 in 7
def test_a_ratio_of_windows_of_different_length_is_scaled() -> None:
    of = measured("ratio", 2, source="logins", window_days=7, lag_days=14)
    logins = [login(f"{day} 12:00") for day in (*range(0, 14, 2), 13, 15, 16, 17, 18)]
    assert score(*logins, at="20 12:00", of=of) == 50


#   another source was counted, log-ins never: missing, however old the account is
def test_a_ratio_of_what_was_never_counted_is_missing() -> None:
    assert score(facts("0 12:00", nps=60), at="40 12:00", of=TREND) is None


# --- half-life -----------------------------------------------------------------------------------------------------


#   4 tickets, half-life 7 days, window 28: 4, 2, 1, 0.5, and out of the window 0; a day later 4 * 0.90572 = 3.62289
#   (w1 = floor(65536 * 2^(-1/7) + 0.5) = 59358; 4 * 59358 / 65536 = 3.62292: 3.623)
@pytest.mark.parametrize(
    ("at", "points"),
    [
        ("0 13:00", 40),
        ("1 00:00", 36.23),
        ("7 00:00", 20),
        ("14 00:00", 10),
        ("21 00:00", 5),
        ("28 00:00", 0),
    ],
)
def test_an_event_of_a_half_life_ago_counts_half(at: str, points: float) -> None:
    of = measured("decayed", 10, source="tickets_opened", window_days=28, half_life_days=7)
    tickets = [ticket(f"0 12:0{n}", "opened", f"T{n}") for n in range(4)]
    assert score(*tickets, at=at, of=of) == points


# --- amounts -------------------------------------------------------------------------------------------------------

AMOUNT = measured("sum", 10_000, source="payments_failed", window_days=28)


def failure(when: str, amount: int | None, currency: str | None) -> Tree:
    return payment(when, "failed", f"P{when}", amount_minor=amount, currency=currency)


#   1,000 and 200 of the first currency, written in any case; 5,000 of another, or of none, or no amount: left out, counted
def test_amounts_of_a_second_currency_are_left_out_and_counted() -> None:
    told = [
        failure("0 12:00", 1000, "EUR"),
        failure("1 12:00", 5000, "USD"),
        failure("2 12:00", 200, "eur"),
        failure("3 12:00", 5000, None),
        failure("4 12:00", None, "EUR"),
        failure("5 12:00", -5000, "EUR"),
    ]
    assert score(*told, at="6 12:00", of=AMOUNT) == 12
    assert run(*told, until="6", models=[model(AMOUNT)]).notes == {"amount_left_out": 4}


#   what is no currency decides nothing: the first one is USD
def test_the_first_currency_that_is_one_counts() -> None:
    told = [
        failure("0 12:00", 5000, "euro"),
        failure("1 12:00", 1000, "USD"),
        failure("2 12:00", 5000, "EUR"),
    ]
    assert score(*told, at="3 12:00", of=AMOUNT) == 10
    assert score(told[0], at="3 12:00", of=AMOUNT) is None


#   an amount of another currency that is older than the window is left out, and not too late as well
def test_an_amount_that_is_left_out_is_not_too_late() -> None:
    told = [failure("40 12:00", 1000, "EUR"), failure("5 12:00", 200, "USD"), failure("6 12:00", 200, "EUR")]
    assert run(*told, until="41", models=[model(AMOUNT)]).notes == {"amount_left_out": 1, "too_late": 1}


#   28 days are the window: day 0 is out on day 28
def test_an_amount_leaves_with_its_day() -> None:
    told = [failure("0 12:00", 1000, "EUR"), failure("1 12:00", 200, "EUR")]
    assert [score(*told, at=at, of=AMOUNT) for at in ("27 23:59:59.999", "28 00:00")] == [12, 2]


# --- users ---------------------------------------------------------------------------------------------------------

SHARE = measured("user_share", 1, window_days=7, of_days=14)


def users(when: str, count: int) -> list[Tree]:
    return [login(when, user_id=f"user-{number}") for number in range(count)]


#   3 users on day 0, 8 seats: 3/8 as soon as 7 days are known, on day 6; without seats 14 days are needed
def test_the_share_of_users_of_the_seats() -> None:
    told = [facts("0 11:00", seats=8), *users("3 12:00", 3)]
    assert score(*told, at="5 23:59:59.999", of=SHARE) is None
    assert score(*told, at="6 00:00", of=SHARE) == 37.5
    assert score(*told[1:], at="9 12:00", of=SHARE) is None


#   no seats: 3 users of 7..13 against 6 of 0..13
def test_the_share_of_users_without_seats_is_of_the_longer_window() -> None:
    told = [*users("0 12:00", 6), *users("10 12:00", 3)]
    assert score(*told, at="12 23:59:59.999", of=SHARE) is None
    assert score(*told, at="13 00:00", of=SHARE) == 50


#   less than one seat, in thousandths, says nothing; more users than seats are all of them
@pytest.mark.parametrize(
    ("seats", "points"), [(0, 50), (0.9994, 50), (0.9995, 100), (1, 100), (2.5, 100), (3, 100), (4, 75)]
)
def test_seats_count_from_one_on(seats: float, points: float) -> None:
    told = [facts("0 11:00", seats=seats), *users("0 12:00", 6), *users("10 12:00", 3)]
    assert score(*told, at="13 00:00", of=SHARE) == points


#   the seats expire on day 15: at that instant the base is the longer window's, 3 of 3 users in 2..15
def test_seats_that_expire_are_evidence_that_is_gone() -> None:
    told = [facts("0 11:00", "15 08:00", seats=12), *users("0 12:00", 6), *users("10 12:00", 3)]
    story = run(*told, until="16", models=[model(SHARE, **ALL)])
    assert story.scores[-1] == "15 08:00 100 high by evidence"


# --- late payments -------------------------------------------------------------------------------------------------

LATE = model(component("late", metric={"feature": "late_payments"}, steps=[[0, 100], [1, 0]]))


#   due on day 2: the score falls then, to the second; the reason comes 3 days later; success ends both
def test_a_late_payment_is_scored_from_its_due_instant_and_told_three_days_later() -> None:
    due = payment("0 12:00", "due", due_at=millis("2 18:00"))
    told = [due, payment("7 12:00", "succeeded")]
    story = run(*told, until="20", models=[LATE], rules={"payment_trouble": {}})
    assert story.scores == ["0 12:00 100 high by event", "2 18:00 0 low by time", "7 12:00 100 high by event"]
    assert story.messages == [
        "5 18:00 firing warning payment_trouble",
        "7 12:00 resolved warning payment_trouble by condition_over",
    ]


#   paid before it was due: neither
def test_a_payment_in_time_is_neither_scored_nor_told() -> None:
    told = [payment("0 12:00", "due", due_at=millis("2 18:00")), payment("2 17:59:59", "succeeded")]
    story = run(*told, until="20", models=[LATE], rules={"payment_trouble": {}})
    assert story.scores == ["0 12:00 100 high by event"]
    assert story.messages == []


#   never paid: 90 days after it was due it is forgotten by the score, too
def test_a_late_payment_is_forgotten_by_the_score_after_90_days() -> None:
    story = run(payment("0 12:00", "due", due_at=millis("2 18:00")), until="100", models=[LATE])
    assert story.scores[1:] == ["2 18:00 0 low by time", "92 18:00 100 high by time"]


# --- the score is of the state and of now --------------------------------------------------------------------------


#   nothing happens after day 0: the score falls at each midnight
def test_a_score_moves_when_time_passes() -> None:
    since = component("since", metric={"feature": "since_last", "source": "logins"}, ramp=[[0, 100], [10, 0]])
    story = run(login("0 12:00"), until="3", models=[model(since, **ALL)])
    assert story.scores == [
        "0 12:00 100 high by event",
        "1 00:00 90 high by time",
        "2 00:00 80 high by time",
        "3 00:00 70 high by time",
    ]
