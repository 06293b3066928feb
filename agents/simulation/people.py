"""The users of the accounts: roles, when each joins and leaves, when each works and is away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from agents.simulation.accounts import FAR_DAY, Accounts, hours_of
from agents.simulation.archetypes import Hours
from agents.simulation.arrays import Bools, Floats, Ints, owners_of, places_in
from agents.simulation.pages import INTEGRATION, ROLES

if TYPE_CHECKING:
    from agents.simulation.changes import Changes
    from agents.simulation.fates import Fates

JOINS_LATE: Final = 0.2
MOBILE: Final = 0.12
REPLACED: Final = 0.75
LEAVES: Final = ((180, 70, 6, 16), (352, 14, 2, 10), (0, 365, 4, 6))
"""Leaves of a year: first day of the year and width of the window of begins, least days and their spread."""


class People(NamedTuple):
    """Columns with one row per user; ``first`` is the row number of each account's first user.

    ``joined`` and ``left`` are local day numbers (left: the first day without). ``start_minute`` is the usual
    begin of the working day, ``crew`` the place in a rota of eight days. ``mobile``: uses the mobile app.
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
    mobile: Bools
    ids: list[str]


def draw_people(
    rng: np.random.Generator, accounts: Accounts, fates: Fates, changes: Changes, last_day: int
) -> People:
    """Draw the users of every account: one for each seat that it has or buys, and whoever follows one who leaves.

    The first user is an administrator. Those who change jobs before ``last_day`` may have a successor.
    """
    seats = accounts.seats + changes.grows_by
    account, place = owners_of(seats), places_in(seats)
    joined = _joined(rng, accounts, changes, account, place)
    job_ends = _job_ends(rng, joined, place)
    replaced = np.flatnonzero((job_ends < last_day) & (rng.random(len(place)) < REPLACED))
    follows = job_ends[replaced] + rng.integers(0, 45, len(replaced))
    ids = [f"{accounts.ids[a]}.u{p}" for a, p in zip(account.tolist(), place.tolist(), strict=True)]
    ids += [f"{ids[user]}b" for user in replaced.tolist()]
    account, place = np.append(account, account[replaced]), np.append(place, place[replaced])
    joined, job_ends = (
        np.append(joined, follows),
        np.append(job_ends, _job_ends(rng, follows, place[replaced])),
    )
    size = len(account)
    hours = hours_of(accounts)[account]
    return People(
        account=account,
        place=place,
        first=np.cumsum(seats) - seats,
        role=_roles(rng, place, hours),
        joined=joined,
        left=_left(rng, fates, changes, account, place, job_ends),
        diligence=np.where(hours == Hours.MACHINE, 1.0, rng.beta(9.0, 1.2, size)),
        start_minute=np.clip(rng.normal(525.0, 50.0, size), 360, 660).astype(np.int64),
        crew=rng.integers(0, 2, size) * 4 + rng.integers(0, 2, size) + accounts.billing_day[account] % 8,
        mobile=(rng.random(size) < MOBILE) & (hours != Hours.MACHINE),
        ids=ids,
    )


def _roles(rng: np.random.Generator, place: Ints, hours: Ints) -> Ints:
    drawn = rng.choice(4, len(place), p=(0.06, 0.16, 0.6, 0.18))
    return np.where(hours == Hours.MACHINE, INTEGRATION, np.where(place == 0, ROLES.index("admin"), drawn))


def _joined(
    rng: np.random.Generator, accounts: Accounts, changes: Changes, account: Ints, place: Ints
) -> Ints:
    """The first user joins at once, colleagues over the first weeks, some much later, a new team when it comes."""
    size = len(account)
    much_later = 500.0 * rng.random(size) * (rng.random(size) < JOINS_LATE)
    ramp = rng.gamma(1.2, 18.0, size) + much_later
    own = accounts.began[account] + np.where(place == 0, 0, ramp.astype(np.int64))
    team = _between(rng, changes.grows_from[account], changes.grows_until[account])
    return np.where(place < accounts.seats[account], own, team)


def _job_ends(rng: np.random.Generator, joined: Ints, place: Ints) -> Ints:
    """People change jobs after years; of the first user nothing is known but that of the account."""
    tenure = np.minimum(rng.exponential(1.0, len(joined)) * 2500.0, float(FAR_DAY)).astype(np.int64)
    return np.where(place == 0, FAR_DAY, joined + 30 + tenure)


def _left(
    rng: np.random.Generator, fates: Fates, changes: Changes, account: Ints, place: Ints, job_ends: Ints
) -> Ints:
    """In a fading account all give up one by one, the first user last; of a team that is cut a share leaves."""
    stays = place == 0
    begin, end = fates.fades_from[account], fates.stops_on[account]
    share = np.where(stays, 1.0, rng.random(len(account)))
    fading = np.where(begin < FAR_DAY, begin + np.floor(share * (end - begin)).astype(np.int64), FAR_DAY)
    hit = ~stays & (rng.random(len(account)) < changes.cut_share[account])
    cut = np.where(hit, _between(rng, changes.cut_from[account], changes.cut_until[account]), FAR_DAY)
    left: Ints = np.minimum.reduce([job_ends, fading, cut, end + 1])
    return left


def _between(rng: np.random.Generator, begin: Ints, end: Ints) -> Ints:
    """Return a day of ``[begin, end)`` for each."""
    return begin + np.floor(rng.random(len(begin)) * (end - begin)).astype(np.int64)


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
