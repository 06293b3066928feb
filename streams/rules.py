"""Rules of the episode: conditions, severities and quiet times, one function per idea."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from schemas.catalogue import CLOSED_KIND, DEFAULT_KIND, FACT_BY_NAME
from schemas.reasons import Rule
from streams.cells import FACT_EXPIRES, FACT_VALUE
from streams.compiled import int64, kernel
from streams.effects import (
    AT_ABSOLUTE_SILENT_FOR,
    AT_ADMIN,
    AT_GAPS_KNOWN,
    AT_LAST_VISIT,
    AT_PROBABILITY,
    AT_SILENT_FOR,
    AT_USUAL_GAP,
    AT_VISITS,
)  # fmt: skip
from streams.layout import (
    ABSOLUTE_SILENT_FOR,
    DAY,
    GAPS,
    GAPS_KNOWN,
    LAST_ACTIVE,
    LAST_ACTIVE_DAY,
    NEVER,
    OPEN,
    PROBABILITY,
    RISK_ADMIN,
    RISK_COUNT,
    RISK_LAST,
    SILENT_FOR,
    UNSET,
    USUAL_GAP,
)  # fmt: skip
from streams.plan import (
    LIMIT_DAYS,
    QUIET,
    REFRACTORY,
    REPEAT_AFTER,
    REPEATED_SEVERITY,
    RULE_SEVERITY,
    SINCE_SLOT,
)  # fmt: skip
from streams.rhythm import alarm_day, alarm_probability, usual_gap_days

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from streams.cells import Cells
    from streams.plan import Plan

SILENCE: Final = int(Rule.SILENCE)
ABSOLUTE_SILENCE: Final = int(Rule.ABSOLUTE_SILENCE)
RISK_PAGE: Final = int(Rule.RISK_PAGE)
RULES: Final = len(Rule)
NO_SEVERITY: Final = -1
CUSTOMER: Final = FACT_BY_NAME["kind"].values.index(DEFAULT_KIND)
CLOSED: Final = FACT_BY_NAME["kind"].values.index(CLOSED_KIND)
SECONDS_MAX: Final = (1 << 31) - 1


@kernel
def account_kind(cells: Cells, row: int, now: int) -> int:
    """Return the code of the account's kind at ``now``; an unknown kind is a customer."""
    if cells.facts[row, 0, FACT_EXPIRES] > now:
        return int64(cells.facts[row, 0, FACT_VALUE])
    return CUSTOMER


@kernel
def note_risk_visit(cells: Cells, plan: Plan, row: int, t: int, admin: int) -> None:
    """Take a visit at ``t`` to a cancel or refund page; ``admin`` is 1 for an administrator's."""
    quiet, repeat_after = plan.rules[RISK_PAGE, QUIET], plan.rules[RISK_PAGE, REPEAT_AFTER]
    last = int64(cells.i64[row, RISK_LAST])
    if last == UNSET or t >= last + quiet:
        cells.u16[row, RISK_COUNT], cells.u8[row, RISK_ADMIN], cells.i64[row, RISK_LAST] = 1, admin, t
        return
    if t + quiet <= last:
        return
    if t >= last + repeat_after:
        cells.u16[row, RISK_COUNT] = min(int64(cells.u16[row, RISK_COUNT]) + 1, 65_535)
    cells.u8[row, RISK_ADMIN] = max(int64(cells.u8[row, RISK_ADMIN]), admin)
    cells.i64[row, RISK_LAST] = max(last, t)


@kernel
def silence_day(cells: Cells, plan: Plan, row: int, rule: int) -> int:
    """Return the first local day on which the silence of ``rule`` is too long, or ``NEVER`` if it never was active."""
    last = int64(cells.u16[row, LAST_ACTIVE_DAY])
    if last == NEVER:
        return int64(NEVER)
    return alarm_day(cells, plan, row) if rule == SILENCE else last + plan.rules[rule, LIMIT_DAYS] + 1


@kernel
def judge(cells: Cells, plan: Plan, row: int, rule: int, now: int) -> int:
    """Return the severity with which ``rule`` holds at ``now``, or ``NO_SEVERITY``."""
    if rule == RISK_PAGE:
        last = int64(cells.i64[row, RISK_LAST])
        if last == UNSET or now >= last + plan.rules[rule, QUIET]:
            return int64(NO_SEVERITY)
        repeated = cells.u16[row, RISK_COUNT] >= 2 or cells.u8[row, RISK_ADMIN] == 1
        return int64(plan.rules[rule, REPEATED_SEVERITY] if repeated else plan.rules[rule, RULE_SEVERITY])
    first = silence_day(cells, plan, row, rule)
    if first == NEVER or int64(cells.u16[row, DAY]) < first:
        return int64(NO_SEVERITY)
    return int64(plan.rules[rule, RULE_SEVERITY])


@kernel
def keep_evidence(cells: Cells, plan: Plan, row: int, rule: int, now: int) -> None:
    """Write down what a silence rests on, at the instant its reason joins."""
    silent_for_s = min((now - cells.i64[row, LAST_ACTIVE]) // 1000, SECONDS_MAX)
    if rule == ABSOLUTE_SILENCE:
        cells.i32[row, ABSOLUTE_SILENT_FOR] = silent_for_s
    elif rule == SILENCE:
        cells.i32[row, SILENT_FOR] = silent_for_s
        gap_s = math.floor(86400.0 * usual_gap_days(cells, plan, row) + 0.5)
        cells.i32[row, USUAL_GAP] = int64(min(gap_s, SECONDS_MAX))
        cells.u16[row, GAPS_KNOWN] = cells.u16[row, GAPS]
        cells.i32[row, PROBABILITY] = int64(math.floor(1e9 * alarm_probability(cells, plan, row) + 0.5))


@kernel
def join_and_leave(cells: Cells, plan: Plan, row: int, now: int) -> tuple[int, int]:
    """Judge every rule at ``now``: reasons leave whose condition is gone, and join where it holds.

    Returns:
        the mask of open reasons, and the highest severity among them (``NO_SEVERITY`` for none).
    """
    before = int64(cells.u16[row, OPEN])
    after, highest = int64(0), int64(NO_SEVERITY)
    closed = account_kind(cells, row, now) == CLOSED
    for rule in range(RULES):
        slot = plan.rules[rule, SINCE_SLOT]
        if slot < 0 or closed:
            continue
        severity = judge(cells, plan, row, rule, now)
        if severity == NO_SEVERITY:
            continue
        if not (before >> rule) & 1:
            since = int64(cells.i64[row, slot])
            if since != UNSET and now < since + plan.rules[rule, REFRACTORY]:
                continue
            cells.i64[row, slot] = now
            keep_evidence(cells, plan, row, rule, now)
        after |= 1 << rule
        highest = max(highest, severity)
    cells.u16[row, OPEN] = after
    return after, highest


@kernel
def gather_evidence(cells: Cells, row: int, out: npt.NDArray[np.int64]) -> None:
    """Put the evidence of all rules into ``out``, (``EVIDENCE_CELLS``,) int64 or longer."""
    out[AT_SILENT_FOR] = cells.i32[row, SILENT_FOR]
    out[AT_USUAL_GAP] = cells.i32[row, USUAL_GAP]
    out[AT_GAPS_KNOWN] = cells.u16[row, GAPS_KNOWN]
    out[AT_PROBABILITY] = cells.i32[row, PROBABILITY]
    out[AT_ABSOLUTE_SILENT_FOR] = cells.i32[row, ABSOLUTE_SILENT_FOR]
    out[AT_VISITS] = cells.u16[row, RISK_COUNT]
    out[AT_LAST_VISIT] = cells.i64[row, RISK_LAST]
    out[AT_ADMIN] = cells.u8[row, RISK_ADMIN]
