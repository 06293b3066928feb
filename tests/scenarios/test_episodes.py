"""Episodes: one open of each kind, severity, refractory times, closed accounts, what a message says beside its reasons."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import pytest

from tests.auditor.ends import SECONDS_TO_1990
from tests.auditor.scenarios import component, model
from tests.scenarios.timeline import Tree, date_of, facts, login, millis, payment, play, run, visit

PAYMENT: Tree = {"payment_trouble": {}}
CANCEL: Tree = {"risk_page": {}}


def failed(when: str, payment_id: str = "P1") -> Tree:
    return payment(when, "failed", payment_id)


def cancel(when: str) -> Tree:
    return visit(when, "/cancel")


# --- one open episode ----------------------------------------------------------------------------------------------


#   day 0: a risk page, info. Day 2: a payment fails, a warning: the severity rises. Day 8: it succeeds: no message,
#   and the severity stays. Day 14: the page is quiet: resolved, of that which was open until now
def test_reasons_join_one_episode_whose_severity_only_rises() -> None:
    story = play("""
    day              0         10
    cancel           x...............
    P1               ..f.....s.......
    risk_page        F.E...........R.
    payment_trouble  ..E.............
    severity         i.w...........w.
    """)
    assert story.messages == [
        "0 12:00 firing info risk_page",
        "2 12:00 escalated warning risk_page+payment_trouble",
        "14 12:00 resolved warning risk_page by quiet_period",
    ]
    assert len({m["episode_id"] for m in story.alerts}) == 1
    assert len({m["alert_id"] for m in story.alerts}) == 3
    assert {m["since"] for m in story.alerts} == {"2026-01-05T12:00:00.000Z"}
    assert [r["since"] for r in story.alerts[1]["reasons"]] == [
        "2026-01-05T12:00:00.000Z",
        "2026-01-07T12:00:00.000Z",
    ]


#   day 4: an escalated ticket joins a warning with a warning: no message, but the view lists it
def test_a_reason_that_joins_without_raising_is_seen_in_the_view_alone() -> None:
    story = play("""
    day              0         10
    P1               ..f......
    T1               o...e....
    payment_trouble  ..F......
    ticket_trouble   .........
    """)
    assert story.open_reasons == ["payment_trouble since 2 12:00", "ticket_trouble since 4 12:00"]
    assert story.view["episodes"][0]["severity"] == "warning"


#   both reasons end at one instant: it is resolved by what ended the first of them in the order of the rules
def test_an_episode_that_ends_with_several_reasons_lists_them_all() -> None:
    rules = CANCEL | {"payment_trouble": {"quiet_days": 14}}
    story = run(cancel("0 12:00"), failed("0 12:00"), until="15", rules=rules)
    assert story.messages[-1] == "14 12:00 resolved warning risk_page+payment_trouble by quiet_period"


#   bad and good news are episodes of their own, open at the same time
def test_disengagement_and_opportunity_are_two_episodes() -> None:
    story = play("""
    day               0         10        20
    cancel            ....x...............
    upgrade           ..x...x.............
    risk_page         ....F.............R.
    upgrade_interest  ......F.........R...
    """)
    assert story.order == ["disengagements", "opportunities", "opportunities", "disengagements"]
    assert len({m["episode_id"] for m in story.alerts}) == 2
    open_on_day_8 = run(
        visit("2 12:00", "/upgrade"), cancel("4 12:00"), visit("6 12:00", "/upgrade"),
        until="8", rules={"risk_page": {}, "upgrade_interest": {}},
    )  # fmt: skip
    assert [episode["topic"] for episode in open_on_day_8.view["episodes"]] == [
        "disengagements",
        "opportunities",
    ]


#   ids are hashes of the account, the episode's start and its number: the same log, the same ids; score changes are numbered
#   from half the seconds on that passed from 1990 to the first event
def test_ids_are_hashes_of_what_happened() -> None:
    def identity(*parts: object) -> str:
        return blake2b("\0".join(map(str, parts)).encode(), digest_size=16).hexdigest()

    story = run(
        failed("0 12:00"), payment("1 12:00", "succeeded"), failed("20 12:00"), until="21", rules=PAYMENT
    )
    since = (millis("0 12:00"), millis("20 12:00"))
    assert [m["episode_id"] for m in story.alerts] == [
        identity("episode", "acme", since[ordinal - 1], ordinal) for ordinal in (1, 1, 2)
    ]
    assert story.alerts[1]["alert_id"] == identity("alert", "acme", since[0], 1, "resolved", "warning")
    good = run(
        visit("2 12:00", "/upgrade"), visit("6 12:00", "/upgrade"), until="7", rules={"upgrade_interest": {}}
    ).alerts[0]
    assert good["episode_id"] == identity("opportunity-episode", "acme", millis("6 12:00"), 1)
    assert good["alert_id"] == identity("opportunity", "acme", millis("6 12:00"), 1, "firing", "info")
    scored = run(facts("0 12:00", nps=60), facts("1 12:00", nps=40), until="2").changes
    first = (millis("0 12:00") // 1_000 - SECONDS_TO_1990) // 2
    assert [c["change_id"] for c in scored] == [identity("change", "acme", "test", first + n) for n in (1, 2)]


# --- refractory times ----------------------------------------------------------------------------------------------


#   joined on day 0; it fails again on day 3, within the 7 days: it waits until they are over and still holds then
def test_a_condition_that_holds_when_the_refractory_time_ends_fires_then() -> None:
    story = play("""
    day              0         10
    P1               fs.f.........
    payment_trouble  FR.....F.....
    """)
    assert story.messages[2] == "7 12:00 firing warning payment_trouble"
    assert story.open_reasons == ["payment_trouble since 7 12:00"]


#   paid again on day 5, before they are over: nothing
def test_a_condition_that_is_over_when_the_refractory_time_ends_never_fires() -> None:
    play("""
    day              0         10
    P1               fs.f.s.......
    payment_trouble  FR...........
    """)


#   a millisecond before, nothing; at the instant the timer comes first, then the event
@pytest.mark.parametrize(("again", "count"), [("7 11:59:59.999", 2), ("7 12:00", 4)])
def test_the_refractory_time_ends_at_its_exact_instant(again: str, count: int) -> None:
    told = [
        failed("0 12:00"),
        payment("1 12:00", "succeeded"),
        failed("3 12:00"),
        payment(again, "succeeded"),
    ]
    assert len(run(*told, until="9", rules=PAYMENT).messages) == count


#   it counts from when the rule joined, not from when it left: open for 10 days, it fires again at once
def test_the_refractory_time_counts_from_the_joining() -> None:
    play("""
    day              0         10
    P1               f.........sf.
    payment_trouble  F.........RF.
    """)


#   each rule has its own: payment waits for day 7, the risk page does not
def test_refractory_times_are_of_rules_and_not_of_the_episode() -> None:
    play(
        """
    day              0         10        20
    P1               fs.f...................
    cancel           ..x....................
    payment_trouble  FR.....E...............
    risk_page        ..F....E...............
    severity         wwi....w...............
    """
    )


# --- severity ------------------------------------------------------------------------------------------------------


def severity(*events: Tree, rules: Tree = PAYMENT, **policy: Any) -> list[str]:
    return [
        " ".join(message.split()[:4]) for message in run(*events, until="30", rules=rules, **policy).messages
    ]


#   a renewal on day 95 is 90 days away on day 5, near enough; one of day 96 is near on day 6,
#   one of day 115 on day 25, with nothing happening in between; one of day 4 is over
@pytest.mark.parametrize(
    ("renewal", "told"),
    [
        (95, ["5 12:00 firing critical"]),
        (96, ["5 12:00 firing warning", "6 00:00 escalated critical"]),
        (115, ["5 12:00 firing warning", "25 00:00 escalated critical"]),
        (5, ["5 12:00 firing critical"]),
        (4, ["5 12:00 firing warning"]),
    ],
)
def test_a_renewal_that_is_near_raises_the_severity_by_one(renewal: int, told: list[str]) -> None:
    assert severity(facts("0 12:00", renewal_date=date_of(renewal)), failed("5 12:00")) == told


#   the renewal is over on day 8, and the episode stays critical until it is resolved
def test_what_raised_the_severity_may_end_and_the_severity_stays() -> None:
    told = [facts("0 12:00", renewal_date=date_of(7)), failed("5 12:00"), payment("9 12:00", "succeeded")]
    assert severity(*told) == ["5 12:00 firing critical", "9 12:00 resolved critical"]


#   100,000 is enough, in thousandths, half up; less is not; told while the episode is open, it rises then
@pytest.mark.parametrize(
    ("when", "arr", "told"),
    [
        ("0 12:00", 100_000, ["5 12:00 firing critical"]),
        ("0 12:00", 99_999.9995, ["5 12:00 firing critical"]),
        ("0 12:00", 99_999.9994, ["5 12:00 firing warning"]),
        ("7 12:00", 250_000, ["5 12:00 firing warning", "7 12:00 escalated critical"]),
    ],
)
def test_an_account_of_value_raises_the_severity_by_one(when: str, arr: float, told: list[str]) -> None:
    raises = {"renewal_within_days": None, "arr_from": 100_000}
    assert severity(failed("5 12:00"), facts(when, arr=arr), raise_severity=raises) == told


#   both together by one only: info becomes warning; and there is nothing above critical
def test_renewal_and_value_together_raise_by_one() -> None:
    known = facts("0 12:00", renewal_date=date_of(30), arr=100_000)
    raises = {"renewal_within_days": 90, "arr_from": 100_000}
    assert severity(known, cancel("5 12:00"), rules=CANCEL, raise_severity=raises) == [
        "5 12:00 firing warning",
        "19 12:00 resolved warning",
    ]
    absolute = {"absolute_silence": {"days": 5}}
    assert severity(known, login("1 12:00"), rules=absolute, raise_severity=raises) == [
        "7 00:00 firing critical"
    ]


#   good news is not raised
def test_an_opportunity_is_not_raised() -> None:
    told = [
        facts("0 12:00", renewal_date=date_of(30)),
        visit("1 12:00", "/upgrade"),
        visit("2 12:00", "/upgrade"),
    ]
    assert severity(*told, rules={"upgrade_interest": {}})[0] == "2 12:00 firing info"


# --- closed accounts -----------------------------------------------------------------------------------------------


#   closed on day 4: resolved by that; what happens then raises nothing
#   a customer again on day 12: the payment of day 2 is still in trouble, its refractory time is over
def test_a_closed_account_raises_nothing() -> None:
    story = play(
        """
    day              0         10
    kind             customer
    kind                 closed  customer
    P1               ..f...............
    cancel           ......x...........
    payment_trouble  ..F.R.......F.....
    """,
        rules={"risk_page": {"quiet_days": 5}},
    )
    assert story.messages == [
        "2 12:00 firing warning payment_trouble",
        "4 12:00 resolved warning payment_trouble by closed",
        "12 12:00 firing warning payment_trouble",
    ]


# --- beside the reasons --------------------------------------------------------------------------------------------


#   the owner is the fact present at that instant: told until day 3
def test_the_owner_is_named_while_the_fact_is_present() -> None:
    owner = facts("0 12:00", "3 12:00", owner="csm-7")
    assert run(owner, failed("2 12:00"), until="3", rules=PAYMENT).alerts[0]["owner"] == "csm-7"
    assert run(owner, failed("4 12:00"), until="5", rules=PAYMENT).alerts[0]["owner"] is None


def test_the_value_is_the_score_of_the_model_value() -> None:
    told = [facts("0 12:00", nps=60), failed("2 12:00")]
    models = [model(component("nps"), model="value")]
    assert run(*told, until="3", rules=PAYMENT, models=models).alerts[0]["value"] == 60
    assert run(*told, until="3", rules=PAYMENT).alerts[0]["value"] is None
