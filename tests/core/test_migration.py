"""A change of layout: what an account knew it knows, what it cannot know warms up, what nobody can read is refused.

old layout    events ........ |
new layout                    | migrated ..... warming up ..... as if it had been the layout all along
"""

from __future__ import annotations

import json
import os
import random
import tracemalloc
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.beside import LAYOUT
from agents.partition import Partition
from agents.program import load_model
from agents.simulation import Company, Rates, Span
from schemas.errors import StateError
from schemas.reasons import Rule
from schemas.records import Chunk, parts
from schemas.topics import Input, Output
from streams import foreign
from streams import layout as lay
from streams.clock import NEVER_MS
from streams.conditions import holds
from streams.layout import STATE_VERSION
from streams.metrics import (
    NO_VALUE,
    PATTERN,
    RATIO,
    SINCE_LAST,
    SUM,
    USER_COUNT,
    USER_SHARE,
    is_warming,
    metric,
)
from streams.migration import describe, migrate
from streams.move import move_to
from streams.plan import CURRENCY, FEATURE, LAST_DAY_SLOT, SOURCE
from streams.stored import join_values, split_values
from streams.views import view_records
from tests.auditor.core import program_of
from tests.auditor.scenarios import Tree, component, default_policy, model
from tests.auditor.worlds import world
from tests.core.conftest import DAY_MS, START_MS, Machine, by_account

if TYPE_CHECKING:
    from streams.accounts import Accounts
    from streams.plan import Program
    from tests.core.conftest import Events

    Log = list[tuple[bytes, bytes | None]]

uncompiled = pytest.mark.skipif(
    os.environ.get("LATIDO_TEST_COMPILED") == "1",
    reason="compiled functions of the kernel are not called one by one",
)
few = settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
TREND: Final[Tree] = {"ramp": [[0, 0], [1, 100]]}

# --- running on under another program ------------------------------------------------------------------------------


@cache
def simulated() -> Events:
    span = Span(seed=5, accounts=5, start_ms=START_MS, days=70, volume=0.05, rates=Rates(2.0, 2.0, 0.05))
    found: Events = {topic: [] for topic in Input}
    for event in Company(span):
        found[event.topic].append(event.body)
    return found


@pytest.fixture(scope="module")
def events() -> Events:
    return simulated()


def until(events: Events, day: int) -> Events:
    """Return what happened before a day of the company."""
    limit, found = START_MS + day * DAY_MS, {}
    for topic, bodies in events.items():
        late = (i for i, body in enumerate(bodies) if occurred_ms(body) >= limit)
        found[topic] = bodies[: next(late, len(bodies))]
    return found


def occurred_ms(body: bytes) -> int:
    at = json.loads(body)["occurred_at"]
    return at if isinstance(at, int) else int(np.datetime64(at.rstrip("Z"), "ms").astype(np.int64))


def changed_at(events: Events, day: int, *programs: Program) -> Machine:
    """Run the events up to a day under each program but the last one, then the rest under that."""
    machine = Machine(programs[0], until(events, day))
    for program in programs[1:]:
        machine.run(random.Random(1), rows_max=50_000)
        machine.program = program
        machine.take_over(random.Random(2))
    machine.events = events
    machine.run(random.Random(3), rows_max=50_000)
    return machine


def whole(events: Events, program: Program) -> Machine:
    machine = Machine(program, events)
    machine.run(random.Random(0), rows_max=50_000)
    return machine


def move_all(machine: Machine, now: int) -> list[tuple[bytes, int]]:
    """Move every account to one instant, so that two runs can be compared; return their keys and rows."""
    accounts = machine.partition.accounts
    for row in range(len(accounts)):
        move_to(accounts.cells, accounts.plan, row, max(now, int(accounts.cells.i64[row, lay.NOW])))
    return sorted((key, row) for row, key in enumerate(accounts.keys))


def was_never_told(accounts: Accounts, row: int, c: int) -> bool:
    """Return whether nothing was told since the change, at any distance, of what the metric needs at all."""
    cells, plan, feature = accounts.cells, accounts.plan, accounts.plan.components[c, FEATURE]
    if feature in (RATIO, SINCE_LAST, PATTERN):
        return bool(cells.u16[row, plan.scalars[LAST_DAY_SLOT] + plan.components[c, SOURCE]] == lay.NEVER)
    if feature == SUM:
        return bool(cells.u16[row, plan.scalars[CURRENCY]] == 0)
    return feature in (USER_COUNT, USER_SHARE) and cells.u8[row, lay.USER_SEEN] == 0


class Judged(NamedTuple):
    """How many metrics and conditions of all accounts were compared, and how many are warming up."""

    compared: int
    warming: set[str]


def compare(migrated: Machine, uninterrupted: Machine, now: int) -> Judged:
    """Check that every metric is that of the uninterrupted run or warms up, and every condition that or does not hold."""
    ours, theirs = move_all(migrated, now), move_all(uninterrupted, now)
    assert [key for key, _ in ours] == [key for key, _ in theirs]
    mine, other = migrated.partition.accounts, uninterrupted.partition.accounts
    plan, names = (
        mine.plan,
        [f"{file.model}.{part.name}" for file in mine.program.models for part in file.components],
    )
    compared, warming = 0, set()
    for (_, row), (_, twin) in zip(ours, theirs, strict=True):
        assert not other.cells.known.any()
        for c, name in enumerate(names):
            x = metric(mine.cells, plan, row, c, now)
            if is_warming(mine.cells, plan, row, c, now):
                warming.add(name)
            else:
                wanted = metric(other.cells, other.plan, twin, c, now)[0]
                assert x[0] == wanted or (x[0] == NO_VALUE and was_never_told(mine, row, c)), (name, row)
                compared += 1
        for rule in mine.program.layout.rule_since:
            if rule in FROM_THE_PAST:
                continue
            found, wanted = (
                holds(run.cells, run.plan, at, rule, now, is_open=False)
                for run, at in ((mine, row), (other, twin))
            )
            unknown = mine.cells.known[row].any()
            assert found == wanted or (unknown and wanted and not found), rule
    return Judged(compared, warming)


FROM_THE_PAST: Final = {
    Rule.BAND_DROP,
    Rule.REENGAGED,
    Rule.RISK_PAGE,
    Rule.TICKET_TROUBLE,
    Rule.PAYMENT_TROUBLE,
}
"""Rules that rest on what was done while they were in force, or on things seen one by one."""


# --- pairs of policies ---------------------------------------------------------------------------------------------

EVERYTHING: Final = default_policy()["rules"]
SHIPPED: Final = {"models": ["retention", "adoption", "health"]}


def shipped(**policy: Any) -> Program:
    tree = default_policy(**policy)
    files = {name: load_model(name).model_dump(by_alias=True) for name in SHIPPED["models"]}
    return program_of(tree, {name: files[name] for name in tree["models"]})


def measured(*metrics: Tree, **policy: Any) -> Program:
    """Return a program of one model with these metrics, and of no rules unless they are given."""
    parts = [component(f"c{i}", metric=m, **TREND) for i, m in enumerate(metrics)]
    return program_of(default_policy(**({"models": ["test"], "rules": {}} | policy)), {"test": model(*parts)})


def m(feature: str, source: str | None = None, window: int | None = None, **more: int) -> Tree:
    found = {"feature": feature, "source": source, "window_days": window} | more
    return {name: value for name, value in found.items() if value is not None}


FEATURES_TURNED: Final = {
    "exports": ["/app/exports*"],
    "integrations": ["/app/integrations*"],
    "reports": ["/app/reports*"],
    "automation": ["/app/automation*"],
}
KEPT: Final = {name: FEATURES_TURNED[name] for name in ("reports", "automation", "integrations")}
TURNED: Final = {name: FEATURES_TURNED[name] for name in ("integrations", "reports", "automation")}
WITHOUT_SURGE: Final = {name: numbers for name, numbers in EVERYTHING.items() if name != "usage_surge"}
PAIRS: Final[dict[str, tuple[Program, Program, set[str]]]] = {
    "models are added": (
        shipped(models=["retention"]),
        shipped(**SHIPPED),
        {"adoption.breadth", "adoption.depth", "adoption.first_use", "health.feature_requests"},
    ),
    "models are removed": (shipped(**SHIPPED), shipped(models=["health"]), set()),
    "models change places": (shipped(**SHIPPED), shipped(models=["health", "retention", "adoption"]), set()),
    "a longer window": (
        measured(m("count", "logins", 14), m("sum", "payments_succeeded", 14), m("mean", "csat", 14)),
        measured(m("count", "logins", 56), m("sum", "payments_succeeded", 56), m("mean", "csat", 56)),
        {"test.c0", "test.c1", "test.c2"},
    ),
    "a longer window beside a shorter one": (
        measured(m("ratio", "activity", 14, lag_days=14)),
        measured(m("ratio", "activity", 14, lag_days=14), m("count", "activity", 84)),
        {"test.c1"},
    ),
    "a weekly pattern": (
        measured(m("count", "activity", 14)),
        measured(m("count", "activity", 14), m("pattern", "activity", 14, lag_days=28)),
        {"test.c1"},
    ),
    "a shorter window": (
        measured(m("count", "logins", 56), m("sum", "payments_succeeded", 56), m("mean", "csat", 56)),
        measured(m("count", "logins", 14), m("sum", "payments_succeeded", 14), m("mean", "csat", 14)),
        set(),
    ),
    "active days where events were counted": (
        measured(m("count", "logins", 14)),
        measured(m("active_days", "logins", 35)),
        {"test.c0"},
    ),
    "active days where events were counted for as long": (
        measured(m("count", "logins", 28)),
        measured(m("active_days", "logins", 28)),
        set(),
    ),
    "events are counted where active days were": (
        measured(m("active_days", "logins", 28)),
        measured(m("active_days", "logins", 28), m("count", "logins", 28)),
        {"test.c0", "test.c1"},
    ),
    "bits for another number of days in as many bytes": (
        measured(m("active_days", "logins", 49)),
        measured(m("active_days", "logins", 56)),
        set(),
    ),
    "rules on": (
        shipped(models=["retention"], rules={}),
        shipped(models=["retention"], rules=EVERYTHING),
        set(),
    ),
    "rules off": (shipped(**SHIPPED, rules=EVERYTHING), shipped(**SHIPPED, rules={}), set()),
    "one rule more": (shipped(**SHIPPED, rules=WITHOUT_SURGE), shipped(**SHIPPED, rules=EVERYTHING), set()),
    "key features change places": (
        shipped(**SHIPPED, key_features=KEPT),
        shipped(**SHIPPED, key_features=TURNED),
        set(),
    ),
    "a key feature more": (
        shipped(**SHIPPED, key_features=KEPT),
        shipped(**SHIPPED, key_features=FEATURES_TURNED),
        {"adoption.breadth", "adoption.first_use"},
    ),
    "nearly everything at once": (
        measured(m("users", None, 28), m("count", "logins", 21), m("open_tickets"), key_features=KEPT),
        shipped(models=["health", "adoption"], rules=WITHOUT_SURGE, key_features=TURNED),
        {"adoption.breadth", "adoption.depth", "adoption.first_use", "adoption.active_days"}
        | {"health.feature_requests", "health.usage", "health.support_requests"},
    ),
}


# --- what is known is as it would be, what is not warms up ---------------------------------------------------------


@uncompiled
@pytest.mark.parametrize("pair", PAIRS)
def test_what_does_not_warm_up_is_as_if_the_layout_had_always_been_so(events: Events, pair: str) -> None:
    """
    day 0 ..... events ..... 38 | events .. 45      49      56  ...  143
                        migrated |       compared compared compared  compared: nothing warms up any more
    """
    old, new, wanted = PAIRS[pair]
    some = until(events, 45)
    migrated, uninterrupted = changed_at(some, 38, old, new), whole(some, new)
    assert compare(migrated, uninterrupted, START_MS + 45 * DAY_MS).warming == wanted
    compared = set()
    for day in range(49, 150, 7):
        judged = compare(migrated, uninterrupted, START_MS + day * DAY_MS)
        compared.add(judged.compared)
    assert judged.warming == wanted & {"adoption.first_use"}
    assert len(compared) > 1 or not wanted


@uncompiled
@few
@given(before=st.integers(0, 400), after=st.integers(0, 400), day=st.integers(3, 20))
def test_any_two_policies_agree_on_all_that_is_known(before: int, after: int, day: int) -> None:
    some, new = until(simulated(), 24), world(after)
    kept = {name: world(before).policy[name] for name in ("rules", "models", "shadow")}
    old, program = program_of(new.policy | kept, world(before).models), program_of(new.policy, new.models)
    migrated, uninterrupted = changed_at(some, day, old, program), whole(some, program)
    for now in range(26, 60, 5):
        assert compare(migrated, uninterrupted, START_MS + now * DAY_MS)


def test_the_outputs_of_a_model_and_of_rules_that_stay_are_the_same_to_the_byte(events: Events) -> None:
    old, new = shipped(models=["retention"]), shipped(**SHIPPED)
    migrated, never = changed_at(events, 40, old, new), whole(events, new)

    def of_them(machine: Machine) -> dict[str, list[bytes]]:
        added = (b'"model":"adoption"', b'"model":"health"')
        values = [record.value for record in machine.outputs]
        return by_account([value for value in values if not any(name in value for name in added)])

    assert sum(map(len, of_them(migrated).values())) > 10
    assert of_them(migrated) == of_them(never)


# --- by hand: one account, every day a log-in ----------------------------------------------------------------------


def daily(days: int, start: int = 0) -> list[bytes]:
    lines = []
    for day in range(start, start + days):
        at = START_MS + day * DAY_MS + 3_600_000
        lines.append(b'{"event_id":"%d","account_id":"acme","occurred_at":%d}' % (day, at))
    return lines


class Acme:
    """One account that logs in daily, under one program after another."""

    def __init__(self, program: Program) -> None:
        self.machine = Machine(program, {topic: [] for topic in Input})
        self.days = 0

    def log_in_daily(self, days: int) -> Acme:
        self.machine.events[Input.LOGINS].extend(daily(days, self.days))
        self.days += days
        self.machine.run(random.Random(0))
        return self

    def be_silent(self, days: int) -> Acme:
        """Let another account's log-in move the clock."""
        self.days += days
        at = START_MS + self.days * DAY_MS
        other = b'{"event_id":"o%d","account_id":"other","occurred_at":%d}' % (self.days, at)
        self.machine.events[Input.LOGINS].append(other)
        self.machine.run(random.Random(0))
        return self

    def change_to(self, program: Program) -> Acme:
        self.machine.program = program
        self.machine.take_over(random.Random(0))
        return self

    def view(self) -> dict[str, Any]:
        accounts = self.machine.partition.accounts
        row = accounts.row_of(b"acme")
        assert row is not None
        found: dict[str, Any] = json.loads(view_records(accounts, [row])[0].value)
        return found

    def missing(self) -> list[str | None]:
        return [part["missing"] for part in self.view()["scores"][0]["components"]]

    def messages(self, topic: Output) -> list[dict[str, Any]]:
        found = [json.loads(r.value) for r in self.machine.outputs if r.topic is topic]
        return [body for body in found if body["account_id"] == "acme"]


@uncompiled
def test_a_longer_window_is_missing_until_all_its_days_are_known() -> None:
    """
    day 0 .................... 29 | 30 ................ 55
    held       16 .. 29 (14 days) | a window of 42 begins on day 16 for the first time on day 57
    """
    acme = Acme(measured(m("count", "logins", 14), m("count", "logins", 14))).log_in_daily(30)
    acme.change_to(measured(m("count", "logins", 14), m("count", "logins", 42))).log_in_daily(27)
    assert acme.missing() == [None, "warming_up"]
    acme.log_in_daily(1)
    assert acme.missing() == [None, None]
    accounts = acme.machine.partition.accounts
    assert metric(accounts.cells, accounts.plan, 0, 1, int(accounts.cells.i64[0, lay.NOW]))[0] == 42
    assert not accounts.cells.known[:, :-1].any(), "what does not matter any more is not kept"


def test_a_new_source_is_missing_until_its_window_begins_after_the_last_event_before_the_change() -> None:
    acme = Acme(measured(m("rhythm"))).log_in_daily(30)
    acme.change_to(measured(m("rhythm"), m("count", "logins", 14), m("count", "risk_pages", 14)))
    assert acme.missing() == [None, "warming_up", "warming_up"]
    assert acme.log_in_daily(13).missing() == [None, "warming_up", "warming_up"]
    assert acme.log_in_daily(1).missing() == [None, None, None]


def test_a_pattern_is_missing_until_its_whole_days_lie_behind_the_change() -> None:
    """
    day 0 .... 29 | 30 ..... 50 | 51
                  | the last day that is not known is day 29; 7 and 14 whole days before day 51 begin on day 30
    """
    acme = Acme(measured(m("rhythm"))).log_in_daily(30)
    acme.change_to(
        measured(m("rhythm"), m("pattern", "logins", 7, lag_days=14), m("ratio", "logins", 7, lag_days=14))
    )
    assert acme.log_in_daily(20).missing() == [None, "warming_up", "warming_up"], "day 49"
    assert acme.log_in_daily(1).missing() == [None, "warming_up", None], (
        "day 50: the ratio counts the present day"
    )
    assert acme.log_in_daily(1).missing() == [None, None, None], "day 51"


def test_weeks_are_known_from_the_monday_on_that_follows_the_last_one_not_held() -> None:
    """
    weeks of    03-09     03-16     03-23 | 03-30     04-06
    held               [                ] | changed on Sunday 03-29, day 28
    4 weeks            [                                  ] the first ones that are all known
    """
    ticket = (
        b'{"event_id":"t%d","account_id":"acme","occurred_at":%d,"ticket_id":"T","action":"opened","csat":4}'
    )
    acme = Acme(measured(m("mean", "csat", 14)))
    tickets = acme.machine.events[Input.TICKETS]
    tickets += [ticket % (day, START_MS + day * DAY_MS) for day in range(29)]
    acme.log_in_daily(29).change_to(measured(m("mean", "csat", 14), m("mean", "csat", 28)))
    assert acme.missing() == [None, "warming_up"]
    tickets += [ticket % (day, START_MS + day * DAY_MS) for day in range(29, 36)]
    assert acme.log_in_daily(7).missing() == [None, "warming_up"], "Sunday 04-05"
    assert acme.log_in_daily(1).missing() == [None, None], "Monday 04-06"


def test_a_model_that_comes_back_never_reuses_the_ids_of_its_changes() -> None:
    files = {
        name: model(component("logins", metric=m("count", "logins", 7), **TREND), model=name, min_change=1)
        | {
            "bands": [
                {"name": "low", "from": 0, "closed": "left"},
                {"name": "high", "from": 1, "closed": "left"},
            ]
        }
        for name in ("first", "second")
    }
    both, one = (
        program_of(default_policy(models=names, rules={}), files)
        for names in (["first", "second"], ["first"])
    )
    acme = Acme(both).log_in_daily(10)
    before = len(acme.messages(Output.SCORE_CHANGES))
    acme.change_to(one).be_silent(20).change_to(both).log_in_daily(10)
    changes = acme.messages(Output.SCORE_CHANGES)
    assert {change["model"] for change in changes[:before]} == {"first", "second"}
    assert "second" in {change["model"] for change in changes[before:]}
    assert len({change["change_id"] for change in changes}) == len(changes)


@uncompiled
def test_bits_of_49_days_and_of_56_are_as_many_bytes_and_not_the_same_ring() -> None:
    acme = Acme(measured(m("active_days", "logins", 49))).log_in_daily(70)
    acme.change_to(measured(m("active_days", "logins", 49), m("active_days", "logins", 56))).log_in_daily(6)
    assert acme.missing() == [None, "warming_up"]
    assert acme.log_in_daily(1).missing() == [None, None]
    accounts = acme.machine.partition.accounts
    now = int(accounts.cells.i64[0, lay.NOW])
    assert [metric(accounts.cells, accounts.plan, 0, c, now)[0] for c in range(2)] == [49, 56]


def test_a_sum_does_not_know_what_the_counts_of_its_source_know() -> None:
    payment = (
        b'{"event_id":"p%d","account_id":"acme","occurred_at":%d,"payment_id":"P%d","status":"succeeded",'
    )
    payment += b'"amount_minor":100,"currency":"EUR"}'
    counts = m("count", "payments_succeeded", 14)
    acme = Acme(measured(counts)).log_in_daily(30)
    acme.change_to(measured(counts, m("sum", "payments_succeeded", 14)))
    at = START_MS + 30 * DAY_MS
    acme.machine.events[Input.PAYMENTS].append(payment % (1, at, 1))
    assert acme.log_in_daily(13).missing() == [None, "warming_up"]
    assert acme.log_in_daily(1).missing() == [None, None]


def test_an_account_younger_than_what_was_held_misses_nothing() -> None:
    acme = Acme(measured(m("count", "risk_pages", 14))).log_in_daily(10)
    assert acme.change_to(measured(m("count", "risk_pages", 84))).missing() == [None]


def test_an_account_that_was_silent_for_a_whole_window_knows_that_nothing_happened() -> None:
    acme = Acme(measured(m("rhythm"))).log_in_daily(30).be_silent(14)
    acme.change_to(measured(m("count", "logins", 14))).be_silent(2)
    assert acme.missing() == [None]


def test_missing_evidence_is_told_apart_from_warming_up() -> None:
    acme = Acme(measured(m("count", "logins", 84), m("fact", "nps"))).log_in_daily(3)
    assert acme.missing() == ["no_evidence", "no_evidence"]
    assert measured(m("rhythm")).layout.fingerprint != measured(m("since_last", "logins")).layout.fingerprint


def test_what_is_not_known_outlives_a_takeover_and_a_second_change() -> None:
    acme = Acme(measured(m("rhythm"))).log_in_daily(30)
    second = measured(m("count", "logins", 14), m("rhythm"))
    acme.change_to(second).log_in_daily(7).change_to(second)
    assert acme.missing() == ["warming_up", None]
    acme.change_to(measured(m("count", "logins", 7), m("count", "logins", 14), m("users", None, 7)))
    assert acme.missing() == [None, "warming_up", "warming_up"]
    assert acme.log_in_daily(7).missing() == [None, None, "no_evidence"]


def test_a_change_of_the_unit_of_gaps_starts_the_rhythm_again() -> None:
    acme = Acme(measured(m("rhythm"))).log_in_daily(30)
    gaps = acme.machine.partition.accounts.cells.u16[0, lay.GAPS]
    acme.change_to(measured(m("rhythm"), rhythm={"unit": "hour"}))
    cells = acme.machine.partition.accounts.cells
    assert (gaps, cells.u16[0, lay.GAPS], cells.f64[0, lay.GAP_SUM]) == (29, 0, 0.0)
    acme.log_in_daily(2)
    assert acme.machine.partition.accounts.cells.u16[0, lay.GAPS] == 2, (
        "the first gap begins before the change"
    )


# --- rules that come and go ----------------------------------------------------------------------------------------

CAP: Final = {"absolute_silence": {"severity": "critical", "days": 10, "refractory_days": 1}}


def test_a_rule_that_comes_is_judged_at_the_next_midnight_even_of_an_account_that_nothing_else_moves() -> (
    None
):
    acme = Acme(measured(m("fact", "nps"))).log_in_daily(5).be_silent(30)
    acme.change_to(measured(m("fact", "nps"), rules=CAP)).be_silent(1)
    (alert,) = acme.messages(Output.DISENGAGEMENTS)
    assert (alert["status"], alert["reasons"][0]["rule"]) == ("firing", "absolute_silence")


def test_a_rule_that_goes_resolves_what_it_had_opened() -> None:
    acme = Acme(measured(m("rhythm"), rules=CAP)).log_in_daily(5).be_silent(30)
    acme.change_to(measured(m("rhythm")))
    assert [(e["severity"], e["reasons"]) for e in acme.view()["episodes"]] == [("critical", [])]
    acme.be_silent(2)
    assert acme.view()["episodes"] == []
    fired, ended = acme.messages(Output.DISENGAGEMENTS)
    assert (fired["status"], ended["status"], ended["reasons"]) == ("firing", "resolved", [])
    assert ended["resolved_by"] == "condition_over"
    assert ended["episode_id"] == fired["episode_id"]
    assert ended["summary"] == "Resolved: what it rested on is not judged any more."


def test_an_opportunity_whose_rule_goes_ends_as_an_opportunity() -> None:
    surge = {"usage_surge": EVERYTHING["usage_surge"] | {"events_min": 1, "ratio": 0.5}}
    acme = Acme(measured(m("rhythm"), rules=surge)).log_in_daily(60)
    acme.change_to(measured(m("rhythm"))).log_in_daily(2)
    assert [body["status"] for body in acme.messages(Output.OPPORTUNITIES)] == ["firing", "resolved"]
    assert acme.messages(Output.DISENGAGEMENTS) == []


def test_a_rule_over_a_window_waits_for_its_days() -> None:
    visits = {"upgrade_interest": EVERYTHING["upgrade_interest"] | {"visits": 1, "window_days": 7}}
    acme = Acme(measured(m("rhythm"))).log_in_daily(20).change_to(measured(m("rhythm"), rules=visits))
    page = b'{"event_id":"p%d","account_id":"acme","occurred_at":%d,"path":"/pricing"}'
    pages = acme.machine.events[Input.PAGE_VISITS]
    pages.append(page % (1, START_MS + 20 * DAY_MS + 7_200_000))
    acme.log_in_daily(6)
    assert acme.messages(Output.OPPORTUNITIES) == []
    acme.log_in_daily(1)
    (alert,) = acme.messages(Output.OPPORTUNITIES)
    assert alert["effective_at"] == "2026-03-27T00:00:00.000Z"


LOOSE: Final[dict[str, tuple[Tree, int, int]]] = {
    "decline": (
        {"weeks": 1, "baseline_weeks": 3, "active_days_min": 1, "drop": 0.1, "level": 0.001},
        lay.KNOWN_ACTIVE,
        28,
    ),
    "users_leaving": (
        {"window_days": 7, "of_days": 14, "share": 1, "users_min": 1},
        lay.KNOWN_USERS,
        14,
    ),
    "usage_surge": (
        {"window_days": 7, "baseline_days": 14, "events_min": 1, "ratio": 0.001},
        lay.KNOWN_RINGS,
        21,
    ),
    "ticket_trouble": (
        {"spike_ratio": 0.001, "spike_min": 1, "unresolved_days": 89},
        lay.KNOWN_RINGS,
        lay.SPIKE_DAYS,
    ),
    "upgrade_interest": ({"visits": 1, "window_days": 7}, lay.KNOWN_RINGS, 7),
}
"""Rules that hold of an account with an event of each kind daily for weeks; what they read, and of how many days."""


@uncompiled
@pytest.mark.parametrize("name", LOOSE)
def test_a_rule_holds_only_if_all_days_of_its_window_are_known(name: str) -> None:
    numbers, k, days = LOOSE[name]
    acme = Acme(measured(m("rhythm"), rules={name: EVERYTHING[name] | numbers}))
    head = b'{"event_id":"%d","account_id":"acme","user_id":"u","occurred_at":%d,'
    for day in range(40):
        at = START_MS + day * DAY_MS
        ticket = b'"ticket_id":"%d","action":"opened"}' % day
        acme.machine.events[Input.TICKETS].append(head % (day, at) + ticket)
        acme.machine.events[Input.PAGE_VISITS].append(head % (day, at) + b'"path":"/pricing"}')
    acme.log_in_daily(40)
    if name == "decline":
        acme.be_silent(6)
    found = acme.machine.partition.accounts
    now, day = int(found.cells.i64[0, lay.NOW]), int(found.cells.u16[0, lay.DAY])

    def is_held() -> bool:
        return holds(found.cells, found.plan, 0, Rule[name.upper()], now, is_open=False)

    assert is_held()
    found.cells.known[0, k] = day - days
    assert is_held()
    found.cells.known[0, k] = day - days + 1
    assert not is_held()


@uncompiled
def test_a_return_counts_only_if_all_days_since_are_known() -> None:
    rules = CAP | {"reengaged": EVERYTHING["reengaged"]}
    acme = Acme(measured(m("rhythm"), rules=rules)).log_in_daily(5).be_silent(20).log_in_daily(4)
    found = acme.machine.partition.accounts
    now, returned = int(found.cells.i64[0, lay.NOW]), int(found.cells.u16[0, lay.RETURNED_DAY])
    held = []
    for unknown in (0, returned - 1, returned):
        found.cells.known[0, lay.KNOWN_ACTIVE] = unknown
        held.append(holds(found.cells, found.plan, 0, Rule.REENGAGED, now, is_open=False))
    assert held == [True, True, False]


def test_a_new_key_feature_is_known_when_the_window_lies_behind_the_change() -> None:
    one, two = {"reports": ["/r"]}, {"wikis": ["/w"], "reports": ["/r"]}
    acme = Acme(measured(m("key_features", None, 7), key_features=one)).log_in_daily(20)
    acme.change_to(measured(m("key_features", None, 7), key_features=two))
    assert acme.log_in_daily(6).missing() == ["warming_up"]
    assert acme.log_in_daily(1).missing() == [None]


# --- bytes ---------------------------------------------------------------------------------------------------------


def rows_of(machine: Machine) -> tuple[Program, Any]:
    values = {key: value for key, value in machine.changelog if key[0] != 0 and value is not None}
    return machine.program, split_values(
        values, machine.program.layout.dtype, lay.template(machine.program.layout)
    )[0]


@pytest.mark.parametrize("pair", PAIRS)
def test_a_column_that_stays_keeps_its_bytes_and_one_that_comes_is_as_in_a_fresh_row(
    events: Events, pair: str
) -> None:
    old, new, _ = PAIRS[pair]
    rows = rows_of(whole(until(events, 40), old))[1]
    found, known = migrate(old.layout.columns, rows, {}, new.layout, NEVER_MS)
    fresh = lay.template(new.layout)
    was = {column.name: column for column in old.layout.columns}
    kept = 0
    for column in new.layout.columns:
        before, cells = was.get(column.name), slice(column.offset, column.offset + column.cells)
        mine = found[column.type][:, cells]
        if column.name == "open":
            continue
        if before is not None and before._replace(offset=column.offset) == column:
            assert mine.tobytes() == rows[before.type][:, before.offset :][:, : before.cells].tobytes()
            kept += 1
        elif before is None and not column.name.startswith("days ") and not column.name.endswith(lay.CHANGES):
            assert (mine == fresh[column.type][:, cells]).all()
    assert kept > 30
    untouched = {
        name for name in was if was[name] in old.layout.columns and name.startswith(("users", "tickets"))
    }
    for k, knowledge in enumerate(new.layout.knowledge):
        if knowledge.name in untouched:
            assert not known[:, k].any()


def test_there_and_back_again_keeps_every_cell_of_rings_that_only_got_longer(events: Events) -> None:
    short, long = measured(m("count", "logins", 14)), measured(m("count", "logins", 56))
    rows = rows_of(whole(until(events, 40), short))[1]
    there, _ = migrate(short.layout.columns, rows, {}, long.layout, NEVER_MS)
    back, known = migrate(long.layout.columns, there, {}, short.layout, NEVER_MS)
    assert back.tobytes() == rows.tobytes()
    assert not known[:, :-1].any()
    assert known[:, -1].all(), "what the model last sent was measured otherwise"


def test_a_row_of_the_default_policy_takes_1024_bytes_at_most_and_a_warm_one_no_tail(events: Events) -> None:
    program = shipped()
    assert program.layout.dtype.itemsize + len(program.layout.fingerprint) <= 1024
    machine = changed_at(until(events, 30), 20, shipped(models=["retention"]), program)
    last = dict(machine.changelog)
    values = {key: value for key, value in last.items() if key[0] != 0 and value}
    tails = split_values(values, program.layout.dtype, lay.template(program.layout))[1]
    assert any(unknown for _, unknown in tails.values()), "some are warming up"
    assert not whole(until(events, 3), measured(m("rhythm"))).partition.accounts.cells.known.any()


# --- the changelog -------------------------------------------------------------------------------------------------


def load(program: Program, records: Log) -> Partition:
    partition = Partition(program, partition=0, partitions=1, keyed=False)
    partition.load([key for key, _ in records], [value for _, value in records])
    partition.loaded()
    return partition


def compacted(records: Log) -> Log:
    """Keep the last record of each key, where it stands."""
    last = {key: at for at, (key, _) in enumerate(records)}
    return [record for at, record in enumerate(records) if last[record[0]] == at]


@pytest.fixture(scope="module")
def logged(events: Events) -> Log:
    """The changelog of a layout, the rows before the description."""
    machine = whole(until(events, 20), measured(m("count", "logins", 14)))
    described = [record for record in machine.changelog if record[0].startswith(LAYOUT)]
    assert len(described) == 1, "a layout is described once"
    return [*compacted([r for r in machine.changelog if r not in described]), *described]


def test_a_description_may_come_after_the_rows_that_need_it(logged: Log) -> None:
    program = measured(m("count", "logins", 28))
    tombstone: Log = [(b"account-of-nobody", None)]
    behind, before = load(program, logged), load(program, [*logged[-1:], *logged[:-1], *tombstone])
    assert len(behind.accounts) == 4
    assert behind.accounts._rows[:4].tobytes() == before.accounts._rows[:4].tobytes()


def test_the_last_record_of_an_account_counts_whatever_its_layout(
    logged: Log,
) -> None:
    program = measured(m("count", "logins", 28))
    key = next(key for key, _ in logged if key[0] != 0)
    newer = load(program, logged)
    row = newer.accounts.row_of(key)
    assert row is not None
    newer.accounts.cells.u16[row, lay.GAPS] = 777
    ((_, value),) = newer.accounts.packed(np.array([row])).pairs()
    for records, gaps in (([*logged, (key, value)], 777), ([(key, value), *logged], None)):
        accounts = load(program, records).accounts
        at = accounts.row_of(key)
        assert at is not None
        found = int(accounts.cells.u16[at, lay.GAPS])
        assert found == 777 if gaps else found < 100


def test_a_layout_that_nothing_describes_is_refused_with_the_way_out(
    logged: Log,
) -> None:
    with pytest.raises(StateError, match=r"4 accounts .*\(fingerprint [0-9a-f]{16}.* LATIDO_APPLICATION_ID"):
        load(measured(m("rhythm")), logged[:-1])


def test_a_newer_state_version_is_refused_with_the_way_out(logged: Log) -> None:
    key, text = logged[-1]
    newer = {"state_version": STATE_VERSION + 1, "columns": "told in another way"}
    assert json.loads(text or b"")["state_version"] == STATE_VERSION
    with pytest.raises(
        StateError, match=r"state version is 3, .* up to 2\. Upgrade this worker.*APPLICATION_ID"
    ):
        load(measured(m("rhythm")), [*logged[:-1], (key, json.dumps(newer).encode())])


def test_a_row_shorter_than_its_layout_is_refused(logged: Log) -> None:
    key, value = next((key, value) for key, value in logged if key[0] != 0 and value)
    with pytest.raises(StateError, match=r"ends after 100 bytes: the changelog is damaged"):
        load(measured(m("rhythm")), [(key, value[:100]), logged[-1]])


def test_a_layout_s_fingerprint_depends_on_the_days_of_bits() -> None:
    seven, eight = measured(m("active_days", "logins", 49)), measured(m("active_days", "logins", 56))
    assert seven.layout.dtype == eight.layout.dtype
    assert seven.layout.fingerprint != eight.layout.fingerprint


def test_a_layout_s_fingerprint_depends_on_what_its_cells_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    before = shipped().layout.fingerprint
    monkeypatch.setattr(lay, "STATE_VERSION", STATE_VERSION + 1)
    assert shipped().layout.fingerprint != before


def read_all(partition: Partition, program: Program) -> None:
    for read in partition.accounts.foreign.read(program.layout, NEVER_MS):
        partition.accounts._put(*read)


@pytest.mark.compiled
@pytest.mark.parametrize("at_once", [64, 2_000])
def test_rows_wait_as_they_are_and_are_migrated_some_at_a_time(
    events: Events, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(foreign, "MIGRATED_AT_ONCE", at_once)
    old, new = shipped(models=["retention"]), shipped(**SHIPPED)
    rows = rows_of(whole(until(events, 20), old))[1]
    count = 2_000
    chosen = np.arange(count) % len(rows)
    values = parts(*join_values(old.layout.fingerprint, rows, chosen, lay.template(old.layout)))
    partition = Partition(new, partition=0, partitions=1, keyed=False)
    tracemalloc.start()
    try:
        partition.load([b"account-%d" % i for i in range(count)], list(values))
        waiting, _ = tracemalloc.get_traced_memory()
        assert waiting < 200 * count, "a row that waits is held, not copied"
        partition.load([LAYOUT + old.layout.fingerprint], [describe(old.layout)])
        read_all(partition, new)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(partition.accounts) == count
    assert not partition.accounts.foreign._waiting
    above = peak - after
    assert above < 500 * count if at_once == 64 else above > 1_000 * count, f"{above} bytes above the end"


def test_after_a_change_rows_are_written_anew_in_bounded_steps(
    events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.partition.SWEEP_ROWS", 50)
    old, new = measured(m("count", "logins", 14)), measured(m("count", "logins", 28))
    machine = whole(until(events, 20), old)
    value = next(value for key, value in reversed(machine.changelog) if key[0] != 0 and value)
    records: Log = [(b"account-%d" % i, value) for i in range(101)]
    records += [record for record in machine.changelog if record[0][0] == 0]
    partition = load(new, records)
    assert partition.drain().changelog == [], "nothing is written before it is judged again"
    offset = partition.position(Input.LOGINS) + 1
    body = b'{"event_id":"x","account_id":"zzz","occurred_at":%d}' % (START_MS + 60 * DAY_MS)
    partition.offer(Input.LOGINS, Chunk([None], [body], np.full(1, offset), np.full(1, -1)))
    for topic in Input:
        partition.end_reached(topic, START_MS + 61 * DAY_MS)
    written: list[list[bytes]] = []
    while partition.step(1) or partition.due_now():
        records = partition.drain().changelog
        written.append([key for key, _ in records if key.startswith(b"account-")])
        described = [key for key, _ in records if key.startswith(LAYOUT)]
        assert described == ([LAYOUT + new.layout.fingerprint] if len(written) == 1 else [])
    assert [len(keys) for keys in written] == [50, 50, 1]
    assert len({key for keys in written for key in keys}) == 101
