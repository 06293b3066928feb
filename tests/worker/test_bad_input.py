"""Bad records between good ones, through a real broker: each has its named outcome, and nothing else changes.

Every case of ``agents/simulation/hostile.py``, a key of the changelog's own, and what only a broker shows: a body of
10 MB, one of 20 MB that its codec made small enough for the topic's limit, a key of 2 MB.
"""

from __future__ import annotations

import itertools
import json
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from agents.simulation import SimulatedEvent
from agents.simulation.hostile import CASES, HostileRecord, hostile_records
from schemas.outputs import DEAD_LETTER_KEY_BYTES_MAX, DEAD_LETTER_VALUE_BYTES_MAX
from schemas.reasons import EventNote, RejectReason
from schemas.topics import INPUT_TOPICS, MIB, Input, Output
from streams.murmur import partition_of
from tests.delivery.support import Application
from tests.worker.conftest import PARTITIONS
from tests.worker.judge import Messages, differences, total
from tests.worker.recording import Recording, record, replayed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from confluent_kafka import KafkaError, Message

    from tests.servers.kafka import KafkaServer
    from tests.worker.conftest import Bench


EACH = 3
HUGE = 4


class Letter(NamedTuple):
    """A dead letter: where its record lies, why it is there, and what is left of it."""

    topic: str
    partition: int
    offset: int
    reason: str
    key: bytes | None
    value: bytes
    key_bytes: int
    value_bytes: int


def huge_records(good: SimulatedEvent) -> list[HostileRecord]:
    members, key = json.loads(good.body), good.account_id.encode()
    long = {size: json.dumps({**members, "note": "x" * size}).encode() for size in (10_000_000, 20 * MIB)}
    too_large, mismatch = RejectReason.VALUE_TOO_LARGE, RejectReason.KEY_MISMATCH
    reserved = json.dumps({**members, "event_id": "reserved", "account_id": "\0pos:1"}).encode()
    return [
        HostileRecord(Input.LOGINS, key, long[10_000_000], too_large, "10 MB"),
        HostileRecord(Input.TICKETS, key, long[20 * MIB], too_large, "20 MiB, compressed below the limit"),
        HostileRecord(good.topic, b"k" * 2 * MIB, good.body, mismatch, "a key of 2 MiB"),
        HostileRecord(good.topic, b"\0pos:1", reserved, RejectReason.BAD_ACCOUNT_ID, "a reserved key"),
    ]


def mixed(recording: Recording) -> Iterator[SimulatedEvent | HostileRecord]:
    """Yield the good events; after some, bad records made from the one before (a repeat is known only for a day)."""
    last = recording.events[:1]
    hostile = hostile_records(np.random.default_rng(4), last, EACH * len(CASES))
    bad = itertools.chain(hostile, huge_records(recording.events[0]))
    places = Counter(random.Random(4).choices(range(len(recording.events)), k=EACH * len(CASES) + HUGE))
    for at, event in enumerate(recording.events):
        yield event
        last[0] = event
        yield from itertools.islice(bad, places[at])


def accepted(record: HostileRecord, end_ms: int) -> SimulatedEvent:
    assert record.key is not None
    assert record.value is not None
    return SimulatedEvent(record.topic, record.key.decode(), end_ms, record.value)


def without_offsets(messages: Messages) -> Messages:
    """Leave out where the causing event lies: in the topics between rejected records, in the recording not."""
    return {
        key: [payload | {"cause": (payload.get("cause") or {}) | {"offset": None}} for payload in payloads]
        for key, payloads in messages.items()
    }


def let_through_large_records(kafka: KafkaServer, topics: list[str]) -> None:
    limit = ConfigEntry("max.message.bytes", str(16 * MIB), incremental_operation=AlterConfigOpType.SET)
    asked = [ConfigResource(ResourceType.TOPIC, name, incremental_configs=[limit]) for name in topics]
    admin = kafka.admin()  # its answers end with it
    for answer in admin.incremental_alter_configs(asked).values():
        answer.result(10)


def produce(bench: Bench, mixture: list[SimulatedEvent | HostileRecord], stamp_ms: int) -> set[Letter]:
    """Produce in this order; return the dead letters that there must be."""
    letters: set[Letter] = set()
    producer = bench.producer(**{"message.max.bytes": 32 * MIB, "compression.type": "gzip"})
    for item in mixture:
        topic = bench.topic(INPUT_TOPICS[item.topic].name)
        if isinstance(item, SimulatedEvent):
            producer.produce(topic, item.body, item.account_id.encode(), timestamp=stamp_ms)
            continue

        def delivered(error: KafkaError | None, message: Message, bad: HostileRecord = item) -> None:
            assert error is None, (bad.case, error)
            if bad.expected in set(RejectReason):
                letters.add(letter_of(bad, message.partition() or 0, message.offset() or 0))

        home = (partition_of(item.key or b"", PARTITIONS) + item.partition_shift) % PARTITIONS
        producer.produce(topic, item.value, item.key, home, on_delivery=delivered, timestamp=stamp_ms)
        producer.poll(0)
    assert producer.flush(60) == 0
    return letters


def letter_of(record: HostileRecord, partition: int, offset: int) -> Letter:
    name, key, value = INPUT_TOPICS[record.topic].name, record.key, record.value or b""
    cut = None if key is None else key[:DEAD_LETTER_KEY_BYTES_MAX]
    whole = (len(key or b""), len(value))
    return Letter(name, partition, offset, record.expected, cut, value[:DEAD_LETTER_VALUE_BYTES_MAX], *whole)


def read_letters(bench: Bench) -> list[Letter]:
    letters = []
    for dead in Application(bench.settings.broker, PARTITIONS).read(bench.topic(Output.DEAD_LETTERS)):
        told = {name.removeprefix("latido_"): value.decode() for name, value in dead.headers}
        assert dead.partition == int(told["partition"])
        place = (told["topic"], dead.partition, int(told["offset"]))
        whole = (int(told["key_bytes"]), int(told["value_bytes"]))
        letters.append(Letter(*place, told["reason"], dead.key, dead.value or b"", *whole))
    return letters


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_each_bad_record_has_its_named_outcome_and_the_good_ones_around_it_are_scored_as_in_a_replay(
    bench: Bench, kafka: KafkaServer, tmp_path: Path
) -> None:
    recording = record(accounts=20, days=70, seed=5)
    mixture = list(mixed(recording))
    taken = [
        accepted(item, recording.end_ms) if isinstance(item, HostileRecord) else item
        for item in mixture
        if isinstance(item, SimulatedEvent) or item.expected in set(EventNote)
    ]
    expected = replayed(Recording(taken, recording.end_ms), tmp_path / "replay", partitions=PARTITIONS)
    others = [spec.name for topic, spec in INPUT_TOPICS.items() if topic is not Input.TICKETS]
    let_through_large_records(kafka, [bench.topic(name) for name in others])
    letters = produce(bench, mixture, recording.end_ms)
    assert {letter.reason for letter in letters} == set(RejectReason) - {RejectReason.TOO_MANY_ACCOUNTS}

    bench.start("w1")
    seen = bench.read_all(total(expected), recording.end_ms)
    found = differences(without_offsets(seen), without_offsets(expected))
    assert not found, "\n".join(found)
    read, deadline = read_letters(bench), time.monotonic() + 20
    while len(read) < len(letters) and time.monotonic() < deadline:
        read = read_letters(bench)
    assert len(read) == len(letters)
    assert set(read) == letters
    metrics = bench.metrics("w1")
    produced = Counter(item.expected for item in mixture if isinstance(item, HostileRecord))
    for note in (EventNote.DUPLICATE, EventNote.FUTURE_CLAMPED, EventNote.UNKNOWN_VALUE):
        assert metrics[f'latido_event_notes_total{{note="{note}"}}'] >= produced[note] == EACH
    assert {metrics[f'latido_halted{{partition="{number}"}}'] for number in range(PARTITIONS)} == {0}
    assert bench.stop("w1") == 0
