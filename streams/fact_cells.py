"""What a fact is in a cell: numbers in thousandths, dates as local days, texts by their number, and until when it holds."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from schemas.catalogue import (
    DATE_END,
    DATE_FACTS,
    DATE_MIN,
    FACT_BY_NAME,
    FACT_DAYS,
    FORGOTTEN_DAYS,
    OVERRIDE_PREFIX,
    YES_NO,
    ZONE_FACT,
)
from streams.cells import FOREVER, NO_FACT
from streams.days import DAY_MS
from streams.instants import instant_ms

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.events import AccountFacts
    from streams.plan import Program

FACT_MAX: Final = 10**15
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_EPOCH: Final = date(1970, 1, 1)


def expiry(name: str, told: AccountFacts, at: int) -> int:
    """Return when a fact told at ``at`` expires, in ms; without an end that is told, overrides and some facts have one."""
    if told.expires_at is not None:
        return instant_ms(told.expires_at)
    days = FORGOTTEN_DAYS if name.startswith(OVERRIDE_PREFIX) else FACT_DAYS.get(name)
    return FOREVER if days is None else at + days * DAY_MS


def fact_cell(name: str, value: Any, program: Program, zone_number: Callable[[str], int]) -> int:
    """Return the cell of a fact's or an override's value, ``NO_FACT`` for one that is not read."""
    if name in program.named:
        return program.named[name].get(value, NO_FACT) if isinstance(value, str) else NO_FACT
    if name == ZONE_FACT:
        return zone_number(value) if isinstance(value, str) else NO_FACT
    if name.startswith(OVERRIDE_PREFIX):
        pin = program.overrides[name]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return number_cell(value) if is_number and pin.low <= value <= pin.high else NO_FACT
    if name in DATE_FACTS:
        return date_cell(value)
    fact = FACT_BY_NAME[name]
    if fact.values:
        found = fact.values[value] if fact.values == YES_NO and isinstance(value, bool) else value
        return fact.values.index(found) if found in fact.values else NO_FACT
    cell = number_cell(value)
    return NO_FACT if fact.range and not 1000 * fact.range[0] <= cell <= 1000 * fact.range[1] else cell


def number_cell(value: Any) -> int:
    """Return a number in thousandths, half up; ``NO_FACT`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > FACT_MAX:
        return NO_FACT
    numerator, denominator = value.as_integer_ratio()
    return (2000 * numerator + denominator) // (2 * denominator)


def date_cell(value: Any) -> int:
    """Return the local day that a date in text means; ``NO_FACT`` for anything else."""
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return NO_FACT
    try:
        day = date.fromisoformat(value)
    except ValueError:
        return NO_FACT
    return (day - _EPOCH).days if DATE_MIN <= day < DATE_END else NO_FACT
