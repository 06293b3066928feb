"""Moving an account's time: its local day, and what belongs to the days between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.active import roll_active
from streams.compiled import int64, kernel
from streams.days import local_day, start_of_day
from streams.drop import roll_daily
from streams.due import told_zone
from streams.knowledge import roll_known
from streams.layout import ABSENT, DAY, NOW, ZONE
from streams.plan import ACTIVE, DAILY, USERS
from streams.tiles import roll_tiles
from streams.users import roll_users
from streams.weeks import roll_weeks

if TYPE_CHECKING:
    from streams.cells import Cells
    from streams.plan import Plan


@kernel
def roll(cells: Cells, plan: Plan, row: int, day: int) -> None:
    """Make ``day`` the row's present day: clear what belongs to the days between. A day never goes back."""
    present = int64(cells.u16[row, DAY])
    if day <= present:
        return
    roll_tiles(cells, plan, row, present, day)
    roll_weeks(cells, plan, row, present, day)
    roll_known(cells, plan, row, day)
    if plan.scalars[ACTIVE] != ABSENT:
        roll_active(cells, plan, row, present, day)
    if plan.scalars[USERS] != ABSENT:
        roll_users(cells, plan, row, present, day)
    if plan.scalars[DAILY] != ABSENT:
        roll_daily(cells, plan, row, present, day)
    cells.u16[row, DAY] = day


@kernel
def move_to(cells: Cells, plan: Plan, row: int, now: int) -> None:
    """Move the account's time to ``now``; with a new day the zone that was told when it began comes into force."""
    cells.i64[row, NOW] = now
    zone = int64(cells.zone[row])
    day = local_day(plan.zones, zone, now)
    if day <= int64(cells.u16[row, DAY]):
        return
    roll(cells, plan, row, day)
    told = told_zone(cells, row, start_of_day(plan.zones, zone, day))
    if told != zone:
        cells.zone[row], cells.i32[row, ZONE] = told, plan.zones.codes[told]
        roll(cells, plan, row, local_day(plan.zones, told, now))
