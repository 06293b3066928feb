"""A simulated company: a seed and a span of time in, the events of all its customers out, in time order."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from agents.simulation.accounts import draw_accounts
from agents.simulation.billing import Billing
from agents.simulation.calendars import ZONES, date_of, offset_ms
from agents.simulation.changes import draw_changes
from agents.simulation.clocktext import instant_texts
from agents.simulation.conditions import Conditions
from agents.simulation.contracts import Contracts
from agents.simulation.fates import Rates, draw_fates
from agents.simulation.intents import Intents
from agents.simulation.people import draw_people
from agents.simulation.presence import Presence
from agents.simulation.profile import Profiles
from agents.simulation.sessions import Sessions
from agents.simulation.tickets import Tickets
from agents.simulation.truth import stop_ms, truth_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents.simulation.arrays import Bools, Ints
    from agents.simulation.rows import Row
    from schemas.topics import Input

DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000
AHEAD_MS: Final = 14 * HOUR_MS
"""No local day begins earlier than this before its UTC day; every local day has begun this long after it."""
QUARTER_RUSH_DAYS: Final = 7
_OCCURRED = itemgetter(0)


class SimulatedEvent(NamedTuple):
    """One event: its input, key, instant in ms UTC, and the UTF-8 JSON body as it goes on the wire."""

    topic: Input
    account_id: str
    occurred_ms: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What is simulated: ``days`` of history from ``start_ms`` (ms UTC), and ``further_ms`` after it."""

    seed: int
    accounts: int
    start_ms: int
    days: int
    further_ms: int = 0
    volume: float = 1.0
    rates: Rates = field(default_factory=Rates)

    @property
    def end_ms(self) -> int:
        """The instant at which the simulation ends, exclusive."""
        return self.start_ms + self.days * DAY_MS + self.further_ms

    @property
    def run(self) -> str:
        """A short name of exactly these arguments; it begins every event id."""
        return hashlib.blake2s(repr(self).encode(), digest_size=4).hexdigest()


class Company:
    """All customers of a simulated product.

    Iterate once to get the events in time order; memory is bounded by about two days of events and what tickets and
    payments of these days will still bring. The same span
    gives the same bytes. ``stops_ms`` is the instant from which each account has no events.
    """

    def __init__(self, span: Span) -> None:
        self.span = span
        self.first_day = (span.start_ms - AHEAD_MS) // DAY_MS
        rng = np.random.default_rng([span.seed, 0])
        self.accounts = draw_accounts(rng, span.accounts, self.first_day, span.days)
        self.fates = draw_fates(rng, self.accounts, self.first_day, span.rates)
        self.changes = draw_changes(rng, self.accounts, self.fates, self.first_day, span.rates)
        self.people = draw_people(rng, self.accounts, self.fates, self.changes, self.first_day + span.days)
        self.stops_ms = np.array([stop_ms(self.accounts, self.fates, a) for a in range(span.accounts)])
        self._at_work: dict[int, Ints] = {}
        self._parts()

    def _parts(self) -> None:
        accounts, people, fates, changes = self.accounts, self.people, self.fates, self.changes
        self._conditions = Conditions(accounts, people, self.first_day)
        self._presence = Presence(accounts, people, fates, changes)
        self._sessions = Sessions(accounts, people, self.span.volume)
        self._intents = Intents(people, fates, changes)
        self._tickets = Tickets(accounts, people, fates)
        self._contracts = Contracts(accounts, fates, changes)
        self._billing = Billing(accounts, fates, self._contracts)
        self._profiles = Profiles(accounts, fates, self._contracts)

    def __iter__(self) -> Iterator[SimulatedEvent]:
        """Yield every event of the span in time order."""
        envelope = Envelope(self.span.run, self.accounts.ids)
        limits = np.minimum(self.stops_ms, self.span.end_ms).tolist()
        waiting: defaultdict[int, list[Row]] = defaultdict(list)
        for day in range(self.first_day, (self.span.end_ms + AHEAD_MS) // DAY_MS + 1):
            for row in self._rows(day):
                if self.span.start_ms <= row[0] < limits[row[2]]:
                    waiting[(row[0] + AHEAD_MS) // DAY_MS].append(row)
            yield from envelope.sealed(waiting.pop(day, []))

    def truth(self) -> Iterator[dict[str, Any]]:
        """Yield what really happens to each account within the span."""
        for account in range(self.span.accounts):
            yield truth_of(
                self.accounts, self.fates, self.changes, account, self.span.start_ms, self.span.end_ms
            )

    def at_work(self, day: int) -> Ints:
        """Return the users (row numbers) who use the product on a local day, one of the latest three."""
        return self._at_work.get(day, np.zeros(0, dtype=np.int64))

    def midnights_ms(self, day: int) -> Ints:
        """Return the instant at which a local day begins, per account."""
        begins = np.array([day * DAY_MS - offset_ms(zone.name, day) for zone in ZONES], dtype=np.int64)
        return begins[self.accounts.zone_on(day)]

    def further_rows(self, rng: np.random.Generator, users: Ints, at_ms: Ints) -> list[Row]:
        """Return one more page visit or log-in for each of ``users``, at ``at_ms``."""
        return self._sessions.further(rng, users, at_ms)

    def _rows(self, day: int) -> list[Row]:
        """Draw everything that a local day sets off, in no order; some of it happens on later days."""
        rng = np.random.default_rng([self.span.seed, 1, day])
        midnights = self.midnights_ms(day)
        self._conditions.advance(rng, day, date_of(day).weekday())
        users = self._presence.draw(rng, day, self._conditions)
        self._at_work = {day: users, day - 1: self.at_work(day - 1), day - 2: self.at_work(day - 2)}
        rows = self._known_accounts() if day == self.first_day else []
        rows += self._profiles.draw(rng, day, midnights)
        rows += self._contracts.draw(rng, day, midnights)
        rows += self._sessions.draw(rng, day, users, midnights, self._rush(day))
        rows += self._intents.draw(rng, day, users, midnights)
        rows += self._tickets.draw(rng, day, users, midnights)
        return rows + self._billing.draw(rng, day)

    def _known_accounts(self) -> list[Row]:
        known = np.flatnonzero(self.accounts.began < self.first_day).tolist()
        facts = self._profiles.first_facts
        return [facts(a, self.first_day, self.span.start_ms + n) for n, a in enumerate(known)]

    def _rush(self, day: int) -> Bools:
        """Tell which accounts have a busy day: a campaign, or the last week of a quarter."""
        ahead = date_of(day + QUARTER_RUSH_DAYS)
        quarter_ends = ahead.month % 3 == 1 and ahead.day <= QUARTER_RUSH_DAYS
        return self._conditions.campaign | (self.accounts.quarter_rush & quarter_ends)


class Envelope:
    """Gives rows their event ids, numbered in time order, and the members that all events share."""

    def __init__(self, run: str, account_ids: list[str]) -> None:
        self._run, self._ids = run, account_ids
        self._count = 0

    def sealed(self, rows: list[Row]) -> Iterator[SimulatedEvent]:
        """Yield the rows of a stretch of time as events in time order (equal instants as they were drawn)."""
        rows.sort(key=_OCCURRED)
        texts = instant_texts(np.array([row[0] for row in rows], dtype=np.int64))
        run, ids = self._run, self._ids
        numbered = enumerate(zip(rows, texts, strict=True), self._count)
        for number, ((at_ms, topic, account, members), at) in numbered:
            name = ids[account]
            body = f'{{"event_id":"{run}-{number:08x}","account_id":"{name}","occurred_at":"{at}",{members}}}'
            yield SimulatedEvent(topic, name, at_ms, body.encode())
        self._count += len(rows)
