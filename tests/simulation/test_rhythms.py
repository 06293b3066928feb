"""Rhythms of the simulated accounts: people and calendars, not a waiting-time law."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest

from agents.simulation.archetypes import ARCHETYPES
from agents.simulation.calendars import closing_day, date_of, is_holiday
from schemas.topics import Input
from tests.simulation.conftest import body_of

if TYPE_CHECKING:
    from agents.simulation import Company, SimulatedEvent

Gaps = dict[str, npt.NDArray[np.int64]]
EXPONENTIAL_KS = 0.1


def of_archetype(company: Company, name: str) -> list[str]:
    number = [kind.name for kind in ARCHETYPES].index(name)
    return [company.accounts.ids[a] for a in np.flatnonzero(company.accounts.archetype == number)]


def healthy(names: list[str], truths: dict[str, dict[str, Any]]) -> list[str]:
    return [name for name in names if truths[name]["outcome"] == "stays" and not truths[name]["pauses"]]


def distance_from_memoryless(gaps: npt.NDArray[np.int64]) -> float:
    """The Kolmogorov-Smirnov distance of whole gaps from the geometric law with their mean.

    The geometric law is what gaps between active days are if each day is active by an independent chance:
    the exponential law in whole days.
    """
    days = np.arange(1, int(gaps.max()) + 1)
    seen = np.searchsorted(np.sort(gaps), days, side="right") / len(gaps)
    memoryless = 1.0 - (1.0 - 1.0 / gaps.mean()) ** days
    return float(np.abs(seen - memoryless).max())


def test_the_distance_is_small_for_gaps_of_the_memoryless_law() -> None:
    gaps = np.random.default_rng(1).geometric(0.3, 400)
    assert distance_from_memoryless(gaps) < EXPONENTIAL_KS


@pytest.mark.parametrize(
    "name", ["daily_team", "consultant", "weekly_reporter", "shop", "accountant", "agency"]
)
def test_gaps_between_active_days_are_not_exponential(
    name: str, company: Company, gaps: Gaps, truths: dict[str, dict[str, Any]]
) -> None:
    accounts = [a for a in healthy(of_archetype(company, name), truths) if len(gaps.get(a, ())) >= 30]
    distances = [distance_from_memoryless(gaps[account]) for account in accounts]
    assert len(distances) >= 3
    assert float(np.median(distances)) > EXPONENTIAL_KS


def test_teams_work_from_monday_to_friday(company: Company, active_days: dict[str, list[int]]) -> None:
    weekdays = Counter(
        date_of(day).weekday()
        for name in of_archetype(company, "daily_team")
        for day in active_days.get(name, [])
    )
    assert weekdays[5] + weekdays[6] < 0.12 * weekdays[2]


def test_consultants_keep_two_weekdays(
    company: Company, active_days: dict[str, list[int]], truths: dict[str, dict[str, Any]]
) -> None:
    shares = []
    for name in healthy(of_archetype(company, "consultant"), truths):
        weekdays = Counter(date_of(day).weekday() for day in active_days[name])
        shares.append(sum(count for _, count in weekdays.most_common(2)) / weekdays.total())
    assert min(shares) > 0.7


def test_accountants_work_when_books_are_closed(company: Company, active_days: dict[str, list[int]]) -> None:
    names = [name for name in of_archetype(company, "accountant") if len(active_days.get(name, [])) > 20]
    closing = [bool(closing_day("continental", day)) for name in names for day in active_days[name]]
    assert np.mean(closing) > 0.55


def test_seasonal_accounts_sleep_for_months_and_are_healthy(
    company: Company, gaps: Gaps, truths: dict[str, dict[str, Any]]
) -> None:
    names = healthy(of_archetype(company, "seasonal"), truths)
    assert any(len(gaps.get(name, ())) and gaps[name].max() > 60 for name in names)


def test_round_the_clock_accounts_know_no_weekend(
    company: Company, active_days: dict[str, list[int]], truths: dict[str, dict[str, Any]]
) -> None:
    for name in healthy(of_archetype(company, "operations"), truths):
        weekdays = Counter(date_of(day).weekday() for day in active_days[name])
        assert weekdays[6] > 0.6 * weekdays[2]


def test_offices_rest_on_public_holidays(company: Company, active_days: dict[str, list[int]]) -> None:
    germans = {company.accounts.ids[a] for a in np.flatnonzero(company.accounts.zone == 0)}
    names = germans & set(of_archetype(company, "daily_team"))
    worked = Counter(day for name in names for day in active_days.get(name, []))
    midweek = [day for day in worked if date_of(day).weekday() < 4 and date_of(day).month in {4, 5, 6, 10}]
    holidays = [worked[day] for day in midweek if is_holiday("continental", day)]
    ordinary = [worked[day] for day in midweek if not is_holiday("continental", day)]
    assert np.mean(ordinary) > 2 * (np.mean(holidays) if holidays else 0.0)


def test_tickets_come_in_clusters(events: list[SimulatedEvent]) -> None:
    """Incidents make the daily counts vary more than independent tickets would (variance over mean 1)."""
    opened = Counter(
        event.occurred_ms // 86_400_000
        for event in events
        if event.topic is Input.TICKETS and body_of(event)["action"] == "opened"
    )
    counts = np.array([opened[day] for day in range(min(opened), max(opened) + 1)])
    assert counts.var() / counts.mean() > 2
