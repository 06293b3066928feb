"""Evaluating an account and setting what is due next: at its instants one after another, or as a policy takes hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams import effects as fx
from streams.audience import applies
from streams.bands import next_band
from streams.cells import AHEAD, EVALUATED, STALE, WRITTEN
from streams.compiled import entry, int64, kernel, reference
from streams.conditions import account_kind
from streams.drop import forget_scores, note_score
from streams.due import expires_now, next_due
from streams.effects import note, place, room
from streams.ending import end, retires
from streams.episodes import adopt_episodes, reconsider
from streams.layout import ABSENT, DAY, KNOWN_RINGS, NO_OVERRIDE, NONE, NOW, UNSET, VIEW_DUE
from streams.metrics import half_up
from streams.move import move_to
from streams.plan import (
    CHANGE,
    DAILY,
    DENOMINATOR,
    DIM,
    DIM_END,
    FELL_AT,
    GRID,
    IN_FORCE_FROM,
    MIN_CHANGE,
    MISSING,
    PART,
    PART_END,
    PRESENT_BAND,
    SENT_COVERAGE,
    SENT_DIMS,
    SENT_OVERRIDE,
    SENT_PARTS,
    SENT_SCORE,
    SPREAD,
    VALUE_MODEL,
)  # fmt: skip
from streams.score import contributions, dimension, has_evidence, override_of, weigh, weighted

if TYPE_CHECKING:
    from streams.cells import Cells
    from streams.effects import Effects
    from streams.plan import Plan

INSUFFICIENT, NOT_APPLICABLE = 0, 1
WRITE_DAYS = 4
"""An instant at which nothing is told need not be written: whoever reads the row fires it again, to the same end. So that there
are few of them and none lies far back, a row is written on one of so many days, different rows on different days, and when
nothing is due on the next one."""
LONGEST_DAY_MS = 25 * 3_600_000


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
    evidence: int,
    override: int,
    present: int,
) -> None:
    """Note a score change in ``line`` and make it the last one sent.

    ``evidence`` is the score without manual judgement, ``override`` what that adds or ``NO_OVERRIDE``.
    """
    model, out = plan.models[m], effects.table
    dims, parts = model[DIM_END] - model[DIM], model[PART_END] - model[PART]
    first = model[PART]
    out[line, fx.MODEL] = m
    cells.i32[row, model[CHANGE]] += 1
    out[line, fx.ORDINAL] = cells.i32[row, model[CHANGE]]
    out[line, fx.OLD_SCORE] = cells.i32[row, model[SENT_SCORE]]
    out[line, fx.OLD_BAND] = cells.u8[row, model[PRESENT_BAND]]
    out[line, fx.OLD_COVERAGE] = cells.u16[row, model[SENT_COVERAGE]]
    known = KNOWN_RINGS + plan.rings.shape[0] + plan.sums.shape[0] + m
    out[line, fx.IS_KNOWN] = cells.known[row, known] == 0
    cells.known[row, known] = 0
    out[line, fx.NEW_SCORE], out[line, fx.NEW_BAND], out[line, fx.NEW_COVERAGE] = score, band, coverage
    for d in range(dims):
        value = dimension(plan, cells.parts, m, model[DIM] + d) if evidence != NONE else int64(NONE)
        out[line, fx.SCORE_HEAD + d] = cells.i32[row, model[SENT_DIMS] + d]
        out[line, fx.SCORE_HEAD + dims + d] = value
        cells.i32[row, model[SENT_DIMS] + d] = value
    if evidence != NONE:
        contributions(plan, cells.parts, m, evidence, present)
    for c in range(parts):
        value = cells.parts[first + c] if evidence != NONE else int64(NONE)
        sent = int64(cells.i32[row, model[SENT_PARTS] + c])
        out[line, fx.SCORE_HEAD + 2 * dims + c] = sent
        out[line, fx.SCORE_HEAD + 2 * dims + parts + c] = value
        cells.i32[row, model[SENT_PARTS] + c] = value
        out[line, fx.SCORE_HEAD + 2 * dims + 2 * parts + 2 + c] = cells.measured[first + c]
        out[line, fx.SCORE_HEAD + 2 * dims + 3 * parts + 2 + c] = max(value, int64(0)) - max(sent, int64(0))
    last = fx.SCORE_HEAD + 2 * dims + 2 * parts
    out[line, last], out[line, last + 1] = cells.i32[row, model[SENT_OVERRIDE]], override
    cells.i32[row, model[SENT_OVERRIDE]] = override
    cells.i32[row, model[SENT_SCORE]] = score
    cells.u16[row, model[SENT_COVERAGE]] = coverage
    cells.u8[row, model[PRESENT_BAND]] = band


@kernel
def forget_sent(cells: Cells, plan: Plan, row: int, m: int) -> None:
    """Let what model ``m`` last sent be as before its first score change; whoever reads it now has not heard of it."""
    model = plan.models[m]
    cells.i32[row, model[SENT_SCORE]] = NONE
    cells.i32[row, model[SENT_OVERRIDE]] = NO_OVERRIDE
    cells.u8[row, model[PRESENT_BAND]] = INSUFFICIENT
    cells.u16[row, model[SENT_COVERAGE]] = 0
    for d in range(model[DIM_END] - model[DIM]):
        cells.i32[row, model[SENT_DIMS] + d] = NONE
    for c in range(model[PART_END] - model[PART]):
        cells.i32[row, model[SENT_PARTS] + c] = NONE


@kernel
def rescore(
    cells: Cells,
    plan: Plan,
    effects: Effects,
    row: int,
    m: int,
    event: int,
    cause: int,
    now: int,
    at: int,
    kind: int,
    was: int,
    fresh: bool,  # noqa: FBT001
) -> bool:
    """Score one model at ``now`` and note a material change as of ``at``; return whether a midnight may move the score.

    ``was`` is the band from which the present one is judged. ``fresh``: the model is new to the account, so whatever it says
    is material.
    """
    model = plan.models[m]
    score, band, coverage, present, moving = int64(NONE), int64(NOT_APPLICABLE), int64(0), int64(0), False
    evidence, override, sent_band = int64(NONE), int64(NO_OVERRIDE), int64(cells.u8[row, model[PRESENT_BAND]])
    if applies(cells, plan, row, m, kind, now):
        total, present, moving = weigh(cells, plan, row, m, now)
        coverage, band = half_up(1000 * present, model[DENOMINATOR]), int64(INSUFFICIENT)
        if has_evidence(plan, cells.parts, m, present):
            if model[MISSING] != SPREAD:
                total, present = weighted(plan, cells.parts, m)
            evidence = half_up(total, present)
        score, override = override_of(cells, plan, row, m, evidence, now)
    if score != NONE:
        points = cells.parts if override == NO_OVERRIDE else cells.judged
        band = int64(next_band(cells, plan, row, m, was, score, points, now))
    if m == 0 and plan.scalars[DAILY] != ABSENT:
        is_judged = model[GRID] == 0 and cause != fx.BY_JOIN  # cells of a grid have no order
        before = was if is_judged else band
        note_score(cells, plan, row, evidence, before, band, override != NO_OVERRIDE, now)
    if m == plan.scalars[VALUE_MODEL]:
        cells.parts[cells.parts.shape[0] - 1] = score
    sent = int64(cells.i32[row, model[SENT_SCORE]])
    far = NONE not in (score, sent) and abs(score - sent) >= model[MIN_CHANGE]
    if fresh:
        far = score != NONE or sent != NONE
    if far or band != sent_band:
        line = note(effects, fx.SCORE_CHANGE, row, event, cause, at)
        send_score(cells, plan, effects, line, row, m, score, band, coverage, evidence, override, present)
    return moving


@kernel
def evaluate(cells: Cells, plan: Plan, effects: Effects, row: int, event: int, cause: int, now: int) -> None:
    """Evaluate the account at ``now``: scores in the models' order, then the episode, then what is due next."""
    moving, kind = False, account_kind(cells, row, now)
    for m in range(plan.models.shape[0]):
        was = int64(cells.u8[row, plan.models[m, PRESENT_BAND]])
        moves = rescore(cells, plan, effects, row, m, event, cause, now, now, kind, was, False)  # noqa: FBT003
        moving = moving or moves
    reconsider(cells, plan, effects, row, event, cause, now)
    cells.due[row] = next_due(cells, plan, row, moving, now)
    cells.changed[row] |= EVALUATED
    cells.u8[row, VIEW_DUE] = 1


@kernel
def fire(
    cells: Cells,
    plan: Plan,
    effects: Effects,
    row: int,
    event: int,
    until: int,
    clock_ms: int,
    standing: bool,  # noqa: FBT001
    why: int,
) -> bool:
    """Fire the account's instants up to ``until``; False if the notebook filled up before the last one.

    ``standing``: they were due before the event at hand, so those that the clock had reached stand at themselves. ``why``:
    their cause, if it is not ``BY_ITSELF``.
    """
    while cells.due[row] <= until:
        if not room(effects, plan):
            return False
        now, told, day = int64(cells.due[row]), int64(effects.used[0]), int64(cells.u16[row, DAY])
        move_to(cells, plan, row, now)
        if cells.u16[row, DAY] > day and retires(cells, plan, row, now):
            end(cells, plan, effects, row, event, fx.BY_RETIREMENT, now)
            place(effects, told, clock_ms, standing)
            return True
        cause = fx.BY_EVIDENCE if expires_now(cells, row, now) else fx.BY_TIME
        cause = cause if why == fx.BY_ITSELF else why
        evaluate(cells, plan, effects, row, event, cause, now)
        place(effects, told, clock_ms, standing)
        is_day_of_writing = (int64(cells.u16[row, DAY]) + row) % WRITE_DAYS == 0
        is_last = cells.due[row] > now + LONGEST_DAY_MS
        if effects.used[0] > told or cells.changed[row] & STALE or is_day_of_writing or is_last:
            cells.changed[row] |= WRITTEN
        else:
            cells.changed[row] |= AHEAD
    return True


@entry
def sweep(
    cells: Cells,
    plan: Plan,
    effects: Effects,
    start: int,
    stop: int,
    rows_max: int,
    until: int,
    clock_ms: int,
    event: int,
    why: int,
) -> int:
    """Fire what is due up to ``until`` in rows from ``start`` on and before ``stop``, at most ``rows_max`` rows that are due.

    ``why``: see ``fire``.

    Returns:
        the row to go on from, or ``stop`` when the scan is complete.
    """
    cells, plan, effects = reference(cells), reference(plan), reference(effects)
    fired = 0
    for row in range(start, stop):
        if cells.due[row] <= until:
            if fired >= rows_max or not fire(cells, plan, effects, row, event, until, clock_ms, True, why):  # noqa: FBT003
                return row
            fired += 1
    return stop


@entry
def rearm(cells: Cells, plan: Plan, accounts: int) -> None:
    """Recompute what is derived after a load: the next due instant, of a stale row its next midnight at the latest."""
    cells, plan = reference(cells), reference(plan)
    for row in range(accounts):
        now, moving = int64(cells.i64[row, NOW]), bool(cells.changed[row] & STALE)
        if now == UNSET:
            continue
        for m in range(plan.models.shape[0]):
            if applies(cells, plan, row, m, account_kind(cells, row, now), now):
                moves = weigh(cells, plan, row, m, now)[2]
                moving = moving or moves
        cells.due[row] = next_due(cells, plan, row, moving, now)
        if now == plan.scalars[IN_FORCE_FROM]:
            cells.due[row] = now


@entry
def adopt(
    cells: Cells,
    plan: Plan,
    effects: Effects,
    start: int,
    accounts: int,
    rows_max: int,
    clock_ms: int,
    fresh: int,
    moved: int,
    event: int,
) -> int:
    """Let accounts whose time is before that of the policy in force adopt it, at most ``rows_max``, from row ``start`` on.

    Args:
        cells: the accounts.
        plan: what to compute.
        effects: the notebook.
        start: the row to begin with.
        accounts: how many there are.
        rows_max: how many adopt it at most.
        clock_ms: the clock as the policy took hold.
        fresh: a bit for each model that is new.
        moved: a bit for each model that went into shadow or out of it.
        event: index of the event before which the policy took hold.

    Returns:
        the row to go on from, or the number of rows when all have adopted it.
    """
    cells, plan, effects = reference(cells), reference(plan), reference(effects)
    since, adopted = plan.scalars[IN_FORCE_FROM], 0
    for row in range(start, accounts):
        if cells.i64[row, NOW] == UNSET or cells.i64[row, NOW] >= since:
            continue
        if adopted >= rows_max or not room(effects, plan):
            return row
        adopted += 1
        told = int64(effects.used[0])
        now = max(int64(cells.i64[row, NOW]), clock_ms)
        move_to(cells, plan, row, now)
        if fresh & 1 and plan.scalars[DAILY] != ABSENT:
            forget_scores(cells, plan, row)
        kind = account_kind(cells, row, now)
        for m in range(plan.models.shape[0]):
            is_fresh, was = (fresh >> m) & 1 == 1, int64(cells.u8[row, plan.models[m, PRESENT_BAND]])
            if (moved >> m) & 1 == 1:
                forget_sent(cells, plan, row, m)
            if is_fresh:
                was = int64(INSUFFICIENT)
                for axis in range(1 if plan.models[m, GRID] == 0 else 2):
                    cells.i64[row, plan.models[m, FELL_AT] + axis] = UNSET
            rescore(cells, plan, effects, row, m, event, fx.BY_MODEL, now, since, kind, was, is_fresh)
        adopt_episodes(cells, plan, effects, row, event, now, since)
        place(effects, told, clock_ms, False)  # noqa: FBT003
        move_to(cells, plan, row, since)
        cells.due[row] = since
        cells.changed[row] |= WRITTEN
    return accounts
