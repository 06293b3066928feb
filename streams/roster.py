"""Which row is whose: rows are given to accounts as their first event is read, and given back when none of theirs is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streams.key_index import NOBODY, KeyIndex

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


class Roster:
    """Account ids by row and rows by key; a row of nobody has the empty name, which no account has."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.keys: list[bytes] = []
        self.unborn: set[int] = set()
        """Rows of accounts that were not there when last looked at: only read of, or ended."""
        self._index = KeyIndex()
        self._free: list[int] = []

    def __len__(self) -> int:
        """Return the number of rows, those of nobody included."""
        return len(self.names)

    def row_of(self, key: bytes) -> int | None:
        """Return the row of a key, None if there is none."""
        row = int(self._index.rows_of([key])[0])
        return None if row == NOBODY else row

    def rows_of(self, joined: bytes, count: int) -> npt.NDArray[np.int64]:
        """Return the row of each of so many keys with a NUL between each and the next, ``NOBODY`` where there is none.

        If one has that byte in it nobody is found: no account has.
        """
        data = np.frombuffer(joined, np.uint8)
        ends = np.append(np.flatnonzero(data == 0), len(data))
        return self._index.find(data, ends) if len(ends) == count else np.full(count, NOBODY)

    def keys_of(self, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Return the keys of the accounts in rows, see ``KeyIndex.keys_of``."""
        return self._index.keys_of(rows)

    def add(self, key: bytes, name: str) -> int:
        """Give a row to an account that has none; return its number."""
        if self._free:
            row = self._free.pop()
            self.names[row], self.keys[row] = name, key
        else:
            row = len(self.names)
            self.names.append(name)
            self.keys.append(key)
        self._index.add([key], np.array([row]))
        self.unborn.add(row)
        return row

    def rows_for(self, keys: Sequence[bytes]) -> npt.NDArray[np.int64]:
        """Return the row of each account, (keys,) int64; those that have none get new ones and are there.

        Args:
            keys: of accounts, each once.
        """
        rows = self._index.rows_of(keys)
        new = np.flatnonzero(rows == NOBODY)
        rows[new] = np.arange(len(self), len(self) + len(new))
        self.add_all([keys[i] for i in new.tolist()])
        return rows

    def add_all(self, keys: Sequence[bytes]) -> None:
        """Give new rows to accounts that are there, in their order; an empty key leaves a row to nobody."""
        first = len(self)
        self.names += [key.decode("utf-8", "surrogatepass") for key in keys]
        self.keys += keys
        self._free += [row for row, key in enumerate(keys, first) if not key]
        somebody = [row for row, key in enumerate(keys, first) if key]
        self._index.add([key for key in keys if key], np.array(somebody, np.int64))

    def give_back(self, row: int) -> None:
        """Let a row be nobody's."""
        self._index.remove(self.keys[row])
        self.names[row], self.keys[row] = "", b""
        self.unborn.discard(row)
        self._free.append(row)
