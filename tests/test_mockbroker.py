"""The embedded broker: takes records of a simulated company, and ends with its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer

from agents.mockbroker import PARTITIONS, MockBroker
from agents.simulation import Company, Span
from agents.simulation.command import simulate
from agents.simulation.feed import Feed, Stamp
from schemas.topics import INPUT_TOPICS, Input

START_MS = 1_735_689_600_000
OWNER = """
from agents.mockbroker import MockBroker
import time
with MockBroker() as broker:
    print(broker.process_id, flush=True)
    time.sleep(60)
"""


def runs(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().split(") ")[1][0] != "Z"
    except FileNotFoundError:
        return False


def gone(process_id: int, within_s: float) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if not runs(process_id):
            return True
        time.sleep(0.05)
    return False


def test_a_company_arrives_with_its_keys_partitions_and_times() -> None:
    company = Company(Span(seed=2, accounts=20, start_ms=START_MS, days=10))
    expected = Counter(event.topic for event in company)
    with MockBroker() as broker:
        with Feed(broker.address, "t-", Stamp.OCCURRED) as feed:
            for event in Company(company.span):
                feed.send(event)
        consumer = Consumer(
            {"bootstrap.servers": broker.address, "group.id": "t", "auto.offset.reset": "earliest"}
        )
        consumer.subscribe(["t-" + spec.name for spec in INPUT_TOPICS.values()])
        seen: Counter[str] = Counter()
        homes: dict[bytes, set[int]] = {}
        while seen.total() < expected.total():
            record = consumer.poll(10.0)
            assert record is not None, f"only {seen.total()} of {expected.total()} records came"
            key, partition = record.key(), record.partition()
            assert isinstance(key, bytes)
            assert partition is not None
            seen[str(record.topic())] += 1
            homes.setdefault(key, set()).add(partition)
            assert record.timestamp()[1] >= START_MS
            assert record.timestamp()[1] < START_MS + 10 * 86_400_000
        consumer.close()
    assert seen == Counter({"t-" + INPUT_TOPICS[topic].name: count for topic, count in expected.items()})
    assert all(len(partitions) == 1 for partitions in homes.values()), (
        "all inputs of an account share a partition"
    )
    assert {p for partitions in homes.values() for p in partitions} == set(range(PARTITIONS))
    assert set(expected) == set(Input)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_broker_ends_when_its_owner_is_ended(how: signal.Signals) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]
    )
    assert owner.stdout is not None
    child = int(owner.stdout.readline())
    os.kill(owner.pid, how)
    owner.wait()
    owner.stdout.close()
    assert gone(child, within_s=5.0)


def test_the_broker_ends_with_its_block() -> None:
    with MockBroker() as broker:
        assert runs(broker.process_id)
    assert not runs(broker.process_id)


@pytest.mark.timeout(60)
def test_a_live_company_sends_its_history_and_goes_on_for_the_time_asked_for() -> None:
    with MockBroker() as broker:
        arguments = ["--broker", broker.address, "--accounts", "200", "--days", "3"]
        began_s = time.monotonic()
        result = CliRunner().invoke(simulate, [*arguments, "--rate", "100", "--live-seconds", "2"])
        took_s = time.monotonic() - began_s
    assert result.exit_code == 0, result.output
    assert 2.0 <= took_s < 20.0
    assert int(result.output.split(" events:")[0].split()[-1]) > 3 * 200
