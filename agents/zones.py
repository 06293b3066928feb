"""Time zones as tables of transitions, read from the time zone database for the core."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from schemas.errors import ConfigError
from streams.days import FAR_PAST, Zone

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY, _LAST_DAY = 7_305, 47_482
"""1990-01-01 and 2100-01-01 in days since 1970: no event lies outside."""
_DAY_S: Final = 86_400


def zone_table(name: str) -> Zone:
    """Return the table of a zone's offsets from 1990 to 2100.

    Raises:
        ConfigError: the time zone database does not know ``name``.
    """
    try:
        zone = ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(
            f"time_zone {name!r} is not known; give a name such as UTC or Europe/Madrid."
        ) from error
    starts, offsets = [FAR_PAST], [_offset_s(zone, _FIRST_DAY * _DAY_S)]
    for day in range(_FIRST_DAY, _LAST_DAY):
        if _offset_s(zone, (day + 1) * _DAY_S) != offsets[-1]:
            at = _transition(zone, day * _DAY_S, (day + 1) * _DAY_S)
            starts.append(at * 1000)
            offsets.append(_offset_s(zone, at))
    return Zone(np.array(starts, np.int64), np.array(offsets, np.int64) * 1000)


def _offset_s(zone: ZoneInfo, second: int) -> int:
    offset = (_EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def _transition(zone: ZoneInfo, low: int, high: int) -> int:
    before = _offset_s(zone, low)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_s(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high
