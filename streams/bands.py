"""Bands: plain cuts with a side, hysteresis, a dwell that blocks only a rise after a fall; of a grid one for each axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.compiled import int64, kernel
from streams.layout import UNSET
from streams.levels import FIRST_BAND
from streams.plan import BAND, BAND_END, DIM, DWELL, FELL_AT, GRID, MARGIN
from streams.score import dimension

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from streams.cells import Cells
    from streams.plan import Plan


@kernel
def passed(plan: Plan, band: int, score: int, shift: int) -> bool:
    """Return whether ``score`` lies in ``band`` or above, its cut being moved by ``shift``."""
    cut = plan.bands[band, 0] + shift
    return bool(score > cut) if plan.bands[band, 1] else bool(score >= cut)


@kernel
def plain_band(plan: Plan, first: int, end: int, score: int) -> int:
    """Return which of the bands ``first``..``end - 1`` a score is in by the plain cuts."""
    band = end - 1
    while band > first and not passed(plan, band, score, 0):
        band -= 1
    return int64(band)


@kernel
def settle(
    cells: Cells,
    plan: Plan,
    row: int,
    m: int,
    axis: int,
    first: int,
    end: int,
    present: int,
    score: int,
    now: int,
) -> int:
    """Return which of the bands ``first``..``end - 1`` follows on ``present`` (less than ``first``: none), noting a fall."""
    plain, here = plain_band(plan, first, end, score), min(present, end - 1)
    if here < first or plain == here:
        return plain
    fell_at, margin = plan.models[m, FELL_AT] + axis, plan.models[m, MARGIN]
    if plain > here:
        fell = int64(cells.i64[row, fell_at])
        rested = fell == UNSET or now >= fell + plan.models[m, DWELL]
        return plain if rested and passed(plan, here + 1, score, margin) else here
    if passed(plan, here, score, -margin):
        return here
    cells.i64[row, fell_at] = now
    return plain


@kernel
def next_band(
    cells: Cells, plan: Plan, row: int, m: int, was: int, score: int, points: npt.NDArray[np.int64], now: int
) -> int:
    """Return the band, of a grid the cell, after ``was`` (both as cells' codes) for a score that is not null.

    ``points`` are those of the components, from which the axes of a grid follow.
    """
    first, end, second = plan.models[m, BAND], plan.models[m, BAND_END], plan.models[m, GRID]
    former, width, code = was - FIRST_BAND, end - second, int64(0)
    for axis in range(1 if second == 0 else 2):
        begin, stop, value, present = first, end, score, former
        if second != 0:
            begin, stop = (first, second) if axis == 0 else (second, end)
            value = dimension(plan, points, m, plan.models[m, DIM] + axis)
            if former >= 0:
                present = former // width if axis == 0 else former % width
        level = settle(cells, plan, row, m, axis, begin, stop, begin + present, value, now) - begin
        code = code * (stop - begin) + level
    return int64(code + FIRST_BAND)
