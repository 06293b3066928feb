"""Time zones as tables of transitions, read from the time zone database for the core."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

import numpy as np

from streams.days import FAR_PAST, Zone, zone_code

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS: Final = (datetime(2101, 1, 1, tzinfo=UTC) - _EPOCH).days
_DAY_S: Final = 86_400
_STEP_DAYS: Final = 7
"""No zone changes its offset and back within so many days."""


class ZoneDatabase:
    """The zones of the machine's time zone database."""

    def table(self, name: str) -> Zone | None:
        """Return the table of a zone, None for a name that the database does not know."""
        return zone_table(name) if self.name_of(zone_code(name)) == name else None

    def name_of(self, code: int) -> str | None:
        """Return the name of the zone with this code, None if the database knows none."""
        return _names().get(code)


@cache
def _names() -> dict[int, str]:
    return {zone_code(name): name for name in sorted(available_timezones())}


@cache
def zone_table(name: str) -> Zone:
    """Return the table of a known zone's offsets from 1970 to 2100, every transition exact to the second.

    The first offset holds for all time before, the last for all time after.
    """
    zone = ZoneInfo(name)
    starts, offsets = [FAR_PAST], [_offset_s(zone, 0)]
    for week in range(0, _DAYS, _STEP_DAYS):
        low, high = week * _DAY_S, (week + _STEP_DAYS) * _DAY_S
        while _offset_s(zone, high) != offsets[-1]:
            low = _transition(zone, low, high, offsets[-1])
            starts.append(low * 1000)
            offsets.append(_offset_s(zone, low))
    return Zone(np.array(starts, np.int64), np.array(offsets, np.int64) * 1000)


def _offset_s(zone: ZoneInfo, second: int) -> int:
    offset = (_EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def _transition(zone: ZoneInfo, low: int, high: int, before: int) -> int:
    """Return the first second after ``low`` at which the offset is no longer ``before``, which it is at ``low``."""
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_s(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high
