"""Distinct users without their ids: 128 buckets, each with the newest day on which one of its users was active.

A bucket's cell is 0 or 1 + day mod 255; days are cleared before they could be mistaken for later ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streams.compiled import int64, kernel, row_cells
from streams.layout import BUCKETS, DAY, USER_DAYS, USER_SEEN
from streams.plan import USERS

if TYPE_CHECKING:
    import numpy.typing as npt

    from streams.cells import Cells
    from streams.plan import Plan


@kernel
def age(cell: int, day: int) -> int:
    """Return how many days before ``day`` a marked bucket's day is."""
    return (day - (cell - 1)) % USER_DAYS


@kernel
def roll_users(cells: Cells, plan: Plan, row: int, present: int, day: int) -> None:
    """Clear the buckets whose day is more than 254 days before ``day``."""
    first = plan.scalars[USERS]
    for i in range(first, first + BUCKETS):
        cell = int64(cells.u8[row, i])
        if cell and age(cell, present) + day - present >= USER_DAYS:
            cells.u8[row, i] = 0


@kernel
def mark_user(cells: Cells, plan: Plan, row: int, bucket: int, day: int) -> None:
    """Note that a user of the bucket was active on ``day``."""
    cells.u8[row, USER_SEEN] = 1
    i, present = plan.scalars[USERS] + bucket, int64(cells.u16[row, DAY])
    cell = int64(cells.u8[row, i])
    if present - day < USER_DAYS and (cell == 0 or age(cell, present) > present - day):
        cells.u8[row, i] = 1 + day % USER_DAYS


@kernel
def marks(today: int, window: int) -> tuple[int, int, int]:
    """Return (first, last, above): in the last ``window`` days are the cells of first..last, and those above the third."""
    if window == 0:
        return int64(1), int64(0), int64(USER_DAYS)
    if today >= window:
        return today - window + 1, today, int64(USER_DAYS)
    return int64(1), today, today - window + USER_DAYS


@kernel
def marked(buckets: npt.NDArray[np.uint8], first: int, last: int, above: int) -> int:
    """Return the number of buckets whose cell is in first..last or above another, all from 1 to 255."""
    low, high, old, total = np.uint8(first), np.uint8(last), np.uint8(above), np.uint8(0)
    for i in range(np.uint64(BUCKETS)):  # without a sign: negative indices need not be looked for
        cell = buckets[i]  # all in bytes, of which a processor compares and adds many at once
        total = np.uint8(total + np.uint8((low <= cell) & (cell <= high) | (cell > old)))
    return int64(total)


@kernel
def users(cells: Cells, plan: Plan, row: int, window: int, longer: int) -> tuple[int, int]:
    """Return about how many distinct users were active in the last ``window`` days, and in the last ``longer`` days."""
    first, today = plan.scalars[USERS], int64(cells.u16[row, DAY]) % USER_DAYS + 1
    buckets = row_cells(cells.u8, row)[first : first + BUCKETS]
    few, many = marked(buckets, *marks(today, window)), marked(buckets, *marks(today, longer))
    return int64(plan.users[few]), int64(plan.users[many])
