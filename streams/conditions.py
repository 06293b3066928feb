"""Conditions of the rules of both episodes: whether each holds, one function per idea."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.catalogue import CLOSED_KIND, DEFAULT_KIND, FACT_BY_NAME
from schemas.reasons import OPPORTUNITIES, Rule
from streams.active import active_days, is_declining
from streams.compiled import int64, kernel
from streams.days import DAY_MS
from streams.drop import has_fallen, is_dropping, present_band
from streams.knowledge import knows
from streams.layout import (
    DAY,
    GOOD_RULE_GONE,
    KNOWN_ACTIVE,
    KNOWN_RINGS,
    KNOWN_USERS,
    LAST_ACTIVE,
    LAST_ACTIVE_DAY,
    NEVER,
    PAYMENTS,
    RETURNED_DAY,
    RISK_ADMIN,
    RISK_COUNT,
    RISK_LAST,
    SPIKE_DAYS,
    TICKETS,
    UNSET,
)  # fmt: skip
from streams.metrics import NO_VALUE, age_days, fact, start_day
from streams.muting import unseen_ms
from streams.plan import (
    AT_LEAST,
    BASELINE,
    HOURLY,
    KIND_FACT,
    LIMIT_DAYS,
    PAYMENT_IDS,
    PAYMENT_STATES,
    QUIET,
    RATIO_T,
    REPEAT_AFTER,
    RULE_RING,
    RULE_WINDOW,
    TICKET_IDS,
    TICKET_STATES,
)  # fmt: skip
from streams.rhythm import alarm_day, alarm_ms
from streams.slots import PENDING, REVERSED, WORSE, at_ms, is_open
from streams.tiles import window_sum
from streams.users import users

if TYPE_CHECKING:
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
GOOD_NEWS: Final = sum(1 << rule for rule in OPPORTUNITIES) | 1 << GOOD_RULE_GONE
"""Bits of the rules of opportunity."""
RESTS_ON_ABSENCE: Final = sum(
    1 << rule for rule in (SILENCE, DECLINE, ABSOLUTE_SILENCE, NEVER_STARTED, BAND_DROP, USERS_LEAVING)
)
"""Bits of the rules that find activity missing, or a score fallen for want of it: their reasons wait for a stalled source."""
CUSTOMER: Final = FACT_BY_NAME["kind"].values.index(DEFAULT_KIND)
CLOSED: Final = FACT_BY_NAME["kind"].values.index(CLOSED_KIND)
SPIKE_WINDOW: Final = 7


@kernel
def account_kind(cells: Cells, row: int, now: int) -> int:
    """Return the code of the account's kind at ``now``; an unknown kind is a customer."""
    kind = fact(cells, row, KIND_FACT, now)
    return CUSTOMER if kind == NO_VALUE else kind


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
def silence_day(cells: Cells, plan: Plan, row: int, rule: int, now: int) -> int:
    """Return the first local day on which a silence by days is too long; the account was active once."""
    unseen = unseen_ms(plan, int64(cells.i64[row, LAST_ACTIVE]), now, DAY_MS) // DAY_MS
    if rule == SILENCE:
        return alarm_day(cells, plan, row) + unseen
    return int64(int64(cells.u16[row, LAST_ACTIVE_DAY]) + plan.rules[rule, LIMIT_DAYS] + 1 + unseen)


@kernel
def silence_ms(cells: Cells, plan: Plan, row: int, now: int) -> int:
    """Return the instant from which a silence by hours is too long."""
    return alarm_ms(cells, plan, row) + unseen_ms(plan, int64(cells.i64[row, LAST_ACTIVE]), now, 1)


@kernel
def is_silent(cells: Cells, plan: Plan, row: int, rule: int, now: int) -> bool:
    """Return whether the account is silent for too long by ``rule``."""
    if cells.u16[row, LAST_ACTIVE_DAY] == NEVER:
        return False
    if rule == SILENCE and plan.scalars[HOURLY]:
        return now >= silence_ms(cells, plan, row, now)
    return int64(cells.u16[row, DAY]) >= silence_day(cells, plan, row, rule, now)


@kernel
def first_late_day(cells: Cells, plan: Plan, row: int, now: int) -> int:
    """Return the local day on which an account that was never active should have started."""
    return int64(start_day(cells, plan, row, now) + plan.rules[NEVER_STARTED, LIMIT_DAYS])


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
        if cells.u8[row, plan.scalars[PAYMENT_STATES] + i] == state:
            begin = trouble_begins(cells, plan, row, i)
            total += begin <= now < begin + plan.rules[PAYMENT_TROUBLE, QUIET]
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
def knows_events(cells: Cells, plan: Plan, row: int, rule: int, days: int) -> bool:
    """Return whether everything is known of the last ``days`` days of the source of ``rule``."""
    k = KNOWN_RINGS + plan.rules[rule, RULE_RING]
    return knows(cells, row, k, int64(cells.u16[row, DAY]) - days + 1)


@kernel
def is_spike(cells: Cells, plan: Plan, row: int) -> bool:
    """Return whether far more tickets than usual were opened in the last week."""
    earlier_days = SPIKE_DAYS - SPIKE_WINDOW
    known = knows_events(cells, plan, row, TICKET_TROUBLE, SPIKE_DAYS)
    if not known or age_days(cells, row) < SPIKE_DAYS:
        return False
    recent, earlier = recent_and_earlier(cells, plan, row, TICKET_TROUBLE, SPIKE_WINDOW, earlier_days)
    if recent < plan.rules[TICKET_TROUBLE, AT_LEAST]:
        return False
    weeks = earlier_days // SPIKE_WINDOW
    return bool(1000 * weeks * recent >= plan.rules[TICKET_TROUBLE, RATIO_T] * earlier)


@kernel
def has_payment_trouble(cells: Cells, plan: Plan, row: int, now: int) -> bool:
    """Return whether a payment is in trouble."""
    for state in (PENDING, WORSE, REVERSED):
        if payments_in_trouble(cells, plan, row, state, now) > 0:
            return True
    return False


@kernel
def has_ticket_trouble(cells: Cells, plan: Plan, row: int, now: int) -> bool:
    """Return whether a ticket is in trouble, or there are far more of them than usual."""
    for escalated in (True, False):
        if tickets_in_trouble(cells, plan, row, escalated, now) > 0:
            return True
    return is_spike(cells, plan, row)


@kernel
def are_leaving(cells: Cells, plan: Plan, row: int) -> bool:
    """Return whether few of the users of the longer window were active in the shorter one."""
    longer = plan.rules[USERS_LEAVING, BASELINE]
    known = knows(cells, row, KNOWN_USERS, int64(cells.u16[row, DAY]) - longer + 1)
    if age_days(cells, row) < longer or not known:
        return False
    now, before = users(cells, plan, row, plan.rules[USERS_LEAVING, RULE_WINDOW], longer)
    if before < plan.rules[USERS_LEAVING, AT_LEAST]:
        return False
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
    if not knows(cells, row, KNOWN_ACTIVE, returned):
        return False
    return bool(days_since_return(cells, plan, row) >= plan.rules[REENGAGED, AT_LEAST])


@kernel
def is_surge(cells: Cells, plan: Plan, row: int) -> bool:
    """Return whether the account is far more active than before."""
    window, baseline = plan.rules[USAGE_SURGE, RULE_WINDOW], plan.rules[USAGE_SURGE, BASELINE]
    known = knows_events(cells, plan, row, USAGE_SURGE, window + baseline)
    if age_days(cells, row) < window + baseline or not known:
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
        days = 7 * (plan.rules[DECLINE, RULE_WINDOW] + plan.rules[DECLINE, BASELINE])
        known = knows(cells, row, KNOWN_ACTIVE, int64(cells.u16[row, DAY]) - days + 1)
        return known and age_days(cells, row) >= days and is_declining(cells, plan, row, is_open)
    if rule == NEVER_STARTED:
        late = int64(cells.u16[row, DAY]) >= first_late_day(cells, plan, row, now)
        return cells.u16[row, LAST_ACTIVE_DAY] == NEVER and late
    if rule == RISK_PAGE:
        return is_risky(cells, plan, row, now)
    if rule == PAYMENT_TROUBLE:
        return has_payment_trouble(cells, plan, row, now)
    if rule == TICKET_TROUBLE:
        return has_ticket_trouble(cells, plan, row, now)
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
    known = knows_events(cells, plan, row, UPGRADE_INTEREST, plan.rules[UPGRADE_INTEREST, RULE_WINDOW])
    return known and bool(upgrade_visits(cells, plan, row) >= plan.rules[UPGRADE_INTEREST, AT_LEAST])
