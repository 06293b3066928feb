"""Partitions fed by hand: the same events cut, swept, recovered in any way."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest

from agents.partition import Partition
from agents.program import load_program
from agents.simulation import Company, Rates, Span
from schemas.records import Chunk
from schemas.topics import Input, Output
from streams.clock import ENDLESS_MS

if TYPE_CHECKING:
    from schemas.records import OutputRecord
    from streams.plan import Program

START_MS = 1_772_323_200_000  # 2026-03-01
DAY_MS = 86_400_000
Events = dict[Input, list[bytes]]


@pytest.fixture(scope="session")
def program() -> Program:
    return load_program("default")


def company(seed: int, accounts: int, days: int) -> Events:
    """Return a simulated company's events by input, in their order."""
    span = Span(
        seed=seed, accounts=accounts, start_ms=START_MS, days=days, volume=0.2, rates=Rates(2.0, 2.0, 0.05)
    )
    events: Events = {topic: [] for topic in Input}
    for event in Company(span):
        events[event.topic].append(event.body)
    return events


class Machine:
    """A partition, what is left to offer it, its changelog and its judged outputs."""

    def __init__(self, program: Program, events: Events) -> None:
        self.program, self.events = program, events
        self.partition = self._new()
        self.next = dict.fromkeys(Input, 0)
        self.changelog: list[tuple[bytes, bytes | None]] = []
        self.outputs: list[OutputRecord] = []

    def _new(self) -> Partition:
        return Partition(self.program, partition=0, partitions=1, keyed=False)

    def offer(self, topic: Input, count: int) -> None:
        start, events = self.next[topic], self.events[topic]
        values = events[start : start + count]
        if not values:
            self.partition.end_reached(topic, ENDLESS_MS)
            return
        offsets = np.arange(start, start + len(values), dtype=np.int64)
        self.partition.offer(
            topic, Chunk([None] * len(values), values, offsets, np.full(len(values), -1, np.int64))
        )
        self.next[topic] += len(values)

    def commit(self) -> None:
        batch = self.partition.drain()
        self.changelog += batch.changelog
        self.outputs += [record for record in batch.outputs if record.topic is not Output.ACCOUNTS]

    def take_over(self, rng: random.Random) -> None:
        """A new owner loads the changelog in chunks of any size; what was not committed never happened."""
        self.partition = self._new()
        at = 0
        while at < len(self.changelog):
            chunk = self.changelog[at : at + rng.randint(1, 400)]
            at += len(chunk)
            self.partition.load([key for key, _ in chunk], [value for _, value in chunk])
            if rng.random() < 0.3:
                self.commit()  # a holder key is committed before the end of the changelog is read
        self.partition.loaded()
        self.next = {topic: self.partition.position(topic) + 1 for topic in Input}

    def run(
        self, rng: random.Random, *, crash: float = 0.0, commit: float = 0.3, rows_max: int = 2_000
    ) -> list[bytes]:
        """Offer everything in chunks of any size; return the outputs in their order."""
        while True:
            lagging = self.partition.merge.lagging() or list(Input)
            self.offer(rng.choice(lagging), rng.randint(1, 300))
            taken = self.partition.step(rng.randint(1, rows_max))
            if rng.random() < commit:
                self.commit()
            if rng.random() < crash:
                self.take_over(rng)
            whole = all(self.next[topic] == len(self.events[topic]) for topic in Input)
            ended = all(queue.ended_ms == ENDLESS_MS for queue in self.partition.merge.queues.values())
            if whole and ended and not taken and not self.partition.queued and not self.partition.due_now():
                break
        machine = self.partition.merge
        machine.clock_ms = max(machine.clock_ms, machine.largest_ms - self.partition.grace_ms)
        self.partition.sweep_all()
        self.commit()
        return [record.value for record in self.outputs]


def by_account(values: list[bytes]) -> dict[str, list[bytes]]:
    """Return outputs by account ("" where they are no account's), in their order."""
    import json

    found: dict[str, list[bytes]] = {}
    for value in values:
        found.setdefault(json.loads(value).get("account_id", ""), []).append(value)
    return found


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three accounts a step, so that commits and crashes fall between those that have fired or adopted and the others."""
    monkeypatch.setattr("agents.partition.SWEEP_ROWS", 3)
