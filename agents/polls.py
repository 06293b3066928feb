"""What the consumer hands over: polls, each made at one instant of the consumer thread.

A *poll* says what one look at the fetched records gave, at one instant of the consumer thread: the chunks,
and for every input that is then at its end, since when. So no record can slip between "the position has
moved" and "it was offered".

A *generation* is the life of one set of start positions. The main loop numbers it, the consumer thread takes
the number over in the same breath as it seeks. Polls of an older generation are dropped whole and fetched
again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from schemas.records import Chunk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from faust.types import TP


class PolledChunk(NamedTuple):
    """Consecutive records of one topic partition, with the consumer's positions before and after them."""

    topic: str
    partition: int
    start: int
    end: int
    records: Chunk
    value_bytes: int


class EndOfInput(NamedTuple):
    """All that the topic partition had at ``at_ms`` (wall time of the request) has been handed over."""

    topic: str
    partition: int
    at_ms: int


class Poll(NamedTuple):
    """What one look at the fetched records gave; ``carrier`` is the topic partition Faust thinks it is of."""

    generation: int
    chunks: list[PolledChunk]
    ends: list[EndOfInput]
    answered_ms: int
    """When the latest answered fetch was asked: it stands still while the broker is away."""
    lag: dict[str, int]
    """By topic, how many records of all partitions lay unread at their latest fetches."""
    carrier: TP
    carrier_offset: int


class DeliveryPort(Protocol):
    """What the consumer below asks of the worker, on the main loop."""

    check_crcs: bool
    isolation_level: str

    @property
    def held_back(self) -> frozenset[tuple[str, int]]:
        """Topic partitions that are too far ahead to be read now; asked for by the consumer thread."""

    @property
    def misplaced(self) -> bool:
        """Whether the inputs have to be sought again."""

    async def on_revoked(self) -> None:
        """Give everything up."""

    async def on_assigned(self, assigned: set[TP]) -> None:
        """Own what is assigned."""

    async def start_positions(
        self, assigned: set[TP], earliest: Mapping[TP, int], hints: Mapping[TP, int]
    ) -> tuple[int, dict[TP, int]]:
        """Begin a generation; return its number and where to read from."""

    def group_offsets(self) -> dict[TP, int]:
        """Return the offsets to show to lag tools."""

    async def take(self, poll: Poll) -> None:
        """Process one poll."""

    def die(self, error: BaseException) -> None:
        """End the process at once."""


def polled(tp: TP, start: int, end: int, records: Sequence[Any]) -> PolledChunk:
    """Make a chunk of fetched records, at least one and in rising order, read between two positions."""
    values = [record.value for record in records]
    first, last = records[0].offset, records[-1].offset
    offsets = (
        np.arange(first, last + 1, dtype=np.int64)
        if last - first == len(records) - 1
        else np.array([record.offset for record in records], np.int64)
    )
    chunk = Chunk(
        keys=[record.key for record in records],
        values=values,
        offsets=offsets,
        timestamps=np.array([record.timestamp for record in records], np.int64),
    )
    return PolledChunk(
        tp.topic, tp.partition, start, end, chunk, sum(len(value) for value in values if value)
    )
