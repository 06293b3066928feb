"""From bytes to checked fields: JSON as the RFC has it, RFC 3339 instants, strict types. Written from the contracts.

A record that fails raises `Rejected` with its reason; nothing is coerced.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import date
from typing import Any, NoReturn

from schemas.reasons import RejectReason
from schemas.topics import Input
from tests.auditor.exact import DAY_MS, EPOCH

INT_MIN, INT_MAX = -(1 << 63), (1 << 63) - 1
TOO_BIG = 1 << 64
VALUE_BYTES_MAX = 1_048_576
INSTANT = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?(?:[Zz]|([+-])(\d{2}):?(\d{2}))",
    re.ASCII,
)
ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)")

Fields = dict[str, Any]


class Members(dict[str, Any]):
    """A JSON object: of a repeated name the last value counts; `pairs` has them all."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


class Rejected(Exception):
    """The record is a dead letter."""

    def __init__(self, reason: RejectReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


def parse_json(value: bytes) -> Any:
    """Return the content of one JSON text.

    Raises:
        Rejected: `not_json`.
    """
    try:
        text = value.decode("utf-8")
        content = json.loads(text, parse_constant=_no_constant, parse_int=_whole, object_pairs_hook=Members)
    except (ValueError, RecursionError):
        raise Rejected(RejectReason.NOT_JSON) from None
    if _has_lone_surrogate(text):
        raise Rejected(RejectReason.NOT_JSON)
    return content


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _whole(digits: str) -> int:
    return int(digits) if len(digits) <= 20 else TOO_BIG


def _has_lone_surrogate(text: str) -> bool:
    """Tell whether an escaped half of a surrogate pair stands alone (the text is well-formed otherwise)."""
    high_ends_at = -1
    for escape in ESCAPE.finditer(text):
        unit = int(escape[1] or "0", 16)
        is_low, wants_low = 0xDC00 <= unit < 0xE000, high_ends_at >= 0
        if is_low != wants_low or (wants_low and escape.start() != high_ends_at):
            return True
        high_ends_at = escape.end() if 0xD800 <= unit < 0xDC00 else -1
    return high_ends_at >= 0


def instant_ms(value: Any) -> int | None:
    """Return an instant in milliseconds, fractions cut towards minus infinity; None if it is none.

    An instant is a whole number of milliseconds, or RFC 3339 text with a zone.
    """
    if type(value) is int:
        return value if INT_MIN <= value <= INT_MAX else None
    match = INSTANT.fullmatch(value) if type(value) is str else None
    return None if match is None else _text_ms(match)


def _text_ms(match: re.Match[str]) -> int | None:
    year, month, day_of_month, hour, minute, second = (int(match[i]) for i in range(1, 7))
    offset_h, offset_min = int(match[9] or 0), int(match[10] or 0)
    try:
        day = date(year, month, day_of_month).toordinal() - EPOCH.date().toordinal()
    except ValueError:
        return None
    if hour > 23 or minute > 59 or second > 59 or offset_h > 23 or offset_min > 59:
        return None
    offset_ms = (offset_h * 60 + offset_min) * 60_000 * (-1 if match[8] == "-" else 1)
    fraction_ms = int(((match[7] or "") + "000")[:3])
    return day * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000 + fraction_ms - offset_ms


def is_text(value: Any) -> bool:
    return type(value) is str


def is_truth(value: Any) -> bool:
    return type(value) is bool


def is_whole(value: Any) -> bool:
    return type(value) is int and INT_MIN <= value <= INT_MAX


def is_instant(value: Any) -> bool:
    return instant_ms(value) is not None


def is_texts(value: Any) -> bool:
    return type(value) is list and all(is_text(item) for item in value)


def is_satisfaction(value: Any) -> bool:
    return is_whole(value) and 1 <= value <= 5


def is_fact(value: Any) -> bool:
    number = is_whole(value) or (type(value) is float and math.isfinite(value))
    return value is None or is_text(value) or is_truth(value) or number


def is_facts(value: Any) -> bool:
    return type(value) is Members and all(is_fact(item) for _, item in value.pairs)


def optional(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return the check that also accepts null."""
    return lambda value: value is None or check(value)


REQUIRED: dict[Input, dict[str, Callable[[Any], bool]]] = {
    Input.ACCOUNT_FACTS: {"facts": is_facts},
    Input.LOGINS: {},
    Input.TICKETS: {"ticket_id": is_text, "action": is_text},
    Input.PAYMENTS: {"payment_id": is_text, "status": is_text},
    Input.PAGE_VISITS: {},
}
IN_EVERY_EVENT = {"event_id": is_text, "account_id": is_text, "occurred_at": is_instant}
OPTIONAL: dict[Input, dict[str, Callable[[Any], bool]]] = {
    Input.ACCOUNT_FACTS: {
        "author": optional(is_text),
        "expires_at": optional(is_instant),
        "erase": is_truth,
    },
    Input.LOGINS: {"user_id": optional(is_text), "method": is_text, "success": is_truth},
    Input.TICKETS: {
        "user_id": optional(is_text),
        "severity": optional(is_text),
        "tags": is_texts,
        "csat": optional(is_satisfaction),
    },
    Input.PAYMENTS: {
        "user_id": optional(is_text),
        "amount_minor": optional(is_whole),
        "currency": optional(is_text),
        "due_at": optional(is_instant),
    },
    Input.PAGE_VISITS: {
        "user_id": optional(is_text),
        "path": optional(is_text),
        "url": optional(is_text),
        "feature": optional(is_text),
        "duration_ms": optional(is_whole),
        "user_role": optional(is_text),
    },
}


def checked_fields(source: Input, value: bytes | None, *, recorded: bool) -> Fields:
    """Return the fields of one record's value.

    Args:
        source: the input it was read from.
        value: the raw bytes.
        recorded: it is a line of a recorded file, where `received_at` is a known field.

    Raises:
        Rejected: `empty_value`, `value_too_large`, `not_json`, `wrong_type` or `bad_account_id`.
    """
    if not value:
        raise Rejected(RejectReason.EMPTY_VALUE)
    if len(value) > VALUE_BYTES_MAX:
        raise Rejected(RejectReason.VALUE_TOO_LARGE)
    fields = parse_json(value)
    if type(fields) is not Members or not _types_hold(source, fields, recorded=recorded):
        raise Rejected(RejectReason.WRONG_TYPE)
    if not is_account_id(fields["account_id"]):
        raise Rejected(RejectReason.BAD_ACCOUNT_ID)
    return fields


def _types_hold(source: Input, fields: Members, *, recorded: bool) -> bool:
    required = IN_EVERY_EVENT | REQUIRED[source]
    known = required | OPTIONAL[source] | ({"received_at": optional(is_instant)} if recorded else {})
    return all(name in fields for name in required) and holds(fields, known)


def holds(fields: Members, known: dict[str, Callable[[Any], bool]]) -> bool:
    """Tell whether every value of every known name has the type that it must have."""
    return all(known[name](value) for name, value in fields.pairs if name in known)


def is_account_id(value: str) -> bool:
    """Tell whether a text may name an account."""
    return 1 <= len(value.encode()) <= 256 and all(character >= " " for character in value)
