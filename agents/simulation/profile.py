"""What is told of the accounts as facts: first all that is known, then renewals, surveys and judgements."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import numpy as np

from agents.simulation.accounts import KINDS, PLANS, SECTORS, Accounts
from agents.simulation.billing import renewal_ms, renews_on
from agents.simulation.calendars import ZONES
from agents.simulation.clocktext import instant_text
from agents.simulation.rows import Row
from schemas.topics import Input

if TYPE_CHECKING:
    from agents.simulation.arrays import Floats, Ints
    from agents.simulation.fates import Fates

DAY_MS: Final = 86_400_000
MINUTE_MS: Final = 60_000
OWNERS: Final = 6
SURVEY_CHANCE: Final = 1 / 180
JUDGEMENT_CHANCE: Final = 1 / 60
SOUR_DAYS: Final = 75
SENTIMENTS: Final = ("poor", "neutral", "good")
SEGMENTS: Final = ("self-serve", "small", "mid-market", "enterprise")


class Profiles:
    """Draws the facts of a day."""

    def __init__(self, accounts: Accounts, fates: Fates) -> None:
        self._accounts, self._fates = accounts, fates

    def first_facts(self, account: int, day: int, at_ms: int) -> Row:
        """Return the row that tells all that is known of an account when it appears."""
        accounts = self._accounts
        facts = {
            "kind": KINDS[int(accounts.kind[account])][0],
            "segment": SEGMENTS[int(accounts.plan[account])],
            "owner": _owner(account),
            "plan": PLANS[int(accounts.plan[account])],
            "arr": int(accounts.arr[account]),
            "seats": int(accounts.seats[account]),
            "size": int(accounts.seats[account]) * (3 + account % 9),
            "sector": SECTORS[int(accounts.sector[account])],
            "renewal_at": instant_text(renewal_ms(accounts, account, day)),
            "time_zone": ZONES[int(accounts.zone[account])].name,
        }
        return _row(account, at_ms, facts, "crm")

    def draw(self, rng: np.random.Generator, day: int, midnights_ms: Ints) -> list[Row]:
        """Return the rows of a local day: new accounts, renewals, survey answers, judgements."""
        accounts = self._accounts
        known = (accounts.began <= day) & (day <= self._fates.stops_on)
        new = np.flatnonzero(accounts.began == day).tolist()
        rows = [self.first_facts(a, day, int(midnights_ms[a]) + 1000) for a in new]
        for account in renews_on(accounts, day).tolist():
            renewal = instant_text(renewal_ms(accounts, account, day))
            rows.append(_row(account, int(midnights_ms[account]) + 2000, {"renewal_at": renewal}, "crm"))
        minutes = rng.integers(9 * 60, 17 * 60, accounts.size)
        asked_ms = midnights_ms + minutes * MINUTE_MS + rng.integers(0, MINUTE_MS, accounts.size)
        return rows + self._moods(rng, day, np.flatnonzero(known), asked_ms)

    def _moods(self, rng: np.random.Generator, day: int, known: Ints, asked_ms: Ints) -> list[Row]:
        """Answers of surveys and judgements of the customer-success managers."""
        sour = self._sour(day)
        rows = []
        for account in known[rng.random(len(known)) < SURVEY_CHANCE].tolist():
            nps = int(np.clip(round(rng.normal(35.0 - 80.0 * sour[account], 30.0)), -100, 100))
            rows.append(_row(account, int(asked_ms[account]), {"nps": nps}, "survey"))
        for account in known[rng.random(len(known)) < JUDGEMENT_CHANCE].tolist():
            mood = int(np.digitize(rng.normal(0.7 - 1.4 * sour[account], 0.6), (-0.3, 0.5)))
            facts: dict[str, str | int] = {"csm_sentiment": SENTIMENTS[mood]}
            rows.append(_row(account, int(asked_ms[account]), facts, _owner(account)))
        return rows

    def _sour(self, day: int) -> Floats:
        """How far the mood has turned, 0 to 1: over the last weeks of accounts that fade or have trouble."""
        fates = self._fates
        turning = fates.trouble | (fates.fades_from <= day)
        return np.where(turning, np.clip(1.0 - (fates.stops_on - day) / SOUR_DAYS, 0.0, 1.0), 0.0)


def _owner(account: int) -> str:
    return f"csm-{account % OWNERS + 1}"


def _row(account: int, at_ms: int, facts: dict[str, str | int], author: str) -> Row:
    text = json.dumps(facts, separators=(",", ":"))
    return Row(at_ms, Input.ACCOUNT_FACTS, account, f'"facts":{text},"author":"{author}"')
