"""What the reasons of an episode rest on: kept when a silence joins, as it stands for all others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from streams import effects as fx
from streams.active import active_weeks
from streams.compiled import int64, kernel
from streams.conditions import (
    ABSOLUTE_SILENCE,
    BAND_DROP,
    DECLINE,
    NEVER_STARTED,
    PAYMENT_TROUBLE,
    REENGAGED,
    SILENCE,
    SPIKE_WINDOW,
    TICKET_TROUBLE,
    UPGRADE_INTEREST,
    USAGE_SURGE,
    USERS_LEAVING,
    days_since_return,
    payments_in_trouble,
    recent_and_earlier,
    tickets_in_trouble,
    upgrade_visits,
)
from streams.days import DAY_MS
from streams.drop import has_fallen, points_lost, present_band
from streams.layout import (
    ABSENT,
    ABSOLUTE_SILENT_FOR,
    DAY,
    GAPS,
    GAPS_KNOWN,
    LAST_ACTIVE,
    PROBABILITY,
    RETURNED_DAY,
    RISK_ADMIN,
    RISK_COUNT,
    RISK_LAST,
    SILENT_DAYS,
    SILENT_FOR,
    SPIKE_DAYS,
    USUAL_GAP,
)  # fmt: skip
from streams.metrics import half_up, start_day
from streams.plan import (
    BASELINE,
    FELL_FROM,
    HOUR_MS,
    HOURLY,
    RULE_WINDOW,
)  # fmt: skip
from streams.rhythm import alarm_probability, usual_gap
from streams.slots import PENDING, REVERSED, WORSE
from streams.users import users

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from streams.cells import Cells
    from streams.plan import Plan

SECONDS_MAX: Final = (1 << 31) - 1


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
        out[fx.AT_BAND_BEFORE] = int64(cells.u8[row, plan.scalars[FELL_FROM]]) if fallen else int64(ABSENT)
        out[fx.AT_POINTS_LOST] = points_lost(cells, plan, row)
    if (reasons >> USERS_LEAVING) & 1:
        out[fx.AT_USERS], out[fx.AT_USERS_BEFORE] = users(
            cells, plan, row, plan.rules[USERS_LEAVING, RULE_WINDOW], plan.rules[USERS_LEAVING, BASELINE]
        )
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
