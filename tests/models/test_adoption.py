"""`adoption`: is the product used for what makes it succeed, by key features and by people."""

from __future__ import annotations

from typing import Any

import pytest

from tests.models.golden import (
    FEATURE_PATHS,
    changes,
    dimensions,
    logins,
    played,
    require,
    score_of,
    unjudged_until,
    visits,
)
from tests.scenarios.timeline import Tree, facts, login


def uses(*days: int, features: int = 3) -> list[Tree]:
    """Return a visit to each of so many key features on days."""
    return [
        visit for day in days for path in FEATURE_PATHS[:features] for visit in visits(f"{day} 10:00", path)
    ]


def users(day: int, count: int) -> list[Tree]:
    return [login(f"{day} 11:{number:02}", user_id=f"user-{number}") for number in range(count)]


def account(day: int, seats: float, *seen: Tree, kind: str = "customer") -> Tree:
    """Return the score of an account that is known since day 0 and judged from the evening of a day on."""
    outside, inside = unjudged_until(f"{day} 20:00", kind)
    return score_of("adoption", outside, facts("0 12:00", seats=seats), *seen, inside, until=f"{day} 21:00")


# 25 breadth + 20 depth + 15 first use + 25 users + 15 active days:
#  100: 3 of 3 features, on 12 days, first on day 5; 8 users of 10 seats; 16 active days
#   75: 2500 + 2000 + 1500 + 1 of 10 users 0 + 1500; 15 days -> 95: 7425
#   50, day 60: 2500 + first used that day 60 -> 30: 450, on 1 day 12.5: 250, 7 users of 25 (0.28 -> 30)
#       750, 10 days -> 70: 1050; 9 days -> 65: 4925
#   25, day 60: no feature ever: 0 + 0 + 450, 1 user of 4 (0.25) 625, 15 days -> 95: 1425; 14 days -> 90: 2425
@pytest.mark.parametrize(
    ("day", "seats", "seen", "score", "band"),
    [
        (27, 10, [*uses(5, *range(17, 28)), *logins(range(13, 17)), *users(27, 8)], 100, "embedded"),
        (27, 10, [*uses(5, *range(17, 28)), *logins(range(13, 17)), *users(27, 1)], 75, "embedded"),
        (27, 10, [*uses(5, *range(17, 28)), *logins(range(14, 17)), *users(27, 1)], 74.25, "growing"),
        (60, 25, [*uses(60), *logins(range(51, 61)), *users(60, 7)], 50, "growing"),
        (60, 25, [*uses(60), *logins(range(52, 61)), *users(60, 7)], 49.25, "shallow"),
        (60, 4, [*logins(range(46, 61)), *users(60, 1)], 25, "shallow"),
        (60, 4, [*logins(range(47, 61)), *users(60, 1)], 24.25, "unused"),
    ],
)
def test_the_edges_of_the_bands(day: int, seats: float, seen: list[Tree], score: float, band: str) -> None:
    found = account(day, seats, *seen)
    assert (found["score"], found["band"], found["coverage"]) == (score, band, 1)


# 1 of 3 features (0.333 -> 33.3) 832.5, on 4 days -> 50: 1000; first use: day 5, two not yet on day 27: (5 + 27 + 27) / 3 =
#   19.667 -> 100 - 40 * 12.667 / 23 = 77.97: 1169.55; 4 of 10 users -> 50: 1250; 8 days -> 60: 900: 5152.05 / 100 = 51.5205
#   half up 51.521: the floors make 51.519, the larger remainders are those of first use and of breadth, equal
def test_an_account_in_the_middle_to_the_last_thousandth() -> None:
    seen = [*uses(5, 24, 25, 26, features=1), *logins((20, 21, 22)), *users(27, 4)]
    found = account(27, 10, *seen)
    require(
        found, 51.521, "growing", 1,
        breadth=8.325, depth=10, first_use=11.696, users_active=12.5, active_days=9,
    )  # fmt: skip
    assert dimensions(found) == {"key_features": 50.034, "people": 53.75}


def test_young_accounts_are_not_judged() -> None:
    found = account(10, 10, *uses(5), *users(10, 8))
    parts = dict.fromkeys(("breadth", "depth", "first_use", "users_active", "active_days"))
    require(found, None, "insufficient_evidence", 0.15, **parts)


#   nothing was ever used: of users nothing is known; first use 95 days so far -> 0
def test_whoever_never_used_anything() -> None:
    found = account(95, 10)
    require(
        found, 0, "unused", 0.75, breadth=0, depth=0, first_use=0, users_active=None, active_days=0
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "band"), [("partner", "embedded"), ("trial", "embedded"), ("internal", "not_applicable")]
)
def test_partners_and_trials_are_judged_too(kind: str, band: str) -> None:
    seen = [*uses(5, *range(17, 28)), *logins(range(13, 17)), *users(27, 8)]
    assert account(27, 10, *seen, kind=kind)["band"] == band


#   3 features on 4 days within four weeks, first on day 5: 2500 + 1000 + 1500, 8 of 10 users, more than 16 days: 9000
#   80 seats: 0.1 of them -> 0: 6500; 10 seats again
def test_one_account_falls_and_rises() -> None:
    outside, inside = unjudged_until("33 12:00")
    told = [
        outside,
        facts("0 12:00", seats=10),
        inside,
        facts("34 12:00", seats=80),
        facts("36 12:00", seats=10),
    ]
    seen = [*uses(5, 20, 21, 22, 23), *logins(range(37)), *users(32, 8)]
    story = played("adoption", *told, *seen, until="36 13:00")
    assert changes(story)[1:] == ["33 12:00 90 embedded", "34 12:00 65 growing", "36 12:00 90 embedded"]


@pytest.mark.parametrize(
    ("pin", "score", "added"),
    [({"override.adoption": 40}, 40, -60), ({"override.adoption.users_active": 0}, 75, -25)],
)
def test_an_override_of_the_score_and_of_a_component(pin: dict[str, Any], score: float, added: float) -> None:
    seen = [*uses(5, *range(17, 28)), *logins(range(13, 17)), *users(27, 8), facts("27 19:00", **pin)]
    found = account(27, 10, *seen)
    assert (found["score"], found["components"][-1]["contribution"]) == (score, added)
