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

from datetime import datetime
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
    given = {"stalled_sources": NUMBERS, "brake": None, "rhythm": RHYTHM} | policy
    found = run(*happened, until=until, rules=rules or ONE, **given)
    return found._replace(alerts=[alert for alert in found.alerts if alert["account_id"] == "acme"])


def test_without_the_guard_the_silence_is_told_as_ever() -> None:
    assert told(stalled_sources="off") == ["38 00:00 firing warning silence"]


def test_who_is_back_before_the_wait_ends_was_never_silent() -> None:
    found = story(login("39 12:00"), rules=ONE | {"reengaged": {"active_days": 1}})
    assert found.messages == []
    assert found.view["episodes"] == []


#   from 37 12:02 to 39 23:02 are 2 days and 11 hours, which count as 3 days: too long on 38 + 3
@pytest.mark.parametrize(
    ("back", "messages"),
    [
        ("40 23:59:59.999", []),
        ("41", ["41 00:00 firing warning silence", "41 00:00 resolved warning silence by activity"]),
    ],
)
def test_the_time_of_the_wait_is_no_silence(back: str, messages: list[str]) -> None:
    assert told(login(back)) == messages


def test_it_is_for_who_was_active_since() -> None:
    """Active on 37 11:00, an hour before the source is known to be stalled, and on 37 13:00: a cap of 5 days."""
    rules = {"absolute_silence": {"days": 5}}
    steady = [login(f"{day} 12:00") for day in range(20, 37, 2)]
    for last, at in (("37 11:00", "46 00:00"), ("37 13:00", "43 00:00")):
        found = told(*steady, login(last), rules=rules, until="47")
        assert found == [f"{at} firing critical absolute_silence"]


def test_by_hours_the_silence_is_longer_by_the_wait_to_the_millisecond() -> None:
    hourly: dict[str, Any] = {"rhythm": RHYTHM | {"unit": "hour"}}
    (free,), (guarded,) = story(stalled_sources="off", **hourly).alerts, story(**hourly).alerts
    at = [datetime.fromisoformat(alert["effective_at"]).timestamp() for alert in (free, guarded)]
    assert round(1000 * (at[1] - at[0])) == millis("39 23:02") - millis("37 12:02")


NEVER: Final[Tree] = {"never_started": {"days": 14}}


def never(*events: Tree, **policy: Any) -> Story:
    """An account that is told of on 24, and should have started by 38 00:00."""
    found = run(*sorted([facts("24 09:00", nps=1), *CROWD, *events], key=lambda each: each["occurred_at"]),
                until="46", rules=NEVER, **({"stalled_sources": NUMBERS, "brake": None} | policy))  # fmt: skip
    assert {alert["account_id"] for alert in found.alerts} <= {"acme"}
    return found


def test_who_has_still_not_started_is_told_at_the_end_of_the_wait_as_of_the_true_since() -> None:
    assert never(stalled_sources=None).messages == ["38 00:00 firing warning never_started"]
    found = never(login("45"))
    assert found.messages == [
        "39 23:02 firing warning never_started",
        "45 00:00 resolved warning never_started by activity",
    ]
    assert {alert["since"] for alert in found.alerts} == {"2026-02-12T00:00:00.000Z"}
    assert found.alerts[0]["reasons"][0]["since"] == "2026-02-12T00:00:00.000Z"


@pytest.mark.parametrize(
    ("back", "messages"),
    [
        ("39 23:01:59.999", []),
        (
            "39 23:02",
            ["39 23:02 firing warning never_started", "39 23:02 resolved warning never_started by activity"],
        ),
    ],
)
def test_the_end_is_an_instant_to_the_millisecond(back: str, messages: list[str]) -> None:
    assert never(login(back)).messages == messages


@pytest.mark.parametrize(("days", "at"), [(0, "38 23:02"), (1, "38 12:02"), (2, "39 12:02"), (3, "39 23:02")])
def test_it_waits_for_so_many_days_at_most(days: int, at: str) -> None:
    """From 37 12:02 on; with no time to settle it ends at 38 23:02."""
    numbers = NUMBERS | ({"hold_days": days} if days else {"settle_hours": 0})
    assert never(stalled_sources=numbers).messages == [f"{at} firing warning never_started"]


def test_what_does_not_rest_on_absence_is_told_meanwhile_and_the_silence_raises_it_later() -> None:
    rules = {"silence": {"severity": "critical"}, "payment_trouble": {}}
    failed = payment("38 12:00", "failed")
    assert told(failed, rules=rules) == [
        "38 12:00 firing warning payment_trouble",
        "41 00:00 escalated critical silence+payment_trouble",
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
    """Told on 33, back on 34; the cap is reached again on 38, before the seven days end on 40; three days are no silence."""
    rules = {"absolute_silence": {"days": 2, "refractory_days": 7}}
    steady = [login(f"{day} 12:00") for day in (*range(20, 31, 2), 34, 35)]
    assert told(*steady, rules=rules) == [
        "33 00:00 firing critical absolute_silence",
        "34 12:00 resolved critical absolute_silence by activity",
        "41 00:00 firing critical absolute_silence",
    ]
