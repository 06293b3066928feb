"""A day's log-ins and page visits of the people who are at work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from agents.simulation.accounts import METHODS, Accounts, hours_of
from agents.simulation.archetypes import ARCHETYPES, Hours
from agents.simulation.arrays import Bools, Ints, owners_of, places_in, running_sums
from agents.simulation.pages import HOME, PAGES, ROLES, TABLE_SIZE, needed_features, page_text, role_tables
from agents.simulation.rows import Row
from schemas.topics import Input

if TYPE_CHECKING:
    from agents.simulation.people import People

MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000
DAY_MIN: Final = 1440.0
FAILED_SHARE: Final = 0.04
LOGIN_AGAIN_SHARE: Final = 0.3
FURTHER_LOGINS: Final = 0.15
LUNCH: Final = (720.0, 760.0)
MACHINE_LOOKED_AT: Final = 0.02
MACHINE_RUNS: Final = np.array([1, 4, 24])
_LOGIN, _VISIT = Input.LOGINS, Input.PAGE_VISITS


class Sessions:
    """Turns the users at work on a day into log-ins and page visits.

    ``volume`` scales further sessions and pages of a session; it never adds or removes an active day.
    """

    def __init__(self, accounts: Accounts, people: People, volume: float) -> None:
        self._accounts, self._people = accounts, people
        self._hours = hours_of(accounts)
        self._more = volume * np.array([kind.sessions for kind in ARCHETYPES])[accounts.archetype]
        mean_pages = np.array([kind.pages for kind in ARCHETYPES])[accounts.archetype]
        self._page_chance = 1.0 / np.maximum(1.0, volume * mean_pages)
        self._tables, self._needed = role_tables(), needed_features()
        places, roles = range(len(PAGES)), range(len(ROLES))
        self._page_texts = [
            [page_text(page, role, mobile=mobile) for page in places]
            for mobile in (False, True)
            for role in roles
        ]
        self._face = people.role + people.mobile * len(ROLES)
        self._used = self._used_on(0)
        self._method_texts = [f'"method":"{name}","success":' for name in METHODS]

    def draw(
        self, rng: np.random.Generator, day: int, users: Ints, midnights_ms: Ints, rush: Bools
    ) -> list[Row]:
        """Return the rows of a local day, in no order.

        ``midnights_ms`` is the instant of each account's midnight, ``rush`` marks accounts with a busy day.
        """
        self._used = self._used_on(day)
        account = self._people.account[users]
        more = rng.poisson(self._more[account] * np.where(rush[account], 2.0, 1.0))
        machine = self._hours[account] == Hours.MACHINE
        counts = np.where(machine, MACHINE_RUNS[users % len(MACHINE_RUNS)], 1 + more)
        owner, place = owners_of(counts), places_in(counts)
        user = users[owner]
        start_ms = midnights_ms[self._people.account[user]] + self._starts(rng, user, place, counts[owner])
        return self._logins(rng, user, place, start_ms) + self._visits(rng, user, start_ms, midnights_ms)

    def further(self, rng: np.random.Generator, user: Ints, at_ms: Ints) -> list[Row]:
        """Return single page visits, and some log-ins, of the given users at the given instants."""
        logs_in = rng.random(len(user)) < FURTHER_LOGINS
        visitor, seen_ms = user[~logs_in], at_ms[~logs_in]
        dwell_ms = np.minimum(rng.lognormal(10.3, 1.0, len(visitor)), 1_200_000.0).astype(np.int64)
        visits = self._visit_rows(visitor, seen_ms, self._pages(rng, visitor), dwell_ms)
        return self._login_rows(user[logs_in], at_ms[logs_in], "true") + visits

    def _used_on(self, day: int) -> Bools:
        """Tell which features each account has found by a day; the last column, for pages without any, is true."""
        return np.pad(self._accounts.adopted <= day, ((0, 0), (0, 1)), constant_values=True)

    def _starts(self, rng: np.random.Generator, user: Ints, place: Ints, count: Ints) -> Ints:
        """Milliseconds after midnight at which each session begins."""
        hours = self._hours[self._people.account[user]]
        usual = self._people.start_minute[user]
        first = usual + rng.gamma(1.5, 20.0, len(user))
        later = usual + 60.0 + rng.random(len(user)) * 450.0
        later += np.where((later > LUNCH[0]) & (later < LUNCH[1]), 50.0, 0.0)
        shift = (360.0 + self._people.crew[user] % 3 * 480 + rng.random(len(user)) * 470.0) % DAY_MIN
        run = (user * 7) % 60 + place * DAY_MIN / count
        office = np.where(place == 0, first, later)
        minute = np.where(
            hours == Hours.MACHINE, run, np.where(hours == Hours.ROUND_THE_CLOCK, shift, office)
        )
        in_day = np.clip(minute, 1.0, DAY_MIN - 2.0)
        return (in_day * MINUTE_MS).astype(np.int64) + rng.integers(0, MINUTE_MS, len(user))

    def _logins(self, rng: np.random.Generator, user: Ints, place: Ints, start_ms: Ints) -> list[Row]:
        account = self._people.account[user]
        machine = self._hours[account] == Hours.MACHINE
        logs_in = (place == 0) | machine | (rng.random(len(user)) < LOGIN_AGAIN_SHARE)
        failed = logs_in & ~machine & (rng.random(len(user)) < FAILED_SHARE)
        early = rng.integers(8_000, 40_000, len(user))
        return [
            *self._login_rows(user[failed], (start_ms - early)[failed], "false"),
            *self._login_rows(user[logs_in], start_ms[logs_in], "true"),
        ]

    def _login_rows(self, user: Ints, at_ms: Ints, success: str) -> list[Row]:
        ids, texts = self._people.ids, self._method_texts
        account = self._people.account[user]
        columns = (at_ms.tolist(), account.tolist(), self._accounts.method[account].tolist(), user.tolist())
        return [
            Row(at, _LOGIN, owner, f'"user_id":"{ids[who]}",{texts[method]}{success}')
            for at, owner, method, who in zip(*columns, strict=True)
        ]

    def _visits(self, rng: np.random.Generator, user: Ints, start_ms: Ints, midnights_ms: Ints) -> list[Row]:
        """Visits one after another within each session; all end with the local day."""
        account = self._people.account[user]
        human = self._hours[account] != Hours.MACHINE
        looked_at = rng.random(len(user)) < MACHINE_LOOKED_AT
        counts = np.where(human, rng.geometric(self._page_chance[account]), looked_at)
        session = owners_of(counts)
        dwell_ms = np.minimum(rng.lognormal(10.3, 1.0, len(session)), 1_200_000.0).astype(np.int64) + 400
        before = running_sums(dwell_ms.astype(np.float64), counts).astype(np.int64)
        visitor = user[session]
        seen_ms = start_ms[session] + 900 + before
        page = self._pages(rng, visitor)
        today = seen_ms < midnights_ms[self._people.account[visitor]] + DAY_MS
        return self._visit_rows(visitor[today], seen_ms[today], page[today], dwell_ms[today])

    def _pages(self, rng: np.random.Generator, visitor: Ints) -> Ints:
        page = self._tables[self._people.role[visitor], rng.integers(0, TABLE_SIZE, len(visitor))]
        return np.where(self._used[self._people.account[visitor], self._needed[page]], page, HOME)

    def _visit_rows(self, visitor: Ints, at_ms: Ints, page: Ints, dwell_ms: Ints) -> list[Row]:
        ids, texts = self._people.ids, self._page_texts
        account, face = self._people.account[visitor], self._face[visitor]
        columns = [column.tolist() for column in (at_ms, account, face, page, dwell_ms, visitor)]
        return [
            Row(at, _VISIT, owner, f'"user_id":"{ids[who]}",{texts[shown][place]},"duration_ms":{dwell}')
            for at, owner, shown, place, dwell, who in zip(*columns, strict=True)
        ]
