"""The customers: what each account is, drawn once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from agents.simulation.archetypes import ARCHETYPES, Cadence, Hours
from agents.simulation.calendars import ZONES
from agents.simulation.pages import FEATURES

if TYPE_CHECKING:
    from agents.simulation.arrays import Bools, Floats, Ints

KINDS: Final = (("customer", 0.88), ("trial", 0.06), ("partner", 0.04), ("internal", 0.02))
SECTORS: Final = ("manufacturing", "retail", "logistics", "health", "finance", "education", "media", "public")
PLANS: Final = ("starter", "team", "business", "enterprise")
METHODS: Final = ("password", "sso", "magic_link", "api")
TERMS_DAYS: Final = (14, 30)
NEWCOMERS: Final = 0.2
MOVING_PER_YEAR: Final = 0.03
FAR_DAY: Final = 200_000
YEAR: Final = 365.25
REFERENCES_PER_YEAR: Final = 0.3
REFERS_FROM: Final = 0.6
WINTER_CLOSED: Final = 0.35
SUMMER_CLOSED: Final = 0.12
QUARTER_RUSH: Final = 0.3
YEARLY: Final = 0.3
MAGIC_LINK: Final = 0.15
CARD_SEATS: Final = 8
SEATS_MAX: Final = 400


class Accounts(NamedTuple):
    """Columns with one row per account, in the order of the account number.

    Days are local day numbers, ``FAR_DAY`` means never; ``season_*`` and ``summer_from`` are days of the year.
    ``adopted`` (accounts x features) is the day from which the account uses a feature, ``weekly`` (accounts x 7)
    the chance to work on a weekday. On ``moves_on`` the account's office moves to the zone ``moves_to``.
    ``value`` (0..1) is how much of what was agreed the product brings, ``references`` how many were given so far.
    """

    ids: list[str]
    archetype: Ints
    kind: Ints
    zone: Ints
    moves_on: Ints
    moves_to: Ints
    sector: Ints
    plan: Ints
    seats: Ints
    began: Ints
    method: Ints
    adopted: Ints
    weekly: Floats
    season_from: Ints
    season_days: Ints
    winter_closed: Bools
    summer_from: Ints
    quarter_rush: Bools
    yearly: Bools
    billing_day: Ints
    pays_by_card: Bools
    terms_days: Ints
    punctuality: Floats
    arr: Ints
    value: Floats
    references: Ints

    @property
    def size(self) -> int:
        """Number of accounts."""
        return len(self.ids)

    def zone_on(self, day: int) -> Ints:
        """Return the number of the zone in which each account works on a local day."""
        return np.where(self.moves_on <= day, self.moves_to, self.zone)

    def zone_name(self, account: int, day: int) -> str:
        """Return the name of the zone in which an account works on a local day."""
        moved = self.moves_on[account] <= day
        return ZONES[int(self.moves_to[account] if moved else self.zone[account])].name


def draw_accounts(rng: np.random.Generator, size: int, first_day: int, days: int) -> Accounts:
    """Draw ``size`` accounts; most are customers already on ``first_day``, some come within ``days``."""
    archetype = _stratified(rng, size, [kind.share for kind in ARCHETYPES])
    kind = _stratified(rng, size, [share for _, share in KINDS])
    seats = _seats(rng, archetype)
    plan = np.clip(np.digitize(seats, (3, 10, 40)), 0, len(PLANS) - 1)
    office = np.isin(archetype, [i for i, a in enumerate(ARCHETYPES) if a.hours is Hours.OFFICE])
    began = _began(rng, size, first_day, days, trials=kind == 1)
    zone = _stratified(rng, size, [place.share for place in ZONES])
    value = rng.beta(4.0, 2.0, size)
    arr = np.round(seats * rng.lognormal(np.log(420.0), 0.35, size) * (1 + plan * 0.2), -1).astype(np.int64)
    return Accounts(
        ids=[f"acct-{number:05d}" for number in range(size)],
        archetype=archetype,
        kind=kind,
        zone=zone,
        moves_on=_moves_on(rng, np.maximum(began, first_day)),
        moves_to=(zone + rng.integers(1, len(ZONES), size)) % len(ZONES),
        sector=rng.integers(0, len(SECTORS), size),
        plan=plan,
        seats=seats,
        began=began,
        method=_methods(rng, archetype, seats),
        adopted=_adopted(rng, began),
        weekly=_weekly(rng, archetype),
        season_from=rng.integers(0, 365, size),
        season_days=rng.integers(100, 200, size),
        winter_closed=office & (rng.random(size) < WINTER_CLOSED),
        summer_from=np.where(office & (rng.random(size) < SUMMER_CLOSED), rng.integers(205, 228, size), -99),
        quarter_rush=rng.random(size) < QUARTER_RUSH,
        yearly=rng.random(size) < YEARLY,
        billing_day=rng.integers(0, 365, size),
        pays_by_card=seats <= CARD_SEATS,
        terms_days=np.array(TERMS_DAYS)[rng.integers(0, len(TERMS_DAYS), size)],
        punctuality=rng.beta(12.0, 1.0, size),
        arr=arr,
        value=value,
        references=_references(rng, value, first_day - began),
    )


def _stratified(rng: np.random.Generator, size: int, shares: list[float]) -> Ints:
    """Draw categories whose counts are as near to their shares as whole numbers allow."""
    places = (np.arange(size) + rng.random()) / size
    ends = np.cumsum(np.array(shares) / sum(shares))
    return rng.permutation(np.minimum(np.searchsorted(ends, places, side="right"), len(shares) - 1))


def _seats(rng: np.random.Generator, archetype: Ints) -> Ints:
    median = np.array([kind.seats for kind in ARCHETYPES])[archetype]
    spread = np.array([kind.spread for kind in ARCHETYPES])[archetype]
    return np.clip(np.round(rng.lognormal(np.log(median), spread)), 1, SEATS_MAX).astype(np.int64)


def _began(rng: np.random.Generator, size: int, first_day: int, days: int, trials: Bools) -> Ints:
    existing = first_day - 30 - np.floor(rng.gamma(1.5, 300.0, size)).astype(np.int64)
    newcomer = first_day + np.floor(rng.random(size) * max(1, days - 14)).astype(np.int64)
    return np.where((rng.random(size) < NEWCOMERS) | trials, newcomer, existing)


def _methods(rng: np.random.Generator, archetype: Ints, seats: Ints) -> Ints:
    people = np.where(rng.random(len(seats)) < np.clip(seats / 30.0, 0.05, 0.9), 1, 0)
    people = np.where((people == 0) & (rng.random(len(seats)) < MAGIC_LINK), 2, people)
    machines = [number for number, kind in enumerate(ARCHETYPES) if kind.hours is Hours.MACHINE]
    return np.where(np.isin(archetype, machines), METHODS.index("api"), people)


def _moves_on(rng: np.random.Generator, settled: Ints) -> Ints:
    wait = rng.exponential(1.0, len(settled)) / MOVING_PER_YEAR * YEAR
    return np.minimum(settled + 1 + wait.astype(np.int64), FAR_DAY)


def _adopted(rng: np.random.Generator, began: Ints) -> Ints:
    """Some features are used from the first weeks, others are found months later, some never."""
    shape = (len(began), len(FEATURES))
    used = rng.random(shape) < rng.beta(2.0, 1.5, len(began))[:, None]
    found = np.floor(rng.gamma(0.8, 60.0, shape)).astype(np.int64)
    return np.where(used, began[:, None] + found, FAR_DAY)


def _references(rng: np.random.Generator, value: Floats, age_days: Ints) -> Ints:
    """References given before the history begins: by accounts to which the product brings much."""
    years = np.maximum(age_days, 0) / YEAR
    return rng.poisson(REFERENCES_PER_YEAR * years * (value > REFERS_FROM))


def _weekly(rng: np.random.Generator, archetype: Ints) -> Floats:
    """Chances per weekday: the archetype's, less the weekdays that an account does not keep."""
    size = len(archetype)
    chances = np.array([kind.weekdays for kind in ARCHETYPES])[archetype]
    kept = np.array([kind.weekdays_kept for kind in ARCHETYPES])[archetype]
    quiet = np.array([kind.quiet for kind in ARCHETYPES])[archetype]
    rank = rng.random((size, 5)).argsort(axis=1).argsort(axis=1)
    dropped = (kept > 0)[:, None] & (rank >= kept[:, None])
    chances[:, :5] = np.where(dropped, quiet[:, None], chances[:, :5])
    return np.clip(chances * rng.normal(1.0, 0.04, (size, 1)), 0.0, 0.99)


def cadence_of(accounts: Accounts) -> Ints:
    """Return the cadence number of every account."""
    return np.array([int(Cadence(kind.cadence)) for kind in ARCHETYPES])[accounts.archetype]


def hours_of(accounts: Accounts) -> Ints:
    """Return the number of the working hours of every account."""
    return np.array([int(kind.hours) for kind in ARCHETYPES])[accounts.archetype]
