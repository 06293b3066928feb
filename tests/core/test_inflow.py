"""How an input that is stalled is told: hours are written as counts, one after another; every edge on both of its sides.

hour      0 .. 167   168 ..            a week in which 60 come in every hour, then
came      60         5  60             F: 1000 * 5 < 100 * 60 thousandths ... is low
"""

from __future__ import annotations

import json
import random
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.observer import NullPartitionObserver, Waits
from agents.partition import Partition
from agents.program import load_program
from schemas.policy import Policy
from schemas.topics import Input
from streams import inflow
from streams.events import EVENT_COLUMNS, EVENT_INPUT, EVENT_KEY, EVENT_ROW, NO_ROW
from streams.inflow import INFLOW, KEPT_HOURS, SETTLED_HOURS, WEEK_HOURS, Inflow
from streams.intervals import reasons_waiting
from streams.kernel import rearm
from streams.plan import HOUR_MS, compile_program
from tests.core.conftest import START_MS, Machine, by_account, company

if TYPE_CHECKING:
    import numpy.typing as npt

    from streams.notices import Notice
    from streams.plan import Program
    from tests.core.conftest import Events

Tree = dict[str, Any]

FIRST: Final = 490_000
"""An hour."""
GRACE_S: Final = 120
DAY: Final = 24
TREE: Final = load_program("default").policy.model_dump()


def policy(**numbers: Any) -> Policy:
    given = {
        "inputs": ["logins"],
        "expected_min": 50,
        "weeks": 1,
        "settle_hours": 3,
        "hold_days": 1,
    } | numbers
    return Policy.model_validate(TREE | {"stalled_sources": given})


def events(hour: int, count: int, topic: Input = Input.LOGINS, at_ms: int = 0) -> npt.NDArray[np.int64]:
    columns = np.zeros((count, EVENT_COLUMNS), np.int64)
    columns[:, EVENT_INPUT], columns[:, EVENT_KEY] = topic, hour * HOUR_MS + at_ms
    return columns


def told_ms(hour: int) -> int:
    """When an hour is closed."""
    return (hour + 1) * HOUR_MS + GRACE_S * 1000


class Told:
    """An input from its first hour on; the hour before is that of the first key."""

    def __init__(self, **numbers: Any) -> None:
        self.inflow, self.hour = Inflow(), FIRST
        self.inflow.follow(policy(**numbers), 0)
        self.inflow.take(events(FIRST - 1, 1), 0)

    def came(self, *counts: int) -> Told:
        """Let so many events come in the next hours, and the last of them be closed."""
        for count in counts:
            self.inflow.take(events(self.hour, count), 0)
            self.inflow.reach(told_ms(self.hour))
            self.hour += 1
        return self

    @property
    def waits(self) -> list[tuple[int, int]]:
        """The intervals in hours since the first, as their hours were closed."""
        closed = [
            [(ms - told_ms(FIRST - 1)) / HOUR_MS for ms in span] for span in self.inflow.guards().tolist()
        ]
        assert all(hours == int(hours) for span in closed for hours in span)
        return [(int(start), int(end)) for start, end in closed]

    def notices(self) -> list[Notice]:
        return self.inflow.take_notices()


def week(count: int = 60, **numbers: Any) -> Told:
    return Told(**numbers).came(*[count] * WEEK_HOURS)


@pytest.mark.parametrize(("came", "waits"), [(5, [(169, 193)]), (6, [])])
def test_low_is_below_the_share_of_what_is_usual(came: int, waits: list[tuple[int, int]]) -> None:
    """5 of 60 are less than a tenth, 6 are not; it is told as the hour is closed, and waits a day at most."""
    assert week().came(came).waits == waits


@pytest.mark.parametrize(("came", "end"), [(30, 1 + 3), (29, 24)])
def test_back_is_from_half_of_what_is_usual_on_and_after_that_it_settles(came: int, end: int) -> None:
    told = week().came(0, came)
    assert told.waits == [(169, 169 + end)]
    assert told.inflow.stalled == {Input.LOGINS}


@pytest.mark.parametrize(("usual", "is_told"), [(50, True), (49, False)])
def test_one_hour_is_enough_if_so_many_are_usual_in_it(usual: int, *, is_told: bool) -> None:
    """With 49 usual two hours are looked at, of which the first was as ever."""
    assert bool(week(usual).came(0).waits) is is_told


def test_few_an_hour_are_looked_at_over_several() -> None:
    """10 an hour: five hours make 50, and less than 5 in them are low."""
    assert week(10).came(0, 0, 0, 0).waits == []
    assert week(10).came(0, 0, 0, 0, 0).waits == [(173, 197)]
    assert week(10).came(5, 0, 0, 0, 0).waits == []
    assert week(10).came(4, 0, 0, 0, 0).waits == [(173, 197)]


def test_where_a_day_is_not_enough_nothing_is_told() -> None:
    """2 an hour are 48 a day."""
    told = week(2).came(*[0] * 48)
    assert (told.waits, told.notices()) == ([], [])
    assert week(2, expected_min=48).came(*[0] * 24).waits == [(192, 216)]


def test_an_hour_of_the_week_is_its_own_measure() -> None:
    """Nobody comes at night: that is usual, in the next week too."""
    day = [0] * 8 + [100] * 8 + [0] * 8
    told = Told().came(*day * 14)
    assert told.waits == []
    assert told.came(*day[:9]).came(0).waits == [(14 * 24 + 10, 15 * 24 + 10)]


def test_the_mean_of_some_weeks_is_usual_and_the_hour_of_the_first_key_is_not_known() -> None:
    """60 and 40: 50 are usual over two weeks, 40 over one."""
    told = Told(weeks=2).came(*[60] * WEEK_HOURS, *[40] * WEEK_HOURS)
    assert told.came(4).waits == [(337, 361)]
    assert told.notices()[0].limit == 50
    early = Told().came(*[60] * (WEEK_HOURS - 1)).came(0)
    assert early.waits == [], "a week before lies the hour of the first key"


def test_stalled_hours_are_no_measure_of_the_week_after() -> None:
    """Of two weeks one was stalled; so 60 are usual, and 29 are not back."""
    told = Told(weeks=2, hold_days=2).came(
        *[60] * WEEK_HOURS, *[60] * 10, *[0] * 30, *[60] * (WEEK_HOURS - 40)
    )
    told.notices()
    told.came(*[60] * 12, 0, 29)
    assert told.notices()[0].limit == 60
    assert told.waits[-1] == (WEEK_HOURS * 2 + 13, WEEK_HOURS * 2 + 13 + 48)


def test_who_is_low_again_before_it_has_settled_goes_on_waiting() -> None:
    """hour   168  169  170  171  172  173
    came   0    60   0    60   60   60
    wait   F    back     back           .   E = 172 + 3
    """
    told = week().came(0, 60)
    assert told.waits == [(169, 173)]
    assert told.came(0).waits == [(169, 193)]
    assert told.came(60).waits == [(169, 175)]
    assert told.came(60, 60).inflow.stalled == {Input.LOGINS}
    assert told.came(60).inflow.stalled == frozenset()
    assert told.waits == [(169, 175)], "it is kept: who comes late finds it"
    begun, ended = told.notices()
    assert (begun.status, begun.at_ms, begun.since_ms, begun.limit, begun.seen) == (
        "firing", told_ms(FIRST + 168), told_ms(FIRST + 168), 60, 0,
    )  # fmt: skip
    assert (ended.status, ended.at_ms, ended.since_ms) == ("resolved", told_ms(FIRST + 174), begun.at_ms)


def test_after_a_time_that_is_long_enough_silence_is_silence_until_it_was_back() -> None:
    told = week(hold_days=1).came(*[0] * 60)
    assert told.waits == [(169, 193)]
    assert told.inflow.stalled == frozenset()
    assert told.came(60, 0).waits == [(169, 193), (230, 254)]


@pytest.mark.parametrize(("name", "value"), [("KEPT_MS", 6 * DAY * HOUR_MS), ("WAITS_MAX", 1)])
def test_what_ended_long_ago_is_forgotten_and_so_is_the_first_of_very_many(
    name: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (inflow.KEPT_MS, inflow.WAITS_MAX) == (400 * DAY * HOUR_MS, 64)
    told = week().came(0, *[60] * 30)
    assert len(told.waits) == 1
    told.came(*[60] * (6 * DAY), 0, *[60] * 4)
    assert len(told.waits) == 2
    monkeypatch.setattr(f"streams.inflow.{name}", value)
    told.came(*[60] * (5 * DAY), 0, *[60] * 4)
    assert told.waits[0][0] > 300


def test_waits_of_inputs_that_overlap_or_touch_are_one() -> None:
    inflow = Inflow()
    inflow.follow(policy(inputs=["logins", "page-visits"], hold_days=1), 0)
    inflow.take(events(FIRST - 1, 1), 0)
    for hour in range(FIRST, FIRST + 200):
        logins, visits = int(hour < FIRST + 170) * 60, int(hour < FIRST + 180) * 60
        inflow.take(events(hour, logins), 0)
        inflow.take(events(hour, visits, Input.PAGE_VISITS), 0)
    inflow.reach(told_ms(FIRST + 199))
    assert inflow.guards().tolist() == [[told_ms(FIRST + 170), told_ms(FIRST + 180 + 24)]]


def test_what_comes_when_its_hour_is_closed_and_what_came_before_does_not_count() -> None:
    told = week()
    told.inflow.take(events(told.hour, 4), 0)
    again = events(told.hour, 9)
    again[:, EVENT_ROW] = NO_ROW
    told.inflow.take(again, 0)
    told.inflow.reach(told_ms(told.hour) - 1)
    assert told.waits == []
    told.inflow.reach(told_ms(told.hour))
    told.inflow.take(events(told.hour, 60), 0)
    assert told.waits == [(169, 193)]


def test_an_event_beyond_the_end_of_an_hour_closes_it_before_it_counts() -> None:
    told = week()
    grace_ms = GRACE_S * 1000
    assert not told.inflow.take(events(told.hour + 1, 1, Input.PAYMENTS, grace_ms - 1), 0)
    assert told.inflow.take(events(told.hour + 1, 1, Input.PAYMENTS, grace_ms), 0)


@pytest.mark.parametrize("cut", range(1, 12, 2))
def test_how_events_are_cut_and_who_goes_on_changes_nothing(cut: int) -> None:
    counts = [60] * WEEK_HOURS + [60, 0, 0, 3, 40, 60, 0, *[60] * 8]
    whole = np.concatenate([events(FIRST + hour, count) for hour, count in enumerate(counts)])
    found = []
    for step in (len(whole), 97 * cut):
        inflow, log, notices = Inflow(), dict[bytes, bytes | None](), list[Any]()
        inflow.follow(policy(), 0)
        inflow.take(events(FIRST - 1, 1), 0)
        for start in range(0, len(whole), step):
            inflow.take(whole[start : start + step], 0)
            notices += inflow.take_notices()
            log |= dict(inflow.take_changed())
            if step < len(whole):
                inflow = Inflow()
                inflow.follow(policy(), 0)
                for key, value in log.items():
                    inflow.load(key, value)
                inflow.follow(policy(), 0)
                assert inflow.take_changed() == []
        found.append((inflow.guards().tolist(), notices, log[INFLOW], log[INFLOW + b":1"]))
    assert found[0] == found[1]
    assert len(found[0][1]) == 2


def test_a_policy_that_names_no_input_ends_the_wait_and_forgets_what_was_counted() -> None:
    told = week().came(0)
    told.inflow.take_changed()
    end_ms = told_ms(told.hour) + 5
    off = policy().model_copy(update={"stalled_sources": None})
    told.inflow.follow(off, end_ms)
    assert told.inflow.guards().tolist() == [[told_ms(FIRST + 168), end_ms]]
    assert [notice.status for notice in told.notices()] == ["firing", "resolved"]
    assert (INFLOW + b":1", None) in told.inflow.take_changed()
    told.inflow.take(events(told.hour + 1, 60), 0)
    told.inflow.follow(policy(), end_ms)
    told.inflow.take(events(told.hour + 2, 1), 0)
    told.inflow.load(INFLOW + b":1", None)
    assert not told.inflow.take(events(told.hour + 9, 1), 0), "it begins anew"
    flowing = week()
    flowing.inflow.follow(off, 0)
    assert flowing.notices() == []
    assert [key for key, _ in flowing.inflow.take_changed()] == [INFLOW], (
        "of hours that nobody wrote nothing is deleted"
    )


def test_an_input_that_a_policy_adds_is_known_from_the_next_hour_on() -> None:
    told = week()
    told.inflow.follow(policy(inputs=["logins", "page-visits"]), 0)
    after = told.hour + WEEK_HOURS + 1
    for hour in range(told.hour, after):
        told.inflow.take(events(hour, 60), 0)
        told.inflow.take(events(hour, 60, Input.PAGE_VISITS), 0)
    told.inflow.take(events(after, 60), 0)
    assert told.inflow.reach(told_ms(after)) is True
    assert told.inflow.stalled == {Input.PAGE_VISITS}


# --- an outage of a whole company ------------------------------------------------------------------------------------

OUTAGE: Final = (START_MS + 40 * DAY * HOUR_MS + 9 * HOUR_MS, START_MS + 43 * DAY * HOUR_MS + 21 * HOUR_MS)
"""84 hours from a Friday morning on in which neither log-ins nor page visits come."""
ALERTS: Final = {
    "silence": {"false_alarms_per_year": 12.0},
    "decline": {},
    "never_started": {},
    "reengaged": {},
}


def at_ms(body: bytes) -> float:
    occurred_at = json.loads(body)["occurred_at"]
    return datetime.fromisoformat(occurred_at).timestamp() * 1000


def made(guard: Tree | None, **rules: Tree) -> Program:
    base = load_program("default")
    tree = base.policy.model_dump() | {
        "stalled_sources": guard,
        "models": ["retention"],
        "rules": ALERTS | rules,
    }
    return compile_program(Policy.model_validate(tree), base.models[:1], base.zones)


WATCHED: Final[Tree] = {"inputs": ["logins", "page-visits"], "expected_min": 20}


def without(events: Events) -> Events:
    """Return what is left of a company's events in the outage."""
    cut = (Input.LOGINS, Input.PAGE_VISITS)
    return {
        topic: [body for body in bodies if topic not in cut or not OUTAGE[0] <= at_ms(body) < OUTAGE[1]]
        for topic, bodies in events.items()
    }


@pytest.fixture(scope="module")
def stalled() -> Events:
    return without(company(seed=10, accounts=40, days=56))


class Watching(Machine):
    """Sums the reasons that waited."""

    def _new(self) -> Partition:
        self.heard = _Heard()
        return Partition(self.program, partition=0, partitions=1, keyed=False, observer=self.heard)


class _Heard(NullPartitionObserver):
    waits = Waits(0, 0, 0)

    def on_waits(self, partition: int, waits: Waits) -> None:
        self.waits = Waits(*map(sum, zip(self.waits, waits, strict=True)))


@pytest.fixture(scope="module")
def whole(stalled: Events) -> list[bytes]:
    watching = Watching(made(WATCHED, band_drop={}), stalled)
    found = watching.run(random.Random(0), commit=0.01, rows_max=50_000)
    waits = watching.heard.waits
    assert min(waits) > 3, waits
    assert reasons_waiting(watching.partition.accounts) == 0
    return found


def silent(values: list[bytes]) -> set[str]:
    """The accounts that were told silent from Easter on."""
    told = [json.loads(value) for value in values if b"alert_id" in value]
    firing = [each for each in told if each["status"] == "firing" and each["since"] > "2026-04-01"]
    return {each["account_id"] for each in firing if each["reasons"][0]["rule"] == "silence"}


@pytest.mark.compiled
@pytest.mark.timeout(400)
def test_an_outage_makes_nobody_silent_with_the_guard_and_some_without() -> None:
    """Of 100 accounts under a budget of twelve false alarms a year: four are told silent who would not have been, or none."""

    def told(guard: Tree | None, events: Events) -> set[str]:
        return silent(Machine(made(guard), events).run(random.Random(0), commit=0.01, rows_max=50_000))

    ordinary = company(seed=10, accounts=100, days=56)
    really, outage = told(None, ordinary), without(ordinary)
    assert (len(told(None, outage) - really), len(told(WATCHED, outage) - really)) == (4, 0)


@pytest.mark.compiled
@settings(max_examples=1, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 30))
def test_how_the_input_is_cut_and_where_it_crashes_changes_nothing_of_what_waits(
    stalled: Events, whole: list[bytes], seed: int
) -> None:
    for crash in (0.0, 0.1):
        cut = Machine(made(WATCHED, band_drop={}), stalled).run(random.Random(seed), crash=crash)
        assert by_account(cut) == by_account(whole)


@pytest.mark.parametrize("last", [0, 5, 60])
@pytest.mark.parametrize("hours", [SETTLED_HOURS - 2, SETTLED_HOURS + KEPT_HOURS + 3, 30_000])
def test_a_gap_of_years_ends_as_if_each_of_its_hours_had_been_closed(
    monkeypatch: pytest.MonkeyPatch, hours: int, last: int
) -> None:
    """
    came   60 60 ... last  nothing for 30,000 hours  60 60 ...
    closed all of them, or the first and the last few thousand
    """

    def told() -> tuple[list[Notice], list[list[int]], dict[bytes, bytes | None]]:
        source = Told(weeks=8, hold_days=28)
        source.came(*[60] * WEEK_HOURS, last)
        source.hour += hours
        source.came(*[60] * (2 * WEEK_HOURS))
        return source.notices(), source.inflow.guards().tolist(), dict(source.inflow.take_changed())

    found = told()
    monkeypatch.setattr(inflow, "SETTLED_HOURS", 10**9)
    assert found == told()


def test_a_gap_of_a_century_takes_no_longer_than_one_of_a_year(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[int] = []
    close = Inflow._close

    def counted(self: Inflow, *what: Any) -> bool:
        closed.append(self._standing.hour)
        return close(self, *what)

    monkeypatch.setattr(Inflow, "_close", counted)
    source = week()
    closed.clear()
    source.inflow.take(events(FIRST + 110 * 365 * 24, 1), 0)
    assert len(closed) <= SETTLED_HOURS + KEPT_HOURS + 3
    assert closed[-1] == FIRST + 110 * 365 * 24 - 2


def test_the_next_owner_awaits_silences_as_late_as_the_wait_made_them(stalled: Events) -> None:
    """What is due is derived under the intervals in which silences waited: else an instant is thought to be over."""
    end_ms = OUTAGE[1] + 3 * DAY * HOUR_MS
    first = {topic: [body for body in bodies if at_ms(body) < end_ms] for topic, bodies in stalled.items()}
    base = made(WATCHED)
    rules = type(base.policy.rules).model_validate({"silence": ALERTS["silence"]})
    policy = base.policy.model_copy(update={"rules": rules})
    machine = Machine(compile_program(policy, base.models, base.zones), first)
    machine.run(random.Random(0), commit=0.01, rows_max=50_000)
    machine.take_over(random.Random(0))
    accounts = machine.partition.accounts
    assert len(accounts.plan.guards)
    due = accounts.cells.due.copy()
    rearm(accounts.cells, accounts.plan, len(accounts))
    assert due.tolist() == accounts.cells.due.tolist()
