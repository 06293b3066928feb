"""Local days from a table of a time zone's transitions.

A zone is two int64 arrays: ``starts`` (instants in ms at which an offset begins to hold; the first is far in the
past) and ``offsets`` (ms east of UTC). The shell makes the table from the time zone database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol
from zlib import crc32

import numpy as np

from schemas.errors import ConfigError, StateError
from streams.compiled import int64, kernel

if TYPE_CHECKING:
    import numpy.typing as npt

DAY_MS: Final = 86_400_000
FAR_PAST: Final = -(1 << 62)


class Zone(NamedTuple):
    """A time zone as a table; ``starts`` and ``offsets`` are int64 arrays of equal length, in ms."""

    starts: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]


class ZoneBook(Protocol):
    """Where the tables of time zones come from."""

    def table(self, name: str) -> Zone | None:
        """Return the table of a zone, None for a name that the time zone database does not know."""

    def name_of(self, code: int) -> str | None:
        """Return the name of the zone with this ``zone_code``, None if the database knows none."""


class Zones(NamedTuple):
    """The zones of a partition's accounts; number 0 is the policy's.

    ``starts`` and ``offsets`` (zones, most transitions) int64 in ms, ``counts`` (zones,) the transitions of each, ``codes``
    (zones,) a number of the zone's name that rows keep (0 for the policy's zone).
    """

    starts: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int64]


def one_zone(zone: Zone) -> Zones:
    """Return zones with the policy's zone alone."""
    return Zones(zone.starts[None], zone.offsets[None], np.array([len(zone.starts)]), np.zeros(1, np.int64))


def zone_code(name: str) -> int:
    """Return the number that rows keep of a zone's name: its CRC-32 in 31 bits, never 0."""
    return (crc32(name.encode()) & 0x7FFFFFFF) or 1


def unknown_zone(code: int) -> StateError:
    """Return the error that an account lives in a zone of which there is no table."""
    return StateError(
        f"An account lives in a time zone (code {code}) that this machine's time zone database does not know. "
        "Install the newest tzdata."
    )


def add_zone(zones: Zones, zone: Zone, name: str) -> Zones:
    """Return the zones with another one at the end."""
    width = max(zones.starts.shape[1], len(zone.starts))
    tables = [
        np.concatenate([_wide(table, width), _wide(row[None], width)])
        for table, row in ((zones.starts, zone.starts), (zones.offsets, zone.offsets))
    ]
    counts, codes = np.append(zones.counts, len(zone.starts)), np.append(zones.codes, zone_code(name))
    return Zones(tables[0], tables[1], counts, codes)


def _wide(table: npt.NDArray[np.int64], width: int) -> npt.NDArray[np.int64]:
    return np.pad(table, ((0, 0), (0, width - table.shape[1])))


@kernel
def segment(zones: Zones, zone: int, t: int) -> int:
    """Return the index of the offset in force at ``t``."""
    low, high = 0, zones.counts[zone]
    while high - low > 1:
        middle = (low + high) // 2
        if zones.starts[zone, middle] <= t:
            low = middle
        else:
            high = middle
    return low


@kernel
def local_day(zones: Zones, zone: int, t: int) -> int:
    """Return the number of days since 1970-01-01 of the local date at ``t``."""
    return int64((t + zones.offsets[zone, segment(zones, zone, t)]) // DAY_MS)


@kernel
def start_of_day(zones: Zones, zone: int, day: int) -> int:
    """Return the first instant whose local day is ``day`` or later (a zone may skip a midnight, or repeat one)."""
    i = segment(zones, zone, day * DAY_MS - DAY_MS)
    while True:
        begin = int64(max(zones.starts[zone, i], day * DAY_MS - zones.offsets[zone, i]))
        if i + 1 == zones.counts[zone] or begin < zones.starts[zone, i + 1]:
            return begin
        i += 1


def not_a_zone(name: str) -> ConfigError:
    """Return what is to be said of a policy's time zone that is not known."""
    return ConfigError(
        f"time_zone {name!r} is not known. Give a name of the time zone database, such as UTC or Europe/Madrid."
    )
