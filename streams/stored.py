"""A row as a changelog value: its layout's fingerprint, its bytes packed, and behind them what not every account has.

Most words of a row are as in a fresh one. So a value holds a bit for each 32-bit word, set if it differs from that of the
fresh row, and then these words alone, each exclusive-or'ed with the fresh one: a third of the bytes, for a row of a
few events a day half of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from schemas.errors import StateError
from streams.compiled import entry, int64, kernel, prefetch, row_cells
from streams.layout import FINGERPRINT_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Rows = np.ndarray[tuple[int], np.dtype[np.void]]

ColdFact = tuple[Any, int, int, str | None]
"""Value, time, expiry (``FOREVER``: none) and author of a fact."""
Tail = tuple[dict[str, ColdFact], dict[str, int]]
"""Facts by name, and by name of knowledge the newest day of which something may not be known."""
WORD: Final = 4
BITS: Final = 32
AHEAD_ROWS: Final = 4
"""Rows lie anywhere in memory: so many before it is packed, one is asked for."""
_TAIL: Final[msgspec.json.Decoder[Tail]] = msgspec.json.Decoder(Tail)


@kernel
def _pack_words(
    row: npt.NDArray[np.uint32],
    fresh: npt.NDArray[np.uint32],
    first: int,
    count: int,
    out: npt.NDArray[np.uint32],
    at: int,
) -> tuple[int, int]:
    """Put those of so many words behind each other that differ; return where they end, and a bit for each that does."""
    mask = int64(0)
    for bit in range(count):
        difference = row[first + bit] ^ fresh[first + bit]
        out[at] = difference
        differs = int64(difference != 0)
        at += differs
        mask |= differs << bit
    return at, mask


@entry
def pack(
    rows: npt.NDArray[np.uint32],
    chosen: npt.NDArray[np.int64],
    fresh: npt.NDArray[np.uint32],
    head: npt.NDArray[np.uint32],
    out: npt.NDArray[np.uint32],
    ends: npt.NDArray[np.int64],
) -> None:
    """Put the values of chosen rows, without tails, behind each other.

    Args:
        rows: (accounts, words) uint32.
        chosen: (n,) int64, numbers of rows.
        fresh: (words,) uint32.
        head: (2,) uint32, the fingerprint.
        out: (at least n * (2 + words + words / 32 rounded up),) uint32.
        ends: (n,) int64, set to where in ``out`` each value ends.
    """
    words, at = fresh.shape[0], int64(0)
    whole = words // BITS * BITS
    for i in range(len(chosen)):
        row = row_cells(rows, chosen[i])
        prefetch(rows, chosen[min(i + AHEAD_ROWS, len(chosen) - 1)])
        for word in range(len(head)):
            out[at] = head[word]
            at += 1
        mask_at = at
        at += (words + BITS - 1) // BITS
        for first in range(0, whole, BITS):
            # BITS is a constant: the loop over a whole group is unrolled.
            at, out[mask_at] = _pack_words(row, fresh, first, BITS, out, at)
            mask_at += 1
        if whole < words:
            at, out[mask_at] = _pack_words(row, fresh, whole, words - whole, out, at)
        ends[i] = at


@kernel
def _word(data: npt.NDArray[np.uint8], at: int) -> int:
    """Return the 32-bit word that begins at a byte, the lowest byte first."""
    return (
        int64(data[at])
        | int64(data[at + 1]) << int64(8)
        | int64(data[at + 2]) << int64(16)
        | int64(data[at + 3]) << int64(24)
    )


@entry
def unpack(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    fresh: npt.NDArray[np.uint32],
    rows: npt.NDArray[np.uint32],
    ends: npt.NDArray[np.int64],
) -> int:
    """Read packed rows that lie behind each other, each behind its fingerprint.

    Args:
        data: (bytes,) uint8, the values with their tails.
        starts: (n + 1,) int64, where each value begins, and the end of the last one.
        fresh: (words,) uint32.
        rows: (n, words) uint32, set.
        ends: (n,) int64, set to where in ``data`` each row ends and its tail begins.

    Returns:
        n, or the number of the first value that is too short.
    """
    words = fresh.shape[0]
    masks = (words + BITS - 1) // BITS
    for i in range(len(ends)):
        mask_at, stop = starts[i] + FINGERPRINT_BYTES, starts[i + 1]
        at = mask_at + WORD * masks
        if at > stop:
            return i
        for first in range(0, words, BITS):
            mask = _word(data, mask_at)
            mask_at += WORD
            for bit in range(min(BITS, words - first)):
                difference = int64(0)
                if mask >> int64(bit) & 1:
                    if at + WORD > stop:
                        return i
                    difference = _word(data, at)
                    at += WORD
                rows[i, first + bit] = int64(fresh[first + bit]) ^ difference
        ends[i] = at
    return len(ends)


def words_of(rows: Rows) -> npt.NDArray[np.uint32]:
    """Return rows as words, (n, words) uint32: another view of the same bytes."""
    return rows.view(np.uint32).reshape(len(rows), rows.itemsize // WORD)


def join_values(
    fingerprint: bytes, rows: Rows, chosen: npt.NDArray[np.int64], fresh: Rows
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return the changelog values of chosen rows behind each other, without tails, (bytes,) uint8, and where each ends.

    Args:
        fingerprint: of their layout.
        rows: all rows.
        chosen: (n,) int64, numbers of rows.
        fresh: (1,) the fresh row of the layout.
    """
    words, head = words_of(fresh)[0], np.frombuffer(fingerprint, np.uint32)
    longest = len(head) + len(words) + -(-len(words) // BITS)
    out, ends = np.empty(len(chosen) * longest, np.uint32), np.empty(len(chosen), np.int64)
    pack(words_of(rows), chosen, words, head, out, ends)
    return out[: ends[-1] if len(ends) else 0].view(np.uint8), ends * WORD


def join_tail(facts: Mapping[str, ColdFact], unknown: Mapping[str, int]) -> bytes:
    """Return the tail of a value that needs one."""
    return msgspec.json.encode((facts, unknown))


def read_tail(tail: bytes) -> Tail:
    """Return what a tail tells."""
    return _TAIL.decode(tail)


def split_values(
    records: Mapping[bytes, bytes], dtype: np.dtype[np.void], fresh: Rows | None
) -> tuple[Rows, dict[int, Tail]]:
    """Return the rows of changelog values of one layout, by account, and the tails of those that have one, by number.

    Args:
        records: values by key.
        dtype: of the rows.
        fresh: (1,) the fresh row of the layout; None if rows stand there as they are.

    Raises:
        StateError: a value is too short for the layout.
    """
    values = list(records.values())
    sizes = np.fromiter(map(len, values), np.int64, len(values))
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    data = b"".join(values)
    if fresh is None:
        ends, short = (
            starts[:-1] + FINGERPRINT_BYTES + dtype.itemsize,
            sizes < FINGERPRINT_BYTES + dtype.itemsize,
        )
        damaged = int(np.argmax(short)) if short.any() else len(values)
        whole = [value[FINGERPRINT_BYTES : FINGERPRINT_BYTES + dtype.itemsize] for value in values[:damaged]]
        rows = np.frombuffer(b"".join(whole), dtype)
    else:
        rows, ends = np.empty(len(values), dtype), np.empty(len(values), np.int64)
        damaged = unpack(np.frombuffer(data, np.uint8), starts, words_of(fresh)[0], words_of(rows), ends)
    if damaged < len(values):
        key = list(records)[damaged]
        raise StateError(
            f"The row of account {key.decode(errors='replace')!r} ends after {len(records[key])} bytes: the changelog is "
            "damaged. Restore it, or start under a new LATIDO_APPLICATION_ID."
        )
    with_tail = np.nonzero(ends < starts[1:])[0].tolist()
    return rows, {i: read_tail(data[ends[i] : starts[i + 1]]) for i in with_tail}
