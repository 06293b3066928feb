"""Days off and closing days: public holidays, month ends and time zones of a few regions.

All days are *local* day numbers (days since 1970-01-01 on the wall calendar of the account), so a day number
has one weekday and one date for every account; only the instant of its midnight differs by zone.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

EPOCH: Final = date(1970, 1, 1)
NO_WORK: Final = 5
"""The first weekday number of the weekend, Monday being 0."""
CLOSES_BEFORE: Final = 2
CLOSES_AFTER: Final = 4


class Zone(NamedTuple):
    """A time zone with the calendar its people follow and its share of the customers."""

    name: str
    calendar: str
    share: float


ZONES: Final = (
    Zone("Europe/Berlin", "continental", 0.26),
    Zone("Europe/London", "british", 0.18),
    Zone("America/New_York", "american", 0.22),
    Zone("America/Los_Angeles", "american", 0.12),
    Zone("America/Sao_Paulo", "brazilian", 0.06),
    Zone("Asia/Kolkata", "indian", 0.06),
    Zone("Asia/Tokyo", "japanese", 0.05),
    Zone("Australia/Sydney", "australian", 0.05),
)

# Fixed days as (month, day), then days counted from Easter Sunday: what shapes rhythms, not a legal list.
_FIXED: Final[dict[str, tuple[tuple[int, int], ...]]] = {
    "continental": ((1, 1), (5, 1), (10, 3), (11, 1), (12, 24), (12, 25), (12, 26), (12, 31)),
    "british": ((1, 1), (5, 4), (5, 25), (8, 31), (12, 25), (12, 26)),
    "american": ((1, 1), (1, 19), (5, 25), (7, 4), (9, 7), (11, 26), (11, 27), (12, 24), (12, 25)),
    "brazilian": ((1, 1), (4, 21), (5, 1), (9, 7), (10, 12), (11, 2), (11, 15), (12, 25)),
    "indian": ((1, 26), (8, 15), (10, 2), (10, 20), (10, 21), (12, 25)),
    "japanese": ((1, 1), (1, 2), (1, 3), (4, 29), (5, 3), (5, 4), (5, 5), (8, 11), (11, 3), (12, 31)),
    "australian": ((1, 1), (1, 26), (4, 25), (6, 8), (12, 25), (12, 26)),
}
_FROM_EASTER: Final[dict[str, tuple[int, ...]]] = {
    "continental": (-2, 1, 39, 40, 50),
    "british": (-2, 1),
    "american": (),
    "brazilian": (-48, -47, -2, 60),
    "indian": (-2,),
    "japanese": (),
    "australian": (-2, 1),
}


def date_of(day: int) -> date:
    """Return the date of a local day number."""
    return EPOCH + timedelta(days=day)


def easter(year: int) -> date:
    """Return Easter Sunday of a year (the anonymous Gregorian algorithm, Meeus 1991)."""
    golden, century = year % 19, year // 100
    moon = (19 * golden + century - century // 4 - (8 * century + 13) // 25 + 15) % 30
    moon -= (moon // 28) * (1 - (29 // (moon + 1)) * ((21 - golden) // 11))
    weekday = (year + year // 4 + moon + 2 - century + century // 4) % 7
    offset = moon - weekday
    month = 3 + (offset + 40) // 44
    return date(year, month, offset + 28 - 31 * (month // 4))


@lru_cache(maxsize=256)
def holidays(calendar: str, year: int) -> frozenset[date]:
    """Return the public holidays of a calendar in a year."""
    fixed = {date(year, month, day) for month, day in _FIXED[calendar]}
    return frozenset(fixed | {easter(year) + timedelta(days=shift) for shift in _FROM_EASTER[calendar]})


def is_holiday(calendar: str, day: int) -> bool:
    """Tell whether a local day is a public holiday of the calendar."""
    today = date_of(day)
    return today in holidays(calendar, today.year)


def is_workday(calendar: str, day: int) -> bool:
    """Tell whether a local day is neither at a weekend nor a public holiday."""
    return date_of(day).weekday() < NO_WORK and not is_holiday(calendar, day)


def closing_day(calendar: str, day: int) -> int:
    """Return the month (1..12) whose books are closed on this day, or 0.

    Books are closed on the last two workdays of a month and the first four of the next.
    """
    if not is_workday(calendar, day):
        return 0
    today = date_of(day)
    passed = sum(is_workday(calendar, day - back) for back in range(today.day))
    if passed <= CLOSES_AFTER:
        return (today.month - 2) % 12 + 1
    month_end = (today.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    left = sum(is_workday(calendar, day + ahead) for ahead in range(1, (month_end - today).days + 1))
    return today.month if left < CLOSES_BEFORE else 0


@lru_cache(maxsize=1024)
def offset_ms(zone: str, day: int) -> int:
    """Return local minus UTC time at noon of a local day, in milliseconds."""
    noon = datetime.combine(date_of(day), datetime.min.time(), UTC) + timedelta(hours=12)
    shift = noon.astimezone(ZoneInfo(zone)).utcoffset()
    return 0 if shift is None else int(shift.total_seconds() * 1000)
