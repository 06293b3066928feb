"""A recorded company, and what a replay of recorded events tells of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from agents.simulation import Company, Span
from agents.simulation.company import DAY_MS
from agents.simulation.lines import recorded_line
from tests.worker.judge import IDS, Messages, up_to

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agents.simulation import SimulatedEvent

ENDED = timedelta(minutes=10)
"""A recording ends so long ago: by more than the grace, so a worker that is through has judged all of it."""
REPLAY_TIMEOUT_S = 300


class Recording(NamedTuple):
    """Events in the order in which they are produced, all taken by Kafka at ``end_ms``, after the last of them.

    Their own times would not do for Kafka's: retention would delete the old ones.
    """

    events: list[SimulatedEvent]
    end_ms: int


def record(*, accounts: int, days: int, seed: int) -> Recording:
    """Simulate a company that ended a few minutes ago."""
    end_ms = round((datetime.now(UTC) - ENDED).timestamp()) * 1000
    span = Span(seed=seed, accounts=accounts, start_ms=end_ms - days * DAY_MS, days=days)
    return Recording(list(Company(span)), end_ms)


def write(recording: Recording, file: Path, control: Sequence[dict[str, Any]] = ()) -> None:
    """Write a file of recorded events, after lines of control."""
    with file.open("wb") as lines:
        lines.writelines(json.dumps(line).encode() + b"\n" for line in control)
        for event in recording.events:
            line = json.loads(recorded_line(event)) | {"received_at": recording.end_ms}
            lines.write(json.dumps(line).encode() + b"\n")


def replayed(
    recording: Recording, folder: Path, *, partitions: int, control: Sequence[dict[str, Any]] = ()
) -> Messages:
    """Replay up to the recording's end with lines of control, in a process of its own, compiled as the worker is."""
    folder.mkdir()
    file = folder / "recording.jsonl"
    write(recording, file, control)
    options = ["--partitions", str(partitions), "--until", str(recording.end_ms), "--out", str(folder)]
    subprocess.run(
        [sys.executable, "-c", "from agents.cli import main; main()", "replay", str(file), *options],
        env={key: value for key, value in os.environ.items() if key != "NUMBA_DISABLE_JIT"},
        check=True,
        timeout=REPLAY_TIMEOUT_S,
    )
    return up_to(read_replay(folder), recording.end_ms)


def read_replay(folder: Path) -> Messages:
    """Return what a replay wrote into a folder."""
    told: Messages = defaultdict(list)
    for topic in IDS:
        for line in (folder / f"{topic}.jsonl").read_text().splitlines():
            payload = json.loads(line)
            told[topic, payload["account_id"]].append(payload)
    return told
