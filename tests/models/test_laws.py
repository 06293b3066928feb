"""Laws with all shipped models at once: parts sum to the whole on every scale, and cuts and crashes change no output."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import pytest

from agents.program import known_models, load_model, load_policy
from agents.zones import ZoneDatabase
from schemas.catalogue import FACTS
from schemas.model_file import ModelFile
from schemas.reasons import NOT_APPLICABLE
from schemas.topics import Input
from streams.instants import instant_text
from streams.plan import compile_program
from tests.core.conftest import DAY_MS, START_MS, Machine, by_account, company

if TYPE_CHECKING:
    from streams.plan import Program
    from tests.core.conftest import Events

MODELS: Final = {name: load_model(name) for name in known_models(None)}
DAYS: Final = 75
ACCOUNTS: Final = 3


@pytest.fixture(scope="module")
def twelve() -> Program:
    policy = load_policy("default").model_copy(update={"models": list(MODELS)})
    return compile_program(policy, [_asking(model) for model in MODELS.values()], ZoneDatabase())


ASKED: Final = {
    "guide": {"plan": ["team", "business"]},
    "siemens": {"segment": ["small"], "plan": ["team"], "age": {"to_days": 60}},
    "axon": {"age": {"from_days": 20, "to_days": 50}},
}
"""For whom some of the models are, beside the kinds in their files."""


def _asking(model: ModelFile) -> ModelFile:
    tree = model.model_dump(by_alias=True)
    tree["applies_to"] |= ASKED.get(model.model, {})
    return ModelFile.model_validate(tree)


def told(rng: random.Random) -> dict[str, Any]:
    """Return some facts: of each kind values that can be read, some that cannot, and now and then an override."""
    found: dict[str, Any] = {}
    for fact in rng.sample([fact for fact in FACTS if fact.readable and fact.name != "kind"], 12):
        numbers = [rng.randint(*(fact.range or (-100, 100))), rng.uniform(*(fact.range or (0, 100)))]
        found[fact.name] = rng.choice([*(fact.values or numbers), None, "unheard-of", -1e6])
    if rng.random() < 0.5:
        model = rng.choice(list(MODELS.values()))
        component = rng.choice(["", *(f".{part.name}" for part in model.components)])
        found[f"override.{model.model}{component}"] = rng.choice([*range(6), 50, 99.5, None])
    if rng.random() < 0.6:
        found["plan"] = rng.choice(["team", "team", "business", "starter", None, 5])
        found["segment"] = rng.choice(["small", "small", "mid-market", None])
    if rng.random() < 0.3:
        found["kind"] = rng.choice(["trial", "customer", "partner", "internal"])
    return found


@pytest.fixture(scope="module")
def events() -> Events:
    simulated, rng = company(seed=11, accounts=ACCOUNTS, days=DAYS), random.Random(11)
    names = sorted({json.loads(body)["account_id"] for body in simulated[Input.LOGINS]})
    facts = [(json.loads(body)["occurred_at"], body) for body in simulated[Input.ACCOUNT_FACTS]]
    for number in range(250):
        told_ms = START_MS + rng.randrange(DAYS * DAY_MS)
        at = instant_text(told_ms)
        event = {
            "event_id": f"told-{number}",
            "account_id": rng.choice(names),
            "occurred_at": at,
            "facts": told(rng),
        }
        if rng.random() < 0.3:
            event["expires_at"] = told_ms + rng.randrange(3 * DAY_MS)
        facts.append((at, json.dumps(event).encode()))
    return simulated | {Input.ACCOUNT_FACTS: [body for _, body in sorted(facts)]}


@pytest.fixture(scope="module")
def whole(twelve: Program, events: Events) -> list[bytes]:
    return Machine(twelve, events).run(random.Random(0), commit=0.01, rows_max=50_000)


@pytest.mark.compiled
def test_how_the_input_is_cut_and_a_crash_between_commits_change_no_output(
    twelve: Program, events: Events, whole: list[bytes]
) -> None:
    assert by_account(Machine(twelve, events).run(random.Random(1), crash=0.1)) == by_account(whole)


def test_on_every_scale_parts_sum_to_the_score_and_their_differences_to_the_change(
    whole: list[bytes],
) -> None:
    changes = [json.loads(value) for value in whole if b"change_id" in value]
    seen = Counter(change["model"] for change in changes if change["new"]["score"] is not None)
    assert set(seen) == set(MODELS)
    assert min(seen.values()) >= 4, seen
    for change in changes:
        low, high = change["scale"]
        scores = [change[side]["score"] for side in ("old", "new")]
        for side, score in zip(("old", "new"), scores, strict=True):
            parts = [round(1000 * (part[side] or 0)) for part in change["contributions"]]
            assert sum(parts) == round(1000 * (score or 0))
            assert score is None or low <= score <= high
        moved = round(1000 * (scores[1] or 0)) - round(1000 * (scores[0] or 0))
        assert sum(round(1000 * part["delta"]) for part in change["contributions"]) == moved


def test_models_come_to_apply_and_cease_to_with_a_fact_its_end_and_an_age(whole: list[bytes]) -> None:
    changes = [json.loads(value) for value in whole if b"change_id" in value]
    ended = Counter(
        change["cause"]["kind"]
        for change in changes
        if change["model"] in ASKED and change["new"]["band"] == NOT_APPLICABLE
    )
    assert {"fact", "evidence", "time"} <= set(ended)
    begun = Counter(change["model"] for change in changes if change["old"]["band"] == NOT_APPLICABLE)
    assert set(begun) >= {*ASKED}


def test_a_grid_is_told_by_models_that_have_one_and_is_their_band(whole: list[bytes]) -> None:
    cells = Counter[str]()
    for change in (json.loads(value) for value in whole if b"change_id" in value):
        cell = change["new"]["band"] if re.fullmatch("[A-E][1-5]", change["new"]["band"]) else None
        assert change["grid"] == cell
        assert (cell is not None) <= (MODELS[change["model"]].grid is not None)
        cells[cell or ""] += 1
    assert len(cells) >= 8, cells
