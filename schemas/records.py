"""The shapes that cross the border between the shell and the core: a chunk of records in, a batch out, all state at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from schemas.topics import Output

if TYPE_CHECKING:
    from collections.abc import Sequence

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


class PackedRows(NamedTuple):
    """The changelog records of many accounts behind each other, without an object for each.

    ``keys`` and ``values`` (bytes,) uint8 hold theirs, the ends of which are ``key_ends`` and ``value_ends`` (accounts,)
    int64; ``tails`` what stands behind the value of some, by number.
    """

    keys: npt.NDArray[np.uint8]
    key_ends: npt.NDArray[np.int64]
    values: npt.NDArray[np.uint8]
    value_ends: npt.NDArray[np.int64]
    tails: dict[int, bytes]

    def pairs(self) -> list[tuple[bytes, bytes | None]]:
        """Return them as (key, value)."""
        keys, values = parts(self.keys, self.key_ends), parts(self.values, self.value_ends)
        for i, tail in self.tails.items():
            values[i] += tail
        return list(zip(keys, values, strict=True))


def parts(whole: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64]) -> list[bytes]:
    """Return what lies behind each other, each by itself."""
    blob, stops = whole.tobytes(), ends.tolist()
    return [blob[start:stop] for start, stop in zip([0, *stops[:-1]], stops, strict=True)] if stops else []


NO_ROWS = PackedRows(
    np.zeros(0, np.uint8), np.zeros(0, np.int64), np.zeros(0, np.uint8), np.zeros(0, np.int64), {}
)


class Batch(NamedTuple):
    """What one partition has to commit since the last drain: all of it in one transaction, or none of it.

    ``records`` holds (key, value) pairs of the changelog, a value of ``None`` being a tombstone, ``rows`` those of
    accounts, which come before them; ``positions`` the last offset of each input that is folded into the rows; ``control``
    the records (key, value) of the control topic that say what another partition has to do.
    """

    partition: int
    records: list[tuple[bytes, bytes | None]]
    outputs: list[OutputRecord]
    positions: dict[Input, int]
    events: int
    rows: PackedRows = NO_ROWS
    control: Sequence[tuple[bytes, bytes | None]] = ()

    @property
    def changelog(self) -> list[tuple[bytes, bytes | None]]:
        """All records of the changelog, in order."""
        return self.rows.pairs() + self.records

    @property
    def is_empty(self) -> bool:
        """Nothing is to be written."""
        return not (len(self.rows.key_ends) or self.records or self.outputs or self.control)


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
