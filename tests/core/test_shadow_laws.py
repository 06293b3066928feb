"""Laws of models in shadow: nothing that counts depends on them, and they tell what they would tell live.

             first          30 d             55 d
retention    live           live             another file
adoption     live           in shadow        in shadow
health       in shadow      live             in shadow, another file
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.program import load_program
from agents.zones import ZoneDatabase
from schemas.topics import Output
from streams.plan import compile_program
from tests.auditor.scenarios import default_policy
from tests.core.conftest import DAY_MS, START_MS, Machine, company
from tests.core.test_control_laws import (
    HEALTH,
    RETENTION,
    STEEP,
    Controlled,
    activation,
    shipped_model,
    topic,
)

if TYPE_CHECKING:
    from streams.plan import Program
    from tests.core.conftest import Events

few = settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
ADOPTION: Final = shipped_model("adoption")
OTHER: Final = HEALTH | {"version": HEALTH["version"] + 1, "hysteresis": 0, "min_change": 1}
FIRST: Final = topic(
    activation(START_MS - DAY_MS, default_policy(shadow=["health"]), RETENTION, ADOPTION, HEALTH)
)
CONTROL: Final = FIRST + topic(
    activation(START_MS + 30 * DAY_MS, default_policy(shadow=["adoption"]), RETENTION, ADOPTION, HEALTH),
    activation(START_MS + 55 * DAY_MS + 7_200_000, default_policy(shadow=["adoption", "health"]), STEEP, ADOPTION, OTHER),
    start=1,
)  # fmt: skip
Told = dict[str, list[tuple[Output, bytes]]]


def told(machine: Machine) -> Told:
    """Return what went out by account, in its order, with the topics."""
    found = defaultdict(list)
    for record in machine.outputs:
        found[json.loads(record.value).get("account_id", "")].append((record.topic, record.value))
    return found


def controlled(program: Program, events: Events) -> Controlled:
    made = Controlled(program, events)
    made.lines = CONTROL
    return made


@pytest.fixture(scope="module")
def events() -> Events:
    return company(seed=11, accounts=10, days=75)


@pytest.fixture(scope="module")
def whole(program: Program, events: Events) -> Told:
    made = controlled(program, events)
    made.run(random.Random(0), commit=0.01, rows_max=50_000)
    return told(made)


def test_the_history_shows_models_that_move(whole: Told) -> None:
    found = [(of, json.loads(value)) for mine in whole.values() for of, value in mine]
    changes = [(of, each) for of, each in found if "change_id" in each]
    ids = [each["change_id"] for _, each in changes]
    assert len(set(ids)) == len(ids) > 100
    times = [(0, "2026-03-31"), (1, "2026-04-25")]
    for begin, end, in_shadow in (
        ("", "2026-03-31", {"health"}), ("2026-03-31", "2026-04-25", {"adoption"}), ("2026-04-25", "3", {"adoption", "health"}),
    ):  # fmt: skip
        of_time = [(of, each["model"]) for of, each in changes if begin <= each["effective_at"][:10] < end]
        assert {model for of, model in of_time if of is Output.SHADOW_SCORES} == in_shadow
        assert not {model for of, model in of_time if of is Output.SCORE_CHANGES} & in_shadow
    moved = [
        (of, c)
        for of, c in changes
        if c["cause"]["kind"] == "model" and c["effective_at"][:10] == times[0][1]
    ]
    assert {(of, change["model"]) for of, change in moved} == {
        (Output.SCORE_CHANGES, "health"), (Output.SHADOW_SCORES, "adoption"),
    }  # fmt: skip
    assert {change["old"]["band"] for _, change in moved} == {"insufficient_evidence"}


@pytest.mark.compiled
@few
@given(seed=st.integers(0, 1 << 30))
def test_how_the_input_is_cut_and_where_owners_crash_changes_no_output(
    program: Program, events: Events, whole: Told, seed: int
) -> None:
    cut = controlled(program, events)
    cut.run(random.Random(seed), crash=0.1)
    assert told(cut) == whole


@pytest.mark.parametrize("seed", range(2))
def test_a_crash_while_models_move_changes_no_output(
    program: Program, events: Events, whole: Told, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.partition.SWEEP_ROWS", 2)
    crashed = controlled(program, events)
    crashed.run(random.Random(seed), crash=0.15, commit=0.5)
    assert told(crashed) == whole


def test_owners_that_know_of_no_shadow_go_on_under_the_policy_in_force(
    program: Program, events: Events, whole: Told
) -> None:
    others = [program, load_program("docs/examples/silence.yaml")]
    mixed = controlled(others[1], events)
    mixed.owners = others
    mixed.run(random.Random(4), crash=0.05)
    assert told(mixed) == whole


def under(
    program: Program, events: Events, models: list[str], shadow: list[str]
) -> list[tuple[Output, bytes]]:
    """Return what one policy tells from the beginning."""
    policy = program.policy.model_copy(update={"models": models, "shadow": shadow})
    files = {model.model: model for model in program.models}
    made = Machine(compile_program(policy, [files[name] for name in models], ZoneDatabase()), events)
    made.run(random.Random(0), commit=0.01, rows_max=50_000)
    return [(record.topic, record.value) for record in made.outputs]


def test_live_models_and_alerts_are_told_as_without_the_models_in_shadow(
    program: Program, events: Events
) -> None:
    alone = under(program, events, ["retention"], [])
    beside = under(program, events, ["retention", "adoption", "health"], ["adoption", "health"])
    shown = [each for each in beside if each[0] is Output.SHADOW_SCORES]
    assert len(shown) > 30
    assert [each for each in beside if each not in shown] == alone


@pytest.mark.compiled
def test_a_model_tells_in_shadow_what_it_tells_live(program: Program, events: Events) -> None:
    models = ["retention", "adoption", "health"]
    live, shadow = under(program, events, models, []), under(program, events, models, ["adoption"])
    assert [value for _, value in shadow] == [value for _, value in live]
    moved = {
        json.loads(value)["model"] for (was, value), (now, _) in zip(live, shadow, strict=True) if was != now
    }
    assert moved == {"adoption"}


@pytest.mark.compiled
@pytest.mark.parametrize("seed", range(2))
def test_started_again_under_a_policy_in_which_a_model_moved_it_goes_on_in_the_other_topic(
    program: Program, events: Events, seed: int
) -> None:
    """By settings and not by an activation: nothing is told again, and nothing is lost."""
    shadow, live = (
        compile_program(program.policy.model_copy(update={"shadow": names}), program.models, ZoneDatabase())
        for names in (["adoption"], [])
    )
    whole, made = Machine(shadow, events), Machine(shadow, events)
    whole.run(random.Random(0), commit=0.01, rows_max=50_000)
    rng, half = random.Random(seed), {source: len(bodies) // 2 for source, bodies in events.items()}
    made.events = {source: bodies[: half[source]] for source, bodies in events.items()}
    while any(made.next[source] < half[source] for source in half):
        made.offer(rng.choice([source for source in half if made.next[source] < half[source]]), 100)
        made.partition.step(2_000)
    made.commit()
    told_before = len(made.outputs)
    made.events, made.program = events, live
    made.take_over(rng)
    made.run(rng)
    changes = {
        name: {account: [value for _, value in mine] for account, mine in told(machine).items()}
        for name, machine in (("whole", whole), ("made", made))
    }
    assert changes["made"] == changes["whole"]
    of_it = [record.topic for record in made.outputs if b'"model":"adoption"' in record.value]
    first = sum(b'"model":"adoption"' in record.value for record in made.outputs[:told_before])
    assert 0 < first < len(of_it)
    assert of_it == [Output.SHADOW_SCORES] * first + [Output.SCORE_CHANGES] * (len(of_it) - first)
