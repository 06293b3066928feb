"""One transaction: all of it is visible to a ``read_committed`` reader, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from agents.commit import IN_FLIGHT_BYTES_MAX
from schemas.topics import MIB, Output
from tests.delivery.ledger import new_owner

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.delivery.support import Application

pytestmark = pytest.mark.kafka


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


async def test_nothing_new_is_no_transaction(make_application: Callable[[int], Application]) -> None:
    owner = await new_owner(make_application(1), "a")
    await owner.ownership.acquire({0})
    owner.watcher.commits.clear()
    await owner.ownership.commit()
    assert owner.watcher.commits == []
    await owner.vanish()


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
