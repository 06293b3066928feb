"""Distinct users without their ids: 128 buckets, each with the newest day on which one of its users was active.

A bucket's cell is 0 or 1 + day mod 255; days are cleared before they could be mistaken for later ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
def users(cells: Cells, plan: Plan, row: int, window: int, longer: int) -> tuple[int, int]:
    """Return about how many distinct users were active in the last ``window`` days, and in the last ``longer`` days."""
    first, today, marked, more = plan.scalars[USERS], int64(cells.u16[row, DAY]) % USER_DAYS + 1, 0, 0
    for i in range(first, first + BUCKETS):
        cell = int64(cells.u8[row, i])
        days = (
            today - cell if today >= cell else today - cell + USER_DAYS
        )  # what `age` says, without its division
        marked += cell != 0 and days < window
        more += cell != 0 and days < longer
    return int64(plan.users[marked]), int64(plan.users[more])
