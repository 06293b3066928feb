"""Dead letters of a real worker, from alarm to mended, as docs/operations.md tells it; then what became of the events.

page-visits   v1, v2 of acme in the wrong partition, v3 without a key: rejected | retried: v2 is a visit to /cancel -> an alert
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from schemas.topics import INPUT_TOPICS, Input, Output
from streams.murmur import partition_of
from tests.shell.test_tutorial import agree, run, steps
from tests.worker.conftest import Bench

if TYPE_CHECKING:
    from tests.servers.kafka import KafkaServer

PAGE, _, _ = (Path(__file__).parents[2] / "docs" / "operations.md").read_text().partition("## What the app")
DAY_MS = 86_400_000
HOME = partition_of(b"acme", 2)
VISITS = INPUT_TOPICS[Input.PAGE_VISITS].name


def visit(number: int, at_ms: int, path: str) -> bytes:
    return json.dumps(
        {"event_id": f"v{number}", "account_id": "acme", "occurred_at": at_ms, "path": path}
    ).encode()


def until_rejected(bench: Bench, reason: str, count: int) -> None:
    deadline, wanted = (
        time.monotonic() + 60,
        f'latido_dead_letters_total{{input="{VISITS}",reason="{reason}"}}',
    )
    while "owns partitions" not in bench.log("w1") or bench.metrics("w1").get(wanted) != count:
        assert time.monotonic() < deadline, bench.log("w1")
        time.sleep(0.2)


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_letters_go_from_alarm_to_mended_as_the_page_says(
    kafka: KafkaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert HOME == 0, "the page says so"
    bench = Bench(kafka.broker, tmp_path, partitions=2)
    try:
        now_ms, producer, topic = time.time_ns() // 1_000_000, bench.producer(), bench.topic(VISITS)
        long_ago_ms = now_ms - 2 * DAY_MS - 60_000
        producer.produce(topic, visit(1, long_ago_ms, "/app"), b"acme", 1, timestamp=long_ago_ms)
        producer.produce(topic, visit(2, now_ms, "/cancel"), b"acme", 1)
        assert producer.flush(20) == 0
        bench.start("w1")
        until_rejected(bench, "wrong_partition", 2)
        producer.produce(topic, visit(3, now_ms, "/app"), None, 1)
        assert producer.flush(20) == 0
        until_rejected(bench, "key_missing", 1)

        for name, value in bench.environment().items():
            if name.startswith("LATIDO_"):
                monkeypatch.setenv(name, value)
        monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
        found = steps(PAGE)
        assert len(found) == 5
        for step in found:
            said = run(step.name, tmp_path)
            told = [line for line in step.lines if line.strip()]
            assert agree(said, told), f"$ {step.name}\n" + "\n".join(said)

        deadline = time.monotonic() + 30
        while not (alerts := bench.read(0.5)[Output.DISENGAGEMENTS, "acme"]) and time.monotonic() < deadline:
            pass
        (alert,) = alerts
        assert [reason["rule"] for reason in alert["reasons"]] == ["risk_page"]
        metrics = bench.metrics("w1")
        assert metrics[f'latido_events_total{{input="{VISITS}"}}'] == 3
        assert metrics['latido_event_notes_total{note="future_clamped"}'] == 0
        assert bench.stop("w1") == 0
    finally:
        bench.close()
