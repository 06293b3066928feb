"""A produce request that is joined once is by every byte what aiokafka sends."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.produce import ProduceRequest

from agents.produce import join_once

VERSIONS = {0: (0, 8), 3: (0, 5)}
TOPICS: dict[str, list[tuple[str, list[tuple[int, Any]]]]] = {
    "nothing": [],
    "a batch": [("scores", [(0, b"batch")])],
    "an empty one": [("scores", [(3, b"")])],
    "views of batches": [
        ("scores", [(0, memoryview(bytearray(b"first"))), (7, memoryview(b"a longer second")[2:])]),
        ("alerts", [(1, bytes(70_000))]),
    ],
}


class Wire:
    """A client with one connection, whose writer keeps what it is given."""

    def __init__(self) -> None:
        self.written: list[Any] = []
        self._conn = AIOKafkaConnection("nowhere", 0, client_id="worker-1", request_timeout_ms=100)
        self._conn._writer = cast("Any", SimpleNamespace(write=self.written.append, drain=self._drained))
        self._conn._versions = VERSIONS

    async def _drained(self) -> None:
        pass

    async def send(self, node_id: int, request: Any, *, group: int = 0) -> tuple[int, int]:
        await self._conn.send(request, expect_response=False)
        return node_id, group


def request(topics: list[tuple[str, list[tuple[int, Any]]]], transactional_id: str | None) -> ProduceRequest:
    return ProduceRequest(required_acks=-1, timeout=40_000, topics=topics, transactional_id=transactional_id)


@pytest.mark.parametrize("transactional_id", ["worker-1", None])
@pytest.mark.parametrize("topics", TOPICS.values(), ids=TOPICS.keys())
async def test_by_every_byte_what_aiokafka_sends(
    topics: list[tuple[str, list[tuple[int, Any]]]], transactional_id: str | None
) -> None:
    plain, joined = Wire(), Wire()
    join_once(cast("Any", joined))
    for wire in (plain, joined):
        for _ in range(2):  # the second has another number
            assert await wire.send(1, request(topics, transactional_id), group=2) == (1, 2)
    assert joined.written == plain.written
    assert [type(each) for each in joined.written] == [memoryview] * 2  # joined by us, not by aiokafka
    for _, partitions in topics:
        for _, batch in partitions:
            assert bytes(batch) in bytes(joined.written[1])


async def test_a_request_that_is_sent_again_is_the_same() -> None:
    wire = Wire()
    join_once(cast("Any", wire))
    once = request(TOPICS["a batch"], "worker-1")
    await wire.send(1, once)
    await wire.send(1, once)
    first, second = wire.written
    assert first[12:] == second[12:]


async def test_a_batch_is_let_go_when_its_request_is() -> None:
    class Batch(bytearray):
        pass

    wire, batch = Wire(), Batch(b"batch")
    join_once(cast("Any", wire))
    gone = weakref.ref(batch)
    gc.disable()
    try:
        await wire.send(1, request([("scores", [(0, batch)])], None))
        del batch
        assert gone() is None
    finally:
        gc.enable()


async def test_other_requests_go_as_they_are() -> None:
    wire, plain = Wire(), Wire()
    join_once(cast("Any", wire))
    for each in (wire, plain):
        await each.send(1, MetadataRequest(["scores"]))
    assert wire.written == plain.written
