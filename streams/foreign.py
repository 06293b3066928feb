"""Rows of other layouts wait here as they were read, until their layouts are known, and then are read under this one's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from streams.layout import FINGERPRINT_BYTES
from streams.migration import read_description, read_rows, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

    from streams.layout import Layout
    from streams.migration import Described
    from streams.stored import Tail

MIGRATED_AT_ONCE: Final = 16_384


class Migrated(NamedTuple):
    """Accounts by key, their rows, what they know, (rows, knowledge), and tails by number."""

    keys: dict[bytes, bytes]
    rows: npt.NDArray[np.void]
    known: npt.NDArray[np.uint16]
    tails: dict[int, Tail]


class Foreign:
    """Changelog values by key, and descriptions of layouts by fingerprint."""

    def __init__(self) -> None:
        self._layouts: dict[bytes, Described] = {}
        self._waiting: dict[bytes, bytes] = {}

    def learn_layout(self, fingerprint: bytes, description: bytes) -> None:
        """Take the description of a layout under which rows were written.

        Raises:
            StateError: it is of a newer program.
        """
        self._layouts[fingerprint] = read_description(description)

    def put(self, key: bytes, value: bytes) -> None:
        """Let the row of an account wait, in place of an older one."""
        self._waiting[key] = value

    def drop(self, key: bytes) -> None:
        """Let no row of an account wait."""
        self._waiting.pop(key, None)

    def take_over(self, newer: Foreign) -> None:
        """Take what another one knows, and what waits there in place of what waits here."""
        self._layouts |= newer._layouts
        self._waiting |= newer._waiting

    def read(self, layout: Layout, from_ms: int) -> Iterator[Migrated]:
        """Return the waiting rows under a layout, in force from ``from_ms`` on, some at a time; none waits any more.

        Raises:
            StateError: a layout is not described, or a value too short for it.
        """
        by_layout: dict[bytes, list[bytes]] = {}
        for key, value in self._waiting.items():
            by_layout.setdefault(value[:FINGERPRINT_BYTES], []).append(key)
        for fingerprint, keys in by_layout.items():
            described = self._layouts.get(fingerprint)
            if described is None:
                raise unreadable(fingerprint, len(keys))
            for start in range(0, len(keys), MIGRATED_AT_ONCE):
                some = {key: self._waiting.pop(key) for key in keys[start : start + MIGRATED_AT_ONCE]}
                yield Migrated(some, *read_rows(described, some, layout, from_ms))
        self._layouts.clear()
