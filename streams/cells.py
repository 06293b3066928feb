"""The arrays of an owned partition's accounts, as the kernel sees them: one element along axis 0 per account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from schemas.reasons import EventNote

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

FOREVER: Final = 1 << 62
"""A due instant that never comes."""
NO_FACT: Final = -(1 << 62)
FACT_VALUE, FACT_AT, FACT_EXPIRES, FACT_COLUMNS = range(4)


class Cells(NamedTuple):
    """Views of the rows, and what is derived from them.

    ``i64``, ``f64``, ``i32``, ``u16``, ``u8`` are 2-D views of the rows by cell type. ``facts`` (rows, facts, 3)
    int64 holds value, time and expiry of each fact that the plan reads; ``block`` (rows,) int64 which of ``overrides``
    (blocks, targets, 3) int64 is the account's, -1 for none; ``zone`` (rows,) int64 the number of the zone in force;
    ``known`` (rows, knowledge) uint16 the newest day of which each knowledge may lack something, 0 for none;
    ``due`` (rows,) int64 the next instant; ``changed`` (rows,) uint8 marks rows to be committed; ``parts`` (components + 1,)
    int64 is scratch, its last cell the score of the model ``value``
    at this evaluation; ``notes`` (NOTES,) int64 counts what is remarkable about events.
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
    notes: npt.NDArray[np.int64]


LATE_FOR_RHYTHM, TOO_LATE, AMOUNT_LEFT_OUT, NOTES = range(4)
NOTE_OF: Final = {
    LATE_FOR_RHYTHM: EventNote.LATE_FOR_RHYTHM,
    TOO_LATE: EventNote.TOO_LATE,
    AMOUNT_LEFT_OUT: EventNote.AMOUNT_LEFT_OUT,
}
