"""Merges between owners: rows of other layouts, joins on their way as owners and policies change, and what is refused.

partition of old    events .. merge ........ a join goes out
partition of acme   events .................... heard .. (another owner, layout or policy) .. joined
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from agents.joins import fold_with_joins
from agents.observer import NullPartitionObserver
from schemas.control import JoinAccount, content_hash
from schemas.errors import StateError
from schemas.reasons import EventNote, Merged
from schemas.topics import Output
from streams.control import Control, ControlLine
from streams.effects import make_effects
from streams.erased import ERASED
from streams.layout import NOW, RULE_GONE
from streams.succession import join_delay_ms
from tests.auditor.core import program_of
from tests.auditor.scenarios import Tree, component, default_policy, model
from tests.core.conftest import DAY_MS, START_MS
from tests.core.test_ends import Owner, erasure, event, facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.records import Batch
    from streams.plan import Program

Log = list[tuple[bytes, bytes | None]]
LOGINS: Final = component(
    "logins", metric={"feature": "count", "source": "logins", "window_days": 7}, ramp=[[0, 0], [10, 100]]
)
NPS: Final = component("nps", metric={"feature": "fact", "source": "nps"}, ramp=[[0, 0], [100, 100]])
LONGER: Final = component(
    "longer",
    metric={"feature": "count", "source": "page_visits", "window_days": 28},
    ramp=[[0, 0], [10, 100]],
)


@pytest.fixture(scope="module")
def few() -> Program:
    """A program that keeps a week of log-ins."""
    return program_of(
        default_policy(models=["test"], rules={}),
        {"test": model(LOGINS, NPS, min_change=0.001, min_coverage=0)},
    )


@pytest.fixture(scope="module")
def more() -> Program:
    """A program that keeps visits too, and days for `decline`."""
    rules: Tree = {"decline": {}, "silence": {}}
    return program_of(
        default_policy(models=["test"], rules=rules), {"test": model(LONGER, LOGINS, min_change=0.001)}
    )


class Heard(NullPartitionObserver):
    def __init__(self) -> None:
        self.merged: list[Merged] = []
        self.late: list[str] = []
        self.notes: dict[EventNote, int] = {}

    def on_notes(self, partition: int, notes: dict[EventNote, int]) -> None:
        self.notes |= notes

    def on_merged(self, partition: int, outcome: Merged) -> None:
        self.merged.append(outcome)

    def on_control(self, partition: int, kind: str, *, late: bool) -> None:
        self.late += [kind] if late else []


def owner(program: Program, *parts: Log, application: str = "mine") -> tuple[Owner, Heard]:
    heard = Heard()
    made = Owner(program, partition=0, partitions=1, observer=heard, application=application)
    for part in parts:
        made.load([key for key, _ in part], [value for _, value in part])
    made.loaded()
    return made, heard


def line(offset: int, record: Tree | bytes | None, key: bytes | None = None) -> ControlLine:
    return ControlLine(offset, key, json.dumps(record).encode() if isinstance(record, dict) else record)


def merge(day: float, old: str = "old", new: str = "acme") -> Tree:
    at_ms = int(START_MS + day * DAY_MS)
    return {"kind": "merge", "id": f"{old} {new}", "effective_at": at_ms, "old": old, "new": new}


def left(program: Program, *events: Tree, day: float = 3) -> tuple[bytes, bytes]:
    """Return the join with which `old` ends on a day."""
    machine, heard = owner(program)
    machine.take_control([line(0, merge(day))])
    batch = machine.take(*events, until_day=day + 0.1)
    assert heard.merged == [Merged.ENDED]
    ((key, value),) = batch.control
    assert value is not None
    return key, value


def test_the_join_is_the_same_whether_a_view_was_sent_before_or_is_due(few: Program) -> None:
    events = facts("old", 1.2, nps=50), event("old", 1.4)
    machine, _ = owner(few)
    machine.take_control([line(0, merge(1.6))])
    sent = machine.take(*events, until_day=1.5).outputs
    assert [each.key for each in sent if each.topic is Output.ACCOUNTS] == [b"old"]
    assert machine.take(until_day=1.7).control == [left(few, *events, day=1.6)]


def logins(account: str, *days: float) -> list[Tree]:
    return [event(account, day) for day in days]


def counted(machine: Owner, name: str, account: str) -> int:
    """Return the sum of the counts of a source that are kept of an account."""
    layout, row = machine.accounts.program.layout, machine.accounts.row_of(account.encode())
    column = next(each for each in layout.columns if each.name == name)
    return int(
        getattr(machine.accounts.cells, column.type)[row, column.offset : column.offset + column.cells].sum()
    )


def unknown(machine: Owner, name: str, account: str) -> int:
    layout, row = machine.accounts.program.layout, machine.accounts.row_of(account.encode())
    k = next(k for k, each in enumerate(layout.knowledge) if each.name == name)
    return int(machine.accounts.cells.known[row, k])


def first_day() -> int:
    return START_MS // DAY_MS


# --- rows of other layouts -----------------------------------------------------------------------------------------


#   old was kept with less than acme is: of its visits nothing is known up to its last event
@pytest.mark.parametrize("account", ["acme", "stranger"])
def test_what_the_other_owner_does_not_keep_is_not_known(few: Program, more: Program, account: str) -> None:
    _, join = left(few, *logins("old", 0, 1, 2), facts("old", 1.5, nps=40))
    told = json.loads(join) | {"into": account}
    machine, heard = owner(more)
    machine.take_control([line(0, told)])
    machine.take(*logins("acme", 0.5, 2.5), until_day=3.2)
    assert heard.merged == [Merged.JOINED if account == "acme" else Merged.RENAMED]
    assert counted(machine, "count logins", account) == (5 if account == "acme" else 3)
    assert machine.accounts.cells.there[0] == len(machine.there)
    assert unknown(machine, "source page_visits", account) == first_day() + 2
    assert unknown(machine, "active days", account) == first_day() + 2
    assert unknown(machine, "source logins", account) == 0
    assert (
        machine.accounts.fact(
            int(machine.accounts.row_of(account.encode()) or 0), "nps", START_MS + 4 * DAY_MS
        )
        == 40
    )


#   and the other way round: what acme's owner does not keep is left behind, an open reason of a rule that is off too
def test_what_the_own_layout_does_not_have_is_left_behind(few: Program, more: Program) -> None:
    _, join = left(more, *logins("old", 0, 1), facts("old", 1.5, nps=40), day=38)
    machine, heard = owner(few)
    machine.take_control([line(0, json.loads(join))])
    batch = machine.take(*logins("acme", 37.5), until_day=38.2)
    assert heard.merged == [Merged.JOINED]
    assert counted(machine, "count logins", "acme") == 1
    renamed, heard = owner(few)
    renamed.take_control([line(0, json.loads(join))])
    batch = renamed.take(*logins("b", 37.5), until_day=38.2)
    assert heard.merged == [Merged.RENAMED]
    assert not renamed.accounts.cells.u16[renamed.accounts.row_of(b"acme"), 7] >> RULE_GONE, (
        "it left, and nobody was told"
    )
    assert not [record for record in batch.outputs if record.topic is Output.DISENGAGEMENTS]


def test_a_row_of_a_newer_program_stops_who_should_take_it_in(few: Program) -> None:
    _, join = left(few, *logins("old", 0))
    told = msgspec.json.decode(join, type=JoinAccount)
    newer = msgspec.json.decode(told.layout) | {"state_version": 99}
    told.layout = msgspec.json.encode(newer)
    machine, _ = owner(few)
    machine.take_control([ControlLine(0, None, msgspec.json.encode(told))])
    with pytest.raises(StateError, match="newer latido"):
        machine.take(*logins("acme", 0.5, 4), until_day=4)


# --- on its way ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crashes", [(), ("before",), ("after",), ("before", "after", "after")])
def test_a_join_is_taken_in_once_whoever_owns_the_partition(few: Program, crashes: Sequence[str]) -> None:
    """All owners hear the whole topic again, from its beginning."""
    key, join = left(few, *logins("old", 0, 1, 2))
    lines, log = [line(4, join, key)], list[tuple[bytes, bytes | None]]()
    machine, heard = owner(few)
    machine.take_control(lines)
    log += machine.take(*logins("acme", 0.5, 2.9), until_day=2.95).changelog
    assert [key for key, _ in log if key == b"\0control:4"]
    if "before" in crashes:
        machine, heard = owner(few, log)
        machine.take_control(lines)
    batch = machine.take(*logins("acme", 3.1))
    assert heard.merged == [Merged.JOINED]
    assert batch.control == [(key, None)]
    log += batch.changelog
    assert dict(log)[b"\0control:4"] is None, "what it told is not kept a second time"
    lines.append(line(5, None, key))
    for _ in range(crashes.count("after")):
        machine, heard = owner(few, log)
        machine.take_control(lines)
        log += machine.take(*logins("acme", 3.2)).changelog
        assert heard.merged == []
    assert counted(machine, "count logins", "acme") == 6 + (crashes.count("after") > 0)
    assert batch.rows.key_ends.size


def test_the_view_of_who_took_another_in_goes_out_at_once(few: Program) -> None:
    """Views wait for a minute after the last one else."""
    key, join = left(few, *logins("old", 0, 1, 2))
    machine, _ = owner(few)
    machine.take_control([line(0, join, key)])
    joins, second = 3 + join_delay_ms(few.policy) / DAY_MS, 1000 / DAY_MS
    machine.take(*logins("acme", 0.5, joins - 10 * second), until_day=joins - 9 * second)
    batch = machine.take(*logins("b", joins + second), until_day=joins + 2 * second)
    assert b"acme" in {record.key for record in batch.outputs if record.topic is Output.ACCOUNTS}


def test_a_merge_that_was_committed_does_not_count_again_and_is_known_to_the_next_owner(few: Program) -> None:
    machine, heard = owner(few)
    machine.take_control([line(0, merge(3))])
    log = machine.take(*logins("old", 0), *logins("acme", 0.1), until_day=3.1).changelog
    assert dict(log)[b"old"] is None
    assert [value for key, value in log if key.startswith(ERASED)] == [
        int(START_MS + 3 * DAY_MS).to_bytes(8, "little") + b"m"
    ]
    machine, heard = owner(few, log)
    machine.take_control([line(0, merge(3))])
    machine.take(*logins("acme", 3.2), *logins("old", 2.5))
    assert (heard.merged, machine.there) == ([], ["acme"])
    assert machine.accounts.erased.is_merged(b"old")
    assert heard.notes == {EventNote.MERGED: 1}
    log += machine.take(*logins("old", 3.21)).changelog
    machine, heard = owner(few, log)
    machine.take(*logins("old", 2.6))
    assert (heard.notes, machine.there) == ({EventNote.MERGED: 1}, ["acme", "old"]), (
        "it began anew, and what is late is still late"
    )
    machine.take(erasure("old", 3.3))
    assert not machine.accounts.erased.is_merged(b"old")


def test_the_memory_of_merges_is_forgotten_with_that_of_ends(few: Program) -> None:
    machine, _ = owner(few)
    machine.take_control([line(0, merge(3)), line(1, merge(100, "acme", "b"))])
    log = machine.take(*logins("old", 0), *logins("acme", 0.1), *logins("b", 100.5)).changelog
    assert machine.accounts.erased.is_merged(b"acme")
    assert not machine.accounts.erased.is_merged(b"old")
    heir, _ = owner(few, log)
    assert [heir.accounts.erased.is_merged(key) for key in (b"old", b"acme")] == [False, True]
    heir.accounts.erased.load(next(key for key, value in log if key.startswith(ERASED) and value), None)
    assert heir.accounts.erased.merged_each([b"old", b"acme"]) in ([False, True], [False, False], 0)


def test_a_snapshot_hands_on_a_join_that_is_on_its_way(few: Program) -> None:
    key, join = left(few, *logins("old", 0, 1, 2))
    machine, _ = owner(few)
    machine.take_control([line(4, join, key)])
    machine.take(*logins("acme", 0.5, 2.9), until_day=2.95)
    heir, heard = Owner(few, partition=0, partitions=1, application="mine"), Heard()
    heir._observer = heard
    heir.restore(machine.saved())
    heir.loaded()
    heir.take(*logins("acme", 3.1))
    assert heard.merged == [Merged.JOINED]
    assert counted(heir, "count logins", "acme") == 6


def test_a_join_of_another_application_is_not_taken(few: Program) -> None:
    _, join = left(few, *logins("old", 0, 1, 2))
    machine, heard = owner(few, application="other")
    machine.take_control([line(0, json.loads(join))])
    batch = machine.take(*logins("acme", 0.5, 4))
    assert (heard.merged, counted(machine, "count logins", "acme"), list(batch.control)) == ([], 2, [])


def test_a_join_that_comes_late_counts_at_once(few: Program) -> None:
    key, join = left(few, facts("old", 1, nps=40))
    machine, heard = owner(few)
    machine.take(*logins("acme", 0.5, 3.5), until_day=4)
    machine.take_control([line(0, join, key)])
    batch = machine.take(*logins("acme", 4.5))
    assert (heard.late, heard.merged) == (["join"], [Merged.JOINED])
    causes = [json.loads(each.value) for each in batch.outputs if each.topic is Output.SCORE_CHANGES]
    late = [each["effective_at"] for each in causes if each["cause"]["kind"] == "merge"]
    assert late == ["2026-03-04T23:58:00.001Z"], "its partition had come to midnight, less the grace"


def test_a_join_that_is_withdrawn_on_its_way_is_not_taken_in(few: Program) -> None:
    key, join = left(few, *logins("old", 0, 1, 2))
    machine, heard = owner(few)
    machine.take_control([line(0, join, key), line(1, None, key)])
    machine.take(*logins("acme", 0.5, 4))
    assert heard.merged == []


def test_a_join_comes_later_than_all_that_a_partition_near_the_present_can_have_seen(few: Program) -> None:
    _, join = left(few, *logins("old", 0))
    at_ms = json.loads(join)["effective_at"]
    policy = few.policy
    assert at_ms == START_MS + 3 * DAY_MS + join_delay_ms(policy)
    assert join_delay_ms(policy) == 1000 * (policy.grace_s + policy.max_future_skew_s) + 60_000


@pytest.mark.parametrize("small", [4, 4096], ids=["a notebook of one evaluation", "a large one"])
def test_who_was_not_evaluated_for_months_ends_and_is_joined_however_small_the_notebook(
    few: Program, small: int
) -> None:
    machine, heard = owner(few)
    machine.take_control([line(0, merge(9))])
    machine.accounts.effects = make_effects(few, small)
    batch = machine.take(*logins("old", *range(8)), *logins("acme", *range(8)), until_day=8.5)
    outputs = list(batch.outputs)
    batch = machine.take(*logins("acme", 9.1))
    machine.take_control([line(1 + at, value, key) for at, (key, value) in enumerate(batch.control)])
    outputs += [*batch.outputs, *machine.take(*logins("acme", 9.2), until_day=10).outputs]
    assert heard.merged == [Merged.ENDED, Merged.JOINED]
    changes = [json.loads(each.value) for each in outputs if each.topic is Output.SCORE_CHANGES]
    assert len({each["change_id"] for each in changes}) == len(changes)


# --- with a policy -------------------------------------------------------------------------------------------------


def activation(day: float, program: Program) -> Tree:
    policy = program.policy.model_dump(mode="json", by_alias=True)
    models = [each.model_dump(mode="json", by_alias=True) for each in program.models]
    content = {"policy": policy, "models": models, "hash": content_hash(policy, models)}
    return {"kind": "policy", "id": f"at {day}", "effective_at": int(START_MS + day * DAY_MS), **content}


@pytest.mark.parametrize("first", ["policy", "merge"])
@pytest.mark.parametrize(
    "day", [2.5, 3, 3.001, 3.2], ids=["before both", "with the merge", "between", "after"]
)
def test_a_policy_may_take_hold_before_between_and_after(
    few: Program, more: Program, first: str, day: float
) -> None:
    control = [merge(3), activation(day, more)][:: 1 if first == "merge" else -1]
    found: list[tuple[Owner, Heard, Batch]] = []

    def fold(_: int, lines: Sequence[ControlLine]) -> Sequence[tuple[bytes, bytes | None]]:
        machine, heard = owner(few)
        machine.take_control(lines)
        batch = machine.take(*logins("old", 0, 1, 2), *logins("acme", 0.5, 2.9, 4), until_day=5)
        found.append((machine, heard, batch))
        return batch.control

    fold_with_joins([line(at, each) for at, each in enumerate(control)], 1, fold)
    machine, heard, _ = found[-1]
    assert heard.merged == [Merged.ENDED, Merged.JOINED]
    assert machine.accounts.program.layout.fingerprint == more.layout.fingerprint
    assert counted(machine, "count logins", "acme") == 6
    assert machine.there == ["acme"]


def test_a_replay_takes_the_join_of_a_recording_and_makes_that_which_is_withdrawn(few: Program) -> None:
    key, join = left(few, *logins("old", 0, 1, 2))
    other = json.loads(join) | {"application": "theirs", "id": "theirs"}
    made: list[int] = []
    runs: list[list[str]] = []

    def fold(_: int, lines: Sequence[ControlLine]) -> Sequence[tuple[bytes, bytes | None]]:
        machine, heard = owner(few)
        machine.control.application = None
        machine.take_control(lines)
        batch = machine.take(*logins("old", 0, 1, 2), *logins("acme", 0.5, 4), until_day=5)
        runs.append([str(each) for each in heard.merged])
        made.append(counted(machine, "count logins", "acme"))
        return batch.control

    assert fold_with_joins([line(0, merge(3)), line(1, other)], 1, fold) == []
    assert (runs, made[-1]) == ([["ended", "joined"]], 5)
    own = fold_with_joins([line(0, merge(3)), line(1, json.loads(join)), line(2, None, key)], 1, fold)
    assert [each.offset for each in own] == [3]
    assert (runs[1:], made[-1]) == ([["ended"], ["ended", "joined"]], 5)


def test_the_instant_of_a_recorded_join_may_be_text(few: Program) -> None:
    _, value = left(few, *logins("old", 0, 1, 2))
    join = json.loads(value)
    written = datetime.fromtimestamp(join["effective_at"] / 1000, UTC).isoformat()
    made: list[int] = []

    def fold(_: int, lines: Sequence[ControlLine]) -> Sequence[tuple[bytes, bytes | None]]:
        machine, _heard = owner(few)
        machine.take_control(lines)
        batch = machine.take(*logins("old", 0, 1, 2), *logins("acme", 0.5, 4), until_day=5)
        made.append(counted(machine, "count logins", "acme"))
        return batch.control

    assert fold_with_joins([line(0, merge(3)), line(1, join | {"effective_at": written})], 1, fold) == []
    assert made == [5]


@pytest.mark.parametrize("first", ["policy", "join"])
def test_of_one_instant_a_policy_counts_before_a_join(few: Program, first: str) -> None:
    """Whoever was joined at that instant already would not adopt it."""
    steeper = component("nps", metric=NPS["metric"], ramp=[[0, 0], [50, 100]])
    tree = {"test": model(LOGINS, steeper, min_change=0.001, min_coverage=0)}
    key, value = left(few, facts("old", 2, nps=40))
    policy = activation(3, program_of(default_policy(models=["test"], rules={}), tree))
    policy["effective_at"] = json.loads(value)["effective_at"]
    said: list[tuple[Tree | bytes, bytes | None]] = [(policy, None), (value, key)]
    machine, heard = owner(few)
    machine.take_control(line(at, *each) for at, each in enumerate(said[:: 1 if first == "policy" else -1]))
    batch = machine.take(facts("acme", 1, nps=20), until_day=4)
    assert heard.merged == [Merged.JOINED]
    told = [json.loads(each.value) for each in batch.outputs if each.topic is Output.SCORE_CHANGES]
    at_once = [change for change in told if change["cause"]["kind"] in ("model", "merge")]
    assert [(each["cause"]["kind"], each["new"]["score"]) for each in at_once] == [
        ("model", 40),
        ("merge", 80),
    ]


def test_of_what_a_snapshot_holds_nothing_lies_beyond_its_clock() -> None:
    """At a midnight at half past six nothing is told or written; a policy from before it that is said later is late."""

    def program(most: int) -> Program:
        nps = component("nps", metric=NPS["metric"], ramp=[[0, 0], [most, 100]])
        policy = default_policy(models=["test"], rules={}, time_zone="Asia/Kolkata")
        return program_of(policy, {"test": model(LOGINS, nps, min_change=0.001, min_coverage=0)})

    machine, _ = owner(program(100))
    machine.take(facts("acme", 0.1, nps=20))
    machine.take(until_day=1 + 18.2 / 24)
    batch = machine.take(until_day=1 + 18.6 / 24)
    assert not len(batch.rows.key_ends)
    another = Owner(program(100), partition=0, partitions=1)
    another.restore(machine.saved())
    another.loaded()
    midnight_ms = int(another.accounts.cells.i64[0, NOW])
    assert midnight_ms == START_MS + DAY_MS + 37 * 1_800_000
    another.take_control([line(0, activation(0, program(50)) | {"effective_at": midnight_ms - 600_000})])
    batch = another.take(until_day=1 + 19.5 / 24)
    told = [json.loads(each.value) for each in batch.outputs if each.topic is Output.SCORE_CHANGES]
    assert [(each["cause"]["kind"], each["new"]["score"]) for each in told] == [("model", 40)]


# --- what is refused -----------------------------------------------------------------------------------------------


def test_who_is_too_large_for_a_control_record_goes_on(few: Program) -> None:
    machine, heard = owner(few)
    machine.take_control([line(0, merge(3))])
    large = {f"note-{n}": "x" * 10_000 for n in range(70)}
    batch = machine.take(facts("old", 0, **large), *logins("acme", 1, 4))
    assert (heard.merged, list(batch.control)) == ([Merged.TOO_LARGE], [])
    assert machine.there == ["acme", "old"]


@pytest.mark.parametrize("name", ["", "x" * 257, "a\nb"])
@pytest.mark.parametrize("field", ["old", "new"])
def test_a_merge_of_what_is_no_account_is_refused(few: Program, field: str, name: str) -> None:
    told: dict[str, Any] = merge(3) | {field: name}
    with pytest.raises(StateError, match="is no id of an account"):
        Control(few, 0).take(line(0, told), START_MS, START_MS)


def test_what_is_said_of_an_instant_at_which_a_merge_counted_is_late(few: Program) -> None:
    control, day_3 = Control(few, 0), int(START_MS + 3 * DAY_MS)
    control.take(line(0, merge(3)), day_3 - 9, day_3 - 9)
    (entry,) = control.moves()
    control.moved(entry)
    later = control.take(line(1, merge(3, "b")), day_3 - 9, day_3 - 9)
    assert later is not None
    assert (entry.at_ms, later.at_ms) == (day_3, day_3 + 1)
    assert control.moves() == [later]


def test_a_merge_concerns_the_partition_of_the_one_and_a_join_that_of_the_other(few: Program) -> None:
    _, join = left(few, *logins("old", 0))
    said = [merge(3), json.loads(join)]
    late: list[object] = []
    homes: dict[str, list[int]] = {"merge": [], "join": []}
    for number in range(8):
        control = Control(few, number, 8, "mine")
        later_ms = START_MS + 5 * DAY_MS
        taken = [control.take(line(at, each), later_ms, later_ms) for at, each in enumerate(said)]
        late += [entry for entry in taken if entry and entry.at_ms == later_ms + 1]
        for entry in control.moves():
            homes["join" if isinstance(entry.record, JoinAccount) else "merge"].append(number)
    assert {kind: len(found) for kind, found in homes.items()} == {"merge": 1, "join": 1}
    assert homes["merge"] != homes["join"]
    assert len(late) == 2, "whom it does not concern it is not late for"
