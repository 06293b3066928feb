"""Local days from a table of a time zone's transitions.

A zone is two int64 arrays: ``starts`` (instants in ms at which an offset begins to hold; the first is far in the
past) and ``offsets`` (ms east of UTC). The shell makes the table from the time zone database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from streams.compiled import int64, kernel

if TYPE_CHECKING:
    import numpy.typing as npt

DAY_MS: Final = 86_400_000
FAR_PAST: Final = -(1 << 62)


class Zone(NamedTuple):
    """A time zone as a table; ``starts`` and ``offsets`` are int64 arrays of equal length, in ms."""

    starts: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]


def utc() -> Zone:
    """Return the zone without transitions."""
    return Zone(np.array([FAR_PAST], np.int64), np.array([0], np.int64))


@kernel
def segment(zone: Zone, t: int) -> int:
    """Return the index of the offset in force at ``t``."""
    low, high = 0, len(zone.starts)
    while high - low > 1:
        middle = (low + high) // 2
        if zone.starts[middle] <= t:
            low = middle
        else:
            high = middle
    return low


@kernel
def local_day(zone: Zone, t: int) -> int:
    """Return the number of days since 1970-01-01 of the local date at ``t``."""
    return int64((t + zone.offsets[segment(zone, t)]) // DAY_MS)


@kernel
def start_of_day(zone: Zone, day: int) -> int:
    """Return the first instant whose local day is ``day`` or later (a zone may skip a midnight, or repeat one)."""
    i = segment(zone, day * DAY_MS - DAY_MS)
    while True:
        begin = int64(max(zone.starts[i], day * DAY_MS - zone.offsets[i]))
        if i + 1 == len(zone.starts) or begin < zone.starts[i + 1]:
            return begin
        i += 1
