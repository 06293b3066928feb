"""What an account knows of its days after a change of layout: beside the row, for each thing that is told of days.

A cell is the newest local day of which something may not be known, 0 once that does not matter any more. It never lies
after the account's last event before the change: since then nothing happened that could have been missed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.compiled import int64, kernel

if TYPE_CHECKING:
    from streams.cells import Cells
    from streams.plan import Plan


@kernel
def knows(cells: Cells, row: int, k: int, first: int) -> bool:
    """Return whether everything is known of the days from ``first`` on."""
    return first > int64(cells.known[row, k])


@kernel
def roll_known(cells: Cells, plan: Plan, row: int, day: int) -> None:
    """Forget what is not known of days that are not read any more from ``day`` on."""
    for k in range(cells.known.shape[1]):
        days = plan.known_days[k]
        if days > 0 and knows(cells, row, k, day - days + 1):
            cells.known[row, k] = 0
