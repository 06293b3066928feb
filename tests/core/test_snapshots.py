"""A snapshot and the tail of the changelog give byte by byte what the whole changelog gives, through the file itself.

Rows of a snapshot may be ahead of the changelog by instants at which nothing was told, and views have gone out meanwhile: so
both are compared when it is as late again as it was for the first owner, without the views that wait.

first owner   days, under one program or two after each other | saved at the end of a day
next owners                                                     more days, the last two of which reads either way
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agents.partition import Partition
from agents.simulation import Company, Rates, Span
from agents.snapshots import Found, Snapshots
from schemas.records import Chunk
from schemas.topics import Input
from streams.cells import STALE
from streams.layout import VIEW_DUE
from tests.auditor.core import program_of
from tests.auditor.scenarios import component, default_policy, model
from tests.core.conftest import DAY_MS, START_MS

if TYPE_CHECKING:
    from agents.simulation import SimulatedEvent
    from schemas.records import Snapshot
    from streams.accounts import Accounts
    from streams.plan import Program

    Log = list[tuple[bytes, bytes | None]]

DAYS = 40
few = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@cache
def company() -> list[list[SimulatedEvent]]:
    """Return a small company's events by day."""
    span = Span(seed=9, accounts=4, start_ms=START_MS, days=DAYS, volume=0.05, rates=Rates(2.0, 2.0, 0.05))
    days: list[list[SimulatedEvent]] = [[] for _ in range(DAYS)]
    for event in Company(span):
        if event.topic is Input.ACCOUNT_FACTS and int(event.account_id[-1], 36) % 2:
            continue  # nothing is known of some accounts
        days[min(DAYS - 1, (event.occurred_ms - START_MS) // DAY_MS)].append(event)
    return days


@cache
def programs() -> tuple[Program, Program]:
    """Return two programs of different layouts, each with what the other has not."""
    logins = component(
        "logins", metric={"feature": "count", "source": "logins", "window_days": 7}, ramp=[[0, 0], [9, 100]]
    )
    longer = component(
        "longer", metric={"feature": "count", "source": "logins", "window_days": 28}, ramp=[[0, 0], [9, 100]]
    )
    arr = component("arr", metric={"feature": "fact", "source": "arr"}, ramp=[[0, 0], [100_000, 100]])
    rules = default_policy()["rules"]
    ends = {"retire": {"closed_days": None, "quiet_days": 5}, "erased_days": 2}
    brake = {"factor": 1.0, "firings_min": 1, "weeks": 1}
    guard = {"inputs": ["logins"], "expected_min": 1, "weeks": 1, "settle_hours": 12, "hold_days": 1}
    held = default_policy(models=["test"], rules=rules, brake=brake, stalled_sources=guard, **ends)
    return (
        program_of(held, {"test": model(logins, arr)}),
        program_of(default_policy(models=["test"], rules={}, erased_days=2), {"test": model(logins, longer)}),
    )


class Changelog:
    """The changelog of a partition, and the owners who write to it one after the other."""

    def __init__(self, erased: frozenset[int] = frozenset()) -> None:
        """On the days of ``erased`` one of the accounts is erased."""
        self.erased = erased
        self.records: Log = []
        self.owner: Partition
        self.until_ms = START_MS

    def take_over(self, program: Program, saved: Snapshot | None = None, start: int = 0) -> Partition:
        """Load all of it, or a snapshot and the tail from ``start`` on, in chunks; the new owner writes from now on."""
        self.owner = Partition(program, partition=0, partitions=1, keyed=False)
        if saved is not None:
            self.owner.restore(saved)
        for first in range(start, len(self.records), 50):
            chunk = self.records[first : first + 50]
            self.owner.load([key for key, _ in chunk], [value for _, value in chunk])
        self.owner.loaded()
        return self.owner

    def live(self, *days: int, commits: int) -> None:
        """Take each day's events late in the day, in so many pieces of two commits each; a view that waits goes out alone."""
        for day in days:
            events = company()[day]
            for part in range(commits):
                some = events[part * len(events) // commits : (part + 1) * len(events) // commits]
                until_ms = START_MS + day * DAY_MS + (part + 1) * DAY_MS // commits
                self.take(some[::2], until_ms)
                self.take(some[1::2], until_ms + 10_000)
                self.take([], until_ms + 80_000)
            if day in self.erased:
                self.erase(f"acct-{day % 4:05}", START_MS + (day + 1) * DAY_MS - 1)

    def erase(self, account: str, at_ms: int) -> None:
        offset = self.owner.position(Input.ACCOUNT_FACTS) + 1
        told = {"event_id": f"erase {at_ms}", "account_id": account, "facts": {}, "erase": True}
        value = json.dumps(told | {"occurred_at": at_ms}).encode()
        self.owner.offer(Input.ACCOUNT_FACTS, Chunk([None], [value], np.array([offset]), np.array([-1])))
        self.let_it_be(at_ms + DAY_MS // 100)
        self.records += self.owner.drain().changelog

    def take(self, events: list[SimulatedEvent], until_ms: int) -> None:
        owner = self.owner
        for topic in Input:
            values = [event.body for event in events if event.topic is topic]
            if values:
                first = owner.position(topic) + 1
                offsets, stamps = np.arange(first, first + len(values)), np.full(len(values), -1)
                owner.offer(topic, Chunk([None] * len(values), values, offsets, stamps))
        self.let_it_be(until_ms)
        self.records += owner.drain().changelog

    def let_it_be(self, until_ms: int) -> None:
        """Let the inputs be read to their ends at ``until_ms``."""
        self.until_ms = until_ms
        for topic in Input:
            self.owner.end_reached(topic, until_ms)
        while self.owner.step(500) or self.owner.due_now():
            pass


def fact_cells(accounts: Accounts, row: int) -> dict[str, list[Any]]:
    """Return the cells of facts by name; a zone by its name, for an owner numbers zones as it comes upon them."""
    zones = {number: name for name, number in accounts._zones.items()}
    cells = dict(zip(accounts.program.facts, accounts.cells.facts[row].tolist(), strict=True))
    zone = cells["time_zone"]
    return cells | {"time_zone": [zones.get(zone[0], zone[0]), *zone[1:]]}


def contents(log: Changelog) -> dict[str, Any]:
    """Return all that the present owner knows when it is as late as it was, by the names of accounts."""
    log.let_it_be(log.until_ms)
    owner, accounts = log.owner, log.owner.accounts
    there = {row: accounts.keys[row] for row in accounts.existing()}
    accounts.cells.u8[: len(accounts), VIEW_DUE] = 0
    return {
        "rows": {key: accounts._rows[row].tobytes() for row, key in there.items()},
        "known": {key: accounts.cells.known[row].tolist() for row, key in there.items()},
        "due": {key: int(accounts.cells.due[row]) for row, key in there.items()},
        "facts": {key: accounts.cold.get(row, {}) for row, key in there.items()},
        "fact cells": {key: fact_cells(accounts, row) for row, key in there.items()},
        "stale": {accounts.keys[row] for row in np.nonzero(accounts.cells.changed & STALE)[0]},
        "names": sorted(accounts.names[row] for row in there),
        "erased": {key: int(accounts.cells.erased[row]) for row, key in there.items()},
        "held": owner.outbox.brake.held,
        "guards": accounts.plan.guards.tolist(),
        "positions": {topic: queue.progress for topic, queue in owner.merge.queues.items()},
        "ids": owner._memory.saved(),
        "ordinal": owner._memory._ordinal,
        "beside": owner._beside.held(),
    }


def through_a_file(owner: Partition, offset: int) -> Snapshot:
    with TemporaryDirectory() as folder:
        snapshots = Snapshots(Path(folder), "cluster/log/id")
        snapshots.write(0, Found(owner.saved(), offset, "first"))
        found = snapshots.read(0, owner.layout, offset)
    assert found is not None
    assert (found.offset, found.holder) == (offset, "first")
    return found.state


@pytest.mark.compiled
@few
@given(
    first=st.lists(st.integers(0, 1), min_size=1, max_size=3),
    tail=st.lists(st.integers(0, 1), max_size=2),
    commits=st.integers(1, 3),
    last_days=st.integers(0, 8),
    seed=st.integers(0, 1 << 30),
    erased=st.frozensets(st.integers(0, DAYS), max_size=6),
)
@example(first=[0], tail=[1], commits=1, last_days=1, seed=0, erased=frozenset())
@example(first=[0, 1], tail=[0, 1], commits=1, last_days=3, seed=1, erased=frozenset({2, 5, 9, 10}))
@example(first=[0, 1], tail=[], commits=1, last_days=0, seed=1, erased=frozenset())
@example(first=[1], tail=[], commits=2, last_days=3, seed=2, erased=frozenset())
@example(first=[1], tail=[1], commits=1, last_days=1, seed=1, erased=frozenset([8]))
def test_a_snapshot_and_the_tail_equal_the_whole_changelog(
    first: list[int],
    tail: list[int],
    commits: int,
    last_days: int,
    seed: int,
    erased: frozenset[int],
) -> None:
    """Owners run either program, each for some days, the one that writes the snapshot perhaps none."""
    days = iter(range(DAYS))
    chance, log = np.random.default_rng(seed), Changelog(erased)

    def own(program: int, count: int) -> None:
        log.take_over(programs()[program])
        log.live(*(day for day, _ in zip(days, range(count), strict=False)), commits=commits)

    for program in first[:-1]:
        own(program, int(chance.integers(4, 9)))
    own(first[-1], last_days)
    saved, offset = through_a_file(log.owner, len(log.records)), len(log.records)
    for program in tail:
        own(program, int(chance.integers(1, 9)))
    log.take_over(programs()[first[-1]])
    whole = contents(log)
    assert whole["positions"]
    log.take_over(programs()[first[-1]], saved, offset)
    assert contents(log) == whole
    log.live(*(day for day, _ in zip(days, range(2), strict=False)), commits=1)
    last = contents(log)
    log.take_over(programs()[first[-1]])
    assert contents(log) == last


def test_a_partition_without_accounts_has_a_snapshot_too() -> None:
    log = Changelog()
    log.take_over(programs()[0])
    saved = through_a_file(log.owner, 0)
    assert (saved.keys, saved.rows.shape[0], saved.others) == ([], 0, [])
    owner = log.take_over(programs()[0], saved)
    assert len(owner.accounts) == 0
    log.live(0, 1, 2, commits=1)
    assert len(owner.accounts) == 4
