"""What a reader of committed outputs sees through crashes equals a replay of the same events, to the last byte.

w1  ------ kill -9            start ---------------- kill -9      start -------->
w2  ------------------------- SIGSTOP 14 s (session 10 s), exits fenced, start ->
w3              join ---- leave
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.worker.conftest import Bench, Messages

FAIL_STOP = 13


def record(folder: Path, *, accounts: int, days: int, seed: int) -> tuple[Path, datetime]:
    """Write a simulated company whose events end now, each with the time at which Kafka took it."""
    until = datetime.now(UTC).replace(microsecond=0)
    raw, dated = folder / "raw.jsonl", folder / "recording.jsonl"
    from agents.simulation.command import simulate

    simulate.main(
        f"--accounts {accounts} --days {days} --seed {seed} --until {until:%Y-%m-%dT%H:%M:%SZ} --out {raw}".split(),
        standalone_mode=False,
    )
    with raw.open("rb") as lines, dated.open("wb") as out:
        for line in lines:
            event = json.loads(line)
            # The time of sending, as from a producer: retention would delete records stamped when they occurred.
            event["received_at"] = round(until.timestamp() * 1000)
            out.write(json.dumps(event).encode() + b"\n")
    return dated, until


def replayed(recording: Path, folder: Path, *, partitions: int, until: str) -> Messages:
    """Replay in a process of its own, compiled as the worker is."""
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_DISABLE_JIT"}
    command = [
        "replay",
        str(recording),
        "--partitions",
        str(partitions),
        "--until",
        until,
        "--out",
        str(folder),
    ]
    subprocess.run(
        [sys.executable, "-c", "from agents.cli import main; main()", *command],
        env=environment,
        check=True,
        timeout=120,
    )
    seen: Messages = defaultdict(list)
    for name in ("score-changes", "disengagements"):
        for line in (folder / f"{name}.jsonl").read_text().splitlines():
            payload = json.loads(line)
            seen[name, payload["account_id"]].append(payload)
    return seen


def up_to(messages: Messages, until: str) -> Messages:
    """Leave out what took effect after ``until``; texts of equal form compare as times."""
    kept = {
        key: [payload for payload in payloads if payload["effective_at"] <= until]
        for key, payloads in messages.items()
    }
    return {key: payloads for key, payloads in kept.items() if payloads}


def differences(seen: Messages, expected: Messages) -> list[str]:
    """Name the first message that differs of each account: full payloads, in their order."""
    found = []
    for key in sorted({*seen, *expected}):
        mine, theirs = seen.get(key, []), expected.get(key, [])
        if mine != theirs:
            at = next(
                (i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b),
                min(len(mine), len(theirs)),
            )
            found.append(
                f"{key} {len(mine)}/{len(theirs)} at {at}: {mine[at : at + 1]} != {theirs[at : at + 1]}"
            )
    return found


def total(messages: Messages) -> int:
    return sum(map(len, messages.values()))


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_through_kills_a_long_pause_and_rebalances_the_outputs_equal_the_replay(
    bench: Bench, tmp_path: Path
) -> None:
    recording, end = record(tmp_path, accounts=80, days=100, seed=11)
    until = (end - timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    expected = up_to(replayed(recording, tmp_path / "replay", partitions=4, until=until), until)
    wanted = total(expected)
    assert wanted > 500
    bench.produce(recording)

    def in_open_work() -> None:
        assert 0 < bench.count() < wanted, f"{bench.count()} of {wanted}: the blow did not land in the work"

    rate = 320
    bench.start("w1", events_per_s=rate)
    bench.start("w2", events_per_s=rate)
    bench.read(60, until=wanted // 10)
    bench.start("w3", events_per_s=rate)
    in_open_work()
    bench.kill("w1")
    bench.start("w1", events_per_s=rate)
    bench.read(18)
    in_open_work()
    paused = bench.workers["w2"]
    paused.send_signal(signal.SIGSTOP)
    bench.read(14)
    paused.send_signal(signal.SIGCONT)
    assert bench.stop("w3") in (0, FAIL_STOP)
    assert paused.wait(30) == FAIL_STOP
    in_open_work()
    bench.start("w2")
    bench.kill("w1")
    bench.start("w1")
    seen = bench.read(100, until=wanted)
    deadline = time.monotonic() + 100
    while total(up_to(seen, until)) < wanted and time.monotonic() < deadline:
        seen = bench.read(3)
    seen = bench.read(5)
    found = differences(up_to(seen, until), expected)
    assert not found, "\n".join(found)
