"""Distinct users without their ids: 128 buckets, each with the newest day on which one of its users was active.

A bucket's cell is 0 or 1 + day mod 255; days are cleared before they could be mistaken for later ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streams.compiled import int64, kernel
from streams.layout import BUCKETS, DAY, USER_DAYS, USER_SEEN
from streams.plan import USERS

if TYPE_CHECKING:
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
    """Return (first, end, from): in the last ``window`` days are the cells of first..end - 1, and those of from on."""
    if today >= window:
        return today - window + 1, today + 1, USER_DAYS + 1
    return int64(1), today + 1, today - window + 1 + USER_DAYS


@kernel
def users(cells: Cells, plan: Plan, row: int, window: int, longer: int) -> tuple[int, int]:
    """Return about how many distinct users were active in the last ``window`` days, and in the last ``longer`` days."""
    first, today = plan.scalars[USERS], int64(cells.u16[row, DAY]) % USER_DAYS + 1
    buckets, few, many = cells.u8[row, first : first + BUCKETS], int64(0), int64(0)
    begin, end, old = marks(today, window)
    longer_begin, longer_end, longer_old = marks(today, longer)
    for i in range(np.uint64(BUCKETS)):  # without a sign: negative indices need not be looked for
        cell = int64(buckets[i])
        few += (begin <= cell < end) | (cell >= old)
        many += (longer_begin <= cell < longer_end) | (cell >= longer_old)
    return int64(plan.users[few]), int64(plan.users[many])
