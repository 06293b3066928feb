"""The rhythm of an account: gaps between its activities, and the silence that they make improbable."""

from __future__ import annotations

from math import floor
from typing import TYPE_CHECKING, NamedTuple

from tests.auditor.exact import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.auditor.settings import RhythmSettings


class Rhythm(NamedTuple):
    """Weight and length of the gaps known, in units, and how many they are."""

    n: float
    total: float
    gaps: int


def folded(units: Iterable[int], settings: RhythmSettings) -> Rhythm:
    """Fold the places of activity, days or hours by their numbers, in the order in which they were taken."""
    n, total, gaps = 0.0, 0.0, 0
    last: int | None = None
    for unit in units:
        if last is not None and unit <= last:
            continue
        gap = 0 if last is None else _length(last, unit, settings)
        if 1 <= gap <= settings.horizon:
            n = settings.forgetting * n + 1
            total = settings.forgetting * total + gap
            gaps += 1
        last = unit
    return Rhythm(n, total, gaps)


def place(day: int, time_ms: int, settings: RhythmSettings) -> int:
    """Return the day or hour of activity."""
    return time_ms // HOUR_MS if settings.is_hourly else day


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
