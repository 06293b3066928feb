"""Which row is whose: rows are given to accounts as their first event is read, and given back when none of theirs is left."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy.typing as npt

NOBODY: Final = -1
"""The row of no account."""


class Roster:
    """Account ids by row and rows by key; a row of nobody has the empty name, which no account has."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.keys: list[bytes] = []
        self.unborn: set[int] = set()
        """Rows of accounts that were not there when last looked at: only read of, or ended."""
        self._index: dict[bytes | None, int] = {}
        self._free: list[int] = []

    def __len__(self) -> int:
        """Return the number of rows, those of nobody included."""
        return len(self.names)

    def row_of(self, key: bytes) -> int | None:
        """Return the row of a key, None if there is none."""
        return self._index.get(key)

    def rows_of(self, keys: Sequence[bytes | None]) -> npt.NDArray[np.int64]:
        """Return the row of each key, (keys,) int64, ``NOBODY`` where there is none."""
        return np.fromiter(map(self._index.get, keys, repeat(NOBODY)), np.int64, len(keys))

    def add(self, key: bytes, name: str) -> int:
        """Give a row to an account that has none; return its number."""
        if self._free:
            row = self._free.pop()
            self.names[row], self.keys[row] = name, key
        else:
            row = len(self.names)
            self.names.append(name)
            self.keys.append(key)
        self._index[key] = row
        self.unborn.add(row)
        return row

    def rows_for(self, keys: Collection[bytes]) -> list[int]:
        """Return the rows of accounts that are there, new ones of those that have none."""
        self.add_all([key for key in keys if key not in self._index])
        return list(map(self._index.__getitem__, keys))

    def add_all(self, keys: Sequence[bytes]) -> None:
        """Give new rows to accounts that are there, in their order; an empty key leaves a row to nobody."""
        first = len(self.names)
        self.names += [key.decode("utf-8", "surrogatepass") for key in keys]
        self.keys += keys
        self._index.update((key, row) for row, key in enumerate(keys, first) if key)
        self._free += [row for row, key in enumerate(keys, first) if not key]

    def give_back(self, row: int) -> None:
        """Let a row be nobody's."""
        del self._index[self.keys[row]]
        self.names[row], self.keys[row] = "", b""
        self.unborn.discard(row)
        self._free.append(row)
