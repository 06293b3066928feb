"""Recorded events on a real Kafka, workers as processes, and what a reader of the outputs sees."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, Producer

from agents.settings import Settings
from agents.topics import create_topics
from schemas.events import RECORDED_TYPES
from schemas.topics import INPUT_TOPICS, Output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.kafka import KafkaServer

JUDGED = (Output.SCORE_CHANGES, Output.DISENGAGEMENTS)
Messages = dict[tuple[str, str], list[dict[str, Any]]]
"""By (topic, account): payloads in the order seen."""


class Bench:
    """One application on the broker: topics of its own, workers, and a reader."""

    def __init__(self, broker: str, folder: Path, partitions: int) -> None:
        self.folder, self.partitions = folder, partitions
        self.settings = Settings(
            broker=broker, topic_prefix=f"t{uuid.uuid4().hex[:8]}-", application_id="app"
        )
        create_topics(self.settings, partitions=partitions, replication=1)
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self._seen: Messages = defaultdict(list)
        self._consumer = Consumer(
            {
                "bootstrap.servers": broker,
                "group.id": uuid.uuid4().hex,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
            }
        )
        self._consumer.subscribe([self.topic(output) for output in JUDGED])

    def topic(self, name: str) -> str:
        return self.settings.topic_prefix + name

    def producer(self) -> Producer:
        return Producer(
            {
                "bootstrap.servers": self.settings.broker,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "message.max.bytes": 16_000_000,
            }
        )

    def produce(self, recording: Path) -> int:
        producer, count = self.producer(), 0
        for line in recording.read_bytes().splitlines():
            event = json.loads(line)
            topic = self.topic(INPUT_TOPICS[RECORDED_TYPES[event["type"]]].name)
            producer.produce(topic, line, event["account_id"].encode(), timestamp=event["received_at"])
            producer.poll(0)
            count += 1
        assert producer.flush(60) == 0
        return count

    def start(self, name: str, *, events_per_s: int | None = None) -> None:
        environment = {
            **{key: value for key, value in os.environ.items() if key != "NUMBA_DISABLE_JIT"},
            "LATIDO_BROKER": self.settings.broker,
            "LATIDO_TOPIC_PREFIX": self.settings.topic_prefix,
            "LATIDO_APPLICATION_ID": "app",
            "LATIDO_DATADIR": str(self.folder / name),
            "LATIDO_METRICS_PORT": "0",
        }
        if events_per_s:
            environment["LATIDO_MAX_EVENTS_PER_S"] = str(events_per_s)
        with (self.folder / f"{name}.log").open("ab") as log:
            self.workers[name] = subprocess.Popen(
                [sys.executable, "-c", "from agents.cli import main; main()", "worker"],
                env=environment,
                stdout=log,
                stderr=log,
            )

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def kill(self, name: str) -> None:
        self.workers[name].kill()
        self.workers.pop(name).wait(10)

    def stop(self, name: str) -> int:
        self.workers[name].send_signal(signal.SIGTERM)
        return self.workers.pop(name).wait(40)

    def read(self, seconds: float, until: int = sys.maxsize) -> Messages:
        """Read outputs for so long, or until so many have been seen in all."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.count() < until:
            message = self._consumer.poll(0.2)
            if message is None:
                continue
            assert message.error() is None
            name = str(message.topic()).removeprefix(self.settings.topic_prefix)
            payload = json.loads(message.value() or b"")
            self._seen[name, payload["account_id"]].append(payload)
        return self._seen

    def count(self) -> int:
        return sum(map(len, self._seen.values()))

    def close(self) -> None:
        for name in list(self.workers):
            self.workers[name].send_signal(signal.SIGCONT)
            self.kill(name)
        self._consumer.close()


@pytest.fixture
def bench(kafka: KafkaServer, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(kafka.broker, tmp_path, 4)
    yield made
    made.close()
