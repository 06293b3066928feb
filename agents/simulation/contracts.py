"""Contracts: trials that become customers, seats that are bought, renewals that move the date and the price."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from agents.simulation.accounts import KINDS, Accounts
from agents.simulation.calendars import date_of
from agents.simulation.rows import Row, facts_row

if TYPE_CHECKING:
    from agents.simulation.arrays import Bools, Ints
    from agents.simulation.changes import Changes
    from agents.simulation.fates import Fates

PAYING_KINDS: Final = tuple(code for code, (name, _) in enumerate(KINDS) if name in {"customer", "partner"})
NIGHT_RUN_MS: Final = 2000
"""The nightly run of the customer database, after the account's local midnight."""
YEARLY_RISE: Final = 0.07
FIRST_RENEWAL_DAYS: Final = 300


class Contracts:
    """What each account has bought; call ``draw`` once for every local day, in order.

    ``arr`` (whole units of the company's own currency) and ``seats`` are those of today, ``since`` is the local day
    on which the contract began.
    """

    def __init__(self, accounts: Accounts, fates: Fates, changes: Changes) -> None:
        self._accounts, self._changes = accounts, changes
        self._converts_on = fates.converts_on
        self._pays = np.isin(accounts.kind, PAYING_KINDS)
        self.since = np.where(self._pays, accounts.began, fates.converts_on)
        self.arr, self.seats = accounts.arr.copy(), accounts.seats.copy()

    def paying(self, day: int) -> Bools:
        """Tell which accounts have a contract on a local day."""
        paying: Bools = self.since <= day
        return paying

    def known_facts(self, account: int, day: int) -> dict[str, Any]:
        """Return what is told of an account's contract on a local day; of one without only the seats."""
        facts: dict[str, Any] = {"seats": int(self.seats[account])}
        if self.since[account] > day:
            return facts
        since = date_of(int(self.since[account]))
        renewal = self._renewal(account, day)
        return facts | {
            "arr": int(self.arr[account]),
            "customer_since": str(since),
            "renewal_date": str(renewal),
        }

    def draw(self, rng: np.random.Generator, day: int, midnights_ms: Ints) -> list[Row]:
        """Return the rows of a local day: conversions, seats bought, renewals."""
        told: dict[int, dict[str, Any]] = {}
        for account in np.flatnonzero(self._changes.grows_from == day).tolist():
            self._resize(account, int(self.seats[account] + self._changes.grows_by[account]))
            told[account] = self._bought(account, day)
        for account in self._renewed(day):
            if self._changes.cut_until[account] <= day:
                self._resize(account, self._kept(account))
            self.arr[account] = round(int(self.arr[account]) * (1.0 + YEARLY_RISE * rng.random()))
            told[account] = self._bought(account, day) | {"renewal_date": str(self._renewal(account, day))}
        for account in np.flatnonzero(self._converts_on == day).tolist():
            told[account] = {"kind": "customer"} | self.known_facts(account, day)
        return [
            facts_row(account, int(midnights_ms[account]) + NIGHT_RUN_MS, facts, "crm")
            for account, facts in told.items()
        ]

    def _bought(self, account: int, day: int) -> dict[str, Any]:
        """Return seats and, if it pays, the yearly revenue of an account."""
        facts = self.known_facts(account, day)
        return {name: facts[name] for name in ("seats", "arr") if name in facts}

    def _resize(self, account: int, seats: int) -> None:
        self.arr[account] = round(int(self.arr[account]) * seats / int(self.seats[account]))
        self.seats[account] = seats

    def _kept(self, account: int) -> int:
        """Seats after a team has left: never more than now, so that the second renewal takes none away."""
        left = round(float(self._accounts.seats[account]) * (1.0 - float(self._changes.cut_share[account])))
        return int(min(self.seats[account], max(1, left)))

    def _renewal(self, account: int, day: int) -> date:
        """Return the date of the first renewal after a local day."""
        anchor, today = date_of(int(self.since[account])), date_of(day)
        years = max(1, today.year - anchor.year)
        renewal = _years_after(anchor, years)
        return renewal if renewal > today else _years_after(anchor, years + 1)

    def _renewed(self, day: int) -> list[int]:
        """Return the accounts whose contract is renewed on a local day."""
        today = date_of(day)
        return [
            account
            for account in np.flatnonzero(self.since < day - FIRST_RENEWAL_DAYS).tolist()
            if (anchor := date_of(int(self.since[account]))).month == today.month
            and min(anchor.day, 28) == today.day
        ]


def _years_after(anchor: date, years: int) -> date:
    return date(anchor.year + years, anchor.month, 1) + timedelta(days=min(anchor.day, 28) - 1)
