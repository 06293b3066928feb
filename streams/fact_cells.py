"""What is told of an account as the cells that models and rules read."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from schemas.catalogue import DATE_END, DATE_MIN, FORGOTTEN_DAYS, OVERRIDE_PREFIX
from streams.cells import FOREVER, NO_FACT
from streams.days import DAY_MS
from streams.decode import instant_ms

if TYPE_CHECKING:
    from schemas.events import AccountFacts

FACT_MAX: Final = 10**15
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_EPOCH: Final = date(1970, 1, 1)


def expiry(name: str, told: AccountFacts, at: int) -> int:
    """Return when a fact told at ``at`` expires, in ms; an override that names no end has one nevertheless."""
    if told.expires_at is not None:
        return instant_ms(told.expires_at)
    return at + FORGOTTEN_DAYS * DAY_MS if name.startswith(OVERRIDE_PREFIX) else FOREVER


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
