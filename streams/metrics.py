"""What components measure: one small function per kind of feature, in integers.

Each returns (x, moving): the metric or ``NO_VALUE``, and whether a coming midnight may change it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from schemas.catalogue import FORGOTTEN_DAYS
from streams.cells import FACT_EXPIRES, FACT_VALUE, NO_FACT
from streams.compiled import int64, kernel
from streams.knowledge import knows
from streams.layout import (
    DAY,
    FIRST_DAY,
    KNOWN_FEATURES,
    KNOWN_PAYMENTS,
    KNOWN_RINGS,
    KNOWN_TICKETS,
    KNOWN_USERS,
    KNOWN_WEEKS,
    LAST_ACTIVE_DAY,
    NEVER,
    PAYMENTS,
    TICKETS,
    USER_SEEN,
)  # fmt: skip
from streams.plan import (
    ANCHOR_END,
    CURRENCY,
    DECAY,
    FEATURE,
    HALF,
    KEY_FEATURE_COUNT,
    KEY_FEATURES,
    LAG,
    LAST_DAY_SLOT,
    PAYMENT_IDS,
    PAYMENT_STATES,
    RATIO_MAX,
    RING_DAYS,
    SEATS_FACT,
    SINCE_FACT,
    SOURCE,
    TICKET_IDS,
    TICKET_STATES,
    VOLUME,
    WINDOW,
)  # fmt: skip
from streams.rhythm import silent_units, usual_gap
from streams.slots import is_late, is_open
from streams.tiles import amount_sum, decayed_sum, weekday_sum, window_days, window_sum
from streams.users import users
from streams.weeks import first_day_of, week_of, weekly

if TYPE_CHECKING:
    from streams.cells import Cells
    from streams.plan import Plan

NO_VALUE: Final = NO_FACT
(
    COUNT, ACTIVE_DAYS, RATIO, SINCE_LAST, RHYTHM, FACT, DECAYED, SUM, USER_COUNT, USER_SHARE, OPEN_TICKETS, MEAN, BREADTH,
    FIRST_USE, LATE_PAYMENTS, PATTERN,
) = range(16)  # fmt: skip
"""Codes of the feature catalogue."""


@kernel
def half_up(numerator: int, denominator: int) -> int:
    """Return numerator / denominator rounded half up, for a positive denominator."""
    return (2 * numerator + denominator) // (2 * denominator)


@kernel
def age_days(cells: Cells, row: int) -> int:
    """Return the local days since the account's first event, its own day included."""
    return int64(cells.u16[row, DAY]) - int64(cells.u16[row, FIRST_DAY]) + 1


@kernel
def ratio(recent: int, earlier: int, window: int, lag: int) -> int:
    """Return recent against earlier in thousandths, each per day of its window."""
    if earlier > 0:
        return min(half_up(1000 * recent * lag, earlier * window), RATIO_MAX)
    return RATIO_MAX if recent > 0 else 0


@kernel
def pattern(cells: Cells, plan: Plan, row: int, ring: int, window: int, lag: int) -> int:
    """Return the share of what the weekdays of the earlier window let expect of the recent one, in thousandths.

    The recent one ends with the last whole day: what has not come yet today is not missed.
    """
    last, earlier, as_expected, recent = int64(cells.u16[row, DAY]) - 1, int64(0), int64(0), int64(0)
    for k in range(7):
        now = weekday_sum(cells, plan, row, ring, last - k, window)
        then = weekday_sum(cells, plan, row, ring, last - window - k, lag)
        recent += now
        earlier += then
        as_expected += min(lag * now, window * then)
    if earlier > 0:
        return half_up(1000 * as_expected, window * earlier)
    return int64(1000) if recent > 0 else int64(0)


@kernel
def windowed(cells: Cells, plan: Plan, row: int, c: int) -> tuple[int, bool]:  # noqa: PLR0911
    """Return a count, decayed or not, a number of active days, a ratio or what is left of a weekly pattern."""
    feature, ring = plan.components[c, FEATURE], plan.components[c, SOURCE]
    window, lag = plan.components[c, WINDOW], plan.components[c, LAG]
    day, age = int64(cells.u16[row, DAY]), age_days(cells, row)
    counted = int64(cells.u16[row, plan.scalars[LAST_DAY_SLOT] + ring])
    span = window + lag + (1 if feature == PATTERN else 0)
    moving = age < span or counted > day - plan.rings[ring, RING_DAYS]
    needs_age = feature not in (COUNT, DECAYED) or plan.components[c, VOLUME] == 1
    if (needs_age and age < span) or (lag > 0 and counted == NEVER):
        return int64(NO_VALUE), moving
    if counted <= day - span:
        return int64(0), moving
    if feature == ACTIVE_DAYS:
        return window_days(cells, plan, row, ring, day - window + 1, day), moving
    if feature == DECAYED:
        total = decayed_sum(cells, plan, row, ring, plan.components[c, DECAY], window)
        return half_up(1000 * total, HALF), moving
    if feature == PATTERN:
        return pattern(cells, plan, row, ring, window, lag), moving
    recent = window_sum(cells, plan, row, ring, day - window + 1, day)
    if feature == COUNT:
        return recent, moving
    earlier = window_sum(cells, plan, row, ring, day - window - lag + 1, day - window)
    return ratio(recent, earlier, window, lag), moving


@kernel
def elapsed(cells: Cells, plan: Plan, row: int, c: int) -> tuple[int, bool]:
    """Return the days since the last event of a source, or the silence in usual gaps."""
    rhythm = plan.components[c, FEATURE] == RHYTHM
    slot = LAST_ACTIVE_DAY if rhythm else plan.scalars[LAST_DAY_SLOT] + plan.components[c, SOURCE]
    last = int64(cells.u16[row, slot])
    if last == NEVER:
        return int64(NO_VALUE), False
    x = int64(cells.u16[row, DAY]) - last
    if rhythm:
        gaps = math.floor(1000.0 * float(silent_units(cells, plan, row)) / usual_gap(cells, plan, row) + 0.5)
        x = int64(min(gaps, RATIO_MAX))
    return x, x < plan.anchors[plan.components[c, ANCHOR_END] - 1, 0]


@kernel
def fact(cells: Cells, row: int, slot: int, now: int) -> int:
    """Return a fact's value at ``now`` (thousandths, or the code of its category), or ``NO_VALUE``."""
    expires = cells.facts[row, slot, FACT_EXPIRES]
    return int64(cells.facts[row, slot, FACT_VALUE]) if expires > now else int64(NO_VALUE)


@kernel
def amounts(cells: Cells, plan: Plan, row: int, c: int) -> tuple[int, bool]:
    """Return the sum of the amounts in the window."""
    window, day, age = plan.components[c, WINDOW], int64(cells.u16[row, DAY]), age_days(cells, row)
    if cells.u16[row, plan.scalars[CURRENCY]] == 0:
        return int64(NO_VALUE), False
    if plan.components[c, VOLUME] == 1 and age < window:
        return int64(NO_VALUE), True
    total = amount_sum(cells, plan, row, plan.components[c, SOURCE], day - window + 1, day)
    return total, total > 0


@kernel
def people(cells: Cells, plan: Plan, row: int, c: int, now: int) -> tuple[int, bool]:
    """Return the distinct users of the window, or their share of the seats or of the users of a longer one."""
    window, longer, age = plan.components[c, WINDOW], plan.components[c, LAG], age_days(cells, row)
    if cells.u8[row, USER_SEEN] == 0:
        return int64(NO_VALUE), False
    active, base = users(cells, plan, row, window, longer)
    moving = active > 0 or age < window
    if plan.components[c, FEATURE] == USER_COUNT:
        return (active if age >= window else int64(NO_VALUE)), moving
    seats = fact(cells, row, plan.scalars[SEATS_FACT], now)
    if seats >= 1000:
        share = min(half_up(1_000_000 * active, seats), RATIO_MAX)
        return (share if age >= window else int64(NO_VALUE)), moving
    moving = moving or base > 0 or age < longer
    if age < longer or base == 0:
        return int64(NO_VALUE), moving
    return min(half_up(1000 * active, base), RATIO_MAX), moving


@kernel
def tickets_open(cells: Cells, plan: Plan, row: int, now: int) -> int:
    """Return the number of tickets open at ``now``."""
    total = int64(0)
    for i in range(TICKETS):
        if is_open(cells, row, plan.scalars[TICKET_IDS], plan.scalars[TICKET_STATES], TICKETS, i, now):
            total += 1
    return total


@kernel
def payments_late(cells: Cells, plan: Plan, row: int, now: int) -> int:
    """Return the number of payments late at ``now``."""
    total = int64(0)
    for i in range(PAYMENTS):
        if is_late(cells, row, plan.scalars[PAYMENT_IDS], plan.scalars[PAYMENT_STATES], PAYMENTS, i, now):
            total += 1
    return total


@kernel
def mean(cells: Cells, plan: Plan, row: int, c: int) -> tuple[int, bool]:
    """Return the mean of a measurement over the weeks of the window."""
    total, number = weekly(cells, plan, row, plan.components[c, SOURCE], plan.components[c, WINDOW] // 7)
    return (half_up(1000 * total, number) if number > 0 else int64(NO_VALUE)), number > 0


@kernel
def breadth(cells: Cells, plan: Plan, row: int, c: int) -> tuple[int, bool]:
    """Return the share of the key features that were used in the window."""
    features, window = plan.scalars[KEY_FEATURE_COUNT], plan.components[c, WINDOW]
    day, age, used = int64(cells.u16[row, DAY]), age_days(cells, row), int64(0)
    if features == 0:
        return int64(NO_VALUE), False
    last_use = plan.scalars[KEY_FEATURES] + features
    for k in range(features):
        if int64(cells.u16[row, last_use + k]) > day - window:
            used += 1
    return (half_up(1000 * used, features) if age >= window else int64(NO_VALUE)), used > 0 or age < window


@kernel
def start_day(cells: Cells, plan: Plan, row: int, now: int) -> int:
    """Return the local day on which the account became a customer, as told, but none before its first event."""
    told = fact(cells, row, plan.scalars[SINCE_FACT], now)  # NO_VALUE is less than any day
    return max(told, int64(cells.u16[row, FIRST_DAY]))


@kernel
def first_use(cells: Cells, plan: Plan, row: int, c: int, now: int) -> tuple[int, bool]:
    """Return the mean days from the account's start to the first use of its key features, or so far."""
    features, day, total = plan.scalars[KEY_FEATURE_COUNT], int64(cells.u16[row, DAY]), int64(0)
    if features == 0:
        return int64(NO_VALUE), False
    start, waiting = start_day(cells, plan, row, now), False
    for k in range(features):
        used = int64(cells.u16[row, plan.scalars[KEY_FEATURES] + k])
        waiting = waiting or used == NEVER
        total += max(int64(0), (day if used == NEVER else used) - start)
    x = half_up(1000 * total, features)
    return x, waiting and x < plan.anchors[plan.components[c, ANCHOR_END] - 1, 0]


@kernel
def is_warming(cells: Cells, plan: Plan, row: int, c: int, now: int) -> bool:  # noqa: PLR0911
    """Return whether component ``c`` would measure days of which not everything is known after a change of layout."""
    feature, source, window = (
        plan.components[c, FEATURE],
        plan.components[c, SOURCE],
        plan.components[c, WINDOW],
    )
    day = int64(cells.u16[row, DAY])
    first = day - window - plan.components[c, LAG] + 1
    if feature <= RATIO or feature in (DECAYED, PATTERN):
        return not knows(cells, row, KNOWN_RINGS + source, first - 1 if feature == PATTERN else first)
    if feature == SUM:
        return not knows(cells, row, KNOWN_RINGS + plan.rings.shape[0] + source, first)
    if feature in (USER_COUNT, USER_SHARE):
        has_seats = feature == USER_SHARE and fact(cells, row, plan.scalars[SEATS_FACT], now) >= 1000
        longest = window if feature == USER_COUNT or has_seats else plan.components[c, LAG]
        return not knows(cells, row, KNOWN_USERS, day - longest + 1)
    if feature == OPEN_TICKETS:
        return not knows(cells, row, KNOWN_TICKETS, day - FORGOTTEN_DAYS)
    if feature == LATE_PAYMENTS:
        return not knows(cells, row, KNOWN_PAYMENTS, day - FORGOTTEN_DAYS)
    if feature == MEAN:
        return not knows(cells, row, KNOWN_WEEKS + source, first_day_of(week_of(day) - window // 7 + 1))
    if feature == BREADTH:
        return not knows(cells, row, KNOWN_FEATURES, first)
    if feature == FIRST_USE:
        return not knows(cells, row, KNOWN_FEATURES, start_day(cells, plan, row, now))
    return False


@kernel
def metric(cells: Cells, plan: Plan, row: int, c: int, now: int) -> tuple[int, bool]:  # noqa: PLR0911
    """Return the metric of component ``c`` at ``now``."""
    feature = plan.components[c, FEATURE]
    if is_warming(cells, plan, row, c, now):
        return int64(NO_VALUE), feature != FIRST_USE
    if feature <= RATIO or feature in (DECAYED, PATTERN):
        return windowed(cells, plan, row, c)
    if feature <= RHYTHM:
        return elapsed(cells, plan, row, c)
    if feature == FACT:
        return fact(cells, row, plan.components[c, SOURCE], now), False
    if feature == SUM:
        return amounts(cells, plan, row, c)
    if feature <= USER_SHARE:
        return people(cells, plan, row, c, now)
    if feature == OPEN_TICKETS:
        return tickets_open(cells, plan, row, now), False
    if feature == MEAN:
        return mean(cells, plan, row, c)
    if feature == BREADTH:
        return breadth(cells, plan, row, c)
    if feature == FIRST_USE:
        return first_use(cells, plan, row, c, now)
    return payments_late(cells, plan, row, now), False
