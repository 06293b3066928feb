"""Create and check an application's topics: what ``schemas/topics.py`` says, on a broker."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType
from confluent_kafka.cimpl import NewTopic

from schemas.errors import BrokerError, TopicsError
from schemas.topics import (
    COMPACTED_WITHIN_MS,
    CONTROL_TOPIC,
    INPUT_TOPICS,
    OUTPUT_TOPICS,
    TOMBSTONES_MS,
    TopicSpec,
    changelog_topic,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agents.settings import Settings

TIMEOUT_S: Final = 5.0
"""Of one request; a check makes two, one after the other."""
LOOK_EVERY_S: Final = 0.1

Specs = dict[str, TopicSpec]
Configs = dict[str, dict[str, str]]


def all_topics(application_id: str) -> list[TopicSpec]:
    """Return every topic of an application, inputs first."""
    return [*INPUT_TOPICS.values(), *OUTPUT_TOPICS.values(), changelog_topic(application_id), CONTROL_TOPIC]


def partition_counts(settings: Settings) -> dict[str, int]:
    """Return the partition count of every topic on the broker.

    Raises:
        BrokerError: it does not answer.
    """
    return _counts(_client(settings), settings)


def changelog_identity(settings: Settings) -> str:
    """Return what names the changelog so that no other one ever has the name: cluster, topic, id of the topic.

    Raises:
        TopicsError: the broker does not tell.
    """
    client = _client(settings)
    name = settings.changelog
    answer = client.describe_topics(TopicCollection([name]), request_timeout=TIMEOUT_S)[name]
    try:
        topic_id = answer.result(2 * TIMEOUT_S).topic_id
        return f"{client.list_topics(name, timeout=TIMEOUT_S).cluster_id}/{name}/{topic_id}"
    except KafkaException as error:
        raise TopicsError(
            f"topic {name!r} at {settings.broker} cannot be described ({error.args[0].str()}). Allow this client to "
            "describe its topics."
        ) from None


def create_topics(settings: Settings, *, partitions: int, replication: int) -> list[str]:
    """Create the topics that are missing, and return their names.

    Raises:
        BrokerError: the broker does not answer.
        TopicsError: it refuses, or a topic is there with another partition count; then none is created.
    """
    client, specs = _client(settings), _specs(settings)  # the answers end with the client
    present = _counts(client, settings)
    counts = {name: present.get(name, spec.partitions or partitions) for name, spec in specs.items()}
    _refuse(settings, _miscounted(counts, specs, partitions))
    wanted = [
        NewTopic(
            name,
            num_partitions=spec.partitions or partitions,
            replication_factor=replication,
            config=_config(spec),
        )
        for name, spec in specs.items()
        if name not in present
    ]
    answers = client.create_topics(wanted, operation_timeout=TIMEOUT_S) if wanted else {}
    for name, done in answers.items():
        try:
            done.result(timeout=2 * TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # else somebody was faster
                raise TopicsError(f"topic {name!r} cannot be created: {error.args[0].str()}") from None
    _wait_until_told(client, settings, specs)
    return [topic.topic for topic in wanted]


def check_topics(settings: Settings) -> int:
    """Return the partition count of the inputs after checking that all topics are there and fit.

    Raises:
        BrokerError: the broker does not answer.
        TopicsError: topics are missing, or their partition counts or configurations do not fit.
    """
    client, specs = _client(settings), _specs(settings)
    present = _counts(client, settings)
    missing = [name for name in specs if name not in present]
    if missing:
        raise TopicsError(
            f"missing topics: {', '.join(missing)}; looked at {settings.broker}. "
            "Run: latido topics create --partitions N (as many as the other topics have)"
        )
    partitions = present[next(iter(specs))]
    counts = {name: present[name] for name in specs}
    mistakes = _miscounted(counts, specs, partitions) or _misconfigured(
        _configs(client, settings, specs), specs, settings.broker
    )
    _refuse(settings, mistakes)
    return partitions


def _refuse(settings: Settings, mistakes: list[str]) -> None:
    if mistakes:
        told = "\n  ".join(mistakes)
        raise TopicsError(
            f"topics at {settings.broker} do not fit:\n  {told}\nMend them, and run: latido topics check"
        )


def _miscounted(counts: Mapping[str, int], specs: Specs, partitions: int) -> list[str]:
    followers = {name: count for name, count in counts.items() if specs[name].partitions is None}
    mistakes = []
    if set(followers.values()) - {partitions}:
        told = ", ".join(f"{name} {count}" for name, count in followers.items())
        mistakes.append(
            f"partition counts differ: {told}; {partitions} expected. An account must be in the same partition of "
            "every topic: create the topics anew with one count, or use another LATIDO_TOPIC_PREFIX"
        )
    mistakes += [
        f"{name} has {count} partitions, not {specs[name].partitions}: create it anew"
        for name, count in counts.items()
        if specs[name].partitions not in {None, count}
    ]
    return mistakes


def _misconfigured(found: Configs, specs: Specs, broker: str) -> list[str]:
    return [
        f"{name} has {setting}. Run: kafka-configs.sh --bootstrap-server {broker} --alter --entity-type topics "
        f"--entity-name {name} --add-config {wanted}"
        for name, spec in specs.items()
        for setting, wanted in _differences(found[name], spec)
    ]


def _differences(found: Mapping[str, str], spec: TopicSpec) -> Iterator[tuple[str, str]]:
    if spec.cleanup == "compact" and int(found["delete.retention.ms"]) < TOMBSTONES_MS:
        yield f"delete.retention.ms={found['delete.retention.ms']}", f"delete.retention.ms={TOMBSTONES_MS}"
    if found["cleanup.policy"] != spec.cleanup:
        yield f"cleanup.policy={found['cleanup.policy']}", f"cleanup.policy={spec.cleanup}"
    if int(found["max.message.bytes"]) < spec.max_message_bytes and spec not in INPUT_TOPICS.values():
        yield f"max.message.bytes={found['max.message.bytes']}", f"max.message.bytes={spec.max_message_bytes}"


def _configs(client: AdminClient, settings: Settings, specs: Specs) -> Configs:
    asked = [ConfigResource(ResourceType.TOPIC, name) for name in specs]
    answers = client.describe_configs(asked, request_timeout=TIMEOUT_S)
    found = {}
    for resource, answer in answers.items():
        try:
            entries = answer.result(timeout=2 * TIMEOUT_S)
        except KafkaException as error:
            raise TopicsError(
                f"the configuration of topic {resource.name!r} at {settings.broker} cannot be read "
                f"({error.args[0].str()}). Allow this client to describe the configurations of its topics."
            ) from None
        found[resource.name] = {key: str(entry.value) for key, entry in entries.items()}
    return found


def _wait_until_told(client: AdminClient, settings: Settings, specs: Specs) -> None:
    """Wait until the brokers tell of all topics: a new one is not known to all of them at once."""
    deadline = time.monotonic() + TIMEOUT_S
    while not all(_counts(client, settings).get(name) for name in specs) and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)


def _specs(settings: Settings) -> Specs:
    return {settings.topic_prefix + spec.name: spec for spec in all_topics(settings.application_id)}


def _counts(client: AdminClient, settings: Settings) -> dict[str, int]:
    try:
        metadata = client.list_topics(timeout=TIMEOUT_S)
    except KafkaException as error:
        raise BrokerError(
            f"no broker answers at {settings.broker} ({error.args[0].str()}). "
            "Start it, or set LATIDO_BROKER to its host:port."
        ) from None
    return {name: len(topic.partitions) for name, topic in metadata.topics.items()}


def _client(settings: Settings) -> AdminClient:
    return AdminClient(
        {"bootstrap.servers": settings.broker, "log_level": 0, "socket.timeout.ms": int(TIMEOUT_S * 1000)}
    )


def _config(spec: TopicSpec) -> dict[str, str]:
    config = {"cleanup.policy": spec.cleanup, "max.message.bytes": str(spec.max_message_bytes)}
    if spec.retention_ms is not None:
        config["retention.ms"] = str(spec.retention_ms)
    if spec.cleanup == "compact":
        config["delete.retention.ms"] = str(TOMBSTONES_MS)
        config["max.compaction.lag.ms"] = str(COMPACTED_WITHIN_MS)
    return config
