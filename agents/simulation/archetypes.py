"""Kinds of organisation, as data: when their people work and how much they use the product.

No archetype draws gaps between active days from a distribution. Gaps come out of weekdays, shifts, closing
days, projects, seasons, holidays and people who are away.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple


class Cadence(IntEnum):
    """What decides whether an organisation works on a day."""

    WEEK = 0
    """its weekdays"""
    SHIFTS = 1
    """crews on a rota: four days on, four days off"""
    MONTH_END = 2
    """the closing of the books of every month"""
    QUARTER_END = 3
    """the closing of the books of every third month"""
    PROJECTS = 4
    """weeks on a project, then weeks between projects"""
    SEASON = 5
    """some months of the year"""


class Hours(IntEnum):
    """When people of an organisation work within a day. Only an office rests on public holidays."""

    OFFICE = 0
    ROUND_THE_CLOCK = 1
    MACHINE = 2


class Archetype(NamedTuple):
    """One kind of organisation.

    ``weekdays`` are the chances that a person uses the product, Monday first; ``weekdays_kept`` the number of
    its first five that one account keeps (0: all); ``quiet`` the chance on any other day. ``seats`` is the
    median number of people and ``spread`` the standard deviation of its logarithm, ``sessions`` the mean
    number of further sessions of a person in a day, ``pages`` the mean number of pages of a session.
    """

    name: str
    share: float
    cadence: Cadence
    hours: Hours
    weekdays: tuple[float, ...]
    weekdays_kept: int
    quiet: float
    seats: float
    spread: float
    sessions: float
    pages: float


_OFFICE_WEEK: Final = (0.90, 0.94, 0.93, 0.91, 0.80, 0.008, 0.004)
_LOOSE_WEEK: Final = (0.72, 0.75, 0.70, 0.70, 0.55, 0.05, 0.03)
_FULL_WEEK: Final = (0.93,) * 7
_FIVE_DAYS: Final = (0.93, 0.93, 0.93, 0.93, 0.93, 0.01, 0.01)
_SHOP_WEEK: Final = (0.01, 0.88, 0.90, 0.92, 0.95, 0.96, 0.005)

_C, _H = Cadence, Hours
ARCHETYPES: Final = (
    Archetype("daily_team", 0.25, _C.WEEK, _H.OFFICE, _OFFICE_WEEK, 0, 0.01, 5.0, 0.8, 0.7, 3.5),
    Archetype("small_office", 0.15, _C.WEEK, _H.OFFICE, _LOOSE_WEEK, 0, 0.02, 1.4, 0.4, 0.3, 3.0),
    Archetype("consultant", 0.12, _C.WEEK, _H.OFFICE, _FIVE_DAYS, 2, 0.03, 1.2, 0.4, 0.8, 4.0),
    Archetype("weekly_reporter", 0.06, _C.WEEK, _H.OFFICE, _FIVE_DAYS, 1, 0.02, 1.5, 0.4, 0.4, 5.0),
    Archetype("shop", 0.06, _C.WEEK, _H.OFFICE, _SHOP_WEEK, 0, 0.01, 2.5, 0.5, 0.5, 3.0),
    Archetype("shift_crew", 0.08, _C.SHIFTS, _H.ROUND_THE_CLOCK, _FULL_WEEK, 0, 0.01, 4.0, 0.7, 0.6, 3.0),
    Archetype("operations", 0.05, _C.WEEK, _H.ROUND_THE_CLOCK, _FULL_WEEK, 0, 0.01, 6.0, 0.6, 1.0, 3.0),
    Archetype("accountant", 0.09, _C.MONTH_END, _H.OFFICE, _FIVE_DAYS, 0, 0.07, 2.0, 0.5, 1.2, 5.0),
    Archetype("quarterly_reviewer", 0.02, _C.QUARTER_END, _H.OFFICE, _FIVE_DAYS, 0, 0.02, 1.5, 0.4, 1.0, 5.0),
    Archetype("agency", 0.06, _C.PROJECTS, _H.OFFICE, _OFFICE_WEEK, 0, 0.04, 3.0, 0.6, 0.9, 4.0),
    Archetype("seasonal", 0.03, _C.SEASON, _H.OFFICE, _OFFICE_WEEK, 0, 0.0, 3.0, 0.6, 0.6, 3.5),
    Archetype("integration", 0.03, _C.WEEK, _H.MACHINE, _FULL_WEEK, 0, 0.9, 1.0, 0.3, 0.0, 1.0),
)
