"""The company in real time: its own events when they are due, and more of them at a given rate.

Further events come only from people who are at work that day, so that they change how much an account is used
but never on which days: rhythms and truth stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from agents.simulation.calendars import ZONES, offset_ms
from agents.simulation.company import DAY_MS, Company, Envelope, SimulatedEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agents.simulation.arrays import Ints

TICK_S: Final = 0.05
CATCH_UP_S: Final = 1.0


class Padding:
    """Events at ``rate`` a second on top of the company's own, since ``since_ms``."""

    def __init__(self, company: Company, rate: float, since_ms: int) -> None:
        self._company, self._rate, self._since_ms = company, rate, since_ms
        self._rng = np.random.default_rng([company.span.seed, 2])
        self._envelope = Envelope(f"{company.span.run}p", company.accounts.ids)
        self._owed = 0.0

    def due(self, now_ms: int) -> list[SimulatedEvent]:
        """Return the events between the last call and ``now_ms``, in time order."""
        begin_ms = max(self._since_ms, now_ms - int(CATCH_UP_S * 1000))
        self._since_ms = now_ms
        self._owed += self._rate * (now_ms - begin_ms) / 1000.0
        users = self._users(now_ms)
        count = int(self._owed)
        self._owed -= count
        if count == 0 or len(users) == 0:
            return []
        chosen = users[self._rng.integers(0, len(users), count)]
        at_ms = np.sort(self._rng.integers(begin_ms, max(now_ms, begin_ms + 1), count))
        return list(self._envelope.sealed(self._company.further_rows(self._rng, chosen, at_ms)))

    def _users(self, now_ms: int) -> Ints:
        """Users who are at work on the local day that it is for them now, in accounts that still exist."""
        people, accounts = self._company.people.account, self._company.accounts
        today_by_zone = np.array([_local_day(place.name, now_ms) for place in ZONES])
        found = []
        for day in np.unique(today_by_zone).tolist():
            users = self._company.at_work(day)
            account = people[users]
            goes_on = self._company.stops_ms[account] > now_ms
            found.append(users[goes_on & (today_by_zone[accounts.zone_on(day)[account]] == day)])
        return np.concatenate(found)


def _local_day(zone: str, now_ms: int) -> int:
    return (now_ms + offset_ms(zone, now_ms // DAY_MS)) // DAY_MS


def paced(
    company: Company, rate: float, clock_ms: Callable[[], int], sleep: Callable[[float], None]
) -> Iterator[SimulatedEvent | None]:
    """Yield past events at once and later ones when their time comes, until the company's span ends.

    ``None`` is yielded at least every ``TICK_S`` seconds of waiting, so that the caller can do its own work.
    """
    padding = Padding(company, rate, max(clock_ms(), company.span.start_ms + company.span.days * DAY_MS))
    for event in company:
        while event.occurred_ms > (now_ms := clock_ms()):
            yield from padding.due(now_ms)
            yield None
            sleep(min(TICK_S, (event.occurred_ms - now_ms) / 1000.0))
        yield event
    while (now_ms := clock_ms()) < company.span.end_ms:
        yield from padding.due(now_ms)
        yield None
        sleep(min(TICK_S, (company.span.end_ms - now_ms) / 1000.0))
