"""What is known of a fetch: when it was asked, not when its answer was handled."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.errors import KafkaConnectionError, NodeNotReadyError
from aiokafka.structs import TopicPartition

from agents.clients import FetchLog, calm

ANSWERED, REFUSED = TopicPartition("logins", 0), TopicPartition("logins", 1)


class State:
    """How a partition is read."""

    timestamp: Any = None
    paused = False
    position = 10

    def consumed_to(self, position: int) -> None:
        self.position = position


class Batch(list[SimpleNamespace]):
    """A batch with a record at each offset; the last one was compacted away."""

    is_control_batch = False
    producer_id = None

    def __init__(self, offsets: list[int]) -> None:
        super().__init__(SimpleNamespace(offset=offset, key=b"k", value=b"v") for offset in offsets)
        self.next_offset = offsets[-1] + 2


class Batches:
    """What a fetch brought: one batch."""

    def __init__(self, offsets: list[int]) -> None:
        self.batches = [Batch(offsets)]

    def has_next(self) -> bool:
        return bool(self.batches)

    def next_batch(self) -> Batch:
        return self.batches.pop(0)


class Fetcher:
    """Answers one partition and refuses the other, after a while."""

    active = True

    def __init__(self) -> None:
        self._records: dict[TopicPartition, FetchResult] = {}
        self.states = {tp: State() for tp in (ANSWERED, REFUSED)}

    def state_value(self, tp: TopicPartition) -> Any:
        return self.states.get(tp)

    async def _proc_fetch_request(self, _assignment: object, _node_id: int, _request: object) -> bool:
        await asyncio.sleep(0.05)
        self.states[ANSWERED].timestamp = _now_ms()
        batches = Batches([10, 11, 13])
        records = PartitionRecords(
            ANSWERED, batches, aborted_transactions=[], fetch_offset=10, key_deserializer=None,
            value_deserializer=None, check_crcs=False, isolation_level="read_uncommitted",
        )  # fmt: skip
        self._records[ANSWERED] = FetchResult(ANSWERED, assignment=self, partition_records=records, backoff=0)
        return True


async def test_an_answer_is_dated_by_its_request() -> None:
    fetcher = Fetcher()
    log = FetchLog(cast("Any", SimpleNamespace(_fetcher=fetcher)))
    before_ms = _now_ms()
    assert await _fetch(fetcher)
    assert before_ms <= log.asked_ms[ANSWERED] <= fetcher.states[ANSWERED].timestamp - 50


async def test_a_partition_that_was_refused_is_not_dated() -> None:
    fetcher = Fetcher()
    log = FetchLog(cast("Any", SimpleNamespace(_fetcher=fetcher)))
    await _fetch(fetcher)
    assert REFUSED not in log.asked_ms


async def test_records_are_handed_over_as_they_lie() -> None:
    fetcher = Fetcher()
    FetchLog(cast("Any", SimpleNamespace(_fetcher=fetcher)))
    await _fetch(fetcher)
    result, state = fetcher._records[ANSWERED], fetcher.states[ANSWERED]
    records = [record for batch in Batches([10, 11, 13]).batches for record in batch]
    assert result.getone() == records[0]
    assert result.getall(1) == records[1:2]
    assert (state.position, result.has_more()) == (12, True)
    assert result.getall(2) == records[2:]
    assert (state.position, result.has_more()) == (15, False)


async def test_a_partition_that_was_taken_away_meanwhile_is_passed_over() -> None:
    fetcher = Fetcher()
    log = FetchLog(cast("Any", SimpleNamespace(_fetcher=fetcher)))
    fetching = asyncio.create_task(_fetch(fetcher))
    await asyncio.sleep(0)
    del fetcher.states[REFUSED]
    await fetching
    assert set(log.asked_ms) == {ANSWERED}


async def test_failed_metadata_requests_are_paused() -> None:
    answers = [False, True]

    async def update(_cluster: object, _topics: object) -> bool:
        return answers.pop(0)

    client = cast("Any", SimpleNamespace(_metadata_update=update))
    calm(client)
    started_s = time.monotonic()
    assert not await client._metadata_update(None, None)
    paused_s = time.monotonic() - started_s
    assert await client._metadata_update(None, None)
    assert paused_s >= 0.1 > time.monotonic() - started_s - paused_s


async def test_a_lost_coordinator_lookup_can_be_retried() -> None:
    from agents.clients import _survive_lost_lookups

    async def lookup(_kind: object, _key: object) -> int:
        raise KafkaConnectionError("connection dropped")

    client = cast("Any", SimpleNamespace(coordinator_lookup=lookup))
    _survive_lost_lookups(client)
    with pytest.raises(NodeNotReadyError, match="connection dropped"):
        await client.coordinator_lookup(1, "id")


async def _fetch(fetcher: Fetcher) -> bool:
    request = SimpleNamespace(topics=[("logins", [(0, 0, 1), (1, 0, 1)])])
    return await fetcher._proc_fetch_request(fetcher, 1, request)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
