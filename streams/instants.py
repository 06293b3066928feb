"""Instants and days as text, and instants as they are written."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTES: Final = tuple(f"{minute // 60:02d}:{minute % 60:02d}" for minute in range(1440))
_SECONDS: Final = tuple(f":{second:02d}." for second in range(60))
_MILLISECONDS: Final = tuple(f"{millisecond:03d}Z" for millisecond in range(1000))
_ROUNDED_UP: Final = re.compile(rb"\.\d{3}999[5-9]")
"""A fraction of a second that rounding to microseconds, which is what msgspec does, raises by a millisecond."""
_BEYOND_MICROSECONDS: Final = re.compile(r"(?<=\.\d{6})\d+")
_NOTHING: Final = msgspec.Raw()


@lru_cache(maxsize=4096)
def day_text(day: int) -> str:
    """Return a day, counted from 1970-01-01, as RFC 3339 full-date."""
    return (_EPOCH + timedelta(days=day)).date().isoformat()


def instant_text(t: int) -> str:
    """Return an instant in ms as RFC 3339 UTC with milliseconds."""
    second, millisecond = divmod(t, 1000)
    day, second = divmod(second, 86_400)
    return f"{day_text(day)}T{_MINUTES[second // 60]}{_SECONDS[second % 60]}{_MILLISECONDS[millisecond]}"


class _Instants(msgspec.Struct):
    """The instants of any event or control record as they are written; what else is there may be what no decoder reads."""

    occurred_at: msgspec.Raw = _NOTHING
    expires_at: msgspec.Raw = _NOTHING
    received_at: msgspec.Raw = _NOTHING
    due_at: msgspec.Raw = _NOTHING
    effective_at: msgspec.Raw = _NOTHING


_INSTANTS: Final = msgspec.json.Decoder(_Instants)


def instant_ms(value: Any) -> int:
    """Return an instant (aware datetime or integer ms) as ms UTC, cut to whole milliseconds towards minus infinity."""
    if isinstance(value, datetime):
        seconds = value - _EPOCH
        return (seconds.days * 86_400 + seconds.seconds) * 1000 + seconds.microseconds // 1000
    return int(value)


def may_be_rounded_up(value: bytes) -> bool:
    """Tell whether an instant in JSON may be one that msgspec rounds up into the next millisecond."""
    return _ROUNDED_UP.search(value) is not None


def cut_instants(event: Any, value: bytes) -> None:
    """Set back the instants of an event that msgspec has rounded up into the next millisecond."""
    if not may_be_rounded_up(value):
        return
    written = _INSTANTS.decode(value)
    for name in written.__struct_fields__:
        raw = getattr(written, name)
        if hasattr(event, name) and bytes(raw).startswith(b'"'):
            text = _BEYOND_MICROSECONDS.sub("", msgspec.json.decode(raw))
            setattr(event, name, msgspec.convert(text, datetime))
