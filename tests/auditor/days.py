"""Local days of a time zone, found by search over instants."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from zoneinfo import ZoneInfo

from tests.auditor.exact import DAY_MS, EPOCH

MINUTE_MS = 60_000
REACH_MS = 16 * 60 * MINUTE_MS
"""No zone is further from UTC than this."""


@cache
def local_day(zone_name: str, time_ms: int) -> int:
    """Return the days from 1970-01-01 to the local date at an instant."""
    moment = (EPOCH + timedelta(milliseconds=time_ms)).astimezone(ZoneInfo(zone_name))
    return moment.date().toordinal() - EPOCH.date().toordinal()


@cache
def start_of_day(zone_name: str, day: int) -> int:
    """Return the first instant whose local day is at least this one: minute by minute, then by the millisecond."""
    time_ms = day * DAY_MS - REACH_MS
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
