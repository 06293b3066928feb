"""Accounts that end, by hand: rows are used again, and no id is left in memory, snapshot or changelog."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from agents.observer import NullPartitionObserver
from agents.partition import Partition
from agents.reading import Reading
from agents.snapshots import Found, Snapshots
from schemas.policy import Policy
from schemas.reasons import EventNote, RejectReason
from schemas.records import Chunk
from schemas.topics import Input, Output
from streams import erased
from streams.clock import ENDLESS_MS
from streams.effects import make_effects
from streams.erased import ERASED, NOT_ERASED, Erased
from streams.merge import HALT_AFTER
from streams.plan import compile_program
from tests.auditor.core import program_of
from tests.auditor.scenarios import component, default_policy, model
from tests.core.conftest import DAY_MS, START_MS

if TYPE_CHECKING:
    from pathlib import Path

    from schemas.records import Batch, OutputRecord
    from streams.plan import Program

Tree = dict[str, Any]
Log = list[tuple[bytes, bytes | None]]


def event(account: str, day: float, **fields: Any) -> Tree:
    return {
        "event_id": f"{account} {day} {sorted(fields)}",
        "account_id": account,
        "occurred_at": int(START_MS + day * DAY_MS),
    } | fields


def facts(account: str, day: float, **told: Any) -> Tree:
    return event(account, day, facts=told)


def erasure(account: str, day: float) -> Tree:
    return event(account, day, facts={}, erase=True)


class Owner(Partition):
    """A partition that is fed events as they come; the inputs are read to their ends after each call."""

    def take(self, *events: Tree, until_day: float | None = None) -> Batch:
        self.queue(*events)
        last_ms = max((each["occurred_at"] for each in events), default=0)
        until_ms = last_ms + 100_000 if until_day is None else int(START_MS + until_day * DAY_MS)
        for topic in Input:
            self.end_reached(topic, until_ms)
        while self.step(100) or self.due_now():
            pass
        return self.drain()

    def queue(self, *events: Tree) -> None:
        """Offer events without taking them."""
        for each in events:
            topic = Input.ACCOUNT_FACTS if "facts" in each else Input.LOGINS
            at = self.merge.queues[topic].offered + 1
            value = json.dumps(each).encode()
            self.offer(topic, Chunk([each["account_id"].encode()], [value], np.array([at]), np.array([-1])))

    @property
    def there(self) -> list[str]:
        return sorted(self.accounts.names[row] for row in self.accounts.existing())


def owner(program: Program, *parts: Log) -> Owner:
    made = Owner(program, partition=0, partitions=1)
    for part in parts:
        made.load([key for key, _ in part], [value for _, value in part])
    made.loaded()
    return made


@pytest.fixture(scope="module")
def other() -> Program:
    """A program of another layout."""
    logins = component(
        "logins", metric={"feature": "count", "source": "logins", "window_days": 7}, ramp=[[0, 0], [9, 100]]
    )
    return program_of(default_policy(models=["test"]), {"test": model(logins)})


def limited(program: Program, **policy: Any) -> Program:
    tree = program.policy.model_dump(mode="json") | policy
    return compile_program(Policy.model_validate(tree), program.models, program.zones)


# --- rows ----------------------------------------------------------------------------------------------------------


def test_the_row_of_an_erased_account_is_another_s_next(program: Program) -> None:
    machine = owner(program)
    machine.take(facts("gone", 0, nps=50, **{"override.health": 20.0}), facts("stays", 0, nps=1))
    row, block = machine.accounts.row_of(b"gone"), int(machine.accounts.cells.block[0])
    batch = machine.take(erasure("gone", 1))
    assert dict(batch.changelog)[b"gone"] is None
    assert machine.accounts.row_of(b"gone") is None
    assert "gone" not in machine.accounts.names
    assert b"gone" not in machine.accounts.keys
    batch = machine.take(facts("next", 2, **{"override.health": 30.0}))
    assert machine.accounts.row_of(b"next") == row == 0
    assert int(machine.accounts.cells.block[0]) == block == 0
    views = {each.key: json.loads(each.value) for each in batch.outputs if each.topic is Output.ACCOUNTS}
    assert views[b"next"]["facts"] == {"override.health": 30.0}
    assert len(machine.accounts) == 2


def test_a_row_is_kept_while_events_of_its_account_are_queued(program: Program) -> None:
    machine = owner(program)
    machine.queue(event("acme", 0))
    machine.drain()
    assert machine.accounts.row_of(b"acme") == 0
    machine.take(until_day=1)
    assert machine.there == ["acme"]


def test_an_account_of_which_no_event_was_taken_has_no_row(program: Program) -> None:
    machine = owner(program)
    machine.take(erasure("acme", 0), event("acme", 1))
    assert (machine.there, machine.accounts.names) == ([], [""])
    assert machine.accounts.cells.erased[0] == NOT_ERASED


def test_the_view_of_an_erased_account_is_taken_back_and_no_older_one_goes_out(program: Program) -> None:
    machine = owner(program)
    machine.take(event("acme", 0), until_day=0.1)
    machine.take(event("acme", 0.1001), until_day=0.1001)  # its view waits for the end of a minute
    batch = machine.take(erasure("acme", 0.1002), until_day=1)
    views = [record for record in batch.outputs if record.topic is Output.ACCOUNTS]
    assert [(record.key, record.sent) for record in views] == [(b"acme", None)]


def test_an_account_that_ends_and_begins_in_one_step_has_a_view_after_the_end(program: Program) -> None:
    machine = owner(limited(program, erased_days=0))
    batch = machine.take(facts("acme", 0, nps=50), erasure("acme", 1), facts("acme", 2, nps=10))
    views = [record.sent for record in batch.outputs if record.topic is Output.ACCOUNTS]
    assert views[0] is None
    assert json.loads(views[1] or b"")["facts"] == {"nps": 10}
    assert dict(batch.changelog)[b"acme"] is not None
    assert owner(program, batch.changelog).there == ["acme"]


# --- the next owner ------------------------------------------------------------------------------------------------


def test_the_next_owner_leaves_out_what_is_late_too(program: Program) -> None:
    machine = owner(program)
    log = machine.take(event("acme", 0)).changelog + machine.take(erasure("acme", 1)).changelog
    heir = owner(program, log)
    assert heir.there == []
    batch = heir.take(event("acme", 0.5), facts("acme", 20, nps=50))
    assert batch.outputs == []
    assert heir.there == []
    assert not [key for key, _ in batch.changelog if key == b"acme"]


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_a_row_that_ends_and_begins_again_in_the_changelog_is_read_as_it_is_last(
    program: Program, chunk: int
) -> None:
    machine, log = owner(limited(program, erased_days=0)), []
    for each in (
        facts("acme", 0, nps=50, **{"override.health": 20}),
        erasure("acme", 1),
        event("acme", 2),
        event("b", 3),
    ):
        log += machine.take(each).changelog
    heir = owner(program, *(log[at : at + chunk] for at in range(0, len(log), chunk)))
    assert heir.there == ["acme", "b"]
    assert heir.accounts.cold == {}


def test_of_an_account_that_ends_and_begins_between_two_commits_the_next_owner_knows_no_fact_of_before(
    program: Program,
) -> None:
    """There is no record without a value between its two rows."""
    machine = owner(limited(program, erased_days=0))
    log = machine.take(facts("acme", 0, nps=50, owner="ann")).changelog
    again = machine.take(erasure("acme", 1), event("acme", 2)).changelog
    assert (b"acme", None) not in again
    for heir in (owner(program, log, again), owner(program, log + again)):
        assert (heir.there, heir.accounts.cold) == (["acme"], {})


def test_a_row_that_waits_under_another_layout_ends_as_well(program: Program, other: Program) -> None:
    machine = owner(other)
    log = machine.take(event("acme", 0), event("b", 0)).changelog + machine.take(erasure("acme", 1)).changelog
    assert owner(program, log).there == ["b"]


def test_an_erasure_that_is_sent_twice_is_taken_once(program: Program) -> None:
    heard = Heard()
    machine = Owner(limited(program, erased_days=0), partition=0, partitions=1, observer=heard)
    machine.take(event("acme", 0), erasure("acme", 1), event("acme", 2))
    batch = machine.take(erasure("acme", 1))
    assert heard.notes == [{EventNote.DUPLICATE: 1}]
    assert machine.there == ["acme"]
    assert not [key for key, _ in batch.changelog if key == b"acme"]


def test_an_erasure_under_a_policy_of_fewer_days_shortens_nothing(program: Program) -> None:
    log = owner(program).take(erasure("acme", 1)).changelog
    heir = owner(limited(program, erased_days=0), log)
    heir.take(erasure("acme", 2), event("acme", 30.9))
    assert heir.there == []
    heir.take(event("acme", 31.1))
    assert heir.there == ["acme"]


# --- snapshots -----------------------------------------------------------------------------------------------------


def test_a_snapshot_knows_no_erased_account_even_if_events_of_it_are_queued(
    program: Program, tmp_path: Path
) -> None:
    machine = owner(program)
    machine.take(facts("hannah", 0, nps=50), event("acme", 0), until_day=0.1)
    machine.take(erasure("hannah", 1), until_day=1.1)
    machine.queue(event("hannah", 0.5))
    machine.drain()
    assert machine.accounts.row_of(b"hannah") is not None
    snapshots = Snapshots(tmp_path, "cluster/log/id")
    snapshots.write(0, Found(machine.saved(), 9, "first"))
    assert b"hannah" not in snapshots.path(0).read_bytes()
    found = snapshots.read(0, machine.layout, 9)
    assert found is not None
    heir = Owner(program, partition=0, partitions=1)
    heir.restore(found.state)
    heir.loaded()
    assert (heir.there, heir.accounts.names) == (["acme"], ["", "acme"])
    heir.take(event("hannah", 0.5))
    heir.take(event("new", 2))
    assert heir.there == ["acme", "new"]
    assert len(heir.accounts) == 2


def test_an_account_erased_after_a_snapshot_does_not_come_back_from_it(program: Program) -> None:
    machine = owner(program)
    machine.take(facts("acme", 0, nps=50), event("b", 0))
    saved = machine.saved()
    saved = saved._replace(rows=saved.rows.copy(), keys=list(saved.keys))
    tail = machine.take(erasure("acme", 1)).changelog
    heir = Owner(program, partition=0, partitions=1)
    heir.restore(saved)
    heir.load([key for key, _ in tail], [value for _, value in tail])
    heir.loaded()
    assert heir.there == ["b"]
    assert heir.accounts.cold == {}
    heir.take(event("acme", 0.5))
    assert heir.there == ["b"]


# --- another policy ------------------------------------------------------------------------------------------------


def test_a_change_of_layout_keeps_rows_ends_and_what_is_erased(program: Program, other: Program) -> None:
    machine = owner(program)
    log = machine.take(facts("gone", 0, nps=50), event("stays", 0), event("last", 0)).changelog
    log += machine.take(erasure("gone", 1)).changelog
    machine.queue(erasure("last", 2), event("gone", 1.5))
    for topic in Input:
        machine.end_reached(topic, ENDLESS_MS)
    machine.step(100)
    unwritten = machine.accounts.unwritten()
    machine.accounts = machine.accounts.under(other)
    machine.accounts.loaded()
    machine.accounts.cells.changed[unwritten] |= 2
    assert machine.there == ["stays"]
    log += machine.drain().changelog
    assert dict(log)[b"last"] is None
    machine._reading = Reading(other, machine.accounts, machine._place)
    machine.take(event("gone", 1.6), event("new", 3), until_day=4)
    assert machine.there == ["new", "stays"]
    assert owner(other, log).there == ["stays"]


# --- the memory of erased accounts ---------------------------------------------------------------------------------


def test_of_hashes_remembered_equally_long_the_least_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a signed number that of b"2" (0xfb...) would be the least; that of b"0" (0x19...) is."""
    monkeypatch.setattr(erased, "ERASED_MAX", 2)
    memory = Erased()
    for account in (b"2", b"0", b"1"):
        memory.remember(account, 5)
    assert memory.until_each([b"0", b"1", b"2"]) == [NOT_ERASED, 5, 5]


def test_the_memory_forgets_the_oldest_and_says_so_to_the_changelog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erased, "ERASED_MAX", 2)
    memory = Erased()
    assert memory.until_each([b"a"]) == NOT_ERASED
    assert not memory.remember(b"a", 5)
    assert not memory.remember(b"b", 4)
    log = dict(memory.take_changed())
    assert len(log) == 2
    assert memory.remember(b"c", 6)
    assert memory.until_each([b"a", b"b", b"c"]) == [5, NOT_ERASED, 6]
    log |= dict(memory.take_changed())
    heir = Erased()
    for key, value in log.items():
        heir.load(key, value)
    assert heir.until_each([b"a", b"b", b"c"]) == [5, NOT_ERASED, 6]
    assert memory.remember(b"d", 6 + erased.FORGOTTEN_MS)
    assert memory.until_each([b"a", b"c", b"d"]) == [NOT_ERASED, 6, 6 + erased.FORGOTTEN_MS]
    assert all(key.startswith(ERASED) for key in log)


def test_the_memory_forgets_what_is_over_for_90_days() -> None:
    memory = Erased()
    assert not memory.remember(b"a", 0)
    assert not memory.remember(b"b", erased.FORGOTTEN_MS)
    assert memory.remember(b"c", erased.FORGOTTEN_MS + 1)
    assert memory.until_each([b"a", b"b"]) == [NOT_ERASED, erased.FORGOTTEN_MS]


def test_a_forgotten_account_is_begun_by_what_is_late(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erased, "ERASED_MAX", 1)
    machine = owner(program)
    machine.queue(event("b", 0.5), event("a", 1.5), event("b", 1.5))
    batch = machine.take(erasure("a", 0), erasure("b", 1))
    assert machine.there == ["a"], "a was forgotten for b, in the order of events"
    assert owner(program, batch.changelog).there == ["a"]


@pytest.mark.parametrize("taken_over", [False, True])
def test_no_id_comes_twice_of_an_account_whose_end_was_forgotten(
    program: Program, monkeypatch: pytest.MonkeyPatch, *, taken_over: bool
) -> None:
    monkeypatch.setattr(erased, "ERASED_MAX", 1)
    machine = owner(program)
    told: list[OutputRecord] = []
    log: Log = []
    pinned = {"override.health": 20.0}
    for step in (facts("a", 0, **pinned), erasure("a", 1), erasure("b", 2), facts("a", 50, **pinned)):
        batch = machine.take(step)
        told += batch.outputs
        log += batch.changelog
        machine = owner(program, log) if taken_over else machine
    ids = [json.loads(each.value)["change_id"] for each in told if each.topic is Output.SCORE_CHANGES]
    assert len(ids) == len({*ids}) >= 2


# --- too many ------------------------------------------------------------------------------------------------------


class Heard(NullPartitionObserver):
    def __init__(self) -> None:
        self.rejects: list[tuple[Input, RejectReason]] = []
        self.notes: list[dict[EventNote, int]] = []

    def on_step(self, partition: int, events: Any, rejects: list[tuple[Input, RejectReason]]) -> None:
        self.rejects += rejects

    def on_notes(self, partition: int, notes: dict[EventNote, int]) -> None:
        self.notes.append(notes)


def letters(batch: Batch) -> list[OutputRecord]:
    return [record for record in batch.outputs if record.topic is Output.DEAD_LETTERS]


def test_a_flood_of_made_up_ids_fills_no_memory_and_stops_nobody(program: Program) -> None:
    heard = Heard()
    machine = Owner(limited(program, accounts_max=2), partition=0, partitions=1, observer=heard)
    machine.take(event("a", 0), event("b", 0), until_day=0.1)
    strangers = [event(f"made-up-{n}", 1 + n / 1000) for n in range(2 * HALT_AFTER)]
    batch = machine.take(*strangers, event("a", 1.5), erasure("stranger", 1.6), until_day=1.7)
    assert machine.halted is None
    assert machine.there == ["a", "b"]
    assert len(letters(batch)) == 2 * HALT_AFTER
    assert heard.rejects == [(Input.LOGINS, RejectReason.TOO_MANY_ACCOUNTS)] * 2 * HALT_AFTER
    first = letters(batch)[0]
    assert (first.key, json.loads(first.value)) == (b"made-up-0", strangers[0])
    assert dict(first.headers)["latido_reason"] == b"too_many_accounts"
    machine.take(erasure("a", 2), event("c", 2), until_day=2.1)
    assert machine.there == ["b", "c"]
    assert len(machine.accounts) < 2 * HALT_AFTER + 4
    machine.take(*(event(f"more-{n}", 3 + n / 1000) for n in range(100)), until_day=4)
    assert len(machine.accounts) < 2 * HALT_AFTER + 4, "rows of strangers are used again"


def test_dead_letters_of_an_input_come_in_the_order_of_their_offsets(program: Program) -> None:
    """The second of three is broken, the others are of accounts too many: all three are judged in one step."""
    machine = owner(limited(program, accounts_max=1))
    machine.take(event("acme", 0))
    machine.queue(event("first", 1), event("broken", 1, success="no"), event("last", 1))
    batch = machine.take(until_day=2)
    dead = [dict(each.headers) for each in letters(batch)]
    told = [(each["latido_offset"], each["latido_reason"]) for each in dead]
    assert told == [(b"1", b"too_many_accounts"), (b"2", b"wrong_type"), (b"3", b"too_many_accounts")]


def test_of_an_account_that_ended_after_it_was_read_of_the_dead_letter_has_the_key(program: Program) -> None:
    machine = owner(limited(program, accounts_max=1, erased_days=0))
    machine.take(event("a", 0), until_day=0.1)
    batch = machine.take(erasure("a", 1), event("b", 2), event("a", 3), until_day=4)
    assert [(each.key, each.value) for each in letters(batch)] == [(b"a", b"")]
    assert machine.there == ["b"]


def test_who_retires_by_the_clock_makes_room_however_small_the_notebook(program: Program) -> None:
    quick = limited(program, accounts_max=3, retire={"quiet_days": 2})
    machine = owner(quick)
    machine.accounts.effects = make_effects(quick, len(quick.models) + 3)
    machine.take(event("a", 0), event("b", 0.5), event("c", 1.5), until_day=1.6)
    machine.queue(event("c", 3.5), event("d", 3.6), event("e", 3.7), event("f", 3.8))
    batch = machine.take(until_day=3.9)
    assert machine.there == ["c", "d", "e"]
    assert [each.key for each in letters(batch)] == [b"f"]


# --- retirement ----------------------------------------------------------------------------------------------------


def test_a_closed_account_is_deleted_when_it_retires(program: Program) -> None:
    machine = owner(limited(program, retire={"closed_days": 3}))
    machine.take(facts("a", 0, kind="closed"), event("b", 0), until_day=1)
    assert machine.there == ["a", "b"]
    batch = machine.take(until_day=3.1)
    assert dict(batch.changelog)[b"a"] is None
    assert [(each.key, each.sent) for each in batch.outputs if each.key == b"a"] == [(b"a", None)]
    assert machine.there == ["b"]
    assert machine.accounts.erased.until(b"a") == NOT_ERASED
