"""The sequence of an account's life: fire what is due, apply the event, evaluate, set what is due next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.catalogue import ACTIVITY_BIT, ADMIN_BIT, RISK_BIT
from streams import effects as fx
from streams.bands import next_band
from streams.cells import (
    FACT_AT,
    FACT_EXPIRES,
    FACT_VALUE,
    FOREVER,
    LATE_FOR_RHYTHM,
    NO_FACT,
    TOO_LATE,
)  # fmt: skip
from streams.clock import NEVER_MS, move_clock
from streams.compiled import entry, int64, kernel
from streams.days import local_day, start_of_day
from streams.events import EVENT_INPUT, EVENT_KEY, EVENT_MASK, EVENT_ROW, EVENT_TIME
from streams.layout import (
    DAY,
    EPISODE,
    EPISODE_SINCE,
    FIRST_DAY,
    NEVER,
    NONE,
    NOW,
    OPEN,
    RISK_LAST,
    SEVERITY,
    UNSET,
)  # fmt: skip
from streams.metrics import half_up
from streams.plan import (
    CHANGE,
    DENOMINATOR,
    DIM,
    DIM_END,
    DWELL,
    FELL_AT,
    FIRST_BAND,
    GRACE_MS,
    KINDS,
    MIN_CHANGE,
    MIN_COVERAGE,
    PART,
    PART_END,
    PRESENT_BAND,
    QUIET,
    REFRACTORY,
    SENT_COVERAGE,
    SENT_DIMS,
    SENT_PARTS,
    SENT_SCORE,
    SINCE_SLOT,
)  # fmt: skip
from streams.rhythm import note_activity
from streams.rules import (
    ABSOLUTE_SILENCE,
    CLOSED,
    RISK_PAGE,
    RULES,
    SILENCE,
    account_kind,
    gather_evidence,
    join_and_leave,
    note_risk_visit,
    silence_day,
)  # fmt: skip
from streams.score import contributions, dimension, weigh
from streams.tiles import count_event, roll

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from streams.cells import Cells
    from streams.clock import Clock
    from streams.effects import Effects
    from streams.plan import Plan

INSUFFICIENT, NOT_APPLICABLE = 0, 1
FIXED_FACT_COLUMNS: Final = 5
"""Columns of a fact update: index of its event in the batch, fact slot, value (``NO_FACT`` deletes), time, expiry."""


@kernel
def room(effects: Effects, plan: Plan) -> bool:
    """Return whether the notebook has room for the effects of one evaluation."""
    return bool(effects.used[0] + plan.models.shape[0] + 1 <= effects.table.shape[0])


@kernel
def note(effects: Effects, kind: int, row: int, event: int, cause: int, at: int) -> int:
    """Open a new line in the notebook and return its number."""
    line = int64(effects.used[0])
    effects.used[0] += 1
    effects.table[line, fx.KIND] = kind
    effects.table[line, fx.ROW] = row
    effects.table[line, fx.EVENT] = event
    effects.table[line, fx.CAUSE] = cause
    effects.table[line, fx.AT] = at
    return line


@kernel
def send_score(
    cells: Cells,
    plan: Plan,
    effects: Effects,
    line: int,
    row: int,
    m: int,
    score: int,
    band: int,
    coverage: int,
    present: int,
) -> None:
    """Note a score change in ``line`` and make it the last one sent."""
    model, out = plan.models[m], effects.table
    dims, parts = model[DIM_END] - model[DIM], model[PART_END] - model[PART]
    first = model[PART]
    out[line, fx.MODEL] = m
    cells.i32[row, model[CHANGE]] += 1
    out[line, fx.ORDINAL] = cells.i32[row, model[CHANGE]]
    out[line, fx.OLD_SCORE] = cells.i32[row, model[SENT_SCORE]]
    out[line, fx.OLD_BAND] = cells.u8[row, model[PRESENT_BAND]]
    out[line, fx.OLD_COVERAGE] = cells.u16[row, model[SENT_COVERAGE]]
    out[line, fx.NEW_SCORE], out[line, fx.NEW_BAND], out[line, fx.NEW_COVERAGE] = score, band, coverage
    for d in range(dims):
        value = dimension(plan, cells.parts, m, model[DIM] + d) if score != NONE else int64(NONE)
        out[line, fx.SCORE_HEAD + d] = cells.i32[row, model[SENT_DIMS] + d]
        out[line, fx.SCORE_HEAD + dims + d] = value
        cells.i32[row, model[SENT_DIMS] + d] = value
    if score != NONE:
        contributions(plan, cells.parts, m, score, present)
    for c in range(parts):
        value = cells.parts[first + c] if score != NONE else int64(NONE)
        out[line, fx.SCORE_HEAD + 2 * dims + c] = cells.i32[row, model[SENT_PARTS] + c]
        out[line, fx.SCORE_HEAD + 2 * dims + parts + c] = value
        cells.i32[row, model[SENT_PARTS] + c] = value
    cells.i32[row, model[SENT_SCORE]] = score
    cells.u16[row, model[SENT_COVERAGE]] = coverage
    cells.u8[row, model[PRESENT_BAND]] = band


@kernel
def rescore(
    cells: Cells, plan: Plan, effects: Effects, row: int, m: int, event: int, cause: int, now: int, kind: int
) -> bool:
    """Score one model at ``now`` and note a material change; return whether a midnight may move the score."""
    model = plan.models[m]
    score, band, coverage, present, moving = int64(NONE), int64(NOT_APPLICABLE), int64(0), int64(0), False
    if (model[KINDS] >> kind) & 1:
        total, present, moving = weigh(cells, plan, row, m, now)
        coverage, band = half_up(1000 * present, model[DENOMINATOR]), int64(INSUFFICIENT)
        if present > 0 and 1000 * present >= model[MIN_COVERAGE] * model[DENOMINATOR]:
            score = half_up(total, present)
            was = int64(cells.u8[row, model[PRESENT_BAND]])
            band = int64(next_band(plan, m, was, score, cells.i64[row, model[FELL_AT]], now))
            if FIRST_BAND <= band < was:
                cells.i64[row, model[FELL_AT]] = now
    sent = int64(cells.i32[row, model[SENT_SCORE]])
    far = NONE not in (score, sent) and abs(score - sent) >= model[MIN_CHANGE]
    if far or band != int64(cells.u8[row, model[PRESENT_BAND]]):
        line = note(effects, fx.SCORE_CHANGE, row, event, cause, now)
        send_score(cells, plan, effects, line, row, m, score, band, coverage, present)
    return moving


@kernel
def send_episode(
    cells: Cells,
    plan: Plan,
    effects: Effects,
    row: int,
    event: int,
    cause: int,
    now: int,
    status: int,
    reasons: int,
) -> None:
    """Note an episode's message with everything that its text and evidence need."""
    out = effects.table
    line = note(effects, fx.EPISODE, row, event, cause, now)
    out[line, fx.STATUS] = status
    out[line, fx.SEVERITY] = cells.u8[row, SEVERITY]
    out[line, fx.EPISODE_ORDINAL] = cells.i32[row, EPISODE]
    out[line, fx.SINCE] = cells.i64[row, EPISODE_SINCE]
    out[line, fx.REASONS] = reasons
    out[line, fx.EPISODE_CLOSED] = account_kind(cells, row, now) == CLOSED
    for rule in range(RULES):
        slot = plan.rules[rule, SINCE_SLOT]
        out[line, fx.RULE_SINCE + rule] = cells.i64[row, slot] if slot >= 0 else UNSET
    gather_evidence(cells, row, out[line, fx.EVIDENCE :])


@kernel
def reconsider(
    cells: Cells, plan: Plan, effects: Effects, row: int, event: int, cause: int, now: int
) -> None:
    """Judge the account's one episode at ``now``: open, raise or end it."""
    before, severity = int64(cells.u16[row, OPEN]), int64(cells.u8[row, SEVERITY])
    after, highest = join_and_leave(cells, plan, row, now)
    if before == 0 and after != 0:
        cells.i64[row, EPISODE_SINCE] = now
        cells.i32[row, EPISODE] += 1
        cells.u8[row, SEVERITY] = highest
        send_episode(cells, plan, effects, row, event, cause, now, fx.FIRING, after)
    elif after != 0 and highest > severity:
        cells.u8[row, SEVERITY] = highest
        send_episode(cells, plan, effects, row, event, cause, now, fx.ESCALATED, after)
    elif before != 0 and after == 0:
        send_episode(cells, plan, effects, row, event, cause, now, fx.RESOLVED, before)


@kernel
def sooner(present: int, candidate: int, now: int) -> int:
    """Return the sooner of two instants, leaving out a candidate that is not after ``now``."""
    return candidate if now < candidate < present else present


@kernel
def next_due(cells: Cells, plan: Plan, row: int, moving: bool, now: int) -> int:  # noqa: FBT001
    """Return the next instant at which something can change without an event."""
    due = int64(FOREVER)
    if moving:
        due = sooner(due, start_of_day(plan.zone, int64(cells.u16[row, DAY]) + 1), now)
    for rule in (SILENCE, ABSOLUTE_SILENCE):
        if plan.rules[rule, SINCE_SLOT] >= 0:
            day = silence_day(cells, plan, row, rule)
            if day > int64(cells.u16[row, DAY]):
                due = sooner(due, start_of_day(plan.zone, day), now)
    if plan.rules[RISK_PAGE, SINCE_SLOT] >= 0 and cells.i64[row, RISK_LAST] != UNSET:
        due = sooner(due, int64(cells.i64[row, RISK_LAST]) + plan.rules[RISK_PAGE, QUIET], now)
    for rule in range(RULES):
        slot = plan.rules[rule, SINCE_SLOT]
        if slot >= 0 and cells.i64[row, slot] != UNSET:
            due = sooner(due, int64(cells.i64[row, slot]) + plan.rules[rule, REFRACTORY], now)
    for m in range(plan.models.shape[0]):
        fell_at = int64(cells.i64[row, plan.models[m, FELL_AT]])
        if fell_at != UNSET:
            due = sooner(due, fell_at + plan.models[m, DWELL], now)
    for f in range(cells.facts.shape[1]):
        due = sooner(due, int64(cells.facts[row, f, FACT_EXPIRES]), now)
    return due


@kernel
def evaluate(cells: Cells, plan: Plan, effects: Effects, row: int, event: int, cause: int, now: int) -> None:
    """Evaluate the account at ``now``: scores in the models' order, then the episode, then what is due next."""
    moving, kind = False, account_kind(cells, row, now)
    for m in range(plan.models.shape[0]):
        moves = rescore(cells, plan, effects, row, m, event, cause, now, kind)
        moving = moving or moves
    reconsider(cells, plan, effects, row, event, cause, now)
    cells.due[row] = next_due(cells, plan, row, moving, now)
    cells.changed[row] = 1


@kernel
def expires_now(cells: Cells, row: int, now: int) -> bool:
    """Return whether a fact that a model reads expires at exactly ``now``."""
    for f in range(cells.facts.shape[1]):
        if cells.facts[row, f, FACT_EXPIRES] == now:
            return True
    return False


@kernel
def fire(cells: Cells, plan: Plan, effects: Effects, row: int, event: int, until: int) -> bool:
    """Fire the account's instants up to ``until``; False if the notebook filled up before the last one."""
    while cells.due[row] <= until:
        if not room(effects, plan):
            return False
        now = int64(cells.due[row])
        cells.i64[row, NOW] = now
        roll(cells, plan, row, local_day(plan.zone, now))
        cause = fx.BY_EVIDENCE if expires_now(cells, row, now) else fx.BY_TIME
        evaluate(cells, plan, effects, row, event, cause, now)
    return True


@kernel
def apply_event(cells: Cells, plan: Plan, row: int, mask: int, t: int) -> None:
    """Fold one event into the state."""
    day = local_day(plan.zone, t)
    first = int64(cells.u16[row, FIRST_DAY])
    if first == NEVER or day < first:
        cells.u16[row, FIRST_DAY] = day
    roll(cells, plan, row, day)
    if not count_event(cells, plan, row, mask, day):
        cells.notes[TOO_LATE] += 1
    if (mask >> ACTIVITY_BIT) & 1 and not note_activity(cells, plan, row, day, t):
        cells.notes[LATE_FOR_RHYTHM] += 1
    if (mask >> RISK_BIT) & 1:
        note_risk_visit(cells, plan, row, t, (mask >> ADMIN_BIT) & 1)


@kernel
def apply_facts(cells: Cells, row: int, updates: npt.NDArray[np.int64], event: int, cursor: int) -> int:
    """Apply the fact updates of one event from ``cursor`` on; the newest time wins, of equal ones the later."""
    while cursor < updates.shape[0] and updates[cursor, 0] == event:
        slot, at = updates[cursor, 1], updates[cursor, 3]
        if at >= cells.facts[row, slot, FACT_AT]:
            deleted = updates[cursor, 2] == NO_FACT
            cells.facts[row, slot, FACT_VALUE] = updates[cursor, 2]
            cells.facts[row, slot, FACT_AT] = at
            cells.facts[row, slot, FACT_EXPIRES] = NO_FACT if deleted else updates[cursor, 4]
        cursor += 1
    return cursor


@entry
def advance(
    cells: Cells,
    plan: Plan,
    effects: Effects,
    clock: Clock,
    events: npt.NDArray[np.int64],
    updates: npt.NDArray[np.int64],
    cursors: npt.NDArray[np.int64],
) -> None:
    """Take events in order, each after the instants of its account that are due before it or by the clock.

    Args:
        cells: the accounts.
        plan: what to compute.
        effects: the notebook; the call returns early, before an event, when it is full.
        clock: the clock before these events; moved on.
        events: (events, EVENT_COLUMNS) int64.
        updates: (updates, FIXED_FACT_COLUMNS) int64, in the order of their events.
        cursors: (2,) int64, next event and next update; moved forward.
    """
    grace_ms = plan.scalars[GRACE_MS]
    today, tomorrow = int64(NEVER_MS), int64(NEVER_MS)
    while cursors[0] < events.shape[0]:
        event = int64(cursors[0])
        row, t, clock_ms = events[event, EVENT_ROW], events[event, EVENT_TIME], int64(clock.now_ms[0])
        if clock_ms >= tomorrow:
            day = local_day(plan.zone, clock_ms)
            today, tomorrow = start_of_day(plan.zone, day), start_of_day(plan.zone, day + 1)
        if row >= 0:
            if not fire(cells, plan, effects, row, event, max(t, clock_ms)) or not room(effects, plan):
                return
            now = max(int64(cells.i64[row, NOW]), t, today)
            cells.i64[row, NOW] = now
            roll(cells, plan, row, local_day(plan.zone, now))
            apply_event(cells, plan, row, events[event, EVENT_MASK], t)
            cursors[1] = apply_facts(cells, row, updates, event, int64(cursors[1]))
            evaluate(cells, plan, effects, row, event, fx.BY_EVENT, now)
        move_clock(clock, events[event, EVENT_INPUT], events[event, EVENT_KEY], grace_ms)
        cursors[0] += 1


@entry
def sweep(
    cells: Cells, plan: Plan, effects: Effects, start: int, rows_max: int, clock_ms: int, event: int
) -> int:
    """Fire what is due by the clock in rows from ``start`` on, at most ``rows_max`` rows that are due.

    Returns:
        the row to go on from, or the number of rows when the scan is complete.
    """
    fired = 0
    for row in range(start, len(cells.due)):
        if cells.due[row] <= clock_ms:
            if fired >= rows_max or not fire(cells, plan, effects, row, event, clock_ms):
                return row
            fired += 1
    return len(cells.due)


@entry
def rearm(cells: Cells, plan: Plan, start: int, end: int) -> None:
    """Recompute what is derived for rows start..end-1 after a load: the next due instant."""
    for row in range(start, end):
        now = int64(cells.i64[row, NOW])
        if now == UNSET:
            continue
        moving = False
        for m in range(plan.models.shape[0]):
            if (plan.models[m, KINDS] >> account_kind(cells, row, now)) & 1:
                moves = weigh(cells, plan, row, m, now)[2]
                moving = moving or moves
        cells.due[row] = next_due(cells, plan, row, moving, now)
