"""Sends simulated events to Kafka as any producer of an application would."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.errors import BrokerError
from schemas.topics import INPUT_TOPICS

if TYPE_CHECKING:
    from types import TracebackType

    from agents.simulation.company import SimulatedEvent

REACH_TIMEOUT_S: Final = 10.0
FLUSH_TIMEOUT_S: Final = 60.0
FULL_QUEUE_WAIT_S: Final = 0.05
SERVE_EVERY: Final = 256


class Stamp(StrEnum):
    """What a record's Kafka timestamp is."""

    SENT = "sent"
    """the time of sending: retention counts from now, so old history stays"""
    OCCURRED = "occurred"
    """the event's own time: as if it had been sent when it happened"""


class Feed:
    """A producer of the five inputs; a context manager that waits for all deliveries at its end.

    Keys are account ids and the partitioner is Java's default (murmur2), as for all producers of the inputs.
    """

    def __init__(self, broker: str, topic_prefix: str = "", stamp: Stamp = Stamp.SENT) -> None:
        self._broker, self._stamp = broker, stamp
        self._topics = {topic: topic_prefix + spec.name for topic, spec in INPUT_TOPICS.items()}
        self._failure: KafkaError | None = None
        self.sent = 0
        self._producer = Producer(
            {
                "bootstrap.servers": broker,
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                "enable.idempotence": True,
                "queue.buffering.max.messages": 200_000,
                "log_level": 0,
            }
        )

    def __enter__(self) -> Self:
        """Make sure that the broker answers.

        Raises:
            BrokerError: if it does not within ``REACH_TIMEOUT_S``.
        """
        try:
            self._producer.list_topics(timeout=REACH_TIMEOUT_S)
        except KafkaException as error:
            raise BrokerError(
                f"no Kafka broker answers at {self._broker!r} ({error.args[0].str()}). "
                "Check the address (host:port) and that the broker runs."
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the deliveries; after an exception only for a moment."""
        left = self._producer.flush(FLUSH_TIMEOUT_S if kind is None else 1.0)
        if kind is None:
            self._raise_failure()
            if left:
                message = f"{left} events were not acknowledged by {self._broker!r} in {FLUSH_TIMEOUT_S:g} s."
                raise BrokerError(f"{message} Is the broker overloaded or gone?")

    def send(self, event: SimulatedEvent) -> None:
        """Hand over one event; waits while the producer's queue is full.

        Raises:
            BrokerError: if an earlier event could not be delivered.
        """
        stamp_ms = event.occurred_ms if self._stamp is Stamp.OCCURRED else time.time_ns() // 1_000_000
        self.send_record(self._topics[event.topic], event.account_id.encode(), event.body, stamp_ms)

    def send_record(
        self, topic: str, key: bytes | None, value: bytes | None, stamp_ms: int, partition: int = -1
    ) -> None:
        """Hand over a raw record; partition -1 lets the partitioner choose."""
        while True:
            try:
                self._producer.produce(
                    topic, value, key, partition, on_delivery=self._delivered, timestamp=stamp_ms
                )
                break
            except BufferError:
                self._producer.poll(FULL_QUEUE_WAIT_S)
        self.sent += 1
        if self.sent % SERVE_EVERY == 0:
            self.serve()

    def serve(self) -> None:
        """Take delivery reports. Call it at least every second when nothing is sent.

        Raises:
            BrokerError: if an event could not be delivered.
        """
        self._producer.poll(0)
        self._raise_failure()

    def flush(self) -> None:
        """Wait until everything handed over is acknowledged."""
        self._producer.flush(FLUSH_TIMEOUT_S)
        self._raise_failure()

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        self._failure = self._failure or error

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise BrokerError(
                f"{self._broker!r} did not take an event: {self._failure.str()}. "
                "Do the topics exist? `latido topics create` makes them."
            )
