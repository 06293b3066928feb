"""Holder keys and fences: whoever commits has seen all that was committed before. No consumer group here."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from aiokafka.errors import IllegalOperation, KafkaError, ProducerFenced

from agents.changelog import holder_key
from schemas.topics import Output
from tests.delivery.ledger import NoFence, Owner, new_owner

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents.ownership import Fence
    from tests.delivery.support import Application

pytestmark = pytest.mark.kafka

CONTENDERS = 4
CONTEND_S, CONTEND_MAX_S = 4.0, 60.0
COMMITS_MIN, FENCINGS_MIN = 10, 3
REFUSED = (KafkaError, IllegalOperation, AssertionError)
"""What a fenced producer raises; aiokafka's state machine refuses or asserts once it knows."""
RELEASE, DIE, DIE_IN_A_TRANSACTION = "release", "die", "die in a transaction"


async def test_the_new_owner_has_all_that_was_committed_and_the_old_one_commits_nothing_more(
    make_application: Callable[[int], Application],
) -> None:
    application = make_application(1)
    old, new = await new_owner(application, "old"), await new_owner(application, "new")
    await old.ownership.acquire({0})
    old.ledger().count()
    await old.ownership.commit()
    await new.ownership.acquire({0})
    assert new.watcher.fenced == [f"{application.name}-old"]
    assert new.ledger().rows == {b"counter": b"1"}
    old.ledger().count()
    with pytest.raises(ProducerFenced):
        await old.ownership.commit()
    new.ledger().count()
    await new.ownership.commit()
    assert _told(application) == [1, 2]
    await old.vanish()
    await new.vanish()


async def test_without_fencing_the_old_owner_overwrites_the_new_one(
    make_application: Callable[[int], Application],
) -> None:
    """The negative control: the test above can fail."""
    application = make_application(1)
    old, new = await new_owner(application, "old"), await new_owner(application, "new", NoFence())
    await old.ownership.acquire({0})
    await new.ownership.acquire({0})
    for owner in (new, new, old):
        owner.ledger().count()
        await owner.ownership.commit()
    assert _told(application) == [1, 2, 1]
    last = await new_owner(application, "last")
    await last.ownership.acquire({0})
    assert last.ledger().rows == {b"counter": b"1"}
    for owner in (old, new, last):
        await owner.vanish()


async def test_an_open_transaction_of_a_dead_owner_is_aborted_at_once(
    make_application: Callable[[int], Application],
) -> None:
    application = make_application(1)
    dead = await new_owner(application, "dead")
    await dead.ownership.acquire({0})
    dead.ledger().count()
    await dead.ownership.commit()
    await _leave_open(dead, application)
    heir = await new_owner(application, "heir")
    async with asyncio.timeout(5):  # the broker itself would take the transaction timeout, 10 s
        await heir.ownership.acquire({0})
    assert heir.ledger().rows == {b"counter": b"1"}
    assert _told(application) == [1]
    await heir.vanish()


async def test_a_released_partition_needs_no_fence(make_application: Callable[[int], Application]) -> None:
    application = make_application(2)
    first, second = await new_owner(application, "first"), await new_owner(application, "second")
    await first.ownership.acquire({0, 1})
    first.ledger(1).count()
    await first.ownership.release()
    await second.ownership.acquire({0, 1})
    assert second.watcher.fenced == []
    assert second.ledger(1).rows == {b"counter": b"1"}
    assert first.ownership.holdings[0].holders == set()
    for owner in (first, second):
        await owner.vanish()


async def test_after_a_release_nothing_is_committed(make_application: Callable[[int], Application]) -> None:
    application = make_application(1)
    owner = await new_owner(application, "a")
    await owner.ownership.acquire({0})
    await owner.ownership.release()
    owner.ledger().count()
    await owner.ownership.commit()
    await owner.ownership.release()
    assert _told(application) == []
    await owner.vanish()


async def test_a_retained_partition_stays_in_memory(make_application: Callable[[int], Application]) -> None:
    application = make_application(2)
    owner = await new_owner(application, "a")
    await owner.ownership.acquire({0, 1})
    owner.ledger(0).count()
    kept, given_up = owner.ledger(0), owner.ledger(1)
    await owner.ownership.release()
    owner.watcher.loaded.clear()
    await owner.ownership.acquire({0})
    assert owner.ledger(0) is kept
    assert owner.watcher.loaded == {}
    await owner.ownership.release()
    await owner.ownership.acquire({0, 1})
    assert owner.ledger(0) is kept
    assert owner.ledger(1) is not given_up
    owner.ledger(0).count()
    await owner.ownership.commit()
    assert _told(application) == [1, 2]
    await owner.vanish()


async def test_memory_is_dropped_when_somebody_else_wrote_meanwhile(
    make_application: Callable[[int], Application],
) -> None:
    application = make_application(2)
    one, other = await new_owner(application, "one"), await new_owner(application, "other")
    await one.ownership.acquire({0, 1})
    one.ledger(0).count()
    one.ledger(1).count()
    await one.ownership.release()
    outdated, current = one.ledger(0), one.ledger(1)
    await other.ownership.acquire({0})
    other.ledger(0).count()
    await other.ownership.release()
    await one.ownership.acquire({0, 1})
    assert one.ledger(0) is not outdated
    assert one.ledger(0).rows == {b"counter": b"2"}
    assert one.ledger(1) is current
    for owner in (one, other):
        await owner.vanish()


async def test_recovery_equals_what_was_written(make_application: Callable[[int], Application]) -> None:
    """Tombstones, aborted transactions and markers lie in the log, some of them at its very end."""
    application = make_application(3)
    chance = random.Random(7)
    writer = await new_owner(application, "writer")
    await writer.ownership.acquire({0, 1, 2})
    for _ in range(20):
        for partition in range(3):
            for _ in range(chance.randrange(200)):
                key = b"account-%d" % chance.randrange(300)
                writer.ledger(partition).write(key, None if chance.random() < 0.2 else chance.randbytes(40))
        await writer.ownership.commit()
    expected = {partition: dict(writer.ledger(partition).rows) for partition in range(3)}
    await _leave_open(writer, application)
    reader = await new_owner(application, "reader")
    await reader.ownership.acquire({0, 1, 2})
    assert {partition: reader.ledger(partition).rows for partition in range(3)} == expected
    assert all(reader.watcher.loaded[partition] >= len(expected[partition]) for partition in range(3))
    await reader.vanish()


async def test_holder_keys_are_never_shown_to_a_partition(
    make_application: Callable[[int], Application],
) -> None:
    application = make_application(1)
    for name in ("a", "b", "c"):
        owner = await new_owner(application, name)
        await owner.ownership.acquire({0})
        assert owner.ledger().rows == {}
        await owner.vanish()
    keys = {record.key for record in application.read(application.changelog)}
    assert keys >= {holder_key(f"{application.name}-{name}") for name in ("a", "b", "c")}


async def test_contenders_that_pause_and_crash_lose_nothing(
    make_application: Callable[[int], Application],
) -> None:
    application = make_application(2)
    happened = await _contend(application, None, [RELEASE, DIE, DIE_IN_A_TRANSACTION])
    commits = happened["commits"]
    last = await new_owner(application, "last")
    await last.ownership.acquire({0, 1})
    for partition in range(2):
        assert int(last.ledger(partition).rows[b"counter"]) == commits
        assert _told(application, partition) == [*range(1, commits + 1)]
    assert commits >= COMMITS_MIN
    assert happened["fencings"] >= FENCINGS_MIN
    await last.vanish()


async def test_contenders_without_fencing_lose_commits(
    make_application: Callable[[int], Application],
) -> None:
    """The negative control: the test above can fail."""
    application = make_application(2)
    commits = (await _contend(application, NoFence(), [RELEASE, DIE]))["commits"]
    last = await new_owner(application, "last")
    await last.ownership.acquire({0, 1})
    assert int(last.ledger(0).rows[b"counter"]) < commits
    assert _told(application) != [*range(1, commits + 1)]
    await last.vanish()


async def _contend(application: Application, fence: Fence | None, ends: list[str]) -> Counter[str]:
    """Let contenders take the same partitions from each other; return how many commits and fencings there were.

    They go on for so long, and until enough has happened: on a busy machine all of them may spend seconds joining.
    """
    now, happened = asyncio.get_running_loop().time, Counter[str]()
    began = now()

    def enough() -> bool:
        lasted = now() - began
        fenced = fence is not None or happened["fencings"] >= FENCINGS_MIN
        return lasted > (CONTEND_S if fenced and happened["commits"] >= COMMITS_MIN else CONTEND_MAX_S)

    contenders = (
        _contender(application, fence, number, ends, happened, enough) for number in range(CONTENDERS)
    )
    await asyncio.gather(*contenders)
    return happened


async def _contender(
    application: Application,
    fence: Fence | None,
    number: int,
    ends: list[str],
    happened: Counter[str],
    enough: Callable[[], bool],
) -> None:
    chance = random.Random(number)
    life = 0
    while not enough():
        life += 1
        owner = await new_owner(application, f"{number}-{life}", fence)
        try:
            await owner.ownership.acquire({0, 1})
            for _ in range(chance.randrange(2, 30)):
                await asyncio.sleep(chance.choice([0.0, 0.0, 0.01, 0.02, 0.3]))
                owner.ledger(0).count()
                owner.ledger(1).count()
                await owner.ownership.commit()
                happened["commits"] += 1
            await _end_of_life(owner, application, chance.choice(ends))
        except REFUSED:
            await owner.vanish()
        happened["fencings"] += len(owner.watcher.fenced)
        await asyncio.sleep(chance.uniform(0.2, 2.0))


async def _end_of_life(owner: Owner, application: Application, end: str) -> None:
    if end == DIE_IN_A_TRANSACTION:
        await _leave_open(owner, application)
        return
    if end == RELEASE:
        await owner.ownership.release()
    await owner.vanish()


async def _leave_open(owner: Owner, application: Application) -> None:
    """Send records of a transaction, wait until they lie in the log, and die."""
    await owner.producer.begin_transaction()
    for topic in (application.changelog, application.output(Output.SCORE_CHANGES)):
        await owner.producer.send_and_wait(topic, key=b"counter", value=b"999", partition=0)
    owner.producer._sender.sender_task.cancel()
    await owner.producer.client.close()
    owner.producer._closed = True


def _told(application: Application, partition: int = 0) -> list[int]:
    records = application.read(application.output(Output.SCORE_CHANGES))
    return [int(record.value or b"0") for record in records if record.partition == partition]
