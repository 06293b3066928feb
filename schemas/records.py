"""The two shapes that cross the border between the shell and the core: a chunk of records in, a batch out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from schemas.topics import Input, Output


class Chunk(NamedTuple):
    """Consecutive records of one partition of one input, in offset order.

    ``keys`` and ``values`` are raw bytes (``None`` where the record has none), ``offsets`` and ``timestamps``
    are int64 arrays of the same length; timestamps are Kafka's, in milliseconds UTC.
    """

    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    offsets: npt.NDArray[np.int64]
    timestamps: npt.NDArray[np.int64]

    def part(self, start: int, end: int) -> Chunk:
        """Return the records from one place to before another."""
        return Chunk(
            self.keys[start:end], self.values[start:end], self.offsets[start:end], self.timestamps[start:end]
        )


class OutputRecord(NamedTuple):
    """One record for an output topic, in the order in which it must appear there."""

    topic: Output
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class Batch(NamedTuple):
    """What one partition has to commit since the last drain: all of it in one transaction, or none of it.

    ``changelog`` holds (key, value) pairs, a value of ``None`` being a tombstone; ``positions`` the last offset
    of each input that is folded into the rows.
    """

    partition: int
    changelog: list[tuple[bytes, bytes | None]]
    outputs: list[OutputRecord]
    positions: dict[Input, int]
    events: int
