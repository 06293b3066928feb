"""Intervals in which alerts are held back, or silences wait, by the time of an evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.cells import FOREVER
from streams.compiled import int64, kernel
from streams.layout import HELD, HELD_ESCALATED, OPPORTUNITY_HELD
from streams.plan import MUTE_END, MUTE_FROM

if TYPE_CHECKING:
    from streams.cells import Cells
    from streams.plan import Plan


@kernel
def is_muted(plan: Plan, now: int) -> bool:
    """Return whether alerts of an evaluation at ``now`` are held back."""
    for i in range(plan.mutes.shape[0]):
        if plan.mutes[i, MUTE_FROM] <= now < plan.mutes[i, MUTE_END]:
            return True
    return False


@kernel
def guard_at(plan: Plan, now: int) -> int:
    """Return the number of the interval in which silences wait at ``now`` or until ``now``, -1 for none."""
    for i in range(plan.guards.shape[0]):
        if plan.guards[i, MUTE_FROM] <= now <= plan.guards[i, MUTE_END]:
            return int64(i)
    return int64(-1)


@kernel
def unseen_ms(plan: Plan, since: int, now: int, unit: int) -> int:
    """Return for how long after ``since`` silences waited, up to ``now``, each wait rounded up to whole ``unit`` ms."""
    total = int64(0)
    for i in range(plan.guards.shape[0]):
        if since < plan.guards[i, MUTE_FROM] and plan.guards[i, MUTE_END] <= now:
            waited = plan.guards[i, MUTE_END] - plan.guards[i, MUTE_FROM]
            total += -(-waited // unit) * unit
    return total


@kernel
def told_at(cells: Cells, plan: Plan, row: int, now: int) -> int:
    """Return the next instant at which silences do not wait, or alerts are not muted, any more, if the account holds any."""
    due = int64(FOREVER)
    for i in range(plan.guards.shape[0]):
        if plan.guards[i, MUTE_END] > now:
            due = min(due, int64(plan.guards[i, MUTE_END]))
    if max(cells.u8[row, HELD], cells.u8[row, OPPORTUNITY_HELD]) >= HELD_ESCALATED:
        for i in range(plan.mutes.shape[0]):
            if plan.mutes[i, MUTE_END] > now:
                due = min(due, int64(plan.mutes[i, MUTE_END]))
    return due
