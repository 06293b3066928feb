"""An account's end: it is erased, or retires after a long time closed or quiet; and what comes of it later."""

from __future__ import annotations

import pytest

from tests.auditor.scenarios import component, model
from tests.scenarios.timeline import Tree, event, facts, instant, login, measured, millis, play, run

CAP = {"absolute_silence": {"days": 10}}
LOGINS = model(measured("count", 10, source="logins", window_days=7), min_change=0.001, min_coverage=0)
NPS = model(component("nps"), min_change=0.001)


def erasure(when: str, **more: object) -> Tree:
    return event("facts", when, facts={}, erase=True, **more)


def ids(story_changes: list[Tree]) -> list[str]:
    return [change["change_id"] for change in story_changes]


# --- erasure -------------------------------------------------------------------------------------------------------


#   last active on day 12, the cap of 10 days is over as day 23 begins; the erasure at noon of day 30 resolves what is
#   open, and tells nothing of the account but that
def test_an_erasure_resolves_what_is_open_and_leaves_nothing() -> None:
    story = play(
        """
    day               0         10        20        30        40
    login             x.x.x.x.x.x.x
    erase                                           x
    absolute_silence                         F
    """,
        facts("1 12:00", owner="ana"),
        rules=CAP,
        until="60",
        models=[LOGINS],
    )
    assert story.messages == [
        "23 00:00 firing critical absolute_silence",
        "30 12:00 resolved critical  by erased",
    ]
    fired, resolved = story.alerts
    assert (fired["owner"], fired["since"]) == ("ana", resolved["since"])
    assert resolved["episode_id"] == fired["episode_id"]
    assert [resolved[name] for name in ("owner", "value", "reasons")] == [None, None, []]
    assert story.views == {}
    assert [instant(change["effective_at"]) for change in story.changes][-1] < "30"


#   beside every other message stands what the account is worth by the model `value`
def test_the_last_message_does_not_tell_the_account_s_value() -> None:
    worth = model(component("nps"), model="value", min_change=0.001)
    story = run(
        login("0 12:00"),
        facts("0 12:00", nps=30),
        erasure("20 12:00"),
        until="21",
        models=[LOGINS, worth],
        rules=CAP,
    )
    assert [message["value"] for message in story.alerts] == [30, None]


#   nothing is open: nobody is told anything
def test_an_erasure_of_an_account_that_nobody_was_told_of_is_silent() -> None:
    story = run(login("0 12:00"), erasure("1 12:00"), until="9", models=[LOGINS])
    assert story.alerts == []
    assert story.views == {}


#   the episode began while alerts were paused: who never heard of it does not hear of its end
def test_an_erasure_ends_a_held_episode_silently() -> None:
    control = [{"kind": "pause", "id": "p", "effective_at": millis("1")}]
    story = run(
        login("0 12:00"), erasure("30 12:00"), until="40", rules=CAP, models=[LOGINS], control=control
    )
    assert story.alerts == []


#   what of it comes late, or up to 30 days after, does not bring it back: neither its log-ins nor its facts
def test_late_events_do_not_bring_an_erased_account_back() -> None:
    story = run(
        login("0 12:00"),
        erasure("10 12:00"),
        login("10 13:00"),
        login("9 12:00"),
        facts("11 12:00", nps=50),
        login("40 12:00"),
        until="50",
        models=[NPS],
        rules={"never_started": {}},
    )
    assert story.views == {}
    assert story.notes == {"erased": 4}


#   day 10 noon + 30 d = day 40 noon; a millisecond later a new account begins: it knows nothing, its ids are new, and
#   `never_started` counts 14 days from day 40
def test_an_event_after_the_days_of_an_erasure_begins_a_new_account() -> None:
    story = run(
        facts("0 12:00", nps=30),
        erasure("10 12:00"),
        facts("40 12:00:00.001", nps=70),
        until="60",
        models=[NPS],
        rules={"never_started": {}},
    )
    assert story.scores == ["0 12:00 30 low by fact", "40 12:00:00.001 70 high by fact"]
    assert story.changes[1]["old"]["score"] is None
    assert len(set(ids(story.changes))) == 2
    assert story.messages == ["54 00:00 firing warning never_started"]
    assert story.view["facts"] == {"nps": 70}


@pytest.mark.parametrize(("days", "left_out"), [(0, {}), (1, {"erased": 1})])
def test_the_policy_says_how_long_an_erased_account_stays_away(days: int, left_out: dict[str, int]) -> None:
    story = run(
        login("0 12:00"), erasure("1 12:00"), login("2 12:00"), until="3", models=[LOGINS], erased_days=days
    )
    assert story.notes == left_out
    assert bool(story.views) == (not left_out)


#   the erasure is told late: all that is known at its place in the order goes, and the account's time is that of its last event
def test_a_late_erasure_counts_from_the_account_s_own_time() -> None:
    story = run(
        login("19 12:00"), facts("20 12:00", nps=30), erasure("5 12:00"), login("50 12:00"), login("50 12:00:00.001"),
        until="51", models=[LOGINS],
    )  # fmt: skip
    assert story.notes == {"erased": 1}
    assert list(story.views) == ["acme"]


def test_what_an_erasing_record_says_beside_is_not_told() -> None:
    story = run(
        event("facts", "0 12:00", facts={"nps": 50}, erase=True, author="dpo"), until="1", models=[NPS]
    )
    assert (story.changes, story.views) == ([], {})


def test_a_record_that_says_that_it_does_not_erase_is_like_any_other() -> None:
    story = run(event("facts", "0 12:00", facts={"nps": 50}, erase=False), until="1", models=[NPS])
    assert story.view["facts"] == {"nps": 50}


def test_a_second_erasure_of_an_account_prolongs_the_first() -> None:
    story = run(
        login("0 12:00"), erasure("1 12:00"), erasure("9 12:00"), login("39 12:00"), login("39 12:00:00.001"),
        until="40", models=[LOGINS],
    )  # fmt: skip
    assert story.notes == {"erased": 1}
    assert list(story.views) == ["acme"]


def test_an_override_and_a_zone_of_an_erased_account_are_not_those_of_its_next_life() -> None:
    story = run(
        facts("0 12:00", nps=30, time_zone="Asia/Kathmandu", override__test=90),
        facts("2 12:00", nps=31),
        erasure("3 12:00"),
        facts("5 12:00", nps=30),
        until="7",
        models=[NPS],
        erased_days=1,
        rules={"never_started": {"days": 1}},
    )
    assert story.scores[-1] == "5 12:00 30 low by fact"
    assert story.view["facts"] == {"nps": 30}
    assert [message[:5] for message in story.messages] == ["1 00:", "3 12:", "6 00:"]


def test_a_fact_of_an_erased_account_is_not_measured_in_its_next_life() -> None:
    story = run(
        facts("0 12:00", nps=30), erasure("1 12:00"), login("3 12:00"), until="4", models=[NPS], erased_days=1
    )
    assert story.scores == ["0 12:00 30 low by fact"]
    assert story.view["scores"][0]["score"] is None


def test_what_another_account_tells_after_a_fact_that_is_left_out_is_its_own() -> None:
    other = facts("2 12:00", nps=70) | {"account_id": "other"}
    story = run(erasure("0 12:00"), facts("1 12:00", nps=30), other, until="3", models=[NPS])
    assert story.scores == ["2 12:00 70 high by fact"]


# --- retirement ----------------------------------------------------------------------------------------------------


#   last event on day 5: as day 5 + 20 begins it is quiet for 20 days, and gone
def test_a_quiet_account_retires_at_its_midnight() -> None:
    story = play(
        """
    day               0         10        20        30
    login             x.x..x
    absolute_silence                  F
    """,
        rules=CAP,
        until="40",
        models=[LOGINS],
        retire={"quiet_days": 20},
    )
    assert story.messages == [
        "16 00:00 firing critical absolute_silence",
        "25 00:00 resolved critical  by retired",
    ]
    assert story.views == {}


#   closed on day 6 for good: gone as day 16 begins; a closed one that is heard of stays as long again
@pytest.mark.parametrize(("last", "is_there"), [("16 12:00", True), ("15 23:59:59.999", True), (None, False)])
def test_a_closed_account_retires(last: str | None, *, is_there: bool) -> None:
    later = [] if last is None else [login(last)]
    told = [login("0 12:00"), facts("6 12:00", kind="closed"), *later]
    story = run(*told, until="16 12:00", models=[LOGINS], retire={"closed_days": 10})
    assert ("acme" in story.views) == is_there
    assert story.alerts == []


#   told late, on day 5, that it was closed on day 0: its three days are over, yet it is dropped at midnight, not as a fact
#   expires at six in the evening
@pytest.mark.parametrize(("until", "there"), [("5 23:59:59.999", True), ("6", False)])
def test_an_account_that_is_closed_late_retires_at_midnight(until: str, *, there: bool) -> None:
    other = facts("5 12:00", owner="ana") | {"account_id": "other"}
    late = facts("0 13:00", expires="5 18:00", nps=30)
    story = run(
        login("0 12:00"), other, late, facts("0 13:00", kind="closed"),
        until=until, models=[NPS], retire={"closed_days": 3},
    )  # fmt: skip
    assert ("acme" in story.views) == there


@pytest.mark.parametrize(
    ("retire", "there"), [(None, True), ({}, True), ({"closed_days": 10}, True), ({"quiet_days": 10}, False)]
)
def test_who_does_not_retire(retire: Tree | None, *, there: bool) -> None:
    story = run(login("0 12:00"), until="900", models=[LOGINS], retire=retire)
    assert bool(story.views) == there


#   its midnight is that of Kathmandu, 18:15 UTC, from the day after that was told
def test_an_account_retires_at_midnight_in_its_own_zone() -> None:
    story = run(
        login("0 12:00"), facts("1 12:00", time_zone="Asia/Kathmandu"), until="12 18:14:59.999", models=[LOGINS],
        rules=CAP, retire={"quiet_days": 12},
    )  # fmt: skip
    assert list(story.views) == ["acme"]
    story = run(
        login("0 12:00"), facts("1 12:00", time_zone="Asia/Kathmandu"), until="12 18:15", models=[LOGINS],
        rules=CAP, retire={"quiet_days": 12},
    )  # fmt: skip
    assert story.views == {}


#   any event begins it again: a late one, too; where accounts retire, ids begin after the seconds since 1990
def test_an_event_begins_a_retired_account_again() -> None:
    story = run(
        facts("0 12:00", nps=30), facts("30 12:00", nps=30), until="31", models=[NPS],
        rules={"never_started": {}}, retire={"quiet_days": 5},
    )  # fmt: skip
    assert story.scores == ["0 12:00 30 low by fact", "30 12:00 30 low by fact"]
    assert len(set(ids(story.changes))) == 2
    assert story.notes == {}
