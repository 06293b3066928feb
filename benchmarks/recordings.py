"""Replay of a long recording: processor time per million events."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from benchmarks import feeds
from benchmarks.processes import environment, latido

if TYPE_CHECKING:
    from pathlib import Path

END_MS: Final = 1_790_000_000_000
DAYS: Final = 90
RUN_TIMEOUT_S: Final = 1_800


def write(folder: Path, *, events: int, accounts: int, seed: int) -> Path:
    """Write a recording that spans ``DAYS`` days."""
    path = folder / "recording.jsonl"
    with path.open("wb") as out:
        feeds.record(out, feeds.events(events, accounts, END_MS - DAYS * feeds.DAY_MS, END_MS, seed))
    return path


def replay_cost(recording: Path, folder: Path, *, events: int) -> float:
    """Return the processor seconds per million events of ``latido replay``, start-up included."""
    before = os.times()
    subprocess.run(
        [sys.executable, *latido("replay", str(recording), "--out", str(folder))],
        check=True, env=environment(), stdout=subprocess.DEVNULL, timeout=RUN_TIMEOUT_S,
    )  # fmt: skip
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return spent / events * 1e6


def line_cost(recording: Path, *, events: int) -> float:
    """Return the processor seconds per million events of reading the lines and decoding their JSON into dictionaries."""
    code = (
        "import sys, msgspec; decode = msgspec.json.decode\nfor line in open(sys.argv[1], 'rb'): decode(line)"
    )
    before = os.times()
    subprocess.run([sys.executable, "-c", code, str(recording)], check=True, timeout=RUN_TIMEOUT_S)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return spent / events * 1e6
