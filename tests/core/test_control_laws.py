"""Laws of control: it moves with event time, so cutting, recovering and who owns a partition change nothing that comes out.

events   ..................................................
control        pause   resume        policy        policy
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.program import load_program, shipped
from schemas.control import content_hash, control_key
from schemas.errors import StateError
from schemas.topics import Input
from streams.clock import ENDLESS_MS, NEVER_MS
from streams.control import Control, ControlLine, read_control
from streams.merge import HALT_AFTER
from tests.auditor.scenarios import default_policy
from tests.core.conftest import DAY_MS, START_MS, Machine, by_account, company

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.plan import Program
    from tests.core.conftest import Events

few = settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
Tree = dict[str, Any]


def line(kind: str, at_ms: int, name: str = "", **fields: Any) -> Tree:
    return {"kind": kind, "id": name or f"at {at_ms}", "effective_at": at_ms, **fields}


def activation(at_ms: int, policy: Tree, *models: Tree) -> Tree:
    tree = policy | {"models": [each["model"] for each in models]}
    return line("policy", at_ms, policy=tree, models=list(models), hash=content_hash(tree, list(models)))


def shipped_model(name: str) -> Tree:
    found: Tree = yaml.safe_load(shipped("models")[name].read_text(encoding="utf-8"))
    return found


def topic(*records: Tree | None, start: int = 0) -> list[ControlLine]:
    return [ControlLine(at, None, json.dumps(each).encode()) for at, each in enumerate(records, start)]


HEALTH: Final = shipped_model("health")
RETENTION: Final = shipped_model("retention")
STEEP: Final = RETENTION | {"version": RETENTION["version"] + 1, "hysteresis": 0, "min_change": 1}
CONTROL: Final = topic(
    line("pause", START_MS + 20 * DAY_MS),
    line("resume", START_MS + 31 * DAY_MS + 7_000),
    activation(START_MS + 40 * DAY_MS, default_policy(), STEEP, HEALTH),
    activation(
        START_MS + 55 * DAY_MS + 3_600_000, default_policy(rules={"silence": {}}, grace_s=900), RETENTION
    ),
)


class Controlled(Machine):
    """A machine whose partition hears of control before it is offered anything, as a worker's does."""

    lines = CONTROL
    owners: Sequence[Program] = ()
    """With what those that take over were started, if it differs."""

    def take_over(self, rng: random.Random) -> None:
        self.program = rng.choice(self.owners) if self.owners else self.program
        super().take_over(rng)
        self.partition.take_control(self.lines)

    def run(self, *arguments: Any, **options: Any) -> list[bytes]:
        self.partition.take_control(self.lines)
        return super().run(*arguments, **options)


@pytest.fixture(scope="module")
def events() -> Events:
    return company(seed=5, accounts=10, days=75)


@pytest.fixture(scope="module")
def whole(program: Program, events: Events) -> list[bytes]:
    return Controlled(program, events).run(random.Random(0), commit=0.01, rows_max=50_000)


def test_the_history_shows_control_at_work(program: Program, events: Events, whole: list[bytes]) -> None:
    plain = Machine(program, events).run(random.Random(0), commit=0.01, rows_max=50_000)
    told = [json.loads(value) for value in whole]
    alerts = [each for each in told if "alert_id" in each]
    assert not [
        a for a in alerts if "2026-03-21" <= a["effective_at"] < "2026-04-01" and a["status"] != "resolved"
    ]
    assert [a for a in alerts if a["effective_at"] == "2026-04-01T00:00:07.000Z"]
    assert len(by_account(plain)) == len(by_account(whole)) == 10
    by_model = [each for each in told if each.get("cause", {}).get("kind") == "model"]
    assert {each["effective_at"] for each in by_model} == {
        "2026-04-10T00:00:00.000Z",
        "2026-04-25T01:00:00.000Z",
    }
    assert [a for a in alerts if a["resolved_by"] == "policy"]


def test_no_message_of_an_account_goes_back_in_time(whole: list[bytes]) -> None:
    for values in by_account(whole).values():
        instants = [json.loads(value)["effective_at"] for value in values]
        assert instants == sorted(instants)


@pytest.mark.compiled
@few
@given(seed=st.integers(0, 1 << 30))
def test_how_the_input_is_cut_and_when_sweeps_run_changes_no_output(
    program: Program, events: Events, whole: list[bytes], seed: int
) -> None:
    cut = Controlled(program, events).run(random.Random(seed))
    assert by_account(cut) == by_account(whole)


@pytest.mark.compiled
@few
@given(seed=st.integers(0, 1 << 30))
def test_a_crash_between_any_two_commits_loses_nothing_and_repeats_nothing(
    program: Program, events: Events, whole: list[bytes], seed: int
) -> None:
    crashed = Controlled(program, events).run(random.Random(seed), crash=0.1)
    assert by_account(crashed) == by_account(whole)


@pytest.mark.parametrize("seed", range(3))
def test_a_crash_while_accounts_adopt_a_policy_changes_no_output(
    program: Program, events: Events, whole: list[bytes], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two accounts a step, so that commits and crashes fall between those that have adopted it and the others."""
    monkeypatch.setattr("agents.partition.SWEEP_ROWS", 2)
    crashed = Controlled(program, events)
    assert by_account(crashed.run(random.Random(seed), crash=0.15, commit=0.5)) == by_account(whole)
    assert [key for key, value in crashed.changelog if key == b"\0control-before" and value is not None]


@pytest.mark.parametrize("day", [24, 25])
def test_what_a_midnight_did_without_telling_is_kept_for_who_goes_on_with_a_change(
    program: Program, day: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reason joins an open episode at some midnight, which few rows are written for; then the policy changes."""
    monkeypatch.setattr("agents.partition.SWEEP_ROWS", 1)
    rules: Tree = {"risk_page": {"severity": "warning", "quiet_days": 30}, "silence": {}}
    models = [RETENTION, shipped_model("adoption"), HEALTH]
    lines = topic(
        activation(START_MS - DAY_MS, default_policy(rules=rules), *models),
        activation(START_MS + day * DAY_MS + 7_200_000, default_policy(rules=rules, version=2), *models),
    )
    told = []
    for crash_after in (None, 0):
        made = quiet_accounts(program)
        made.partition.take_control(lines)
        if crash_after is not None:
            crash_in_the_change(made, crash_after)
            made.partition.take_control(lines)
        work_off(made)
        told.append(by_account([record.value for record in made.outputs]))
    assert told[1] == told[0]
    reasons = [reason for each in told[0]["a"] for reason in json.loads(each).get("reasons", ())]
    assert {reason["rule"] for reason in reasons} == {"risk_page", "silence"}


@pytest.mark.parametrize("crash_after", [None, 3, 6])
def test_a_silence_of_the_very_midnight_of_a_change_is_told_by_the_next_owner_too(
    program: Program, crash_after: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.partition.SWEEP_ROWS", 1)
    rules: Tree = {"silence": {}}
    lines = topic(
        activation(START_MS - DAY_MS, default_policy(rules=rules), RETENTION),
        activation(START_MS + 24 * DAY_MS, default_policy(rules=rules, version=2), RETENTION),
    )
    made = quiet_accounts(program)
    made.partition.take_control(lines)
    if crash_after is not None:
        crash_in_the_change(made, crash_after)
        made.partition.take_control(lines)
    work_off(made)
    alerts = [json.loads(record.value) for record in made.outputs if record.topic == "disengagements"]
    fired = [(a["account_id"], a["effective_at"]) for a in alerts if a["status"] == "firing"]
    assert sorted(fired) == [(account, "2026-03-25T00:00:00.000Z") for account in "abcd"]


def quiet_accounts(program: Program) -> Machine:
    """Four that visit every day, at last /cancel, are silent, and come back much later; a fifth moves the clock."""
    made = machine(program)
    for day in range(60):
        for account in "abcd" if day < 10 or day == 59 else "e":
            path, at_ms = "/cancel" if day == 9 else "/app", START_MS + day * DAY_MS + 1_000
            body = {"event_id": f"{account}{day}", "account_id": account, "occurred_at": at_ms, "path": path}
            made.events[Input.PAGE_VISITS].append(json.dumps(body).encode())
    return made


def crash_in_the_change(made: Machine, steps: int) -> None:
    """Let the second policy take hold, some accounts adopt it, commit, and another owner take over."""
    offer_all(made)
    while made.partition.accounts.program.policy.version != 2:
        made.partition.step(1)
        made.commit()
    for _ in range(steps):
        made.partition.step(1_000)
    made.commit()
    made.take_over(random.Random(steps))


@pytest.mark.parametrize("begins", [0, 1], ids=["begun under the same", "begun under another"])
def test_who_owns_a_partition_next_goes_on_under_the_policy_in_force_whatever_its_own_is(
    program: Program, events: Events, whole: list[bytes], begins: int
) -> None:
    """The first policy by the topic; its owners were started with one or another."""
    first = activation(START_MS - DAY_MS, default_policy(), RETENTION, shipped_model("adoption"), HEALTH)
    lines = [*topic(first), *(each._replace(offset=each.offset + 1) for each in CONTROL)]
    others = [program, load_program("docs/examples/silence.yaml")]
    mixed = Controlled(others[begins], events)
    mixed.lines, mixed.owners = lines, others
    assert by_account(mixed.run(random.Random(4), crash=0.05)) == by_account(whole)


# --- when a record counts ------------------------------------------------------------------------------------------


def machine(program: Program, *bodies: Tree) -> Machine:
    made: Events = {source: [] for source in Input}
    for number, each in enumerate(bodies):
        body = {"event_id": f"e{number}", "account_id": "acme", **each}
        made[Input.PAGE_VISITS].append(json.dumps(body).encode())
    return Machine(program, made)


def visits(*at_ms: int) -> list[Tree]:
    return [{"occurred_at": each, "path": "/cancel"} for each in at_ms]


def test_a_record_that_comes_late_counts_at_once(program: Program) -> None:
    late = machine(program, *visits(START_MS, START_MS + DAY_MS))
    late.offer(Input.PAGE_VISITS, 1)
    late.partition.take_control(topic(line("pause", START_MS - DAY_MS)))
    late.run(random.Random(0))
    assert [
        json.loads(record.value)["status"] for record in late.outputs if record.topic == "disengagements"
    ] == ["firing"]
    assert late.partition.control.mutes().tolist() == [[START_MS + 1, 1 << 62]]


def test_a_record_that_comes_after_a_takeover_does_not_count_from_before_what_was_told(
    program: Program,
) -> None:
    """Silences are told as the clock comes to a midnight; the next owner hears of a pause before it hears of any input."""
    made = quiet_accounts(program)
    last_ms = START_MS + 9 * DAY_MS + 1_000
    for source in Input:
        made.offer(source, 40)
        made.partition.end_reached(source, last_ms + 50 * DAY_MS)
    while made.partition.step(1_000) or made.partition.due_now():
        pass
    made.commit()
    clock_ms = made.partition.clock_ms
    assert clock_ms > last_ms + 49 * DAY_MS
    made.take_over(random.Random(0))
    made.partition.take_control(topic(line("pause", START_MS)))
    assert made.partition.control.mutes()[:, 0].tolist() == [clock_ms + 1]


def test_until_it_counts_a_record_is_replaced_by_one_of_its_key_and_withdrawn_by_one_without_a_value(
    program: Program,
) -> None:
    control = Control(program, 0)
    first, second = line("pause", START_MS, "x"), line("pause", START_MS + DAY_MS, "x")
    control.take(topic(first)[0], START_MS - 10, START_MS)
    control.take(topic(second, start=4)[0], START_MS - 9, START_MS)
    assert control.mutes()[:, 0].tolist() == [START_MS + DAY_MS]
    control.take(ControlLine(7, b"pause:x", None), START_MS - 8, START_MS)
    assert control.mutes().tolist() == []
    control.take(topic(first, start=8)[0], START_MS - 7, START_MS)
    control.take(ControlLine(9, b"pause:x", None), START_MS, START_MS)
    assert control.mutes()[:, 0].tolist() == [START_MS], "what counts already stays"
    assert control.next_offset == 10


def test_a_policy_in_force_stays_so_though_it_is_withdrawn_before_the_clock_has_come_there(
    program: Program,
) -> None:
    control = Control(program, 0)
    control.take(
        topic(activation(START_MS, default_policy(), HEALTH) | {"id": "x"})[0], START_MS - 10, START_MS
    )
    control.take_hold(control.to_come()[0], START_MS - 1)
    control.take(ControlLine(1, b"policy:x", None), START_MS - 1, START_MS - 1)
    next_owner = Control(program, 0)
    for key, value in control.take_changed():
        next_owner.load(key, value)
    next_owner.loaded()
    assert [model.model for model in next_owner.program.models] == ["health"]


def test_a_policy_in_force_is_not_withdrawn_even_where_the_clock_is_not_known_yet(program: Program) -> None:
    """Its owner went on from the changelog: no event came since it took hold, by the clock."""
    control = Control(program, 0)
    (each,) = topic(activation(START_MS, default_policy(), HEALTH))
    control.take(each, START_MS - 10, START_MS - 10)
    control.take_hold(control.to_come()[0], START_MS)
    control.adopted()
    again = Control(program, 0)
    for key, value in control.take_changed():
        again.load(key, value)
    again.loaded()
    again.take(ControlLine(1, control_key(read_control(each)), None), START_MS - 10, NEVER_MS)
    assert [model.model for model in again.program.models] == ["health"]
    assert again.to_come() == []
    late = again.take(topic(line("pause", START_MS - 5), start=2)[0], START_MS - 10, NEVER_MS)
    assert late is not None
    assert late.at_ms == START_MS + 1


def test_of_records_taken_together_only_the_last_of_a_key_counts(program: Program) -> None:
    """So a worker need not take what was replaced or withdrawn since, as compaction leaves it out too."""
    lines = [
        each._replace(key=control_key(read_control(each)))
        for each in topic(
            line("pause", START_MS, "x"), line("pause", START_MS + DAY_MS, "x"), line("resume", START_MS + 5, "y"),
            activation(START_MS + 7, default_policy(), HEALTH),
        )
    ] + [ControlLine(4, b"resume:y", None)]  # fmt: skip
    for reached_ms in (START_MS - 1, START_MS + 6, START_MS + 2 * DAY_MS):
        whole, compacted = Control(program, 0), Control(program, 0)
        for each in lines:
            whole.take(each, reached_ms, reached_ms)
        for each in (lines[1], lines[3], lines[4]):
            compacted.take(each, reached_ms, reached_ms)
        assert whole.mutes().tolist() == compacted.mutes().tolist()
        assert whole.to_come() == compacted.to_come()
        assert whole.next_offset == compacted.next_offset


def test_intervals_and_policies_long_past_are_forgotten(program: Program) -> None:
    control = Control(program, 0)
    for each in topic(
        line("pause", START_MS), line("resume", START_MS + 1), line("resume", START_MS + 2),
        line("go_live", START_MS + 3, "application"), activation(START_MS, default_policy(), HEALTH),
        activation(START_MS + 5, default_policy(), HEALTH), line("pause", START_MS + 9),
    ):  # fmt: skip
        control.take(each, START_MS - 10, START_MS)
    control.take_hold(control.to_come()[1], START_MS)
    control.take_changed()
    control.take(topic(line("pause", START_MS + 30 * DAY_MS), start=9)[0], START_MS, START_MS + 20 * DAY_MS)
    gone = {int(key.split(b":")[1]) for key, value in control.take_changed() if value is None}
    assert gone == {0, 1, 2, 3}
    assert control.mutes()[:, 0].tolist() == [START_MS + 9, START_MS + 30 * DAY_MS]


# --- what cannot be followed ---------------------------------------------------------------------------------------

GOOD: Final = activation(START_MS, default_policy(), HEALTH)
INPUT: Final[Tree] = {"input": "logins", "partition": 0, "offset": 5}
REFUSED: Final[dict[str, tuple[Tree | bytes, str]]] = {
    "no JSON": (b"{", "truncated"),
    "an unknown kind": (line("split", START_MS), "Invalid value 'split'"),
    "a time far away": (line("pause", 0), "outside 1990..2099"),
    "a hash of something else": (GOOD | {"hash": "0" * 32}, "its hash is not that"),
    "an unknown input": (
        line("resume_input", START_MS, **INPUT | {"input": "log-ins"}),
        "known: account-facts",
    ),
    "skipping backwards": (line("skip_input", START_MS, **INPUT, to_offset=5), "not beyond offset 5"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_followed_is_refused_with_the_way_out(program: Program, name: str) -> None:
    record, why = REFUSED[name]
    value = record if isinstance(record, bytes) else json.dumps(record).encode()
    with pytest.raises(StateError, match="withdraw it") as refused:
        Control(program, 0).take(ControlLine(3, None, value), START_MS, START_MS)
    assert why in str(refused.value)


def test_a_key_that_is_not_that_of_its_record_is_refused(program: Program) -> None:
    with pytest.raises(StateError, match="its key should be 'pause:x'"):
        Control(program, 0).take(
            ControlLine(0, b"pause:y", json.dumps(line("pause", START_MS, "x")).encode()), START_MS, START_MS
        )


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (activation(START_MS + DAY_MS, default_policy(max_future_skew_s=1), HEALTH), "has to stay 300"),
        (activation(START_MS + DAY_MS, default_policy(grace_s=-1), HEALTH), "grace_s"),
        (activation(START_MS + DAY_MS, default_policy(time_zone="Mars/North"), HEALTH), "Mars/North"),
        (activation(START_MS + DAY_MS, default_policy(), HEALTH) | {"models": [], "hash": content_hash(
            default_policy(models=["health"]), [])}, "has the models"),
    ],
    ids=["another skew", "a mistake", "an unknown zone", "no models"],
)  # fmt: skip
def test_before_a_policy_that_cannot_be_followed_all_stops_and_nothing_is_half_done(
    program: Program, record: Tree, why: str
) -> None:
    stopped = machine(program, *visits(START_MS, START_MS + 2 * DAY_MS))
    stopped.partition.take_control(topic(record))
    with pytest.raises(StateError, match=why):
        stopped.run(random.Random(0))
    assert stopped.partition.accounts.program is program


# --- halted inputs -------------------------------------------------------------------------------------------------


def halting(program: Program) -> Machine:
    """An input with an event, so many rejects that it halts, two more rejects, and an event."""
    made = machine(program, *visits(START_MS, START_MS + DAY_MS))
    made.events[Input.PAGE_VISITS][1:1] = [b"{"] * (HALT_AFTER + 2)
    return made


def go_on(
    kind: str = "resume_input", offset: int = HALT_AFTER, partition: int = 0, **fields: Any
) -> list[ControlLine]:
    place: Tree = {"input": "page-visits", "partition": partition, "offset": offset}
    return topic(line(kind, START_MS, "here", **place, **fields))


def offer_all(made: Machine) -> None:
    for source in Input:
        made.offer(source, len(made.events[source]))
        made.partition.end_reached(source, ENDLESS_MS)


def work_off(made: Machine) -> None:
    """Offer all that is left, take it, and let the clock stand where it does."""
    offer_all(made)
    while made.partition.step(1_000) or made.partition.due_now():
        pass
    made.commit()


def ended(made: Machine) -> tuple[int, int, Input | None]:
    """Work everything off; return how many dead letters and alerts went out, and what is halted."""
    work_off(made)
    found = [str(record.topic) for record in made.outputs]
    return found.count("dead-letters"), found.count("disengagements"), made.partition.halted


def test_an_input_whose_halt_is_named_beforehand_never_stands_still(program: Program) -> None:
    assert ended(halting(program)) == (HALT_AFTER, 1, Input.PAGE_VISITS)
    resumed = halting(program)
    resumed.partition.take_control(go_on())
    assert ended(resumed) == (HALT_AFTER + 2, 2, None)
    skipped = halting(program)
    skipped.partition.take_control(go_on("skip_input", to_offset=HALT_AFTER + 2))
    assert ended(skipped) == (HALT_AFTER + 1, 2, None)
    beyond = halting(program)
    beyond.partition.take_control(go_on("skip_input", to_offset=HALT_AFTER + 50))
    assert ended(beyond) == (HALT_AFTER, 1, None)
    assert beyond.partition.position(Input.PAGE_VISITS) == HALT_AFTER + 49


@pytest.mark.parametrize(
    "other", [go_on(offset=HALT_AFTER - 1), go_on(partition=1)], ids=["offset", "partition"]
)
def test_a_record_that_names_another_halt_does_nothing(program: Program, other: list[ControlLine]) -> None:
    made = halting(program)
    made.partition.take_control(other)
    assert ended(made) == (HALT_AFTER, 1, Input.PAGE_VISITS)


@pytest.mark.parametrize("owner", ["same", "next", "next, told before"])
def test_a_halted_input_goes_on_as_if_it_had_never_halted(program: Program, owner: str) -> None:
    beforehand = halting(program)
    beforehand.partition.take_control(go_on())
    work_off(beforehand)
    made = halting(program)
    work_off(made)
    assert made.partition.halted is Input.PAGE_VISITS
    if owner == "same":
        assert made.partition.take_control(go_on()) == {Input.PAGE_VISITS: HALT_AFTER + 1}
        assert made.partition.take_control(go_on()) == {}
    else:
        if owner == "next, told before":
            made.partition.take_control(go_on())
            made.commit()
        made.take_over(random.Random(3))
        made.partition.take_control(go_on())
    made.next[Input.PAGE_VISITS] = HALT_AFTER + 1
    work_off(made)
    assert by_topic(made) == by_topic(beforehand)


def by_topic(made: Machine) -> list[tuple[str, bytes]]:
    return sorted((record.topic, record.value) for record in made.outputs)


def test_the_count_of_rejects_begins_anew_behind_a_halt_for_a_next_owner_too(program: Program) -> None:
    made = halting(program)
    made.events[Input.PAGE_VISITS][-1:] = [b"{"] * (HALT_AFTER - 3)
    made.partition.take_control(go_on())
    work_off(made)
    made.take_over(random.Random(0))
    assert made.partition.merge.queues[Input.PAGE_VISITS].progress.run == HALT_AFTER - 1
    made.events[Input.PAGE_VISITS] += [b"{"] * 3
    work_off(made)
    assert made.partition.halted is Input.PAGE_VISITS
    assert made.partition.position(Input.PAGE_VISITS) == 2 * HALT_AFTER


def test_an_input_that_halts_short_of_a_change_of_policy_keeps_it_waiting(program: Program) -> None:
    made = halting(program)
    made.partition.take_control(topic(activation(START_MS + DAY_MS // 2, default_policy(), HEALTH)))
    work_off(made)
    assert made.partition.accounts.program is program
