"""Accounts are merged while workers run, and are killed as they do it: what a reader sees equals the replay.

merges    E' .............. J
w1        ended, not committed: kill -9
w2        ................. joined, not committed: kill -9
w3, w4       take over      take over, and go on

The replay has the events and the merges alone, and makes the joins itself.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import pytest

from agents.latest import Span, read_spans
from agents.program import shipped
from agents.simulation.lines import recorded_line
from schemas.topics import CONTROL, INPUT_TOPICS, Input, Output
from streams.murmur import partition_of
from tests.worker.conftest import PARTITIONS, latido
from tests.worker.judge import Messages, differences, total, up_to
from tests.worker.recording import REPLAY_TIMEOUT_S, read_replay, record

if TYPE_CHECKING:
    from pathlib import Path

    from tests.worker.conftest import Bench
    from tests.worker.recording import Recording

ACCOUNTS: Final = 16
DAYS: Final = 40
GRACE_S: Final = 5
DELAY_S: Final = GRACE_S + 60
"""From a merge to its join."""
WAIT_S: Final = 90
SLOWLY: Final = {"commit_interval_ms": 1_500}
log = logging.getLogger(__name__)


def policy(folder: Path) -> str:
    """Write the shipped policy with a grace of seconds, and its models told of every move; return its path."""
    folder.mkdir()
    text = shipped("policies")["default"].read_text(encoding="utf-8")
    for before, now in (
        ("grace_s: 120", f"grace_s: {GRACE_S}"),
        ("max_future_skew_s: 300", "max_future_skew_s: 0"),
    ):
        assert text.count(before) == 1
        text = text.replace(before, now)
    (folder / "policy.yaml").write_text(text)
    for name, model in shipped("models").items():
        lines = model.read_text(encoding="utf-8").splitlines()
        moved = ["min_change: 0.1" if line.startswith("min_change:") else line for line in lines]
        (folder / f"{name}.yaml").write_text("\n".join(moved) + "\n")
    return str(folder / "policy.yaml")


def pairs() -> list[tuple[str, str]]:
    """Return accounts to merge: of two partitions, of one, and into a name that is not there."""
    homes: dict[int, list[str]] = {}
    for number in range(ACCOUNTS):
        name = f"acct-{number:05}"
        homes.setdefault(partition_of(name.encode(), PARTITIONS), []).append(name)
    one, two = sorted(homes.values(), key=len)[-2:]
    new = next(name for n in range(99) if partition_of((name := f"renamed-{n}").encode(), PARTITIONS) == 0)
    return [(one[0], two[0]), (two[1], two[2]), (one[1], new)]


def neighbour(account: str) -> str:
    """Return an account of the same partition that was not there before."""
    home = partition_of(account.encode(), PARTITIONS)
    return next(name for n in range(99) if partition_of((name := f"beside-{n}").encode(), PARTITIONS) == home)


class Said:
    """Events beside the recording, produced one at a time, each when it happens."""

    def __init__(self, bench: Bench) -> None:
        self.lines: list[dict[str, Any]] = []
        self._bench, self._producer = bench, bench.producer()

    def login(self, account: str, at_ms: int | None = None) -> None:
        self._tell(Input.LOGINS, "login", account, at_ms)

    def failed_payment(self, account: str) -> None:
        self._tell(Input.PAYMENTS, "payment", account, payment_id=f"payment {account}", status="failed")

    def _tell(self, source: Input, kind: str, account: str, at_ms: int | None = None, **content: str) -> None:
        now_ms = time.time_ns() // 1_000_000
        told = {"event_id": f"said {len(self.lines)}", "account_id": account, "occurred_at": at_ms or now_ms}
        told |= content
        topic = self._bench.topic(INPUT_TOPICS[source].name)
        self._producer.produce(topic, json.dumps(told).encode(), account.encode(), timestamp=now_ms)
        assert self._producer.flush(30) == 0
        self.lines.append(told | {"type": kind, "received_at": now_ms})
        time.sleep(1.5)


def control(bench: Bench) -> list[tuple[str, dict[str, Any] | None]]:
    """Return key and content of the control records that a committed reader finds."""
    seen = read_spans(bench.settings.broker, "look", [Span(bench.topic(CONTROL), 0, 1_000)], "read_committed")
    return [((each.key or b"").decode(), json.loads(each.value) if each.value else None) for each in seen]


def until_merged(bench: Bench, names: tuple[str, ...], outcomes: set[str], deadline_s: float) -> str:
    """Return the first of the workers that says of a merge or a join that it had one of these outcomes."""
    while True:
        for name in names:
            try:
                metrics = bench.metrics(name)
            except OSError:  # it is starting
                continue
            if any(metrics[f'latido_merges_total{{outcome="{outcome}"}}'] for outcome in outcomes):
                return name
        assert time.time() < deadline_s, f"no worker had {outcomes}"
        time.sleep(0.02)


def replayed(
    recording: Recording, said: Said, merges: list[dict[str, Any]], folder: Path, model: str, end_ms: int
) -> Messages:
    """Replay the recording, what was said beside it and the merges up to an instant."""
    folder.mkdir()
    with (folder / "all.jsonl").open("w") as lines:
        for event in recording.events:
            lines.write(
                json.dumps(json.loads(recorded_line(event)) | {"received_at": recording.end_ms}) + "\n"
            )
        for each in [*said.lines, *({"type": "control", **merge} for merge in merges)]:
            lines.write(json.dumps(each) + "\n")
    options = [
        "--partitions",
        str(PARTITIONS),
        "--until",
        str(end_ms),
        "--out",
        str(folder),
        "--policy",
        model,
    ]
    subprocess.run(
        [sys.executable, "-c", "from agents.cli import main; main()", "replay", str(folder / "all.jsonl"), *options],
        check=True, timeout=REPLAY_TIMEOUT_S,
    )  # fmt: skip
    return up_to(read_replay(folder), end_ms)


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(720)
def test_merges_through_kills_equal_the_replay_that_makes_the_joins_itself(
    bench: Bench, tmp_path: Path
) -> None:
    own, recording, said, merging = (
        policy(tmp_path / "policy"),
        record(accounts=ACCOUNTS, days=DAYS, seed=5),
        Said(bench),
        pairs(),
    )
    bench.produce(recording)
    for name in ("w1", "w2"):
        bench.start(name, policy=own, **SLOWLY)
        bench.until_ready(name)
    for old, new in merging:
        said.login(old)
        if not new.startswith("renamed"):
            said.login(new)
    time.sleep(4)  # the commands read what was committed
    began = time.monotonic()
    latido(bench, "control", "list")
    at_s = time.time() + max(15, 15 * (time.monotonic() - began))  # as slow as the machine is now
    for old, new in merging:
        told = latido(bench, "accounts", "merge", old, new, "--yes", "--at", str(int(at_s * 1000)))
        assert f"{old} ends at" in told
        assert (f"There is no {new}." in told) == new.startswith("renamed")
    assert time.time() < at_s - 2, "the commands took too long: the merges came late"

    first = until_merged(bench, ("w1", "w2"), {"ended"}, at_s + GRACE_S + WAIT_S)
    bench.kill(first)
    assert not [key for key, _ in control(bench) if key.startswith("join:")], (
        "it was committed before the kill"
    )
    bench.start("w3", policy=own, **SLOWLY)
    second = until_merged(bench, tuple(bench.workers), {"joined", "renamed"}, at_s + DELAY_S + WAIT_S)
    bench.kill(second)
    bench.start("w4", policy=own, **SLOWLY)
    bench.until_ready("w4")
    while sum(value is None for _, value in control(bench)) < len(merging):
        assert time.time() < at_s + DELAY_S + 2 * WAIT_S, control(bench)
        time.sleep(0.5)
    for old, new in merging:
        said.login(new)
        said.login(neighbour(old))  # so that in the order too what follows comes after the merge
        said.login(old, int(at_s * 1000) - 500)  # late: left out
    said.login(merging[0][0])  # begins anew
    said.failed_payment(merging[2][1])  # lowers a score, as one log-in more need not
    end_ms = time.time_ns() // 1_000_000
    time.sleep(GRACE_S + 3)

    records = control(bench)
    joins = Counter(key for key, value in records if key.startswith("join:") and value is not None)
    assert set(joins.values()) == {1}, joins
    assert len(joins) == len(merging)
    ended = [value for key, value in records if key.startswith("join:") and value is not None]
    assert {(each["from"], each["into"]) for each in ended} == set(merging)
    merges = [value for key, value in records if key.startswith("merge:") and value is not None]
    expected = replayed(recording, said, merges, tmp_path / "replay", own, end_ms)
    seen = bench.read_all(total(expected), end_ms)
    found = differences(seen, expected)
    assert not found, "\n".join(found)
    causes = Counter(
        each["cause"]["kind"]
        for (topic, _), told in seen.items()
        if topic == Output.SCORE_CHANGES
        for each in told
    )
    assert causes["merge"] > 0, causes
    assert any(topic == Output.SCORE_CHANGES and name == merging[2][1] for topic, name in seen), (
        "nothing of the new name"
    )
    sizes = [len(json.dumps(each)) for each in ended]
    log.info(
        "%d messages equal to the replay, %s by merges; joins of %s bytes",
        total(seen),
        causes["merge"],
        sizes,
    )
