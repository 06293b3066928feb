"""What a partition says to others in the control topic: heard with the transaction it is said in, of a zombie never.

a    join in an open transaction ........ commit: fenced
b                      takes over ----------------------- join, committed
log  ....................................................  hears b's alone
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
from aiokafka.errors import KafkaError

from agents.clients import Connection
from agents.control_log import ControlLog
from tests.delivery.ledger import new_owner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.delivery.support import Application

JOIN = b"join:of a and b"


@contextlib.asynccontextmanager
async def heard(application: Application) -> AsyncIterator[ControlLog]:
    """Follow the control topic."""
    log = ControlLog(Connection(application.bootstrap), application.control)
    await log.start()
    following = asyncio.create_task(log.follow())
    yield log
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
    await log.stop()


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not what():  # noqa: ASYNC110 - there is nothing to wait for
            await asyncio.sleep(0.05)


@pytest.mark.kafka
async def test_what_a_zombie_says_is_never_heard(make_application: Callable[[int], Application]) -> None:
    application = make_application(1)
    zombie = await new_owner(application, "a")
    await zombie.ownership.acquire({0})
    sent, fenced, commit = asyncio.Event(), asyncio.Event(), zombie.producer.commit_transaction

    async def too_late() -> None:
        sent.set()
        await fenced.wait()
        await commit()

    zombie.producer.commit_transaction = too_late
    zombie.ledger().write(b"old", None)
    zombie.ledger().say(JOIN, b"of a zombie")
    committing = asyncio.create_task(zombie.ownership.commit())
    await sent.wait()
    async with heard(application) as log:
        assert log.after(0) == (), "it begins to hear while that is open"
        successor = await new_owner(application, "b")
        await successor.ownership.acquire({0})
        fenced.set()
        with pytest.raises(KafkaError):
            await committing
        successor.ledger().say(JOIN, b"of who took over")
        await successor.ownership.commit()
        await until(lambda: bool(log.after(0)))
        await asyncio.sleep(0.5)
        assert [line[1:] for line in log.after(0)] == [(JOIN, b"of who took over")]
    for owner in (zombie, successor):
        await owner.vanish()


@pytest.mark.kafka
async def test_a_join_that_was_taken_in_is_not_kept_in_memory(
    make_application: Callable[[int], Application],
) -> None:
    application = make_application(1)
    owner = await new_owner(application, "a")
    await owner.ownership.acquire({0})
    said = [(b"pause:p", b"{}"), (JOIN, b"x" * 500_000), (b"pause:q", b"{}"), (JOIN, None)]
    async with heard(application) as log:
        for record in said:
            owner.ledger().say(*record)
            await owner.ownership.commit()
        await until(lambda: bool(log.after(0)) and log.after(0)[-1][1:] == (JOIN, None))
        assert [(line.key, line.value) for line in log.after(0)] == [said[0], said[2], said[3]]
        offsets = [line.offset for line in log.after(0)]
        assert [line.offset for line in log.after(offsets[1])] == offsets[1:]
        assert log._bytes == sum(len(line.value or b"") for line in log._lines) == len(b"{}{}")
    await owner.vanish()
