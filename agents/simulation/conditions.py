"""What holds for an account on a day beyond its calendar: projects, campaigns, days off, busy weeks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from agents.simulation.accounts import Accounts, cadence_of
from agents.simulation.archetypes import Cadence

if TYPE_CHECKING:
    from agents.simulation.arrays import Bools, Floats
    from agents.simulation.people import People

CAMPAIGN_CHANCE: Final = 1 / 150
DAY_OFF_CHANCE: Final = 0.012
LOST_WEEK: Final = 0.03
HALF_WEEK: Final = 0.12


class Conditions:
    """State that goes on from day to day; call ``advance`` once for every local day, in order.

    ``on_project``, ``campaign`` and ``day_off`` have a row per account, ``attention`` (a factor of the chance
    to use the product this week) a row per user.
    """

    def __init__(self, accounts: Accounts, people: People, first_day: int) -> None:
        self._projects = cadence_of(accounts) == Cadence.PROJECTS
        self._phase_until = np.full(accounts.size, first_day)
        self._campaign_until = np.full(accounts.size, first_day)
        self._office = accounts.winter_closed | (accounts.seats > 1)
        self.on_project: Bools = accounts.billing_day % 2 == 0
        self.campaign: Bools = np.zeros(accounts.size, dtype=bool)
        self.day_off: Bools = np.zeros(accounts.size, dtype=bool)
        self.attention: Floats = np.ones(len(people.account))

    def advance(self, rng: np.random.Generator, day: int, weekday: int) -> None:
        """Draw the conditions of a local day."""
        self._turn_projects(rng, day)
        self._turn_campaigns(rng, day)
        self.day_off = self._office & (rng.random(len(self._office)) < DAY_OFF_CHANCE)
        if weekday == 0:
            self.attention = self._draw_attention(rng)

    def _turn_projects(self, rng: np.random.Generator, day: int) -> None:
        """Projects last two to ten weeks, the time between them one to five."""
        ended = self._projects & (self._phase_until <= day)
        size = int(ended.sum())
        self.on_project[ended] ^= True
        busy_weeks, idle_weeks = rng.triangular(2, 4, 10, size), rng.triangular(1, 2, 5, size)
        weeks = np.where(self.on_project[ended], busy_weeks, idle_weeks)
        self._phase_until[ended] = day + np.round(weeks * 7).astype(np.int64)

    def _turn_campaigns(self, rng: np.random.Generator, day: int) -> None:
        starts = (self._campaign_until <= day) & (rng.random(len(self._campaign_until)) < CAMPAIGN_CHANCE)
        self._campaign_until[starts] = day + rng.integers(4, 10, int(starts.sum()))
        self.campaign = self._campaign_until > day

    def _draw_attention(self, rng: np.random.Generator) -> Floats:
        """Most weeks are ordinary, some are half lost to other work, a few are lost to sickness or travel."""
        size = len(self.attention)
        chance = rng.random(size)
        half = rng.uniform(0.3, 0.8, size)
        return np.where(chance < LOST_WEEK, 0.02, np.where(chance < LOST_WEEK + HALF_WEEK, half, 1.0))
