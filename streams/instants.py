"""Instants and days as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTES: Final = tuple(f"{minute // 60:02d}:{minute % 60:02d}" for minute in range(1440))
_SECONDS: Final = tuple(f":{second:02d}." for second in range(60))
_MILLISECONDS: Final = tuple(f"{millisecond:03d}Z" for millisecond in range(1000))


@lru_cache(maxsize=4096)
def day_text(day: int) -> str:
    """Return a day, counted from 1970-01-01, as RFC 3339 full-date."""
    return (_EPOCH + timedelta(days=day)).date().isoformat()


def instant_text(t: int) -> str:
    """Return an instant in ms as RFC 3339 UTC with milliseconds."""
    second, millisecond = divmod(t, 1000)
    day, second = divmod(second, 86_400)
    return f"{day_text(day)}T{_MINUTES[second // 60]}{_SECONDS[second % 60]}{_MILLISECONDS[millisecond]}"
