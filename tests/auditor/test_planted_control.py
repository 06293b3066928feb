"""A test of the tests of control records: bugs planted into the core must show in histories in which these are at work."""

from __future__ import annotations

import pytest

from streams import control, ending, episodes, fold, muting, slots, succession
from tests.auditor import edges, test_merged, test_muted
from tests.auditor.planting import Bug, differs, only_uncompiled
from tests.planting import planted

pytestmark = only_uncompiled


def muted(seed: int) -> edges.Case:
    """Return a history in which alerts are muted."""
    return test_muted.muted(seed).case


def merged(seed: int) -> edges.Case:
    """Return a history in which accounts are merged."""
    return test_merged.merged(seed).case


BUGS = (
    # --- muted alerts
    Bug(
        "alerts are muted at the very instant of the resume", muting.is_muted, "<= now <", "<= now <=", muted
    ),
    Bug(
        "the end of a pause is no instant",
        muting.told_at,
        "due = min(due, int64(plan.mutes[i, MUTE_END]))",
        "pass",
        muted,
    ),
    Bug(
        "a resume ends the last pause alone",
        control.Control._muting,
        "(*inside, entry)",
        "(*inside[-1:], entry)",
        muted,
    ),
    Bug(
        "a rise while alerts are muted is told to nobody",
        episodes.tell,
        "elif held == HELD_ESCALATED:",
        "elif False:",
        muted,
    ),
    Bug(
        "a rise while alerts are muted is told as firing",
        episodes.tell,
        "HELD_FIRING if status == fx.FIRING else HELD_ESCALATED",
        "HELD_FIRING",
        muted,
    ),
    Bug(
        "the end is told of what nobody heard of",
        episodes.tell,
        "if held in (NOTHING, HELD_ESCALATED):",
        "if True:",
        muted,
    ),
    Bug(
        "an account that ends tells of episodes that nobody heard of",
        ending.end,
        "int64(cells.u8[row, HELD + story]) in (NOTHING, HELD_ESCALATED)",
        "True",
        muted,
    ),
    Bug(
        "a late record counts from the past",
        control.Control.take,
        "max(said_ms, reached_ms + 1)",
        "said_ms",
        muted,
    ),
    Bug(
        "what counts is withdrawn",
        control.Control.take,
        "pending.at_ms > reached_ms and ",
        "",
        muted,
        seed=20,
    ),
    # --- merges
    Bug(
        "what is late of who was merged begins it anew",
        succession.depart,
        "max(int64(cells.erased[row]), at), 1",
        "at - 86_400_000, 1",
        merged,
    ),
    Bug("who was merged counts as erased", succession.depart, "at), 1", "at), 0", merged),
    Bug(
        "nobody comes back under the id of who was merged",
        succession.join_account,
        " and not accounts.erased.is_merged(key)",
        "",
        merged,
    ),
    Bug(
        "who was erased is brought back by a join",
        succession.join_account,
        "at_ms <= accounts.erased.until(key)",
        "False",
        merged,
        seed=18,
    ),
    Bug(
        "a change of name alone alerts",
        succession.begin_as,
        "QUIET if held in (NOTHING, QUIET) else HELD_FIRING",
        "HELD_FIRING",
        merged,
    ),
    Bug(
        "a change of name alone ends what is held",
        succession.begin_as,
        "QUIET if held in (NOTHING, QUIET) else HELD_FIRING",
        "QUIET",
        merged,
    ),
    Bug(
        "ordinals go on from those of the other one",
        succession.begin_as,
        "max(int64(cells.i32[row, change]), at // 1000 - ORDINAL_BASE_S)",
        "cells.i32[row, change]",
        merged,
    ),
    Bug(
        "of facts the older counts",
        succession.join_account,
        "fact[1] > known[name][1]",
        "fact[1] < known[name][1]",
        merged,
    ),
    Bug(
        "the zone and kind are the other's",
        succession.join_account,
        "name not in OWN_FACTS and ",
        "",
        merged,
        seed=10,
    ),
    Bug(
        "the other's counts are left behind",
        fold.fold_counts,
        " + int64(others.u16[other, offset + source])",
        "",
        merged,
    ),
    Bug(
        "the gaps of two accounts add",
        fold.fold_rhythm,
        "count, total, gaps = 0.0, 0.0, int64(0)",
        "count, total, gaps = 0.0, 0.0, int64(others.u16[other, GAPS])",
        merged,
    ),
    Bug(
        "gaps are those of who has fewer",
        fold.fold_rhythm,
        "others.u16[other, GAPS] > cells.u16[row, GAPS]",
        "others.u16[other, GAPS] < cells.u16[row, GAPS]",
        merged,
    ),
    Bug(
        "the last visit to a risk page is that of the own account",
        fold.fold_risk,
        "= max(mine, theirs)",
        "= mine",
        merged,
        seed=13,
    ),
    Bug(
        "what was told of the other one lately is told again",
        fold.fold,
        "max(cells.i64[row, slot], others.i64[other, slot])",
        "cells.i64[row, slot]",
        merged,
    ),
    Bug(
        "a slot that made room is taken again as it was before",
        slots.unite,
        " or shared >> j & 1",
        "",
        merged,
    ),
    Bug(
        "the older state of a ticket counts",
        slots.unite,
        "others.i32[other, ids + slots + j] > cells",
        "others.i32[other, ids + slots + j] < cells",
        merged,
    ),
    Bug(
        "a join comes as late as the grace alone",
        succession.join_delay_ms,
        "policy.grace_s + policy.max_future_skew_s",
        "policy.grace_s",
        merged,
    ),
)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_shows(bug: Bug) -> None:
    with planted(bug):
        assert bug.shows()


def test_without_a_bug_nothing_shows() -> None:
    assert not any(differs(seed, case) for seed in range(4) for case in (muted, merged))
