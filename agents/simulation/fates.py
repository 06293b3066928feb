"""What becomes of each account: who stays, stops, fades or pauses, when and why. Drawn once, at the start."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from agents.simulation.accounts import FAR_DAY, KINDS, YEAR, Accounts

if TYPE_CHECKING:
    from agents.simulation.arrays import Bools, Ints

DAY_MS: Final = 86_400_000
TRIAL: Final = next(code for code, (name, _) in enumerate(KINDS) if name == "trial")
TRIALS_ENDING: Final = 0.5


class Outcome(IntEnum):
    """How the relation ends."""

    STAYS = 0
    STOPS = 1
    FADES = 2
    NEVER_STARTS = 3


class Cause(NamedTuple):
    """Why an account leaves. ``cancel_page`` and ``trouble`` are the chances of such signs before the end."""

    name: str
    share: float
    outcome: Outcome
    cancel_page: float
    trouble: float


CAUSES: Final = (
    Cause("budget_cut", 0.15, Outcome.STOPS, 0.1, 0.0),
    Cause("acquired", 0.12, Outcome.STOPS, 0.0, 0.0),
    Cause("went_out_of_business", 0.08, Outcome.STOPS, 0.0, 0.5),
    Cause("cancelled_by_admin", 0.22, Outcome.STOPS, 1.0, 0.1),
    Cause("unresolved_trouble", 0.13, Outcome.STOPS, 0.5, 1.0),
    Cause("champion_left", 0.15, Outcome.FADES, 0.1, 0.0),
    Cause("replaced_by_other_tool", 0.15, Outcome.FADES, 0.3, 0.1),
    Cause("trial_ended", 0.0, Outcome.STOPS, 0.1, 0.0),
    Cause("never_introduced", 0.0, Outcome.NEVER_STARTS, 0.0, 0.0),
)
CAUSE_CODE: Final = {cause.name: code for code, cause in enumerate(CAUSES)}


class Rates(NamedTuple):
    """How often things happen, per account and year, and the share of newcomers that never start.

    Ends and rests: leaving, pausing. Changes of those who stay: slow declines, teams that leave (``cutting``) or come
    (``growing``), looks at upgrades without buying any.
    """

    leaving_per_year: float = 0.25
    pausing_per_year: float = 0.15
    never_starting: float = 0.015
    declining_per_year: float = 0.08
    cutting_per_year: float = 0.06
    growing_per_year: float = 0.1
    looking_per_year: float = 0.2


class Fates(NamedTuple):
    """Columns with one row per account; days are local day numbers, ``FAR_DAY`` means never.

    ``stops_on`` is the last day with any event, ``stops_at_minute`` the local minute of that day at which all
    ends; ``cancel_days`` (accounts x 3) are days on which an administrator opens the cancellation page.
    ``converts_on`` is the day on which a trial becomes a customer.
    """

    outcome: Ints
    cause: Ints
    fades_from: Ints
    stops_on: Ints
    stops_at_minute: Ints
    cancel_days: Ints
    trouble: Bools
    pauses_from: Ints
    pauses_until: Ints
    converts_on: Ints


def draw_fates(rng: np.random.Generator, accounts: Accounts, first_day: int, rates: Rates) -> Fates:
    """Draw what becomes of every account after ``first_day``."""
    size = accounts.size
    cause, stops_on, converts_on = _departures(rng, accounts, first_day, rates)
    outcome = np.array([int(cause.outcome) for cause in CAUSES])[cause]
    outcome = np.where(stops_on >= FAR_DAY, int(Outcome.STAYS), outcome)
    never = (rng.random(size) < rates.never_starting) & (accounts.began > first_day)
    outcome = np.where(never, int(Outcome.NEVER_STARTS), outcome)
    fading = np.floor(rng.uniform(30, 110, size)).astype(np.int64)
    pauses_from, pauses_until = _pauses(rng, accounts, first_day, rates)
    return Fates(
        outcome=outcome,
        cause=np.where(never, CAUSE_CODE["never_introduced"], cause),
        fades_from=np.where(outcome == Outcome.FADES, np.maximum(stops_on - fading, first_day), FAR_DAY),
        stops_on=np.where(never, FAR_DAY, stops_on),
        stops_at_minute=rng.integers(10 * 60, 18 * 60, size),
        cancel_days=_cancel_days(rng, cause, np.where(never, FAR_DAY, stops_on)),
        trouble=(rng.random(size) < np.array([c.trouble for c in CAUSES])[cause]) & (stops_on < FAR_DAY),
        pauses_from=pauses_from,
        pauses_until=pauses_until,
        converts_on=np.where(never, FAR_DAY, converts_on),
    )


def _departures(
    rng: np.random.Generator, accounts: Accounts, first_day: int, rates: Rates
) -> tuple[Ints, Ints, Ints]:
    """Cause and last day of every account, ``FAR_DAY`` where it is not in sight, and the day a trial is bought."""
    size = accounts.size
    shares = np.array([cause.share for cause in CAUSES])
    cause = rng.choice(len(CAUSES), size, p=shares / shares.sum())
    years = rng.exponential(1.0, size) / max(rates.leaving_per_year, 1e-9)
    wait = np.minimum(years * YEAR, float(FAR_DAY)).astype(np.int64)
    stops_on = np.minimum(np.maximum(accounts.began + 21, first_day) + wait, FAR_DAY)
    trial, ending = accounts.kind == TRIAL, rng.random(size) < TRIALS_ENDING
    decided_on = accounts.began + rng.integers(14, 31, size)
    ends_on = np.where(trial & ending, decided_on, stops_on)
    converts_on = np.where(trial & ~ending & (decided_on < ends_on), decided_on, FAR_DAY)
    return np.where(trial & ending, CAUSE_CODE["trial_ended"], cause), ends_on, converts_on


def _pauses(rng: np.random.Generator, accounts: Accounts, first_day: int, rates: Rates) -> tuple[Ints, Ints]:
    wait = rng.exponential(1.0, accounts.size) / max(rates.pausing_per_year, 1e-9)
    settled = np.maximum(accounts.began + 30, first_day)
    begin = settled + np.minimum(wait * YEAR, FAR_DAY).astype(np.int64)
    return np.minimum(begin, FAR_DAY), np.minimum(begin + rng.integers(21, 80, accounts.size), FAR_DAY)


def _cancel_days(rng: np.random.Generator, cause: Ints, stops_on: Ints) -> Ints:
    """Days of visits to the cancellation page: one to three within the last fortnight, or none."""
    size = len(cause)
    warned = rng.random(size) < np.array([c.cancel_page for c in CAUSES])[cause]
    back = np.stack([rng.integers(1, 4, size), rng.integers(2, 9, size), rng.integers(5, 14, size)], axis=1)
    visits = rng.integers(1, 4, size)
    shown = (warned & (stops_on < FAR_DAY))[:, None] & (np.arange(3)[None, :] < visits[:, None])
    return np.where(shown, stops_on[:, None] - back, FAR_DAY)
