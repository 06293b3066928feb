"""Laws of accounts that end: whoever owns the partition, however it is cut, they end and begin at the same places.

events   .....e....e...........e......   e: an account is erased; others are quiet or closed for so long that they retire
refused  ..............xx.............   x: of strangers, when the partition has as many accounts as it may have
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.events import Instant
from schemas.policy import Policy
from schemas.topics import Input, Output
from streams.erased import ERASED
from streams.instants import instant_ms
from streams.plan import compile_program
from tests.core.conftest import DAY_MS, START_MS, Machine, by_account, company

if TYPE_CHECKING:
    from streams.plan import Program
    from tests.core.conftest import Events

few = settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
DAYS: Final = 62
ERASED_ON: Final = {4: 11.3, 9: 20, 11: 30, 5: 33, 6: 44, 10: 55, 7: 60}
"""The days of erasures by the number of the account; three of these have an open episode then."""


def erasure(account: str, day: float) -> bytes:
    told = {"event_id": f"erase {account} {day}", "account_id": account, "facts": {}, "erase": True}
    return json.dumps(told | {"occurred_at": int(START_MS + day * DAY_MS)}).encode()


def at_ms(value: bytes) -> int:
    told: dict[str, Any] = json.loads(value)
    return instant_ms(msgspec.convert(told["occurred_at"], Instant))


@pytest.fixture(scope="module")
def ending(program: Program) -> Program:
    """The shipped policy, under which accounts retire soon, stay away for ten days, and are nine at most."""
    retire = {"closed_days": 3, "quiet_days": 14}
    tree = program.policy.model_dump(mode="json") | {"retire": retire, "erased_days": 10, "accounts_max": 9}
    return compile_program(Policy.model_validate(tree), program.models, program.zones)


@pytest.fixture(scope="module")
def events() -> Events:
    found = company(seed=5, accounts=12, days=DAYS)
    facts = found[Input.ACCOUNT_FACTS] + [
        erasure(f"acct-{number:05}", day) for number, day in ERASED_ON.items()
    ]
    found[Input.ACCOUNT_FACTS] = sorted(facts, key=at_ms)
    return found


def told(machine: Machine) -> dict[str, list[bytes]]:
    """Return all that went out of a machine by account, and the dead letters."""
    dead = [record for record in machine.outputs if record.topic is Output.DEAD_LETTERS]
    found = by_account(
        [record.value for record in machine.outputs if record.topic is not Output.DEAD_LETTERS]
    )
    places = (dict(record.headers) for record in dead)
    found["dead"] = sorted(place["latido_topic"] + b" " + place["latido_offset"] for place in places)
    return found


def there(machine: Machine) -> set[str]:
    accounts = machine.partition.accounts
    return {accounts.names[row] for row in accounts.existing()}


@pytest.fixture(scope="module")
def whole(ending: Program, events: Events) -> Machine:
    machine = Machine(ending, events)
    machine.run(random.Random(0), commit=0.01, rows_max=50_000)
    return machine


def test_the_history_shows_ends_at_work(whole: Machine) -> None:
    messages = [
        json.loads(value) for values in told(whole).values() for value in values if b"alert_id" in value
    ]
    ends = {each["resolved_by"] for each in messages if each["status"] == "resolved"}
    assert {"erased", "retired"} <= ends
    assert len(told(whole)["dead"]) > 20
    assert 0 < len(there(whole)) <= 9
    changes = [
        json.loads(value) for values in told(whole).values() for value in values if b"change_id" in value
    ]
    begun = [
        change for change in changes if change["old"]["score"] is None and change["new"]["score"] is not None
    ]
    assert len(begun) > len({(change["account_id"], change["model"]) for change in begun})
    assert len({change["change_id"] for change in changes}) == len(changes)


@pytest.mark.compiled
@few
@given(seed=st.integers(0, 1 << 30))
def test_how_the_input_is_cut_and_when_sweeps_run_changes_no_end(
    ending: Program, events: Events, whole: Machine, seed: int
) -> None:
    cut = Machine(ending, events)
    cut.run(random.Random(seed))
    assert told(cut) == told(whole)
    assert there(cut) == there(whole)


@pytest.mark.compiled
@few
@given(seed=st.integers(0, 1 << 30))
def test_a_crash_between_any_two_commits_brings_nobody_back(
    ending: Program, events: Events, whole: Machine, seed: int
) -> None:
    crashed, rng = Machine(ending, events), random.Random(seed)
    crashed.run(rng, crash=0.03)
    assert told(crashed) == told(whole)
    crashed.take_over(rng)
    assert there(crashed) == there(whole)


def test_the_changelog_holds_the_accounts_that_are_there_and_no_other_id(whole: Machine) -> None:
    held = {key for key, value in dict(whole.changelog).items() if value is not None}
    assert {key.decode() for key in held if key[0]} == there(whole)
    assert len([key for key in held if key.startswith(ERASED)]) == 7
    assert all(
        value is None or b"acct-" not in value for key, value in whole.changelog if key.startswith(ERASED)
    )
