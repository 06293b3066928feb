"""The Kafka of the tests is itself tested: it answers, keeps what it acknowledged, and goes when asked."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import ConfigResource, ResourceType

if TYPE_CHECKING:
    from tests.servers.kafka import KafkaServer

pytestmark = pytest.mark.kafka

QUICKLY_S = 30.0


def produce(server: KafkaServer, topic: str, values: list[bytes]) -> None:
    producer = Producer(
        {"bootstrap.servers": server.broker, "acks": "all", "message.max.bytes": 16 * 1024 * 1024}
    )
    for value in values:
        producer.produce(topic, value, partition=0)
    assert producer.flush(QUICKLY_S) == 0, "not everything was acknowledged in time"


def consume(server: KafkaServer, topic: str, count: int) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": server.broker, "group.id": f"readers-of-{topic}"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    values: list[bytes] = []
    deadline = time.monotonic() + QUICKLY_S
    while len(values) < count and time.monotonic() < deadline:
        message = consumer.poll(0.5)
        if message is not None and message.error() is None:
            values.append(message.value() or b"")
    consumer.close()
    return values


def test_what_is_produced_is_consumed(kafka: KafkaServer) -> None:
    kafka.create_topic("server-echo", partitions=1)
    produce(kafka, "server-echo", [b"one", b"two"])
    assert consume(kafka, "server-echo", 2) == [b"one", b"two"]


def test_a_record_of_ten_megabytes_passes_where_the_topic_allows_it(kafka: KafkaServer) -> None:
    kafka.create_topic("server-big", partitions=1, config={"max.message.bytes": str(16 * 1024 * 1024)})
    produce(kafka, "server-big", [b"x" * 10_000_000])
    assert [len(value) for value in consume(kafka, "server-big", 1)] == [10_000_000]


def test_a_topic_has_the_partitions_and_settings_it_was_created_with(kafka: KafkaServer) -> None:
    kafka.create_topic("server-settings", partitions=3, config={"cleanup.policy": "compact"})
    admin = kafka.admin()
    resource = ConfigResource(ResourceType.TOPIC, "server-settings")
    settings = admin.describe_configs([resource])[resource].result(QUICKLY_S)
    assert (
        len(admin.list_topics("server-settings", timeout=QUICKLY_S).topics["server-settings"].partitions) == 3
    )
    assert settings["cleanup.policy"].value == "compact"


@pytest.mark.parametrize("end", ["stop", "kill"], ids=["after a stop in good order", "after a kill -9"])
def test_acknowledged_records_outlive_the_process(kafka: KafkaServer, end: str) -> None:
    topic, broker, pid = f"server-{end}", kafka.broker, kafka.pid
    kafka.create_topic(topic, partitions=1)
    produce(kafka, topic, [b"kept"])
    getattr(kafka, end)()
    kafka.start()
    assert kafka.pid != pid
    assert kafka.broker == broker
    assert consume(kafka, topic, 1) == [b"kept"]


def test_a_broker_by_hand_says_its_address_and_ends_when_its_input_closes(kafka: KafkaServer) -> None:
    command = [sys.executable, "-m", "tests.servers.kafka", "--seconds", "60"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        word, address = process.stdout.readline().split()
        process.stdin.close()
        assert process.wait(QUICKLY_S) == 0
    assert word == "broker"
    assert address.startswith("127.0.0.1:")
    assert address != kafka.broker
