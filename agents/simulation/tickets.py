"""Support tickets: a trickle from everyday use, and many at once when an incident hits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from agents.simulation.pages import FEATURES
from agents.simulation.rows import Row
from schemas.topics import Input

if TYPE_CHECKING:
    from agents.simulation.accounts import Accounts
    from agents.simulation.arrays import Bools, Floats, Ints
    from agents.simulation.fates import Fates
    from agents.simulation.people import People

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
EVERYDAY_CHANCE: Final = 0.006
TROUBLE_CHANCE: Final = 0.08
TROUBLE_DAYS: Final = 60
INCIDENT_CHANCE: Final = 1 / 35
REPORTS_INCIDENT: Final = 0.35
NEVER_H: Final = float("inf")
ANSWERS_SURVEY: Final = 0.35
BY_USER: Final = 0.5
TOPICS: Final = ("how-to", "billing", "bug", "feature-request", "feature-gap", "stability", "performance")
EVERYDAY_TOPICS: Final = (0.36, 0.12, 0.24, 0.13, 0.04, 0.04, 0.07)
WISHES: Final = ("feature-request", "feature-gap")
ON_THE_LIST: Final = 0.4
"""Share of wishes that stay open until they are built or given up; the others are answered."""
LOST: Final = 0.01
"""Share of all other tickets that nobody ever closes."""
SEVERITIES: Final = ("low", "normal", "high", "urgent")
EVERYDAY_SEVERITY: Final = (0.3, 0.52, 0.14, 0.04)
INCIDENT_SEVERITY: Final = (0.0, 0.15, 0.6, 0.25)


class Opening(NamedTuple):
    """A ticket at the moment it is opened."""

    user: int
    opened_ms: int
    severity: int
    tags: tuple[str, ...]
    troubled: bool


class Tickets:
    """Draws the tickets that are opened on a day, each with all that happens to it later."""

    def __init__(self, accounts: Accounts, people: People, fates: Fates) -> None:
        self._accounts, self._people, self._fates = accounts, people, fates
        self._opened = 0

    def draw(self, rng: np.random.Generator, day: int, users: Ints, midnights_ms: Ints) -> list[Row]:
        """Return the rows of the tickets opened on a local day by the people at work, in no order."""
        trouble = self._troubled(day)[self._people.account[users]]
        openings = self._everyday(rng, users, midnights_ms, trouble)
        if rng.random() < INCIDENT_CHANCE:
            openings += self._incident(rng, users, midnights_ms, trouble)
        return [row for opening in openings for row in self._life(rng, opening)]

    def _troubled(self, day: int) -> Bools:
        left = self._fates.stops_on - day
        return self._fates.trouble & (left >= 0) & (left < TROUBLE_DAYS)

    def _everyday(
        self, rng: np.random.Generator, users: Ints, midnights_ms: Ints, trouble: Bools
    ) -> list[Opening]:
        chance = np.where(trouble, TROUBLE_CHANCE, EVERYDAY_CHANCE)
        picked = np.flatnonzero(rng.random(len(users)) < chance)
        return [
            Opening(
                user=int(users[place]),
                opened_ms=self._working_hour(rng, int(users[place]), midnights_ms),
                severity=int(rng.choice(4, p=EVERYDAY_SEVERITY)),
                tags=(TOPICS[int(rng.choice(len(TOPICS), p=EVERYDAY_TOPICS))],),
                troubled=bool(trouble[place]),
            )
            for place in picked.tolist()
        ]

    def _working_hour(self, rng: np.random.Generator, user: int, midnights_ms: Ints) -> int:
        minute = float(self._people.start_minute[user]) + 30.0 + rng.random() * 420.0
        return int(midnights_ms[self._people.account[user]]) + int(minute * MINUTE_MS)

    def _incident(
        self, rng: np.random.Generator, users: Ints, midnights_ms: Ints, trouble: Bools
    ) -> list[Opening]:
        """Something breaks for a share of the accounts; many of their people report it within three hours."""
        feature = FEATURES[int(rng.integers(0, len(FEATURES)))]
        hit = rng.random(self._accounts.size) < rng.uniform(0.03, 0.25)
        reports = hit[self._people.account[users]] & (rng.random(len(users)) < REPORTS_INCIDENT)
        began_minute = rng.uniform(420.0, 900.0)
        openings = []
        for place in np.flatnonzero(reports).tolist():
            user = int(users[place])
            minute = began_minute + rng.gamma(2.0, 35.0)
            at_ms = int(midnights_ms[self._people.account[user]]) + int(minute * MINUTE_MS)
            severity = int(rng.choice(4, p=INCIDENT_SEVERITY))
            openings.append(Opening(user, at_ms, severity, ("outage", feature), bool(trouble[place])))
        return openings

    def _life(self, rng: np.random.Generator, opening: Opening) -> list[Row]:
        """Opened, commented, perhaps escalated, resolved, perhaps reopened and resolved again; then the survey."""
        self._opened += 1
        open_for_h = self._open_for_h(rng, opening)
        steps = [(0.0, "opened"), *self._comments(rng, min(open_for_h, 240.0))]
        if rng.random() < (0.5 if opening.troubled else 0.04 + 0.05 * opening.severity):
            steps.append((min(open_for_h, 240.0) * rng.uniform(0.2, 0.7), "escalated"))
        if open_for_h < NEVER_H:
            steps.append((open_for_h, "resolved"))
            if rng.random() < (0.3 if opening.troubled else 0.06):
                again_h = open_for_h + rng.uniform(2.0, 60.0)
                steps += [(again_h, "reopened"), (again_h + rng.lognormal(2.5, 0.7), "resolved")]
        rows = [
            self._row(opening, after_h, action, by_user=self._by_user(rng, action))
            for after_h, action in sorted(steps)
        ]
        if open_for_h < NEVER_H and rng.random() < ANSWERS_SURVEY:
            answered_h = max(steps)[0] + rng.uniform(0.2, 72.0)
            csat = f',"csat":{self._csat(rng, opening)}'
            rows.append(self._row(opening, answered_h, "resolved", csat, by_user=True))
        return rows

    def _open_for_h(self, rng: np.random.Generator, opening: Opening) -> float:
        """Hours until a ticket is resolved first, ``NEVER_H`` if it never is."""
        if rng.random() < LOST:
            return NEVER_H
        if opening.tags[0] in WISHES and rng.random() < ON_THE_LIST:
            return float(rng.uniform(20.0, 400.0) * 24.0)
        slow = 3.0 if opening.troubled else 1.0
        return float(rng.lognormal(np.log(16.0 * slow), 0.9))

    def _comments(self, rng: np.random.Generator, open_for_h: float) -> list[tuple[float, str]]:
        times: Floats = rng.random(int(rng.integers(0, 4))) * open_for_h
        return [(float(after_h), "commented") for after_h in times]

    def _by_user(self, rng: np.random.Generator, action: str) -> bool:
        """Tell who did it: tickets are resolved by the company's own people, comments come from both sides."""
        return action != "resolved" and (action != "commented" or rng.random() < BY_USER)

    def _row(self, opening: Opening, after_h: float, action: str, csat: str = "", *, by_user: bool) -> Row:
        tags = ",".join(f'"{tag}"' for tag in opening.tags)
        user = f'"user_id":"{self._people.ids[opening.user]}",' if by_user else ""
        members = (
            f'{user}"ticket_id":"tk-{self._opened:06d}","action":"{action}",'
            f'"severity":"{SEVERITIES[opening.severity]}","tags":[{tags}]{csat}'
        )
        account = int(self._people.account[opening.user])
        return Row(opening.opened_ms + int(after_h * HOUR_MS), Input.TICKETS, account, members)

    def _csat(self, rng: np.random.Generator, opening: Opening) -> int:
        return int(rng.integers(1, 4)) if opening.troubled else int(rng.integers(3, 6))
