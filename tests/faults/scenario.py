"""What happens to the inputs of a seed, and how they are read: everything but the faults.

    history   records in the order of their times, there before the first worker starts, in transactions or not
    live      records that arrive while the workers run, around the midnight at which silence is judged
    disorder  as live, but late, ahead of their time, and of one account in several inputs

Policies, models and histories are those that the auditor's comparison draws (``tests/auditor/worlds.py``, ``edges.py``).
"""

from __future__ import annotations

import json
from enum import StrEnum
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

from aiokafka.structs import TopicPartition

from schemas.topics import INPUT_TOPICS, Input
from tests.auditor import edges, worlds
from tests.auditor.core import program_of
from tests.auditor.days import local_day, start_of_day
from tests.auditor.event import plausible_ms
from tests.auditor.exact import partition_of
from tests.faults.broker import Stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.plan import Program
    from tests.auditor.event import Recorded

NOBODY: Final = -1
HOUR_MS: Final = 3_600_000
LIVE_BEFORE_MS: Final = 4_000
LIVE_AFTER_MS: Final = 5_000
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


def scenario(seed: int) -> Scenario:
    """Return the scenario of a seed."""
    rng = Random(f"faults {seed}")
    family = (Family.HISTORY, Family.LIVE, Family.DISORDER, Family.LIVE)[seed % 4]
    world = _world(rng.randrange(WORLDS))
    records, world = edges.drawn(rng, world, rng.choice([60, 120, 200]))
    timed = _in_order(records)
    end_ms = max(time_ms for time_ms, _ in timed)
    isolation = rng.choice(["read_uncommitted", "read_committed"])
    if family is Family.HISTORY:
        arrivals = [*_history(rng, timed, end_ms, isolation, may_be_open=True)]
        begin_ms = end_ms + 10 * 60_000
        world = world._replace(until_ms=end_ms)
        return Scenario(family, world, program(world), isolation, begin_ms, end_ms, arrivals, [])
    zone = world.policy["time_zone"]
    midnight_ms = start_of_day(zone, local_day(zone, end_ms + HOUR_MS) + rng.choice([1, 1, 2]))
    begin_ms, until_ms = midnight_ms - LIVE_BEFORE_MS - 2_000, midnight_ms + LIVE_AFTER_MS
    world = world._replace(policy=world.policy | {"grace_s": rng.choice([1, 2])}, until_ms=until_ms)
    timed = [(time_ms, record) for time_ms, record in timed if record.value != b"{"]
    arrivals = [*_history(rng, timed, end_ms, isolation, may_be_open=False)]
    feed = Feed(rng, world, begin_ms, midnight_ms, family, is_held=rng.random() < 0.7)
    arrivals += feed.arrivals()
    return Scenario(family, world, program(world), isolation, begin_ms, until_ms, arrivals, feed.active)


WORLDS: Final = 40
_programs: dict[str, Program] = {}
_world = cache(worlds.world)


def program(world: worlds.World) -> Program:
    """Return the compiled policy and models."""
    key = json.dumps([world.policy, world.models], default=str, sort_keys=True)
    if key not in _programs:
        _programs[key] = program_of(world.policy, world.models)
    return _programs[key]


def _in_order(records: list[Recorded]) -> list[tuple[int, Recorded]]:
    """Put records in order of their times; one that tells none follows the one before it."""
    timed, last = [], 0
    for record in records:
        time_ms = plausible_ms(record.value)
        last = int(time_ms) if time_ms > 0 else last
        timed.append((last, record))
    timed.sort(key=lambda pair: pair[0])
    return timed


def _history(
    rng: Random, timed: list[tuple[int, Recorded]], end_ms: int, isolation: str, *, may_be_open: bool
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
        self._rng, self._world, self._begin_ms, self._midnight_ms = rng, world, begin_ms, midnight_ms
        self._is_disordered, self._is_held = family is Family.DISORDER, is_held
        self._grace_ms: int = 1000 * world.policy["grace_s"]
        self._count = 0

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
            self._midnight_ms + rng.choice([-1, 0, 1, -500, 500, -1_000]) for _ in range(rng.randint(0, 3))
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
