"""From an assignment to where its inputs are read from, and the way out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiokafka.errors import ProducerFenced
from faust.types import TP

from agents.delivery import SILENT_MAX_S, Delivery, WorkerSettings
from agents.ownership import TransactionFence
from agents.ports import NullObserver
from schemas.errors import StateError
from schemas.topics import Input
from tests.delivery.fold import FoldPartition
from tests.delivery.ledger import new_owner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agents.clients import Connection
    from tests.delivery.support import Application

pytestmark = pytest.mark.kafka
NOW_MS = 1_790_000_000_000


class HeldFence(TransactionFence):
    """Fences when it is let."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.called, self.let = asyncio.Event(), asyncio.Event()

    async def fence(self, transactional_id: str) -> None:
        self.called.set()
        await self.let.wait()
        await super().fence(transactional_id)


async def started(
    application: Application, connection: Connection, folder: Path, fence: TransactionFence | None = None
) -> Delivery:
    """Return the delivery of a worker that has no partitions yet."""
    settings = WorkerSettings(connection, application.name, folder, application.prefix)
    delivery = Delivery(
        settings, FoldPartition, observer=NullObserver(), fence=fence or TransactionFence(connection)
    )
    await delivery.start()
    return delivery


async def test_positions_asked_for_while_the_state_is_being_read_start_nothing(
    make_application: Callable[[int], Application], connection: Connection, tmp_path: Path
) -> None:
    """
    acquire       read changelog ... fence .................... loaded
    Faust                               asks for positions               asks again
    """
    application = make_application(1)
    former = await new_owner(application, "former")
    await former.ownership.acquire({0})
    fence = HeldFence(connection)
    delivery = await started(application, connection, tmp_path, fence)
    try:
        assigned = {TP(application.input(topic), 0) for topic in Input}
        hints = dict.fromkeys(assigned, 8)
        assert delivery.unready(NOW_MS) == "no partitions are assigned"
        acquiring = asyncio.create_task(delivery.on_assigned(assigned))
        await fence.called.wait()
        assert delivery.unready(NOW_MS) == "recovering partitions [0], 2 of 2 changelog records read"
        first, starts = await delivery.start_positions(assigned, {}, hints)
        assert (starts, delivery.drive.accepting) == ({}, False)
        fence.let.set()
        await acquiring
        again, starts = await delivery.start_positions(assigned, {}, {})
        assert again == first + 1
        assert (starts, delivery.drive.accepting) == (dict.fromkeys(assigned, 0), True)
        _assert_ready_when_the_clock_is_near(delivery)
        with pytest.raises(StateError, match="up to 8, the changelog knows it up to 0: the changelog lost"):
            await delivery.start_positions(assigned, {}, hints)
    finally:
        fence.let.set()
        await delivery.stop()
        await former.vanish()


def _assert_ready_when_the_clock_is_near(delivery: Delivery) -> None:
    port = delivery._ownership.holdings[0].port
    assert isinstance(port, FoldPartition)
    assert delivery.unready(NOW_MS) == (
        "the clock of partition 0 does not go yet: an input has not been read to its end"
    )
    port.clock_ms = NOW_MS - 181_000
    assert delivery.unready(NOW_MS) == "the clock of partition 0 is 181 s behind the wall clock"
    port.halted = Input.TICKETS
    assert delivery.unready(NOW_MS) == "partition 0 is halted by records of tickets that were rejected"
    port.clock_ms = NOW_MS - 180_000
    assert delivery.unready(NOW_MS) is None


async def test_a_long_wait_for_the_group_is_no_silence_of_the_consumer(
    make_application: Callable[[int], Application], connection: Connection, tmp_path: Path
) -> None:
    """worker   starts ~~~ waits for the group, recovers: longer than a silence may be ~~~ begins ~~~ silence: dead"""
    application = make_application(1)
    delivery = await started(application, connection, tmp_path)
    try:
        assigned = {TP(application.input(topic), 0) for topic in Input}
        await delivery.on_assigned(assigned)
        delivery.drive.alive_s -= 2 * SILENT_MAX_S
        await delivery.start_positions(assigned, {}, {})
        delivery._refuse_silence()
        began_s = delivery.drive.alive_s
        delivery.drive.alive_s -= 2 * SILENT_MAX_S
        with pytest.raises(TimeoutError, match="no poll for 60 s"):
            delivery._refuse_silence()
        delivery.drive.alive_s = began_s
    finally:
        await delivery.stop()


async def test_a_group_that_another_owner_took_on_is_no_lost_changelog(
    make_application: Callable[[int], Application], connection: Connection, tmp_path: Path
) -> None:
    """
    this worker   loads ~~~~~~~~~~~~~~~~~~~~~~~~~~~~ asks for positions: fenced
    another one         takes over, commits
    """
    application = make_application(1)
    delivery = await started(application, connection, tmp_path)
    assigned = {TP(application.input(topic), 0) for topic in Input}
    await delivery.on_assigned(assigned)
    another = await new_owner(application, "another")
    await another.ownership.acquire({0})
    try:
        with pytest.raises(ProducerFenced):
            await delivery.start_positions(assigned, {}, dict.fromkeys(assigned, 8))
    finally:
        for task in delivery._tasks:
            task.cancel()
        await delivery._control.stop()
        await delivery._committer.stop()
        await another.vanish()


async def test_a_stop_ends_while_processing_waits_for_a_commit(
    make_application: Callable[[int], Application], connection: Connection, tmp_path: Path
) -> None:
    application = make_application(1)
    delivery = await started(application, connection, tmp_path)
    await delivery.on_assigned({TP(application.input(topic), 0) for topic in Input})
    looks = 0

    async def wait() -> bool:
        nonlocal looks
        looks += 1
        return await type(delivery.drive.full).wait(delivery.drive.full)

    delivery.drive.full.wait = wait  # type: ignore[method-assign,assignment]
    delivery.drive.full.set()
    await asyncio.sleep(0.5)
    assert looks < 20, "the loop that commits spins"
    delivery.drive.full.set()
    async with asyncio.timeout(5):
        await delivery.stop()
