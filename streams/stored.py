"""A row as a changelog value: its layout's fingerprint, its bytes, and behind them what not every account has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from schemas.errors import StateError
from streams.layout import FINGERPRINT_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

ColdFact = tuple[Any, int, int, str | None]
"""Value, time, expiry (``FOREVER``: none) and author of a fact."""
Tail = tuple[dict[str, ColdFact], dict[str, int]]
"""Facts by name, and by name of knowledge the newest day of which something may not be known."""
_TAIL: Final[msgspec.json.Decoder[Tail]] = msgspec.json.Decoder(Tail)


def join_values(fingerprint: bytes, rows: npt.NDArray[np.void]) -> list[bytes]:
    """Return the changelog values of rows, without tails."""
    head, width = np.frombuffer(fingerprint, np.uint8), rows.itemsize
    block = np.empty((len(rows), len(head) + width), np.uint8)
    block[:, : len(head)] = head
    block[:, len(head) :] = rows.view(np.uint8).reshape(len(rows), width)
    blob, size = block.tobytes(), block.shape[1]
    return [blob[start : start + size] for start in range(0, len(blob), size)]


def join_tail(facts: Mapping[str, ColdFact], unknown: Mapping[str, int]) -> bytes:
    """Return the tail of a value that needs one."""
    return msgspec.json.encode((facts, unknown))


def read_tail(tail: bytes) -> Tail:
    """Return what a tail tells."""
    return _TAIL.decode(tail)


def split_values(
    records: Mapping[bytes, bytes], dtype: np.dtype[np.void]
) -> tuple[npt.NDArray[np.void], dict[int, Tail]]:
    """Return the rows of changelog values of one layout, by account, and the tails of those that have one, by number.

    Raises:
        StateError: a value is too short for the layout.
    """
    size = FINGERPRINT_BYTES + dtype.itemsize
    sizes = list(map(len, records.values()))
    if min(sizes) < size:
        short = next(key for key, value in records.items() if len(value) < size)
        raise StateError(
            f"The row of account {short.decode(errors='replace')!r} has {len(records[short])} bytes, its layout {size}: "
            "the changelog is damaged. Restore it, or start under a new LATIDO_APPLICATION_ID."
        )
    if max(sizes) == size:
        blob = np.frombuffer(b"".join(records.values()), np.uint8).reshape(len(records), size)
        return np.ascontiguousarray(blob[:, FINGERPRINT_BYTES:]).view(dtype)[:, 0], {}
    rows = np.frombuffer(b"".join(value[FINGERPRINT_BYTES:size] for value in records.values()), dtype)
    tails = {i: read_tail(value[size:]) for i, value in enumerate(records.values()) if len(value) > size}
    return rows, tails
