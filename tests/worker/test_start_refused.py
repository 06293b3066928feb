"""What a worker must not start with: one message that says what to do, exit code 2."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import NewPartitions

from agents.topics import all_topics
from tests.worker.conftest import PARTITIONS
from tests.worker.recording import record

if TYPE_CHECKING:
    from tests.servers.kafka import KafkaServer
    from tests.worker.conftest import Bench

EXIT_OPERATING_ERROR = 2
PROGRESS = re.compile("latido worker: (loading the core|core ready)")
pytestmark = pytest.mark.kafka


def refusal(bench: Bench) -> str:
    """Start a worker that must refuse to run; return its one message."""
    bench.start("w1")
    assert bench.wait("w1") == EXIT_OPERATING_ERROR
    said = bench.log("w1")
    assert "Traceback" not in said
    (message,) = [
        line for line in said.splitlines() if line.startswith("latido") and not PROGRESS.match(line)
    ]
    return message


def grow(bench: Bench, kafka: KafkaServer, names: list[str]) -> None:
    admin = kafka.admin()  # its answers end with it
    asked = [NewPartitions(bench.topic(name), 2 * PARTITIONS) for name in names]
    for answer in admin.create_partitions(asked).values():
        answer.result(10)


def test_one_missing_topic_is_named_with_the_command_that_makes_it(bench: Bench, kafka: KafkaServer) -> None:
    admin = kafka.admin()  # its answers end with it
    payments = bench.topic("payments")
    admin.delete_topics([payments])[payments].result(10)
    while payments in admin.list_topics(timeout=10).topics:
        time.sleep(0.1)
    message = refusal(bench)
    assert f"missing topics: {payments}; looked at {kafka.broker}." in message
    assert "latido topics create --partitions N" in message


def test_inputs_of_unequal_partition_counts_are_refused(bench: Bench, kafka: KafkaServer) -> None:
    grow(bench, kafka, ["payments"])
    bench.start("w1")
    assert bench.wait("w1") == EXIT_OPERATING_ERROR
    said = bench.log("w1")
    assert said.startswith(f"latido: topics at {kafka.broker} do not fit:")
    assert f"{bench.topic('payments')} 8" in said
    assert f"{bench.topic('logins')} 4" in said
    assert "latido topics check" in said
    assert "Traceback" not in said


def test_state_of_another_partition_count_is_refused(bench: Bench, kafka: KafkaServer) -> None:
    bench.produce(record(accounts=5, days=40, seed=1))
    bench.start("w1")
    bench.read(60, until=1)
    assert bench.stop("w1") == 0
    grow(
        bench,
        kafka,
        [spec.name for spec in all_topics(bench.settings.application_id) if spec.partitions is None],
    )
    message = refusal(bench)
    assert "The account table was written for 4 partitions, the input topics have 8 now." in message
    assert "LATIDO_APPLICATION_ID" in message
