"""The brake: what fires beyond what the past allows waits its turn; hours and places are drawn.

hour   0    1    2          limit 3
due    xx   xxxxx           five at once in hour 1
sent   xx   xxx  xx         two wait for hour 2
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.observer import NullPartitionObserver
from agents.partition import Partition
from agents.program import load_program
from schemas.policy import Brake as Numbers
from schemas.policy import Policy
from schemas.reasons import Status
from schemas.records import OutputRecord
from schemas.topics import Output
from streams.brake import BRAKE, MONDAY_MS, WEEK_MS, Brake, Said, Step, Tally
from streams.clock import NEVER_MS
from streams.notices import notice_record
from streams.plan import HOUR_MS, Program, compile_program
from tests.auditor.exact import identity
from tests.core.conftest import DAY_MS, START_MS, by_account, company
from tests.core.test_control_laws import Controlled, line, topic

if TYPE_CHECKING:
    from tests.core.conftest import Events

FEW: Final = settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
TIGHT: Final = Numbers(factor=1.0, firings_min=1, weeks=1)
MONDAY: Final = MONDAY_MS + 2900 * WEEK_MS
NOBODY: Final = np.zeros((0, 2), np.int64)


def said(account: str, place_ms: int, status: Status = Status.FIRING, **fields: Any) -> Said:
    """A message of an episode; its value tells the account and what it says."""
    where = fields.get("topic", Output.DISENGAGEMENTS)
    step = None if where is Output.SCORE_CHANGES else Step(status, ("silence",), fields.get("unmuted", False))
    record = OutputRecord(where, account.encode(), f"{account} {status}".encode())
    return Said(record, place_ms, fields.get("standing", True), step)


def texts(messages: list[Said]) -> list[str]:
    return [each.record.value.decode().removesuffix(" firing") for each in messages]


def learned(most: int, numbers: Numbers = TIGHT) -> Brake:
    """A brake at the start of a Monday, before which an hour of a whole week had so many firings."""
    brake = Brake()
    brake.take([said("first", MONDAY - WEEK_MS - HOUR_MS)], numbers)
    brake.settle(MONDAY - WEEK_MS, numbers)
    at_ms = MONDAY - 3 * DAY_MS
    brake.take([said(f"past {i}", at_ms + i) for i in range(most)], numbers)
    assert len(brake.settle(MONDAY, numbers)) == most
    return brake


def send(brake: Brake, messages: list[Said], clock_ms: int, numbers: Numbers = TIGHT) -> list[str]:
    return texts(brake.take(messages, numbers) + brake.settle(clock_ms, numbers))


# --- counting --------------------------------------------------------------------------------------------------------


def test_beyond_the_limit_episodes_wait_and_go_first_in_the_hours_after() -> None:
    """hour  0      1       2
    due    abcde   f
    sent   ab      cd      ef      limit 2
    """
    brake = learned(2)
    assert send(brake, [said(each, MONDAY + 5) for each in "edcba"], MONDAY + 10) == ["a", "b"]
    assert brake.held == 3
    assert send(brake, [], MONDAY + HOUR_MS - 1) == []
    assert send(brake, [said("f", MONDAY + HOUR_MS + 1)], MONDAY + HOUR_MS + 1) == ["c", "d"]
    assert send(brake, [], MONDAY + 9 * HOUR_MS) == ["e", "f"]
    assert (brake.held, brake.tally.held, brake.tally.released, brake.tally.dropped) == (0, 4, 4, 0)


@pytest.mark.parametrize(
    ("most", "numbers", "limit"),
    [
        (2, Numbers(factor=1.5, firings_min=1, weeks=1), 3),
        (3, Numbers(factor=1.5, firings_min=1, weeks=1), 4),
        (3, Numbers(factor=1.999, firings_min=1, weeks=1), 5),
        (3, Numbers(factor=2.0, firings_min=6, weeks=1), 6),
        (3, Numbers(factor=2.0, firings_min=7, weeks=1), 7),
        (0, Numbers(factor=1000.0, firings_min=2, weeks=1), 2),
    ],
)
def test_the_limit_is_so_many_times_the_most_of_the_past_rounded_down_but_never_below_the_floor(
    most: int, numbers: Numbers, limit: int
) -> None:
    brake = learned(most, numbers)
    due = [said(f"{i:02}", MONDAY) for i in range(10)]
    assert len(send(brake, due, MONDAY, numbers)) == limit


def test_while_no_week_is_whole_nothing_waits() -> None:
    brake = Brake()
    many = [said(f"{i:02}", MONDAY + 1) for i in range(30)]
    assert len(send(brake, many, MONDAY + 1)) == 30
    more = [said(f"more {i:02}", MONDAY + WEEK_MS) for i in range(30)]
    assert len(send(brake, more, MONDAY + WEEK_MS)) == 30, "the week in which counting began is not whole"
    last = [said(f"last {i:02}", MONDAY + 2 * WEEK_MS) for i in range(40)]
    assert len(send(brake, last, MONDAY + 2 * WEEK_MS)) == 30


@pytest.mark.parametrize(("weeks", "limit"), [(1, 1), (2, 3)])
def test_so_many_weeks_are_looked_back(weeks: int, limit: int) -> None:
    numbers = Numbers(factor=1.0, firings_min=1, weeks=weeks)
    brake = learned(3, numbers)
    assert (
        len(send(brake, [said(f"{i}", MONDAY + WEEK_MS) for i in range(5)], MONDAY + WEEK_MS, numbers))
        == limit
    )


def test_topics_have_limits_of_their_own() -> None:
    brake = learned(1)
    both = [
        said(name, MONDAY, topic=where)
        for where in (Output.OPPORTUNITIES, Output.DISENGAGEMENTS)
        for name in "ab"
    ]
    assert sorted(send(brake, both, MONDAY)) == ["a", "a"]
    assert brake.is_held(b"b", Output.OPPORTUNITIES)
    assert brake.is_held(b"b", Output.DISENGAGEMENTS)
    assert not brake.is_held(b"a", Output.DISENGAGEMENTS)


def test_before_the_clock_is_known_nothing_is_counted() -> None:
    brake = learned(1)
    assert send(brake, [said(each, NEVER_MS, standing=False) for each in "abc"], MONDAY) == ["a", "b", "c"]


# --- the order -------------------------------------------------------------------------------------------------------


def test_at_one_place_what_is_due_comes_before_what_happens_and_that_by_the_order_of_events() -> None:
    brake = learned(3)
    happens = [said("z", MONDAY + 1, standing=False), said("y", MONDAY + 1, standing=False)]
    assert send(brake, [*happens, said("b", MONDAY + 1), said("a", MONDAY + 1)], MONDAY + 1) == [
        "a",
        "b",
        "z",
    ]
    assert brake.is_held(b"y", Output.DISENGAGEMENTS)


def test_all_of_an_account_follows_what_waits_to_be_judged() -> None:
    brake = learned(1)
    change = said("a", MONDAY + 2, topic=Output.SCORE_CHANGES, standing=False)
    assert texts(brake.take([said("a", MONDAY + 1), change, said("b", MONDAY)], TIGHT)) == []
    assert texts(brake.settle(MONDAY + 2, TIGHT)) == ["b", "a"]
    assert brake.is_held(b"a", Output.DISENGAGEMENTS), (
        "b fired before, and the score change is sent all the same"
    )


def test_a_message_whose_place_is_before_the_one_ahead_of_it_stays_behind() -> None:
    brake = learned(9)
    late = [said("a", MONDAY + 5, standing=False), said("a", MONDAY + 1, Status.RESOLVED)]
    assert send(brake, late, MONDAY + 5) == ["a", "a resolved"]


# --- what becomes of what waits --------------------------------------------------------------------------------------


def test_what_is_resolved_while_it_waits_is_dropped_and_what_rises_waits_behind() -> None:
    brake = learned(1)
    assert send(brake, [said(each, MONDAY) for each in "abc"], MONDAY) == ["a"]
    later = [said("c", MONDAY + 2, Status.ESCALATED), said("b", MONDAY + 3, Status.RESOLVED)]
    assert send(brake, later, MONDAY + 3) == []
    assert send(brake, [], MONDAY + HOUR_MS) == ["c", "c escalated"]
    assert brake.tally.dropped == 1


def test_who_is_resolved_as_the_hour_begins_was_told_before() -> None:
    brake = learned(1)
    send(brake, [said("a", MONDAY), said("b", MONDAY)], MONDAY)
    resolved = said("b", MONDAY + HOUR_MS, Status.RESOLVED)
    assert send(brake, [resolved], MONDAY + HOUR_MS) == ["b", "b resolved"]


def test_while_alerts_are_muted_nothing_is_released_and_after_that_everything() -> None:
    """hour  0     1      2      3
    muted  ....[mmmmmmmmmmmmmm)
    held   .hhhhhhhhhhhhhhhhhh
    sent   .a................bcd    at the end, not counted; e fires then
    """
    brake = learned(1)
    send(brake, [said(each, MONDAY) for each in "abcd"], MONDAY)
    end_ms = MONDAY + 2 * HOUR_MS + 7
    brake.mute(np.array([[MONDAY + 1, end_ms], [MONDAY + 1, MONDAY + HOUR_MS]], np.int64))
    assert send(brake, [], end_ms - 1) == []
    assert send(brake, [said("e", end_ms)], end_ms) == ["b", "c", "d", "e"]


def test_a_pause_and_a_resume_within_an_hour_send_all_that_waited_before() -> None:
    brake = learned(1)
    end_ms = MONDAY + 10
    brake.mute(np.array([[MONDAY + 9, end_ms]], np.int64))
    due = [said("a", MONDAY), said("b", MONDAY), said("c", end_ms), said("d", end_ms)]
    assert send(brake, due, end_ms) == ["a", "b"]
    assert brake.held == 2, "c and d came as alerts were sent again"


def test_what_fires_because_muting_ended_is_not_counted() -> None:
    brake = learned(1)
    told = [said(each, MONDAY, unmuted=True) for each in "abc"]
    assert send(brake, [*told, said("d", MONDAY)], MONDAY) == ["a", "b", "c", "d"]


def test_under_a_policy_without_a_brake_everything_is_sent_and_the_past_forgotten() -> None:
    brake = learned(1)
    assert send(brake, [said(each, MONDAY) for each in "abc"], MONDAY) == ["a"]
    waits = said("c", MONDAY + 1, Status.RESOLVED)
    assert texts(brake.take([waits, said("d", MONDAY + 1)], None)) == []
    assert texts(brake.settle(MONDAY + 1, None)) == ["b", "c", "c resolved", "d"]
    assert texts(brake.take([said("e", MONDAY + 1)], None)) == ["e"]
    assert len(send(brake, [said(f"{i}", MONDAY + 2) for i in range(9)], MONDAY + 2)) == 9


def test_what_operators_hear_of_says_since_when_how_many_and_of_what_limit() -> None:
    """Two go out of four at once; the others wait, and go in the next hour."""
    brake = learned(2)
    send(brake, [said(account, MONDAY + 5) for account in "abcd"], MONDAY + 10)
    send(brake, [], MONDAY + HOUR_MS)
    first, last = brake.take_notices()
    assert first[2:] == (Status.FIRING, MONDAY + 5, MONDAY + 5, 2, 1)
    assert last[2:] == (Status.RESOLVED, MONDAY + HOUR_MS, MONDAY + 5, 2, 2)
    name = identity("operation", "brake", "disengagements", 3, MONDAY + 5, "firing")
    assert json.loads(notice_record(3, first).value)["operation_id"] == name


@pytest.mark.parametrize("between", ["", "takeover", "no brake"])
def test_held_dropped_and_held_again_at_one_place_it_is_another_trouble(between: str) -> None:
    """b is held and resolved, then c is held, all at the clock of their events."""
    brake = learned(1)
    send(brake, [said("a", MONDAY), said("b", MONDAY)], MONDAY)
    send(brake, [said("b", MONDAY, Status.RESOLVED)], MONDAY)
    notices = brake.take_notices()
    if between == "takeover":
        log, brake = brake.take_changed(), Brake()
        for key, value in log:
            brake.load(key, value)
        brake.loaded()
    elif between == "no brake":
        brake.settle(MONDAY, None)
        brake._standing.counts[Output.DISENGAGEMENTS].weeks = [0]
        send(brake, [said("a", MONDAY)], MONDAY)
    send(brake, [said("c", MONDAY)], MONDAY)
    send(brake, [], MONDAY + HOUR_MS)
    notices += brake.take_notices()
    assert [(each.status, each.at_ms, each.since_ms) for each in notices] == [
        ("firing", MONDAY, MONDAY),
        ("resolved", MONDAY, MONDAY),
        ("firing", MONDAY + 1, MONDAY + 1),
        ("resolved", MONDAY + HOUR_MS, MONDAY + 1),
    ]
    names = {json.loads(notice_record(0, each).value)["operation_id"] for each in notices}
    assert len(names) == 4


def test_half_judged_and_held_it_goes_on_in_the_next_owner() -> None:
    def steps(*, crash: bool) -> list[str]:
        brake, sent = learned(1), list[str]()
        log: dict[bytes, bytes | None] = {}
        for at, messages in (
            (0, [said("b", MONDAY), said("d", MONDAY), said("c", MONDAY + 1, standing=False)]),
            (1, [said("a", MONDAY), said("d", MONDAY + 1, Status.ESCALATED)]),
            (2, [said("b", MONDAY + 2, Status.RESOLVED)]),
        ):
            sent += texts(brake.take(messages, TIGHT))
            if at:
                sent += texts(brake.settle(MONDAY + at, TIGHT))
            log |= dict(brake.take_changed())
            if crash:
                brake = Brake()
                for key, value in log.items():
                    brake.load(key, value)
                brake.loaded()
        assert brake.take_changed() == []
        return [*sent, *send(brake, [], MONDAY + 3 * HOUR_MS)]

    assert steps(crash=False) == ["a", "d", "d escalated", "c"]
    assert steps(crash=True) == steps(crash=False)


def test_a_next_owner_releases_in_the_order_in_which_episodes_were_held() -> None:
    """They come c, b, a, and are judged a, b, c."""
    brake = learned(1)
    assert send(brake, [said(each, MONDAY) for each in "cba"], MONDAY) == ["a"]
    fresh = Brake()
    for key, value in brake.take_changed():
        fresh.load(key, value)
    fresh.loaded()
    assert send(fresh, [], MONDAY + HOUR_MS) == ["b"]


def test_a_next_owner_judges_what_waits_no_sooner_than_its_clock_comes_there() -> None:
    """Its clock may be behind the last one's, and what has its place before what waits fires again then."""
    brake = learned(1)
    brake.take([said("late", MONDAY + 9)], TIGHT)
    assert send(brake, [], MONDAY + 5) == []
    assert send(brake, [said("first", MONDAY + 7)], MONDAY + 8) == ["first"]
    assert send(brake, [], MONDAY + 9) == []
    assert brake.is_held(b"late", Output.DISENGAGEMENTS)
    assert send(brake, [], MONDAY + HOUR_MS) == ["late"]


def test_the_view_of_an_account_that_ends_is_taken_back_whatever_waits() -> None:
    """Else it might be taken back after the first view of an account that begins again."""
    brake = learned(1)
    brake.take([said("a", MONDAY)], TIGHT)
    nothing = Said(OutputRecord(Output.ACCOUNTS, b"a", b""), MONDAY + 1, is_standing=True, step=None)
    assert brake.take([nothing], TIGHT) == [nothing]


def test_what_was_written_of_an_account_is_deleted_when_nothing_waits_any_more() -> None:
    brake = learned(1)
    send(brake, [said("a", MONDAY), said("b", MONDAY)], MONDAY)
    assert {key for key, value in brake.take_changed() if value} == {BRAKE, BRAKE + b":b"}
    send(brake, [], MONDAY + HOUR_MS)
    assert [key for key, value in brake.take_changed() if value is None] == [BRAKE + b":b"]
    fresh = Brake()
    fresh.load(BRAKE + b":b", None)
    fresh.loaded()
    assert fresh.held == 0


# --- laws ------------------------------------------------------------------------------------------------------------


def braking(program: Program, **numbers: Any) -> Program:
    tree = program.policy.model_dump() | {"brake": {"factor": 1.0, "firings_min": 1, "weeks": 1} | numbers}
    return compile_program(Policy.model_validate(tree), program.models, program.zones)


class _Heard(NullPartitionObserver):
    """Sums what the brake did."""

    held = released = dropped = 0

    def on_brake(self, partition: int, tally: Tally) -> None:
        self.held, self.released, self.dropped = (
            self.held + tally.held,
            self.released + tally.released,
            self.dropped + tally.dropped,
        )


class Paused(Controlled):
    """Alerts are paused for five days."""

    lines = topic(line("pause", START_MS + 48 * DAY_MS), line("resume", START_MS + 51 * DAY_MS + 5))

    def _new(self) -> Partition:
        self.heard = _Heard()
        return Partition(self.program, partition=0, partitions=1, keyed=False, observer=self.heard)


@pytest.fixture(scope="module")
def tight() -> Program:
    return braking(load_program("default"))


@pytest.fixture(scope="module")
def events() -> Events:
    return company(seed=2, accounts=30, days=63)


@pytest.fixture(scope="module")
def whole(tight: Program, events: Events) -> list[bytes]:
    made = Paused(tight, events)
    found = made.run(random.Random(0), commit=0.01, rows_max=50_000)
    heard = made.heard
    assert min(heard.held, heard.released, heard.dropped) > 3, heard
    told = [json.loads(value) for value in found if b"operation_id" in value]
    assert {each["status"] for each in told} == {"firing", "resolved"}
    return found


@pytest.mark.compiled
@FEW
@given(seed=st.integers(0, 1 << 30))
def test_how_the_input_is_cut_and_when_sweeps_run_changes_nothing_of_what_waits(
    tight: Program, events: Events, whole: list[bytes], seed: int
) -> None:
    assert by_account(Paused(tight, events).run(random.Random(seed))) == by_account(whole)


@pytest.mark.compiled
@FEW
@given(seed=st.integers(0, 1 << 30))
def test_a_crash_between_any_two_commits_changes_nothing_of_what_waits(
    tight: Program, events: Events, whole: list[bytes], seed: int
) -> None:
    crashed = Paused(tight, events).run(random.Random(seed), crash=0.1)
    assert by_account(crashed) == by_account(whole)


@pytest.mark.compiled
@pytest.mark.usefixtures("small_steps")
def test_a_crash_amid_a_midnight_changes_nothing_of_what_waits(
    tight: Program, events: Events, whole: list[bytes]
) -> None:
    crashed = Paused(tight, events)
    assert by_account(crashed.run(random.Random(1), crash=0.1, commit=0.5)) == by_account(whole)
    assert [key for key, value in crashed.changelog if key.startswith(BRAKE + b":") and value is not None]


def test_an_account_hears_the_same_with_and_without_the_brake_but_later_or_not_at_all(
    program: Program, events: Events, whole: list[bytes]
) -> None:
    free = Paused(braking(program, firings_min=60_000), events).run(
        random.Random(0), commit=0.01, rows_max=50_000
    )
    told, all_of_it = by_account(whole), by_account(free)
    for account, values in all_of_it.items():
        for name in ("change_id", "alert_id"):
            mine = [value for value in told[account] if name in json.loads(value)]
            left = iter(value for value in values if name in json.loads(value))
            assert all(value in left for value in mine), "in the same order, some left out"
