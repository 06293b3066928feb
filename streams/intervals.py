"""What accounts do at the ends of intervals in which their alerts are held back or silences wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streams.conditions import RESTS_ON_ABSENCE
from streams.layout import HELD, HELD_ESCALATED, NOW, OPEN, UNSET
from streams.plan import MUTE_END

if TYPE_CHECKING:
    import numpy.typing as npt

    from streams.accounts import Accounts
    from streams.cells import Cells


def tell_at_ends(cells: Cells, size: int, mutes: npt.NDArray[np.int64]) -> None:
    """Let the first ``size`` accounts that hold alerts back be evaluated at the ends of intervals, (intervals, 2) in ms."""
    holds = np.nonzero(cells.u8[:size, HELD : HELD + 2].max(axis=1) >= HELD_ESCALATED)[0]
    for end_ms in mutes[:, MUTE_END].tolist():
        waits = holds[cells.i64[holds, NOW] < end_ms]
        cells.due[waits] = np.minimum(cells.due[waits], end_ms)


def judge_at_ends(cells: Cells, size: int, guards: npt.NDArray[np.int64]) -> None:
    """Let all of the first ``size`` accounts be evaluated at the ends of intervals, (intervals, 2) in ms."""
    now, due = cells.i64[:size, NOW], cells.due[:size]
    for end_ms in guards[:, MUTE_END].tolist():
        due[(now != UNSET) & (now < end_ms) & (due > end_ms)] = end_ms


def reasons_waiting(accounts: Accounts) -> int:
    """Return how many reasons wait because a source is stalled."""
    cells, size, found = accounts.cells, len(accounts), 0
    for from_ms, end_ms in accounts.plan.guards.tolist():
        for rule, slot in accounts.program.layout.rule_since.items():
            if RESTS_ON_ABSENCE >> rule & 1:
                since, is_open = cells.i64[:size, slot], (cells.u16[:size, OPEN] >> rule) & 1 == 1
                waits = (cells.i64[:size, NOW] < end_ms) & (since >= from_ms) & (since < end_ms) & ~is_open
                found += int(waits.sum())
    return found
