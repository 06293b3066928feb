"""A halted input goes on by a command: what came behind the halt is read from the broker again, and nothing twice.

page-visits   visit  100 rejects | 2 rejects  visit to /cancel          | = halt
              dead-letters halted, resume ^
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final

import pytest

from schemas.topics import INPUT_TOPICS, Input, Output
from streams.merge import HALT_AFTER
from streams.murmur import partition_of
from tests.worker.conftest import PARTITIONS, latido

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.worker.conftest import Bench

ACCOUNT: Final = "acme"
HOME: Final = partition_of(ACCOUNT.encode(), PARTITIONS)
VISITS: Final = INPUT_TOPICS[Input.PAGE_VISITS].name
OFFSET: Final = HALT_AFTER
"""Of the reject that halts: the first record is good."""


def produce(bench: Bench, *values: bytes) -> None:
    producer = bench.producer()
    for value in values:
        producer.produce(bench.topic(VISITS), value, ACCOUNT.encode(), HOME)
    assert producer.flush(20) == 0


def visit(number: int, path: str) -> bytes:
    now_ms = time.time_ns() // 1_000_000
    return json.dumps(
        {"event_id": f"e{number}", "account_id": ACCOUNT, "occurred_at": now_ms, "path": path}
    ).encode()


def until(bench: Bench, condition: Callable[[dict[str, float]], bool]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if "owns partitions" in bench.log("w1") and condition(bench.metrics("w1")):
            return
        time.sleep(0.2)
    raise AssertionError(f"{bench.metrics('w1')}\n{bench.log('w1')}")


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_halted_input_goes_on_by_a_command_in_the_worker_that_runs(bench: Bench) -> None:
    halted, rejected = (
        f'latido_halted{{partition="{HOME}"}}',
        f'latido_dead_letters_total{{input="{VISITS}",reason="not_json"}}',
    )
    produce(bench, visit(0, "/app"), *[b"{"] * (HALT_AFTER + 2), visit(1, "/cancel"))
    bench.start("w1")
    until(bench, lambda metrics: metrics.get(halted) == 1 and metrics[rejected] == HALT_AFTER)
    told = latido(bench, "dead-letters", "halted")
    assert told == f"halted: {VISITS} of partition {HOME}, by the reject at offset {OFFSET}\n"

    said = latido(bench, "dead-letters", "resume", VISITS, str(HOME))
    assert f"goes on at offset {OFFSET + 1}" in said
    until(bench, lambda metrics: metrics.get(halted) == 0 and metrics[rejected] == HALT_AFTER + 2)
    deadline = time.monotonic() + 30
    while not (alerts := bench.read(0.5)[Output.DISENGAGEMENTS, ACCOUNT]) and time.monotonic() < deadline:
        pass
    (alert,) = alerts
    assert [reason["rule"] for reason in alert["reasons"]] == ["risk_page"]
    assert latido(bench, "dead-letters", "halted") == "no input is halted\n"

    produce(bench, *[b"{"] * (HALT_AFTER + 50), visit(2, "/cancel"))
    until(bench, lambda metrics: metrics.get(halted) == 1)
    second = OFFSET + 3 + HALT_AFTER
    said = latido(bench, "dead-letters", "skip", VISITS, str(HOME), "--to-offset", str(second + 51))
    assert "50 records are left out" in said
    until(bench, lambda metrics: metrics[f'latido_events_total{{input="{VISITS}"}}'] == 3)
    until(bench, lambda metrics: metrics[rejected] == 2 * HALT_AFTER + 2)
    assert bench.stop("w1") == 0
