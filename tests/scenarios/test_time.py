"""Time: local days and changes of zone, equal instants, causes, and events that are late, early or told twice."""

from __future__ import annotations

from typing import Any

import pytest

from tests.auditor.scenarios import component, model
from tests.scenarios.timeline import Story, Tree, facts, login, measured, payment, run, ticket, visit

ABSOLUTE = {"absolute_silence": {"days": 1}}
"""The alarm is at the midnight that starts the second day after the last active one."""


def fires(*events: Tree, until: str, days: int = 1, **policy: Any) -> list[str]:
    """Return when a silence of so many days is told."""
    story = run(*events, until=until, rules={"absolute_silence": {"days": days}}, **policy)
    return [message.removesuffix(" firing critical absolute_silence") for message in story.messages]


# --- local days ----------------------------------------------------------------------------------------------------


#   noon UTC of day 0 is 7:00 of day 0 in New York and 21:00 of day 0 in Tokyo: the midnight that starts their day 2
#   3:00 UTC of day 0 is 22:00 of the day before in New York; 15:00 UTC is the midnight that starts day 1 in Tokyo
@pytest.mark.parametrize(
    ("zone", "active", "told"),
    [
        ("UTC", "0 12:00", "2 00:00"),
        ("America/New_York", "0 12:00", "2 05:00"),
        ("America/New_York", "0 04:59:59.999", "1 05:00"),
        ("America/New_York", "0 05:00", "2 05:00"),
        ("Asia/Tokyo", "0 12:00", "1 15:00"),
        ("Asia/Tokyo", "0 14:59:59.999", "1 15:00"),
        ("Asia/Tokyo", "0 15:00", "2 15:00"),
        ("Asia/Kathmandu", "0 12:00", "1 18:15"),
    ],
)
def test_a_day_is_the_accounts_own(zone: str, active: str, told: str) -> None:
    assert fires(login(active), until="4", time_zone=zone) == [told]


#   Madrid: on 29 March (day 83) clocks go forward at 1:00 UTC: it begins at 23:00 UTC and lasts 23 hours;
#   on 25 October (day 293) they go back: it begins at 22:00 UTC and lasts 25 hours
@pytest.mark.parametrize(
    ("last", "told"),
    [
        (81, "82 23:00"),
        (82, "83 22:00"),
        (83, "84 22:00"),
        (290, "291 22:00"),
        (291, "292 22:00"),
        (292, "293 23:00"),
    ],
)
def test_days_of_23_and_25_hours(last: int, told: str) -> None:
    assert fires(login(f"{last} 12:00"), until=f"{last + 3}", time_zone="Europe/Madrid") == [told]


#   Beirut: on 29 March (day 83) clocks go from midnight to 1:00: the day begins at 1:00, which is 22:00 UTC
#   Havana: on 1 November (day 300) they go from 1:00 back to midnight, at 5:00 UTC: it begins at the first of the two
@pytest.mark.parametrize(
    ("zone", "last", "told"),
    [
        ("Asia/Beirut", 81, "82 22:00"),
        ("Asia/Beirut", 82, "83 21:00"),
        ("America/Havana", 298, "300 04:00"),
        ("America/Havana", 299, "301 05:00"),
    ],
)
def test_a_day_whose_midnight_is_skipped_or_comes_twice(zone: str, last: int, told: str) -> None:
    assert fires(login(f"{last} 12:00"), until=f"{last + 3}", time_zone=zone) == [told]


#   22:00 UTC of day 82 is 1:00 of day 83 in Beirut; a millisecond before it is the last one of day 82
def test_activity_beside_a_skipped_midnight() -> None:
    assert fires(login("82 21:59:59.999"), until="86", time_zone="Asia/Beirut") == ["83 21:00"]
    assert fires(login("82 22:00"), until="86", time_zone="Asia/Beirut") == ["84 21:00"]


# --- a change of zone ----------------------------------------------------------------------------------------------


#   told on day 3, it counts from the next midnight, which is still that of UTC
#   west: at 0:00 UTC of day 4 it is 19:00 of day 3 in New York; the day does not go back: day 5 begins at 5:00 UTC
#   east: it is 9:00 of day 4 in Tokyo: day 5 begins at 15:00 UTC of day 4
#   active on day 3, silent for more than 1 day when day 5 begins
@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ("America/New_York", "5 05:00"),
        ("Asia/Tokyo", "4 15:00"),
        ("Pacific/Kiritimati", "4 10:00"),
        ("Atlantis/Poseidonis", "5 00:00"),
    ],
)
def test_a_change_of_zone_counts_from_the_next_midnight(zone: str, told: str) -> None:
    assert fires(login("3 13:00"), facts("3 12:00", time_zone=zone), until="7") == [told]


#   far to the east and told at the last moment: at 0:00 UTC of day 4 it is 14:00 of day 4 in Kiritimati; a millisecond
#   later than that midnight it counts a day later
@pytest.mark.parametrize(("when", "told"), [("3 23:59:59.999", ["4 10:00"]), ("4 00:00", ["5 00:00"])])
def test_a_change_of_zone_that_is_told_at_midnight_waits_for_the_next(when: str, told: list[str]) -> None:
    assert fires(login("3 13:00"), facts(when, time_zone="Pacific/Kiritimati"), until="7") == told


#   at 1:00 UTC of day 4 it is 20:00 of day 3 in New York: activity then is of day 3; at 5:00 day 4 begins there
@pytest.mark.parametrize(("active", "told"), [("4 04:59:59.999", "5 05:00"), ("4 05:00", "6 05:00")])
def test_events_are_of_the_days_of_the_zone_in_force(active: str, told: str) -> None:
    events = [facts("3 12:00", time_zone="America/New_York"), login("3 13:00"), login(active)]
    assert fires(*events, until="8") == [told]


#   16:00 UTC of day 3 is day 4 in Tokyo, but it was counted for day 3 before that zone came into force
def test_counts_already_made_stay_where_they_are() -> None:
    events = [login("3 16:00"), facts("3 17:00", time_zone="Asia/Tokyo")]
    assert fires(*events, until="8") == ["4 15:00"]


#   the fact expires on day 6: at the midnight after that (5:00, in New York's days) the policy's zone is in force again,
#   though nothing happens: the silence since day 3 is told at the midnight of UTC
def test_a_zone_that_expires_is_the_policys_again() -> None:
    events = [facts("3 12:00", "6 12:00", time_zone="America/New_York"), login("3 13:00")]
    assert fires(*events, until="14", days=9) == ["13 00:00"]
    assert fires(facts("3 12:00", time_zone="America/New_York"), events[1], until="14", days=9) == [
        "13 05:00"
    ]


# --- equal instants ------------------------------------------------------------------------------------------------


#   the fact expires at the very midnight of day 10, at which the silence is told as well: one evaluation, by evidence
def test_timers_of_one_instant_are_one_evaluation() -> None:
    known = facts("0 12:00", "10", nps=60)
    story = run(known, login("8 12:00"), until="10", rules=ABSOLUTE)
    assert story.scores[-1] == "10 00:00 - insufficient_evidence by evidence"
    assert story.messages == ["10 00:00 firing critical absolute_silence"]
    assert story.order == ["test", "test", "disengagements"]


#   an event of that same instant comes after it: 50 is known for no time between
def test_timers_come_before_the_event_of_their_instant() -> None:
    story = run(facts("0 12:00", "10", nps=60), facts("10", nps=40), until="11")
    assert story.scores == [
        "0 12:00 60 high by fact",
        "10 00:00 - insufficient_evidence by evidence",
        "10 00:00 40 low by fact",
    ]


#   one fact moves two models and the band of the first falls: models in the order of the policy, then the message
def test_scores_come_in_the_order_of_the_models_and_then_the_message() -> None:
    models = [model(component("nps"), model="second"), model(component("nps"), model="first")]
    story = run(
        facts("0 12:00", nps=60), facts("1 12:00", nps=40), until="2", models=models, rules={"band_drop": {}}
    )
    assert story.order == ["second", "first", "second", "first", "disengagements"]


#   back on day 3: the silence is over, and one active day is enough to be back: both at one evaluation
def test_disengagement_comes_before_opportunity() -> None:
    rules = ABSOLUTE | {"reengaged": {"active_days": 1}}
    story = run(login("0 12:00"), login("3 12:00"), until="4", rules=rules)
    assert story.messages[1:] == [
        "3 12:00 resolved critical absolute_silence by activity",
        "3 12:00 firing info reengaged",
    ]
    assert story.order[1:] == ["disengagements", "opportunities"]


# --- causes --------------------------------------------------------------------------------------------------------


#   a log-in, a fact, an override, the end of a fact, a midnight: each says what it was, events also which
def test_every_change_says_what_caused_it() -> None:
    seen = component("seen", metric={"feature": "since_last", "source": "logins"}, ramp=[[0, 100], [2, 0]])
    told = [
        login("0 12:00"),
        facts("0 13:00", "0 15:00", nps=20),
        facts("0 14:00", "0 14:30", override__test=90),
    ]
    story = run(*told, until="1", models=[model(seen, component("nps"), min_change=1)])
    assert story.scores == [
        "0 12:00 100 high by event",
        "0 13:00 60 high by fact",
        "0 14:00 90 high by override",
        "0 14:30 60 high by evidence",
        "0 15:00 100 high by evidence",
        "1 00:00 50 high by time",
    ]
    nothing = {"topic": None, "event_id": None, "partition": None, "offset": None}
    assert [change["cause"] for change in story.changes] == [
        {"kind": "event", "topic": "logins", "event_id": "e0", "partition": 0, "offset": 0},
        {"kind": "fact", "topic": "account-facts", "event_id": "e1", "partition": 0, "offset": 0},
        {"kind": "override", "topic": "account-facts", "event_id": "e2", "partition": 0, "offset": 1},
        {"kind": "evidence"} | nothing,
        {"kind": "evidence"} | nothing,
        {"kind": "time"} | nothing,
    ]


#   nobody does anything: the fact is over at its instant, to the millisecond
def test_a_fact_expires_while_the_account_is_silent() -> None:
    story = run(facts("0 12:00", "10 08:30:00.250", nps=60), until="11")
    assert story.scores[1:] == ["10 08:30:00.250 - insufficient_evidence by evidence"]


#   the day's loss of points at midnight is by time; but if a fact that is read ends at that very instant, by evidence
#   no model reads the owner, and a zone that nobody knows is none
@pytest.mark.parametrize(
    ("fact", "cause"),
    [
        ({"time_zone": "Asia/Tokyo"}, "evidence"),
        ({"kind": "customer"}, "evidence"),
        ({"time_zone": "Atlantis/Poseidonis"}, "time"),
        ({"owner": "csm-7"}, "time"),
    ],
)
def test_only_the_end_of_what_is_read_is_evidence(fact: Tree, cause: str) -> None:
    seen = component("seen", metric={"feature": "since_last", "source": "logins"}, ramp=[[0, 100], [2, 0]])
    told = [login("0 12:00"), facts("0 13:00", "1", **fact)]
    assert (
        run(*told, until="1", models=[model(seen, min_change=1)]).scores[-1] == f"1 00:00 50 high by {cause}"
    )


# --- late events ---------------------------------------------------------------------------------------------------


#   day 10, then day 5 and day 1 are told: gaps are not learned backwards (one gap of 8, from day 2), days still count
def test_late_activity_counts_and_teaches_no_gap() -> None:
    days = component(
        "days", metric={"feature": "count", "source": "logins", "window_days": 14}, ramp=[[0, 0], [10, 100]]
    )
    told = [facts("0 12:00", nps=60), *(login(f"{day} 12:00") for day in (2, 10, 5, 1))]
    story = run(
        *told, until="200", models=[model(days)],
        rules={"silence": {}}, rhythm={"prior_rate": 1.0, "prior_days": 7.0, "forgetting": 1.0},
    )  # fmt: skip
    assert story.notes == {"late_for_rhythm": 2}
    assert story.evidence("silence")["gaps_known"] == 1
    # 14 days old on day 13, when all four are in the window.
    assert run(*told, until="13", models=[model(days)]).view["scores"][0]["score"] == 40


#   of the same day it is not late
def test_earlier_on_the_same_day_is_not_late_for_the_rhythm() -> None:
    assert run(login("2 18:00"), login("2 09:00"), until="3").notes == {}


#   a window of 7 days on day 20: day 14 is in it, day 13 is too late
@pytest.mark.parametrize(("late", "notes", "points"), [(14, {}, 20), (13, {"too_late": 1}, 10)])
def test_what_is_older_than_the_window_is_too_late(late: int, notes: dict[str, int], points: int) -> None:
    of = measured("count", 10, source="payments_failed", window_days=7)
    told = [payment("20 12:00", "failed"), payment(f"{late} 12:00", "failed", "P2")]
    story = run(*told, until="20 13:00", models=[model(of)])
    assert story.notes == notes
    assert story.view["scores"][0]["score"] == points


#   somebody else's fact has moved the clock to 11:58 of day 20; what is older than that day is evaluated at its start,
#   what is of that day at its own instant
@pytest.mark.parametrize(("when", "told"), [("15 12:00", "20 00:00"), ("20 09:00", "20 09:00")])
def test_what_is_older_than_the_clocks_day_is_evaluated_at_its_start(when: str, told: str) -> None:
    story = run(facts("20 12:00", nps=10) | {"account_id": "other"}, facts(when, nps=60), until="21")
    assert story.scores == ["20 12:00 10 low by fact", f"{told} 60 high by fact"]


#   an older value of a fact does not replace a newer one, whichever is told first; a deletion has its time, too
def test_the_newest_value_of_a_fact_counts() -> None:
    assert run(facts("5 12:00", nps=60), facts("3 12:00", nps=40), until="6").scores == [
        "5 12:00 60 high by fact"
    ]
    deleted = run(facts("2 12:00", nps=60), facts("5 12:00", nps=None), facts("3 12:00", nps=40), until="6")
    assert deleted.view["scores"][0]["score"] is None


# --- early events --------------------------------------------------------------------------------------------------


#   five minutes ahead of its record is believed; a millisecond more is set back to the record's time, and counted
@pytest.mark.parametrize(
    ("when", "told", "notes"),
    [("3 12:05:00", "3 12:05", {}), ("3 12:05:00.001", "3 12:00", {"future_clamped": 1})],
)
def test_an_event_of_the_future_is_set_back(when: str, told: str, notes: dict[str, int]) -> None:
    story = run(facts(when, nps=60) | {"received": "3 12:00"}, until="4")
    assert story.scores == [f"{told} 60 high by fact"]
    assert story.notes == notes


#   one log-in of a year ahead does not move the clock: the silence of day 5 is told at its midnight
def test_the_future_does_not_move_the_clock() -> None:
    early = login("365 12:00") | {"received": "3 12:00"}
    story = run(login("2 12:00"), early, until="6", rules=ABSOLUTE)
    assert story.messages == ["5 00:00 firing critical absolute_silence"]


# --- events that are told twice ------------------------------------------------------------------------------------


def told_twice(first: Tree, second: Tree) -> Story:
    return run(first, second, until="10", rules={"payment_trouble": {}, "ticket_trouble": {}})


#   the same event_id: nothing of the second is applied
def test_the_second_of_an_event_id_is_a_duplicate() -> None:
    first = facts("0 12:00", nps=60) | {"event_id": "a"}
    story = told_twice(first, facts("0 13:00", nps=40) | {"event_id": "a"})
    assert story.notes == {"duplicate": 1}
    assert story.scores == ["0 12:00 60 high by fact"]


#   other ids, but the same payment, status and instant; or the same ticket, action and instant
@pytest.mark.parametrize(
    ("second", "notes"),
    [
        (payment("0 12:00", "failed"), {"duplicate": 1}),
        (payment("0 12:00", "failed", "P2"), {}),
        (payment("0 12:00", "refunded"), {}),
        (payment("0 12:00:00.001", "failed"), {}),
    ],
)
def test_the_second_of_a_natural_key_is_a_duplicate(second: Tree, notes: dict[str, int]) -> None:
    assert told_twice(payment("0 12:00", "failed"), second).notes == notes


def test_a_ticket_has_a_natural_key_too() -> None:
    assert told_twice(ticket("0 12:00", "opened"), ticket("0 12:00", "opened")).notes == {"duplicate": 1}
    assert told_twice(ticket("0 12:00", "opened"), ticket("0 12:00", "escalated")).notes == {}


#   an id is remembered within its input: a visit may have that of a log-in
def test_ids_of_different_inputs_are_different() -> None:
    assert told_twice(login("0 12:00", event_id="a"), visit("0 12:00", event_id="a")).notes == {}


#   ids are kept for the UTC day and the day before: on day 1 it is remembered, on day 2 it is forgotten
@pytest.mark.parametrize(("day", "notes"), [(1, {"duplicate": 1}), (2, {})])
def test_an_id_is_remembered_for_the_day_after(day: int, notes: dict[str, int]) -> None:
    told = [login("0 12:00", event_id="a"), login("1 09:00"), login(f"{day} 12:00", event_id="a")]
    assert run(*told, until="3").notes == notes


#   an action that is not known is counted, and is not activity
def test_an_unknown_action_is_counted_and_is_no_activity() -> None:
    story = run(ticket("0 12:00", "pondered"), until="14", rules={"never_started": {}})
    assert story.notes == {"unknown_value": 1}
    assert story.messages == ["14 00:00 firing warning never_started"]
