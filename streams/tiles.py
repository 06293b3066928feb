"""Daily counts in rings: rolling to a new day, counting an event, summing a window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.compiled import int64, kernel
from streams.layout import DAY, WIDE
from streams.plan import LAST_DAY_SLOT, RING_BIT, RING_DAYS, RING_OFFSET, RING_WIDTH

if TYPE_CHECKING:
    from streams.cells import Cells
    from streams.plan import Plan

WIDE_MAX, NARROW_MAX = 65_535, 255


@kernel
def roll(cells: Cells, plan: Plan, row: int, day: int) -> None:
    """Make ``day`` the row's present day: clear the tiles of the days between. A day never goes back."""
    present = int64(cells.u16[row, DAY])
    if day <= present:
        return
    for s in range(plan.rings.shape[0]):
        days, offset = plan.rings[s, RING_DAYS], plan.rings[s, RING_OFFSET]
        for past in range(max(present + 1, day - days + 1), day + 1):
            if plan.rings[s, RING_WIDTH] == WIDE:
                cells.u16[row, offset + past % days] = 0
            else:
                cells.u8[row, offset + past % days] = 0
    cells.u16[row, DAY] = day


@kernel
def count_event(cells: Cells, plan: Plan, row: int, mask: int, day: int) -> bool:
    """Count an event of local day ``day`` in every ring whose source bit is in ``mask``; False if any was too late."""
    kept = True
    present = int64(cells.u16[row, DAY])
    for s in range(plan.rings.shape[0]):
        if not (mask >> plan.rings[s, RING_BIT]) & 1:
            continue
        slot = plan.scalars[LAST_DAY_SLOT] + s
        if day > int64(cells.u16[row, slot]):
            cells.u16[row, slot] = day
        days = plan.rings[s, RING_DAYS]
        if day <= present - days:
            kept = kept and days == 0  # a source without a window has no tiles to be too late for
            continue
        tile = plan.rings[s, RING_OFFSET] + day % days
        if plan.rings[s, RING_WIDTH] == WIDE:
            cells.u16[row, tile] = min(int64(cells.u16[row, tile]) + 1, WIDE_MAX)
        else:
            cells.u8[row, tile] = min(int64(cells.u8[row, tile]) + 1, NARROW_MAX)
    return kept


@kernel
def tile(cells: Cells, plan: Plan, row: int, ring: int, day: int) -> int:
    """Return the count of one day, which must lie within the ring."""
    cell = plan.rings[ring, RING_OFFSET] + day % plan.rings[ring, RING_DAYS]
    if plan.rings[ring, RING_WIDTH] == WIDE:
        return int64(cells.u16[row, cell])
    return int64(cells.u8[row, cell])


@kernel
def window_sum(cells: Cells, plan: Plan, row: int, ring: int, first: int, last: int) -> int:
    """Return the sum of the counts of days first..last, both within the ring."""
    total = int64(0)
    for day in range(first, last + 1):
        total += tile(cells, plan, row, ring, day)
    return total


@kernel
def window_days(cells: Cells, plan: Plan, row: int, ring: int, first: int, last: int) -> int:
    """Return the number of days of first..last with a count above zero."""
    total = int64(0)
    for day in range(first, last + 1):
        if tile(cells, plan, row, ring, day) > 0:
            total += 1
    return total
