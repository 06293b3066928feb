"""All that is known of one account: what happened to it, in order, and what follows from that, folded anew when asked.

Nothing here is a running total that a later event could leave wrong: days hold counts, lists hold everything else.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from schemas.catalogue import CLOSED_KIND, DEFAULT_KIND, FACT_BY_NAME, SOURCE_BY_NAME, Signal
from schemas.reasons import EventNote
from tests.auditor.days import local_day

if TYPE_CHECKING:
    from tests.auditor.event import Event
    from tests.auditor.settings import Settings

VOLUME_CAP, INCIDENT_CAP = 65_535, 255
NUMBER_MAX = 10**15


class Told(NamedTuple):
    """One fact as it was told; a value of None deletes."""

    time_ms: int
    value: Any
    expires_ms: int | None


class Rhythm(NamedTuple):
    n: float
    gaps_days: float
    gaps: int


class RiskVisits(NamedTuple):
    last_ms: int
    visits: int
    admin: bool


@dataclass
class History:
    """The applied events of one account."""

    settings: Settings
    first_day: int | None = None
    counts: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    last_day: dict[str, int] = field(default_factory=dict)
    active: list[tuple[int, int]] = field(default_factory=list)
    told: dict[str, list[Told]] = field(default_factory=lambda: defaultdict(list))
    visits: list[tuple[int, bool]] = field(default_factory=list)
    rhythm_after: dict[int, Rhythm] = field(default_factory=dict)

    def apply(self, event: Event, today: int) -> set[EventNote]:
        """Take one event into the history; `today` is the account's day. Return what was remarkable."""
        day = local_day(self.settings.zone, event.time_ms)
        self.first_day = day if self.first_day is None else min(self.first_day, day)
        for name, value in event.facts.items():
            self.told[name].append(Told(event.time_ms, value, event.expires_ms))
        if event.is_risk_visit:
            self.visits.append((event.time_ms, event.is_admin))
        return self._count(event, day, today)

    def _count(self, event: Event, day: int, today: int) -> set[EventNote]:
        notes = set()
        for source in self.settings.sources_of(event.kind, set(event.pages)):
            self.last_day[source.name] = max(day, self.last_day.get(source.name, day))
            kept = self.settings.days_kept(source.name)
            if kept is not None and day < today - kept + 1:
                notes.add(EventNote.TOO_LATE)
            else:
                self.counts[source.name][day] += 1
            if source.name == "activity":
                if self.active and day < self.last_active_day:
                    notes.add(EventNote.LATE_FOR_RHYTHM)
                self.active.append((day, event.time_ms))
        return notes

    def on_day(self, source: str, day: int) -> int:
        """Return the count of one local day."""
        return self.total(source, day, day)

    def total(self, source: str, first: int, last: int) -> int:
        """Return the sum of the counts of the local days first..last."""
        cap = VOLUME_CAP if SOURCE_BY_NAME[source].signal is Signal.VOLUME else INCIDENT_CAP
        counts = self.counts[source]
        return sum(min(counts.get(day, 0), cap) for day in range(first, last + 1))

    @property
    def last_active_day(self) -> int:
        return self.last_day["activity"]

    @property
    def last_active_ms(self) -> int:
        return max(time_ms for _, time_ms in self.active)

    def rhythm(self) -> Rhythm:
        """Return the weighted gaps between active days; folded once for each number of activities."""
        taken = len(self.active)
        if taken not in self.rhythm_after:
            self.rhythm_after[taken] = self._folded_rhythm()
        return self.rhythm_after[taken]

    def _folded_rhythm(self) -> Rhythm:
        """Fold all activity, in the order in which it was taken."""
        n, gaps_days, gaps = 0.0, 0.0, 0
        last: int | None = None
        for day, _ in self.active:
            if last is not None and day <= last:
                continue
            if last is not None and day - last <= self.settings.horizon_days:
                n = self.settings.forgetting * n + 1
                gaps_days = self.settings.forgetting * gaps_days + (day - last)
                gaps += 1
            last = day
        return Rhythm(n, gaps_days, gaps)

    def usual_gap_days(self) -> float:
        """Return the account's own usual gap between active days."""
        rhythm = self.rhythm()
        return (self.settings.prior_days + rhythm.gaps_days) / (self.settings.prior_rate + rhythm.n)

    def newest(self, name: str) -> Told | None:
        """Return how a fact was told last: the newest time, among equals the last in the order."""
        newest: Told | None = None
        for told in self.told.get(name, []):
            if newest is None or told.time_ms >= newest.time_ms:
                newest = told
        return None if newest is None or newest.value is None else newest

    def fact(self, name: str, now_ms: int) -> Any:
        """Return the value of a fact that is present at an instant, else None."""
        told = self.newest(name)
        is_present = told is not None and (told.expires_ms is None or told.expires_ms > now_ms)
        return told.value if told is not None and is_present else None

    def kind(self, now_ms: int) -> Any:
        """Return what the account is to us at an instant."""
        kind = self.fact("kind", now_ms)
        return kind if is_readable("kind", kind) else DEFAULT_KIND

    def is_closed(self, now_ms: int) -> bool:
        return bool(self.kind(now_ms) == CLOSED_KIND)

    def risk_visits(self, quiet_ms: int, repeat_after_ms: int) -> RiskVisits | None:
        """Fold all visits to risk pages, in the order in which they were taken."""
        state: RiskVisits | None = None
        for time_ms, is_admin in self.visits:
            state = _with_visit(state, time_ms, quiet_ms, repeat_after_ms, is_admin=is_admin)
        return state


def is_readable(name: str, value: Any) -> bool:
    """Tell whether a value of a fact of the catalogue is one that models can read."""
    categories = FACT_BY_NAME[name].values
    if categories:
        return value in categories
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= NUMBER_MAX


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
