"""How an account ends, erased or retired, and how one begins where another may have been."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.catalogue import EventKind
from streams import effects as fx
from streams.cells import FOREVER, NO_FACT, WRITTEN
from streams.compiled import entry, int64, kernel, reference
from streams.conditions import CLOSED, GOOD_NEWS, account_kind
from streams.effects import note
from streams.episodes import send_episode
from streams.events import EVENT_DETAIL, EVENT_KIND
from streams.layout import ABSENT, DAY, HELD, HELD_ESCALATED, LAST_EVENT_DAY, NONE, NOTHING, NOW, OPEN, UNSET
from streams.migration import ORDINAL_BASE_S
from streams.plan import CHANGE, CLOSED_DAYS, ERASED_MS, QUIET_DAYS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from streams.cells import Cells
    from streams.effects import Effects
    from streams.plan import Plan

ERASING: Final = 1
"""Detail of an event of account-facts that erases."""
_FACTS: Final = int(EventKind.FACTS)


@kernel
def erases(event: npt.NDArray[np.int64]) -> bool:
    """Return whether an event (its columns) erases its account."""
    return bool(event[EVENT_KIND] == _FACTS and event[EVENT_DETAIL] == ERASING)


@kernel
def may_retire(plan: Plan) -> bool:
    """Return whether any account may retire."""
    return bool(plan.scalars[CLOSED_DAYS] != ABSENT or plan.scalars[QUIET_DAYS] != ABSENT)


@kernel
def retires(cells: Cells, plan: Plan, row: int, now: int) -> bool:
    """Return whether an account on whose new day ``now`` lies was without an event for too long."""
    days = int64(cells.u16[row, DAY]) - int64(cells.u16[row, LAST_EVENT_DAY])
    closed, quiet = plan.scalars[CLOSED_DAYS], plan.scalars[QUIET_DAYS]
    if quiet != ABSENT and days >= quiet:
        return True
    return bool(closed != ABSENT and days >= closed and account_kind(cells, row, now) == CLOSED)


@kernel
def begin(cells: Cells, plan: Plan, row: int, now: int) -> None:
    """Let there be an account; one may have been before, so score changes are numbered from half the seconds since 1990.

    Half, because models that come to an account are numbered from all of them.
    """
    cells.there[0] += 1
    for m in range(plan.models.shape[0]):
        cells.i32[row, plan.models[m, CHANGE]] = (now // 1000 - ORDINAL_BASE_S) // 2


@kernel
def end(cells: Cells, plan: Plan, effects: Effects, row: int, event: int, cause: int, now: int) -> None:
    """Resolve what is open and told, and clear the row: the account is not there any more."""
    before, mask = int64(cells.u16[row, OPEN]), int64(GOOD_NEWS)
    cells.parts[cells.parts.shape[0] - 1] = NONE
    note(effects, fx.END, row, event, cause, now)  # first, so that no fact is told any more
    for story in range(2):
        mine = before & mask if story else before & ~mask
        if mine != 0 and int64(cells.u8[row, HELD + story]) in (NOTHING, HELD_ESCALATED):
            send_episode(cells, plan, effects, row, event, cause, now, now, story, fx.RESOLVED, 0)
    if cells.i64[row, NOW] != UNSET:
        cells.there[0] -= 1
    clear(cells, row)
    cells.changed[row] = WRITTEN


@kernel
def erase(cells: Cells, plan: Plan, effects: Effects, row: int, event: int, now: int) -> None:
    """End an account at ``now`` by an event that erases it, and leave out what of it is late."""
    end(cells, plan, effects, row, event, fx.BY_ERASURE, now)
    cells.erased[row] = max(int64(cells.erased[row]), now + plan.scalars[ERASED_MS])
    cells.merged[row] = 0


@kernel
def clear(cells: Cells, row: int) -> None:
    """Make a row and what is derived of it as they are of an account that has had no event."""
    for i in range(cells.fresh.shape[0]):
        cells.bytes[row, i] = cells.fresh[i]
    for slot in range(cells.facts.shape[1]):
        for column in range(cells.facts.shape[2]):
            cells.facts[row, slot, column] = NO_FACT
    block = int64(cells.block[row])
    if block >= 0:
        for target in range(cells.overrides.shape[1]):
            for column in range(cells.overrides.shape[2]):
                cells.overrides[block, target, column] = NO_FACT
    for k in range(cells.known.shape[1]):
        cells.known[row, k] = 0
    cells.zone[row], cells.due[row], cells.changed[row] = 0, FOREVER, 0


@entry
def forget(cells: Cells, row: int) -> None:
    """Clear the row of an account that another owner has ended."""
    clear(reference(cells), row)
