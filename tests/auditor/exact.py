"""Exact arithmetic: rounding half up, decimals of YAML files as integers, instants as RFC 3339 text, hashes."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from math import floor
from typing import Any

from xxhash import xxh3_64_intdigest

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_MS, HOUR_MS = 86_400_000, 3_600_000
HALF = Fraction(1, 2)
DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
MASK_32 = 0xFFFF_FFFF


def half_up(value: Fraction) -> int:
    """Return the nearest whole number, a half going up (towards plus infinity)."""
    return floor(value + HALF)


def scaled(number: float, scale: int) -> int:
    """Return a number of a YAML file in units of 1/scale, read as the decimal that was written."""
    return half_up(Fraction(str(number)) * scale)


def decimal(thousandths: int | None) -> float | None:
    """Return thousandths as a decimal with three places, as JSON shows them."""
    return None if thousandths is None else thousandths / 1000


def rfc3339(time_ms: int) -> str:
    """Return an instant as RFC 3339 text in UTC with milliseconds."""
    moment = EPOCH + timedelta(milliseconds=time_ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"


def millis(text: str) -> int:
    """Return the instant of a text in RFC 3339 in milliseconds since 1970."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def identity(*parts: str | int) -> str:
    """Return the id that is made of these parts: BLAKE2b-128 in hex over the parts joined by NUL."""
    text = "\0".join(str(part) for part in parts)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def day_of(local_date: date) -> int:
    """Return the days from 1970-01-01 to a date."""
    return local_date.toordinal() - EPOCH.toordinal()


def date_of(text: Any) -> date:
    """Return the date that is written as `YYYY-MM-DD` (or is one already, as YAML reads it).

    Raises:
        ValueError: it is none.
    """
    if not DATE.fullmatch(str(text)):
        raise ValueError(text)
    return date.fromisoformat(str(text))


def xxh3(text: str) -> int:
    """Return XXH3-64 of a text, unsigned."""
    return xxh3_64_intdigest(text.encode())


def short_hash(text: str) -> int:
    """Return the low 32 bits of a text's hash, as a signed number."""
    low = xxh3(text) & MASK_32
    return low - (1 << 32) if low >> 31 else low


def murmur2(key: bytes) -> int:
    """Return the 32-bit MurmurHash2 of a key, with the seed of Kafka's default partitioner."""
    multiplier = 0x5BD1_E995
    h = 0x9747_B28C ^ len(key)
    whole = len(key) - len(key) % 4
    for i in range(0, whole, 4):
        k = int.from_bytes(key[i : i + 4], "little") * multiplier & MASK_32
        k = (k ^ k >> 24) * multiplier & MASK_32
        h = h * multiplier & MASK_32 ^ k
    if whole < len(key):
        h = (h ^ int.from_bytes(key[whole:], "little")) * multiplier & MASK_32
    h = (h ^ h >> 13) * multiplier & MASK_32
    return h ^ h >> 15


def partition_of(account_id: str, partitions: int) -> int:
    """Return the partition that a producer's default partitioner gives to an account."""
    return (murmur2(account_id.encode()) & 0x7FFF_FFFF) % partitions
