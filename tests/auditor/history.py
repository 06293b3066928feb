"""All that is known of one account: what happened to it, in order, and what follows from that, folded anew when asked.

Nothing here is a running total that a later event could leave wrong: days hold counts, lists hold everything else.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from schemas.catalogue import (
    CLOSED_KIND,
    DEFAULT_KIND,
    SOURCE_BY_NAME,
    Signal,
)
from schemas.reasons import EventNote
from schemas.topics import Input
from tests.auditor import rhythm, slots
from tests.auditor.days import local_day
from tests.auditor.exact import HOUR_MS
from tests.auditor.facts import as_category, day_told, expiry_ms, is_readable

if TYPE_CHECKING:
    from schemas.catalogue import Source
    from tests.auditor.event import Event
    from tests.auditor.settings import Settings
    from tests.auditor.slots import Slots

VOLUME_CAP, INCIDENT_CAP, AMOUNT_CAP = 65_535, 255, 1 << 53
MEASURED_CAP, MEASUREMENTS_CAP = (1 << 31) - 1, 65_535
ACTIVE_DAYS_KEPT, USER_DAYS = 128, 254
CURRENCY = re.compile("[A-Za-z]{3}")

Days = defaultdict[str, defaultdict[int, int]]


def _days() -> Days:
    return defaultdict(lambda: defaultdict(int))


def week_of(day: int) -> int:
    """Return the number of the week, from Monday on, that a day is in."""
    return (day + 3) // 7


def cap_of(source: Source) -> int:
    """Return the most that is counted of a source on one day."""
    return VOLUME_CAP if source.signal is Signal.VOLUME else INCIDENT_CAP


class Told(NamedTuple):
    """One fact as it was told; a value of None deletes."""

    time_ms: int
    value: Any
    expires_ms: int | None


class Return(NamedTuple):
    """The first day of activity after a silence that was told, and the days from the last one before."""

    day: int
    silent_days: int


class RiskVisits(NamedTuple):
    last_ms: int
    visits: int
    admin: bool


@dataclass
class History:
    """The applied events of one account.

    Attributes:
        active: days or hours of activity, each later than those before it; the others make no gap.
        seen: per bucket of users the newest day of activity.
        used: per key feature the days of its uses.
        measured: what was measured, per measurement and week.
        rhythm_before: what was known of gaps before `active` begins, where that is of two accounts.
        visits_before: likewise of visits to risk pages before `visits`.
    """

    settings: Settings
    first_day: int | None = None
    counts: Days = field(default_factory=_days)
    sums: Days = field(default_factory=_days)
    currency: str | None = None
    last_day: dict[str, int] = field(default_factory=dict)
    active: list[int] = field(default_factory=list)
    last_active_day: int = 0
    last_active_ms: int = 0
    active_days: set[int] = field(default_factory=set)
    returned: Return | None = None
    has_users: bool = False
    seen: dict[int, int] = field(default_factory=dict)
    used: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    measured: defaultdict[tuple[str, int], list[int]] = field(default_factory=lambda: defaultdict(list))
    tickets: Slots = field(default_factory=dict)
    payments: Slots = field(default_factory=dict)
    told: defaultdict[str, list[Told]] = field(default_factory=lambda: defaultdict(list))
    visits: list[tuple[int, bool]] = field(default_factory=list)
    rhythm_after: dict[int, rhythm.Rhythm] = field(default_factory=dict)
    rhythm_before: rhythm.Rhythm = rhythm.NOTHING
    visits_before: RiskVisits | None = None

    def apply(self, event: Event, today: int, zone: str, *, is_silent: bool = False) -> set[EventNote]:
        """Take one event into the history.

        Args:
            event: what happened.
            today: the account's day.
            zone: the account's zone in force.
            is_silent: a reason of silence is open.

        Returns:
            What was remarkable.
        """
        day = local_day(zone, event.time_ms)
        self.first_day = day if self.first_day is None else min(self.first_day, day)
        self._tell(event)
        if event.is_risk_visit:
            self.visits.append((event.time_ms, event.is_admin))
        for name in event.key_features:
            self.used[name].append(day)
        self._measure("csat", event.csat, day, today)
        self._put(event, day, today)
        notes = self._count(event, day, today) | self._add_amount(event, day, today)
        if self.settings.is_activity(event.kind):
            notes |= self._be_active(event, day, today, is_silent=is_silent)
        return notes

    def _tell(self, event: Event) -> None:
        for name, value in event.facts.items():
            expires_ms = expiry_ms(name, event.time_ms, event.expires_ms)
            self.told[name].append(Told(event.time_ms, as_category(name, value), expires_ms))

    def _measure(self, name: str, value: int | None, day: int, today: int) -> None:
        oldest = week_of(today) - self.settings.weeks_kept.get(name, 0) + 1
        if value is not None and oldest <= week_of(day) <= week_of(today):
            self.measured[name, week_of(day)].append(value)

    def _put(self, event: Event, day: int, today: int) -> None:
        """Move the slot of a ticket or a payment."""
        time_ms = slots.in_seconds(event.time_ms)
        if event.input is Input.TICKETS:
            ticket = self.tickets.get(event.slot)
            self._measure("resolve_hours", slots.hours_to_resolve(ticket, event.kind, time_ms), day, today)
            moved = slots.next_ticket(ticket, event.kind, time_ms)
            slots.put(self.tickets, event.slot, moved, most=slots.TICKET_SLOTS)
        if event.input is Input.PAYMENTS:
            due_ms = time_ms if event.due_ms is None else slots.in_seconds(event.due_ms)
            moved = slots.next_payment(self.payments.get(event.slot), event.kind, time_ms, due_ms)
            slots.put(self.payments, event.slot, moved, most=slots.PAYMENT_SLOTS)

    def _count(self, event: Event, day: int, today: int) -> set[EventNote]:
        notes = set()
        for source in self.settings.sources_of(event.kind, event.pages, event.tags):
            self.last_day[source.name] = max(day, self.last_day.get(source.name, day))
            kept = self.settings.counts_kept.get(source.name)
            if kept is not None and day < today - kept + 1:
                notes.add(EventNote.TOO_LATE)
            else:
                self.counts[source.name][day] += 1
        return notes

    def _add_amount(self, event: Event, day: int, today: int) -> set[EventNote]:
        """Add the amount of an event to the sums of its sources that a model reads."""
        sources = self.settings.sources_of(event.kind, event.pages, event.tags)
        summed = [source.name for source in sources if source.name in self.settings.sums_kept]
        if not summed:
            return set()
        amount, currency = event.amount_minor, event.currency
        if amount is None or amount < 0 or currency is None or not CURRENCY.fullmatch(currency):
            return {EventNote.AMOUNT_LEFT_OUT}
        self.currency = self.currency or currency.upper()
        if currency.upper() != self.currency:
            return {EventNote.AMOUNT_LEFT_OUT}
        kept = [name for name in summed if day > today - self.settings.sums_kept[name]]
        for name in kept:
            self.sums[name][day] += amount
        return {EventNote.TOO_LATE} if kept != summed else set()

    def _be_active(self, event: Event, day: int, today: int, *, is_silent: bool) -> set[EventNote]:
        place = event.time_ms // HOUR_MS if self.settings.rhythm.is_hourly else day
        is_late = bool(self.active) and place < self.active[-1]
        if not self.active or place > self.active[-1]:
            self.active.append(place)
        if is_silent and day > self.last_active_day:
            self.returned = Return(day, day - self.last_active_day)
        self.last_active_day = max(self.last_active_day, day)
        self.last_active_ms = max(self.last_active_ms, event.time_ms)
        if day > today - ACTIVE_DAYS_KEPT:
            self.active_days.add(day)
        if event.user_bucket is not None:
            self.has_users = True
            if day >= today - USER_DAYS:
                self.seen[event.user_bucket] = max(day, self.seen.get(event.user_bucket, day))
        return {EventNote.LATE_FOR_RHYTHM} if is_late else set()

    def on_day(self, source: str, day: int) -> int:
        """Return the count of one local day."""
        return self.total(source, day, day)

    def total(self, source: str, first: int, last: int) -> int:
        """Return the sum of the counts of the local days first..last."""
        cap = cap_of(SOURCE_BY_NAME[source])
        counts = self.counts[source]
        return sum(min(counts.get(day, 0), cap) for day in range(first, last + 1))

    def amount(self, source: str, first: int, last: int) -> int:
        """Return the sum of the amounts of the local days first..last, in minor units."""
        sums = self.sums[source]
        return sum(min(sums.get(day, 0), AMOUNT_CAP) for day in range(first, last + 1))

    def active_within(self, first: int, last: int, today: int) -> int:
        """Return how many days of first..last are in the set of active days."""
        first = max(first, today - ACTIVE_DAYS_KEPT + 1)
        return sum(first <= day <= last for day in self.active_days)

    def buckets_since(self, first: int) -> int:
        """Return how many buckets of users were last seen on a day or later."""
        return sum(day >= first for day in self.seen.values())

    def mean_of(self, measurement: str, first_week: int, last_week: int) -> tuple[int, int]:
        """Return sum and number of a measurement over weeks."""
        weeks = [self.measured[measurement, week] for week in range(first_week, last_week + 1)]
        return (
            sum(min(sum(values), MEASURED_CAP) for values in weeks),
            sum(min(len(values), MEASUREMENTS_CAP) for values in weeks),
        )

    def rhythm(self) -> rhythm.Rhythm:
        """Return the weighted gaps between activities; folded once for each number of these."""
        known = len(self.active)
        if known not in self.rhythm_after:
            self.rhythm_after[known] = rhythm.folded(self.active, self.settings.rhythm, self.rhythm_before)
        return self.rhythm_after[known]

    def usual_gap(self) -> float:
        """Return the account's own usual gap, in units of its rhythm."""
        return rhythm.usual_gap(self.rhythm(), self.settings.rhythm)

    def newest_telling(self, name: str) -> Told | None:
        """Return how a fact was told or deleted last: the newest time, among equals the last in the order."""
        newest: Told | None = None
        for told in self.told.get(name, []):
            if newest is None or told.time_ms >= newest.time_ms:
                newest = told
        return newest

    def newest(self, name: str) -> Told | None:
        """Return how a fact was told last, None if it was deleted after that."""
        newest = self.newest_telling(name)
        return None if newest is None or newest.value is None else newest

    def fact(self, name: str, now_ms: int) -> Any:
        """Return the value of a fact that is present at an instant, else None."""
        told = self.newest(name)
        is_present = told is not None and (told.expires_ms is None or told.expires_ms > now_ms)
        return told.value if told is not None and is_present else None

    def readable_fact(self, name: str, now_ms: int) -> Any:
        """Return the value of a fact that is present at an instant and can be read, else None."""
        value = self.fact(name, now_ms)
        return value if is_readable(name, value) else None

    def kind(self, now_ms: int) -> Any:
        """Return what the account is to us at an instant."""
        return self.readable_fact("kind", now_ms) or DEFAULT_KIND

    def is_closed(self, now_ms: int) -> bool:
        return bool(self.kind(now_ms) == CLOSED_KIND)

    def start_day(self, now_ms: int) -> int:
        """Return the local day on which the account became a customer, as far as is known."""
        assert self.first_day is not None
        since = day_told(self.fact("customer_since", now_ms))
        return self.first_day if since is None else max(self.first_day, since)

    def risk_visits(self, quiet_ms: int, repeat_after_ms: int) -> RiskVisits | None:
        """Fold all visits to risk pages, in the order in which they were taken."""
        state = self.visits_before
        for time_ms, is_admin in self.visits:
            state = _with_visit(state, time_ms, quiet_ms, repeat_after_ms, is_admin=is_admin)
        return state


def _with_visit(
    state: RiskVisits | None, time_ms: int, quiet_ms: int, repeat_after_ms: int, *, is_admin: bool
) -> RiskVisits:
    if state is None or time_ms >= state.last_ms + quiet_ms:
        return RiskVisits(time_ms, 1, is_admin)
    if time_ms >= state.last_ms + repeat_after_ms:
        return RiskVisits(time_ms, state.visits + 1, state.admin or is_admin)
    if time_ms + quiet_ms <= state.last_ms:
        return state
    return RiskVisits(max(state.last_ms, time_ms), state.visits, state.admin or is_admin)
