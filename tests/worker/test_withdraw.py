"""What `latido control` says of the topic beside a worker that follows it, and what taking a record back does.

events               e
control   policy .. pause .. resume            pause
          in force  over     done              to come -- withdrawn: never
          withdrawn: stays in force
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

import pytest

from agents.control_list import listing, state_text
from schemas.topics import CONTROL, INPUT_TOPICS, Input
from streams.murmur import partition_of
from tests.worker.conftest import PARTITIONS, ROOT, latido

if TYPE_CHECKING:
    from tests.worker.conftest import Bench

HOUR_MS: Final = 3_600_000
ONE: Final = str(ROOT / "docs" / "examples" / "silence.yaml")
EXIT_OPERATING_ERROR: Final = 2
pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(240)]


def produce(bench: Bench, at_ms: int, *homes: int) -> None:
    """Let an account of each of these partitions log in."""
    producer = bench.producer()
    names = {partition_of(f"a{n}".encode(), PARTITIONS): f"a{n}" for n in range(64)}
    for home in homes:
        body = {"event_id": f"e{at_ms}", "account_id": names[home], "occurred_at": at_ms}
        topic = bench.topic(INPUT_TOPICS[Input.LOGINS].name)
        producer.produce(topic, json.dumps(body).encode(), names[home].encode(), home)
    assert producer.flush(20) == 0


def listed(bench: Bench) -> dict[str, dict[str, Any]]:
    return {
        line["key"]: line for line in map(json.loads, latido(bench, "control", "list", "--json").splitlines())
    }


def states(bench: Bench) -> list[str]:
    found, now_ms = listing(bench.settings), time.time_ns() // 1_000_000
    return [state_text(found, known, now_ms) for known in found.records]


def until(bench: Bench, wanted: list[str]) -> None:
    deadline = time.monotonic() + 60
    while (found := states(bench)) != wanted:
        assert time.monotonic() < deadline, f"{found}\n{bench.log('w1')}"
        time.sleep(0.5)


def test_what_is_withdrawn_never_counts_and_what_counts_stays_in_force(bench: Bench) -> None:
    now_ms = time.time_ns() // 1_000_000
    latido(bench, "policy", "activate", ONE, "--at", str(now_ms - 4 * HOUR_MS), "--author", "kim")
    latido(bench, "alerts", "pause", "--at", str(now_ms - 3 * HOUR_MS))
    latido(bench, "alerts", "resume", "--at", str(now_ms - 2 * HOUR_MS))
    latido(bench, "alerts", "pause", "--at", str(now_ms + 24 * HOUR_MS))
    assert states(bench) == ["not heard yet"] * 4
    policy, paused, _, coming = listed(bench)
    produce(bench, now_ms - HOUR_MS, 0, 1, 2)
    bench.start("w1")
    # the last partition has no event, and its clock is beyond
    until(bench, ["in force", "over", "done", "to come"])
    produce(bench, now_ms - HOUR_MS, 3)
    row = next(line for line in latido(bench, "control", "list").splitlines() if line.startswith(policy))
    assert row.split()[-3:] == ["kim", "in", "force"]
    assert listed(bench)[coming]["partitions"] == {"to come": 4}

    assert "it will not count." in latido(bench, "control", "withdraw", coming)
    said = latido(bench, "control", "withdraw", policy)
    assert (
        "It counts in 4 of 4 partitions already and stays in force there. A policy in force is only followed"
        in said
    )
    assert "It counts in 4 of 4 partitions already" in latido(bench, "control", "withdraw", paused)
    stays = "withdrawn, but it counts already and stays so: "
    until(bench, [stays + "in force", stays + "over", "done", "withdrawn"])
    assert (
        latido(bench, "control", "withdraw", policy)
        == f"{policy} was withdrawn already; nothing was written.\n"
    )

    assert bench.stop("w1") == 0
    bench.start("w1")  # under LATIDO_POLICY; it goes on under the policy that is in force
    produce(bench, now_ms, 0, 1, 2, 3)
    bench.until_ready("w1")
    deadline = time.monotonic() + 60
    while min(heard.reached_ms for heard in listing(bench.settings).heard.values()) < now_ms:
        assert time.monotonic() < deadline, bench.log("w1")
        time.sleep(0.5)
    assert states(bench) == [stays + "in force", stays + "over", "done", "withdrawn"]
    assert bench.stop("w1") == 0


def test_a_record_that_cannot_be_followed_stops_workers_until_it_is_withdrawn(bench: Bench) -> None:
    producer, key = bench.producer(), "of a newer latido:1"
    producer.produce(bench.topic(CONTROL), b'{"kind": "tomorrow"}', key.encode(), 0)
    assert producer.flush(20) == 0
    bench.start("w1")
    assert bench.wait("w1") == EXIT_OPERATING_ERROR
    assert f"latido control withdraw '{key}'" in bench.log("w1")
    assert states(bench)[0].startswith("cannot be followed, workers stop before it: The control record")
    assert "Nobody could follow it" in latido(bench, "control", "withdraw", key)

    produce(bench, time.time_ns() // 1_000_000, 0)
    bench.start("w1")
    until(bench, ["withdrawn"])
    latido(bench, "alerts", "pause", "--at", "2026-01-01T00:00:00Z")
    deadline = time.monotonic() + 60
    while "in force" not in states(bench)[-1]:
        assert time.monotonic() < deadline, f"{states(bench)}\n{bench.log('w1')}"
        time.sleep(0.5)
    assert bench.stop("w1") == 0
