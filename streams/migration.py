"""Reading rows of another layout, column by column: what has the same name keeps its cells, rings are moved day by day.

What is new starts as in a fresh row; of its days up to the account's last event nothing is known. Of a ring that was shorter
nothing is known of the days that it did not hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from schemas.errors import StateError
from schemas.reasons import OPPORTUNITIES
from streams.layout import CHANGES, GOOD_RULE_GONE, RULE_GONE, STATE_VERSION, Column, row_dtype, template
from streams.stored import split_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from streams.layout import Layout
    from streams.stored import Tail

    Rows = np.ndarray[tuple[int], np.dtype[np.void]]
    Days = npt.NDArray[np.int64]

ORDINAL_BASE_S: Final = 631_152_000
"""1990-01-01: score changes are numbered from the seconds since then on."""
_WAY_OUT: Final = "or start under a new LATIDO_APPLICATION_ID, which reads the inputs from their start."


class _Version(msgspec.Struct):
    state_version: int


class Described(_Version):
    """What is needed to read rows of a layout: its columns, and the bytes of its fresh row (state version 1: none)."""

    columns: list[Column]
    fresh: bytes = b""


def describe(layout: Layout) -> bytes:
    """Return all that is needed to read rows of a layout, as JSON."""
    return msgspec.json.encode(Described(STATE_VERSION, list(layout.columns), template(layout).tobytes()))


def read_description(text: bytes) -> Described:
    """Return a layout that was described.

    Raises:
        StateError: its cells mean something that this program does not know.
    """
    version = msgspec.json.decode(text, type=_Version).state_version
    if version > STATE_VERSION:
        raise StateError(
            f"The account table was written by a newer latido: its state version is {version}, this program reads up to "
            f"{STATE_VERSION}. Upgrade this worker, {_WAY_OUT}"
        )
    return msgspec.json.decode(text, type=Described)


def unreadable(fingerprint: bytes, accounts: int) -> StateError:
    """Return the error that rows have a layout which nothing describes."""
    return StateError(
        f"{accounts} accounts were written under a layout (fingerprint {fingerprint.hex()}) that the changelog does not "
        f"describe: it was written by an older latido, or lost records. Restore the changelog, {_WAY_OUT}"
    )


def read_rows(
    described: Described, records: Mapping[bytes, bytes], layout: Layout, from_ms: int
) -> tuple[Rows, npt.NDArray[np.uint16], dict[int, Tail]]:
    """Return rows under ``layout``, what they know (as ``migrate``) and their tails, of values under another layout.

    Raises:
        StateError: a value is too short for its layout.
    """
    dtype = row_dtype(described.columns)
    fresh = np.frombuffer(described.fresh, dtype) if described.fresh else None
    old, tails = split_values(records, dtype, fresh)
    unknown = {name: np.zeros(len(old), np.int64) for _, told in tails.values() for name in told}
    for i, (_, told) in tails.items():
        for name, day in told.items():
            unknown[name][i] = day
    return *migrate(described.columns, old, unknown, layout, from_ms), tails


def migrate(
    old: Sequence[Column], rows: Rows, known: Mapping[str, Days], layout: Layout, from_ms: int
) -> tuple[Rows, npt.NDArray[np.uint16]]:
    """Return rows under ``layout`` and what they know.

    Args:
        old: the columns of the rows.
        rows: (n,) of ``row_dtype(old)``.
        known: (n,) int64 by name of knowledge: the newest day of which something may not be known.
        layout: what is read now.
        from_ms: since when its policy is in force, if it took hold: ordinals of models that come begin there.

    Returns:
        (n,) rows, and (n, knowledge) uint16 as in ``Cells.known``.
    """
    was = {column.name: column for column in old}
    new = np.repeat(template(layout), len(rows))
    day = _cells(rows, was["day"])[:, 0].astype(np.int64)
    for column in layout.columns:
        before = _counterpart(column, was)
        if before is None:
            if column.name.endswith(CHANGES):
                begin_ms = np.maximum(_cells(rows, was["now"])[:, 0], from_ms)
                lived_s = begin_ms // 1000 - ORDINAL_BASE_S
                _cells(new, column)[:, 0] = np.maximum(lived_s, 0)  # an account without an event begins at 1
        elif before._replace(offset=column.offset) == column:
            _cells(new, column)[:] = _cells(rows, before)
        else:
            moved = _tiles(new, column)
            _move(_tiles(rows, before), moved, _period(column, day))
            _put_tiles(new, column, moved)
    _close_rules(_cells(new, next(c for c in layout.columns if c.name == "open")), layout)
    return new, _known(rows, known, layout, was, day)


def _cells(rows: Rows, column: Column) -> npt.NDArray[np.int64]:
    return rows[column.type][:, column.offset : column.offset + column.cells]


def _is_bits(column: Column) -> bool:
    return column.cells < column.span


def _is_ring(column: Column) -> bool:
    return column.name.startswith(("count ", "days ", "sum ", "week ", "daily scores "))


def _period(column: Column, day: Days) -> Days:
    """Return the number of the present day, of a column by weeks that of the present week."""
    return (day + 3) // 7 if column.name.startswith("week ") else day


def _counterpart(column: Column, was: Mapping[str, Column]) -> Column | None:
    """Return the column of the old layout that tells what ``column`` does."""
    before = was.get(column.name)
    if before is None and _is_bits(column):
        return was.get(column.name.replace("days ", "count ", 1))
    if before is None or before.type != column.type:
        return None
    return before if _is_ring(column) or before.cells == column.cells else None


def _tiles(rows: Rows, column: Column) -> npt.NDArray[np.int64]:
    """Return the tiles of a ring, (n, span): a copy of what its cells or bits say."""
    cells = _cells(rows, column)
    if not _is_bits(column):
        return cells.copy()
    bits = np.unpackbits(cells.astype(np.uint8), axis=1, bitorder="little")
    return bits[:, : column.span].astype(np.int64)


def _put_tiles(rows: Rows, column: Column, tiles: npt.NDArray[np.int64]) -> None:
    cells = np.packbits(tiles > 0, axis=1, bitorder="little") if _is_bits(column) else tiles
    _cells(rows, column)[:] = cells


def _move(old: npt.NDArray[np.int64], new: npt.NDArray[np.int64], present: Days) -> None:
    """Put the tiles of the latest periods, up to each row's present one, where the new ring has them."""
    rows = np.arange(len(present))
    for ago in range(min(old.shape[1], new.shape[1])):
        period = present - ago
        new[rows, period % new.shape[1]] = old[rows, period % old.shape[1]]


def _close_rules(mask: npt.NDArray[np.int64], layout: Layout) -> None:
    """Mark open reasons of rules that are no longer in force: they leave when the account is evaluated next."""
    good = sum(1 << rule for rule in OPPORTUNITIES)
    gone = mask & ((1 << RULE_GONE) - 1) & ~np.uint16(sum(1 << rule for rule in layout.rule_since))
    mask -= gone
    mask |= ((gone & ~np.uint16(good)) > 0).astype(np.uint16) << RULE_GONE
    mask |= ((gone & good) > 0).astype(np.uint16) << GOOD_RULE_GONE


def _knowledge_of(name: str) -> str:
    """Return the knowledge that a column is part of, by their names."""
    for prefix, knowledge in (("count ", "source "), ("days ", "source ")):
        if name.startswith(prefix):
            return name.replace(prefix, knowledge, 1)
    return "key features" if name.startswith(("first use ", "last use ")) else name.split(":", maxsplit=1)[0]


def _known(
    rows: Rows, known: Mapping[str, Days], layout: Layout, was: Mapping[str, Column], day: Days
) -> npt.NDArray[np.uint16]:
    last_event, first_day = (
        _cells(rows, was[name])[:, 0].astype(np.int64) for name in ("last_event_day", "first_day")
    )
    found = np.zeros((len(rows), len(layout.knowledge)), np.uint16)
    places = {knowledge.name: k for k, knowledge in enumerate(layout.knowledge)}
    for column in layout.columns:
        name, before = _knowledge_of(column.name), _counterpart(column, was)
        k = places.get(name)
        if k is None or (_is_ring(column) and column.span == 0):
            continue
        unknown = known.get(name, np.zeros(len(rows), np.int64))
        if before is None:
            unknown = last_event
        elif before.span < column.span:
            lost = day - before.span
            if column.name.startswith("week "):
                lost = 7 * (_period(column, day) - before.span) + 3
            unknown = np.maximum(unknown, np.minimum(lost, last_event))
        matters = unknown >= first_day
        if layout.knowledge[k].days:
            matters &= unknown > day - layout.knowledge[k].days
        found[:, k] = np.maximum(found[:, k], np.where(matters, unknown, 0))
    return found
