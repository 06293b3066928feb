"""What must be true of any input: every record has its one outcome, every reject its reason, every output its schema."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from random import Random
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from agents.observer import NullPartitionObserver
from agents.partition import Partition
from schemas.events import OCCURRED_AT_END_MS
from schemas.outputs import OUTPUT_TYPES
from schemas.reasons import RejectReason
from schemas.topics import INPUT_TOPICS, Input, Output
from streams.clock import ENDLESS_MS
from tests.auditor import edges, worlds
from tests.auditor.core import chunk_of, program_of
from tests.contracts.validators import OUTPUT_SCHEMAS, header_mistakes, mistakes
from tests.fuzz.records import changed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.records import OutputRecord
    from streams.plan import Program
    from tests.auditor.event import Recorded

WORLDS = 28
"""Policies and models; every one is compiled once."""
EVENTS = 250
"""Events of one round before repeats and broken records are added."""
SECONDS_MAX = 20.0
"""A round that takes longer hangs: uncompiled it takes about one."""
INPUT_NAMES = {source: INPUT_TOPICS[source].name for source in Input}
_READERS = {topic: msgspec.json.Decoder(kind) for topic, kind in OUTPUT_TYPES.items()}


class Heard(NullPartitionObserver):
    """Counts what became of the records of a partition."""

    def __init__(self) -> None:
        self.events, self.rejects = 0, Counter[str]()

    def on_step(
        self, partition: int, events: Mapping[Input, int], rejects: list[tuple[Input, RejectReason]]
    ) -> None:
        self.events += sum(events.values())
        self.rejects.update(reason.value for _, reason in rejects)


class Ground(NamedTuple):
    """A world and its program."""

    world: worlds.World
    program: Program


@cache
def ground(number: int) -> Ground:
    its = worlds.world(number)._replace(partitions=1)
    return Ground(its, program_of(its.policy, its.models))


def history(rng: Random, world: worlds.World, share: float) -> list[Recorded]:
    """Return a history in a world, ``share`` of its records changed, as one partition of one holds it."""
    offsets: Counter[Input] = Counter()
    found = []
    for record in edges.drawn(rng, world, EVENTS).records:
        one = changed(rng, record, share)
        found.append(one._replace(partition=0, offset=offsets[one.input]))
        offsets[one.input] += 1
    return found


def judge(rng: Random, *, share: float, sampled: float = 1.0) -> Counter[str]:
    """Let a partition take a drawn history, and assert what must be true; return how many records had which outcome.

    Args:
        rng: where chance comes from.
        share: of the records that are changed; so many of them are bad that more than .8 may halt the partition.
        sampled: share of the outputs that are compared with their JSON Schemas; the others only with their structs.

    Raises:
        AssertionError: something that must be true is not.
    """
    world, program = ground(rng.randrange(WORLDS))
    records, heard, begin = history(rng, world, share), Heard(), perf_counter()
    machine = Partition(program, partition=0, partitions=1, observer=heard)
    machine.merge.until_ms = OCCURRED_AT_END_MS
    for source in Input:
        lane = [record for record in records if record.input is source]
        cut = rng.randrange(len(lane) + 1)
        for part in filter(None, (lane[:cut], lane[cut:])):
            machine.offer(source, chunk_of(part))
        machine.end_reached(source, ENDLESS_MS)
    while machine.step(64) or machine.due_now():
        pass
    machine.sweep_all()
    batch = machine.drain()
    assert machine.halted is not None or heard.events + heard.rejects.total() + machine.queued == len(records)
    _judge_outputs(rng, batch.outputs, sampled)
    _judge_dead_letters(
        records, [record for record in batch.outputs if record.topic is Output.DEAD_LETTERS], heard
    )
    _judge_recovery(machine, batch.changelog)
    seconds = perf_counter() - begin
    assert seconds < SECONDS_MAX, f"{len(records)} records took {seconds:.1f} s"
    return heard.rejects + Counter(
        accepted=heard.events, left=len(records) - heard.events - heard.rejects.total()
    )


def _judge_outputs(rng: Random, outputs: list[OutputRecord], sampled: float) -> None:
    for record in outputs:
        if record.sent is None:  # an account has ended: its view is taken back
            assert (record.topic, record.value, record.headers) == (Output.ACCOUNTS, b"", ())
            continue
        if record.topic in OUTPUT_TYPES:
            _READERS[record.topic].decode(record.value)
        if rng.random() < sampled:
            assert header_mistakes(record.topic, dict(record.headers)) == [], record
            if record.topic in OUTPUT_TYPES:
                assert mistakes(OUTPUT_SCHEMAS[record.topic], json.loads(record.value)) == [], record


def _judge_dead_letters(records: list[Recorded], letters: list[OutputRecord], heard: Heard) -> None:
    """Each is the untouched record of its offset, with a reason that is known and a detail that says why."""
    sent = {(record.input, record.offset): record for record in records}
    assert len(letters) == heard.rejects.total()
    for letter in letters:
        told = {name.removeprefix("latido_"): content.decode() for name, content in letter.headers}
        source = next(source for source in Input if told["topic"] == INPUT_NAMES[source])
        record = sent[source, int(told["offset"])]
        assert (letter.key, letter.value) == (record.key, record.value or b"")
        assert RejectReason(told["reason"])
        assert told["detail"].strip()


def _judge_recovery(machine: Partition, changelog: list[tuple[bytes, bytes | None]]) -> None:
    """The next owner reads what was written and is ready."""
    heir = Partition(machine.accounts.program, partition=0, partitions=1)
    heir.load([key for key, _ in changelog], [value for _, value in changelog])
    heir.loaded()
    assert len(heir.accounts.existing()) == len(machine.accounts.existing())
