"""One transaction: all of it is visible to a ``read_committed`` reader, or nothing."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder

from agents.commit import IN_FLIGHT_BYTES_MAX, Committer, DeliveryTopics
from agents.ports import NullObserver
from schemas.records import Batch, OutputRecord
from schemas.topics import MIB, Output
from tests.delivery.ledger import new_owner

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.delivery.support import Application


class SlowBroker:
    """Acknowledges a batch some turns of the loop later and keeps the most that was unacknowledged."""

    def __init__(self) -> None:
        self.most_bytes = self.open_bytes = self.batches = 0

    def create_batch(self) -> Any:
        return BatchBuilder(900_000, 0, is_transactional=True)

    async def begin_transaction(self) -> None:
        """Nothing is open yet."""

    async def commit_transaction(self) -> None:
        assert self.open_bytes == 0, "a transaction is ended only when every batch is acknowledged"

    async def send_batch(self, batch: Any, _topic: str, *, partition: int) -> asyncio.Future[Any]:
        del partition
        self.batches += 1
        self.open_bytes += batch.size()
        self.most_bytes = max(self.most_bytes, self.open_bytes)
        acknowledged = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.001, self._acknowledge, acknowledged, batch.size())
        return acknowledged

    def _acknowledge(self, acknowledged: asyncio.Future[Any], size: int) -> None:
        self.open_bytes -= size
        acknowledged.set_result(SimpleNamespace(offset=0))


async def test_what_is_unacknowledged_is_bounded_over_all_partitions() -> None:
    """All of it goes into one request, and a broker closes the connection on a request above 100 MiB."""
    broker = SlowBroker()
    topics = DeliveryTopics("changelog", {Output.DEAD_LETTERS: "dead-letters"})
    letter = OutputRecord(Output.DEAD_LETTERS, None, b"x" * 10 * MIB)
    batches = [Batch(partition, [], [letter] * 2, {}, events=2) for partition in range(6)]
    await Committer(broker, topics, NullObserver()).commit(batches)
    assert broker.batches == 12
    assert 20 * MIB <= broker.most_bytes <= IN_FLIGHT_BYTES_MAX


@pytest.mark.kafka
async def test_rows_and_outputs_of_all_partitions_are_one_transaction(
    make_application: Callable[[int], Application],
) -> None:
    application = make_application(3)
    owner = await new_owner(application, "a")
    await owner.ownership.acquire({0, 1, 2})
    owner.watcher.commits.clear()
    for partition in range(3):
        for number in range(4):
            owner.ledger(partition).write(b"row-%d" % number, b"x" * number)
            owner.ledger(partition).tell(b"%d/%d" % (partition, number))
    await owner.ownership.commit()
    (commit,) = owner.watcher.commits
    assert (commit.partitions, commit.events, commit.changelog_records, commit.output_records) == (
        3,
        12,
        12,
        12,
    )
    assert commit.record_bytes > 0
    told = application.read(application.output(Output.SCORE_CHANGES))
    assert [(record.partition, record.value) for record in told] == [
        (partition, b"%d/%d" % (partition, number)) for partition in range(3) for number in range(4)
    ]
    await owner.vanish()


@pytest.mark.kafka
async def test_nothing_new_is_no_transaction(make_application: Callable[[int], Application]) -> None:
    owner = await new_owner(make_application(1), "a")
    await owner.ownership.acquire({0})
    owner.watcher.commits.clear()
    await owner.ownership.commit()
    assert owner.watcher.commits == []
    await owner.vanish()


@pytest.mark.kafka
async def test_a_failed_batch_leaves_nothing_of_its_transaction(
    make_application: Callable[[int], Application],
) -> None:
    """aiokafka itself would commit the other batches."""
    application = make_application(2)
    owner = await new_owner(application, "a")
    await owner.ownership.acquire({0, 1})
    owner.ledger(0).write(b"row", b"never seen")
    owner.ledger(0).tell(b"never heard")
    owner.ledger(1).tell(b"x" * 2 * MIB)
    with pytest.raises(MessageSizeTooLargeError):
        await owner.ownership.commit()
    await owner.vanish()
    successor = await new_owner(application, "b")
    await successor.ownership.acquire({0, 1})
    assert successor.ledger(0).rows == {}
    assert application.read(application.output(Output.SCORE_CHANGES)) == []
    await successor.vanish()


@pytest.mark.kafka
async def test_a_dead_letter_of_10_mib_goes_between_small_ones_in_order(
    make_application: Callable[[int], Application],
) -> None:
    application = make_application(1)
    owner = await new_owner(application, "a")
    await owner.ownership.acquire({0})
    letters = [b"first", b"x" * 10 * MIB, b"second", b"y" * 15 * MIB, b"third"]
    for letter in letters:
        owner.ledger().tell(letter, Output.DEAD_LETTERS)
    await owner.ownership.commit()
    assert [record.value for record in application.read(application.output(Output.DEAD_LETTERS))] == letters
    await owner.vanish()


@pytest.mark.kafka
async def test_a_transaction_larger_than_what_may_be_in_flight(
    make_application: Callable[[int], Application],
) -> None:
    application = make_application(1)
    owner = await new_owner(application, "a")
    await owner.ownership.acquire({0})
    rows = {b"row-%d" % number: b"%7d" % number * 10_000 for number in range(500)}
    assert sum(map(len, rows.values())) > IN_FLIGHT_BYTES_MAX
    for key, value in rows.items():
        owner.ledger().write(key, value)
    await owner.ownership.commit()
    await owner.vanish()
    successor = await new_owner(application, "b")
    await successor.ownership.acquire({0})
    assert successor.ledger().rows == rows
    await successor.vanish()
