"""The sequence of an account's life: before an event fire what is due, admit it, apply it, evaluate, move the clock on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams import effects as fx
from streams.apply import apply_event, apply_facts
from streams.cells import LEFT_OUT_ERASED, LEFT_OUT_MERGED, WRITTEN
from streams.clock import NEVER_MS, move_clock
from streams.compiled import entry, int64, kernel, prefetch, reference
from streams.days import local_day, start_of_day
from streams.effects import place, room
from streams.ending import begin, erase, erases, may_retire
from streams.events import EVENT_INPUT, EVENT_KEY, EVENT_ROW, EVENT_TIME, NO_ROW, REFUSED
from streams.kernel import evaluate, fire
from streams.key_index import NOBODY
from streams.layout import NOW, UNSET
from streams.move import move_to
from streams.plan import ACCOUNTS_MAX, GRACE_MS, IN_FORCE_FROM

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from streams.cells import Cells
    from streams.clock import Clock
    from streams.effects import Effects
    from streams.plan import Plan

AHEAD_EVENTS: Final = 2
"""A row is a thousand bytes anywhere in memory: so many events before it is needed, it is asked for."""


@kernel
def has_room(cells: Cells, plan: Plan, effects: Effects, event: int, clock_ms: int) -> bool:
    """Return whether one account more may be there at ``clock_ms``; also True if the notebook is full.

    Accounts that retire by the clock make room, so before the answer is no all that is due fires.
    """
    limit = plan.scalars[ACCOUNTS_MAX]
    if cells.there[0] >= limit and may_retire(plan) and cells.there[1] < clock_ms:
        for row in range(len(cells.due)):
            if not fire(cells, plan, effects, row, event, clock_ms, clock_ms, True, fx.BY_ITSELF):  # noqa: FBT003
                return True
        cells.there[1] = clock_ms
    return bool(cells.there[0] < limit)


@kernel
def admit(
    cells: Cells, plan: Plan, effects: Effects, events: npt.NDArray[np.int64], event: int, clock_ms: int
) -> bool:
    """Fire what is due before an event, and mark it if it is left out or refused; False if the notebook is full."""
    row, t = events[event, EVENT_ROW], events[event, EVENT_TIME]
    if row < 0:
        return True
    is_erasing = erases(events[event])
    if not is_erasing and t <= cells.erased[row]:
        cells.notes[LEFT_OUT_MERGED if cells.merged[row] else LEFT_OUT_ERASED] += 1
        events[event, EVENT_ROW] = NO_ROW
        return True
    if not fire(cells, plan, effects, row, event, max(t, clock_ms), clock_ms, True, fx.BY_ITSELF):  # noqa: FBT003
        return False
    is_stranger = cells.i64[row, NOW] == UNSET and not is_erasing
    if is_stranger and not has_room(cells, plan, effects, event, clock_ms):
        events[event, EVENT_ROW] = REFUSED - row
        return True
    return room(effects, plan)


@kernel
def take(
    cells: Cells,
    plan: Plan,
    effects: Effects,
    events: npt.NDArray[np.int64],
    updates: npt.NDArray[np.int64],
    event: int,
    update: int,
    begin_ms: int,
    clock_ms: int,
) -> int:
    """Take an event that was admitted, not before ``begin_ms``; return the first fact update of the next one."""
    row, t, told = events[event, EVENT_ROW], events[event, EVENT_TIME], int64(effects.used[0])
    now = int64(max(int64(cells.i64[row, NOW]), t, begin_ms, plan.scalars[IN_FORCE_FROM]))
    if erases(events[event]):
        erase(cells, plan, effects, row, event, now)
        place(effects, told, clock_ms, False)  # noqa: FBT003
        return update
    if cells.i64[row, NOW] == UNSET:
        begin(cells, plan, row, now)
    move_to(cells, plan, row, now)
    apply_event(cells, plan, row, events[event])
    update = int64(apply_facts(cells, row, updates, event, update))
    evaluate(cells, plan, effects, row, event, fx.BY_EVENT, now)
    place(effects, told, clock_ms, False)  # noqa: FBT003
    cells.changed[row] |= WRITTEN
    return update


@kernel
def bring_near(cells: Cells, events: npt.NDArray[np.int64], event: int) -> None:
    """Let all that is kept of the account of a coming event be brought from memory while earlier ones are taken."""
    if event >= events.shape[0]:
        return
    row = int64(events[event, EVENT_ROW])
    if row < 0:
        return
    prefetch(cells.bytes, row)
    prefetch(cells.facts, row)
    prefetch(cells.known, row)
    prefetch(cells.due, row)
    prefetch(cells.zone, row)
    prefetch(cells.erased, row)
    prefetch(cells.changed, row)
    prefetch(cells.block, row)


@entry
def advance(
    cells: Cells,
    plan: Plan,
    effects: Effects,
    clock: Clock,
    events: npt.NDArray[np.int64],
    updates: npt.NDArray[np.int64],
    cursors: npt.NDArray[np.int64],
) -> int:
    """Take events in order, each after the instants of its account that are due before it or by the clock.

    Args:
        cells: the accounts.
        plan: what to compute.
        effects: the notebook; the call returns early, before an event, when it is full, and after an erasure.
        clock: the clock before these events; moved on.
        events: (events, EVENT_COLUMNS) int64; the rows of those that are left out or refused are set to say so.
        updates: (updates, FACT_UPDATE_COLUMNS) int64, in the order of their events.
        cursors: (3,) int64, next event, next update, 1 if that event is taken already; moved forward.

    Returns:
        the row whose account the last event erased, ``NOBODY`` if it erased none.
    """
    cells, plan = reference(cells), reference(plan)
    effects, clock = reference(effects), reference(clock)
    grace_ms = plan.scalars[GRACE_MS]
    cells.there[1] = NEVER_MS
    today, tomorrow = int64(NEVER_MS), int64(NEVER_MS)
    while cursors[0] < events.shape[0]:
        event, clock_ms = int64(cursors[0]), int64(clock.now_ms[0])
        bring_near(cells, events, event + AHEAD_EVENTS)
        if clock_ms >= tomorrow:
            day = local_day(plan.zones, 0, clock_ms)
            today, tomorrow = start_of_day(plan.zones, 0, day), start_of_day(plan.zones, 0, day + 1)
        if cursors[2] == 0:
            if not admit(cells, plan, effects, events, event, clock_ms):
                return NOBODY
            row = events[event, EVENT_ROW]
            if row >= 0:
                zone, begin_ms = int64(cells.zone[row]), today
                if zone != 0 and clock_ms > NEVER_MS:
                    begin_ms = start_of_day(plan.zones, zone, local_day(plan.zones, zone, clock_ms))
                update = int64(cursors[1])
                cursors[1] = take(cells, plan, effects, events, updates, event, update, begin_ms, clock_ms)
            while cursors[1] < updates.shape[0] and updates[cursors[1], 0] <= event:
                cursors[1] += 1  # of an event that is not applied
            cursors[2] = 1
        row = events[event, EVENT_ROW]
        # what an event older than the clock made due by the clock belongs to its place
        at = (event + 1, clock_ms, clock_ms)
        if row >= 0 and not fire(cells, plan, effects, row, *at, False, fx.BY_ITSELF):  # noqa: FBT003
            return NOBODY
        cursors[2] = 0
        move_clock(clock, events[event, EVENT_INPUT], events[event, EVENT_KEY], grace_ms)
        cursors[0] += 1
        if row >= 0 and erases(events[event]):
            return int64(row)
    return NOBODY
