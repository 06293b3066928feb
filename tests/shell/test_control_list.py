"""What a listing says of records that concern one partition alone, from what real partitions commit.

partition of old    merge to come ....... merged: done
all others          nothing of it concerns them
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from agents.control_list import Heard, Known, Listing, state_text
from streams.control import ControlLine, read_control
from streams.murmur import partition_of
from tests.auditor.core import program_of
from tests.auditor.scenarios import component, default_policy, model
from tests.core.conftest import DAY_MS, START_MS
from tests.core.test_ends import Owner, event
from tests.core.test_merges import left

if TYPE_CHECKING:
    from streams.plan import Program

PARTITIONS: Final = 4
NOW_MS: Final = START_MS + 2 * DAY_MS
LOGINS: Final = component(
    "logins", metric={"feature": "count", "source": "logins", "window_days": 7}, ramp=[[0, 0], [9, 100]]
)


@pytest.fixture(scope="module")
def program() -> Program:
    return program_of(default_policy(models=["test"], rules={}), {"test": model(LOGINS)})


def named(home: int) -> str:
    return next(f"a{n}" for n in range(64) if partition_of(f"a{n}".encode(), PARTITIONS) == home)


def merge(day: float) -> dict[str, Any]:
    at_ms = int(START_MS + day * DAY_MS)
    return {"kind": "merge", "id": "x", "effective_at": at_ms, "old": named(1), "new": named(2)}


def heard_by(program: Program, *lines: ControlLine, until_day: float) -> Listing:
    """Return what four partitions have made of records, each with a log-in on the first day."""
    heard = {partition: Heard() for partition in range(PARTITIONS)}
    for partition, each in heard.items():
        machine = Owner(program, partition=partition, partitions=PARTITIONS, application="mine")
        machine.take_control(lines)
        batch = machine.take(event(named(partition), 0), until_day=until_day)
        for key, value in batch.records:
            each.load(key, value)
    known = [Known("k", line.offset, read_control(line)) for line in lines if line.value is not None]
    return Listing(known, heard)


def told(found: Listing) -> list[str]:
    return [state_text(found, known, NOW_MS) for known in found.records]


@pytest.mark.parametrize(("until_day", "state"), [(2, "to come"), (3.1, "done")])
def test_a_merge_is_what_the_partition_of_the_one_has_made_of_it(
    program: Program, until_day: float, state: str
) -> None:
    line = ControlLine(0, None, json.dumps(merge(3)).encode())
    found = heard_by(program, line, until_day=until_day)
    assert told(found) == [state]
    assert found.states(found.records[0], NOW_MS).total() == 1


@pytest.mark.parametrize(("until_day", "state"), [(2, "to come"), (4, "taken in, or withdrawn before")])
def test_a_join_is_what_the_partition_of_the_other_has_made_of_it(
    program: Program, until_day: float, state: str
) -> None:
    key, value = left(program, event("old", 0))
    line = ControlLine(0, key, value)
    found = heard_by(program, line, until_day=until_day)
    if until_day > 3:  # its owner withdrew it then
        found = found._replace(records=[found.records[0]._replace(withdrawn_at=1)])
    assert told(found) == [state]
    assert found.states(found.records[0], NOW_MS).total() == 1


def test_what_the_clock_has_passed_counts_though_no_event_lies_beyond_it(program: Program) -> None:
    pause = {"kind": "pause", "id": "p", "effective_at": START_MS + DAY_MS}
    found = heard_by(program, ControlLine(0, None, json.dumps(pause).encode()), until_day=1.5)
    assert told(found) == ["in force"]
