"""The same recording gives the same files, byte for byte: plain and compiled, in this process and in another."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from agents.replay import OUTPUT_FILES, replay_files
from agents.simulation.command import simulate

if TYPE_CHECKING:
    from pathlib import Path

    from streams.plan import Program


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
