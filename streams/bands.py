"""Bands with hysteresis and dwell: pure decisions on integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.compiled import kernel
from streams.layout import UNSET
from streams.plan import BAND, BAND_END, DWELL, FIRST_BAND, MARGIN

if TYPE_CHECKING:
    from streams.plan import Plan


@kernel
def passed(plan: Plan, band: int, score: int, shift: int) -> bool:
    """Return whether ``score`` lies in ``band`` or above, its cut being moved by ``shift``."""
    cut = plan.bands[band, 0] + shift
    return bool(score > cut) if plan.bands[band, 1] else bool(score >= cut)


@kernel
def plain_band(plan: Plan, m: int, score: int) -> int:
    """Return the band of ``score`` by the plain cuts, as a cell's code."""
    first, band = plan.models[m, BAND], plan.models[m, BAND_END] - 1
    while band > first and not passed(plan, band, score, 0):
        band -= 1
    return int(band - first + FIRST_BAND)


@kernel
def next_band(plan: Plan, m: int, present: int, score: int, fell_at: int, now: int) -> int:
    """Return the band after ``present`` (both as cells' codes) for a score that is not null."""
    plain = plain_band(plan, m, score)
    if present < FIRST_BAND or plain == present:
        return plain
    first, margin = plan.models[m, BAND], plan.models[m, MARGIN]
    here = first + present - FIRST_BAND
    if plain < present:
        return present if passed(plan, here, score, -margin) else plain
    rested = fell_at == UNSET or now >= fell_at + plan.models[m, DWELL]
    return plain if rested and passed(plan, here + 1, score, margin) else present
