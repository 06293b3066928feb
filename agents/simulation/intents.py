"""Visits with an intention: leaving (cancellation page, refund questions) or growing (pricing, upgrade)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from agents.simulation.pages import ADMIN, PLACE, page_text
from agents.simulation.rows import Row
from schemas.topics import Input

if TYPE_CHECKING:
    from agents.simulation.arrays import Ints
    from agents.simulation.changes import Changes
    from agents.simulation.fates import Fates
    from agents.simulation.people import People

CURIOUS_CHANCE: Final = 0.04 / 365
REFUND_CHANCE: Final = 0.06 / 365
LOOK_CHANCE: Final = 0.25
"""of an administrator at work, on each day on which an upgrade is considered"""
LEAVING: Final = ("/app/settings/billing", "/help/refund-faq", "/account/cancel")
CURIOUS: Final = ("/app/settings/billing", "/account/cancel")
REFUND: Final = ("/help/search", "/help/refund-faq")
GROWING: Final = ("/pricing", "/upgrade", "/pricing")


class Intents:
    """Draws the rare visits of a day. Cancellations and purchases are planned, the rest comes by chance.

    Looks at upgrades and chance visits are made only by administrators who are at work that day, so they add no
    active day.
    """

    def __init__(self, people: People, fates: Fates, changes: Changes) -> None:
        self._people, self._fates, self._changes = people, fates, changes

    def draw(self, rng: np.random.Generator, day: int, users: Ints, midnights_ms: Ints) -> list[Row]:
        """Return the rows of a local day; ``users`` are the row numbers of the people at work."""
        rows: list[Row] = []
        for account in np.flatnonzero((self._fates.cancel_days == day).any(axis=1)).tolist():
            admin = int(self._people.first[account])
            pages = LEAVING[int(rng.integers(0, 2)) :]
            rows += self._walk(rng, admin, pages, self._morning(admin, midnights_ms))
        admins = users[(self._people.role[users] == ADMIN) & (self._people.place[users] == 0)]
        considers = (self._changes.looks_from <= day) & (day < self._changes.looks_until)
        growing = np.where(considers[self._people.account[admins]], LOOK_CHANCE, 0.0)
        for pages, chance in ((CURIOUS, CURIOUS_CHANCE), (REFUND, REFUND_CHANCE), (GROWING, growing)):
            for admin in admins[rng.random(len(admins)) < chance].tolist():
                rows += self._walk(rng, admin, pages, self._morning(admin, midnights_ms))
        return rows

    def _morning(self, admin: int, midnights_ms: Ints) -> int:
        people = self._people
        return int(midnights_ms[people.account[admin]]) + int(people.start_minute[admin]) * 60_000

    def _walk(self, rng: np.random.Generator, admin: int, pages: tuple[str, ...], at_ms: int) -> list[Row]:
        who, account = self._people.ids[admin], int(self._people.account[admin])
        at_ms += int(rng.integers(5_000, 3_000_000))
        rows = []
        for path in pages:
            dwell_ms = int(rng.integers(4_000, 90_000))
            members = f'"user_id":"{who}",{page_text(PLACE[path], ADMIN)},"duration_ms":{dwell_ms}'
            rows.append(Row(at_ms, Input.PAGE_VISITS, account, members))
            at_ms += dwell_ms
        return rows
