"""What `latido topics` and a starting worker find on a real Kafka."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import ConfigResource, ResourceType

from agents.settings import Settings
from agents.topics import all_topics, changelog_identity, check_topics, create_topics
from schemas.errors import TopicsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.servers.kafka import KafkaServer

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(kafka: KafkaServer) -> Settings:
    return Settings(broker=kafka.broker, topic_prefix=f"t{uuid.uuid4().hex[:8]}-", application_id="app")


def make(
    kafka: KafkaServer, settings: Settings, *, but: str = "", changed: Mapping[str, int] | None = None
) -> None:
    """Create every topic by hand, but one, with 4 partitions or those of ``changed``."""
    for spec in all_topics("app"):
        count = (changed or {}).get(spec.name, spec.partitions or 4)
        config = {"cleanup.policy": spec.cleanup, "max.message.bytes": str(spec.max_message_bytes)}
        if spec.name != but:
            kafka.create_topic(settings.topic_prefix + spec.name, count, config)


def test_what_was_created_fits(kafka: KafkaServer, settings: Settings) -> None:
    created = create_topics(settings, partitions=3, replication=1)
    assert created == [settings.topic_prefix + spec.name for spec in all_topics("app")]
    assert check_topics(settings) == 3
    resource = ConfigResource(ResourceType.TOPIC, settings.topic_prefix + "dead-letters")
    admin = kafka.admin()  # its answers end with it
    config = admin.describe_configs([resource])[resource].result(10)
    assert config["retention.ms"].value == str(14 * 86_400_000)
    assert config["max.message.bytes"].value == str(16 << 20)


def test_creating_again_creates_nothing(settings: Settings) -> None:
    create_topics(settings, partitions=2, replication=1)
    assert create_topics(settings, partitions=2, replication=1) == []


def test_only_what_is_missing_is_created(kafka: KafkaServer, settings: Settings) -> None:
    make(kafka, settings, but="accounts")
    assert create_topics(settings, partitions=4, replication=1) == [f"{settings.topic_prefix}accounts"]


def test_nothing_is_created_beside_topics_of_another_count(kafka: KafkaServer, settings: Settings) -> None:
    kafka.create_topic(f"{settings.topic_prefix}logins", 4)
    with pytest.raises(TopicsError, match=r"logins 4, .*tickets 8, .*8 expected"):
        create_topics(settings, partitions=8, replication=1)
    assert f"{settings.topic_prefix}tickets" not in kafka.admin().list_topics(timeout=10).topics


def test_too_few_brokers_are_told(settings: Settings) -> None:
    with pytest.raises(TopicsError, match=r"(?s)cannot be created: .*[Rr]eplication"):
        create_topics(settings, partitions=1, replication=3)


def test_a_missing_topic_is_named_with_the_command(kafka: KafkaServer, settings: Settings) -> None:
    make(kafka, settings, but="payments")
    expected = rf"missing topics: {settings.topic_prefix}payments; looked at {kafka.broker}. Run: latido topics create"
    with pytest.raises(TopicsError, match=expected):
        check_topics(settings)


@pytest.mark.parametrize("topic", ["tickets", "score-changes", "app-accounts-changelog"])
def test_unequal_partition_counts_are_told(kafka: KafkaServer, settings: Settings, topic: str) -> None:
    make(kafka, settings, changed={topic: 5})
    with pytest.raises(TopicsError, match=rf"(?s)partition counts differ: .*{topic} 5.*LATIDO_TOPIC_PREFIX"):
        check_topics(settings)


def test_the_control_topic_has_one_partition(kafka: KafkaServer, settings: Settings) -> None:
    make(kafka, settings, changed={"latido-control": 4})
    with pytest.raises(TopicsError, match=r"latido-control has 4 partitions, not 1"):
        check_topics(settings)


def test_every_wrong_configuration_is_told_with_its_command(kafka: KafkaServer, settings: Settings) -> None:
    make(kafka, settings, but="app-accounts-changelog")
    wrong = {"max.message.bytes": "1000", "delete.retention.ms": "3600000"}
    kafka.create_topic(f"{settings.topic_prefix}app-accounts-changelog", 4, wrong)
    with pytest.raises(TopicsError) as caught:
        check_topics(settings)
    _, tombstones, cleanup, size, _ = str(caught.value).splitlines()
    assert "app-accounts-changelog has delete.retention.ms=3600000. Run" in tombstones
    assert tombstones.endswith("--add-config delete.retention.ms=86400000")
    assert "app-accounts-changelog has cleanup.policy=delete. Run: kafka-configs.sh" in cleanup
    assert cleanup.endswith("--add-config cleanup.policy=compact")
    assert size.endswith("--add-config max.message.bytes=1048576")


def test_a_changelog_that_was_made_anew_is_another_one(kafka: KafkaServer, settings: Settings) -> None:
    make(kafka, settings)
    first, name = changelog_identity(settings), f"{settings.topic_prefix}app-accounts-changelog"
    assert changelog_identity(settings) == first
    assert f"/{name}/" in first
    admin = kafka.admin()  # its answers end with it
    admin.delete_topics([name])[name].result(10)
    while name in admin.list_topics(timeout=10).topics:
        time.sleep(0.1)
    with pytest.raises(TopicsError, match="Allow this client to describe its topics"):
        changelog_identity(settings)
    kafka.create_topic(name, 4, {"cleanup.policy": "compact"})
    assert changelog_identity(settings) != first
