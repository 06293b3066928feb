"""A partition that waits, is halted, or cannot read what an earlier owner wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from agents.partition import Partition
from agents.zones import ZoneDatabase
from schemas.errors import ConfigError, StateError
from schemas.policy import Policy
from schemas.records import Chunk
from schemas.topics import Input, Output
from streams.merge import HALT_AFTER, POSITION, PROGRESS, Progress
from streams.plan import Program, compile_program
from tests.auditor.scenarios import default_policy
from tests.core.conftest import START_MS

if TYPE_CHECKING:
    from streams.days import Zone

LOGIN = b'{"event_id":"%d","account_id":"a","occurred_at":%d}'


def offer(machine: Partition, values: list[bytes], first: int = 0, source: Input = Input.LOGINS) -> None:
    keys: list[bytes | None] = [b"a"] * len(values)
    offsets = np.arange(first, first + len(values))
    machine.offer(source, Chunk(keys, values, offsets, np.full(len(values), -1)))


def give_up(machine: Partition) -> None:
    """Give up each input that is awaited, one after another."""
    while machine.waiting:
        machine.give_up_waiting()


def test_who_waits_for_unread_inputs_goes_on_when_told_to(program: Program) -> None:
    machine = Partition(program, partition=0, partitions=1)
    offer(machine, [LOGIN % (n, START_MS + n) for n in range(5)])
    assert (machine.step(10), machine.waiting) == (0, True)
    give_up(machine)
    assert machine.step(10) == 5


def test_a_halted_input_takes_no_more(program: Program) -> None:
    machine = Partition(program, partition=0, partitions=1)
    offer(machine, [b"{"] * HALT_AFTER)
    assert machine.halted is Input.LOGINS
    offer(machine, [LOGIN % (1, START_MS)], HALT_AFTER)
    give_up(machine)
    assert machine.step(10) == 0
    assert machine.position(Input.LOGINS) == HALT_AFTER - 1


def test_a_commit_between_offer_and_step_has_the_dead_letters_that_its_positions_pass(
    program: Program,
) -> None:
    machine = Partition(program, partition=0, partitions=1)
    offer(machine, [b"{", b"[", LOGIN % (1, START_MS), b"{"])
    batch = machine.drain()
    assert batch.positions == {Input.LOGINS: 1}
    assert [dict(letter.headers)["latido_offset"] for letter in batch.outputs] == [b"0", b"1"]
    give_up(machine)
    assert machine.step(10) == 1
    batch = machine.drain()
    assert batch.positions == {Input.LOGINS: 3}
    letters = [letter for letter in batch.outputs if letter.topic is Output.DEAD_LETTERS]
    assert [dict(letter.headers)["latido_offset"] for letter in letters] == [b"3"]


def test_a_partition_to_which_nothing_happens_writes_nothing_but_as_an_hour_ends(program: Program) -> None:
    """Its clock moves with every poll; of that nothing has to be kept, for the next owner's does as well."""
    machine = Partition(program, partition=0, partitions=1)
    offer(machine, [LOGIN % (1, START_MS)])
    moved = []
    for minute in range(0, 130, 2):
        for source in Input:
            machine.end_reached(source, START_MS + machine.grace_ms + minute * 60_000)
        while machine.step(10) or machine.due_now():
            pass
        if machine.drain().changelog:
            moved.append(minute)
    assert moved == [0, 60, 62, 120, 122], "an hour ends, and is judged a grace later"


def written(program: Program) -> tuple[list[bytes], list[bytes | None]]:
    """Return the changelog of one account that was told a time zone and lives in it."""
    machine = Partition(program, partition=0, partitions=1)
    told = b'{"event_id":"%d","account_id":"a","occurred_at":%d,"facts":{"time_zone":"Asia/Kathmandu"}}'
    offer(machine, [told % (n, START_MS + n * 172_800_000) for n in range(2)], source=Input.ACCOUNT_FACTS)
    give_up(machine)
    assert machine.step(10) == 2
    records = machine.drain().changelog
    return [key for key, _ in records], [value for _, value in records]


def test_an_account_that_an_earlier_owner_only_created_is_not_there_for_the_next(program: Program) -> None:
    keys, values = written(program)
    heir = Partition(program, partition=0, partitions=1)
    heir.load(keys, values)
    heir.load(keys, values)  # twice the same row: the newest record stands
    heir.accounts.create(b"b", "b")
    heir.loaded()
    assert heir.accounts.existing() == [0]


class Few(ZoneDatabase):
    """A database of time zones that lacks one."""

    def table(self, name: str) -> Zone | None:
        return None if name == "Asia/Kathmandu" else super().table(name)

    def name_of(self, code: int) -> str | None:
        name = super().name_of(code)
        return None if name == "Asia/Kathmandu" else name


def test_an_account_in_a_zone_that_is_not_known_here_is_told(program: Program) -> None:
    heir = Partition(program._replace(zones=Few()), partition=0, partitions=1)
    heir.load(*written(program))
    with pytest.raises(StateError, match=r"lives in a time zone \(code \d+\) .* Install the newest tzdata"):
        heir.loaded()


def test_a_policy_of_a_zone_that_is_not_known_is_refused() -> None:
    policy = Policy.model_validate(default_policy(time_zone="Mars/Olympus"))
    with pytest.raises(ConfigError, match="time_zone 'Mars/Olympus' is not known"):
        compile_program(policy, [], ZoneDatabase())


def test_a_record_without_value_in_the_changelog_is_no_account(program: Program) -> None:
    machine = Partition(program, partition=0, partitions=1)
    offer(machine, [LOGIN % (1, START_MS)])
    give_up(machine)
    machine.step(10)
    written = dict(machine.drain().changelog)
    other = Partition(program, partition=0, partitions=1)
    other.load([*written, b"gone"], [*written.values(), None])
    other.loaded()
    assert other.accounts.names == ["a"]


def test_the_running_maximum_is_known_before_the_first_record_of_a_topic(program: Program) -> None:
    machine = Partition(program, partition=0, partitions=1)
    seeded = Progress(-1, START_MS)
    machine.load([POSITION + b"%d" % Input.LOGINS], [PROGRESS.pack(*seeded)])
    machine.loaded()
    offer(machine, [LOGIN % (1, START_MS - 1)])
    give_up(machine)
    assert machine.step(10) == 1
    assert machine.merge.queues[Input.LOGINS].progress == Progress(0, START_MS)
