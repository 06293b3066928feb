"""Seeds in a process of its own, because the core runs compiled there: uncompiled, a seed takes a hundred times longer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from tests.faults import __main__ as main
from tests.faults.planted import BUGS
from tests.faults.run import Verdict
from tests.faults.undisturbed import HAPPENS
from tests.planting import Bug, planted

ROOT: Final = Path(__file__).parents[2]
SEEDS: Final = 100
TIMEOUT_S: Final = 400
OFTEN: Final = (
    "kills",
    "pauses",
    "outages",
    "leaves",
    "rebalances",
    "fenced",
    "stale rows",
    "exit 13",
    "late control records",
)


def faults(*arguments: str, hash_seed: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_DISABLE_JIT"}
    return subprocess.run(
        [sys.executable, "-m", "tests.faults", *arguments],
        cwd=ROOT,
        env=environment | {"PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT_S)
def test_through_simulated_faults_nothing_is_lost_and_nothing_told_twice() -> None:
    ran = faults("--first", "0", "--seeds", str(SEEDS))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{SEEDS} seeds in" in ran.stdout
    counts = dict(named.rsplit(" ", 1) for named in ran.stdout.splitlines()[-1].split(", "))
    assert all(int(counts[name].replace(",", "")) > SEEDS / 10 for name in OFTEN), counts
    assert counts.keys() >= {*HAPPENS}


def test_a_run_in_which_something_never_happened_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calm = Verdict([], [], "", Counter(dict.fromkeys(HAPPENS[1:], 1)))
    monkeypatch.setattr("tests.faults.run.verdict", lambda _seed: calm)
    assert main.run(0, main.SEEDS_OF_EVERYTHING - 1) == 0
    assert main.run(0, main.SEEDS_OF_EVERYTHING) == 1
    assert f"never seen in 100 seeds: {HAPPENS[0]};" in capsys.readouterr().out


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_can_be_planted(bug: Bug) -> None:
    """That its place is still in the source of the worker, before a long run tells."""
    with planted(bug):
        pass


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT_S)
def test_each_planted_bug_is_found() -> None:
    """A test of the simulation and its judge: see ``planted.py``."""
    ran = faults("--planted")
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT_S)
def test_a_seed_has_the_same_steps_in_every_process() -> None:
    """Also where sets and dictionaries of text have another order."""
    one, other = faults("--seed", "3"), faults("--seed", "3", hash_seed=1)
    assert one.stdout.count("\n") > 100
    first = next(
        (
            pair
            for pair in zip(one.stdout.splitlines(), other.stdout.splitlines(), strict=True)
            if len({*pair}) > 1
        ),
        None,
    )
    assert first is None
