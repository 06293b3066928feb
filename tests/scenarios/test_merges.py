"""Two accounts become one: what each kind of column becomes, by hand; what is told of both; and a mere change of name.

day     0         10        20
old     .x.x..x..M                    M: it ends
acme    ..x....x..J..                 J: eight minutes later it takes that in
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.auditor.scenarios import NPS, component, model
from tests.scenarios.timeline import (
    SHIPPED,
    Story,
    Tree,
    event,
    facts,
    instant,
    login,
    measured,
    millis,
    payment,
    run,
    ticket,
    visit,
)

CAP = {"absolute_silence": {"days": 10}}
LOGINS = model(measured("count", 10, source="logins", window_days=7), min_change=0.001, min_coverage=0)


def merge(when: str, old: str = "old", new: str = "acme", **more: Any) -> Tree:
    return {
        "kind": "merge",
        "id": f"{old} {new}",
        "effective_at": millis(when),
        "old": old,
        "new": new,
    } | more


def of_old(*events: Tree, account: str = "old") -> list[Tree]:
    return [each | {"account_id": account} for each in events]


def joined(mine: list[Tree], theirs: list[Tree], part: Tree, until: str = "12 07:00", **world: Any) -> Story:
    """Merge `old` into `acme` at 06:00 of day 12; both are there since day 0, and every change is told."""
    known = [facts("0 00:00", nps=1), *of_old(facts("0 00:00", nps=1))]
    events = sorted([*known, *mine, *of_old(*theirs)], key=lambda each: each["occurred_at"])
    one = model(part, min_change=0.001, min_coverage=0, hysteresis=0)
    return run(*events, until=until, models=[one], control=[merge("12 06:00")], **world)


def at_the_join(story: Story) -> float | None:
    """Return the score to which the merge moved it, at 06:08: grace 2 min, skew 5 min, and one more."""
    assert story.merged == ["ended", "joined"]
    assert story.views.keys() == {"acme"}
    found = [each for each in story.changes if each["cause"]["kind"] == "merge"]
    assert len(found) <= 1
    if not found:
        return None
    assert found[0]["effective_at"] == "2026-01-17T06:08:00.000Z"
    assert found[0]["cause"] == {
        "kind": "merge",
        "topic": None,
        "event_id": None,
        "partition": None,
        "offset": None,
    }
    assert found[0]["account_id"] == "acme"
    score: float = found[0]["new"]["score"]
    return score


# --- what is kept --------------------------------------------------------------------------------------------------


#   day     0         10
#   acme    x........xx.J      2 in days 6..12
#   old     ........x.2x       4 in days 6..12
def test_counts_add_day_by_day() -> None:
    mine = [login(f"{day} 12:00") for day in (0, 9, 10)]
    theirs = [login("8 12:00"), login("10 09:00"), login("10 12:00"), login("11 12:00")]
    assert at_the_join(joined(mine, theirs, measured("count", 10, source="logins", window_days=7))) == 60


#   the days 8, 9, 10 and 11
def test_days_with_activity_are_united() -> None:
    mine = [login(f"{day} 12:00") for day in (0, 9, 10)]
    theirs = [login("8 12:00"), login("10 09:00"), login("11 12:00")]
    assert (
        at_the_join(joined(mine, theirs, measured("active_days", 10, source="logins", window_days=7))) == 40
    )


#   two failed payments and one, of kind `incident`: cells of another width
def test_incidents_add() -> None:
    mine = [payment("9 12:00", "failed", "A")]
    theirs = [payment("9 12:00", "failed", "B"), payment("10 12:00", "failed", "C")]
    part = measured("count", 10, source="payments_failed", window_days=7)
    assert at_the_join(joined(mine, theirs, part)) == 30


@pytest.mark.parametrize(
    ("mine", "theirs", "score", "left_out"),
    [("EUR", "eur", 50, 0), (None, "EUR", 30, 0), ("EUR", None, None, 0), ("EUR", "USD", None, 1)],
)
def test_sums_add_in_the_currency_of_who_goes_on(
    mine: str | None, theirs: str | None, score: float | None, left_out: int
) -> None:
    paid = [payment("9 12:00", "succeeded", "A", amount_minor=200, currency=mine)] if mine else []
    other = [payment("9 12:00", "succeeded", "B", amount_minor=300, currency=theirs)] if theirs else []
    later = facts("12 06:30", nps=1)
    story = joined([*paid, later], other, measured("sum", 1000, source="payments_succeeded", window_days=7))
    assert at_the_join(story) == score
    assert story.notes["amount_left_out"] == left_out


#   2 in this week, of acme, 5 and 4 of old: (2 + 5 + 4) / 3 = 3.667 of 5
def test_weekly_means_are_of_the_measurements_of_both() -> None:
    mine = [ticket("8 12:00", "closed", "A", csat=2)]
    theirs = [ticket("8 12:00", "closed", "B", csat=5), ticket("1 12:00", "closed", "C", csat=4)]
    assert at_the_join(joined(mine, theirs, measured("mean", 5, source="csat", window_days=14))) == 73.34


#   ana of acme is ana of old: three users
def test_users_of_both_are_counted_once() -> None:
    mine = [login("9 12:00", user_id="ana"), login("9 13:00", user_id="bo")]
    theirs = [login("10 12:00", user_id="ana"), login("10 13:00", user_id="cy")]
    assert at_the_join(joined(mine, theirs, measured("users", 10, window_days=7))) == 30


def test_of_who_has_no_users_none_are_added() -> None:
    mine, theirs = [login("9 12:00", user_id="ana"), login("9 13:00", user_id="bo")], [login("10 12:00")]
    story = joined(mine, theirs, measured("users", 10, window_days=7))
    assert at_the_join(story) is None
    assert story.view["scores"][0]["score"] == 20


#   acme used `export` on day 9, old `import` on day 2 and 7: within 7 days both
def test_a_key_feature_is_used_by_whoever_used_it() -> None:
    features = {"export": ["/export"], "import": ["/import"]}
    mine, theirs = [visit("9 12:00", "/export")], [visit("2 12:00", "/import"), visit("7 12:00", "/import")]
    part = measured("key_features", 1, window_days=7)
    assert at_the_join(joined(mine, theirs, part, key_features=features)) == 100


#   `import` is used first on day 2 instead of never (12): (9 + 2) / 2 = 5.5 days after the start of both on day 0
def test_the_first_use_of_a_key_feature_is_the_earlier() -> None:
    features = {"export": ["/export"], "import": ["/import"]}
    mine, theirs = [visit("9 12:00", "/export")], [visit("2 12:00", "/import"), visit("4 12:00", "/import")]
    assert at_the_join(joined(mine, theirs, measured("first_use", 10), key_features=features)) == 55


#   day 12 - 11 instead of 12 - 9
def test_the_last_day_of_a_source_is_the_later() -> None:
    mine, theirs = [login("9 12:00")], [login("11 12:00")]
    assert at_the_join(joined(mine, theirs, measured("since_last", 10, source="logins"))) == 10


#   acme is one day old, old twelve: the window of seven days is known
def test_the_age_is_that_of_the_older() -> None:
    events = [*of_old(login("0 12:00"), login("10 12:00")), login("12 05:00")]
    story = run(*events, until="12 07:00", models=[LOGINS], control=[merge("12 06:00")])
    assert story.scores[-1] == "12 06:08 20 low by merge"


#   day     0         10
#   acme    x...x...x...       days of both 0 2 4 6 8 10: five gaps of 2
#   old     ..x...x...x.
@pytest.mark.parametrize(
    ("rules", "gaps"), [({"decline": {}}, [2] * 5), ({}, [4] * 2)], ids=["days kept", "not kept"]
)
def test_the_rhythm_begins_anew_from_the_days_of_both_where_they_are_kept(
    rules: Tree, gaps: list[int]
) -> None:
    mine, theirs = [login(f"{day} 12:00") for day in (0, 4, 8)], [login(f"{day} 12:00") for day in (2, 6, 10)]
    story = joined(mine, theirs, measured("rhythm", 10), rules=rules)
    rhythm: Tree = SHIPPED["rhythm"]
    number, total = 0.0, 0.0
    for gap in gaps:
        number, total = rhythm["forgetting"] * number + 1, rhythm["forgetting"] * total + gap
    usual = (rhythm["prior_days"] + total) / (rhythm["prior_rate"] + number)
    assert at_the_join(story) == pytest.approx(10 * (12 - 10) / usual, abs=0.01)


#   by hours old has three gaps, acme one: they are 4 h, and 30 h are the silence since day 11, 00:00
@pytest.mark.parametrize(("hours", "usual_of"), [((0, 4, 8, 12), "theirs"), ((0,), "mine")])
def test_by_hours_the_rhythm_is_that_of_who_has_more_gaps(hours: tuple[int, ...], usual_of: str) -> None:
    mine = [login("10 00:00"), login("11 00:00")]
    theirs = [login(f"9 {hour:02}:00") for hour in hours]
    hourly: Tree = SHIPPED["rhythm"] | {"unit": "hour"}
    story = joined(mine, theirs, measured("rhythm", 100), rhythm=hourly, rules={"decline": {}})
    number, total = 0.0, 0.0
    for gap in [4, 4, 4] if usual_of == "theirs" else [24]:
        number, total = hourly["forgetting"] * number + 1, hourly["forgetting"] * total + gap
    usual = (24 * hourly["prior_days"] + total) / (hourly["prior_rate"] + number)
    assert story.view["scores"][0]["score"] == pytest.approx(24 / usual, abs=0.01)


#   T1 is open at acme, resolved at old later; T2 is open at old: one is open
def test_of_one_ticket_the_later_counts_and_others_are_added() -> None:
    mine = [ticket("2 12:00", "opened", "T1")]
    theirs = [
        ticket("3 12:00", "opened", "T1"),
        ticket("4 12:00", "resolved", "T1"),
        ticket("5 12:00", "opened", "T2"),
    ]
    story = joined(mine, theirs, measured("open_tickets", 10))
    assert at_the_join(story) is None
    assert story.view["scores"][0]["score"] == 10


#   T1 was resolved at old before it is opened at acme: that is the later
def test_of_one_ticket_the_earlier_changes_nothing() -> None:
    mine, theirs = (
        [ticket("5 12:00", "opened", "T1")],
        [ticket("2 12:00", "opened", "T1"), ticket("4 12:00", "resolved", "T1")],
    )
    story = joined(mine, theirs, measured("open_tickets", 10))
    assert at_the_join(story) is None
    assert story.view["scores"][0]["score"] == 10


#   four of acme are open since days 5..8; of old's three, open since 4, 9 and 10, the first finds six slots that are younger
def test_of_too_many_tickets_the_oldest_are_forgotten() -> None:
    mine = [ticket(f"{day} 12:00", "opened", f"M{day}") for day in range(5, 9)]
    theirs = [ticket(f"{day} 12:00", "opened", f"O{day}") for day in (9, 10, 4)]
    story = joined(mine, theirs, measured("open_tickets", 10))
    assert at_the_join(story) == 60


#   six of acme, one of them done: it goes first, for the younger of old's two; the older one of these finds no room
def test_a_ticket_that_is_done_makes_room_first() -> None:
    mine = [ticket(f"{day} 12:00", "opened", f"M{day}") for day in range(3, 8)]
    mine += [ticket("8 12:00", "resolved", "M8")]
    theirs = [ticket("9 12:00", "opened", "O9"), ticket("2 12:00", "opened", "O2")]
    story = joined(mine, theirs, measured("open_tickets", 10))
    assert at_the_join(story) == 60


#   six of acme are open: one of old that is resolved finds no room
def test_a_ticket_that_is_done_finds_no_room_among_open_ones() -> None:
    mine = [ticket(f"{day} 12:00", "opened", f"M{day}") for day in range(3, 9)]
    story = joined(mine, [ticket("9 12:00", "resolved", "O9")], measured("open_tickets", 10))
    assert at_the_join(story) is None
    assert story.view["scores"][0]["score"] == 60


def test_late_payments_are_those_of_both() -> None:
    mine, theirs = (
        [payment("9 12:00", "due", "A")],
        [payment("9 12:00", "due", "B"), payment("9 12:00", "failed", "C")],
    )
    assert at_the_join(joined(mine, theirs, measured("late_payments", 10))) == 30


#   A was due on day 5, as old heard, and paid on day 9, as acme did: it is paid, and makes room for the four others;
#   of these B is disputed, C, D and F are late
def test_a_payment_that_was_paid_is_not_due_again_where_it_makes_room() -> None:
    mine = [payment("6 12:00", "due", "F"), payment("9 12:00", "succeeded", "A")]
    theirs = [
        payment("1 12:00", "disputed", "B"),
        payment("2 12:00", "due", "C"),
        payment("3 12:00", "due", "D"),
    ]
    theirs.append(payment("5 12:00", "due", "A"))
    assert at_the_join(joined(mine, theirs, measured("late_payments", 10))) == 30


@pytest.mark.parametrize(
    ("mine", "theirs", "score"),
    [
        ((3, 30), (5, 50), 50),
        ((5, 30), (3, 50), None),
        ((5, 30), (5, 50), None),
        ((3, 30), (5, None), None),
        ((3, None), (5, 50), 50),
    ],
    ids=["newer", "older", "equal", "deleted", "deleted before"],
)
def test_of_each_fact_the_newer_counts(
    mine: tuple[int, int | None], theirs: tuple[int, int | None], score: float | None
) -> None:
    story = joined(
        [facts(f"{mine[0]} 12:00", nps=mine[1])],
        [facts(f"{theirs[0]} 12:00", nps=theirs[1])],
        component("nps"),
    )
    assert at_the_join(story) == score
    assert story.view["facts"].get("nps") == (max(mine, theirs)[1] if mine[0] != theirs[0] else mine[1])


def test_a_manual_judgement_goes_along() -> None:
    named = {"facts": {"override.satisfaction": 80}}
    one = model(component("nps"), model="satisfaction", min_change=0.001)
    events = [facts("0 00:00", nps=10), *of_old(event("facts", "1 12:00", **named)), facts("2 00:00", nps=20)]
    story = run(*events, until="12 07:00", models=[one], control=[merge("12 06:00")])
    assert story.scores[-1] == "12 06:08 80 high by merge"


#   old was closed and moved to Madrid before: acme is neither
def test_kind_and_time_zone_are_those_of_who_goes_on() -> None:
    theirs = [facts("11 12:00", kind="closed", time_zone="Europe/Madrid", owner="ana")]
    story = joined([], theirs, component("nps"))
    assert story.view["facts"] == {"nps": 1, "owner": "ana"}
    assert story.view["scores"][0]["band"] == "low"


#   In Auckland it is the 13th day already: that visit counts as of the present day, and on the next one it is still there
@pytest.mark.parametrize("until", ["12 07:00", "13 12:00"])
def test_a_day_that_has_not_come_counts_as_the_present_one(until: str) -> None:
    theirs = [facts("0 01:00", time_zone="Pacific/Auckland"), login("12 05:00")]
    for feature, score in (("count", 10), ("active_days", 10)):
        part = measured(feature, 10, source="logins", window_days=7)
        story = joined([], theirs, part, until)
        assert at_the_join(story) == score
        assert story.view["scores"][0]["score"] == score
    behind = joined([], theirs, measured("since_last", 10, source="logins"), until)
    assert behind.view["scores"][0]["score"] == (0 if until.startswith("12") else 10)


# --- what is told of both ------------------------------------------------------------------------------------------


#   day               0         10        20        30
#   old               x                        M              since day 11 it is silent for 10 days
#   acme              xxxxxxxxxxxxxxxxxxxxxxxxx J
def test_who_ends_has_its_episode_resolved_and_its_view_deleted() -> None:
    mine = [login(f"{day} 12:00") for day in range(26)]
    story = run(
        *sorted([*mine, *of_old(login("0 12:00"))], key=lambda each: each["occurred_at"]),
        until="27", models=[LOGINS], rules=CAP, control=[merge("25 06:00")],
    )  # fmt: skip
    assert story.messages == [
        "11 00:00 firing critical absolute_silence",
        "25 06:00 resolved critical  by merged",
    ]
    assert [alert["account_id"] for alert in story.alerts] == ["old", "old"]
    assert story.alerts[1]["summary"] == "Resolved (the account was merged into another one)."
    assert story.views.keys() == {"acme"}


#   acme was silent too, and is told of as before: old was active on day 9, so its silence ends by activity
def test_who_goes_on_is_no_longer_silent_if_the_other_was_active() -> None:
    story = run(
        login("0 12:00"), *of_old(login("0 12:00"), login("9 12:00")),
        until="13", models=[LOGINS], rules=CAP, control=[merge("12 06:00")],
    )  # fmt: skip
    assert story.messages == [
        "11 00:00 firing critical absolute_silence",
        "12 06:08 resolved critical absolute_silence by activity",
    ]
    assert {alert["account_id"] for alert in story.alerts} == {"acme"}


#   old's visit to /cancel was told on day 11; acme is told of it when the 7 days of the rule are over, if it still matters
def test_what_was_told_of_the_other_lately_is_not_told_again() -> None:
    numbers = {"risk_page": {"severity": "warning", "refractory_days": 7, "quiet_days": 14}}
    events = [login("0 12:00"), *of_old(visit("11 12:00", "/cancel"))]
    story = run(*events, until="19", models=[LOGINS], rules=numbers, control=[merge("12 06:00")])
    assert story.messages == [
        "11 12:00 firing warning risk_page",
        "12 06:00 resolved warning  by merged",
        "18 12:00 firing warning risk_page",
    ]
    assert [alert["account_id"] for alert in story.alerts] == ["old", "old", "acme"]


@pytest.mark.parametrize(
    ("mine", "theirs", "visits", "admin"),
    [("10 12:00", "11 12:00", 2, True), ("1 12:00", "11 12:00", 1, True), ("11 12:00", "1 12:00", 1, False)],
    ids=["near", "theirs is later by far", "mine is"],
)
def test_risk_visits_of_both_count_if_they_are_near(
    mine: str, theirs: str, visits: int, *, admin: bool
) -> None:
    numbers = {
        "risk_page": {
            "severity": "warning",
            "refractory_days": 1,
            "quiet_days": 7,
            "repeated_severity": "warning",
        }
    }
    events = sorted(
        [login("0 12:00"), visit(mine, "/cancel"), *of_old(visit(theirs, "/cancel", user_role="admin"))],
        key=lambda each: each["occurred_at"],
    )
    story = run(*events, until="12 13:00", models=[LOGINS], rules=numbers, control=[merge("12 06:00")])
    (episode,) = story.view["episodes"]
    assert episode["reasons"][0]["evidence"] == {
        "visits": visits, "last_visit_at": "2026-01-16T12:00:00.000Z", "admin": admin,
    }  # fmt: skip


#   old's complaint pulls acme from 60 (high) down to 10: told as a change, not as a fall
def test_a_merge_is_no_fall_of_a_band() -> None:
    rules: Tree = {"band_drop": {}}
    story = run(
        facts("0 00:00", nps=60), *of_old(facts("11 12:00", nps=10)),
        until="20", models=[NPS], rules=rules, control=[merge("12 06:00")],
    )  # fmt: skip
    assert [each.split()[-1] for each in story.scores] == ["fact", "fact", "merge"]
    assert story.scores[-1].startswith("12 06:08 10 ")
    assert story.messages == []
    assert story.view["scores"][0]["band"] != "high"


# --- late, early, and never ----------------------------------------------------------------------------------------


#   its event of day 11 comes after day 12, 06:00: left out. That of day 13 begins it anew
def test_what_is_late_of_who_ended_is_left_out_and_what_comes_later_begins_it() -> None:
    events = [
        login("0 12:00"),
        *of_old(facts("1 12:00", nps=50)),
        facts("12 12:00", nps=1),
        *of_old(facts("11 12:00", nps=20)),
    ]
    story = run(*events, until="14", models=[NPS], control=[merge("12 06:00")])
    assert story.notes == {"merged": 1}
    assert story.views.keys() == {"acme"}
    later = run(
        *events, *of_old(facts("13 12:00", nps=70)), until="14", models=[NPS], control=[merge("12 06:00")]
    )
    assert later.views["old"]["facts"] == {"nps": 70}
    ids = [change["change_id"] for change in later.changes if change["account_id"] == "old"]
    assert len(set(ids)) == len(ids) == 2


def test_an_erasure_of_who_was_merged_takes_the_place_of_the_merge() -> None:
    erased = of_old(event("facts", "13 12:00", facts={}, erase=True))
    late = of_old(facts("13 11:00", nps=20))
    events = [login("0 12:00"), *of_old(login("1 12:00")), *erased, *late]
    story = run(*events, until="14", models=[NPS], control=[merge("12 06:00")])
    assert story.notes == {"erased": 1}


@pytest.mark.parametrize(
    ("events", "control", "outcomes"),
    [
        ([login("0 12:00")], merge("12 06:00"), ["not_there"]),
        ([login("0 12:00")], merge("12 06:00", "acme", "acme"), ["same"]),
        ([login("0 12:00"), *of_old(login("12 07:00"))], merge("12 06:00"), ["not_there"]),
        (
            [login("0 12:00"), *of_old(login("1 12:00")), event("facts", "12 00:00", facts={}, erase=True)],
            merge("12 06:00"), ["ended", "erased"],
        ),
        (
            [*of_old(login("1 12:00")), event("facts", "12 06:07", facts={}, erase=True), login("43 00:00")],
            merge("12 06:00"), ["ended", "erased"],
        ),
        ([*of_old(login("1 12:00"))], merge("12 06:00"), ["ended", "renamed"]),
    ],
    ids=["unknown", "itself", "not yet there", "erased before", "erased meanwhile", "renamed"],
)  # fmt: skip
def test_a_merge_has_one_clear_outcome(events: list[Tree], control: Tree, outcomes: list[str]) -> None:
    assert run(*events, until="44", models=[NPS], control=[control]).merged == outcomes


#   it would retire at the very midnight
def test_who_retires_at_the_instant_is_not_there() -> None:
    events = [*of_old(login("2 12:00")), login("11 12:00")]
    story = run(*events, until="13", models=[LOGINS], retire={"quiet_days": 10}, control=[merge("12 00:00")])
    assert story.merged == ["not_there"]


#   a limit of two accounts in the partition: who takes its place is let in
def test_a_full_partition_lets_in_who_is_renamed() -> None:
    events = [
        *of_old(login("1 12:00")),
        login("2 12:00", account_id="third"),
        login("12 12:00", account_id="third"),
    ]
    story = run(*events, until="13", models=[LOGINS], accounts_max=1 + 1, control=[merge("12 06:00")])
    assert story.views.keys() == {"acme", "third"}


#   a to b to c, an hour apart: c has all
def test_merges_in_a_chain_carry_all_along() -> None:
    events = [login(f"{day} 12:00", account_id=name) for day, name in ((8, "a"), (9, "b"), (10, "acme"))]
    control = [merge("12 06:00", "a", "b"), merge("12 07:00", "b")]
    story = run(facts("0 00:00", nps=1), *events, until="13", models=[LOGINS], control=control)
    assert story.merged == ["ended", "joined", "ended", "joined"]
    assert story.views.keys() == {"acme"}
    assert story.scores[-1] == "12 07:08 30 low by merge"


def test_two_merges_of_one_instant_count_in_the_order_of_the_topic() -> None:
    events = [login("8 12:00", account_id="a"), login("9 12:00", account_id="b"), login("10 12:00")]
    control = [merge("12 06:00", "a"), merge("12 06:00", "b")]
    story = run(facts("0 00:00", nps=1), *events, until="12 07:00", models=[LOGINS], control=control)
    assert story.merged == ["ended", "ended", "joined", "joined"]
    assert story.scores[-1] == "12 06:08 30 low by merge"


def test_a_merge_that_is_withdrawn_or_replaced_before_it_counts_does_not_count() -> None:
    both = [login("1 12:00"), *of_old(login("1 12:00"))]
    later = merge("30 06:00")
    assert run(*both, until="13", models=[LOGINS], control=[merge("12 06:00"), later]).merged == []


# --- a change of name ----------------------------------------------------------------------------------------------


#   day                 0         10        20
#   old                 x              M               silent since day 11: told, and resolved as it ends
#   acme                                J    x         takes that on quietly; the log-in ends it, quietly too
def test_a_change_of_name_alerts_nobody_and_goes_on_with_all() -> None:
    events = [
        *of_old(facts("0 00:00", nps=30, owner="ana"), login("0 12:00"), visit("0 12:00", user_id="u")),
        login("20 12:00"),
    ]
    until = [run(*events[:-1], until="16", models=[NPS], rules=CAP, control=[merge("15 06:00")])]
    (view,) = until[0].views.values()
    assert (view["account_id"], view["facts"]) == ("acme", {"nps": 30, "owner": "ana"})
    assert [(each["reasons"][0]["rule"], each["told"]) for each in view["episodes"]] == [
        ("absolute_silence", False)
    ]
    story = run(*events, until="21", models=[NPS], rules=CAP, control=[merge("15 06:00")])
    assert story.messages == [
        "11 00:00 firing critical absolute_silence",
        "15 06:00 resolved critical  by merged",
    ]
    assert story.scores == ["0 00:00 30 low by fact"]
    assert story.view["scores"][0]["score"] == 30
    assert story.view["episodes"] == []


#   what happens after is told as ever: a visit to /cancel joins the silence, and the episode fires under the new name
def test_what_happens_after_a_change_of_name_is_told() -> None:
    events = [*of_old(login("0 12:00")), visit("16 12:00", "/cancel")]
    rules: Tree = {"never_started": {}, "risk_page": {"severity": "warning"}, **CAP}
    story = run(
        *events,
        until="17",
        models=[NPS],
        rules=rules,
        activity=["login"],
        stalled_sources="off",
        control=[merge("15 06:00")],
    )
    assert story.messages[-1] == "16 12:00 firing critical absolute_silence+risk_page"
    assert story.alerts[-1]["account_id"] == "acme"


#   alerts are muted until day 20: nobody had heard of the silence, so it is told then, of acme
def test_a_change_of_name_keeps_what_was_held() -> None:
    control = [{"kind": "go_live", "id": "application", "effective_at": millis("20")}, merge("15 06:00")]
    story = run(*of_old(login("0 12:00")), until="21", models=[NPS], rules=CAP, control=control)
    assert story.messages == ["20 00:00 firing critical absolute_silence"]
    assert story.alerts[0]["account_id"] == "acme"


#   hour    30 00:00                30 00:30    30 00:38          one alert an hour since a week is known
#   a       told
#   old     waits for the next hour M           J: nobody had heard of it, so it is told of acme
def test_a_change_of_name_loses_no_alert_that_waits_for_its_hour() -> None:
    events = [
        *of_old(login("0 12:00"), account="early"),
        *of_old(login("19 12:00"), account="a"), *of_old(login("19 13:00")),
    ]  # fmt: skip
    brake = {"factor": 1.0, "firings_min": 1, "weeks": 1}
    story = run(
        *events,
        until="31",
        models=[NPS],
        rules=CAP,
        control=[merge("30 00:30")],
        brake=brake,
        stalled_sources=None,
    )
    told = [(each["account_id"], instant(each["effective_at"]), each["status"]) for each in story.alerts]
    assert told[-2:] == [("a", "30 00:00", "firing"), ("acme", "30 00:38", "firing")]
    assert story.alerts[-1]["since"] == story.alerts[-2]["since"]


#   in Tokyo the day begins at 15:00 UTC, for acme as for old
def test_a_change_of_name_keeps_the_zone() -> None:
    events = of_old(facts("0 00:00", time_zone="Asia/Tokyo"), login("2 12:00"), facts("12 05:00", nps=5))
    story = run(*events, until="16", models=[NPS], rules=CAP, control=[merge("12 06:00")])
    assert story.messages == ["12 15:00 firing critical absolute_silence"]
    assert story.alerts[0]["account_id"] == "acme"


#   ids of changes go on from the seconds since 1990: acme was there before, and was erased
def test_no_id_comes_twice_under_a_name_that_was_another_s() -> None:
    events = [
        *(facts(f"0 0{hour}:00", nps=10 + 50 * (hour % 2)) for hour in range(4)),
        *of_old(facts("0 00:00", nps=30)), event("facts", "1 00:00", facts={}, erase=True),
        facts("40 12:00", nps=60),
    ]  # fmt: skip
    story = run(*events, until="41", models=[NPS], control=[merge("35 06:00")])
    assert story.merged == ["ended", "renamed"]
    ids = [change["change_id"] for change in story.changes]
    assert len(set(ids)) == len(ids) == 5
    assert story.scores[-1] == "40 12:00 60 high by fact"
