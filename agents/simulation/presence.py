"""Who uses the product on a day: calendar, cadence, people and fate of an account together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from agents.simulation.accounts import Accounts, cadence_of, hours_of
from agents.simulation.archetypes import ARCHETYPES, Cadence, Hours
from agents.simulation.calendars import NO_WORK, ZONES, closing_day, date_of, is_holiday
from agents.simulation.fates import Outcome
from agents.simulation.people import People, on_holiday

if TYPE_CHECKING:
    from datetime import date

    from agents.simulation.arrays import Bools, Floats, Ints
    from agents.simulation.changes import Changes
    from agents.simulation.conditions import Conditions
    from agents.simulation.fates import Fates

QUARTER: Final = 3
ROTA_DAYS: Final = 8
SHIFT_DAYS: Final = 4
SUMMER_DAYS: Final = 14
HOLIDAY_CHANCE: Final = 0.04
CAMPAIGN_FLOOR: Final = 0.35


class Presence:
    """The chance that each user works on a day, and the draw of who does."""

    def __init__(self, accounts: Accounts, people: People, fates: Fates, changes: Changes) -> None:
        self._accounts, self._people, self._fates, self._changes = accounts, people, fates, changes
        self._cadence, self._hours = cadence_of(accounts), hours_of(accounts)
        self._quiet = np.array([kind.quiet for kind in ARCHETYPES])[accounts.archetype]
        self._shifts = (self._cadence == Cadence.SHIFTS)[people.account]
        self._quiet_user = self._quiet[people.account]

    def draw(self, rng: np.random.Generator, day: int, conditions: Conditions) -> Ints:
        """Return the row numbers of the users who use the product on a local day."""
        today = date_of(day)
        people = self._people
        chance = self._account_chance(day, today, conditions)[people.account]
        on_shift = (day + people.crew) % ROTA_DAYS < SHIFT_DAYS
        chance = np.where(self._shifts & ~on_shift, np.minimum(chance, self._quiet_user), chance)
        fallen = self._fading(day) * self._changes.declined(day)
        chance *= people.diligence * conditions.attention * fallen[people.account]
        employed = (people.joined <= day) & (day < people.left)
        here = employed & ~on_holiday(people, today.timetuple().tm_yday, today.year)
        return np.flatnonzero((rng.random(len(chance)) < chance) & here)

    def _account_chance(self, day: int, today: date, conditions: Conditions) -> Floats:
        chance = self._accounts.weekly[:, today.weekday()].copy()
        busy = self._busy(day, today, conditions)
        chance = np.where(busy, chance, np.minimum(chance, self._quiet))
        office = self._hours == Hours.OFFICE
        chance = np.where(
            conditions.campaign & busy & office & (today.weekday() < NO_WORK),
            np.maximum(chance, CAMPAIGN_FLOOR),
            chance,
        )
        chance = np.where(
            office & (self._is_holiday(day) | conditions.day_off), chance * HOLIDAY_CHANCE, chance
        )
        return np.where(self._shut(today) | self._absent(day), 0.0, chance)

    def _busy(self, day: int, today: date, conditions: Conditions) -> Bools:
        """Tell which accounts are in a working phase of their cadence."""
        accounts, cadence = self._accounts, self._cadence
        closes = np.array([closing_day(zone.calendar, day) for zone in ZONES])[accounts.zone_on(day)]
        in_season = (today.timetuple().tm_yday - accounts.season_from) % 365 < accounts.season_days
        always = (cadence == Cadence.WEEK) | (cadence == Cadence.SHIFTS)
        closing = ((cadence == Cadence.MONTH_END) & (closes > 0)) | (
            (cadence == Cadence.QUARTER_END) & (closes > 0) & (closes % QUARTER == 0)
        )
        project = (cadence == Cadence.PROJECTS) & conditions.on_project
        busy: Bools = always | closing | project | ((cadence == Cadence.SEASON) & in_season)
        return busy

    def _is_holiday(self, day: int) -> Bools:
        return np.array([is_holiday(zone.calendar, day) for zone in ZONES])[self._accounts.zone_on(day)]

    def _shut(self, today: date) -> Bools:
        """Tell which accounts are closed as a whole: the turn of the year, two weeks in summer."""
        turn = (today.month, today.day) >= (12, 24) or (today.month, today.day) <= (1, 1)
        since = today.timetuple().tm_yday - self._accounts.summer_from
        shut: Bools = (self._accounts.winter_closed & turn) | ((since >= 0) & (since < SUMMER_DAYS))
        return shut

    def _absent(self, day: int) -> Bools:
        fates = self._fates
        paused = (fates.pauses_from <= day) & (day < fates.pauses_until)
        early = (self._accounts.began > day) | (self._accounts.moves_on == day)
        absent: Bools = paused | (fates.outcome == Outcome.NEVER_STARTS) | early
        return absent

    def _fading(self, day: int) -> Floats:
        """A factor that falls from 1 to 0.2 while an account fades."""
        fates = self._fates
        span = np.maximum(fates.stops_on - fates.fades_from, 1)
        share = np.clip((day - fates.fades_from) / span, 0.0, 1.0)
        return np.where(fates.outcome == Outcome.FADES, 1.0 - 0.8 * share, 1.0)
