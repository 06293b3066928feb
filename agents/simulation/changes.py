"""What changes in accounts that go on: slow declines, teams that leave or come, looks at upgrades. Drawn once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from agents.simulation.accounts import FAR_DAY, YEAR, Accounts, hours_of
from agents.simulation.archetypes import Hours
from agents.simulation.fates import Outcome

if TYPE_CHECKING:
    from agents.simulation.arrays import Floats, Ints
    from agents.simulation.fates import Fates, Rates

SETTLED_DAYS: Final = 60
"""Nothing of this comes to an account earlier after its beginning."""
TEAM: Final = 4
"""An account of fewer users has no team that could leave."""


class Changes(NamedTuple):
    """Columns with one row per account; days are local day numbers, ``FAR_DAY`` means never.

    From ``declines_from`` to ``declines_until`` the chance that people use the product falls to ``declines_to`` of
    what it was, and stays there. Between ``cut_from`` and ``cut_until`` a share ``cut_share`` of the users leaves,
    the first user never. Between ``grows_from``, when the seats are bought, and ``grows_until``, ``grows_by`` users
    join. From ``looks_from`` to ``looks_until`` an administrator considers to buy more, and in the end does or not.
    """

    declines_from: Ints
    declines_until: Ints
    declines_to: Floats
    cut_from: Ints
    cut_until: Ints
    cut_share: Floats
    grows_from: Ints
    grows_until: Ints
    grows_by: Ints
    looks_from: Ints
    looks_until: Ints

    def declined(self, day: int) -> Floats:
        """Return the factor of use on a day: 1 before a decline, falling evenly, then ``declines_to``."""
        share = (day - self.declines_from) / (self.declines_until - self.declines_from)
        left: Floats = 1.0 - (1.0 - self.declines_to) * np.clip(share, 0.0, 1.0)
        return left


def draw_changes(
    rng: np.random.Generator, accounts: Accounts, fates: Fates, first_day: int, rates: Rates
) -> Changes:
    """Draw what changes in every account after ``first_day``."""
    size = accounts.size
    people = hours_of(accounts) != Hours.MACHINE
    settled = np.maximum(accounts.began + SETTLED_DAYS, first_day)
    settled = np.where(fates.outcome == Outcome.NEVER_STARTS, FAR_DAY, settled)
    declines_from = _first(rng, settled, rates.declining_per_year)
    cut_from = np.where(accounts.seats >= TEAM, _first(rng, settled, rates.cutting_per_year), FAR_DAY)
    grows_from = np.where(people, _first(rng, settled, rates.growing_per_year), FAR_DAY)
    bought = np.minimum(grows_from, fates.converts_on)
    looks_until = np.where(bought < FAR_DAY, bought, _first(rng, settled, rates.looking_per_year))
    grows_by = np.maximum(2, np.round(accounts.seats * rng.uniform(0.4, 1.5, size))).astype(np.int64)
    return Changes(
        declines_from=declines_from,
        declines_until=declines_from + rng.integers(45, 150, size),
        declines_to=rng.uniform(0.05, 0.5, size),
        cut_from=cut_from,
        cut_until=cut_from + rng.integers(5, 40, size),
        cut_share=rng.uniform(0.3, 0.9, size),
        grows_from=grows_from,
        grows_until=grows_from + rng.integers(7, 45, size),
        grows_by=np.where(grows_from < FAR_DAY, grows_by, 0),
        looks_from=looks_until - rng.integers(7, 22, size),
        looks_until=looks_until,
    )


def _first(rng: np.random.Generator, settled: Ints, per_year: float) -> Ints:
    """Return the day of the first happening of a yearly rate."""
    years = rng.exponential(1.0, len(settled)) / max(per_year, 1e-9)
    return np.minimum(settled + np.minimum(years * YEAR, FAR_DAY).astype(np.int64), FAR_DAY)
