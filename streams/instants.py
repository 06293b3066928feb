"""Instants and days as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTES: Final = tuple(f"{minute // 60:02d}:{minute % 60:02d}" for minute in range(1440))


@lru_cache(maxsize=4096)
def day_text(day: int) -> str:
    """Return a day, counted from 1970-01-01, as RFC 3339 full-date."""
    return (_EPOCH + timedelta(days=day)).date().isoformat()


def instant_text(t: int) -> str:
    """Return an instant in ms as RFC 3339 UTC with milliseconds."""
    minute, millisecond = divmod(t, 60_000)
    return f"{day_text(minute // 1440)}T{_MINUTES[minute % 1440]}:{millisecond // 1000:02d}.{millisecond % 1000:03d}Z"
