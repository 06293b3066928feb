"""Writing to the control topic, and what of it and of the account table a command has to know."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from agents.changelog import read_changelog
from agents.clients import Connection
from agents.control_log import RECORDS_MAX
from agents.latest import Span, read_spans
from agents.topics import check_topics
from agents.write_record import write_record
from schemas.control import CONTROL_BYTES_MAX, ActivatePolicy, ControlRecord, control_key
from schemas.errors import ConfigError
from schemas.topics import CONTROL, INPUT_TOPICS, Input
from streams.control import ControlLine, read_control
from streams.merge import POSITION, Progress, read_position

if TYPE_CHECKING:
    from agents.settings import Settings


class Halt(NamedTuple):
    """An input of a partition that stands still behind the reject at ``offset``."""

    topic: Input
    partition: int
    offset: int

    def __str__(self) -> str:
        """Return it as an operator names it."""
        return f"{INPUT_TOPICS[self.topic].name} of partition {self.partition}, by the reject at offset {self.offset}"


def write_control(settings: Settings, record: ControlRecord) -> None:
    """Write a record; return when the broker has it.

    Raises:
        BrokerError: it does not take it.
        ConfigError: the record is too large.
    """
    value = msgspec.json.encode(record)
    if len(value) > CONTROL_BYTES_MAX:
        raise ConfigError(
            f"the policy with its models takes {len(value)} bytes, at most {CONTROL_BYTES_MAX} fit into the control topic. "
            "Shorten it."
        )
    write_record(settings, CONTROL, control_key(record), value, partition=0, undone="nothing was changed")


def last_activation(settings: Settings) -> ActivatePolicy | None:
    """Return the policy that was activated last, None if none was.

    Raises:
        BrokerError: the broker does not answer.
        StateError: a record cannot be followed.
    """
    topic = settings.topic_prefix + CONTROL
    seen = read_spans(
        settings.broker, f"{settings.application_id}-look", [Span(topic, 0, RECORDS_MAX)], "read_committed"
    )
    known: dict[bytes | None, ControlRecord] = {}
    for each in seen:
        known.pop(each.key, None)
        if each.value is not None:
            known[each.key] = read_control(ControlLine(each.offset, each.key, each.value))
    return next((record for record in reversed(known.values()) if isinstance(record, ActivatePolicy)), None)


def halts(settings: Settings) -> list[Halt]:
    """Return the inputs that stand still, as the workers have committed it.

    Raises:
        BrokerError: the broker does not answer.
        TopicsError: topics are missing or do not fit.
    """
    found = _Positions()
    partitions = range(check_topics(settings))
    asyncio.run(read_changelog(Connection(settings.broker), settings.changelog, partitions, found))
    return [
        Halt(topic, partition, progress.offset)
        for (partition, topic), progress in sorted(found.latest.items())
        if progress.halted
    ]


class _Positions:
    """Keeps the progress of each input (``ChangelogSink``)."""

    def __init__(self) -> None:
        self.latest: dict[tuple[int, Input], Progress] = {}

    def take(self, partition: int, keys: list[bytes], values: list[bytes | None]) -> None:
        """Take consecutive records."""
        for key, value in zip(keys, values, strict=True):
            if key.startswith(POSITION) and value is not None:
                topic, progress = read_position(key, value)
                self.latest[partition, topic] = progress
