"""What the changelog holds beside accounts and the memory of ids: partition count, layouts, positions, control."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from schemas.errors import StateError
from streams.migration import describe

if TYPE_CHECKING:
    from streams.plan import Program

RESERVED: Final = 0
"""The first byte of keys that are no accounts."""
META: Final = b"\0meta"
LAYOUT: Final = b"\0layout:"
"""Followed by a fingerprint: what is needed to read rows that begin with it."""


class Beside:
    """Keeps it as it was last written or read."""

    def __init__(self, partitions: int) -> None:
        self.records: dict[bytes, bytes] = {}
        self._partitions = partitions

    def complete(self, records: dict[bytes, bytes | None], program: Program) -> None:
        """Add to what is about to be written what the changelog should hold under a program and has not, and keep all."""
        layout, meta = program.layout, msgspec.json.encode({"partitions": self._partitions})
        fixed = {META: meta, LAYOUT + layout.fingerprint: b""}
        for key in fixed.keys() - self.records.keys():
            records[key] = fixed[key] or describe(layout)
        for key, value in records.items():
            self.keep(key, value)

    def keep(self, key: bytes, value: bytes | None) -> None:
        """Keep what is written or read; None was deleted."""
        if value is None:
            self.records.pop(key, None)
        else:
            self.records[key] = value

    def held(self) -> list[tuple[bytes, bytes]]:
        """Return what the changelog holds."""
        return list(self.records.items())

    def check_count(self, value: bytes) -> None:
        """Judge what the changelog says of the partition count.

        Raises:
            StateError: it is another one.
        """
        written = msgspec.json.decode(value)["partitions"]
        if written != self._partitions:
            raise StateError(
                f"The account table was written for {written} partitions, the input topics have {self._partitions} now. "
                "Accounts would be scored apart from their history. Set the topics back, or start a new application: give "
                "LATIDO_APPLICATION_ID a new name and create its topics."
            )
