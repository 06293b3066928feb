"""The live part: own events when they are due, further ones at a rate, only on days that are active."""

from __future__ import annotations

from agents.simulation import Company, SimulatedEvent
from agents.simulation.live import paced
from schemas.topics import Input
from tests.simulation.conftest import DAY_MS, START_MS, span

WEDNESDAY_NOON_MS = START_MS + 27 * DAY_MS + 13 * 3_600_000
DAYS = 28


class Wall:
    """A clock that only sleeping moves."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def clock_ms(self) -> int:
        return self.now_ms

    def sleep(self, seconds: float) -> None:
        self.now_ms += max(1, round(seconds * 1000))


def live_run(rate: float, seconds: int) -> tuple[list[tuple[int, SimulatedEvent]], Company]:
    start_ms = WEDNESDAY_NOON_MS - DAYS * DAY_MS
    company = Company(span(accounts=60, start_ms=start_ms, days=DAYS, further_ms=seconds * 1000))
    wall = Wall(WEDNESDAY_NOON_MS)
    seen = [
        (wall.now_ms, event) for event in paced(company, rate, wall.clock_ms, wall.sleep) if event is not None
    ]
    assert wall.now_ms >= company.span.end_ms
    return seen, company


def test_history_comes_at_once_and_later_events_when_they_are_due() -> None:
    seen, company = live_run(rate=0.0, seconds=3600)
    own = list(Company(company.span))
    assert [event for _, event in seen] == own
    assert all(now_ms == WEDNESDAY_NOON_MS for now_ms, event in seen if event.occurred_ms < WEDNESDAY_NOON_MS)
    assert all(
        event.occurred_ms <= now_ms < event.occurred_ms + 1000
        for now_ms, event in seen
        if event.occurred_ms >= WEDNESDAY_NOON_MS
    )


def test_further_events_come_at_the_rate_asked_for() -> None:
    seen, _ = live_run(rate=200.0, seconds=30)
    live = [event for _, event in seen if event.occurred_ms >= WEDNESDAY_NOON_MS]
    assert 0.95 * 200 * 30 < len(live) < 1.1 * 200 * 30 + 50
    assert {event.topic for event in live} <= {*Input}


def test_further_events_make_no_day_active_that_was_not() -> None:
    seen, company = live_run(rate=500.0, seconds=20)
    busy = {event.account_id for _, event in seen if event.occurred_ms >= WEDNESDAY_NOON_MS}
    whole_day = Company(
        span(accounts=60, start_ms=company.span.start_ms, days=DAYS, further_ms=20 * 3_600_000)
    )
    around_ms = (WEDNESDAY_NOON_MS - 20 * 3_600_000, WEDNESDAY_NOON_MS + 20 * 3_600_000)
    at_work = {event.account_id for event in whole_day if around_ms[0] <= event.occurred_ms < around_ms[1]}
    assert len(busy) > 10
    assert busy <= at_work
