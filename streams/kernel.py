"""The sequence of an account's life: fire what is due, apply the event, evaluate, set what is due next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.catalogue import ACTIVITY_BIT, ADMIN_BIT, KEY_FEATURE_BIT, RISK_BIT, EventKind
from schemas.reasons import Rule
from streams import effects as fx
from streams.active import note_active_day, roll_active
from streams.bands import next_band
from streams.cells import (
    AMOUNT_LEFT_OUT,
    FACT_AT,
    FACT_EXPIRES,
    FACT_VALUE,
    LATE_FOR_RHYTHM,
    NO_FACT,
    TOO_LATE,
)  # fmt: skip
from streams.clock import NEVER_MS, move_clock
from streams.compiled import entry, int64, kernel
from streams.days import local_day, start_of_day
from streams.drop import note_score, roll_daily
from streams.due import next_due, told_zone
from streams.events import (
    EVENT_AMOUNT,
    EVENT_DETAIL,
    EVENT_DUE,
    EVENT_INPUT,
    EVENT_KEY,
    EVENT_KIND,
    EVENT_MASK,
    EVENT_ROW,
    EVENT_THING,
    EVENT_TIME,
    EVENT_USER,
)  # fmt: skip
from streams.layout import (
    ABSENT,
    DAY,
    EPISODE,
    EPISODE_SINCE,
    FIRST_DAY,
    LAST_EVENT_DAY,
    NEVER,
    NO_OVERRIDE,
    NONE,
    NOW,
    OPEN,
    PAYMENTS,
    SEVERITY,
    TICKETS,
    UNSET,
    ZONE,
)  # fmt: skip
from streams.metrics import half_up
from streams.plan import (
    ACTIVE,
    CHANGE,
    DAILY,
    DENOMINATOR,
    DIM,
    DIM_END,
    FELL_AT,
    FIRST_BAND,
    GRACE_MS,
    KEY_FEATURE_COUNT,
    KEY_FEATURES,
    KINDS,
    MIN_CHANGE,
    MIN_COVERAGE,
    PART,
    PART_END,
    PAYMENT_IDS,
    PAYMENT_STATES,
    PRESENT_BAND,
    SENT_COVERAGE,
    SENT_DIMS,
    SENT_OVERRIDE,
    SENT_PARTS,
    SENT_SCORE,
    SINCE_SLOT,
    TICKET_IDS,
    TICKET_STATES,
    USERS,
    WEEK_COUNT,
)  # fmt: skip
from streams.rhythm import note_activity
from streams.rules import (
    CLOSED,
    GOOD_NEWS,
    RULES,
    account_kind,
    gather_evidence,
    join_and_leave,
    note_risk_visit,
)  # fmt: skip
from streams.score import contributions, dimension, override_of, weigh
from streams.slots import NO_HOURS, take_payment, take_ticket
from streams.tiles import add_amount, count_event, is_own_currency, is_summed, roll_tiles
from streams.users import mark_user, roll_users
from streams.weeks import CSAT, RESOLVE_HOURS, measure, roll_weeks

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from streams.cells import Cells
    from streams.clock import Clock
    from streams.effects import Effects
    from streams.plan import Plan

INSUFFICIENT, NOT_APPLICABLE = 0, 1
FIRST_TICKET_KIND, LAST_TICKET_KIND = int(EventKind.TICKET_OPENED), int(EventKind.TICKET_OTHER)
FIRST_PAYMENT_KIND: Final = int(EventKind.PAYMENT_DUE)
FACT_UPDATE_COLUMNS: Final = 5
"""Columns of a fact update: index of its event in the batch, fact slot (an override's target behind the facts), value
(``NO_FACT`` deletes), time, expiry."""
RISK_PAGE: Final = int(Rule.RISK_PAGE)


@kernel
def room(effects: Effects, plan: Plan) -> bool:
    """Return whether the notebook has room for the effects of one evaluation."""
    return bool(effects.used[0] + plan.models.shape[0] + 2 <= effects.table.shape[0])


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
        out[line, fx.SCORE_HEAD + 2 * dims + c] = cells.i32[row, model[SENT_PARTS] + c]
        out[line, fx.SCORE_HEAD + 2 * dims + parts + c] = value
        cells.i32[row, model[SENT_PARTS] + c] = value
    last = fx.SCORE_HEAD + 2 * dims + 2 * parts
    out[line, last], out[line, last + 1] = cells.i32[row, model[SENT_OVERRIDE]], override
    cells.i32[row, model[SENT_OVERRIDE]] = override
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
    evidence, override, was = int64(NONE), int64(NO_OVERRIDE), int64(cells.u8[row, model[PRESENT_BAND]])
    if (model[KINDS] >> kind) & 1:
        total, present, moving = weigh(cells, plan, row, m, now)
        coverage, band = half_up(1000 * present, model[DENOMINATOR]), int64(INSUFFICIENT)
        if present > 0 and 1000 * present >= model[MIN_COVERAGE] * model[DENOMINATOR]:
            evidence = half_up(total, present)
        score, override = override_of(cells, plan, row, m, evidence, now)
    if score != NONE:
        band = int64(next_band(plan, m, was, score, cells.i64[row, model[FELL_AT]], now))
        if FIRST_BAND <= band < was:
            cells.i64[row, model[FELL_AT]] = now
    if m == 0 and plan.scalars[DAILY] != ABSENT:
        note_score(cells, plan, row, evidence, was, band, override != NO_OVERRIDE, now)
    sent = int64(cells.i32[row, model[SENT_SCORE]])
    far = NONE not in (score, sent) and abs(score - sent) >= model[MIN_CHANGE]
    if far or band != was:
        line = note(effects, fx.SCORE_CHANGE, row, event, cause, now)
        send_score(cells, plan, effects, line, row, m, score, band, coverage, evidence, override, present)
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
    story: int,
    status: int,
    reasons: int,
) -> None:
    """Note a message of an episode (``story`` 0 of disengagement, 1 of opportunity) with all that its text needs."""
    out = effects.table
    line = note(effects, fx.DISENGAGEMENT + story, row, event, cause, now)
    out[line, fx.STATUS] = status
    out[line, fx.SEVERITY] = cells.u8[row, SEVERITY + story]
    out[line, fx.EPISODE_ORDINAL] = cells.i32[row, EPISODE + story]
    out[line, fx.SINCE] = cells.i64[row, EPISODE_SINCE + story]
    out[line, fx.REASONS] = reasons
    out[line, fx.EPISODE_CLOSED] = account_kind(cells, row, now) == CLOSED
    for rule in range(RULES):
        slot = plan.rules[rule, SINCE_SLOT]
        out[line, fx.RULE_SINCE + rule] = cells.i64[row, slot] if slot >= 0 else UNSET
    gather_evidence(cells, plan, row, reasons, now, out[line, fx.EVIDENCE :])


@kernel
def tell(
    cells: Cells,
    plan: Plan,
    effects: Effects,
    row: int,
    event: int,
    cause: int,
    now: int,
    story: int,
    before: int,
    after: int,
    highest: int,
) -> None:
    """Open, raise or end an episode whose open reasons were ``before`` and are ``after``, at most ``highest`` severe."""
    if before == 0 and after != 0:
        cells.i64[row, EPISODE_SINCE + story] = now
        cells.i32[row, EPISODE + story] += 1
        cells.u8[row, SEVERITY + story] = highest
        send_episode(cells, plan, effects, row, event, cause, now, story, fx.FIRING, after)
    elif after != 0 and highest > int64(cells.u8[row, SEVERITY + story]):
        cells.u8[row, SEVERITY + story] = highest
        send_episode(cells, plan, effects, row, event, cause, now, story, fx.ESCALATED, after)
    elif before != 0 and after == 0:
        send_episode(cells, plan, effects, row, event, cause, now, story, fx.RESOLVED, before)


@kernel
def reconsider(
    cells: Cells, plan: Plan, effects: Effects, row: int, event: int, cause: int, now: int
) -> None:
    """Judge the account's two episodes at ``now``."""
    before = int64(cells.u16[row, OPEN])
    after, bad, good = join_and_leave(cells, plan, row, now)
    mask = int64(GOOD_NEWS)
    tell(cells, plan, effects, row, event, cause, now, 0, before & ~mask, after & ~mask, bad)
    tell(cells, plan, effects, row, event, cause, now, 1, before & mask, after & mask, good)


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
    block = int64(cells.block[row])
    if block >= 0:
        for target in range(cells.overrides.shape[1]):
            if cells.overrides[block, target, FACT_EXPIRES] == now:
                return True
    return False


@kernel
def roll(cells: Cells, plan: Plan, row: int, day: int) -> None:
    """Make ``day`` the row's present day: clear what belongs to the days between. A day never goes back."""
    present = int64(cells.u16[row, DAY])
    if day <= present:
        return
    roll_tiles(cells, plan, row, present, day)
    roll_weeks(cells, plan, row, present, day)
    if plan.scalars[ACTIVE] != ABSENT:
        roll_active(cells, plan, row, present, day)
    if plan.scalars[USERS] != ABSENT:
        roll_users(cells, plan, row, present, day)
    if plan.scalars[DAILY] != ABSENT:
        roll_daily(cells, plan, row, present, day)
    cells.u16[row, DAY] = day


@kernel
def move_to(cells: Cells, plan: Plan, row: int, now: int) -> None:
    """Move the account's time to ``now``; on a new day the zone that was told last comes into force."""
    cells.i64[row, NOW] = now
    zone = int64(cells.zone[row])
    day = local_day(plan.zones, zone, now)
    if day <= int64(cells.u16[row, DAY]):
        return
    roll(cells, plan, row, day)
    told = told_zone(cells, row, now)
    if told != zone:
        cells.zone[row], cells.i32[row, ZONE] = told, plan.zones.codes[told]
        roll(cells, plan, row, local_day(plan.zones, told, now))


@kernel
def fire(cells: Cells, plan: Plan, effects: Effects, row: int, event: int, until: int) -> bool:
    """Fire the account's instants up to ``until``; False if the notebook filled up before the last one."""
    while cells.due[row] <= until:
        if not room(effects, plan):
            return False
        now = int64(cells.due[row])
        move_to(cells, plan, row, now)
        cause = fx.BY_EVIDENCE if expires_now(cells, row, now) else fx.BY_TIME
        evaluate(cells, plan, effects, row, event, cause, now)
    return True


@kernel
def apply_event(cells: Cells, plan: Plan, row: int, event: npt.NDArray[np.int64]) -> None:
    """Fold one event (its columns) into the state."""
    mask, t = event[EVENT_MASK], event[EVENT_TIME]
    day = local_day(plan.zones, int64(cells.zone[row]), t)
    first = int64(cells.u16[row, FIRST_DAY])
    if first == NEVER or day < first:
        cells.u16[row, FIRST_DAY] = day
    cells.u16[row, LAST_EVENT_DAY] = max(int64(cells.u16[row, LAST_EVENT_DAY]), day)
    kept = count_event(cells, plan, row, mask, day)
    if is_summed(plan, mask):
        amount = event[EVENT_AMOUNT]
        if is_own_currency(cells, plan, row, amount, event[EVENT_DETAIL]):
            added = add_amount(cells, plan, row, mask, day, amount)
            kept = kept and added
        else:
            cells.notes[AMOUNT_LEFT_OUT] += 1
    if not kept:
        cells.notes[TOO_LATE] += 1
    if (mask >> ACTIVITY_BIT) & 1:
        if not note_activity(cells, plan, row, day, t):
            cells.notes[LATE_FOR_RHYTHM] += 1
        if plan.scalars[ACTIVE] != ABSENT:
            note_active_day(cells, plan, row, day)
        if plan.scalars[USERS] != ABSENT and event[EVENT_USER] >= 0:
            mark_user(cells, plan, row, event[EVENT_USER], day)
    if (mask >> RISK_BIT) & 1 and plan.rules[RISK_PAGE, SINCE_SLOT] >= 0:
        note_risk_visit(cells, plan, row, t, (mask >> ADMIN_BIT) & 1)
    apply_case(cells, plan, row, event, day)
    if plan.scalars[KEY_FEATURES] != ABSENT and mask >> KEY_FEATURE_BIT:
        note_uses(cells, plan, row, mask >> KEY_FEATURE_BIT, day)


@kernel
def apply_case(cells: Cells, plan: Plan, row: int, event: npt.NDArray[np.int64], day: int) -> None:
    """Fold what an event says of a ticket or a payment into the state."""
    kind, t = event[EVENT_KIND], event[EVENT_TIME]
    ids, states = plan.scalars[TICKET_IDS], plan.scalars[TICKET_STATES]
    if FIRST_TICKET_KIND <= kind <= LAST_TICKET_KIND:
        if ids != ABSENT:
            hours = take_ticket(cells, row, ids, states, TICKETS, kind, event[EVENT_THING], t)
            if hours != NO_HOURS and plan.weeks[RESOLVE_HOURS, WEEK_COUNT] > 0:
                measure(cells, plan, row, RESOLVE_HOURS, day, hours)
        if event[EVENT_DETAIL] > 0 and plan.weeks[CSAT, WEEK_COUNT] > 0:
            measure(cells, plan, row, CSAT, day, event[EVENT_DETAIL])
    elif kind >= FIRST_PAYMENT_KIND and plan.scalars[PAYMENT_IDS] != ABSENT:
        ids, states = plan.scalars[PAYMENT_IDS], plan.scalars[PAYMENT_STATES]
        due = t if event[EVENT_DUE] == ABSENT else event[EVENT_DUE]
        take_payment(cells, row, ids, states, PAYMENTS, kind, event[EVENT_THING], t, due)


@kernel
def note_uses(cells: Cells, plan: Plan, row: int, bits: int, day: int) -> None:
    """Take a use of the key features in ``bits`` on ``day``."""
    features, slot = plan.scalars[KEY_FEATURE_COUNT], plan.scalars[KEY_FEATURES]
    for k in range(features):
        if (bits >> k) & 1:
            first = int64(cells.u16[row, slot + k])
            cells.u16[row, slot + k] = day if first == NEVER else min(first, day)
            last = slot + features + k
            cells.u16[row, last] = max(int64(cells.u16[row, last]), day)


@kernel
def apply_facts(cells: Cells, row: int, updates: npt.NDArray[np.int64], event: int, cursor: int) -> int:
    """Apply the fact updates of one event from ``cursor`` on; the newest time wins, of equal ones the later."""
    facts = cells.facts.shape[1]
    while cursor < updates.shape[0] and updates[cursor, 0] == event:
        slot = updates[cursor, 1]
        if slot < facts:
            apply_fact(cells.facts[row], slot, updates[cursor])
        else:
            apply_fact(cells.overrides[cells.block[row]], slot - facts, updates[cursor])
        cursor += 1
    return cursor


@kernel
def apply_fact(cells: npt.NDArray[np.int64], slot: int, update: npt.NDArray[np.int64]) -> None:
    """Apply one update to the facts or overrides of an account, (slots, 3) int64."""
    if update[3] >= cells[slot, FACT_AT]:
        cells[slot, FACT_VALUE], cells[slot, FACT_AT] = update[2], update[3]
        cells[slot, FACT_EXPIRES] = NO_FACT if update[2] == NO_FACT else update[4]


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
        updates: (updates, FACT_UPDATE_COLUMNS) int64, in the order of their events.
        cursors: (2,) int64, next event and next update; moved forward.
    """
    grace_ms = plan.scalars[GRACE_MS]
    today, tomorrow = int64(NEVER_MS), int64(NEVER_MS)
    while cursors[0] < events.shape[0]:
        event = int64(cursors[0])
        row, t, clock_ms = events[event, EVENT_ROW], events[event, EVENT_TIME], int64(clock.now_ms[0])
        if clock_ms >= tomorrow:
            day = local_day(plan.zones, 0, clock_ms)
            today, tomorrow = start_of_day(plan.zones, 0, day), start_of_day(plan.zones, 0, day + 1)
        if row >= 0:
            if not fire(cells, plan, effects, row, event, max(t, clock_ms)) or not room(effects, plan):
                return
            zone, begin = int64(cells.zone[row]), today
            if zone != 0 and clock_ms > NEVER_MS:
                begin = start_of_day(plan.zones, zone, local_day(plan.zones, zone, clock_ms))
            move_to(cells, plan, row, max(int64(cells.i64[row, NOW]), t, begin))
            now = int64(cells.i64[row, NOW])
            apply_event(cells, plan, row, events[event])
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
        now, moving = int64(cells.i64[row, NOW]), False
        if now == UNSET:
            continue
        for m in range(plan.models.shape[0]):
            if (plan.models[m, KINDS] >> account_kind(cells, row, now)) & 1:
                moves = weigh(cells, plan, row, m, now)[2]
                moving = moving or moves
        cells.due[row] = next_due(cells, plan, row, moving, now)
