"""The users of the accounts: roles, when each joins and leaves, when each works and is away."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from agents.simulation.accounts import Accounts, hours_of
from agents.simulation.archetypes import Hours
from agents.simulation.arrays import Bools, Floats, Ints, owners_of, places_in
from agents.simulation.fates import FAR_DAY, Fates
from agents.simulation.pages import INTEGRATION, ROLES

JOINS_LATE: Final = 0.2
LEAVES: Final = ((180, 70, 6, 16), (352, 14, 2, 10), (0, 365, 4, 6))
"""Leaves of a year: first day of the year and width of the window of begins, least days and their spread."""


class People(NamedTuple):
    """Columns with one row per user, grouped by account; a user's row number is ``first[account] + place``.

    ``joined`` and ``left`` are local day numbers (left: the first day without). ``start_minute`` is the usual
    begin of the working day, ``crew`` the place in a rota of eight days.
    """

    account: Ints
    place: Ints
    first: Ints
    role: Ints
    joined: Ints
    left: Ints
    diligence: Floats
    start_minute: Ints
    crew: Ints
    ids: list[str]


def draw_people(rng: np.random.Generator, accounts: Accounts, fates: Fates) -> People:
    """Draw the users of every account: as many as it has seats, the first one an administrator."""
    account, place = owners_of(accounts.seats), places_in(accounts.seats)
    size = len(account)
    hours = hours_of(accounts)[account]
    return People(
        account=account,
        place=place,
        first=np.cumsum(accounts.seats) - accounts.seats,
        role=_roles(rng, place, hours),
        joined=_joined(rng, accounts, account, place),
        left=_left(rng, accounts, fates, account, place),
        diligence=np.where(hours == Hours.MACHINE, 1.0, rng.beta(9.0, 1.2, size)),
        start_minute=np.clip(rng.normal(525.0, 50.0, size), 360, 660).astype(np.int64),
        crew=rng.integers(0, 2, size) * 4 + rng.integers(0, 2, size) + accounts.billing_day[account] % 8,
        ids=[f"{accounts.ids[a]}.u{p}" for a, p in zip(account.tolist(), place.tolist(), strict=True)],
    )


def _roles(rng: np.random.Generator, place: Ints, hours: Ints) -> Ints:
    drawn = rng.choice(4, len(place), p=(0.06, 0.16, 0.6, 0.18))
    return np.where(hours == Hours.MACHINE, INTEGRATION, np.where(place == 0, ROLES.index("admin"), drawn))


def _joined(rng: np.random.Generator, accounts: Accounts, account: Ints, place: Ints) -> Ints:
    """The first user joins at once, colleagues over the first weeks, some of them much later."""
    size = len(account)
    much_later = 500.0 * rng.random(size) * (rng.random(size) < JOINS_LATE)
    ramp = rng.gamma(1.2, 18.0, size) + much_later
    return accounts.began[account] + np.where(place == 0, 0, ramp.astype(np.int64))


def _left(rng: np.random.Generator, accounts: Accounts, fates: Fates, account: Ints, place: Ints) -> Ints:
    """People change jobs; in a fading account they give up one by one, the first user last."""
    tenure = np.minimum(rng.exponential(1.0, len(account)) * 2500.0, float(FAR_DAY)).astype(np.int64)
    normal = np.where(place == 0, FAR_DAY, accounts.began[account] + 60 + tenure)
    begin, end = fates.fades_from[account], fates.stops_on[account]
    share = np.where(place == 0, 1.0, rng.random(len(account)))
    fading = begin + np.floor(share * (end - begin)).astype(np.int64)
    return np.minimum(np.where(begin < FAR_DAY, np.minimum(normal, fading), normal), end + 1)


def on_holiday(people: People, day_of_year: int, year: int) -> Bools:
    """Tell who is on leave: a long leave in summer, a short one at the turn of the year, a week at any time.

    The begin moves by up to ten days a year by an integer hash, so that no state is kept.
    """
    row = np.arange(len(people.account))
    away = np.zeros(len(row), dtype=bool)
    for salt, (base, width, shortest, spread) in enumerate(LEAVES):
        mixed = (row * 2_654_435_761 + salt * 97_531) % 1_000_003
        start = base + mixed % width + (mixed * 31 + year * 40_503) % 21 - 10
        away |= (day_of_year - start) % 365 < shortest + mixed // 7 % spread
    on_leave: Bools = away & (people.role != INTEGRATION)
    return on_leave
