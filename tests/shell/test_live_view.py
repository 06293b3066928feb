"""What the demo shows: changes in words, and where two models of one account disagree most."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from rich.console import Console

from agents.disagreement import Disagreements
from agents.live_view import Picture
from agents.program import load_model, load_program
from schemas.examples import OUTPUT_EXAMPLES
from schemas.outputs import AccountView, DimensionScore, ModelScore
from schemas.topics import Output
from streams.views import view_records
from tests.core.conftest import Machine, company

if TYPE_CHECKING:
    from collections.abc import Sequence

SLEEPER = """
import subprocess, sys, time
from contextlib import ExitStack
from agents.demo import end_as_by_ctrl_c
end_as_by_ctrl_c()
with ExitStack() as stack:
    child = subprocess.Popen(["sleep", "60"])
    stack.callback(child.kill)
    print(child.pid, flush=True)
    time.sleep(60)
"""
MODELS = [load_model(name) for name in ("retention", "health", "expansion")]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_closed_terminal_leaves_no_process_behind(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as demo:
        assert demo.stdout is not None
        child = int(demo.stdout.readline())
        demo.send_signal(number)
        assert demo.wait(20) != 0
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text():
        assert time.monotonic() < deadline, "it still runs"
        time.sleep(0.05)


def score(model: str, points: float | None, band: str, **dimensions: float | None) -> ModelScore:
    parts = [DimensionScore(name=name, score=found) for name, found in dimensions.items()]
    return ModelScore(
        model=model, version=1, score=points, scale=(0, 100), band=band, coverage=1, grid=None, dimensions=parts,
        components=[], service=None,
    )  # fmt: skip


def view(account: str, *scores: ModelScore) -> AccountView:
    return AccountView(
        account_id=account,
        as_of="2026-03-28T00:00:00.000Z",
        scores=list(scores),
        episodes=[],
        facts={},
        next_change_at=None,
        shadow=[],
    )


def widest(*views: AccountView) -> str | None:
    found = Disagreements(MODELS)
    for each in views:
        found.take(each)
    return found.widest()


LEAVING = score("retention", 41.25, "leaving", recency=60, frequency=12.5, friction=100)
HEALTHY = score("retention", 90.0, "healthy", recency=90, frequency=90, friction=90)
GREAT = score("health", 80.0, "great", relationship=95, usage=None, value=70)
CRITICAL = score("health", 10.0, "critical", relationship=5, usage=20, value=10)


def test_a_disagreement_tells_both_bands_and_the_dimensions_behind_them() -> None:
    assert widest(view("acme", LEAVING, GREAT)) == (
        "acme: Retention leaving (41.2), Health great (80): frequency (12.5) is low, relationship (95) holds"
    )


@pytest.mark.parametrize(
    "scores",
    [
        (LEAVING, CRITICAL),
        (HEALTHY, GREAT),
        (LEAVING,),
        (LEAVING, score("health", None, "insufficient_evidence")),
        (LEAVING, score("expansion", 99.0, "A1", fit=99, engagement=99)),
        (),
    ],
)
def test_what_is_near_alone_or_not_judged_is_no_disagreement(scores: Sequence[ModelScore]) -> None:
    assert widest(view("acme", *scores)) is None


def test_the_widest_is_shown_as_of_the_latest_views() -> None:
    globex = view("globex", HEALTHY, CRITICAL)
    assert str(widest(view("acme", LEAVING, GREAT), globex, view("initech", GREAT, HEALTHY))).startswith(
        "globex: Health"
    )
    assert str(widest(globex, view("acme", LEAVING, GREAT), view("globex", HEALTHY, GREAT))).startswith(
        "acme: "
    )


def test_the_view_shows_changes_and_a_disagreement_in_words() -> None:
    picture = Picture(MODELS)
    change = msgspec.to_builtins(OUTPUT_EXAMPLES[Output.SCORE_CHANGES])
    line = picture.take(Output.SCORE_CHANGES, change)
    assert line == f"2026-03-28T00:00 acme {change['summary']}"
    picture.view("globex", msgspec.json.encode(view("globex", HEALTHY, CRITICAL)))
    console = Console(width=200)
    with console.capture() as shown:
        console.print(picture.render(1.0, 2))
    assert change["summary"] in shown.get()
    assert (
        "globex: Health critical (10), Retention healthy (90): relationship (5) is low, recency (90) holds"
        in shown.get()
    )
    for account in ("acme", "globex"):
        picture.view(account, None)
    assert picture.bands == {}
    assert picture.disagreements.widest() is None


def test_views_of_a_simulated_company_disagree_as_they_say() -> None:
    program = load_program("default")
    machine = Machine(program, company(seed=4, accounts=6, days=60))
    machine.run(random.Random(4), rows_max=50_000)
    accounts, found = machine.partition.accounts, Disagreements(program.models)
    views = [
        msgspec.json.decode(record.value, type=AccountView)
        for record in view_records(accounts, accounts.existing())
    ]
    for each in views:
        found.take(each)
    told = str(found.widest())
    (mine,) = (each for each in views if told.startswith(f"{each.account_id}: "))
    assert (
        sum(f"({each.score:.1f}".rstrip("0").rstrip(".") in told for each in mine.scores if each.score) >= 2
    ), told
