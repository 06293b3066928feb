"""What happens to the inputs of a seed, and how they are read: everything but the faults.

    history   records in the order of their times, there before the first worker starts, in transactions or not
    live      records that arrive while the workers run, around the midnight at which silence is judged
    disorder  as live, but late, ahead of their time, and of one account in several inputs

Policies, models and histories are those that the auditor's comparison draws (``tests/auditor/worlds.py``, ``edges.py``), with
what ``policies.py`` adds; ``control.py`` draws what the control topic says.

family     drawn besides
history    everything: its events have one order, whoever reads them
live       no limit of accounts and no brake, which judge accounts by each other; policies that take hold within the history;
           merges of accounts of which nothing comes while the workers run
disorder   no limit of accounts
audited    ends of accounts by erasure and retirement alone: the auditor knows no control, brake or guard
"""

from __future__ import annotations

import json
from enum import StrEnum
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

from aiokafka.structs import TopicPartition

from schemas.topics import INPUT_TOPICS, Input
from streams.succession import join_delay_ms
from tests.auditor import edges, worlds
from tests.auditor.core import program_of
from tests.auditor.days import local_day, start_of_day
from tests.auditor.edges import NEAR_MS
from tests.auditor.event import plausible_ms
from tests.auditor.exact import DAY_MS, partition_of
from tests.faults.broker import Stored
from tests.faults.control import Operator, Written
from tests.faults.merging import Merging, draw_merges, lives_in, with_twins
from tests.faults.policies import Drawn, Timed, strict, with_crowd, with_erasures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.plan import Program
    from tests.auditor.event import Recorded

NOBODY: Final = -1
HOUR_MS: Final = 3_600_000
AUDITED: Final = (1, 8, 13)
"""Of twenty seeds those that are compared with the auditor as well."""
HALTS: Final = 0.35
MERGES: Final = 0.5
"""So many of the seeds that are not audited merge accounts."""
LIVE_BEFORE_MS: Final = 4_000
LIVE_AFTER_MS: Final = 5_000
JOINS_MS: Final = (2_000, 14_000)
"""So far beyond where the clock would be as the workers are started a join lies that is to be heard before it counts."""
ACTIVE: Final = (Input.LOGINS, Input.PAGE_VISITS, Input.TICKETS)


class Family(StrEnum):
    """What is claimed depends on it: see ``judge.py``."""

    HISTORY = "history"
    LIVE = "live"
    DISORDER = "disorder"


class Arrival(NamedTuple):
    """Records that arrive together, after so many ms; in a transaction that is held open so long, or in none."""

    after_ms: int
    partition: TopicPartition
    rows: list[Stored]
    held_ms: int | None = None
    commit: bool = True


class Scenario(NamedTuple):
    """The inputs of a seed."""

    family: Family
    world: worlds.World
    program: Program
    isolation_level: str
    begin_ms: int
    """Wall time at which the workers are started."""
    until_ms: int
    """Outputs up to here are judged."""
    arrivals: list[Arrival]
    active: list[tuple[str, int, int]]
    """Activity while the workers run: account, when it was, and when it arrived."""
    control: list[Written]
    begin_under: list[Program]
    """With one of these each worker is started, whatever is in force."""
    is_audited: bool
    goes_on: bool
    """Whether somebody lets halted inputs go on."""


def scenario(seed: int) -> Scenario:
    """Return the scenario of a seed."""
    rng, more, merging = (Random(f"{what} {seed}") for what in ("faults", "control", "merging"))
    family = (Family.HISTORY, Family.LIVE, Family.DISORDER, Family.LIVE)[seed % 4]
    world = _world(rng.randrange(WORLDS))
    records, world = edges.drawn(rng, world, rng.choice([60, 120, 200]))
    is_audited = seed % 20 in AUDITED
    drawn = _drawn(more, family, is_audited=is_audited)
    timed = _in_order(with_erasures(more, records) if drawn.ends else records)
    world = world._replace(policy=strict(more, world.policy, drawn))
    if drawn.is_crowded:
        timed = with_crowd(more, timed, world)
    merges = not is_audited and merging.random() < MERGES
    if merges:
        timed = with_twins(merging, timed, world)
        if drawn.ends and merging.random() < 0.7:  # so long that joins come meanwhile
            world = world._replace(policy=world.policy | {"erased_days": 30})
    goes_on = not is_audited and more.random() < 0.8
    if family is Family.HISTORY and goes_on and more.random() < HALTS:
        timed = _halting(more, timed)
    end_ms = max(time_ms for time_ms, _ in timed)
    isolation = rng.choice(["read_uncommitted", "read_committed"])
    feed = None
    begin_ms, until_ms = end_ms + 10 * 60_000, end_ms
    if family is not Family.HISTORY:
        zone = world.policy["time_zone"]
        midnight_ms = start_of_day(zone, local_day(zone, end_ms + HOUR_MS) + rng.choice([1, 1, 2]))
        begin_ms, until_ms = midnight_ms - LIVE_BEFORE_MS - 2_000, midnight_ms + LIVE_AFTER_MS
        world = world._replace(policy=world.policy | {"grace_s": rng.choice([1, 2])})
        timed = [(time_ms, record) for time_ms, record in timed if record.value != b"{"]
    world = world._replace(until_ms=until_ms)
    arrivals = [*_history(rng, timed, end_ms, isolation, may_be_open=family is Family.HISTORY)]
    if family is not Family.HISTORY:
        feed = Feed(rng, world, begin_ms, midnight_ms, family, is_held=rng.random() < 0.7)
        arrivals += feed.arrivals()
    control, begin_under = (
        ([], [program(world)]) if is_audited else _controlled(more, family, world, timed, drawn)
    )
    if merges:
        merged, joined_ms = _merged(merging, world, timed, begin_ms, feed)
        control, until_ms = control + merged, max(until_ms, joined_ms)
    return Scenario(
        family, world, program(world), isolation, begin_ms, until_ms, arrivals, feed.active if feed else [],
        control, begin_under, is_audited, goes_on,
    )  # fmt: skip


def _drawn(rng: Random, family: Family, *, is_audited: bool) -> Drawn:
    is_history = family is Family.HISTORY
    ends, few, brake, guard = (rng.random() < share for share in (0.5, 0.4, 0.5, 0.4))
    return Drawn(
        ends,
        few and is_history,
        brake and family is not Family.LIVE and not is_audited,
        guard and not is_audited,
    )


def _controlled(
    rng: Random, family: Family, world: worlds.World, timed: Timed, drawn: Drawn
) -> tuple[list[Written], list[Program]]:
    """Return what the control topic says, and the programs that workers are started with."""
    zone, times = world.policy["time_zone"], [time_ms for time_ms, _ in timed]
    begin_under = [program(world)]
    operator = Operator(rng, times, zone, may_be_late=family is not Family.LIVE)
    if family is Family.LIVE:
        operator.policies_until_ms = _known_everywhere_ms(timed)
    if rng.random() < 0.25:
        begin_under.append(program(_another(rng, world, drawn)))
        operator.activate(world, times[0] - DAY_MS)
    if rng.random() < 0.4:
        for _ in range(rng.choice([1, 1, 2])):
            operator.activate(_another(rng, world, drawn))
    if family is not Family.HISTORY:
        assert world.until_ms is not None
        operator.times = [*times[-5:], *range(world.until_ms - 9_000, world.until_ms, 500)]
    if rng.random() < 0.4:
        operator.mute()
    if rng.random() < 0.2:
        operator.go_live()
    if len(operator.written) > 1 and rng.random() < 0.35:
        operator.change_mind()
    return operator.written, begin_under


def _known_everywhere_ms(timed: Timed) -> int:
    """Return up to when each partition that has a history has events: a policy takes hold before one, not by the clock."""
    return min({record.partition: time_ms for time_ms, record in timed}.values())


def _merged(
    rng: Random, world: worlds.World, timed: Timed, begin_ms: int, feed: Feed | None
) -> tuple[list[Written], int]:
    """Return what the control topic says of merges, and when the last join is to count that does so while the workers run."""
    policy, times = world.policy, [time_ms for time_ms, _ in timed]
    delay_ms = join_delay_ms(program(world).policy)
    near = [begin_ms - 1000 * policy["grace_s"] + rng.randrange(*JOINS_MS) for _ in range(4)]
    busy = set[str]()
    if feed is not None:
        near += [feed.midnight_ms + rng.choice(NEAR_MS) for _ in range(2)]
        busy = feed.accounts if feed.family is Family.LIVE else busy
    operator = Operator(rng, times, policy["time_zone"], may_be_late=True)
    draw_merges(rng, operator, Merging(lives_in(timed, but=busy), delay_ms, near))
    said_ms = [json.loads(each.value)["effective_at"] + delay_ms for each in operator.written if each.value]
    return operator.written, max((at_ms for at_ms in said_ms if at_ms <= max(near)), default=0)


def _another(rng: Random, world: worlds.World, drawn: Drawn) -> worlds.World:
    """Return another version of a policy: with other models and rules, or only other numbers of what ends and waits."""
    other = _world(rng.randrange(WORLDS)) if rng.random() < 0.6 else world
    drawn = drawn._replace(brake=drawn.brake and rng.random() < 0.7, guard=drawn.guard and rng.random() < 0.7)
    policy = strict(rng, other.policy, drawn)
    same = {name: world.policy[name] for name in ("time_zone", "grace_s")}
    return other._replace(policy=policy | same | {"version": rng.randrange(2, 99)})


def _halting(rng: Random, timed: Timed) -> Timed:
    """Put so many broken records in a row that an input halts, once or twice."""
    at = rng.randrange(len(timed))
    time_ms, record = timed[at]
    bad = (time_ms, record._replace(value=b"{"))
    return [*timed[:at], *[bad] * rng.choice([100, 101, 115, 205]), *timed[at:]]


WORLDS: Final = 40
PROGRAMS_KEPT: Final = 64
_programs: dict[str, Program] = {}
_world = cache(worlds.world)


def program(world: worlds.World) -> Program:
    """Return the compiled policy and models."""
    key = json.dumps([world.policy, world.models], default=str, sort_keys=True)
    if len(_programs) == PROGRAMS_KEPT:
        _programs.clear()
    if key not in _programs:
        _programs[key] = program_of(world.policy, world.models)
    return _programs[key]


def _in_order(records: list[Recorded]) -> Timed:
    """Put records in order of their times; one that tells none follows the one before it."""
    timed, last = [], 0
    for record in records:
        time_ms = plausible_ms(record.value)
        last = int(time_ms) if time_ms > 0 else last
        timed.append((last, record))
    timed.sort(key=lambda pair: pair[0])
    return timed


def _history(
    rng: Random, timed: Timed, end_ms: int, isolation: str, *, may_be_open: bool
) -> Iterator[Arrival]:
    """Cut what lies in each input into batches, some aborted and sent again, the last perhaps held open for a while."""
    is_hidden = isolation == "read_committed"
    lanes: dict[TopicPartition, list[Stored]] = {}
    for _, record in timed:
        tp = TopicPartition(INPUT_TOPICS[record.input].name, record.partition)
        lanes.setdefault(tp, []).append(Stored(-1, end_ms, record.key, record.value, ()))
    for tp in sorted(lanes):
        rows, transactional = lanes[tp], rng.random() < 0.4
        while rows:
            batch, rows = rows[: (size := rng.randint(1, 40))], rows[size:]
            if not transactional:
                yield Arrival(NOBODY, tp, batch)
                continue
            if rng.random() < 0.15 and is_hidden:  # else the days of the batch would be read twice
                yield Arrival(NOBODY, tp, batch, 0, commit=False)
            held_ms = (
                rng.randint(0, 2_500) if is_hidden and may_be_open and not rows and rng.random() < 0.6 else 0
            )
            yield Arrival(NOBODY, tp, batch, held_ms)


class Feed:
    """Live events of the accounts of a history around a midnight."""

    def __init__(
        self,
        rng: Random,
        world: worlds.World,
        begin_ms: int,
        midnight_ms: int,
        family: Family,
        *,
        is_held: bool,
    ) -> None:
        self.active: list[tuple[str, int, int]] = []
        self.family, self.midnight_ms = family, midnight_ms
        self._rng, self._world, self._begin_ms = rng, world, begin_ms
        self._is_disordered, self._is_held = family is Family.DISORDER, is_held
        self._grace_ms: int = 1000 * world.policy["grace_s"]
        self._count = 0

    @property
    def accounts(self) -> set[str]:
        """The accounts of which something comes."""
        return {account for account, _, _ in self.active}

    def arrivals(self) -> list[Arrival]:
        """Return what arrives, each input in the order of its arrival."""
        sent: list[tuple[int, int, str, Input, Stored]] = []
        for number in range(self._rng.randint(2, 5)):
            account = f"account-{number}"
            source = self._rng.choice(ACTIVE)
            for time_ms in self._times():
                source = self._rng.choice(ACTIVE) if self._is_disordered else source
                arrives_ms = time_ms + self._delay_ms()
                sent.append(
                    (arrives_ms, time_ms, account, source, self._row(account, source, time_ms, arrives_ms))
                )
                if self._rng.random() < 0.1:
                    sent.append((arrives_ms, *sent[-1][1:]))
        sent.sort(key=lambda one: one[0])
        return [*self._batches(sent)]

    def _times(self) -> list[int]:
        """Return instants, half of them close to the midnight."""
        rng = self._rng
        near = [
            self.midnight_ms + rng.choice([-1, 0, 1, -500, 500, -1_000]) for _ in range(rng.randint(0, 3))
        ]
        times = [
            self._begin_ms + 2_000 + rng.randrange(LIVE_BEFORE_MS + 3_000) for _ in range(rng.randint(1, 8))
        ]
        return sorted(times + near)

    def _delay_ms(self) -> int:
        rng, grace_ms = self._rng, self._grace_ms
        if self._is_disordered and rng.random() < 0.15:
            return rng.choice([grace_ms, 2 * grace_ms, -400_000])
        return rng.randrange(grace_ms // 2)

    def _row(self, account: str, source: Input, time_ms: int, arrives_ms: int) -> Stored:
        self._count += 1
        fields = {"event_id": f"live-{self._count}", "account_id": account, "occurred_at": time_ms}
        if source is Input.TICKETS:
            fields |= {"ticket_id": f"L{self._count}", "action": "opened"}
        if source is Input.PAGE_VISITS:
            fields |= {"path": self._rng.choice(["/app/reports/7", "/pricing", "/cancel"])}
        return Stored(-1, max(arrives_ms, self._begin_ms), account.encode(), json.dumps(fields).encode(), ())

    def _batches(self, sent: list[tuple[int, int, str, Input, Stored]]) -> Iterator[Arrival]:
        """Gather what arrives in an input within a moment; it may lie in a transaction that is open for a while."""
        lanes: dict[TopicPartition, list[tuple[int, int, str, Input, Stored]]] = {}
        for one in sent:
            number = partition_of(one[2], self._world.partitions)
            lanes.setdefault(TopicPartition(INPUT_TOPICS[one[3]].name, number), []).append(one)
        for tp in sorted(lanes):
            lane, transactional = lanes[tp], self._is_held and self._rng.random() < 0.5
            while lane:
                first_ms = max(lane[0][0], self._begin_ms)
                moment_ms = self._rng.choice([0, 100, 1_000])
                batch = [one for one in lane if one[0] <= lane[0][0] + moment_ms]
                lane = lane[len(batch) :]
                self.active += [(account, time_ms, first_ms) for _, time_ms, account, _, _ in batch]
                held_ms = self._rng.randrange(3_000) if transactional else None
                yield Arrival(first_ms - self._begin_ms, tp, [one[4] for one in batch], held_ms)
