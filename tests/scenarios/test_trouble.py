"""Signs of trouble: `risk_page`, `payment_trouble`, `ticket_trouble`, with the shipped numbers unless a test says otherwise."""

from __future__ import annotations

import pytest

from tests.scenarios.timeline import Story, Tree, facts, millis, payment, play, run, ticket, visit


def risk(*visits: Tree, until: str = "40") -> Story:
    return run(*visits, until=until, rules={"risk_page": {}})


def cancel(when: str, role: str = "member", path: str = "/cancel") -> Tree:
    return visit(when, path, user_role=role)


# --- risk pages: quiet after 14 days, repeated after 30 minutes ----------------------------------------------------


def test_a_visit_to_a_risk_page_is_told_until_it_was_quiet_for_14_days() -> None:
    story = play("""
    day        0         10        20
    cancel     ..x...............
    risk_page  ..F.............R.
    severity   ..i.............i.
    """)
    assert story.messages == [
        "2 12:00 firing info risk_page",
        "16 12:00 resolved info risk_page by quiet_period",
    ]
    assert story.evidence("risk_page") == {
        "visits": 1,
        "last_visit_at": "2026-01-07T12:00:00.000Z",
        "admin": False,
    }


#   a second visit on day 5 makes it a warning, and the quiet time begins again
def test_a_repeated_visit_is_worse() -> None:
    story = play("""
    day        0         10        20
    cancel     ..x..x..............
    risk_page  ..F..E.............R
    severity   ..i..w.............w
    """)
    assert story.evidence("risk_page", 1)["visits"] == 2


@pytest.mark.parametrize("role", ["admin", "Owner", "BILLING"])
def test_a_visit_by_an_administrator_is_worse_at_once(role: str) -> None:
    story = risk(cancel("2 12:00", role), until="3")
    assert story.messages == ["2 12:00 firing warning risk_page"]
    assert story.evidence("risk_page")["admin"]


def test_any_cancel_or_refund_page_is_meant_and_no_other() -> None:
    assert risk(cancel("2 12:00", path="/help/refund-policy"), until="3").messages
    assert risk(cancel("2 12:00", path="/app/cancel"), until="3").messages == []


#   29:59.999 after the last one it is the same visit, reloaded: no repetition, but the quiet time counts from it
def test_a_reload_is_no_repetition_and_not_quiet() -> None:
    story = risk(cancel("2 12:00"), cancel("2 12:29:59.999"))
    assert story.messages == [
        "2 12:00 firing info risk_page",
        "16 12:29:59.999 resolved info risk_page by quiet_period",
    ]
    assert story.evidence("risk_page", 1)["visits"] == 1


def test_half_an_hour_later_it_is_a_repetition() -> None:
    story = risk(cancel("2 12:00"), cancel("2 12:30"), until="3")
    assert story.messages[1] == "2 12:30 escalated warning risk_page"


#   reloads every 20 minutes are one visit, however long they go on
def test_reloads_of_reloads_are_one_visit() -> None:
    reloads = [cancel(f"2 {hour}:{minute}") for hour in (12, 13) for minute in ("00", "20", "40")]
    assert len(risk(*reloads, until="3").messages) == 1


def test_a_reload_by_an_administrator_is_worse() -> None:
    story = risk(cancel("2 12:00"), cancel("2 12:10", "admin"), until="3")
    assert story.messages[1] == "2 12:10 escalated warning risk_page"
    evidence = story.evidence("risk_page", 1)
    assert (evidence["visits"], evidence["admin"]) == (1, True)


#   a millisecond before 14 quiet days are over it is a repetition; at their end the timer comes first, then a new episode
def test_the_quiet_time_ends_at_its_exact_instant() -> None:
    assert risk(cancel("2 12:00"), cancel("16 11:59:59.999"), until="17").messages[1:] == [
        "16 11:59:59.999 escalated warning risk_page"
    ]
    assert risk(cancel("2 12:00"), cancel("16 12:00"), until="17").messages[1:] == [
        "16 12:00 resolved info risk_page by quiet_period",
        "16 12:00 firing info risk_page",
    ]


#   told late, on day 20: a visit of day 10, within the 14 days, was by an administrator; one of day 6 is over: nothing
@pytest.mark.parametrize(
    ("late", "messages"),
    [
        ("10 12:00", ["20 12:00 firing info risk_page", "20 12:00 escalated warning risk_page"]),
        ("6 12:00", ["20 12:00 firing info risk_page"]),
    ],
)
def test_a_late_visit_counts_if_its_quiet_time_reaches_the_last_one(late: str, messages: list[str]) -> None:
    story = risk(cancel("20 12:00"), cancel(late, "admin"), until="21")
    assert story.messages == messages
    assert story.evidence("risk_page", -1)["visits"] == 1


# --- payments: late after 3 days, for 30 days ----------------------------------------------------------------------


#   due at noon of day 0, late 3 days later, paid on day 6
def test_a_late_payment_until_it_succeeds() -> None:
    story = play("""
    day              0         10
    P1               d.....s......
    payment_trouble  ...F..R......
    severity         ...w..w......
    """)
    assert story.messages == [
        "3 12:00 firing warning payment_trouble",
        "6 12:00 resolved warning payment_trouble by condition_over",
    ]
    assert [story.evidence("payment_trouble", number) for number in (0, 1)] == [
        {"late": 1, "failed": 0, "reversed": 0},
        {"late": 0, "failed": 0, "reversed": 0},
    ]


def paid(*events: Tree, until: str = "60") -> list[str]:
    return run(*events, until=until, rules={"payment_trouble": {}}).messages


#   paid a millisecond before, nothing; at the instant itself the timer comes first
@pytest.mark.parametrize(("when", "count"), [("3 11:59:59.999", 0), ("3 12:00", 2)])
def test_the_last_moment_to_pay(when: str, count: int) -> None:
    assert len(paid(payment("0 12:00", "due"), payment(when, "succeeded"))) == count


#   30 days later it is forgotten: 3 + 30
def test_a_payment_that_stays_late_is_forgotten() -> None:
    assert paid(payment("0 12:00", "due")) == [
        "3 12:00 firing warning payment_trouble",
        "33 12:00 resolved warning payment_trouble by condition_over",
    ]


#   the instant of a payment is cut to its second
def test_the_due_instant_is_the_one_that_is_told_in_whole_seconds() -> None:
    told = payment("0 12:00", "due", due_at=millis("10 18:30:00.999"))
    assert paid(told, until="20") == ["13 18:30 firing warning payment_trouble"]


#   a new due instant replaces the old one
def test_a_payment_that_is_put_off_is_late_later() -> None:
    told = [
        payment("0 12:00", "due", due_at=millis("5 12:00")),
        payment("4 12:00", "due", due_at=millis("9 12:00")),
    ]
    assert paid(*told, until="20") == ["12 12:00 firing warning payment_trouble"]


#   failed, refunded, disputed: at once, for 30 days; only success ends it before
@pytest.mark.parametrize(
    ("status", "state"), [("failed", "failed"), ("refunded", "reversed"), ("disputed", "reversed")]
)
def test_a_payment_that_failed_or_was_taken_back_is_trouble_at_once(status: str, state: str) -> None:
    story = run(payment("2 12:00", status), until="40", rules={"payment_trouble": {}})
    assert story.messages == [
        "2 12:00 firing warning payment_trouble",
        "32 12:00 resolved warning payment_trouble by condition_over",
    ]
    assert story.evidence("payment_trouble") == {"late": 0, "failed": 0, "reversed": 0} | {state: 1}
    healed = paid(payment("2 12:00", status), payment("4 12:00", "succeeded"))
    assert healed[1] == "4 12:00 resolved warning payment_trouble by condition_over"


#   P1 paid, then disputed; P2 fails beside it: no message; P1 is told as paid again: still P2; both over: resolved
def test_several_payments_are_one_reason_until_all_are_over() -> None:
    story = play("""
    day              0         10        20
    P1               s.D.....s.......
    P2               .....f......s...
    payment_trouble  ..F.........R...
    """)
    assert [story.evidence("payment_trouble", number) for number in (0, 1)] == [
        {"late": 0, "failed": 0, "reversed": 1},
        {"late": 0, "failed": 0, "reversed": 0},
    ]
    until_10 = run(
        payment("2 12:00", "disputed"),
        payment("5 12:00", "failed", "P2"),
        until="7",
        rules={"payment_trouble": {}},
    )
    reason = until_10.view["episodes"][0]["reasons"][0]
    assert reason["evidence"] == {"late": 0, "failed": 1, "reversed": 1}


#   a failure that happened before the success, told after it, changes nothing; of the same instant neither
@pytest.mark.parametrize(("failed", "count"), [("1 12:00", 0), ("2 12:00", 0), ("2 12:00:01", 1)])
def test_a_payment_that_succeeded_later_than_it_failed_is_paid(failed: str, count: int) -> None:
    assert len(paid(payment("2 12:00", "succeeded"), payment(failed, "failed"), until="3")) == count


#   five payments due on days 10..14: four are kept, the one that is due first makes place: 11 + 3
def test_of_more_than_four_payments_the_oldest_makes_place() -> None:
    told = [payment(f"{n} 12:00", "due", f"P{n}", due_at=millis(f"{10 + n} 12:00")) for n in range(5)]
    assert paid(*told, until="20") == ["14 12:00 firing warning payment_trouble"]
    assert paid(*told[:4], until="20") == ["13 12:00 firing warning payment_trouble"]


#   due on days 13, 14, 15, and one that was paid on day 14: it makes place before the one of day 13, which is not paid
def test_a_paid_payment_makes_place_first() -> None:
    told = [payment("0 12:00", "due", f"P{n}", due_at=millis(f"{13 + n} 12:00")) for n in range(3)]
    told += [payment("14 12:00", "succeeded", "P3"), payment("15 12:00", "due", "P4")]
    assert paid(*told, until="17") == ["16 12:00 firing warning payment_trouble"]


# --- tickets -------------------------------------------------------------------------------------------------------

SPIKE = {"ticket_trouble": {"unresolved_days": 89}}


#   usual: 8 in the 28 days before (7, 14, 21, 28), 2 a week; on day 35 the sixth: 6 >= 3 * 2, at 12:05
#   on day 42 none of the last 7 days is left
def test_a_spike_of_tickets_against_the_own_usual() -> None:
    story = play(
        """
    day             0         10        20        30        40
    opened          2......2......2......2......2......6........
    ticket_trouble  ...................................F......R.
    severity        ...................................w......w.
    """,
        rules=SPIKE,
    )
    assert story.messages == [
        "35 12:05 firing warning ticket_trouble",
        "42 00:00 resolved warning ticket_trouble by condition_over",
    ]
    assert story.evidence("ticket_trouble") == {"opened": 6, "usual": 2, "escalated": 0, "unresolved": 0}


#   5 against a usual of 2 a week are not 3 times as many
def test_fewer_tickets_are_no_spike() -> None:
    play(
        """
    day             0         10        20        30        40
    opened          2......2......2......2......2......5........
    ticket_trouble  ............................................
    """,
        rules=SPIKE,
    )


#   nothing is usual, the account is old enough: 5 are a spike, 4 are not
@pytest.mark.parametrize(("tickets", "fires"), [(4, []), (5, ["40 12:04 firing warning ticket_trouble"])])
def test_a_spike_has_at_least_five_tickets(tickets: int, fires: list[str]) -> None:
    opened = [ticket(f"40 12:0{n}", "opened", f"T{n}") for n in range(tickets)]
    story = run(facts("0 12:00", nps=60), *opened, until="41", rules=SPIKE)
    assert story.messages == fires


#   five tickets on day 35; the account must be 35 days old: since day 1 it is, since day 2 it is a midnight later
@pytest.mark.parametrize(("first", "fires"), [(1, "35 12:04"), (2, "36 00:00")])
def test_a_young_account_has_no_spike(first: int, fires: str) -> None:
    opened = [ticket(f"35 12:0{n}", "opened", f"T{n}") for n in range(5)]
    story = run(facts(f"{first} 12:00", nps=60), *opened, until="37", rules=SPIKE)
    assert story.messages == [f"{fires} firing warning ticket_trouble"]


def test_an_escalated_ticket_until_it_is_resolved() -> None:
    story = play("""
    day             0         10        20
    T1              o..e.....r...........
    ticket_trouble  ...F.....R...........
    """)
    assert story.messages == [
        "3 12:00 firing warning ticket_trouble",
        "9 12:00 resolved warning ticket_trouble by condition_over",
    ]
    assert story.evidence("ticket_trouble") == {"opened": 1, "usual": 0, "escalated": 1, "unresolved": 0}


#   comments do not resolve; it is open for 14 days at noon of day 14
def test_a_ticket_that_stays_unresolved() -> None:
    story = play("""
    day             0         10        20
    T1              o..c...c..........r..
    ticket_trouble  ..............F...R..
    """)
    assert story.messages[0] == "14 12:00 firing warning ticket_trouble"
    assert story.evidence("ticket_trouble") == {"opened": 0, "usual": 0.25, "escalated": 0, "unresolved": 1}


def tickets(*events: Tree, until: str) -> list[str]:
    return run(*events, until=until, rules={"ticket_trouble": {}}).messages


@pytest.mark.parametrize(("when", "count"), [("14 11:59:59.999", 0), ("14 12:00", 2)])
def test_the_last_moment_to_resolve(when: str, count: int) -> None:
    assert len(tickets(ticket("0 12:00", "opened"), ticket(when, "resolved"), until="20")) == count


#   reopened on day 10: its 14 days begin again
def test_a_reopened_ticket_is_as_new() -> None:
    play("""
    day             0         10        20
    T1              o...r.....R..............
    ticket_trouble  ........................F
    """)


#   six tickets of days 0..5: a comment on a seventh takes no place, and the first is told on day 14;
#   a seventh that is opened takes the place of the first, and the second is told on day 15
@pytest.mark.parametrize(("action", "told"), [("commented", "14 12:00"), ("opened", "15 12:00")])
def test_of_more_than_six_tickets_the_oldest_makes_place(action: str, told: str) -> None:
    opened = [ticket(f"{n} 12:00", "opened", f"T{n}") for n in range(6)]
    assert tickets(*opened, ticket("6 12:00", action, "T6"), until="16")[0].startswith(f"{told} firing")


#   reopened at the instant at which it was resolved it stays resolved; a second later it is open
@pytest.mark.parametrize(
    ("again", "told"), [("5 12:00", []), ("5 12:00:01", ["19 12:00:01 firing warning ticket_trouble"])]
)
def test_a_ticket_is_reopened_after_it_was_resolved(again: str, told: list[str]) -> None:
    events = [ticket("0 12:00", "opened"), ticket("5 12:00", "resolved"), ticket(again, "reopened")]
    assert tickets(*events, until="30") == told


#   opened on day 0, escalated on day 80: the 90 days after which it is forgotten count from its opening
def test_a_ticket_is_forgotten_90_days_after_it_was_opened() -> None:
    told = [ticket("0 12:00", "opened"), ticket("80 12:00", "escalated")]
    assert tickets(*told, until="100") == [
        "14 12:00 firing warning ticket_trouble",
        "90 12:00 resolved warning ticket_trouble by condition_over",
    ]
