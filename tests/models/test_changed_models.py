"""A model that changes while accounts have scores of it: what is another model begins anew, what is not goes on."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from schemas.topics import Input, Output
from streams.views import view_records
from tests.auditor.core import program_of
from tests.auditor.scenarios import Tree, component, default_policy, model
from tests.core.conftest import DAY_MS, START_MS, Machine
from tests.models.golden import model_tree


class Acme:
    """One account of which facts are told day by day, under one model file after another."""

    def __init__(self, tree: Tree) -> None:
        self.machine = Machine(_program(tree), {topic: [] for topic in Input})
        self.day = 0

    def told(self, **facts: Any) -> Acme:
        self.day += 1
        event = {
            "event_id": f"e{self.day}",
            "account_id": "acme",
            "occurred_at": START_MS + self.day * DAY_MS,
        }
        self.machine.events[Input.ACCOUNT_FACTS].append(json.dumps(event | {"facts": facts}).encode())
        self.machine.run(random.Random(0))
        return self

    def change_to(self, tree: Tree) -> Acme:
        self.machine.program = _program(tree)
        self.machine.take_over(random.Random(0))
        return self

    @property
    def score(self) -> Tree:
        accounts = self.machine.partition.accounts
        found: Tree = json.loads(view_records(accounts, [0])[0].value)["scores"][0]
        return found

    @property
    def changes(self) -> list[Tree]:
        return [
            json.loads(record.value)
            for record in self.machine.outputs
            if record.topic is Output.SCORE_CHANGES
        ]


def _program(tree: Tree) -> Any:
    return program_of(default_policy(models=[tree["model"]], rules={}), {tree["model"]: tree})


def grid_of(size: int) -> Tree:
    """Return a model of two facts with a grid of so many letters and numbers, cut evenly."""
    parts = [component("savings_pct"), component("goals_pct")]
    tree = model(*parts, min_coverage=0, min_change=5)
    del tree["bands"]
    levels = [{"from": 100 * n // size, "closed": "left"} for n in range(size)]
    groups = [{"name": part["name"], "weight": 1, "components": [part]} for part in parts]
    letters = [level | {"name": "EDCBA"[-size:][n]} for n, level in enumerate(levels)]
    digits = [level | {"name": str(size - n)} for n, level in enumerate(levels)]
    return tree | {"dimensions": groups, "grid": {"savings_pct": letters, "goals_pct": digits}}


#   55 is C of five, and B of four; 30 is 4 of five, and 3 of four. As another model it says all of it, its ids are new
def test_a_grid_of_another_size_begins_anew() -> None:
    acme = Acme(grid_of(5)).told(savings_pct=55, goals_pct=30)
    assert (acme.score["grid"], acme.score["score"]) == ("C4", 42.5)
    acme.change_to(grid_of(4)).told(owner="kim")
    assert (acme.score["grid"], acme.score["score"]) == ("B3", 42.5)
    first, second = acme.changes
    assert (second["old"], second["new"]["band"]) == (
        {"score": None, "band": "insufficient_evidence", "coverage": 0},
        "B3",
    )
    assert first["change_id"] != second["change_id"]
    acme.change_to(grid_of(5)).told(owner="lou")
    assert acme.score["grid"] == "C4"
    assert len({change["change_id"] for change in acme.changes}) == 3


#   49.9 after 55: within two points of the cut, and it stays B through the takeover: rows of the same grid go on
def test_a_grid_of_the_same_size_goes_on() -> None:
    acme = Acme(grid_of(4)).told(savings_pct=55, goals_pct=30).told(savings_pct=49.9)
    assert acme.score["grid"] == "B3"
    acme.change_to(grid_of(4)).told(owner="kim")
    assert (acme.score["grid"], len(acme.changes)) == ("B3", 1)


def test_a_model_of_another_scale_begins_anew() -> None:
    old = model_tree("value")
    new = json.loads(json.dumps(old)) | {
        "scale": [0, 100],
        "min_change": 25,
        "bands": model(component("nps"))["bands"],
    }
    for part in new["dimensions"][0]["components"]:
        part["table"] = {"no": 0, "yes": 100}
    acme = Acme(old).told(fits_profile="yes", needs_fit="yes", low_effort="no")
    acme.change_to(new).told(owner="kim")
    assert [(change["old"]["score"], change["new"]["score"], change["scale"]) for change in acme.changes] == [
        (None, 2, [0, 4]), (None, 50, [0, 100]),
    ]  # fmt: skip


#   four bands, the account in the highest; then two: what was beyond the last is the last, and goes on from there
def test_a_model_with_fewer_bands_keeps_its_accounts_in_the_highest_left() -> None:
    few = model(component("nps"))
    many = few | {
        "bands": [
            {"name": name, "from": start, "closed": "left"}
            for name, start in zip("abcd", (0, 25, 50, 75), strict=True)
        ]
    }
    acme = Acme(many).told(nps=90)
    assert acme.score["band"] == "d"
    acme.change_to(few)
    assert acme.score["band"] == "high"
    acme.told(owner="kim")
    acme.told(nps=49)  # high is left below 48 only
    assert acme.score["band"] == "high"
    acme.told(nps=47)
    assert acme.score["band"] == "low"


#   the plan was told under a file that did not ask for it; from the next evaluation on it counts
def test_a_model_that_comes_to_ask_for_a_plan_knows_what_was_told_before() -> None:
    everybody = model(component("nps"))
    some = everybody | {"applies_to": {"kind": ["customer"], "plan": ["team"]}}
    others = everybody | {"applies_to": {"kind": ["customer"], "plan": ["starter", "business"]}}
    acme = Acme(everybody).told(nps=90, plan="team")
    acme.change_to(some).told(owner="kim")
    assert (acme.score["band"], len(acme.changes)) == ("high", 1)
    acme.change_to(others).told(owner="lou")
    assert (acme.score["score"], acme.score["band"]) == (None, "not_applicable")
    acme.told(plan="business")
    assert acme.score["band"] == "high"
    acme.change_to(everybody).told(plan=None)
    assert [change["new"]["band"] for change in acme.changes] == ["high", "not_applicable", "high"]


@pytest.mark.parametrize("service", [None, "answer within a day"])
def test_a_service_level_is_that_of_the_file_in_force(service: str | None) -> None:
    tree = model(component("nps"))
    acme = Acme(tree).told(nps=90)
    assert acme.score["service"] is None
    tree["bands"][1] = tree["bands"][1] | ({"service": service} if service else {})
    assert acme.change_to(tree).score["service"] == service
