"""One simulated company for all tests of this folder: 240 accounts over 400 days."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from agents.simulation import Company, Rates, SimulatedEvent, Span
from agents.simulation.calendars import offset_ms
from schemas.topics import Input

if TYPE_CHECKING:
    from collections.abc import Iterable

DAY_MS = 86_400_000
START_MS = 1_735_689_600_000  # 2025-01-01 UTC
ACTIVITY = ("LOGINS", "PAGE_VISITS")
Told = dict[Input, list[tuple[str, int, dict[str, Any]]]]


def span(**changed: Any) -> Span:
    arguments: dict[str, Any] = {
        "seed": 11,
        "accounts": 240,
        "start_ms": START_MS,
        "days": 400,
        "volume": 0.3,
    }
    return Span(**{**arguments, **changed})


@pytest.fixture(scope="session")
def company() -> Company:
    return Company(span(rates=Rates(leaving_per_year=0.6, pausing_per_year=0.3, never_starting=0.1)))


@pytest.fixture(scope="session")
def events(company: Company) -> list[SimulatedEvent]:
    return list(company)


@pytest.fixture(scope="session")
def told(events: list[SimulatedEvent]) -> Told:
    """Account, instant in ms and members of every event, by input, in time order."""
    return told_by(events)


def told_by(events: Iterable[SimulatedEvent]) -> Told:
    found: Told = {topic: [] for topic in Input}
    for event in events:
        found[event.topic].append((event.account_id, event.occurred_ms, msgspec.json.decode(event.body)))
    return found


@pytest.fixture(scope="session")
def truths(company: Company) -> dict[str, dict[str, Any]]:
    return {str(truth["account_id"]): truth for truth in company.truth()}


@pytest.fixture(scope="session")
def active_days(company: Company, events: list[SimulatedEvent]) -> dict[str, list[int]]:
    return active_days_of(company, events)


def active_days_of(company: Company, events: Iterable[SimulatedEvent]) -> dict[str, list[int]]:
    """Sorted local days with a log-in or page visit, by account."""
    numbers = {name: number for number, name in enumerate(company.accounts.ids)}
    days: defaultdict[str, set[int]] = defaultdict(set)
    for event in events:
        if event.topic.name in ACTIVITY:
            zone = company.accounts.zone_name(numbers[event.account_id], event.occurred_ms // DAY_MS)
            local_ms = event.occurred_ms + offset_ms(zone, event.occurred_ms // DAY_MS)
            days[event.account_id].add(local_ms // DAY_MS)
    return {name: sorted(found) for name, found in days.items()}


@pytest.fixture(scope="session")
def gaps(active_days: dict[str, list[int]]) -> dict[str, npt.NDArray[np.int64]]:
    """Gaps between consecutive active days, by account."""
    return {name: np.array([b - a for a, b in pairwise(days)]) for name, days in active_days.items()}


def body_of(event: SimulatedEvent) -> dict[str, Any]:
    members: dict[str, Any] = json.loads(event.body)
    return members
