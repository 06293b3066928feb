"""A test of the tests: bugs planted into the core must show as differences from the auditor, and without them none."""

from __future__ import annotations

from typing import Any

import pytest

from streams import (
    active,
    apply,
    bands,
    conditions,
    days,
    decode,
    drop,
    due,
    kernel,
    memory,
    metrics,
    move,
    plan,
    rhythm,
    rules,
    score,
    slots,
    tiles,
    users,
    weeks,
)
from tests.auditor.planting import Bug, differs, only_uncompiled
from tests.planting import planted

pytestmark = only_uncompiled
FEW = range(7)

GOOD_SINCES = (
    "max(int64(cells.i64[row, plan.rules[r, SINCE_SLOT]]) for r in range(RULES)"
    " if (GOOD_NEWS >> r) & 1 and plan.rules[r, SINCE_SLOT] >= 0)"
)
BUGS = (
    # --- windows, counts, amounts
    Bug("a window is short of a tile", tiles.window, "last - first + 1", "last - first"),
    Bug(
        "an event counts for the day before",
        apply.apply_event,
        "mask, day)\n    if is_summed",
        "mask, day - 1)\n    if is_summed",
    ),
    Bug(
        "the half-life weight is that of the next age",
        tiles.decayed_sum,
        "weights + age",
        "weights + min(age + 1, window - 1)",
    ),
    Bug(
        "the newest currency is the account's",
        tiles.is_own_currency,
        "if cells.u16[row, slot] == 0:",
        "if True:",
    ),
    Bug("an amount without currency counts", tiles.is_own_currency, " or currency == 0", ""),
    Bug("the week begins on Sunday", weeks.week_of, "day + 3", "day + 4"),
    Bug("the mean goes over one week more", metrics.mean, "// 7", "// 7 + 1"),
    Bug("the first use of a feature is its last", apply.note_uses, "min(first, day)", "max(first, day)"),
    Bug(
        "who is a customer for long started before the first event",
        metrics.start_day,
        "max(told, int64(cells.u16[row, FIRST_DAY]))",
        "int64(cells.u16[row, FIRST_DAY]) if told == NO_VALUE else told",
    ),
    # --- users
    Bug("a bucket of users is never cleared", users.roll_users, "cells.u8[row, i] = 0", "pass", seed=8),
    Bug(
        "a late event makes a bucket older",
        users.mark_user,
        "(cell == 0 or age(cell, present) > present - day)",
        "True",
    ),
    Bug("the share of users ignores the seats", metrics.people, "seats >= 1000", "False"),
    Bug(
        "who has no id is a user",
        decode._fill_details,
        "if e.user_id else ABSENT",
        "if e.user_id is not None else ABSENT",
    ),
    # --- tickets and payments
    Bug("the newest ticket makes room", slots.lies_before, "at_i < at_j", "at_i > at_j"),
    Bug("a payment is late a day late", slots.is_late, "at <= now", "at + 86_400_000 <= now"),
    Bug(
        "a success does not cure a failed payment",
        slots.take_payment,
        " or (state in (WORSE, REVERSED) and at <= t)",
        "",
    ),
    Bug(
        "a ticket that is open is not escalated",
        slots.take_ticket,
        "elif escalates and state == PENDING",
        "elif False",
        seed=16,
    ),
    Bug(
        "an open ticket is never forgotten",
        slots.is_open,
        "and now < at_ms(cells, row, ids, slots, i) + FORGOTTEN_MS",
        "",
    ),
    Bug(
        "a dispute is no trouble",
        conditions.has_payment_trouble,
        "(PENDING, WORSE, REVERSED)",
        "(PENDING, WORSE)",
    ),
    Bug(
        "kinds of tickets are told by their last tag",
        decode.Decoder._masks,
        "masks[i] |= self._tags.get(tag, 0)",
        "masks[i] = self._kinds[kinds[i]] | self._tags.get(tag, 0)",
    ),
    # --- days, zones, rhythm
    Bug("midnight is a millisecond early", days.local_day, "(t + zones", "(t + 1 + zones"),
    Bug(
        "a told time zone is in force at once",
        move.move_to,
        "    if day <= int64(cells.u16[row, DAY]):\n        return\n",
        "",
    ),
    Bug("a late event moves the rhythm back", rhythm.note_activity, "if day > last:", "if day != last:"),
    Bug("a holiday is a working day", plan._calendar, "< DAYS]] = False", "< DAYS]] = True"),
    Bug(
        "a gap of hours is counted from the day before",
        rhythm.silent_units,
        "begin // HOUR_MS",
        "begin // HOUR_MS + 1",
    ),
    # --- points, scores, bands, facts
    Bug(
        "what is missing is 0",
        score.weigh,
        "int64(NONE) if x == NO_VALUE else curve(plan, c, x)",
        "curve(plan, c, 0 if x == NO_VALUE else x)",
    ),
    Bug("a score is rounded down", kernel.rescore, "half_up(total, present)", "total // present"),
    Bug(
        "points are rounded half to even",
        score.curve,
        "half_up(rise, anchors[i + 1, 0] - anchors[i, 0])",
        "round(int(rise) / int(anchors[i + 1, 0] - anchors[i, 0]))",
    ),
    Bug(
        "the last score sent is forgotten",
        kernel.send_score,
        "cells.i32[row, model[SENT_SCORE]] = score",
        "pass",
    ),
    Bug(
        "a cut belongs to the other side",
        bands.passed,
        "score > cut) if plan.bands[band, 1] else bool(score >= cut",
        "score >= cut) if plan.bands[band, 1] else bool(score > cut",
    ),
    Bug("a fact is read at its expiry", metrics.fact, "expires > now", "expires >= now"),
    Bug("an older fact wins", apply.apply_fact, "update[3] >= cells[slot, FACT_AT]", "True"),
    Bug(
        "an override is mixed into the contributions",
        score.override_of,
        "points, any_pinned = pin, True",
        "points, any_pinned, cells.parts[c] = pin, True, pin",
    ),
    Bug("an override never expires", score.pinned, "FACT_EXPIRES] <= now", "FACT_EXPIRES] == NO_VALUE"),
    # --- rules and episodes
    Bug(
        "a refractory time is forgotten",
        rules.join_and_leave,
        "now < since + plan.rules[rule, REFRACTORY]",
        "now < since",
    ),
    Bug(
        "opportunities share one refractory time",
        rules.join_and_leave,
        "since = int64(cells.i64[row, slot])",
        f"since = {GOOD_SINCES} if (GOOD_NEWS >> rule) & 1 else int64(cells.i64[row, slot])",
    ),
    Bug("severity is not raised at the edge of the renewal", rules.is_raised, "<= left <= ", "<= left < "),
    Bug(
        "an opportunity is raised, too",
        rules.join_and_leave,
        "severity_of(cells, plan, row, rule, False)",
        "severity_of(cells, plan, row, rule, raised)",
    ),
    Bug(
        "a fall is noted while the score is pinned",
        drop.note_score,
        " and not pinned and cells.u8[row, plan.scalars[OVERRIDDEN]] == 0",
        "",
    ),
    Bug(
        "a fall is noted when an override ends",
        drop.note_score,
        " and cells.u8[row, plan.scalars[OVERRIDDEN]] == 0",
        "",
    ),
    Bug(
        "the daily score is that of the day before",
        drop.note_score,
        "DAY]) % days] = hundredths",
        "DAY]) % days - 1] = hundredths",
    ),
    Bug(
        "a decline is tested without dispersion",
        active.is_declining,
        "max(variance / m0, float(plan.numbers[PHI_MIN]))",
        "1.0",
    ),
    Bug("a decline is over at once", active.is_declining, "if is_open:", "if False:"),
    Bug(
        "who was never silent returns",
        rhythm.note_activity,
        "if cells.u16[row, OPEN] & _SILENCES:",
        "if True:",
    ),
    Bug("a surge is one over nothing", conditions.is_surge, " and earlier > 0", ""),
    Bug("a second visit counts however soon", conditions.note_risk_visit, "t >= last + repeat_after", "True"),
    # --- timers and repeats
    Bug(
        "the end of a dwell is no instant",
        due.next_due,
        "due = sooner(due, fell_at + plan.models[m, DWELL], now)",
        "pass",
    ),
    Bug(
        "a renewal coming near is no instant",
        due.next_due,
        "due = due_day(cells, plan, row, due, renewal - plan.scalars[RENEWAL_DAYS], now)",
        "pass",
    ),
    Bug(
        "the end of a fall is no instant",
        due.next_due,
        "due = sooner(due, fall_end(cells, plan, row), now)",
        "pass",
    ),
    Bug("a ticket long open is no instant", due.cases_due, "sooner(due, at + unresolved, now)", "due"),
    Bug("a repeat is applied", memory.sift, "known = True", "pass"),
)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_shows(bug: Bug) -> None:
    with planted(bug):
        assert bug.shows()


def test_without_a_bug_nothing_shows() -> None:
    assert not any(differs(seed) for seed in FEW)


def test_an_account_that_is_evaluated_twice_at_an_instant_says_nothing_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evaluate = kernel.evaluate

    def again(*arguments: Any) -> None:
        evaluate(*arguments)
        evaluate(*arguments)

    monkeypatch.setattr(kernel, "evaluate", again)
    assert not any(differs(seed) for seed in FEW)
