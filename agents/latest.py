"""Some records of many partitions, its first or its last, without a group and without writing anything."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from schemas.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

READ_TIMEOUT_S: Final = 10.0
"""For all partitions together; what was read by then is returned."""
REQUEST_TIMEOUT_S: Final = 5.0
PAUSE_S: Final = 0.2
MOVING: Final = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
)
"""Errors of partitions whose leader has just come or gone."""
PER_POLL: Final = 1000
FETCH_BYTES: Final = 64 * 1024
QUEUED_KIB: Final = 16 * 1024
AT_ITS_END: Final = KafkaError._PARTITION_EOF  # noqa: SLF001 - this is its documented name


class Seen(NamedTuple):
    """A record as it lies on the broker; ``timestamp_ms`` is -1 where it has none."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int

    @property
    def place(self) -> str:
        """Where it lies, in words."""
        return f"offset {self.offset} of {self.topic} partition {self.partition}"


class Span(NamedTuple):
    """Up to ``at_most`` offsets of a partition: the first of those that are kept, or the last."""

    topic: str
    partition: int
    at_most: int
    first: bool = False


def read_spans(broker: str, group: str, spans: Sequence[Span], isolation: str) -> list[Seen]:
    """Return the records of some spans.

    Args:
        broker: bootstrap servers.
        group: a name that the client must have; it is not joined, and no offsets are kept under it.
        spans: at most one of each partition.
        isolation: ``read_committed`` or ``read_uncommitted``.

    Raises:
        BrokerError: the broker does not answer, or refuses.
    """
    with reader(broker, group, isolation) as consumer:
        return _read(consumer, bounds_of(broker, spans))


@contextmanager
def reader(broker: str, group: str, isolation: str) -> Iterator[Consumer]:
    """Return a consumer to which partitions are assigned by hand; ``group`` and ``isolation`` as in ``read_spans``.

    Raises:
        BrokerError: the broker does not answer, or refuses, while it is used.
    """
    options: dict[str, Any] = {
        "bootstrap.servers": broker,
        "group.id": group,
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": isolation,
        "auto.offset.reset": "earliest",
        "max.partition.fetch.bytes": FETCH_BYTES,
        "queued.max.messages.kbytes": QUEUED_KIB,
        "log_level": 0,
    }
    consumer = Consumer(options)
    try:
        yield consumer
    except KafkaException as error:
        raise BrokerError(
            f"records at {broker} cannot be read ({error.args[0].str()}). Allow this client to read its topics."
        ) from None
    finally:
        consumer.close()


def bounds_of(broker: str, spans: Sequence[Span]) -> dict[tuple[str, int], tuple[int, int]]:
    """Return the first offset of each span that is not empty, and the one after its last."""
    admin = AdminClient({"bootstrap.servers": broker, "log_level": 0})
    where = [TopicPartition(span.topic, span.partition) for span in spans]
    lows = _offsets(admin, where, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
    highs = _offsets(admin, where, OffsetSpec.latest())  # type: ignore[no-untyped-call]
    bounds = {}
    for span, low, high in zip(spans, lows, highs, strict=True):
        start, end = (
            (low, min(low + span.at_most, high)) if span.first else (max(low, high - span.at_most), high)
        )
        if start < end:
            bounds[span.topic, span.partition] = start, end
    return bounds


def _offsets(admin: AdminClient, where: Iterable[TopicPartition], spec: OffsetSpec) -> list[int]:
    """Return an offset of each partition; leaders move, so what can be asked again is, for some seconds."""
    asked = dict.fromkeys(where, spec)
    deadline = time.monotonic() + REQUEST_TIMEOUT_S
    while asked:
        answers = admin.list_offsets(asked, request_timeout=REQUEST_TIMEOUT_S)
        try:
            return [answers[place].result(2 * REQUEST_TIMEOUT_S).offset for place in asked]
        except KafkaException as error:
            if error.args[0].code() not in MOVING or time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_S)
    return []


def _read(consumer: Consumer, bounds: Mapping[tuple[str, int], tuple[int, int]]) -> list[Seen]:
    left = {place: end for place, (_, end) in bounds.items()}
    consumer.assign([TopicPartition(*place, start) for place, (start, _) in bounds.items()])
    found, deadline = [], time.monotonic() + READ_TIMEOUT_S
    while left and time.monotonic() < deadline:
        for message in consumer.consume(PER_POLL, timeout=0.2):
            place, offset = (message.topic() or "", message.partition() or 0), message.offset() or 0
            error = message.error()
            if error is not None and error.code() != AT_ITS_END:
                raise KafkaException(error)
            if offset < left.get(place, 0) and error is None:
                value, stamp = message.value(), message.timestamp()[1]
                found.append(Seen(*place, offset, message.key(), value, stamp))
            if error is not None or offset >= left.get(place, 0) - 1:
                left.pop(place, None)
    return found
