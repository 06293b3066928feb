"""What each component of the models measures of an account, and the points that it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streams.compiled import entry, int64
from streams.layout import NONE, NOW
from streams.metrics import NO_VALUE, metric
from streams.score import curve

if TYPE_CHECKING:
    import numpy.typing as npt

    from streams.accounts import Accounts
    from streams.cells import Cells
    from streams.plan import Plan


@entry
def measure(cells: Cells, plan: Plan, row: int, out: npt.NDArray[np.int64]) -> None:
    """Put what the components measure at the account's present instant into ``out``.

    Args:
        cells: the accounts.
        plan: what to compute.
        row: the account's row.
        out: (components, 2) int64: the metric in the kernel's unit or ``NO_VALUE``, its points in thousandths or ``NONE``.
    """
    now = int64(cells.i64[row, NOW])
    for c in range(plan.components.shape[0]):
        x, _ = metric(cells, plan, row, c, now)
        out[c, 0] = x
        out[c, 1] = int64(NONE) if x == NO_VALUE else curve(plan, c, x)


def measured(accounts: Accounts, row: int) -> list[tuple[int | None, int | None]]:
    """Return metric (in the kernel's unit) and points (in thousandths) of all models' components, None for missing."""
    out = np.empty((len(accounts.plan.components), 2), np.int64)
    measure(accounts.cells, accounts.plan, row, out)
    return [(None if x == NO_VALUE else x, None if y == NONE else y) for x, y in out.tolist()]
