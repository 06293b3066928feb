"""The memory of ids: a repeat sent by a producer is recognised, by the next owner as well.

Two generations of 64-bit hashes, each labelled with a UTC day of the merge order. A generation is an append-only
list of hashes (what is committed, in chunks) and an open-addressing table (what is looked up, derived).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streams.compiled import entry, int64, kernel, prefetch
from streams.days import DAY_MS
from streams.events import EVENT_HASH, EVENT_KEY, EVENT_NATURAL, EVENT_ROW, NO_ROW

if TYPE_CHECKING:
    import numpy.typing as npt

IDS_MAX: Final = 250_000
"""Hashes of a generation; a full one becomes the previous one."""
CHUNK_IDS: Final = 512
PREFIX: Final = b"\0ids:"
AHEAD: Final = 8
"""So many events before one is judged, what its hash needs is asked for: the tables lie in no cache."""
_TABLE_MIN: Final = 4096
_NOTHING: Final = np.zeros(1, np.int64)
"""The table of no generation: nothing is found in it."""


@kernel
def _find(table: npt.NDArray[np.int64], wanted: int) -> int:
    at = wanted & (len(table) - 1)
    while table[at] != 0 and table[at] != wanted:
        at = (at + 1) & (len(table) - 1)
    return at


@entry
def sift(
    columns: npt.NDArray[np.int64], start: int, largest_ms: int, day: int, limit: int,
    current: npt.NDArray[np.int64], previous: npt.NDArray[np.int64], log: npt.NDArray[np.int64], used: npt.NDArray[np.int64],
) -> int:  # fmt: skip
    """Mark repeats among the events from ``start`` on (``EVENT_ROW`` := ``NO_ROW``) and remember the others.

    Args:
        columns: (events, EVENT_COLUMNS) int64, in merge order.
        start: index of the first event to judge.
        largest_ms: largest key taken before.
        day: label of the current generation.
        limit: number of hashes at which the current generation is full, or its table must grow.
        current: its table; ``previous`` the table of the one before; both int64, a power of two long.
        log: its hashes in order; ``used`` (1,) how many.

    Returns:
        the index of the first event not judged: its day is another, or the limit is reached.
    """
    for j in range(start, columns.shape[0]):
        ahead = columns[min(j + AHEAD, columns.shape[0] - 1), EVENT_HASH]
        prefetch(current, ahead & (len(current) - 1))
        prefetch(previous, ahead & (len(previous) - 1))
        largest_ms = max(largest_ms, columns[j, EVENT_KEY])
        if largest_ms // DAY_MS != day or used[0] >= limit:
            return j
        known = False
        for column in (EVENT_HASH, EVENT_NATURAL):
            wanted = columns[j, column]
            if wanted != 0 and (
                current[_find(current, wanted)] != 0 or previous[_find(previous, wanted)] != 0
            ):
                known = True
        if known:
            columns[j, EVENT_ROW] = NO_ROW
            continue
        for column in (EVENT_HASH, EVENT_NATURAL):
            wanted = columns[j, column]
            if wanted != 0:
                current[_find(current, wanted)] = wanted
                log[used[0]] = wanted
                used[0] += 1
    return int64(columns.shape[0])


@entry
def fill(table: npt.NDArray[np.int64], hashes: npt.NDArray[np.int64]) -> None:
    """Put hashes into an empty table with room for them."""
    for wanted in hashes:
        table[_find(table, wanted)] = wanted


class Generation:
    """Hashes remembered under one label."""

    def __init__(self, ordinal: int, day: int, hashes: npt.NDArray[np.int64] | None = None) -> None:
        self.ordinal, self.day = ordinal, day
        count = 0 if hashes is None else len(hashes)
        self.log = np.zeros(max(_TABLE_MIN // 2, count + 2), np.int64)
        self.used = np.array([count], np.int64)
        self.saved = count
        if hashes is not None:
            self.log[:count] = hashes
        self.table = np.zeros(0, np.int64)
        self.grow()

    @property
    def limit(self) -> int:
        """Hashes up to which the table may fill before it grows or the generation ends."""
        return min(len(self.table) // 2 - 2, IDS_MAX)

    def grow(self) -> None:
        """Make the table large enough for twice the hashes."""
        size = _TABLE_MIN
        while size // 2 - 2 <= self.used[0]:
            size *= 2
        self.table = np.zeros(size, np.int64)
        self.log = np.concatenate(
            [self.log[: self.used[0]], np.zeros(size // 2 + 2 - self.used[0], np.int64)]
        )
        fill(self.table, self.log[: self.used[0]])

    def chunks(self, first: int) -> list[tuple[bytes, bytes]]:
        """Return the changelog records of the chunks from number ``first`` on."""
        used, label = int(self.used[0]), self.day.to_bytes(8, "little")
        return [
            (
                _key(self.ordinal, chunk),
                label + self.log[chunk * CHUNK_IDS : min(used, (chunk + 1) * CHUNK_IDS)].tobytes(),
            )
            for chunk in range(first, -(-used // CHUNK_IDS))
        ]


class Memory:
    """The two generations of one partition."""

    def __init__(self) -> None:
        self._ordinal = 0
        self._generations: list[Generation] = []
        self._forgotten: list[Generation] = []
        self._loading: dict[tuple[int, int], bytes] = {}

    def judge(self, columns: npt.NDArray[np.int64], largest_ms: int) -> int:
        """Mark repeats in ``columns`` (see ``sift``) and return how many there were."""
        start = 0
        while start < len(columns):
            largest_ms = max(largest_ms, int(columns[start, EVENT_KEY]))
            self._begin(largest_ms // DAY_MS)
            current = self._generations[-1]
            previous = self._generations[0].table if len(self._generations) == 2 else _NOTHING
            start = sift(
                columns, start, largest_ms, current.day, current.limit, current.table, previous,
                current.log, current.used,
            )  # fmt: skip
            largest_ms = max(largest_ms, int(columns[max(start - 1, 0), EVENT_KEY]))
        return int((columns[:, EVENT_ROW] == NO_ROW).sum())

    def _begin(self, day: int) -> None:
        current = self._generations[-1] if self._generations else None
        if current and current.day == day:
            if current.used[0] >= IDS_MAX:
                self._rotate(day, self._generations[-1:])
            elif current.used[0] >= current.limit:
                current.grow()
            return
        self._rotate(day, [current] if current and current.day == day - 1 else [])

    def _rotate(self, day: int, keep: list[Generation]) -> None:
        self._forgotten += [generation for generation in self._generations if generation not in keep]
        self._ordinal += 1
        self._generations = [*keep, Generation(self._ordinal, day)]

    def take_changed(self) -> list[tuple[bytes, bytes | None]]:
        """Return the changelog records of what was remembered and forgotten since the last call."""
        records: list[tuple[bytes, bytes | None]] = []
        for generation in self._forgotten:
            chunks = -(-generation.saved // CHUNK_IDS)
            records += [(_key(generation.ordinal, chunk), None) for chunk in range(chunks)]
        self._forgotten = []
        for generation in self._generations:
            used = int(generation.used[0])
            if used > generation.saved:
                records += generation.chunks(generation.saved // CHUNK_IDS)
                generation.saved = used
        return records

    def saved(self) -> list[tuple[bytes, bytes]]:
        """Return all that the changelog holds of the memory; nothing may be remembered since it was written."""
        assert all(generation.used[0] == generation.saved for generation in self._generations)
        return [record for generation in self._generations for record in generation.chunks(0)]

    def load(self, key: bytes, value: bytes | None) -> None:
        """Take one changelog record."""
        ordinal, chunk = (int(part) for part in key[len(PREFIX) :].split(b":"))
        if value is None:
            self._loading.pop((ordinal, chunk), None)
        else:
            self._loading[ordinal, chunk] = value

    def loaded(self) -> None:
        """Rebuild the generations from what was loaded."""
        if not self._loading:
            return
        found = {generation.ordinal: generation for generation in self._generations}
        for ordinal in sorted({ordinal for ordinal, _ in self._loading})[-2:]:
            chunks = {chunk: value for (of, chunk), value in self._loading.items() if of == ordinal}
            known = found[ordinal].log[: found[ordinal].saved] if ordinal in found else np.zeros(0, np.int64)
            for chunk in sorted(chunks):
                known = np.concatenate(
                    [known[: chunk * CHUNK_IDS], np.frombuffer(chunks[chunk][8:], np.int64)]
                )
            found[ordinal] = Generation(
                ordinal, int.from_bytes(next(iter(chunks.values()))[:8], "little"), known
            )
        self._generations = [found[ordinal] for ordinal in sorted(found)[-2:]]
        self._ordinal = self._generations[-1].ordinal
        self._loading = {}


def _key(ordinal: int, chunk: int) -> bytes:
    return PREFIX + b"%d:%d" % (ordinal, chunk)
