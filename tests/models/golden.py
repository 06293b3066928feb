"""Accounts worked out by hand: what a shipped model makes of them, against figures that stand in the tests as numbers.

The arithmetic stands in comments: points times weight, their sum, what it is divided by. Days are those of
`tests/scenarios/timeline.py`: day 0 is Monday, 2026-01-05, instants are told as "day hour".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agents.program import load_model
from tests.scenarios.timeline import Story, Tree, facts, login, millis, run, visit

if TYPE_CHECKING:
    from collections.abc import Iterable

FEATURE_PATHS: Final = ("/app/reports", "/app/automation", "/app/integrations")
"""A page of each key feature of the shipped policy."""


def model_tree(name: str) -> Tree:
    """Return a shipped model as a tree that a test may change."""
    return load_model(name).model_dump(by_alias=True, exclude_none=True)


def played(name: str, *events: Tree, until: str, **world: Any) -> Story:
    """Return what a shipped model makes of events, which arrive as they happen unless they say `received`."""
    arrived = sorted(
        events, key=lambda each: millis(each["received"]) if "received" in each else each["occurred_at"]
    )
    return run(*arrived, until=until, models=[model_tree(name)], **world)


def score_of(name: str, *events: Tree, until: str) -> Tree:
    """Return the score of a shipped model in the account's view, by the clock of `until`."""
    found: Tree = played(name, *events, until=until).view["scores"][0]
    return found


def require(found: Tree, score: float | None, band: str, coverage: float, **parts: float | None) -> None:
    """Compare a score in the account's view: its band, its coverage, the contributions of all its components."""
    assert (found["score"], found["band"], found["coverage"]) == (score, band, coverage)
    assert {part["name"]: part["contribution"] for part in found["components"]} == parts
    if score is not None:
        told = [round(1000 * part["contribution"]) for part in found["components"] if part["contribution"]]
        assert sum(told) == round(1000 * score)


def dimensions(found: Tree) -> dict[str, float | None]:
    """Return the points of the dimensions."""
    return {part["name"]: part["score"] for part in found["dimensions"]}


def changes(story: Story) -> list[str]:
    """Return the score changes that were sent: when, the score, the band."""
    return [line.rpartition(" by ")[0] for line in story.scores]


def unjudged_until(when: str, kind: str = "customer") -> tuple[Tree, Tree]:
    """Return facts by which a model is in force for an account only from an instant on: its first band is a plain one."""
    return facts("0 00:00", kind="internal"), facts(when, kind=kind)


def logins(days: Iterable[int], times: int = 1, user: str | None = None) -> list[Tree]:
    """Return log-ins on days, so many a day."""
    return [login(f"{day} 09:{minute:02}", user_id=user) for day in days for minute in range(times)]


def visits(when: str, path: str, times: int = 1) -> list[Tree]:
    """Return visits to a page, a second from one to the next."""
    return [visit(f"{when}:{second:02}", path) for second in range(times)]
