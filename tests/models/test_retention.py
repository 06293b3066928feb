"""`retention`: who is drifting away, by recency, frequency and friction; healthy [70,100], cooling, leaving [30,50), lost."""

from __future__ import annotations

from typing import Any

import pytest

from tests.models.golden import changes, dimensions, logins, played, require, score_of, unjudged_until, visits
from tests.scenarios.timeline import Tree, facts, login, payment, ticket

TRENDS: dict[str, float | None] = {"activity_trend": None, "login_trend": None}
"""What takes eight and four weeks to be known."""


def trouble(day: int, *, risk: int, failed: int, escalated: int) -> list[Tree]:
    """Return visits to the cancel page, failed payments and escalated tickets of a day."""
    return [
        *visits(f"{day} 10:00", "/cancel", risk),
        *(payment(f"{day} 11:0{number}", "failed", f"P{number}") for number in range(failed)),
        *(ticket(f"{day} 12:0{number}", "escalated", f"T{number}") for number in range(escalated)),
    ]


# One log-in and nothing before it: the rhythm is the prior's, a usual gap of 7 days, so a silence of d days is d / 7 gaps
#   (25 rhythm + 10 risk pages + 8 payments + 7 escalations) / 50, from the first day on
@pytest.mark.parametrize(
    ("day", "seen", "score", "band", "parts"),
    [
        (0, {}, 100, "healthy", (50, 20, 16, 14)),
        (
            14,
            {},
            95.834,
            "healthy",
            (45.834, 20, 16, 14),
        ),  # 2 gaps: 100 - 25 / 3 = 91.667, half of it 45.8335
        (0, {"risk": 1}, 86, "healthy", (50, 6, 16, 14)),
        (0, {"failed": 2, "escalated": 3}, 70, "healthy", (50, 20, 0, 0)),  # the cut of healthy
        (0, {"risk": 1, "failed": 1, "escalated": 1}, 69.4, "cooling", (50, 6, 6.4, 7)),
        (0, {"risk": 2, "failed": 2, "escalated": 3}, 50, "cooling", (50, 0, 0, 0)),  # the cut of cooling
        (21, {"risk": 1, "failed": 1, "escalated": 3}, 49.9, "leaving", (37.5, 6, 6.4, 0)),  # 3 gaps: 75
    ],
)
def test_the_first_weeks_at_the_edges_of_the_bands(
    day: int, seen: dict[str, int], score: float, band: str, parts: tuple[float, float, float, float]
) -> None:
    outside, inside = unjudged_until(f"{day} 20:00")
    events = [login("0 09:00"), *trouble(0, **{"risk": 0, "failed": 0, "escalated": 0} | seen)]
    found = score_of("retention", outside, *events, inside, until=f"{day} 21:00")
    names = ("own_rhythm", "risk_pages", "payment_trouble", "escalations")
    require(found, score, band, 0.5, **dict(zip(names, parts, strict=True)), **TRENDS)


# One log-in on day 0: on day 56 both trends are 0 of 0, of events that were seen once -> 0; silent for 8 gaps -> 20
#   500 + 0 + 0 + 2500 = 3000: the cut of leaving; on day 57: 8143 thousandths -> 19.285: 2982.125
#   on day 84, 12 gaps, the rhythm is 0: what is left are the 25 of no friction
@pytest.mark.parametrize(
    ("day", "score", "band"), [(56, 30, "leaving"), (57, 29.821, "lost"), (84, 25, "lost"), (120, 25, "lost")]
)
def test_a_long_silence(day: int, score: float, band: str) -> None:
    outside, inside = unjudged_until(f"{day} 10:00")
    found = score_of("retention", outside, login("0 09:00"), inside, until=f"{day} 11:00")
    assert (found["score"], found["band"], found["coverage"]) == (score, band, 1)


# A log-in on each of 56 days, day 56 not yet: 27 of the last 28 days against 28: 0.964 -> 96.4, * 35 = 3374
#   of the last 14 days 13 against 14: 0.929 -> 92.9, * 15 = 1393.5
def test_an_account_that_goes_on_as_usual() -> None:
    found = score_of("retention", *logins(range(56)), until="56 08:00")
    require(
        found, 97.675, "healthy", 1,
        own_rhythm=25, activity_trend=33.74, login_trend=13.935, risk_pages=10, payment_trouble=8, escalations=7,
    )  # fmt: skip
    assert dimensions(found) == {"recency": 100, "frequency": 95.35, "friction": 100}


#   four log-ins a day for four weeks, then one: 0.25 -> 45 * 0.15 / 0.4 = 16.875, * 35 = 590.625; log-ins: 14 against 14
def test_a_quarter_of_the_use() -> None:
    outside, inside = unjudged_until("55 20:00")
    seen = [*logins(range(28), 4), *logins(range(28, 56))]
    found = score_of("retention", outside, *seen, inside, until="55 21:00")
    require(
        found, 70.906, "healthy", 1,
        own_rhythm=25, activity_trend=5.906, login_trend=15, risk_pages=10, payment_trouble=8, escalations=7,
    )  # fmt: skip


# A log-in every day, trouble on day 1: each step is (2500 + friction) / 50: 90.4, 84, 77, 70, with a cancel page 56
#   day 27, before its log-in: log-ins 13 against 14 -> 92.9: (2500 + 1393.5 + 300) / 65; day 29: all trouble is four weeks old
def test_one_account_falls_and_rises() -> None:
    seen = [*trouble(1, risk=0, failed=2, escalated=3), *visits("1 13:00", "/account/cancel")]
    assert changes(played("retention", *logins(range(30)), *seen, until="29 12:00")) == [
        "0 09:00 100 healthy",
        "1 11:00 90.4 healthy",
        "1 11:01 84 healthy",
        "1 12:00 77 healthy",
        "1 12:02 70 healthy",
        "1 13:00 56 cooling",
        "27 00:00 64.515 cooling",
        "29 00:00 98.362 healthy",
    ]


def test_without_any_activity_there_is_no_score() -> None:
    found = score_of("retention", facts("0 12:00", owner="kim"), until="10")
    parts = dict.fromkeys(("own_rhythm", "risk_pages", "payment_trouble", "escalations"))
    require(found, None, "insufficient_evidence", 0.25, **parts, **TRENDS)


@pytest.mark.parametrize(
    ("pin", "score", "added"),
    [({"override.retention": 40}, 40, -60), ({"override.retention.risk_pages": 0}, 80, -20)],
)
def test_an_override_of_the_score_and_of_a_component(pin: dict[str, Any], score: float, added: float) -> None:
    found = score_of("retention", login("0 09:00"), facts("0 10:00", **pin), until="0 11:00")
    assert (found["score"], found["coverage"], found["components"][-1]["contribution"]) == (score, 0.5, added)
