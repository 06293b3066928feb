r"""Laws of merges: an account that took another one in is as if it had had all events; cuts and crashes change nothing.

events   a...b..a..b.b..a..|......a...      |: b is merged into a, which takes it in eight minutes later
          \\__ split over two at random      as if all were a's from the start
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.joins import fold_with_joins
from agents.partition import Partition
from schemas.control import JoinAccount
from schemas.events import Instant
from schemas.records import Chunk
from schemas.topics import Input, Output
from streams.clock import ENDLESS_MS
from streams.control import ControlLine
from streams.instants import instant_ms
from streams.murmur import partition_of
from tests.auditor.core import program_of
from tests.auditor.scenarios import Tree, default_policy, model
from tests.core.conftest import DAY_MS, START_MS, by_account, company
from tests.scenarios.timeline import measured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from schemas.records import OutputRecord
    from streams.layout import Column
    from streams.plan import Program
    from tests.core.conftest import Events

    Pair = tuple[bytes, bytes | None]

MINUTE_MS: Final = 60_000
few = settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))


def merge(at_ms: int, old: str, new: str) -> Tree:
    return {"kind": "merge", "id": f"{old} {new}", "effective_at": at_ms, "old": old, "new": new}


def topic(*records: Tree) -> list[ControlLine]:
    return [ControlLine(at, None, json.dumps(each).encode()) for at, each in enumerate(records)]


def at_ms(value: bytes) -> int:
    return instant_ms(msgspec.convert(json.loads(value)["occurred_at"], Instant))


def offer(partition: Partition, source: Input, first: int, values: Sequence[bytes]) -> None:
    offsets = np.arange(first, first + len(values), dtype=np.int64)
    nothing = np.full(len(values), -1, np.int64)
    partition.offer(source, Chunk([None] * len(values), list(values), offsets, nothing))


def take_all(partition: Partition, events: Events) -> None:
    for source in Input:
        if events[source]:
            offer(partition, source, 0, events[source])
        partition.end_reached(source, ENDLESS_MS)
    while partition.step(1_000) or partition.due_now():
        pass


def folded(program: Program, events: Events, end_ms: int, control: Sequence[ControlLine]) -> Partition:
    """Return a partition that took all events and control records, and whose clock is at the end."""
    whole = Partition(program, partition=0, partitions=1, keyed=False)
    whole.take_control(control)
    take_all(whole, events)
    whole.merge.clock_ms = end_ms
    whole.sweep_all()
    return whole


# --- as if all had been one's from the start -----------------------------------------------------------------------

RICH: Final = model(
    measured("count", 10, source="logins", window_days=28) | {"name": "a"},
    measured("active_days", 10, source="page_visits", window_days=28) | {"name": "b"},
    measured("sum", 10, source="payments_succeeded", window_days=28) | {"name": "c"},
    measured("users", 10, window_days=28) | {"name": "d"},
    measured("mean", 5, source="csat", window_days=28) | {"name": "e"},
    measured("mean", 5, source="resolve_hours", window_days=28) | {"name": "f"},
    measured("key_features", 1, window_days=28) | {"name": "g"},
    measured("since_last", 10, source="logins") | {"name": "h"},
    measured("count", 10, source="payments_failed", window_days=28) | {"name": "i"},
    measured("open_tickets", 10) | {"name": "j"},
    measured("late_payments", 10) | {"name": "k"},
    min_change=0.001,
    min_coverage=0,
)
RULES: Final[Tree] = {
    "decline": {},
    "users_leaving": {},
    "risk_page": {"severity": "warning", "quiet_days": 30},
}
FEATURES: Final = {"export": ["/export"], "import": ["/import"]}
EQUAL: Final = (
    "count ", "days ", "sum ", "currency", "week ", "users", "user_seen", "active days", "first use ", "last use ", "last day ",
    "last_active", "first_day", "last_event_day", "tickets: ", "payments: ", "risk_last", "day",
)  # fmt: skip
"""How the names of columns begin that are as if all events had been one account's."""


def history(rng: random.Random, days: int) -> Iterator[Tree]:
    """Yield events in their order, a second apart at least; a ticket or payment has few events, all by one name."""
    times = sorted(rng.sample(range(days * 86_400), 12 * days))
    for number, second in enumerate(times):
        head = {"event_id": f"e{number}", "occurred_at": START_MS + 1000 * second}
        case = rng.randrange(4)
        told: list[Tree] = [
            {"type": "login", "user_id": f"u{rng.randrange(9)}"},
            {"type": "page_visit", "path": rng.choice(["/app", "/export", "/import", "/cancel"])},
            {
                "type": "ticket", "ticket_id": f"T{case}", "by": case,
                "action": rng.choice(["opened", "resolved", "escalated", "closed"]), "csat": rng.choice([None, 1, 5]),
            },
            {
                "type": "payment", "payment_id": f"P{case}", "by": case, "amount_minor": rng.randrange(99), "currency": "EUR",
                "status": rng.choice(["due", "failed", "succeeded", "refunded"]),
            },
            {"type": "facts", "facts": {rng.choice(["nps", "owner", "arr"]): rng.randrange(9)}},
        ]  # fmt: skip
        yield head | rng.choice(told)


SOURCES: Final = {
    "login": Input.LOGINS, "page_visit": Input.PAGE_VISITS, "ticket": Input.TICKETS, "payment": Input.PAYMENTS,
    "facts": Input.ACCOUNT_FACTS,
}  # fmt: skip


def by_source(events: Sequence[Tree], name_of: Callable[[Tree], str]) -> Events:
    found: Events = {source: [] for source in Input}
    for event in events:
        found[SOURCES[event["type"]]].append(json.dumps(event | {"account_id": name_of(event)}).encode())
    return found


def cells_of(partition: Partition, column: Column, row: int) -> list[int | float]:
    cells = getattr(partition.accounts.cells, column.type)
    found: list[int | float] = cells[row, column.offset : column.offset + column.cells].tolist()
    return found


def slots_of(partition: Partition, row: int, name: str) -> set[tuple[int, int, int]]:
    """Return the slots that are taken: in which one a ticket lies says nothing."""
    columns = {
        column.name: cells_of(partition, column, row) for column in partition.accounts.program.layout.columns
    }
    pairs, states = columns[f"{name}: id and instant"], columns[f"{name}: state"]
    slots = len(states)
    return {(int(pairs[i]), int(pairs[slots + i]), int(states[i])) for i in range(slots) if states[i]}


@pytest.mark.parametrize("seed", range(6))
def test_who_took_another_in_is_as_if_it_had_had_all_events(seed: int) -> None:
    program = program_of(
        default_policy(models=[RICH["model"]], rules=RULES, key_features=FEATURES), {RICH["model"]: RICH}
    )
    rng, days = random.Random(seed), 20 + seed * 9
    events = list(history(rng, days))
    share = [0.5, 0.1, 0.9][seed % 3]
    sides = {case: rng.choice(["a", "b"]) for case in range(4)}
    alone = (0, 4) if seed % 2 else (days - 4, days)  # at the beginning, or at the end, only one has events

    def name_of(each: Tree) -> str:
        if "by" in each:
            return sides[each["by"]]
        is_alone = alone[0] <= (each["occurred_at"] - START_MS) // DAY_MS < alone[1]
        return "b" if is_alone or rng.random() < share else "a"

    events = [
        each
        for each in events
        if "by" not in each or not alone[0] <= (each["occurred_at"] - START_MS) // DAY_MS < alone[1]
    ]
    names = {each["event_id"]: name_of(each) for each in events}
    end_ms = START_MS + days * DAY_MS + DAY_MS // 2
    control = topic(merge(START_MS + days * DAY_MS + 1, "b", "a"))
    found: list[Partition] = []

    def fold(_: int, lines: Sequence[ControlLine]) -> Sequence[Pair]:
        found.append(folded(program, by_source(events, lambda each: names[each["event_id"]]), end_ms, lines))
        return found[-1].drain().control

    fold_with_joins(control, 1, fold)
    merged, whole = found[-1], folded(program, by_source(events, lambda _: "a"), end_ms, ())
    rows = [each.accounts.row_of(b"a") for each in (merged, whole)]
    assert None not in rows
    assert [merged.accounts.names[row] for row in merged.accounts.existing()] == ["a"]
    for column in program.layout.columns:
        if not column.name.startswith(EQUAL) or column.name.startswith(("tickets", "payments")):
            continue
        mine, all_of_them = (
            cells_of(each, column, int(row or 0)) for each, row in zip((merged, whole), rows, strict=True)
        )
        assert mine == all_of_them, column.name
    for name in ("tickets", "payments"):
        mine_of, all_of = (
            slots_of(each, int(row or 0), name) for each, row in zip((merged, whole), rows, strict=True)
        )
        assert mine_of == all_of
    assert merged.accounts.cold[int(rows[0] or 0)] == whole.accounts.cold[int(rows[1] or 0)]
    assert not merged.accounts.cells.known[rows[0]].any()


# --- cuts, crashes, one partition or several -----------------------------------------------------------------------

DAYS: Final = 24
NAMES: Final = [f"acct-{number:05}" for number in range(8)]
MERGES: Final = (
    merge(START_MS + 5 * DAY_MS + 3_600_000, NAMES[0], NAMES[1]),
    merge(START_MS + 9 * DAY_MS, NAMES[2], "renamed"),
    merge(START_MS + 9 * DAY_MS + 20 * MINUTE_MS, NAMES[3], NAMES[4]),
    merge(START_MS + 14 * DAY_MS + 7, NAMES[4], "renamed"),
    merge(START_MS + 14 * DAY_MS + 7, NAMES[1], NAMES[5]),
    merge(START_MS + 20 * DAY_MS, "renamed", NAMES[6]),
)
END_MS: Final = START_MS + DAYS * DAY_MS


class Town:
    """Partitions that hear one control topic; events and ends of inputs come in the order of time."""

    def __init__(
        self, program: Program, events: Events, partitions: int, control: Sequence[ControlLine]
    ) -> None:
        self.program, self.lines = program, list(control)
        self.machines = [self._new(number, partitions) for number in range(partitions)]
        self.changelogs: list[list[Pair]] = [[] for _ in range(partitions)]
        self.outputs: list[OutputRecord] = []
        self.joins: list[bytes] = []
        self._events: dict[tuple[int, Input], list[bytes]] = {
            (number, source): [] for number in range(partitions) for source in Input
        }
        for source, values in events.items():
            for value in values:
                home = partition_of(json.loads(value)["account_id"].encode(), partitions)
                self._events[home, source].append(value)
        self._next = dict.fromkeys(self._events, 0)

    def _new(self, number: int, partitions: int) -> Partition:
        return Partition(
            self.program, partition=number, partitions=partitions, keyed=False, application="town"
        )

    def instants(self) -> list[int]:
        """Return when something comes or may count."""
        times = {at_ms(value) for values in self._events.values() for value in values}
        for each in MERGES:
            times |= {each["effective_at"] + half * 30_000 for half in range(40)}
        return sorted(times | {END_MS})

    def reach(self, now_ms: int) -> None:
        """Let all that happened until now come, each partition having heard of control before."""
        for number, machine in enumerate(self.machines):
            machine.take_control(line for line in self.lines if line.offset >= machine.control_next)
            for source in Input:
                values, first = self._events[number, source], self._next[number, source]
                last = first
                while last < len(values) and at_ms(values[last]) <= now_ms:
                    last += 1
                if last > first:
                    offer(machine, source, first, values[first:last])
                    self._next[number, source] = last
                machine.end_reached(source, now_ms)
            while machine.step(500) or machine.due_now():
                pass

    def commit(self, number: int) -> None:
        batch = self.machines[number].drain()
        self.changelogs[number] += batch.changelog
        self.outputs += [record for record in batch.outputs if record.topic is not Output.ACCOUNTS]
        for key, value in batch.control:
            self.lines.append(ControlLine(len(self.lines), key, value))
            self.joins += [] if value is None else [value]

    def crash(self, number: int, rng: random.Random) -> None:
        """Another owner goes on from what was committed."""
        machine, log, at = self._new(number, len(self.machines)), self.changelogs[number], 0
        while at < len(log):
            chunk = log[at : at + rng.randint(1, 300)]
            at += len(chunk)
            machine.load([key for key, _ in chunk], [value for _, value in chunk])
        machine.loaded()
        self.machines[number] = machine
        for source in Input:
            self._next[number, source] = machine.position(source) + 1

    def live(self, rng: random.Random, *, commit: float, crash: float) -> dict[str, list[bytes]]:
        """Let all happen; return the outputs by account."""
        due = {each["effective_at"] + 5 * MINUTE_MS for each in MERGES}
        for now_ms in self.instants():
            self.reach(now_ms)
            for number in range(len(self.machines)):
                if now_ms in due or rng.random() < commit:
                    self.commit(number)
                if rng.random() < crash:
                    self.crash(number, rng)
        self.reach(END_MS)
        for number in range(len(self.machines)):
            self.commit(number)
        return by_account([record.value for record in self.outputs])


@pytest.fixture(scope="module")
def moving() -> Program:
    """The shipped policy with a model of which every change is told."""
    return program_of(default_policy(models=[RICH["model"]], key_features=FEATURES), {RICH["model"]: RICH})


@pytest.fixture(scope="module")
def events() -> Events:
    return company(seed=2, accounts=len(NAMES), days=DAYS)


def replayed(program: Program, events: Events, partitions: int) -> tuple[dict[str, list[bytes]], int]:
    """Return what a replay of the events and the merges tells, by account, and how many joins it made."""
    told: dict[int, list[bytes]] = {}

    def fold(number: int, lines: Sequence[ControlLine]) -> list[Pair]:
        mine: Events = {
            source: [
                v for v in values if partition_of(json.loads(v)["account_id"].encode(), partitions) == number
            ]
            for source, values in events.items()
        }
        machine = Partition(program, partition=number, partitions=partitions, keyed=False)
        machine.take_control(lines)
        take_all(machine, mine)
        machine.merge.clock_ms = max(machine.merge.clock_ms, END_MS - machine.grace_ms)
        machine.sweep_all()
        batch = machine.drain()
        told[number] = [record.value for record in batch.outputs if record.topic is not Output.ACCOUNTS]
        return list(batch.control)

    made = fold_with_joins(topic(*MERGES), partitions, fold)
    return by_account([value for values in told.values() for value in values]), len(made)


@pytest.mark.parametrize("partitions", [1, 3])
def test_the_history_shows_merges_at_work(moving: Program, events: Events, partitions: int) -> None:
    told, joins = replayed(moving, events, partitions)
    assert joins == len(MERGES)
    causes = [json.loads(value).get("cause", {}).get("kind") for values in told.values() for value in values]
    assert causes.count("merge") >= 3, "nothing moved but names"
    ends = {json.loads(value).get("resolved_by") for values in told.values() for value in values}
    assert "merged" in ends


@pytest.mark.compiled
@few
@given(seed=st.integers(0, 1 << 30), partitions=st.integers(1, 3))
def test_workers_that_crash_at_any_commit_tell_what_the_replay_tells(
    moving: Program, events: Events, seed: int, partitions: int
) -> None:
    expected, joins = replayed(moving, events, partitions)
    town = Town(moving, events, partitions, topic(*MERGES))
    assert town.live(random.Random(seed), commit=0.3, crash=0.02) == expected
    ids = [msgspec.json.decode(value, type=JoinAccount).id for value in town.joins]
    assert len(set(ids)) == len(ids) == joins, "each join is written once"


@pytest.mark.compiled
def test_a_partition_that_others_take_over_again_and_again_takes_each_join_once(
    moving: Program, events: Events
) -> None:
    expected, _ = replayed(moving, events, 2)
    town = Town(moving, events, 2, topic(*MERGES))
    assert town.live(random.Random(1), commit=1.0, crash=0.3) == expected
