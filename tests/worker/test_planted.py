"""Bugs planted into the worker on a real Kafka: each shows in the outputs, which without it equal the replay.

That nobody is fenced has a test of its own (``test_without_fence.py``). The simulation has more (``tests/faults``), such as
that a poll of an older assignment is processed: on a real Kafka nothing shows it, unless such a poll comes just then.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from schemas.topics import MIB, Output
from tests.worker.conftest import PARTITIONS, WORKER
from tests.worker.judge import differences, total
from tests.worker.recording import record, replayed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from confluent_kafka import Producer

    from tests.worker.conftest import Bench
    from tests.worker.recording import Recording

FAIL_STOP: Final = 13
SLOWLY: Final = {"max_events_per_s": 1_500, "commit_interval_ms": 200}
TRANSACTION: Final = {"transaction.timeout.ms": 120_000}
Command = tuple[str, ...]


def killed(bench: Bench, recording: Recording, command: Command) -> None:
    """w1  ---- kill -9, start ---->"""
    bench.produce(recording)
    bench.start("w1", command, **SLOWLY)
    bench.read(60, until=50)
    bench.kill("w1")
    bench.start("w1", command)


def in_a_transaction(bench: Bench, recording: Recording, command: Command) -> Producer:
    """inputs  one transaction, open all the time
    w1      starts, takes what lies there ---->
    """
    options = {"transactional.id": f"{bench.settings.application_id}-producer", **TRANSACTION}
    producer = bench.producer(**options, **{"queue.buffering.max.messages": 1_000_000})
    producer.init_transactions(20)
    producer.begin_transaction()
    bench.produce(recording, producer)
    bench.start("w1", command, **SLOWLY)
    return producer  # as long as it lives the transaction is open


def refused(bench: Bench, recording: Recording, command: Command) -> None:
    """score-changes  takes all    takes nothing ------------- takes all
    w1                starts ----------- ends by itself        starts ---->
    """
    bench.produce(recording)
    bench.start("w1", command, **SLOWLY)
    bench.read(60, until=20)
    limit(bench, 100)
    assert bench.wait("w1") == FAIL_STOP
    limit(bench, MIB)
    bench.start("w1", command)


def limit(bench: Bench, size: int) -> None:
    entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    topic = ConfigResource(ResourceType.TOPIC, bench.topic(Output.SCORE_CHANGES), incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": bench.settings.broker})
    for answer in admin.incremental_alter_configs([topic]).values():
        answer.result(10)


class Case(NamedTuple):
    """What happens, and the name of a bug that it shows; without one nothing may show."""

    happens: Callable[[Bench, Recording, Command], object]
    bug: str | None = None


CASES: Final = (
    Case(in_a_transaction),
    Case(refused),
    Case(killed, "the position of an input is forgotten"),
    Case(in_a_transaction, "the last stable offset is taken for the end of an input"),
    Case(refused, "the transaction is committed before its batches were acknowledged"),
)


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.happens.__name__}, {case.bug or 'nothing planted'}"
)
def test_a_planted_bug_shows_in_the_outputs_and_without_it_nothing_does(
    bench: Bench, tmp_path: Path, case: Case
) -> None:
    recording = record(accounts=20, days=80, seed=13)
    expected = replayed(recording, tmp_path / "replay", partitions=PARTITIONS)
    command = WORKER if case.bug is None else ("-m", "tests.worker.planted_worker", case.bug)
    kept = case.happens(bench, recording, command)
    deadline = time.monotonic() + 90
    while (
        bench.workers["w1"].poll() is None and bench.ready("w1") != "ready\n" and time.monotonic() < deadline
    ):
        time.sleep(0.2)
    found = differences(bench.read_all(total(expected), recording.end_ms, seconds=5), expected)
    if case.bug is None:
        assert not found, "\n".join(found)
    else:
        assert found, f"{case.bug}: nobody would have noticed\n{bench.log('w1')}"
    del kept
