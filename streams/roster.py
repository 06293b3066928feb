"""Which row is whose: rows are given to accounts as their first event is read, and given back when none of theirs is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


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

    def rows_of(self, keys: Sequence[bytes | None]) -> list[int | None]:
        """Return the row of each key, None where there is none."""
        return list(map(self._index.get, keys))

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
