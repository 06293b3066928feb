"""A shipped model for some of its accounts only: what it makes of them stays, and of the others it says nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.models.golden import changes, logins, model_tree
from tests.models.test_adoption import users, uses
from tests.scenarios.timeline import Story, Tree, facts, run

# The first account of the bands of `adoption`: 25 breadth + 20 depth + 15 first use + 25 users + 15 active days are 100 on day
# 27. It is told of nobody before the plan is, so its first band is a plain one.
SEEN = [*uses(5, *range(17, 28)), *logins(range(13, 17)), *users(27, 8)]


def adoption(*events: Tree, until: str, **asked: Any) -> Story:
    """Return what `adoption` makes of the account, if it is for customers, and of these for whom is asked for."""
    tree = model_tree("adoption")
    tree["applies_to"] = {"kind": ["customer"]} | asked
    arrived = sorted([facts("0 12:00", seats=10), *SEEN, *events], key=lambda each: int(each["occurred_at"]))
    return run(*arrived, until=until, models=[tree])


@pytest.mark.parametrize("plan", ["team", "business"])
def test_an_account_of_the_plan_has_the_score_of_the_file(plan: str) -> None:
    told = facts("27 20:00", plan=plan, segment="small")
    story = adoption(
        told, until="27 21:00", plan=["team", "business"], segment=["small"], age={"from_days": 28}
    )
    assert changes(story) == ["0 12:00 - not_applicable", "27 20:00 100 embedded"]
    parts = {part["name"]: part["contribution"] for part in story.view["scores"][0]["components"]}
    assert list(parts.values()) == [25, 20, 15, 25, 15]


#   day 27 is the 28th of its age; the plan is another; the segment is not told
@pytest.mark.parametrize(
    ("told", "asked"),
    [
        ({"plan": "team"}, {"plan": ["team"], "age": {"from_days": 29}}),
        ({"plan": "team"}, {"plan": ["team"], "age": {"to_days": 27}}),
        ({"plan": "starter"}, {"plan": ["team"]}),
        ({"plan": "team"}, {"plan": ["team"], "segment": ["small"]}),
        ({"plan": "team", "kind": "partner"}, {"plan": ["team"]}),
    ],
)
def test_any_other_account_has_none(told: Tree, asked: Tree) -> None:
    found = adoption(facts("27 20:00", **told), until="27 21:00", **asked).view["scores"][0]
    assert (found["score"], found["band"], found["coverage"]) == (None, "not_applicable", 0)
    assert {part["contribution"] for part in found["components"]} == {None}
    assert {part["missing"] for part in found["components"]} == {None}
