"""Dead letters as they lie in their topic: read through once with a bound on memory, looked up by name, retried or not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import msgspec
from confluent_kafka import KafkaException, TopicPartition

from agents.latest import AT_ITS_END, Span, bounds_of, reader
from agents.topics import partition_counts
from schemas.errors import BrokerError, LetterError, TopicsError
from schemas.outputs import RETRIED_FROM
from schemas.topics import Output

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from confluent_kafka import Consumer, Message

    from agents.settings import Settings

ALL: Final = 1 << 62
"""More than any partition holds."""
STUCK_S: Final = 30.0
"""A topic that does not come on for so long is given up: longer than an open transaction lasts."""
START_BYTES: Final = 200
NEAR: Final = 500
"""So many records are read over rather than sought."""
PER_POLL: Final = 500
POLL_S: Final = 0.2


class Letter(NamedTuple):
    """The head of a dead letter: what it is named by, why and where its record was rejected, and how its value begins.

    ``topic`` is an input's name without prefix. ``body_account`` is the ``account_id`` of the body, None if it cannot be read.
    """

    partition: int
    offset: int
    timestamp_ms: int
    reason: str
    detail: str
    topic: str
    source_partition: int
    source_offset: int
    key: bytes | None
    key_bytes: int
    value_bytes: int
    body_account: str | None
    start: bytes

    @property
    def name(self) -> str:
        """How an operator names it."""
        return f"{self.partition}@{self.offset}"

    @property
    def account(self) -> str | None:
        """Whose it is, as far as body or key tell."""
        return self.key_text if self.body_account is None else self.body_account

    @property
    def key_text(self) -> str | None:
        """Its key as text, None if it has none."""
        return None if self.key is None else self.key.decode("utf-8", "backslashreplace")


class Choice(NamedTuple):
    """Which letters are meant; None leaves a condition out. ``account`` is that of the body or the key."""

    reason: str | None = None
    topic: str | None = None
    account: str | None = None
    since_ms: int | None = None

    def fits(self, letter: Letter) -> bool:
        """Tell whether a letter is meant."""
        return (
            self.reason in {None, letter.reason}
            and self.topic in {None, letter.topic}
            and (self.account is None or self.account in {letter.body_account, letter.key_text})
            and (self.since_ms is None or letter.timestamp_ms >= self.since_ms)
        )


class Contents(NamedTuple):
    """What a message is: a letter, or a note that one (partition, offset) was retried."""

    letter: Letter | None
    retried: tuple[int, int] | None


class _Body(msgspec.Struct):
    account_id: str


_BODY: Final = msgspec.json.Decoder(_Body)


def topic_of(settings: Settings) -> tuple[str, int]:
    """Return the name of the topic of dead letters and its partition count.

    Raises:
        BrokerError: the broker does not answer.
        TopicsError: there is no such topic.
    """
    name = settings.topic_prefix + Output.DEAD_LETTERS
    count = partition_counts(settings).get(name)
    if not count:
        raise TopicsError(
            f"topic {name!r} is missing; looked at {settings.broker}. Check LATIDO_BROKER and LATIDO_TOPIC_PREFIX, or run: "
            "latido topics create --partitions N (as many as the other topics have)"
        )
    return name, count


def contents(message: Message) -> Contents:
    """Return what a message of the topic is; neither, if somebody else wrote it."""
    headers = dict(headers_of(message))
    noted = name_parts(headers.get(RETRIED_FROM, b"").decode("utf-8", "replace"))
    if noted is not None:
        return Contents(None, noted)
    try:
        told = {name: value.decode() for name, value in headers.items()}
        value = message.value() or b""
        letter = Letter(
            message.partition() or 0, message.offset() or 0, message.timestamp()[1],
            told["latido_reason"], told["latido_detail"],
            told["latido_topic"], int(told["latido_partition"]), int(told["latido_offset"]),
            message.key(), int(told["latido_key_bytes"]), int(told["latido_value_bytes"]),
            account_of(value), value[:START_BYTES],
        )  # fmt: skip
    except (KeyError, ValueError):
        return Contents(None, None)
    return Contents(letter, None)


def headers_of(message: Message) -> list[tuple[str, bytes]]:
    """Return a message's headers in their order."""
    headers: Any = message.headers() or ()
    return [(name, value or b"") for name, value in headers]


def account_of(value: bytes) -> str | None:
    """Return the account that a body names, None if it cannot be read."""
    try:
        return _BODY.decode(value).account_id
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def name_parts(name: str) -> tuple[int, int] | None:
    """Return the partition and offset of a letter's name, None if it is none."""
    partition, _, offset = name.partition("@")
    if not (partition.isascii() and partition.isdigit() and offset.isascii() and offset.isdigit()):
        return None
    return int(partition), int(offset)


# -- the whole topic ----------------------------------------------------------------------------------------------


def read_through(settings: Settings) -> Iterator[Contents]:
    """Yield what the topic holds now, committed only, each partition in order.

    Raises:
        BrokerError: the broker does not answer, or a transaction stays open.
        TopicsError: there is no such topic.
    """
    name, count = topic_of(settings)
    with reader(settings.broker, _group(settings), "read_committed") as consumer:
        bounds = bounds_of(settings.broker, [Span(name, number, ALL) for number in range(count)])
        left = {number: end for (_, number), (_, end) in bounds.items()}
        consumer.assign([TopicPartition(*place, start) for place, (start, _) in bounds.items()])
        deadline = time.monotonic() + STUCK_S
        while left:
            for message in consumer.consume(PER_POLL, POLL_S):
                deadline = time.monotonic() + STUCK_S
                if _is_record(message) and (message.offset() or 0) < left.get(message.partition() or 0, 0):
                    yield contents(message)
                _settle(left, message)
            if time.monotonic() > deadline:
                raise BrokerError(
                    f"{name} at {settings.broker} is not read to its end: for {STUCK_S:.0f} s nothing more came, perhaps "
                    "because somebody's transaction is open. Try again."
                )


def _settle(left: dict[int, int], message: Message) -> None:
    """Strike the partition off if the message is its last, or tells that its end is reached (an end may be a marker)."""
    number, offset = message.partition() or 0, message.offset() or 0
    beyond = offset + 1 if message.error() is None else offset
    if number in left and beyond >= left[number]:
        del left[number]


def _is_record(message: Message) -> bool:
    error = message.error()
    if error is not None and error.code() != AT_ITS_END:
        raise KafkaException(error)
    return error is None


def retried(settings: Settings) -> set[tuple[int, int]]:
    """Return the letters (partition, offset) that were retried.

    Raises:
        BrokerError: as ``read_through``.
        TopicsError: as ``read_through``.
    """
    return {each.retried for each in read_through(settings) if each.retried is not None}


def letters(settings: Settings, choice: Choice, without: Collection[tuple[int, int]]) -> Iterator[Letter]:
    """Yield the letters that are meant, but for some.

    Raises:
        BrokerError: as ``read_through``.
        TopicsError: as ``read_through``.
    """
    for letter, _ in read_through(settings):
        if letter is not None and choice.fits(letter) and (letter.partition, letter.offset) not in without:
            yield letter


# -- single records -----------------------------------------------------------------------------------------------


class Lookup:
    """Reads single records by their places; fast for places that follow each other."""

    def __init__(self, settings: Settings, isolation: str) -> None:
        self._opened = reader(settings.broker, _group(settings), isolation)
        self._place, self._next = ("", -1), 0

    def __enter__(self) -> Self:
        self._consumer: Consumer = self._opened.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self._opened.__exit__(*raised)  # type: ignore[arg-type]

    def at(self, topic: str, partition: int, offset: int) -> Message | None:
        """Return the record at a place, None if there is none (any more).

        Raises:
            BrokerError: the broker does not answer.
        """
        is_near = self._place == (topic, partition) and self._next <= offset <= self._next + NEAR
        if not is_near:
            self._consumer.assign([TopicPartition(topic, partition, offset)])
        self._place = "", -1
        deadline = time.monotonic() + STUCK_S
        while time.monotonic() < deadline:
            message = self._consumer.poll(POLL_S)
            if message is None:
                continue
            if not _is_record(message):  # the end, perhaps as it was when an earlier record was looked up
                return self.at(topic, partition, offset) if is_near else None
            found = message.offset() or 0
            if found == offset:
                self._place, self._next = (topic, partition), offset + 1
                return message
            if found > offset:
                return None
        raise BrokerError(f"no record of {topic} partition {partition} came for {STUCK_S:.0f} s. Try again.")


def letter_at(settings: Settings, lookup: Lookup, partition: int, offset: int) -> tuple[Letter, Message]:
    """Return a letter by its name, with its message.

    Raises:
        BrokerError: the broker does not answer.
        LetterError: there is none, or retention has deleted it.
        TopicsError: there is no such topic.
    """
    name, count = topic_of(settings)
    called = f"{partition}@{offset}"
    if partition >= count:
        raise LetterError(f"there is no letter {called}: the partitions of {name} are 0 to {count - 1}.")
    bounds = bounds_of(settings.broker, [Span(name, partition, ALL)])
    low, end = bounds.get((name, partition), (None, None))
    if low is None or end is None:
        raise LetterError(
            f"there is no letter {called}: partition {partition} of {name} holds none (any more)."
        )
    if offset < low:
        raise LetterError(
            f"letter {called} is gone: retention has deleted it, the oldest place of that partition is {partition}@{low}. "
            f"Its record may still lie in its input; `latido dead-letters list` shows what there is."
        )
    message = lookup.at(name, partition, offset) if offset < end else None
    letter = None if message is None else contents(message).letter
    if message is None or letter is None:
        raise LetterError(
            f"there is no letter {called}: that partition has {partition}@{low} to {partition}@{end - 1}, and not every place "
            "holds a letter (transactions and notes of retries take some). `latido dead-letters list` names those there are."
        )
    return letter, message


def _group(settings: Settings) -> str:
    return f"{settings.application_id}-dead-letters"
