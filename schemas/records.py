"""The shapes that cross the border between the shell and the core: a chunk of records in, a batch out, all state at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from schemas.topics import Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from schemas.topics import Input


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

    @property
    def sent(self) -> bytes | None:
        """The value as it is sent: none for an empty view, which deletes that of its account."""
        return None if self.topic is Output.ACCOUNTS and not self.value else self.value


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


class Snapshot(NamedTuple):
    """All that the changelog of a partition holds up to an offset: of each key the last value.

    ``keys`` are accounts; ``rows`` (accounts, bytes of a row) uint8 are theirs, in the layout ``fingerprint``; ``tails`` what
    stands behind some of them in the changelog, by number; ``stale`` the numbers of those that the changelog holds in
    another layout. ``others`` are all other keys with their values.
    """

    fingerprint: bytes
    keys: list[bytes]
    rows: npt.NDArray[np.uint8]
    tails: dict[int, bytes]
    stale: list[int]
    others: list[tuple[bytes, bytes]]
