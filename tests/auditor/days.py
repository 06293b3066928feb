"""Local days of a time zone, found by search over instants."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from tests.auditor.exact import DAY_MS, EPOCH, HOUR_MS

MINUTE_MS = 60_000
REACH_H = 26
"""No zone is further from UTC than this many hours, before and after any change of its clocks."""


def _local(zone_name: str, time_ms: int) -> datetime:
    return (EPOCH + timedelta(milliseconds=time_ms)).astimezone(ZoneInfo(zone_name))


@cache
def local_day(zone_name: str, time_ms: int) -> int:
    """Return the days from 1970-01-01 to the local date at an instant."""
    return _local(zone_name, time_ms).date().toordinal() - EPOCH.date().toordinal()


@cache
def start_of_day(zone_name: str, day: int) -> int:
    """Return the first instant whose local day is at least this one: minute by minute, then by the millisecond.

    The search begins where the day would begin with the most advanced clock of the hours around it.
    """
    around = [_local(zone_name, day * DAY_MS + hour * HOUR_MS) for hour in range(-REACH_H, REACH_H + 1)]
    ahead = max(moment.utcoffset() or timedelta() for moment in around)
    time_ms = day * DAY_MS - ahead // timedelta(milliseconds=1) - MINUTE_MS
    while _day(zone_name, time_ms) < day:
        time_ms += MINUTE_MS
    before, after = time_ms - MINUTE_MS, time_ms
    while after - before > 1:
        middle = (before + after) // 2
        if _day(zone_name, middle) < day:
            before = middle
        else:
            after = middle
    return after


_day = local_day.__wrapped__
