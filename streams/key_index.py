"""Rows by key, asked for many at a time.

A dictionary of many keys lies in no cache: each question waits for memory three times. Here the questions of a chunk are
asked together, and what one needs is brought near while others are answered.

A table in open addressing, of two cells for a slot, and all keys behind each other. Keys are compared by every byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streams.compiled import copy, entry, int64, kernel, prefetch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Cells = npt.NDArray[np.int64]

NOBODY: Final = -1
"""The row of no account."""
WHOSE, WHERE, SLOT_CELLS = range(3)
"""Of a slot: a mark of the key's hash and, in the lower 32 bits, its row + 1; where the key begins, and its size."""
EMPTY, GONE = 0, -1
"""A slot of nobody, and one of somebody who left: what was put behind it must still be found."""
LOWER: Final = 32
ROW_MASK: Final = (1 << LOWER) - 1
SIZE_BITS: Final = 16
SIZE_MASK: Final = (1 << SIZE_BITS) - 1
HASH_BITS: Final = 38
MARK_BITS: Final = 30
HASH_MASK: Final = (1 << HASH_BITS) - 1
PRIME: Final = 0x01000193
"""Of FNV for 32 bits: a hash times it stays within an integer."""
SEED: Final = hash("latido") & HASH_MASK
"""Another one in each process: keys that meet in one rarely do in the next. What is found does not depend on it."""
TOGETHER: Final = 64
"""So many questions are asked together: what they need fits into the nearest cache."""
_SLOTS_MIN: Final = 1024
_BYTES_MIN: Final = 16_384


@kernel
def _hash(keys: Bytes, begin: int, end: int, seed: int) -> int:
    """Return the hash of a key: FNV-1a, stirred."""
    mixed = int64(seed)
    for at in range(begin, end):
        mixed = ((mixed ^ int64(keys[at])) * PRIME) & HASH_MASK
    return mixed ^ (mixed >> int64(HASH_BITS // 2))


@kernel
def _mark(hashed: int) -> int:
    """Return what a slot holds of a hash, where it holds it."""
    return hashed >> int64(HASH_BITS - MARK_BITS) << int64(LOWER)


@kernel
def _is_key(keys: Bytes, begin: int, end: int, arena: Bytes, where: int) -> bool:
    size, start = where & SIZE_MASK, where >> SIZE_BITS
    if size != end - begin:
        return False
    for at in range(size):
        if arena[start + at] != keys[begin + at]:
            return False
    return True


@kernel
def _slot(keys: Bytes, begin: int, end: int, hashed: int, slots: Cells, arena: Bytes) -> int:
    """Return the slot of a key, or the empty one where it would be put."""
    at = hashed & (len(slots) - 1)
    while slots[at, WHOSE] != EMPTY:
        whose = slots[at, WHOSE]
        if whose & ~ROW_MASK == _mark(hashed) and _is_key(keys, begin, end, arena, slots[at, WHERE]):
            break
        at = (at + 1) & (len(slots) - 1)
    return at


@kernel
def _begin(ends: Cells, i: int) -> int:
    return ends[i - 1] + 1 if i > 0 else int64(0)


@entry
def find_rows(keys: Bytes, ends: Cells, slots: Cells, arena: Bytes, seed: int, rows: Cells) -> None:
    """Find the row of each key.

    Args:
        keys: (bytes,) uint8, with a byte between one key and the next.
        ends: (n,) int64, where each ends.
        slots: (a power of two, SLOT_CELLS) int64.
        arena: (bytes,) uint8, all keys of the table.
        seed: of hashes.
        rows: (n,) int64, set; ``NOBODY`` where there is none.
    """
    for first in range(0, len(ends), TOGETHER):
        stop = min(first + TOGETHER, len(ends))
        for i in range(first, stop):
            rows[i] = _hash(keys, _begin(ends, i), ends[i], seed)
            prefetch(slots, rows[i] & (len(slots) - 1))
        for i in range(first, stop):
            prefetch(arena, slots[rows[i] & (len(slots) - 1), WHERE] >> SIZE_BITS)
        for i in range(first, stop):
            at = _slot(keys, _begin(ends, i), ends[i], rows[i], slots, arena)
            rows[i] = (slots[at, WHOSE] & ROW_MASK) - 1


@entry
def put(
    keys: Bytes,
    begins: Cells,
    ends: Cells,
    rows: Cells,
    slots: Cells,
    wheres: Cells,
    arena: Bytes,
    seed: int,
    used: int,
) -> None:
    """Put keys, each once, into a table that has room for them, or let those go whose row is ``NOBODY``.

    Args:
        keys: (bytes,) uint8.
        begins: (n,) int64, where each key begins; ``ends`` likewise.
        ends: (n,) int64.
        rows: (n,) int64.
        slots: (a power of two, SLOT_CELLS) int64.
        wheres: (rows,) int64, set to the cell WHERE of each row.
        arena: (bytes,) uint8.
        seed: of hashes.
        used: how many bytes of the arena are.
    """
    for i in range(len(ends)):
        begin, end = begins[i], ends[i]
        hashed = _hash(keys, begin, end, seed)
        at = _slot(keys, begin, end, hashed, slots, arena)
        if rows[i] == NOBODY:
            slots[at, WHOSE] = GONE
            continue
        slots[at, WHOSE] = _mark(hashed) | (rows[i] + 1)
        slots[at, WHERE] = wheres[rows[i]] = (used << SIZE_BITS) | (end - begin)
        copy(arena, used, keys, begin, end - begin)
        used += end - begin


@entry
def collect(wheres: Cells, arena: Bytes, out: Bytes) -> None:
    """Put keys behind each other.

    Args:
        wheres: (n,) int64, their cells WHERE.
        arena: (bytes,) uint8, all keys of the table.
        out: (bytes,) uint8, with room for them.
    """
    at = int64(0)
    for where in wheres:
        copy(out, at, arena, where >> SIZE_BITS, where & SIZE_MASK)
        at += where & SIZE_MASK


class KeyIndex:
    """Rows by key; a key has at most 65,535 bytes."""

    def __init__(self) -> None:
        self._slots = np.zeros((_SLOTS_MIN, SLOT_CELLS), np.int64)
        self._arena = np.zeros(_BYTES_MIN, np.uint8)
        self._wheres = np.zeros(_SLOTS_MIN, np.int64)
        """The cell WHERE of each row."""
        self._filled = 0
        """Slots that are not empty."""
        self._used = 0
        """Bytes of the arena, those of keys that are gone included."""

    def rows_of(self, keys: Sequence[bytes]) -> Cells:
        """Return the row of each key, (keys,) int64, ``NOBODY`` where there is none."""
        return self.find(np.frombuffer(b"\0".join(keys), np.uint8), np.cumsum(_sizes(keys) + 1) - 1)

    def find(self, keys: Bytes, ends: Cells) -> Cells:
        """Return the row of each key, see ``find_rows``."""
        rows = np.empty(len(ends), np.int64)
        find_rows(keys, ends, self._slots, self._arena, SEED, rows)
        return rows

    def keys_of(self, rows: Cells) -> tuple[Bytes, Cells]:
        """Return the keys of rows behind each other, (bytes,) uint8, not to be written to, and where each ends.

        Args:
            rows: (n,) int64, each of a key.
        """
        wheres = self._wheres[rows]
        ends = np.cumsum(wheres & SIZE_MASK)
        keys = np.empty(ends[-1] if len(ends) else 0, np.uint8)
        collect(wheres, self._arena, keys)
        keys.flags.writeable = False
        return keys, ends

    def add(self, keys: Sequence[bytes], rows: Cells) -> None:
        """Give rows to keys that have none, each once.

        Args:
            keys: of accounts.
            rows: (keys,) int64.
        """
        ends = np.cumsum(_sizes(keys))
        size = int(ends[-1]) if len(ends) else 0
        self._make_room(len(keys), size)
        if len(keys) and (last := int(rows.max())) >= len(self._wheres):
            self._wheres = np.append(self._wheres, np.zeros(last, np.int64))  # twice as many
        self._put(np.frombuffer(b"".join(keys), np.uint8), np.append(0, ends)[:-1], ends, rows)
        self._filled, self._used = self._filled + len(keys), self._used + size

    def remove(self, key: bytes) -> None:
        """Let a key go that has a row.

        Raises:
            KeyError: it has none.
        """
        if self.rows_of([key])[0] == NOBODY:
            raise KeyError(key)
        data = np.frombuffer(key, np.uint8)
        self._put(data, np.zeros(1, np.int64), np.array([len(key)]), np.array([NOBODY]))

    def _put(self, keys: Bytes, begins: Cells, ends: Cells, rows: Cells) -> None:
        put(keys, begins, ends, rows, self._slots, self._wheres, self._arena, SEED, self._used)

    def _make_room(self, keys: int, size: int) -> None:
        """Let there be room for so many keys of so many bytes: at least half of the slots stay empty."""
        if 2 * (self._filled + keys) <= len(self._slots) and self._used + size <= len(self._arena):
            return
        old, arena = self._slots[self._slots[:, WHOSE] > EMPTY], self._arena
        begins, sizes = old[:, WHERE] >> SIZE_BITS, old[:, WHERE] & SIZE_MASK
        slots, room, used = len(self._slots), len(self._arena), int(sizes.sum())
        while slots < 3 * (len(old) + keys):
            slots *= 2
        while room < used + used // 2 + size:
            room *= 2
        self._slots, self._arena = np.zeros((slots, SLOT_CELLS), np.int64), np.zeros(room, np.uint8)
        self._filled, self._used = len(old), 0
        arena.flags.writeable = False  # as all keys that are put: another type to the compiler
        self._put(arena, begins, begins + sizes, (old[:, WHOSE] & ROW_MASK) - 1)
        self._used = used


def _sizes(keys: Iterable[bytes]) -> Cells:
    return np.fromiter(map(len, keys), np.int64)
