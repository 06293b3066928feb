"""What the changelog holds beside accounts and the memory of ids: partition count, layouts, clock, positions, control."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from schemas.errors import StateError
from streams.clock import NEVER_MS
from streams.migration import describe

if TYPE_CHECKING:
    from streams.plan import Program

RESERVED: Final = 0
"""The first byte of keys that are no accounts."""
META: Final = b"\0meta"
CLOCK: Final = b"\0clock"
"""The clock at which the newest records were written: 8 bytes, ms UTC. What was told up to it is not judged again."""
LAYOUT: Final = b"\0layout:"
"""Followed by a fingerprint: what is needed to read rows that begin with it."""


def clock_record(clock_ms: int) -> tuple[bytes, bytes]:
    """Return the changelog record that says how far the clock is."""
    return CLOCK, clock_ms.to_bytes(8, "little", signed=True)


def read_clock(value: bytes) -> int:
    """Return what such a record says."""
    return int.from_bytes(value, "little", signed=True)


class Part(Protocol):
    """A part of the state of a partition that writes and reads records of its own."""

    def take_changed(self) -> list[tuple[bytes, bytes | None]]:
        """Return the records of what changed since the last call."""

    def load(self, key: bytes, value: bytes | None) -> None:
        """Take one record."""


class Beside:
    """Keeps it as it was last written or read."""

    def __init__(self, partitions: int, parts: dict[bytes, Part]) -> None:
        """``parts`` are told apart by how their keys begin."""
        self._parts = parts
        self._records: dict[bytes, bytes] = {}
        self._partitions = partitions

    def take_changed(self) -> dict[bytes, bytes | None]:
        """Return the records of all that changed in the parts since the last call."""
        return {key: value for part in self._parts.values() for key, value in part.take_changed()}

    def load(self, key: bytes, value: bytes | None) -> bool:
        """Keep a record, and let its part take it; return whether it is one's."""
        self.keep(key, value)
        part = next((part for prefix, part in self._parts.items() if key.startswith(prefix)), None)
        if part is not None:
            part.load(key, value)
        return part is not None

    def complete(self, records: dict[bytes, bytes | None], program: Program, clock_ms: int) -> None:
        """Add to what is about to be written the clock, and what the changelog should hold under a program; keep all."""
        layout, meta = program.layout, msgspec.json.encode({"partitions": self._partitions})
        fixed = {META: meta, LAYOUT + layout.fingerprint: b""}
        for key in fixed.keys() - self._records.keys():
            records[key] = fixed[key] or describe(layout)
        if clock_ms > NEVER_MS:
            records |= [clock_record(clock_ms)]
        for key, value in records.items():
            self.keep(key, value)

    def keep(self, key: bytes, value: bytes | None) -> None:
        """Keep what the changelog holds under a key; None: nothing any more."""
        if value is None:
            self._records.pop(key, None)
        else:
            self._records[key] = value

    def held(self) -> list[tuple[bytes, bytes]]:
        """Return what the changelog holds."""
        return list(self._records.items())

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
                "LATIDO_APPLICATION_ID a new name, create its topics and seed it from history (docs/seeding.md)."
            )
