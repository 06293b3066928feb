"""Calendars: Easter, public holidays, closing days."""

from __future__ import annotations

from datetime import date

import pytest

from agents.simulation.calendars import EPOCH, closing_day, easter, is_holiday, is_workday, offset_ms


def day(year: int, month: int, day_of_month: int) -> int:
    return (date(year, month, day_of_month) - EPOCH).days


@pytest.mark.parametrize(
    "sunday", [date(2024, 3, 31), date(2025, 4, 20), date(2026, 4, 5), date(2027, 3, 28), date(2038, 4, 25)]
)
def test_easter(sunday: date) -> None:
    assert easter(sunday.year) == sunday


def test_easter_monday_is_a_holiday_where_it_is_one() -> None:
    assert is_holiday("continental", day(2026, 4, 6))
    assert not is_holiday("american", day(2026, 4, 6))


def test_books_are_closed_on_two_workdays_before_and_four_after_a_month_end() -> None:
    # June 2026 ends on a Tuesday; no holiday near it.
    around = range(day(2026, 6, 24), day(2026, 7, 9))
    closing = {d: closing_day("continental", d) for d in around if closing_day("continental", d)}
    days = [(2026, 6, 29), (2026, 6, 30), (2026, 7, 1), (2026, 7, 2), (2026, 7, 3), (2026, 7, 6)]
    assert closing == {day(*d): 6 for d in days}


def test_december_is_closed_in_january() -> None:
    assert closing_day("continental", day(2026, 1, 2)) == 12
    assert not is_workday("continental", day(2026, 1, 1))


def test_offsets_follow_summer_time() -> None:
    assert offset_ms("Europe/Berlin", day(2026, 1, 15)) == 3_600_000
    assert offset_ms("Europe/Berlin", day(2026, 7, 15)) == 7_200_000
