"""Everything at once: brake, guard, ends and control together change nothing of the laws.

events    ......e..........x..e....[outage]....e.......e...   e: an account is erased; x: a stranger is refused
control   ................................P......Q...R...S    P: alerts paused; Q, S: policies with less and with all of it
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.partition import Partition
from agents.program import load_program
from schemas.policy import Policy
from schemas.topics import Input, Output
from streams.brake import BRAKE
from streams.plan import compile_program
from tests.core.conftest import DAY_MS, START_MS, by_account, company
from tests.core.test_control_laws import Controlled, activation, line, topic
from tests.core.test_end_laws import at_ms, erasure
from tests.core.test_inflow import without

if TYPE_CHECKING:
    from streams.plan import Program
    from tests.core.conftest import Events, Machine

FEW: Final = settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
DAYS: Final = 63
ERASED_ON: Final = {4: 11.3, 13: 20, 2: 29.3, 12: 41.5, 6: 44, 27: 48.1, 0: 51.3, 16: 46.1, 7: 57.6, 20: 58}
"""The days of erasures by the number of the account, some of them amid the outage and the pause."""
ALL_ON: Final[dict[str, Any]] = {
    "brake": {"factor": 1.0, "firings_min": 1, "weeks": 1},
    "stalled_sources": {"inputs": ["logins", "page-visits"], "expected_min": 10, "settle_hours": 30},
    "retire": {"closed_days": 3, "quiet_days": 14},
    "erased_days": 3,
    "accounts_max": 30,
}
LESS: Final[dict[str, Any]] = {
    "brake": None,
    "stalled_sources": None,
    "retire": None,
    "accounts_max": 25,
    "rules": {"silence": {}},
}
OTHER: Final[dict[str, Any]] = {"brake": {"factor": 2.0, "firings_min": 2, "weeks": 2}, "erased_days": 0}


def tree(**changes: Any) -> dict[str, Any]:
    return load_program("default").policy.model_dump(mode="json") | ALL_ON | changes


def models() -> list[dict[str, Any]]:
    return [model.model_dump(mode="json", by_alias=True) for model in load_program("default").models]


class Busy(Controlled):
    """Alerts are paused, and policies take hold amid an outage and a pause."""

    lines = topic(
        line("pause", START_MS + 33 * DAY_MS),
        line("resume", START_MS + 36 * DAY_MS + 5),
        activation(START_MS + 41 * DAY_MS + 3_600_000, tree(brake=None), *models()),
        activation(START_MS + 42 * DAY_MS, tree(), *models()),
        activation(START_MS + 46 * DAY_MS + 9 * 3_600_000, tree(**LESS), *models()[:1]),
        activation(START_MS + 49 * DAY_MS + 7, tree(**OTHER), *models()),
    )


@pytest.fixture(scope="module")
def everything() -> Program:
    base = load_program("default")
    return compile_program(Policy.model_validate(tree()), base.models, base.zones)


@pytest.fixture(scope="module")
def events() -> Events:
    found = without(company(seed=2, accounts=44, days=DAYS))
    ends = [erasure(f"acct-{number:05}", day) for number, day in ERASED_ON.items()]
    found[Input.ACCOUNT_FACTS] = sorted(found[Input.ACCOUNT_FACTS] + ends, key=at_ms)
    return found


def told(machine: Machine) -> dict[str, list[bytes]]:
    """Return all that went out of a machine by account, notices by their subject, and the dead letters."""
    dead = [record for record in machine.outputs if record.topic is Output.DEAD_LETTERS]
    others = [record.value for record in machine.outputs if record.topic is not Output.DEAD_LETTERS]
    places = (dict(record.headers) for record in dead)
    letters = sorted(place["latido_topic"] + b" " + place["latido_offset"] for place in places)
    found = by_account(others) | {"dead letters": letters}
    for value in found.pop(""):
        found.setdefault(json.loads(value)["subject"], []).append(value)
    return found


@pytest.fixture(scope="module")
def whole(everything: Program, events: Events) -> Machine:
    machine = Busy(everything, events)
    machine.run(random.Random(0), commit=0.01, rows_max=50_000)
    return machine


@pytest.mark.compiled
def test_the_history_shows_all_of_it_at_work(whole: Machine) -> None:
    said = [json.loads(value) for values in told(whole).values() for value in values if b"{" in value]
    assert {"erased", "retired", "policy"} <= {each.get("resolved_by") for each in said}
    notices = {(each["kind"], each["status"]) for each in said if "operation_id" in each}
    assert notices == {
        (kind, status) for kind in ("brake", "stalled_source") for status in ("firing", "resolved")
    }
    assert len(told(whole)["dead letters"]) > 3
    changes = [each["change_id"] for each in said if "change_id" in each]
    assert len(set(changes)) == len(changes)


@pytest.mark.compiled
@FEW
@given(seed=st.integers(0, 1 << 30))
def test_how_the_input_is_cut_and_when_sweeps_run_changes_nothing(
    everything: Program, events: Events, whole: Machine, seed: int
) -> None:
    cut = Busy(everything, events)
    cut.run(random.Random(seed))
    assert told(cut) == told(whole)


@pytest.mark.compiled
@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("seed", range(2))
def test_a_crash_between_any_two_commits_changes_nothing(
    everything: Program, events: Events, whole: Machine, seed: int
) -> None:
    crashed = Busy(everything, events)
    crashed.run(random.Random(seed), crash=0.1, commit=0.5)
    assert told(crashed) == told(whole)


def test_of_erased_accounts_nothing_is_left(whole: Machine) -> None:
    """Neither rows nor what the brake held of them."""
    held = {key: value for key, value in dict(whole.changelog).items() if value is not None}
    there = {whole.partition.accounts.keys[row] for row in whole.partition.accounts.existing()}
    assert {key for key in held if key[0]} == there
    assert {key.removeprefix(BRAKE + b":") for key in held if key.startswith(BRAKE + b":")} <= there


def test_what_is_saved_of_a_partition_is_what_its_changelog_holds(
    everything: Program, whole: Machine
) -> None:
    """A seed and a snapshot hand on the rest of a partition as it is saved: brake, waits, erased accounts, control."""
    saved = whole.partition.saved()
    saved = saved._replace(rows=saved.rows.copy())
    held = {key: value for key, value in dict(whole.changelog).items() if value is not None}
    assert dict(saved.others) == {key: value for key, value in held.items() if not key[0]}
    assert {key for key in saved.keys if key} == {key for key in held if key[0]}
    heir = Partition(everything, partition=0, partitions=1, keyed=False)
    heir.restore(saved)
    heir.loaded()
    assert heir.control.program.policy == whole.partition.control.program.policy
    assert heir.outbox.brake.held == whole.partition.outbox.brake.held
    assert heir.accounts.plan.guards.tolist() == whole.partition.accounts.plan.guards.tolist()
    assert dict(heir.saved().others) == dict(saved.others)
