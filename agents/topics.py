"""Create and check an application's topics: what ``schemas/topics.py`` says, on a broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from schemas.errors import BrokerError, TopicsError
from schemas.topics import CONTROL_TOPIC, INPUT_TOPICS, OUTPUT_TOPICS, TopicSpec, changelog_topic

if TYPE_CHECKING:
    from agents.settings import Settings

TIMEOUT_S: Final = 8.0


def all_topics(application_id: str) -> list[TopicSpec]:
    """Return every topic of an application, inputs first."""
    return [*INPUT_TOPICS.values(), *OUTPUT_TOPICS.values(), changelog_topic(application_id), CONTROL_TOPIC]


def partition_counts(settings: Settings) -> dict[str, int]:
    """Return the partition count of every topic on the broker.

    Raises:
        BrokerError: it does not answer.
    """
    try:
        metadata = _client(settings).list_topics(timeout=TIMEOUT_S)
    except KafkaException as error:
        raise BrokerError(
            f"no broker answers at {settings.broker} ({error.args[0].str()}). "
            "Start it, or set LATIDO_BROKER to its host:port."
        ) from None
    return {name: len(topic.partitions) for name, topic in metadata.topics.items()}


def create_topics(settings: Settings, *, partitions: int, replication: int) -> list[str]:
    """Create the topics that are missing, and return their names.

    Raises:
        BrokerError: the broker does not answer.
        TopicsError: it refuses.
    """
    present = partition_counts(settings)
    wanted = [
        NewTopic(
            settings.topic_prefix + spec.name,
            num_partitions=spec.partitions or partitions,
            replication_factor=replication,
            config=_config(spec),
        )
        for spec in all_topics(settings.application_id)
        if settings.topic_prefix + spec.name not in present
    ]
    client = _client(settings)  # kept until the answers are there: they end with it
    answers = client.create_topics(wanted, operation_timeout=TIMEOUT_S) if wanted else {}
    for name, done in answers.items():
        try:
            done.result(timeout=TIMEOUT_S)
        except KafkaException as error:
            raise TopicsError(f"topic {name!r} cannot be created: {error.args[0].str()}") from None
    return [topic.topic for topic in wanted]


def check_topics(settings: Settings) -> int:
    """Return the partition count of the inputs after checking that all topics are there and fit.

    Raises:
        BrokerError: the broker does not answer.
        TopicsError: a topic is missing, or partition counts differ.
    """
    present = partition_counts(settings)
    names = {settings.topic_prefix + spec.name: spec for spec in all_topics(settings.application_id)}
    missing = [name for name in names if name not in present]
    if missing:
        raise TopicsError(f"missing topics: {', '.join(missing)}. Run: latido topics create --partitions N")
    counts = {name: present[name] for name, spec in names.items() if spec.partitions is None}
    if len(set(counts.values())) != 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise TopicsError(
            f"partition counts differ: {told}. An account must be in the same partition of every topic. "
            "Create the topics anew with one count, or use another LATIDO_TOPIC_PREFIX."
        )
    return next(iter(counts.values()))


def _client(settings: Settings) -> AdminClient:
    return AdminClient(
        {"bootstrap.servers": settings.broker, "log_level": 0, "socket.timeout.ms": int(TIMEOUT_S * 1000)}
    )


def _config(spec: TopicSpec) -> dict[str, str]:
    config = {"cleanup.policy": spec.cleanup, "max.message.bytes": str(spec.max_message_bytes)}
    if spec.retention_ms is not None:
        config["retention.ms"] = str(spec.retention_ms)
    return config
