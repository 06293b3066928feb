"""What is told of the accounts as facts: first all that is known, then surveys, judgements, reviews, references."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from agents.simulation.accounts import KINDS, PLANS, REFERENCES_PER_YEAR, REFERS_FROM, SECTORS, YEAR, Accounts
from agents.simulation.calendars import NO_WORK, date_of
from agents.simulation.rows import Row, facts_row

if TYPE_CHECKING:
    from agents.simulation.arrays import Floats, Ints
    from agents.simulation.contracts import Contracts
    from agents.simulation.fates import Fates

DAY_MS: Final = 86_400_000
MINUTE_MS: Final = 60_000
OWNERS: Final = 6
SURVEY_CHANCE: Final = 1 / 180
JUDGEMENT_CHANCE: Final = 1 / 60
JUDGEMENT_DAYS: Final = 120
"""So long a judgement holds unless it is given again."""
REVIEW_EVERY_DAYS: Final = np.array([0, 182, 91, 91])
"""Business reviews by plan; 0: none."""
REVIEW_HOLDS_DAYS: Final = 400
REVIEWED: Final = ("savings_pct", "efficiency_pct", "goals_pct")
AGREED: Final = 0.85
"""Share of reviews in which something was agreed for one of these."""
OVERRIDE_CHANCE: Final = 0.1 / YEAR
SOUR_DAYS: Final = 75
SENTIMENTS: Final = ("poor", "neutral", "good")
SEGMENTS: Final = ("self-serve", "small", "mid-market", "enterprise")


class Profiles:
    """Draws the facts of a day; ``references`` counts those that were given."""

    def __init__(self, accounts: Accounts, fates: Fates, contracts: Contracts) -> None:
        self._accounts, self._fates, self._contracts = accounts, fates, contracts
        self._review_days = REVIEW_EVERY_DAYS[accounts.plan]
        self._references = accounts.references.copy()

    def first_facts(self, account: int, day: int, at_ms: int) -> Row:
        """Return the row that tells all that is known of an account when it appears."""
        accounts = self._accounts
        facts: dict[str, Any] = {
            "kind": KINDS[int(accounts.kind[account])][0],
            "segment": SEGMENTS[int(accounts.plan[account])],
            "owner": _owner(account),
            "plan": PLANS[int(accounts.plan[account])],
            "size": int(accounts.seats[account]) * (3 + account % 9),
            "sector": SECTORS[int(accounts.sector[account])],
            "time_zone": accounts.zone_name(account, day),
            **self._contracts.known_facts(account, day),
        }
        if self._references[account]:
            facts["references_given"] = int(self._references[account])
        return facts_row(account, at_ms, facts, "crm")

    def draw(self, rng: np.random.Generator, day: int, midnights_ms: Ints) -> list[Row]:
        """Return the rows of a local day: new accounts, and what people tell of known ones."""
        accounts = self._accounts
        known = (accounts.began <= day) & (day <= self._fates.stops_on)
        new = np.flatnonzero(accounts.began == day).tolist()
        rows = [self.first_facts(a, day, int(midnights_ms[a]) + 1000) for a in new]
        minutes = rng.integers(9 * 60, 17 * 60, accounts.size)
        told_ms = midnights_ms + minutes * MINUTE_MS + rng.integers(0, MINUTE_MS, accounts.size)
        rows += self._moved(day, told_ms)
        if date_of(day).weekday() < NO_WORK:
            rows += self._moods(rng, day, np.flatnonzero(known), told_ms)
            rows += self._reviews(rng, day, told_ms)
            rows += self._praise(rng, day, np.flatnonzero(known & self._contracts.paying(day)), told_ms)
        return rows

    def _moved(self, day: int, told_ms: Ints) -> list[Row]:
        """New time zones, told within the first week in them."""
        back = np.arange(self._accounts.size) % 7
        return [
            facts_row(a, int(told_ms[a]), {"time_zone": self._accounts.zone_name(a, day)}, "crm")
            for a in np.flatnonzero(self._accounts.moves_on + back == day).tolist()
        ]

    def _moods(self, rng: np.random.Generator, day: int, known: Ints, told_ms: Ints) -> list[Row]:
        """Answers of surveys, judgements of the customer-success managers, and scores that they pin."""
        sour = self._sour(day)
        rows = []
        for account in known[rng.random(len(known)) < SURVEY_CHANCE].tolist():
            nps = int(np.clip(round(rng.normal(35.0 - 80.0 * sour[account], 30.0)), -100, 100))
            rows.append(facts_row(account, int(told_ms[account]), {"nps": nps}, "survey"))
        for account in known[rng.random(len(known)) < JUDGEMENT_CHANCE].tolist():
            mood = int(np.digitize(rng.normal(0.7 - 1.4 * sour[account], 0.6), (-0.3, 0.5)))
            until_ms = int(told_ms[account]) + JUDGEMENT_DAYS * DAY_MS
            facts = {"csm_sentiment": SENTIMENTS[mood]}
            rows.append(facts_row(account, int(told_ms[account]), facts, _owner(account), until_ms))
        for account in known[rng.random(len(known)) < OVERRIDE_CHANCE].tolist():
            rows += self._override(rng, account, float(sour[account]), int(told_ms[account]))
        return rows

    def _override(self, rng: np.random.Generator, account: int, sour: float, at_ms: int) -> list[Row]:
        """A manager knows more than the figures do, for some weeks; now and then it is taken back earlier."""
        low, high = (15, 45) if rng.random() < 0.3 + 0.6 * sour else (55, 90)
        name, author, holds_days = "override.retention", _owner(account), int(rng.integers(14, 75))
        pinned = {name: int(rng.integers(low, high))}
        rows = [facts_row(account, at_ms, pinned, author, at_ms + holds_days * DAY_MS)]
        if rng.random() < 0.25:
            back_ms = at_ms + int(holds_days * rng.uniform(0.2, 0.9) * DAY_MS)
            rows.append(facts_row(account, back_ms, {name: None}, author))
        return rows

    def _reviews(self, rng: np.random.Generator, day: int, told_ms: Ints) -> list[Row]:
        """What was reached of what was agreed: more with time, less where the mood has turned."""
        age, every = day - self._contracts.since, self._review_days
        place = age % np.maximum(every, 1)
        due = (every > 0) & (age > 60) & (place < 7) & (self._review_weekday() == date_of(day).weekday())
        rows, sour = [], self._sour(day)
        for account in np.flatnonzero(due & (day <= self._fates.stops_on)).tolist():
            reached = float(self._accounts.value[account]) * (1.0 - 0.6 * np.exp(-age[account] / 200.0))
            reached -= 0.4 * float(sour[account])
            facts = {
                name: int(100 * np.clip(reached + rng.normal(0.0, 0.1), 0.0, 1.0))
                for name in REVIEWED
                if rng.random() < AGREED
            }
            if facts:
                until_ms = int(told_ms[account]) + REVIEW_HOLDS_DAYS * DAY_MS
                rows.append(facts_row(account, int(told_ms[account]), facts, _owner(account), until_ms))
        return rows

    def _review_weekday(self) -> Ints:
        return np.arange(self._accounts.size) % NO_WORK

    def _praise(self, rng: np.random.Generator, day: int, known: Ints, told_ms: Ints) -> list[Row]:
        """References that accounts give to which the product brings much, unless the mood has turned."""
        gives = (self._accounts.value[known] > REFERS_FROM) & (self._sour(day)[known] == 0.0)
        rows = []
        for account in known[gives & (rng.random(len(known)) < REFERENCES_PER_YEAR / YEAR)].tolist():
            self._references[account] += 1
            facts = {"references_given": int(self._references[account])}
            rows.append(facts_row(account, int(told_ms[account]), facts, _owner(account)))
        return rows

    def _sour(self, day: int) -> Floats:
        """How far the mood has turned, 0 to 1: over the last weeks of accounts that fade or have trouble."""
        fates = self._fates
        turning = fates.trouble | (fates.fades_from <= day)
        return np.where(turning, np.clip(1.0 - (fates.stops_on - day) / SOUR_DAYS, 0.0, 1.0), 0.0)


def _owner(account: int) -> str:
    return f"csm-{account % OWNERS + 1}"
