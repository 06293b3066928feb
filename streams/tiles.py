"""Daily tiles in rings: rolling to a new day, counting an event, adding an amount, summing a window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from streams.compiled import int64, kernel, row_cells
from streams.layout import ABSENT, BITS, DAY, WIDE
from streams.plan import CURRENCY, LAST_DAY_SLOT, RING_BIT, RING_DAYS, RING_OFFSET, RING_WIDTH

if TYPE_CHECKING:
    import numpy.typing as npt

    from streams.cells import Cells
    from streams.plan import Plan

WIDE_MAX, NARROW_MAX = 65_535, 255
AMOUNT_MAX: Final = 1 << 53
SUM_MAX: Final = 10**15


@kernel
def clear_bit(bits: npt.NDArray[np.uint8], offset: int, number: int) -> None:
    """Clear bit ``number`` of a row of bits that begins at cell ``offset``."""
    bits[offset + number // 8] &= 255 - (1 << number % 8)


@kernel
def set_bit(bits: npt.NDArray[np.uint8], offset: int, number: int) -> None:
    """Set bit ``number`` of a row of bits that begins at cell ``offset``."""
    bits[offset + number // 8] |= 1 << number % 8


@kernel
def get_bit(bits: npt.NDArray[np.uint8], offset: int, number: int) -> int:
    """Return bit ``number`` of a row of bits that begins at cell ``offset``."""
    return (int64(bits[offset + number // 8]) >> number % 8) & 1


@kernel
def roll_tiles(cells: Cells, plan: Plan, row: int, present: int, day: int) -> None:
    """Clear the tiles of the days after ``present``, up to ``day``."""
    for s in range(plan.rings.shape[0]):
        days, offset, width = plan.rings[s, RING_DAYS], plan.rings[s, RING_OFFSET], plan.rings[s, RING_WIDTH]
        for past in range(max(present + 1, day - days + 1), day + 1):
            if width == WIDE:
                cells.u16[row, offset + past % days] = 0
            elif width == BITS:
                clear_bit(cells.u8[row], offset, past % days)
            else:
                cells.u8[row, offset + past % days] = 0
    for s in range(plan.sums.shape[0]):
        days, offset = plan.sums[s, RING_DAYS], plan.sums[s, RING_OFFSET]
        for past in range(max(present + 1, day - days + 1), day + 1):
            cells.i64[row, offset + past % days] = 0


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
        number, width = day % days, plan.rings[s, RING_WIDTH]
        cell = plan.rings[s, RING_OFFSET] + number
        if width == WIDE:
            cells.u16[row, cell] = min(int64(cells.u16[row, cell]) + 1, WIDE_MAX)
        elif width == BITS:
            set_bit(cells.u8[row], plan.rings[s, RING_OFFSET], number)
        else:
            cells.u8[row, cell] = min(int64(cells.u8[row, cell]) + 1, NARROW_MAX)
    return kept


@kernel
def is_summed(plan: Plan, mask: int) -> bool:
    """Return whether a sum in force reads a source of the event."""
    for s in range(plan.sums.shape[0]):
        if (mask >> plan.sums[s, RING_BIT]) & 1:
            return True
    return False


@kernel
def is_own_currency(cells: Cells, plan: Plan, row: int, amount: int, currency: int) -> bool:
    """Return whether an amount is in the account's currency, which is that of its first amount."""
    if amount == ABSENT or currency == 0:
        return False
    slot = plan.scalars[CURRENCY]
    if cells.u16[row, slot] == 0:
        cells.u16[row, slot] = currency
    return bool(cells.u16[row, slot] == currency)


@kernel
def add_amount(cells: Cells, plan: Plan, row: int, mask: int, day: int, amount: int) -> bool:
    """Add an amount in the account's currency to the sums of its sources; False if any was too late."""
    kept = True
    for s in range(plan.sums.shape[0]):
        if not (mask >> plan.sums[s, RING_BIT]) & 1:
            continue
        days = plan.sums[s, RING_DAYS]
        if day <= int64(cells.u16[row, DAY]) - days:
            kept = False
            continue
        cell = plan.sums[s, RING_OFFSET] + day % days
        cells.i64[row, cell] = min(int64(cells.i64[row, cell]) + min(amount, AMOUNT_MAX), AMOUNT_MAX)
    return kept


@kernel
def tile(cells: Cells, plan: Plan, row: int, ring: int, number: int) -> int:
    """Return the count of tile ``number`` of a ring that counts."""
    offset = plan.rings[ring, RING_OFFSET]
    if plan.rings[ring, RING_WIDTH] == WIDE:
        return int64(cells.u16[row, offset + number])
    return int64(cells.u8[row, offset + number])


@kernel
def cells_sum(cells: npt.NDArray[np.unsignedinteger[Any]], first: int, count: int) -> tuple[int, int]:
    """Return the sum of some cells of a row, and how many of them are above zero."""
    total, above = int64(0), int64(0)
    # Numbers without a sign: negative indices need not be looked for.
    for i in range(np.uint64(first), np.uint64(first + count)):
        cell = int64(cells[i])
        total += cell
        above += cell > 0
    return total, above


@kernel
def bits_set(bits: npt.NDArray[np.uint8], offset: int, first: int, count: int) -> int:
    """Return how many of ``count`` bits from number ``first`` on are set, in a row of bits that begins at cell ``offset``."""
    total = int64(0)
    for number in range(first, first + count):
        total += get_bit(bits, offset, number)
    return total


@kernel
def window(cells: Cells, plan: Plan, row: int, ring: int, first: int, last: int) -> tuple[int, int]:
    """Return the sum of the counts of days first..last, both within the ring, and the number of days with any."""
    days, offset, width = (
        plan.rings[ring, RING_DAYS],
        plan.rings[ring, RING_OFFSET],
        plan.rings[ring, RING_WIDTH],
    )
    number, count = first % days, last - first + 1
    before_end = min(count, days - number)
    if width == WIDE:
        total, above = cells_sum(row_cells(cells.u16, row), offset + number, before_end)
        more, more_above = cells_sum(row_cells(cells.u16, row), offset, count - before_end)
        return total + more, above + more_above
    if width == BITS:
        bits = bits_set(row_cells(cells.u8, row), offset, number, before_end)
        bits += bits_set(row_cells(cells.u8, row), offset, 0, count - before_end)
        return bits, bits
    total, above = cells_sum(row_cells(cells.u8, row), offset + number, before_end)
    more, more_above = cells_sum(row_cells(cells.u8, row), offset, count - before_end)
    return total + more, above + more_above


@kernel
def window_sum(cells: Cells, plan: Plan, row: int, ring: int, first: int, last: int) -> int:
    """Return the sum of the counts of days first..last, both within the ring."""
    return window(cells, plan, row, ring, first, last)[0]


@kernel
def weekday_sum(cells: Cells, plan: Plan, row: int, ring: int, last: int, span: int) -> int:
    """Return the sum of the counts of day ``last`` and of the same weekday before it, of ``span`` days (whole weeks)."""
    days, total = plan.rings[ring, RING_DAYS], int64(0)
    for ago in range(0, span, 7):
        total += tile(cells, plan, row, ring, (last - ago) % days)
    return total


@kernel
def window_days(cells: Cells, plan: Plan, row: int, ring: int, first: int, last: int) -> int:
    """Return the number of days of first..last with a count above zero."""
    return window(cells, plan, row, ring, first, last)[1]


@kernel
def amount_sum(cells: Cells, plan: Plan, row: int, s: int, first: int, last: int) -> int:
    """Return the sum of the amounts of days first..last, both within the ring, at most ``SUM_MAX``."""
    days, total = plan.sums[s, RING_DAYS], int64(0)
    for day in range(first, last + 1):
        total = min(total + int64(cells.i64[row, plan.sums[s, RING_OFFSET] + day % days]), SUM_MAX)
    return total


@kernel
def decayed_sum(cells: Cells, plan: Plan, row: int, ring: int, weights: int, window: int) -> int:
    """Return the weighted sum of the last ``window`` days, the weights of age 0.. beginning at ``weights``."""
    days, day, total = plan.rings[ring, RING_DAYS], int64(cells.u16[row, DAY]), int64(0)
    for age in range(window):
        total += int64(plan.decay[weights + age]) * tile(cells, plan, row, ring, (day - age) % days)
    return total
