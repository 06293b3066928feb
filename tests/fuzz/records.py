"""Records that nobody would write: those of the auditor's small histories, most of them changed.

Bytes are flipped, cut, doubled and exchanged; fields get values of another type, at the ends of their range or beyond;
some are written anew, every field of the right name with any value at all.
"""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from schemas.events import EVENT_TYPES
from schemas.topics import Input

if TYPE_CHECKING:
    from tests.auditor.event import Recorded

INSTANTS: tuple[Any, ...] = (
    "2026-03-01T00:00:00Z",
    "2026-03-01t00:00:00z",
    "2026-03-01 00:00:00.000999999Z",
    "2026-03-01T00:00:00",
    "2026-02-29T00:00:00Z",
    "2016-12-31T23:59:60Z",
    "2026-03-01T24:00:00Z",
    "1990-01-01T00:00:00+00:01",
    "2099-12-31T23:59:59.9999999Z",
    "9999-12-31T23:59:59.9999999Z",
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "0000-00-00T00:00:00Z",
    "2026-03-01T00:00:00." + "9" * 400 + "Z",
    631_151_999_999,
    631_152_000_000,
    4_102_444_799_999,
    4_102_444_800_000,
)
VALUES: tuple[Any, ...] = (
    *INSTANTS,
    None,
    True,
    False,
    0,
    1,
    -1,
    5,
    6,
    255,
    (1 << 31) - 1,
    1 << 31,
    (1 << 53) + 1,
    (1 << 63) - 1,
    1 << 63,
    -(1 << 63),
    -(1 << 63) - 1,
    10**30,
    0.5,
    -0.0,
    1e-320,
    1e15,
    1.0000001e15,
    1.7e308,
    "",
    " ",
    "a",
    "a\0b",
    "\x1f",
    "\x7f",
    "x" * 256,
    "é" * 129,
    "\U0001f600" * 64,
    "/cancel",
    "//" * 1500,
    "://",
    "http://[::1",
    "opened",
    "due",
    "EUR",
    "\u017f\u017f\u017f",
    "Europe/Madrid",
    "../../etc/passwd",
    "America",
    "2026-02-30",
    "closed",
    [],
    {},
    [None],
    ["bug", "idea"],
    [["bug"]],
    {"": None},
    {"nps": 1e15, "kind": "trial"},
    {"override.first": 100, "override.": 5, "time_zone": "Pacific/Apia"},
)
TOKENS = (
    b"1e400", b"-1e400", b"1E5", b"-0", b"00", b"+1", b".5", b"5.", b"0x1", b"NaN", b"Infinity", b"9" * 400, b"0." + b"9" * 400,
    b"null", b"true", b'""', b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\\u0000"', b'"\\x"', b'"\xff"', b'"\xed\xa0\x80"', b'"\n"',
    b"{}", b"[]", b"{", b"}", b"[" * 900, b'{"a":' * 900, b",", b":", b'"', b"\\", b"\n", b"}\n{", b"\x00", b"\xef\xbb\xbf",
    b" " * 300,
)  # fmt: skip
STAMPS_MS = (-1, -1, 0, 1, 631_151_999_999, 4_102_444_800_000, (1 << 63) - 1, -(1 << 63))
"""Kafka timestamps: none, and such as no clock shows."""


def changed(rng: Random, record: Recorded, share: float) -> Recorded:
    """Return the record or, by chance ``share``, one made of it."""
    if rng.random() >= share:
        return record
    value, key = record.value or b"{}", record.key
    match rng.randrange(6):
        case 0 | 1:
            value = _fields_changed(rng, value)
        case 2:
            value = json.dumps(_written_anew(rng, record), ensure_ascii=rng.random() < 0.5).encode(
                "utf-8", "surrogatepass"
            )
        case 3:
            key = rng.choice([None, b"", b"\xff", b"k" * 300, value[:40], _account(value)])
        case _:
            for _ in range(rng.choice([1, 1, 1, 2, 8])):
                value = _bytes_changed(rng, value)
    if rng.random() < 0.5:
        key = _account(value) or key
    stamp_ms = rng.choice(STAMPS_MS) if rng.random() < 0.05 else record.timestamp_ms
    return record._replace(key=key, value=value, timestamp_ms=stamp_ms)


def _account(value: bytes) -> bytes | None:
    """Return the key that goes with a body, None if it names no account."""
    try:
        name = json.loads(value)["account_id"]
        return name.encode() if isinstance(name, str) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _fields_changed(rng: Random, value: bytes) -> bytes:
    try:
        tree = json.loads(value)
    except (ValueError, RecursionError):
        return value
    if not isinstance(tree, dict):
        return value
    for _ in range(min(rng.choice([1, 1, 2, 3]), len(tree))):
        name = rng.choice(list(tree))
        match rng.randrange(5):
            case 0:
                del tree[name]
            case 1 if isinstance(tree.get("facts"), dict):
                told = rng.choice(
                    ["nps", "arr", "seats", "time_zone", "renewal_date", "override.first", "owner", ""]
                )
                tree["facts"] = tree["facts"] | {told: rng.choice(VALUES)}
            case _:
                tree[name] = rng.choice(VALUES)
    return json.dumps(tree).encode()


def _written_anew(rng: Random, record: Recorded) -> dict[str, Any]:
    """Return an event of the right fields: those that are needed mostly right, all others of any value."""
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(EVENT_TYPES[record.input]):
        if field.required or rng.random() < 0.5:
            found[field.name] = rng.choice(VALUES)
    right = {"event_id": f"{rng.random()}", "account_id": "account-0", "occurred_at": rng.choice(INSTANTS)}
    found |= {name: value for name, value in right.items() if rng.random() < 0.85}
    if record.input is Input.ACCOUNT_FACTS and rng.random() < 0.8:
        found["facts"] = {
            rng.choice(["nps", "kind", "owner", "time_zone", "x"]): rng.choice(VALUES) for _ in range(3)
        }
    return found


def _bytes_changed(rng: Random, value: bytes) -> bytes:
    a, b = sorted((rng.randrange(len(value) + 1), rng.randrange(len(value) + 1)))
    token = rng.choice(TOKENS)
    match rng.randrange(6):
        case 0:
            return value[:a] + rng.randbytes(1) + value[a + 1 :]
        case 1:
            return value[:a] + value[min(b, a + 8) :]
        case 2:
            return value[:b] + value[a:]
        case 3:
            return value[:a] + token + value[a:]
        case 4:
            return value[:a] + token + value[b:]
        case _:
            colon = value.find(b":", a)
            end = min(
                (at for at in (value.find(b",", colon), value.find(b"}", colon)) if at >= 0),
                default=len(value),
            )
            return value[: colon + 1] + token + value[end:]
