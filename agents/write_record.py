"""One record, written and acknowledged: what a command says to the application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException, Producer

from schemas.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents.settings import Settings

WRITE_TIMEOUT_S: Final = 10.0
BY_KEY: Final = -1
"""The partition that the key decides, as Kafka's default partitioner does."""


def write_record(
    settings: Settings, topic: str, key: bytes, value: bytes | None, *, partition: int = BY_KEY, undone: str
) -> None:
    """Write a record to a topic, named without prefix; return when the broker has it.

    ``undone`` says what did not happen if it has not.

    Raises:
        BrokerError: it does not take it.
    """
    name, errors, left = settings.topic_prefix + topic, list[str](), 0
    heard: Callable[..., None] = lambda error, _: errors.append(error.str()) if error else None  # noqa: E731
    options = {"bootstrap.servers": settings.broker, "enable.idempotence": True, "log_level": 0}
    options |= {"partitioner": "murmur2_random", "message.timeout.ms": int(WRITE_TIMEOUT_S * 1000)}
    try:
        producer = Producer(options)
        producer.produce(name, value, key, partition, on_delivery=heard)
        left = producer.flush(WRITE_TIMEOUT_S)
    except KafkaException as error:
        errors.append(error.args[0].str())
    if left or errors:
        raise BrokerError(
            f"{undone}: {settings.broker} did not take the record ({', '.join(errors) or 'no answer'}). "
            f"Allow this client to write to {name}, and try again."
        )
