"""The arrays of an owned partition's accounts, as the kernel sees them: one element along axis 0 per account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from schemas.reasons import EventNote
from streams.erased import NOT_ERASED

if TYPE_CHECKING:
    import numpy.typing as npt

FOREVER: Final = 1 << 62
"""A due instant that never comes."""
NO_FACT: Final = -(1 << 62)
BLOCKS_MIN: Final = 16
"""Blocks of overrides to begin with."""
FACT_VALUE, FACT_AT, FACT_EXPIRES, FACT_COLUMNS = range(4)


class Cells(NamedTuple):
    """Views of the rows, and what is derived from them.

    ``i64``, ``f64``, ``i32``, ``u16``, ``u8`` are 2-D views of the rows by cell type. ``facts`` (rows, facts, 3) int64
    holds value, time and expiry of each fact that the plan reads; ``block`` (rows,) int64 which of ``overrides`` (blocks,
    targets, 3) int64 is the account's, -1 for none; ``zone`` (rows,) int64 the number of the zone in force; ``known``
    (rows, knowledge) uint16 the newest day of which each knowledge may lack something, 0 for none; ``due`` (rows,) int64
    the next instant; ``changed`` (rows,) uint8 ``EVALUATED`` since rows were last taken, to be ``WRITTEN``, ``STALE``;
    ``parts`` (components + 1,) int64 is scratch, its last cell the score of the model ``value`` at this evaluation;
    ``judged`` (components,) int64 is scratch, points with manual judgement in place; ``measured`` (components,) int64 is
    scratch, what they measure at this evaluation; ``erased`` (rows,) int64 the instant up to which events of an erased or
    merged account are left out, ``NOT_ERASED`` of any other, ``merged`` (rows,) uint8 1 where a merge ended it; ``there``
    (2,) int64 how many accounts are there, and up to which clock all that is due has fired in this batch for the sake of
    room; ``bytes`` (rows, bytes of a row) uint8 is another view of the rows, ``fresh`` (bytes of a row,) uint8 the row of
    an account that has had no event; ``notes`` (NOTES,) int64 counts what is remarkable.
    """

    i64: npt.NDArray[np.int64]
    f64: npt.NDArray[np.float64]
    i32: npt.NDArray[np.int32]
    u16: npt.NDArray[np.uint16]
    u8: npt.NDArray[np.uint8]
    facts: npt.NDArray[np.int64]
    block: npt.NDArray[np.int64]
    overrides: npt.NDArray[np.int64]
    zone: npt.NDArray[np.int64]
    known: npt.NDArray[np.uint16]
    due: npt.NDArray[np.int64]
    changed: npt.NDArray[np.uint8]
    parts: npt.NDArray[np.int64]
    judged: npt.NDArray[np.int64]
    measured: npt.NDArray[np.int64]
    notes: npt.NDArray[np.int64]
    erased: npt.NDArray[np.int64]
    merged: npt.NDArray[np.uint8]
    there: npt.NDArray[np.int64]
    bytes: npt.NDArray[np.uint8]
    fresh: npt.NDArray[np.uint8]


EVALUATED, WRITTEN, STALE, AHEAD = 1, 2, 4, 8
"""Bits of ``changed``. A stale row stands in the changelog under another layout: its next evaluation is written. One that is
ahead was evaluated since it was written, and nothing was told."""
(
    LATE_FOR_RHYTHM, TOO_LATE, AMOUNT_LEFT_OUT, LEFT_OUT_ERASED, LEFT_OUT_MERGED, BEGAN_TO_WAIT, WAITED, WAITED_IN_VAIN, NOTES,
) = range(9)  # fmt: skip
"""What ``notes`` counts: of events, and of reasons that waited while a source was stalled."""
NOTE_OF: Final = {
    LATE_FOR_RHYTHM: EventNote.LATE_FOR_RHYTHM,
    TOO_LATE: EventNote.TOO_LATE,
    AMOUNT_LEFT_OUT: EventNote.AMOUNT_LEFT_OUT,
    LEFT_OUT_ERASED: EventNote.ERASED,
    LEFT_OUT_MERGED: EventNote.MERGED,
}


def view(
    rows: npt.NDArray[np.void],
    old: Cells | None,
    fresh: npt.NDArray[np.void],
    *,
    facts: int,
    targets: int,
    knowledge: int,
    components: int,
) -> Cells:
    """Return the cells of rows, with what ``old`` has derived of the first ones.

    Args:
        rows: (rows,) of the layout's row type; not copied.
        old: the cells of fewer rows, or none.
        fresh: (1,) the row of an account that has had no event.
        facts: how many the plan reads.
        targets: of overrides, how many there are.
        knowledge: how many are in the layout.
        components: of all models.
    """
    size = len(rows)
    new = Cells(
        rows["i64"], rows["f64"], rows["i32"], rows["u16"], rows["u8"],
        facts=np.full((size, facts, FACT_COLUMNS), NO_FACT, np.int64),
        block=np.full(size, -1, np.int64),
        overrides=override_blocks(BLOCKS_MIN, targets) if old is None else old.overrides,
        zone=np.zeros(size, np.int64),
        known=np.zeros((size, knowledge), np.uint16),
        due=np.full(size, FOREVER, np.int64),
        changed=np.zeros(size, np.uint8),
        parts=np.zeros(components + 1, np.int64),
        judged=np.zeros(components, np.int64),
        measured=np.zeros(components, np.int64),
        notes=np.zeros(NOTES, np.int64) if old is None else old.notes,
        erased=np.full(size, NOT_ERASED, np.int64),
        merged=np.zeros(size, np.uint8),
        there=np.zeros(2, np.int64) if old is None else old.there,
        bytes=rows.view(np.uint8).reshape(size, rows.itemsize),
        fresh=fresh.view(np.uint8),
    )  # fmt: skip
    if old is not None:
        for name in ("facts", "block", "zone", "known", "due", "changed", "erased", "merged"):
            getattr(new, name)[: len(old.due)] = getattr(old, name)
    return new


def override_blocks(count: int, targets: int) -> npt.NDArray[np.int64]:
    """Return so many blocks of overrides, all empty."""
    return np.full((count, targets, FACT_COLUMNS), NO_FACT, np.int64)
