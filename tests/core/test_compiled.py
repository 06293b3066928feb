"""The same recording gives the same files, byte for byte: plain and compiled, in this process and in another.

And what is checked of bounds when the tests run compiled is really checked.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from agents.replay import OUTPUT_FILES, replay_files
from agents.simulation.command import simulate
from streams.accounts import Accounts
from streams.events import EVENT_ROW, no_events
from streams.kernel import rearm
from streams.merge import Merge

if TYPE_CHECKING:
    from pathlib import Path

    from streams.plan import Program


@pytest.mark.timeout(300)  # the other process waits for the compiler
def test_a_replay_compiled_in_another_process_writes_the_same_bytes(program: Program, tmp_path: Path) -> None:
    recording = tmp_path / "company.jsonl.gz"
    arguments = (
        f"--accounts 12 --days 90 --seed 4 --volume 0.2 --until 2026-11-01T00:00:00Z --out {recording}"
    )
    simulate.main(arguments.split(), standalone_mode=False)
    replay_files([recording], program, partitions=3, until_ms=None, out=tmp_path / "here")
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_DISABLE_JIT"}
    command = ["replay", str(recording), "--partitions", "3", "--out", str(tmp_path / "there")]
    subprocess.run(
        [sys.executable, "-c", "from agents.cli import main; main()", *command], env=environment, check=True
    )
    for name in OUTPUT_FILES.values():
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()
    assert (tmp_path / "here" / "score-changes.jsonl").read_bytes().count(b"\n") > 50
    assert (tmp_path / "here" / "disengagements.jsonl").read_bytes()


@pytest.mark.skipif(
    os.environ.get("LATIDO_TEST_COMPILED") == "1" and os.environ.get("NUMBA_BOUNDSCHECK") != "1",
    reason="without NUMBA_BOUNDSCHECK=1 compiled code does not check bounds",
)
@pytest.mark.parametrize("where", ["in an entry", "in a function that entries share"])
def test_an_index_out_of_bounds_is_an_error(program: Program, where: str) -> None:
    accounts = Accounts(program)
    rows = len(accounts.cells.due)
    accounts.cells.bytes[:] = accounts.cells.fresh  # nobody's rows are as memory was
    event = np.zeros((1, no_events().shape[1]), np.int64)
    event[0, EVENT_ROW] = rows
    calls = {
        "in an entry": lambda: rearm(accounts.cells, accounts.plan, rows + 1),
        "in a function that entries share": lambda: accounts.advance(
            event, [], Merge(0).clock(), lambda _: None
        ),
    }
    with pytest.raises(IndexError):
        calls[where]()
