"""Rules of the two episodes: conditions, severities and quiet times, one function per idea."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from schemas.catalogue import CLOSED_KIND, DEFAULT_KIND, FACT_BY_NAME
from schemas.reasons import OPPORTUNITIES, Rule, Severity
from streams import effects as fx
from streams.active import active_days, active_weeks, is_declining
from streams.cells import FACT_EXPIRES, FACT_VALUE
from streams.compiled import int64, kernel
from streams.days import DAY_MS
from streams.drop import has_fallen, is_dropping, points_lost, present_band
from streams.layout import (
    ABSENT,
    ABSOLUTE_SILENT_FOR,
    DAY,
    FELL_FROM,
    GAPS,
    GAPS_KNOWN,
    LAST_ACTIVE,
    LAST_ACTIVE_DAY,
    NEVER,
    OPEN,
    PAYMENTS,
    PROBABILITY,
    RETURNED_DAY,
    RISK_ADMIN,
    RISK_COUNT,
    RISK_LAST,
    SILENT_DAYS,
    SILENT_FOR,
    SPIKE_DAYS,
    TICKETS,
    UNSET,
    USUAL_GAP,
)  # fmt: skip
from streams.metrics import NO_VALUE, age_days, fact, half_up, start_day
from streams.plan import (
    ARR_FACT,
    ARR_FROM,
    AT_LEAST,
    BASELINE,
    HOUR_MS,
    HOURLY,
    LIMIT_DAYS,
    PAYMENT_IDS,
    PAYMENT_STATES,
    QUIET,
    RATIO_T,
    REFRACTORY,
    RENEWAL_DAYS,
    RENEWAL_FACT,
    REPEAT_AFTER,
    REPEATED_SEVERITY,
    RULE_RING,
    RULE_SEVERITY,
    RULE_WINDOW,
    SINCE_SLOT,
    TICKET_IDS,
    TICKET_STATES,
)  # fmt: skip
from streams.rhythm import alarm_day, alarm_ms, alarm_probability, usual_gap
from streams.slots import PENDING, REVERSED, WORSE, at_ms, is_open
from streams.tiles import window_sum
from streams.users import users

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from streams.cells import Cells
    from streams.plan import Plan

SILENCE, DECLINE, ABSOLUTE_SILENCE = int(Rule.SILENCE), int(Rule.DECLINE), int(Rule.ABSOLUTE_SILENCE)
NEVER_STARTED, RISK_PAGE, PAYMENT_TROUBLE = (
    int(Rule.NEVER_STARTED),
    int(Rule.RISK_PAGE),
    int(Rule.PAYMENT_TROUBLE),
)
TICKET_TROUBLE, BAND_DROP, USERS_LEAVING = (
    int(Rule.TICKET_TROUBLE),
    int(Rule.BAND_DROP),
    int(Rule.USERS_LEAVING),
)
REENGAGED, USAGE_SURGE, UPGRADE_INTEREST = (
    int(Rule.REENGAGED),
    int(Rule.USAGE_SURGE),
    int(Rule.UPGRADE_INTEREST),
)
RULES: Final = len(Rule)
GOOD_NEWS: Final = sum(1 << rule for rule in OPPORTUNITIES)
"""Bits of the rules of opportunity."""
NO_SEVERITY: Final = -1
CRITICAL: Final = int(Severity.CRITICAL)
CUSTOMER: Final = FACT_BY_NAME["kind"].values.index(DEFAULT_KIND)
CLOSED: Final = FACT_BY_NAME["kind"].values.index(CLOSED_KIND)
SECONDS_MAX: Final = (1 << 31) - 1
SPIKE_WINDOW: Final = 7


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
    """Return the first local day on which a silence by days is too long; the account was active once."""
    if rule == SILENCE:
        return alarm_day(cells, plan, row)
    return int64(cells.u16[row, LAST_ACTIVE_DAY]) + plan.rules[rule, LIMIT_DAYS] + 1


@kernel
def is_silent(cells: Cells, plan: Plan, row: int, rule: int, now: int) -> bool:
    """Return whether the account is silent for too long by ``rule``."""
    if cells.u16[row, LAST_ACTIVE_DAY] == NEVER:
        return False
    if rule == SILENCE and plan.scalars[HOURLY]:
        return now >= alarm_ms(cells, plan, row)
    return int64(cells.u16[row, DAY]) >= silence_day(cells, plan, row, rule)


@kernel
def first_late_day(cells: Cells, plan: Plan, row: int, now: int) -> int:
    """Return the local day on which an account that was never active should have started."""
    return start_day(cells, plan, row, now) + plan.rules[NEVER_STARTED, LIMIT_DAYS]


@kernel
def is_risky(cells: Cells, plan: Plan, row: int, now: int) -> bool:
    """Return whether a risk page was visited and it has not been quiet since."""
    last = int64(cells.i64[row, RISK_LAST])
    return last != UNSET and now < last + plan.rules[RISK_PAGE, QUIET]


@kernel
def trouble_begins(cells: Cells, plan: Plan, row: int, i: int) -> int:
    """Return the instant from which the payment of slot ``i``, if it is not paid, is trouble."""
    at = at_ms(cells, row, plan.scalars[PAYMENT_IDS], PAYMENTS, i)
    late = plan.rules[PAYMENT_TROUBLE, LIMIT_DAYS] * DAY_MS
    return at + late if cells.u8[row, plan.scalars[PAYMENT_STATES] + i] == PENDING else at


@kernel
def payments_in_trouble(cells: Cells, plan: Plan, row: int, state: int, now: int) -> int:
    """Return how many payments of a state are in trouble at ``now``."""
    total = int64(0)
    for i in range(PAYMENTS):
        begin = trouble_begins(cells, plan, row, i)
        if (
            cells.u8[row, plan.scalars[PAYMENT_STATES] + i] == state
            and begin <= now < begin + plan.rules[PAYMENT_TROUBLE, QUIET]
        ):
            total += 1
    return total


@kernel
def tickets_in_trouble(cells: Cells, plan: Plan, row: int, escalated: bool, now: int) -> int:  # noqa: FBT001
    """Return how many tickets open at ``now`` are escalated, or else have been open for too long."""
    ids, states, total = plan.scalars[TICKET_IDS], plan.scalars[TICKET_STATES], int64(0)
    for i in range(TICKETS):
        if not is_open(cells, row, ids, states, TICKETS, i, now):
            continue
        if escalated:
            total += cells.u8[row, states + i] == WORSE
        else:
            limit = plan.rules[TICKET_TROUBLE, LIMIT_DAYS] * DAY_MS
            total += at_ms(cells, row, ids, TICKETS, i) + limit <= now
    return int64(total)


@kernel
def recent_and_earlier(
    cells: Cells, plan: Plan, row: int, rule: int, window: int, earlier: int
) -> tuple[int, int]:
    """Return the events of the last ``window`` days and of the ``earlier`` days before, of the source of ``rule``."""
    ring, day = plan.rules[rule, RULE_RING], int64(cells.u16[row, DAY])
    recent = window_sum(cells, plan, row, ring, day - window + 1, day)
    return recent, window_sum(cells, plan, row, ring, day - window - earlier + 1, day - window)


@kernel
def is_spike(cells: Cells, plan: Plan, row: int) -> bool:
    """Return whether far more tickets than usual were opened in the last week."""
    earlier_days = SPIKE_DAYS - SPIKE_WINDOW
    recent, earlier = recent_and_earlier(cells, plan, row, TICKET_TROUBLE, SPIKE_WINDOW, earlier_days)
    if age_days(cells, row) < SPIKE_DAYS or recent < plan.rules[TICKET_TROUBLE, AT_LEAST]:
        return False
    weeks = earlier_days // SPIKE_WINDOW
    return bool(1000 * weeks * recent >= plan.rules[TICKET_TROUBLE, RATIO_T] * earlier)


@kernel
def are_leaving(cells: Cells, plan: Plan, row: int) -> bool:
    """Return whether few of the users of the longer window were active in the shorter one."""
    longer = plan.rules[USERS_LEAVING, BASELINE]
    if age_days(cells, row) < longer:
        return False
    before = users(cells, plan, row, longer)
    if before < plan.rules[USERS_LEAVING, AT_LEAST]:
        return False
    now = users(cells, plan, row, plan.rules[USERS_LEAVING, RULE_WINDOW])
    return bool(1000 * now <= plan.rules[USERS_LEAVING, RATIO_T] * before)


@kernel
def days_since_return(cells: Cells, plan: Plan, row: int) -> int:
    """Return the active days since the account returned from a silence, that day included."""
    day, returned = int64(cells.u16[row, DAY]), int64(cells.u16[row, RETURNED_DAY])
    return int64(0) if returned == NEVER else active_days(cells, plan, row, max(returned, day - 127), day)


@kernel
def is_back(cells: Cells, plan: Plan, row: int) -> bool:
    """Return whether the account has been active again on some days after a silence."""
    returned = int64(cells.u16[row, RETURNED_DAY])
    if returned == NEVER or int64(cells.u16[row, DAY]) >= returned + plan.rules[REENGAGED, QUIET] // DAY_MS:
        return False
    return days_since_return(cells, plan, row) >= plan.rules[REENGAGED, AT_LEAST]


@kernel
def is_surge(cells: Cells, plan: Plan, row: int) -> bool:
    """Return whether the account is far more active than before."""
    window, baseline = plan.rules[USAGE_SURGE, RULE_WINDOW], plan.rules[USAGE_SURGE, BASELINE]
    if age_days(cells, row) < window + baseline:
        return False
    recent, earlier = recent_and_earlier(cells, plan, row, USAGE_SURGE, window, baseline)
    enough = recent >= plan.rules[USAGE_SURGE, AT_LEAST] and earlier > 0
    return bool(enough and 1000 * recent * baseline >= plan.rules[USAGE_SURGE, RATIO_T] * earlier * window)


@kernel
def upgrade_visits(cells: Cells, plan: Plan, row: int) -> int:
    """Return the visits to upgrade and pricing pages in the rule's window."""
    window = plan.rules[UPGRADE_INTEREST, RULE_WINDOW]
    return recent_and_earlier(cells, plan, row, UPGRADE_INTEREST, window, 0)[0]


@kernel
def holds(cells: Cells, plan: Plan, row: int, rule: int, now: int, is_open: bool) -> bool:  # noqa: FBT001, PLR0911
    """Return whether the condition of ``rule`` holds at ``now``."""
    if rule in (SILENCE, ABSOLUTE_SILENCE):
        return is_silent(cells, plan, row, rule, now)
    if rule == DECLINE:
        weeks = plan.rules[DECLINE, RULE_WINDOW] + plan.rules[DECLINE, BASELINE]
        return age_days(cells, row) >= 7 * weeks and is_declining(cells, plan, row, is_open)
    if rule == NEVER_STARTED:
        late = int64(cells.u16[row, DAY]) >= first_late_day(cells, plan, row, now)
        return cells.u16[row, LAST_ACTIVE_DAY] == NEVER and late
    if rule == RISK_PAGE:
        return is_risky(cells, plan, row, now)
    if rule == PAYMENT_TROUBLE:
        for state in (PENDING, WORSE, REVERSED):
            if payments_in_trouble(cells, plan, row, state, now) > 0:
                return True
        return False
    if rule == TICKET_TROUBLE:
        troubled = tickets_in_trouble(cells, plan, row, True, now) + tickets_in_trouble(  # noqa: FBT003
            cells,
            plan,
            row,
            False,
            now,
        )
        return troubled > 0 or is_spike(cells, plan, row)
    if rule == BAND_DROP:
        return has_fallen(cells, plan, row, present_band(cells, plan, row), now) or is_dropping(
            cells, plan, row
        )
    if rule == USERS_LEAVING:
        return are_leaving(cells, plan, row)
    if rule == REENGAGED:
        return is_back(cells, plan, row)
    if rule == USAGE_SURGE:
        return is_surge(cells, plan, row)
    return upgrade_visits(cells, plan, row) >= plan.rules[UPGRADE_INTEREST, AT_LEAST]


@kernel
def is_raised(cells: Cells, plan: Plan, row: int, now: int) -> bool:
    """Return whether a renewal is near or the account is worth more attention."""
    if plan.scalars[RENEWAL_FACT] != ABSENT and plan.scalars[RENEWAL_DAYS] != ABSENT:
        renewal = fact(cells, row, plan.scalars[RENEWAL_FACT], now)
        left = renewal - int64(cells.u16[row, DAY])
        if renewal != NO_VALUE and 0 <= left <= plan.scalars[RENEWAL_DAYS]:
            return True
    if plan.scalars[ARR_FROM] == ABSENT:
        return False
    arr = fact(cells, row, plan.scalars[ARR_FACT], now)
    return bool(arr != NO_VALUE and arr >= plan.scalars[ARR_FROM])


@kernel
def severity_of(cells: Cells, plan: Plan, row: int, rule: int, raised: bool) -> int:  # noqa: FBT001
    """Return the severity of a reason whose condition holds."""
    severity = plan.rules[rule, RULE_SEVERITY]
    if rule == RISK_PAGE and (cells.u16[row, RISK_COUNT] >= 2 or cells.u8[row, RISK_ADMIN] == 1):
        severity = plan.rules[rule, REPEATED_SEVERITY]
    return int64(min(severity + 1, CRITICAL) if raised else severity)


@kernel
def keep_evidence(cells: Cells, plan: Plan, row: int, rule: int, now: int) -> None:
    """Write down what a silence rests on, at the instant its reason joins."""
    silent_for_s = min((now - cells.i64[row, LAST_ACTIVE]) // 1000, SECONDS_MAX)
    if rule == ABSOLUTE_SILENCE:
        cells.i32[row, ABSOLUTE_SILENT_FOR] = silent_for_s
    elif rule == SILENCE:
        cells.i32[row, SILENT_FOR] = silent_for_s
        unit_s = (HOUR_MS if plan.scalars[HOURLY] else DAY_MS) // 1000
        gap_s = math.floor(float(unit_s) * usual_gap(cells, plan, row) + 0.5)
        cells.i32[row, USUAL_GAP] = int64(min(gap_s, SECONDS_MAX))
        cells.u16[row, GAPS_KNOWN] = cells.u16[row, GAPS]
        cells.i32[row, PROBABILITY] = int64(math.floor(1e9 * alarm_probability(cells, plan, row) + 0.5))


@kernel
def join_and_leave(cells: Cells, plan: Plan, row: int, now: int) -> tuple[int, int, int]:
    """Judge every rule at ``now``: reasons leave whose condition is gone, and join where it holds.

    Returns:
        the mask of open reasons, and the highest severity among those of disengagement and of opportunity
        (``NO_SEVERITY`` for none).
    """
    before = int64(cells.u16[row, OPEN])
    after, bad, good = int64(0), int64(NO_SEVERITY), int64(NO_SEVERITY)
    closed, raised = account_kind(cells, row, now) == CLOSED, is_raised(cells, plan, row, now)
    for rule in range(RULES):
        slot = plan.rules[rule, SINCE_SLOT]
        was_open = (before >> rule) & 1 == 1
        if slot < 0 or closed or not holds(cells, plan, row, rule, now, was_open):
            continue
        if not was_open:
            since = int64(cells.i64[row, slot])
            if since != UNSET and now < since + plan.rules[rule, REFRACTORY]:
                continue
            cells.i64[row, slot] = now
            keep_evidence(cells, plan, row, rule, now)
        after |= 1 << rule
        if (GOOD_NEWS >> rule) & 1:
            good = max(good, severity_of(cells, plan, row, rule, False))  # noqa: FBT003
        else:
            bad = max(bad, severity_of(cells, plan, row, rule, raised))
    cells.u16[row, OPEN] = after
    return after, bad, good


@kernel
def gather_evidence(
    cells: Cells, plan: Plan, row: int, reasons: int, now: int, out: npt.NDArray[np.int64]
) -> None:
    """Put the evidence of the rules in the mask ``reasons``, as it stands at ``now``, into ``out``.

    Args:
        cells: the accounts.
        plan: what is computed.
        row: the account.
        reasons: a bit for each rule.
        now: ms UTC, the account's present instant.
        out: (``EVIDENCE_CELLS``,) int64 or longer.
    """
    out[fx.AT_SILENT_FOR], out[fx.AT_USUAL_GAP] = cells.i32[row, SILENT_FOR], cells.i32[row, USUAL_GAP]
    out[fx.AT_GAPS_KNOWN], out[fx.AT_PROBABILITY] = cells.u16[row, GAPS_KNOWN], cells.i32[row, PROBABILITY]
    out[fx.AT_ABSOLUTE_SILENT_FOR] = cells.i32[row, ABSOLUTE_SILENT_FOR]
    out[fx.AT_VISITS], out[fx.AT_LAST_VISIT] = cells.u16[row, RISK_COUNT], cells.i64[row, RISK_LAST]
    out[fx.AT_ADMIN] = cells.u8[row, RISK_ADMIN]
    if (reasons >> DECLINE) & 1:
        recent, earlier, _ = active_weeks(cells, plan, row)
        out[fx.AT_RECENT_DAYS] = half_up(1000 * recent, plan.rules[DECLINE, RULE_WINDOW])
        out[fx.AT_EARLIER_DAYS] = half_up(1000 * earlier, plan.rules[DECLINE, BASELINE])
    if (reasons >> NEVER_STARTED) & 1:
        days = int64(cells.u16[row, DAY]) - start_day(cells, plan, row, now)
        out[fx.AT_DAYS_SINCE_START] = max(int64(0), days)
    if (reasons >> PAYMENT_TROUBLE) & 1:
        out[fx.AT_LATE] = payments_in_trouble(cells, plan, row, PENDING, now)
        out[fx.AT_FAILED] = payments_in_trouble(cells, plan, row, WORSE, now)
        out[fx.AT_REVERSED] = payments_in_trouble(cells, plan, row, REVERSED, now)
    if (reasons >> TICKET_TROUBLE) & 1:
        recent, earlier = recent_and_earlier(
            cells, plan, row, TICKET_TROUBLE, SPIKE_WINDOW, SPIKE_DAYS - SPIKE_WINDOW
        )
        out[fx.AT_OPENED] = recent
        out[fx.AT_USUALLY_OPENED] = half_up(1000 * earlier, (SPIKE_DAYS - SPIKE_WINDOW) // SPIKE_WINDOW)
        out[fx.AT_ESCALATED] = tickets_in_trouble(cells, plan, row, True, now)  # noqa: FBT003
        out[fx.AT_UNRESOLVED] = tickets_in_trouble(cells, plan, row, False, now)  # noqa: FBT003
    if (reasons >> BAND_DROP) & 1:
        out[fx.AT_BAND] = band = present_band(cells, plan, row)
        fallen = has_fallen(cells, plan, row, band, now)
        out[fx.AT_BAND_BEFORE] = int64(cells.u8[row, FELL_FROM]) if fallen else int64(ABSENT)
        out[fx.AT_POINTS_LOST] = points_lost(cells, plan, row)
    if (reasons >> USERS_LEAVING) & 1:
        out[fx.AT_USERS] = users(cells, plan, row, plan.rules[USERS_LEAVING, RULE_WINDOW])
        out[fx.AT_USERS_BEFORE] = users(cells, plan, row, plan.rules[USERS_LEAVING, BASELINE])
    if (reasons >> REENGAGED) & 1:
        out[fx.AT_RETURNED_DAY], out[fx.AT_SILENT_DAYS] = (
            cells.u16[row, RETURNED_DAY],
            cells.u16[row, SILENT_DAYS],
        )
        out[fx.AT_ACTIVE_DAYS] = days_since_return(cells, plan, row)
    if (reasons >> USAGE_SURGE) & 1:
        window, baseline = plan.rules[USAGE_SURGE, RULE_WINDOW], plan.rules[USAGE_SURGE, BASELINE]
        recent, earlier = recent_and_earlier(cells, plan, row, USAGE_SURGE, window, baseline)
        out[fx.AT_SURGE], out[fx.AT_USUAL_EVENTS] = recent, half_up(1000 * earlier * window, baseline)
    if (reasons >> UPGRADE_INTEREST) & 1:
        out[fx.AT_UPGRADE_VISITS] = upgrade_visits(cells, plan, row)
