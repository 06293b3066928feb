"""Which values of facts can be read, and as what: categories, numbers, dates, time zones, overrides."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from schemas.catalogue import DATE_END, DATE_MIN, FACT_BY_NAME, OVERRIDE_PREFIX
from tests.auditor.exact import DAY_MS, date_of, day_of, half_up

NUMBER_MAX = 10**15
zone_names = cache(available_timezones)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= NUMBER_MAX


def thousandths(value: float) -> int:
    """Return a number in thousandths, half up."""
    return half_up(Fraction(value) * 1000)


def day_told(value: Any) -> int | None:
    """Return the local day that a fact names, None if it names none."""
    try:
        found = date_of(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return None if found is None or not DATE_MIN <= found < DATE_END else day_of(found)


def is_zone(value: Any) -> bool:
    """Tell whether a value is a name that the time zone database has."""
    return isinstance(value, str) and value in zone_names()


def is_override(value: Any) -> bool:
    """Tell whether a value of a fact `override.…` pins anything."""
    return is_number(value) and 0 <= value <= 100


def is_readable(name: str, value: Any) -> bool:
    """Tell whether a value of a fact that is read is one of those that its reader takes."""
    if name.startswith(OVERRIDE_PREFIX):
        return is_override(value)
    if name == "time_zone":
        return is_zone(value)
    fact = FACT_BY_NAME[name]
    if fact.unit == "date":
        return day_told(value) is not None
    if fact.values:
        return value in fact.values
    if not is_number(value) or fact.range is None:
        return is_number(value)
    least, most = fact.range
    return 1000 * least <= thousandths(value) <= 1000 * most


def expiry_ms(name: str, told_ms: int, expires_ms: int | None) -> int | None:
    """Return when a fact that was told at an instant is not present any more, None if never."""
    if expires_ms is not None:
        return expires_ms
    days = (
        90 if name.startswith(OVERRIDE_PREFIX) else FACT_BY_NAME[name].days if name in FACT_BY_NAME else None
    )
    return None if days is None else told_ms + days * DAY_MS


def as_category(name: str, value: Any) -> Any:
    """Return the category that a value means: of a question, true and false mean yes and no."""
    is_question = name in FACT_BY_NAME and set(FACT_BY_NAME[name].values) == {"yes", "no"}
    return {True: "yes", False: "no"}[value] if is_question and isinstance(value, bool) else value
