"""The two episodes of an account: they open, rise and end, and what of it is sent while alerts are muted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams import effects as fx
from streams.cells import FOREVER
from streams.compiled import int64, kernel
from streams.conditions import CLOSED, GOOD_NEWS, RULES, account_kind
from streams.effects import note
from streams.evidence import gather_evidence
from streams.layout import (
    ABSENT,
    EPISODE,
    EPISODE_SINCE,
    HELD,
    HELD_ESCALATED,
    HELD_FIRING,
    NONE,
    NOTHING,
    OPEN,
    QUIET,
    SEVERITY,
    UNSET,
)  # fmt: skip
from streams.muting import is_muted
from streams.plan import SINCE_SLOT, VALUE_MODEL
from streams.rules import join_and_leave

if TYPE_CHECKING:
    from streams.cells import Cells
    from streams.effects import Effects
    from streams.plan import Plan

NO_MESSAGE = -1


@kernel
def send_episode(
    cells: Cells,
    plan: Plan,
    effects: Effects,
    row: int,
    event: int,
    cause: int,
    now: int,
    at: int,
    story: int,
    status: int,
    reasons: int,
) -> None:
    """Note a message of an episode, judged at ``now`` and told as of ``at``, with all that its text needs.

    ``story`` is 0 of disengagement, 1 of opportunity.
    """
    out = effects.table
    line = note(effects, fx.DISENGAGEMENT + story, row, event, cause, at)
    out[line, fx.STATUS] = status
    out[line, fx.SEVERITY] = cells.u8[row, SEVERITY + story]
    out[line, fx.EPISODE_ORDINAL] = cells.i32[row, EPISODE + story]
    out[line, fx.SINCE] = cells.i64[row, EPISODE_SINCE + story]
    out[line, fx.REASONS] = reasons
    value = cells.parts[cells.parts.shape[0] - 1]
    out[line, fx.VALUE] = value if plan.scalars[VALUE_MODEL] != ABSENT else int64(NONE)
    out[line, fx.UNMUTED] = cells.u8[row, HELD + story] == HELD_FIRING
    out[line, fx.EPISODE_CLOSED] = account_kind(cells, row, now) == CLOSED
    for rule in range(RULES):
        slot = plan.rules[rule, SINCE_SLOT]
        out[line, fx.RULE_SINCE + rule] = cells.i64[row, slot] if slot >= 0 else UNSET
    gather_evidence(cells, plan, row, reasons, now, out[line, fx.EVIDENCE :])


@kernel
def happening(cells: Cells, plan: Plan, row: int, story: int, before: int, after: int, highest: int) -> int:
    """Open or raise an episode whose open reasons were ``before`` and are ``after``, at most ``highest`` severe.

    Returns:
        the status of the message that is due if nothing is held, or ``NO_MESSAGE``.
    """
    if after == 0:
        return int64(fx.RESOLVED if before != 0 else NO_MESSAGE)
    if before == 0:
        since = int64(FOREVER)
        for rule in range(RULES):
            if (after >> rule) & 1:  # one that waited is as old as it is
                since = min(since, int64(cells.i64[row, plan.rules[rule, SINCE_SLOT]]))
        cells.i64[row, EPISODE_SINCE + story] = since
        cells.i32[row, EPISODE + story] += 1
        cells.u8[row, SEVERITY + story] = highest
        return int64(fx.FIRING)
    if highest > int64(cells.u8[row, SEVERITY + story]):
        cells.u8[row, SEVERITY + story] = highest
        return int64(fx.ESCALATED)
    return int64(NO_MESSAGE)


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
    """Judge an episode whose open reasons were ``before`` and are ``after``: send what is due, or hold it back."""
    status, held = (
        happening(cells, plan, row, story, before, after, highest),
        int64(cells.u8[row, HELD + story]),
    )
    if status == NO_MESSAGE and held == NOTHING:
        return
    if status == fx.RESOLVED:
        cells.u8[row, HELD + story] = NOTHING
        if held in (NOTHING, HELD_ESCALATED):
            send_episode(cells, plan, effects, row, event, cause, now, now, story, status, before)
        return
    if held == HELD_FIRING or (held == QUIET and (status != NO_MESSAGE or after & ~before != 0)):
        status = int64(fx.FIRING)
    elif held == HELD_ESCALATED:
        status = int64(fx.ESCALATED)
    if status == NO_MESSAGE:
        return
    if is_muted(plan, now):
        cells.u8[row, HELD + story] = HELD_FIRING if status == fx.FIRING else HELD_ESCALATED
    else:
        send_episode(cells, plan, effects, row, event, cause, now, now, story, status, after)
        cells.u8[row, HELD + story] = NOTHING


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
def adopt_episode(
    cells: Cells,
    plan: Plan,
    effects: Effects,
    row: int,
    event: int,
    now: int,
    at: int,
    story: int,
    before: int,
    after: int,
    highest: int,
) -> None:
    """Judge an episode under a policy that takes hold: what the change alone makes of it is told only if it ends."""
    status, held = (
        happening(cells, plan, row, story, before, after, highest),
        int64(cells.u8[row, HELD + story]),
    )
    if status == fx.FIRING:
        cells.u8[row, HELD + story] = QUIET
    elif status == fx.RESOLVED:
        cells.u8[row, HELD + story] = NOTHING
        if held in (NOTHING, HELD_ESCALATED):
            send_episode(cells, plan, effects, row, event, fx.BY_MODEL, now, at, story, status, before)


@kernel
def adopt_episodes(
    cells: Cells, plan: Plan, effects: Effects, row: int, event: int, now: int, at: int
) -> None:
    """Judge both episodes at ``now`` under a policy that takes hold at ``at``."""
    before = int64(cells.u16[row, OPEN])
    after, bad, good = join_and_leave(cells, plan, row, now)
    mask = int64(GOOD_NEWS)
    adopt_episode(cells, plan, effects, row, event, now, at, 0, before & ~mask, after & ~mask, bad)
    adopt_episode(cells, plan, effects, row, event, now, at, 1, before & mask, after & mask, good)
