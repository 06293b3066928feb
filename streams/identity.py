"""Ids of what happens, and the CloudEvents attributes of outputs."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from schemas.outputs import CLOUD_EVENT_TYPES

if TYPE_CHECKING:
    from schemas.topics import Output


def identity(*parts: object) -> str:
    """Return the id of a happening: a hash of what makes it itself, so the same log gives the same ids."""
    return blake2b("\0".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def cloud_event(topic: Output, source: str, identifier: str, time: str) -> tuple[tuple[str, bytes], ...]:
    """Return the CloudEvents 1.0 attributes that ride in the headers of an output."""
    kind, where = _kind_and_source(topic, source)
    return (_SPECVERSION, ("ce_id", identifier.encode()), kind, where, ("ce_time", time.encode()))


@lru_cache(maxsize=256)
def _kind_and_source(topic: Output, source: str) -> tuple[tuple[str, bytes], tuple[str, bytes]]:
    return ("ce_type", CLOUD_EVENT_TYPES[topic].encode()), ("ce_source", f"/latido/{source}".encode())


_SPECVERSION: Final = ("ce_specversion", b"1.0")
