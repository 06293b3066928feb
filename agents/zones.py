"""Time zones as tables of transitions, read from the time zone database for the core."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from schemas.errors import ConfigError
from streams.days import FAR_PAST, Zone

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS: Final = (datetime(2101, 1, 1, tzinfo=UTC) - _EPOCH).days
_DAY_S: Final = 86_400


def zone_table(name: str) -> Zone:
    """Return the table of a zone's offsets from 1970 to 2100, every transition exact to the second.

    The first offset holds for all time before, the last for all time after.

    Raises:
        ConfigError: the time zone database does not know ``name``.
    """
    try:
        zone = ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(
            f"time_zone {name!r} is not known. Give a name of the time zone database, "
            "such as UTC or Europe/Madrid."
        ) from error
    starts, offsets = [FAR_PAST], [_offset_s(zone, 0)]
    for day in range(_DAYS):
        low, high = day * _DAY_S, (day + 1) * _DAY_S
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
