"""When views go out.

wall      0        10        60        70 s
changed   *        *
sent      (far behind: none)           once an account, at most once a minute
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from agents.partition import Partition
from schemas.records import Chunk
from schemas.topics import Input, Output
from streams.view_queue import BEHIND_MS, VIEW_EVERY_MS, VIEWS_MAX, ViewQueue

if TYPE_CHECKING:
    from schemas.records import Batch, OutputRecord
    from streams.plan import Program

NOW = 1_800_000_000_000
NOTHING: set[int] = set()


def test_a_changed_account_is_shown_at_once_the_first_time_and_then_once_a_minute() -> None:
    queue = ViewQueue()
    queue.add([7])
    assert queue.take(NOTHING, NOW) == [7]
    queue.add([7])
    queue.add([7])
    assert queue.take(NOTHING, NOW + VIEW_EVERY_MS - 1) == []
    assert queue.take(NOTHING, NOW + VIEW_EVERY_MS) == [7]
    assert queue.take(NOTHING, NOW + 5 * VIEW_EVERY_MS) == []


def test_a_change_of_band_goes_out_at_once_and_does_not_shorten_the_next_minute() -> None:
    queue = ViewQueue()
    queue.add([7])
    queue.take(NOTHING, NOW)
    queue.add([7])
    assert queue.take({7}, NOW + 1000) == [7]
    queue.add([7])
    assert queue.take(NOTHING, NOW + VIEW_EVERY_MS) == []
    assert queue.take(NOTHING, NOW + VIEW_EVERY_MS + 1000) == [7]


@pytest.mark.parametrize(("behind_ms", "sent"), [(BEHIND_MS, 0), (BEHIND_MS - 1, 1)])
def test_far_behind_the_present_views_wait_and_then_go_out_once(
    program: Program, behind_ms: int, sent: int
) -> None:
    now = NOW - program.policy.grace_s * 1000 + behind_ms
    made = partition(program, ended_ms=now)
    made.offer(Input.LOGINS, log_in())
    made.step(10)
    assert len(views(made.drain())) == sent
    made.end_reached(Input.LOGINS, now)
    made.step(10)
    assert len(views(made.drain())) == 1 - sent
    assert not views(made.drain())


def test_a_drain_takes_a_bounded_number_and_none_is_forgotten() -> None:
    queue = ViewQueue()
    queue.add(range(2 * VIEWS_MAX + 1))
    taken = [queue.take(NOTHING, NOW) for _ in range(4)]
    assert [len(part) for part in taken] == [VIEWS_MAX, VIEWS_MAX, 1, 0]
    assert sorted(row for part in taken for row in part) == list(range(2 * VIEWS_MAX + 1))


def test_a_view_that_waited_at_a_takeover_goes_out_under_the_next_owner(program: Program) -> None:
    first = partition(program, ended_ms=NOW + 2 * BEHIND_MS)
    first.offer(Input.LOGINS, log_in())
    first.step(10)
    assert first.pending_bytes >= program.layout.dtype.itemsize // 2
    batch = first.drain()
    assert first.pending_bytes == 0
    assert not views(batch)
    second = partition(program, ended_ms=NOW)
    second.load([key for key, _ in batch.changelog], [value for _, value in batch.changelog])
    second.loaded()
    second.step(10)
    (view,) = views(second.drain())
    assert json.loads(view.value)["account_id"] == "acme"


def log_in() -> Chunk:
    login = b'{"event_id":"1","account_id":"acme","occurred_at":%d}' % NOW
    return Chunk([b"acme"], [login], np.zeros(1, np.int64), np.full(1, -1))


def partition(program: Program, *, ended_ms: int) -> Partition:
    made = Partition(program, partition=0, partitions=1)
    for topic in Input:
        made.end_reached(topic, ended_ms if topic is not Input.LOGINS else NOW)
    return made


def views(batch: Batch) -> list[OutputRecord]:
    return [record for record in batch.outputs if record.topic is Output.ACCOUNTS]
