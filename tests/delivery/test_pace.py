"""When a commit is due, and how many events a throttle lets through."""

from __future__ import annotations

import pytest

from agents.pace import EVENTS_MAX, OFFERED_BYTES_MAX, PENDING_BYTES_MAX, CommitPace, Throttle

NO_BACKLOG, BACKLOG = 0, 100_000


@pytest.mark.parametrize(
    ("elapsed_ms", "queued", "due"),
    [
        pytest.param(99, NO_BACKLOG, False, id="not before the interval is over"),
        pytest.param(100, NO_BACKLOG, True, id="every interval"),
        pytest.param(100, BACKLOG, False, id="in a backlog a transaction waits for more events"),
        pytest.param(1_000, BACKLOG, True, id="but never longer than a second"),
    ],
)
def test_interval(elapsed_ms: float, queued: int, *, due: bool) -> None:
    assert CommitPace(100).due(elapsed_ms, queued) is due


def test_an_interval_longer_than_a_second_is_kept() -> None:
    pace = CommitPace(5_000)
    assert not pace.due(4_999, BACKLOG)
    assert pace.due(5_000, BACKLOG)


def test_full_of_events_is_due_at_once() -> None:
    pace = CommitPace(100)
    pace.events = EVENTS_MAX
    assert pace.full
    assert pace.due(0, BACKLOG)
    pace.drained()
    assert not pace.full


def test_full_of_bytes_that_may_become_dead_letters() -> None:
    pace = CommitPace(100)
    pace.offered_bytes = OFFERED_BYTES_MAX
    assert pace.due(0, BACKLOG)


@pytest.mark.parametrize(
    ("bytes_of_1", "full"), [(PENDING_BYTES_MAX // 2 - 1, False), (PENDING_BYTES_MAX // 2, True)]
)
def test_full_of_rows_and_outputs_of_all_partitions_together(bytes_of_1: int, *, full: bool) -> None:
    pace = CommitPace(100)
    pace.pending_bytes |= {0: PENDING_BYTES_MAX // 2, 1: bytes_of_1}
    assert pace.full is full


def test_the_throttle_keeps_its_rate_and_holds_a_tenth_of_a_second() -> None:
    throttle, now_s, events = Throttle(1_000), 100.0, 0
    assert throttle.allowance(now_s) == 100
    throttle.spend(100)
    for _ in range(50):
        now_s += 0.02
        allowed = throttle.allowance(now_s)
        throttle.spend(allowed)
        events += allowed
    assert 990 <= events <= 1_000
    assert throttle.allowance(now_s + 3_600) == 100


def test_a_throttle_below_one_event_a_second_still_lets_one_through() -> None:
    throttle = Throttle(0.5)
    assert throttle.allowance(10.0) == 1
    throttle.spend(1)
    assert throttle.allowance(11.0) == 0
    assert throttle.allowance(12.0) == 1
