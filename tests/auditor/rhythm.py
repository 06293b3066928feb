"""The rhythm of an account: gaps between its activities, and the silence that they make improbable."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import pairwise
from math import floor
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.auditor.exact import date_of, day_of

if TYPE_CHECKING:
    from collections.abc import Sequence

LAST_DAY = day_of(date(2101, 1, 1))
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True)
class RhythmSettings:
    """How gaps are counted: in days, in working days, or in hours. Prior and horizon are in these units."""

    prior_rate: float
    prior: float
    forgetting: float
    horizon: int
    is_hourly: bool = False
    calendar: bool = False
    weekend: frozenset[int] = frozenset()
    holidays: frozenset[int] = frozenset()

    @cached_property
    def working_days(self) -> list[int]:
        """All days that count, from 1970-01-01 on."""
        return [d for d in range(LAST_DAY) if (d + 3) % 7 not in self.weekend and d not in self.holidays]

    def number_of(self, day: int) -> int:
        """Return the number of a day."""
        return bisect_right(self.working_days, day) if self.calendar else day

    @property
    def units_a_year(self) -> float:
        if self.is_hourly:
            return 8766
        return 365.25 * (7 - len(self.weekend)) / 7 if self.calendar else 365.25

    @property
    def unit_s(self) -> int:
        return 3600 if self.is_hourly else 86_400

    @property
    def limit_max(self) -> int:
        """The longest silence that is waited for."""
        return 960_000 if self.is_hourly else 40_000


def read_rhythm(rhythm: dict[str, Any], calendar: dict[str, Any] | None) -> RhythmSettings:
    """Return the settings of a policy's `rhythm` and `calendar`."""
    is_hourly = rhythm.get("unit", "day") == "hour"
    units_a_day = 24 if is_hourly else 1
    days_off = calendar or {}
    return RhythmSettings(
        prior_rate=float(rhythm.get("prior_rate", 1.0)),
        prior=units_a_day * float(rhythm.get("prior_days", 7.0)),
        forgetting=float(rhythm.get("forgetting", 0.97)),
        horizon=units_a_day * rhythm.get("horizon_days", 90),
        is_hourly=is_hourly,
        calendar=calendar is not None,
        weekend=frozenset(WEEKDAYS.index(name) for name in days_off.get("weekend") or []),
        holidays=frozenset(day_of(date_of(holiday)) for holiday in days_off.get("holidays") or []),
    )


class Rhythm(NamedTuple):
    """Weight and length of the gaps known, in units, and how many they are."""

    n: float
    total: float
    gaps: int


NOTHING = Rhythm(0.0, 0.0, 0)


def folded(places: Sequence[int], settings: RhythmSettings, before: Rhythm = NOTHING) -> Rhythm:
    """Fold the places of activity, days or hours, each later than the one before it, into what was known before."""
    n, total, gaps = before
    for last, place in pairwise(places):
        gap = _length(last, place, settings)
        if 1 <= gap <= settings.horizon:
            n = settings.forgetting * n + 1
            total = settings.forgetting * total + gap
            gaps += 1
    return Rhythm(n, total, gaps)


def _length(first: int, last: int, settings: RhythmSettings) -> int:
    """Return the units between two places of activity."""
    if settings.is_hourly:
        return last - first
    return settings.number_of(last) - settings.number_of(first)


def usual_gap(rhythm: Rhythm, settings: RhythmSettings) -> float:
    """Return the account's own usual gap in units."""
    return (settings.prior + rhythm.total) / (settings.prior_rate + rhythm.n)


def silence_limit(
    rhythm: Rhythm, settings: RhythmSettings, false_alarms_per_year: float
) -> tuple[int, float]:
    """Return the whole units of the longest silence that is not improbable, and the probability to outlast it."""
    probability = min(false_alarms_per_year * usual_gap(rhythm, settings) / settings.units_a_year, 0.5)
    shape = settings.prior_rate + rhythm.n
    try:
        limit = (settings.prior + rhythm.total) * (probability ** (-1 / shape) - 1)
    except OverflowError:
        return settings.limit_max, probability
    return floor(min(limit, settings.limit_max)), probability
