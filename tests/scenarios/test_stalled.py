"""While the source of log-ins is stalled, what rests on their absence waits.

A crowd logs in twice an hour from day 28 on; with 4 usual in two hours, none in two is low, 2 in two are back. It is silent
from 37 10:00 to 38 22:00: hours 10 and 11 are closed at 12:02 (a grace of two minutes), hour 22 of day 38 at 23:02, and a day
later nothing waits any more:

    day      37       38       39       40
    crowd    xx......................xxxxxxxxxx
    waits    ....[37 12:02 ............. 39 23:02)

The account is that of `test_silence`: it logs in every other day up to 18, and is silent for too long from 38 00:00 on.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.scenarios.test_silence import EVERY_OTHER_DAY, RHYTHM
from tests.scenarios.timeline import Story, Tree, facts, login, millis, payment, run

NUMBERS: Final[Tree] = {"inputs": ["logins"], "expected_min": 4, "weeks": 1}
HOUR_MS: Final = 3_600_000
CROWD: Final[list[Tree]] = [
    login("28", account_id="crowd") | {"occurred_at": at_ms}
    for at_ms in range(millis("28"), millis("47"), HOUR_MS // 2)
    if not millis("37 10:00") <= at_ms < millis("38 22:00")
]
ONE: Final[Tree] = {"silence": {}}


def told(*events: Tree, rules: Tree | None = None, until: str = "46", **policy: Any) -> list[str]:
    """What is told of the account, in the midst of the crowd."""
    return story(*events, rules=rules, until=until, **policy).messages


def story(*events: Tree, rules: Tree | None = None, until: str = "46", **policy: Any) -> Story:
    happened = sorted([*EVERY_OTHER_DAY, *CROWD, *events], key=lambda each: each["occurred_at"])
    given = {"stalled_sources": NUMBERS, "brake": None} | policy
    found = run(*happened, until=until, rules=rules or ONE, rhythm=RHYTHM, **given)
    assert {alert["account_id"] for alert in found.alerts} <= {"acme"}
    return found


def test_without_the_guard_the_silence_is_told_as_ever() -> None:
    assert told(stalled_sources="off") == ["38 00:00 firing warning silence"]


def test_who_is_back_before_the_wait_ends_was_never_silent() -> None:
    found = story(login("39 12:00"), rules=ONE | {"reengaged": {"active_days": 1}})
    assert found.messages == []
    assert found.view["episodes"] == []


def test_who_is_still_silent_is_told_at_its_end_as_of_the_true_since() -> None:
    found = story(login("45 12:00"), rules=ONE | {"reengaged": {"active_days": 1}})
    assert found.messages == [
        "39 23:02 firing warning silence",
        "45 12:00 resolved warning silence by activity",
        "45 12:00 firing info reengaged",
    ]
    assert [alert["since"] for alert in found.alerts[:2]] == ["2026-02-12T00:00:00.000Z"] * 2
    assert found.alerts[0]["reasons"][0]["since"] == "2026-02-12T00:00:00.000Z"
    assert found.evidence("silence")["silent_for_s"] == (millis("39 23:02") - millis("18 12:00")) // 1000


@pytest.mark.parametrize(
    ("back", "messages"),
    [
        ("39 23:01:59.999", []),
        ("39 23:02", ["39 23:02 firing warning silence", "39 23:02 resolved warning silence by activity"]),
    ],
)
def test_the_end_is_an_instant_to_the_millisecond(back: str, messages: list[str]) -> None:
    assert told(login(back)) == messages


@pytest.mark.parametrize(
    ("days", "messages"), [(0, ["38 23:02"]), (1, ["38 12:02"]), (2, ["39 12:02"]), (3, ["39 23:02"])]
)
def test_it_waits_for_so_many_days_at_most(days: int, messages: list[str]) -> None:
    """From 37 12:02 on; with no time to settle it ends at 38 23:02."""
    numbers = NUMBERS | ({"hold_days": days} if days else {"settle_hours": 0})
    found = told(stalled_sources=numbers)
    assert found == [f"{at} firing warning silence" for at in messages]


def test_what_does_not_rest_on_absence_is_told_meanwhile_and_the_silence_raises_it_at_the_end() -> None:
    rules = {"silence": {"severity": "critical"}, "payment_trouble": {}}
    failed = payment("38 12:00", "failed")
    assert told(failed, rules=rules) == [
        "38 12:00 firing warning payment_trouble",
        "39 23:02 escalated critical silence+payment_trouble",
    ]
    assert told(failed, login("39 12:00"), rules=rules) == ["38 12:00 firing warning payment_trouble"]


def test_who_is_closed_meanwhile_is_not_told() -> None:
    assert told(facts("39 12:00", kind="closed")) == []


def test_a_silence_from_before_goes_on_and_ends_as_ever() -> None:
    """The cap of 18 days is reached on 37, hours before the source is known to be stalled."""
    rules = {"absolute_silence": {"days": 18}}
    assert told(login("39 12:00"), rules=rules) == [
        "37 00:00 firing critical absolute_silence",
        "39 12:00 resolved critical absolute_silence by activity",
    ]


def test_what_was_dropped_begins_no_refractory_time() -> None:
    """A cap of 2 days: reached again on 42, four days after it waited in vain."""
    rules = {"absolute_silence": {"days": 2, "refractory_days": 7}}
    steady = [login(f"{day} 12:00") for day in range(20, 37, 2)]
    assert told(*steady, login("39 12:00"), rules=rules) == ["42 00:00 firing critical absolute_silence"]


def test_what_is_refractory_does_not_wait_either() -> None:
    """Told on 33, back on 34; the cap is reached again on 38, and the seven days end on 40."""
    rules = {"absolute_silence": {"days": 2, "refractory_days": 7}}
    steady = [login(f"{day} 12:00") for day in (*range(20, 31, 2), 34, 35)]
    assert told(*steady, rules=rules) == [
        "33 00:00 firing critical absolute_silence",
        "34 12:00 resolved critical absolute_silence by activity",
        "40 00:00 firing critical absolute_silence",
    ]
