"""Bad records between good ones: each has its named outcome, its bytes are kept, and the good events are scored."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from agents.observer import NullPartitionObserver
from agents.partition import Partition
from agents.simulation import Company, Span
from agents.simulation.hostile import hostile_records
from schemas.reasons import EventNote, RejectReason
from schemas.records import Chunk
from schemas.topics import MIB, OUTPUT_TOPICS, Input, Output
from streams.clock import ENDLESS_MS
from streams.merge import HALT_AFTER
from streams.murmur import partition_of
from tests.core.conftest import START_MS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.plan import Program

PARTITIONS = 4


class Heard(NullPartitionObserver):
    """Counts what a partition told."""

    def __init__(self) -> None:
        self.notes: Counter[EventNote] = Counter()
        self.rejects: Counter[RejectReason] = Counter()
        self.events: Counter[Input] = Counter()

    def on_notes(self, partition: int, notes: dict[EventNote, int]) -> None:
        self.notes.update(notes)

    def on_step(
        self, partition: int, events: Mapping[Input, int], rejects: list[tuple[Input, RejectReason]]
    ) -> None:
        self.rejects.update(reason for _, reason in rejects)
        self.events.update(events)


@pytest.mark.compiled
def test_each_bad_record_has_its_named_outcome_and_the_good_events_around_it_are_scored(
    program: Program,
) -> None:
    good = list(Company(Span(seed=3, accounts=40, start_ms=START_MS, days=70, volume=0.3)))
    bad = list(hostile_records(np.random.default_rng(9), good, 420))
    heard = [Heard() for _ in range(PARTITIONS)]
    machines = [
        Partition(program, partition=p, partitions=PARTITIONS, observer=heard[p]) for p in range(PARTITIONS)
    ]
    expected: Counter[str] = Counter()
    offsets: Counter[tuple[int, Input]] = Counter()

    def offer(partition: int, topic: Input, key: bytes | None, value: bytes | None, stamp: int) -> None:
        offset = offsets[partition, topic]
        offsets[partition, topic] += 1
        chunk = Chunk([key], [value], np.array([offset]), np.array([stamp]))
        machines[partition].offer(topic, chunk)

    end_ms = max(event.occurred_ms for event in good)
    every = len(good) // len(bad)
    for i, event in enumerate(good):
        key = event.account_id.encode()
        offer(partition_of(key, PARTITIONS), event.topic, key, event.body, event.occurred_ms)
        if i % every == every - 1 and bad:
            record = bad.pop()
            if record.expected is EventNote.DUPLICATE:
                continue  # judged in its own test: it repeats an event that may come later here
            home = partition_of(record.key or b"", PARTITIONS)
            offer(
                (home + record.partition_shift) % PARTITIONS, record.topic, record.key, record.value, end_ms
            )
            expected[record.expected] += 1
    outputs = []
    for machine in machines:
        for topic in Input:
            machine.end_reached(topic, ENDLESS_MS)
        while machine.step(5_000) or machine.due_now():
            pass
        assert machine.halted is None
        outputs += machine.drain().outputs
    rejected = sum((each.rejects for each in heard), Counter[RejectReason]())
    noted = sum((each.notes for each in heard), Counter[EventNote]())
    for outcome, count in expected.items():
        found = rejected[RejectReason(outcome)] if outcome in set(RejectReason) else noted[EventNote(outcome)]
        assert found >= count, (outcome, found, count)
    assert sum(rejected.values()) == sum(n for outcome, n in expected.items() if outcome in set(RejectReason))
    accepted = sum((each.events for each in heard), Counter[Input]())
    assert all(accepted[topic] >= count for topic, count in Counter(event.topic for event in good).items())
    assert sum(accepted.values()) + sum(rejected.values()) == sum(offsets.values())
    dead = [record for record in outputs if record.topic is Output.DEAD_LETTERS]
    assert len(dead) == sum(rejected.values())
    assert {dict(record.headers)["latido_reason"].decode() for record in dead} == set(map(str, rejected))
    assert sum(record.topic is Output.SCORE_CHANGES for record in outputs) > 40


@pytest.mark.parametrize("rejects", [HALT_AFTER - 1, HALT_AFTER])
def test_a_hundred_rejects_in_a_row_halt_the_partition_and_a_good_event_before_ends_the_row(
    program: Program, rejects: int
) -> None:
    machine = Partition(program, partition=0, partitions=1)
    login = b'{"event_id":"%d","account_id":"a","occurred_at":"2026-03-01T00:00:00Z"}'
    values = [login % 1, *[b"{"] * rejects, login % 2, login % 3]
    keys: list[bytes | None] = [b"a"] * len(values)
    machine.offer(Input.LOGINS, Chunk(keys, values, np.arange(len(values)), np.full(len(values), -1)))
    for topic in Input:
        machine.end_reached(topic, ENDLESS_MS)
    taken = machine.step(1_000)
    halted = rejects == HALT_AFTER
    assert (machine.halted is Input.LOGINS) == halted
    assert taken == (1 if halted else 3)
    assert machine.position(Input.LOGINS) == (HALT_AFTER if halted else len(values) - 1)
    assert sum(record.topic is Output.DEAD_LETTERS for record in machine.drain().outputs) == rejects


def test_a_dead_letter_fits_its_topic_and_tells_how_long_its_record_was(program: Program) -> None:
    machine = Partition(program, partition=0, partitions=1)
    key, value = b"k" * 17 * MIB, b"v" * 17 * MIB
    machine.offer(Input.LOGINS, Chunk([key], [value], np.array([0]), np.array([-1])))
    machine.step(10)
    (letter,) = machine.drain().outputs
    assert key.startswith(letter.key or b"")
    assert value.startswith(letter.value)
    told = {name: content.decode() for name, content in letter.headers}
    assert told["latido_reason"] == RejectReason.VALUE_TOO_LARGE
    assert told["latido_key_bytes"] == told["latido_value_bytes"] == str(17 * MIB)
    rest = 8 * 1024  # headers and what Kafka adds
    size = len(letter.key or b"") + len(letter.value) + rest
    assert size <= OUTPUT_TOPICS[Output.DEAD_LETTERS].max_message_bytes


def test_a_repeat_is_recognised_also_by_the_next_owner(program: Program) -> None:
    heard = Heard()
    login = b'{"event_id":"same","account_id":"a","occurred_at":"2026-03-01T00:00:00Z"}'

    def offer(machine: Partition, offset: int) -> None:
        machine.offer(Input.LOGINS, Chunk([b"a"], [login], np.array([offset]), np.array([-1])))
        for topic in Input:
            machine.end_reached(topic, ENDLESS_MS)
        assert machine.step(10) == 1

    first = Partition(program, partition=0, partitions=1)
    offer(first, 0)
    changelog = first.drain().changelog
    second = Partition(program, partition=0, partitions=1, observer=heard)
    second.load([key for key, _ in changelog], [value for _, value in changelog])
    second.loaded()
    offer(second, 1)
    assert heard.notes[EventNote.DUPLICATE] == 1


def test_a_row_of_rejects_goes_on_with_the_next_owner(program: Program) -> None:
    def offer(machine: Partition, first: int, count: int) -> None:
        chunk = Chunk([b"a"] * count, [b"{"] * count, np.arange(first, first + count), np.full(count, -1))
        machine.offer(Input.LOGINS, chunk)
        for topic in Input:
            machine.end_reached(topic, ENDLESS_MS)
        machine.step(10)

    first = Partition(program, partition=0, partitions=1)
    offer(first, 0, 60)
    changelog = first.drain().changelog
    second = Partition(program, partition=0, partitions=1)
    second.load([key for key, _ in changelog], [value for _, value in changelog])
    second.loaded()
    offer(second, 60, HALT_AFTER - 61)
    assert second.halted is None
    offer(second, HALT_AFTER - 1, 1)
    assert second.halted is Input.LOGINS


def test_keys_that_are_joined_like_the_ids_of_other_records_are_not_taken_for_theirs(
    program: Program,
) -> None:
    """A chunk of known accounts is compared as a whole: ``ab``, ``c`` and ``a``, ``bc`` must not be alike."""
    heard = Heard()
    machine = Partition(program, partition=0, partitions=1, observer=heard)
    sent = [("a", "a"), ("bc", "bc"), ("ab", "ab"), ("c", "c"), ("ab", "a"), ("c", "bc")]
    for first, some in ((0, sent[:4]), (4, sent[4:])):
        values = [
            b'{"event_id":"%d","account_id":"%s","occurred_at":%d}' % (first + n, name.encode(), START_MS + n)
            for n, (_, name) in enumerate(some)
        ]
        offsets = np.arange(first, first + len(some))
        keys = [key.encode() for key, _ in some]
        machine.offer(Input.LOGINS, Chunk(keys, values, offsets, np.full(len(some), -1)))
    for topic in Input:
        machine.end_reached(topic, ENDLESS_MS)
    while machine.step(100) or machine.due_now():
        pass
    assert heard.events[Input.LOGINS] == 4
    assert heard.rejects == {RejectReason.KEY_MISMATCH: 2}
