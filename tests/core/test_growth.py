"""What grows or is full on the way makes no difference: the table of accounts, room for overrides, notebook, memory."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from schemas.topics import Input
from streams import memory
from streams.effects import make_effects
from streams.events import EVENT_HASH, EVENT_KEY, no_events
from streams.layout import NOW
from streams.memory import Memory
from tests.core.conftest import DAY_MS, START_MS, Machine, by_account, company

if TYPE_CHECKING:
    from agents.partition import Partition
    from streams.plan import Program
    from tests.core.conftest import Events

ACCOUNTS = 1_100
"""More than the table begins with."""


def told(accounts: range) -> Events:
    """Return two days of facts of accounts, one after another: a judgement of each, then what it rests on."""
    events: Events = {topic: [] for topic in Input}
    for day in range(2):
        for account in accounts:
            facts = {"override.retention": account % 101} if day == 0 else {"nps": account % 101 - 50}
            event = {
                "event_id": f"{account} {day}",
                "account_id": f"account-{account}",
                "occurred_at": START_MS + day * DAY_MS + account,
                "facts": facts,
            }
            events[Input.ACCOUNT_FACTS].append(json.dumps(event).encode())
    return events


def said(program: Program, accounts: range) -> dict[str, list[Any]]:
    """Return what a partition says of accounts; their place among others is left out."""
    outputs = by_account(Machine(program, told(accounts)).run(random.Random(1), rows_max=50_000))
    return {
        name: [{key: value for key, value in json.loads(one).items() if key != "cause"} for one in mine]
        for name, mine in outputs.items()
    }


def test_accounts_and_overrides_are_what_they_were_when_their_tables_grow(program: Program) -> None:
    together = said(program, range(ACCOUNTS))
    assert len(together) == ACCOUNTS
    for account in (0, 15, 16, 17, 1_023, 1_024, ACCOUNTS - 1):
        assert (
            said(program, range(account, account + 1))[f"account-{account}"] == together[f"account-{account}"]
        )


class Narrow(Machine):
    """A machine whose notebook has room for one evaluation."""

    def _new(self) -> Partition:
        machine = super()._new()
        machine.accounts.effects = make_effects(self.program, len(self.program.models) + 2)
        return machine


def test_a_notebook_that_is_full_at_every_evaluation_loses_nothing(program: Program) -> None:
    events = company(seed=6, accounts=4, days=50)
    wide = Machine(program, events).run(random.Random(2))
    assert len(wide) > 10
    assert by_account(Narrow(program, events).run(random.Random(2))) == by_account(wide)


@pytest.mark.parametrize("kind", [Machine, Narrow])
def test_what_a_late_event_makes_due_by_the_clock_is_done_before_the_next_event(
    program: Program, kind: type[Machine]
) -> None:
    """A ticket that was escalated 14 days ago at 6 comes at 12: what follows of its age was due today at 6."""
    noon_ms = START_MS + 14 * DAY_MS + DAY_MS // 2
    first = {
        "event_id": "1",
        "account_id": "other",
        "ticket_id": "U",
        "action": "opened",
        "occurred_at": noon_ms,
    }
    late = {"event_id": "2", "account_id": "late", "ticket_id": "T", "action": "escalated"}
    made = kind(program, {topic: [] for topic in Input})
    tickets = [first, late | {"occurred_at": START_MS + DAY_MS // 4}]
    made.events[Input.TICKETS] = [json.dumps(each).encode() for each in tickets]
    for topic in Input:
        made.offer(topic, len(tickets))
    merge, accounts = made.partition.merge, made.partition.accounts
    taken = merge.take(len(tickets))
    emitted: list[int] = []
    accounts.advance(taken.columns, [], taken.clock, lambda effects: emitted.append(int(effects.used[0])))
    row = accounts.row_of(b"late")
    assert row is not None
    assert accounts.cells.i64[row, NOW] == START_MS + 14 * DAY_MS + DAY_MS // 4
    assert emitted, "a notebook for one evaluation was full in between"


def test_a_day_of_more_ids_than_the_memory_begins_with_is_remembered_whole() -> None:
    remembered, ids = Memory(), np.arange(1, 10_001)
    columns = np.zeros((len(ids), no_events().shape[1]), np.int64)
    columns[:, EVENT_HASH], columns[:, EVENT_KEY] = ids, START_MS
    assert remembered.judge(columns.copy(), START_MS) == 0
    assert remembered.judge(columns[::-1].copy(), START_MS) == len(ids)


def test_a_memory_that_is_full_forgets_the_generation_before_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "IDS_MAX", 10)
    remembered, ids = Memory(), np.arange(1, 31)
    columns = np.zeros((len(ids), no_events().shape[1]), np.int64)
    columns[:, EVENT_HASH], columns[:, EVENT_KEY] = ids, START_MS
    assert remembered.judge(columns.copy(), START_MS) == 0
    assert remembered.judge(columns[20:].copy(), START_MS) == 10
    assert remembered.judge(columns[:20].copy(), START_MS) == 0
