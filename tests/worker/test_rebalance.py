"""Workers come and go on a real Kafka: who is ready when, and what is read from the changelog.

w1  starts, reads the recording, ready ------- keeps half of the partitions ------- gets the others back ---
w2                                     joins, reads the changelog of its half, stops            starts, reads its snapshots,
                                                                                                is killed and started
The last two starts of w2 are those of a static member of the group: nobody else notices them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.worker.conftest import PARTITIONS
from tests.worker.recording import record

if TYPE_CHECKING:
    from tests.worker.conftest import Bench

READY_BEHIND_S = 60 + 120
STATIC = {"group_instance_id": "w2", "session_timeout_s": 60}


def recovered(bench: Bench, name: str) -> float:
    """Return how many changelog records the worker has loaded since its start, holder keys left out."""
    return bench.metrics(name)["latido_recovered_records_total"]


def accounts(bench: Bench, name: str) -> dict[int, float]:
    bench.read(0.5)  # metrics tell of the last commit
    samples = bench.metrics(name)
    return {number: samples[f'latido_accounts{{partition="{number}"}}'] for number in bench.owned(name)}


@pytest.mark.kafka
@pytest.mark.timeout(240)
def test_a_worker_is_ready_when_it_is_up_to_date_and_keeps_what_it_does_not_lose(bench: Bench) -> None:
    bench.produce(record(accounts=20, days=60, seed=5))
    bench.start("w1", max_events_per_s=6_000)
    before = bench.until_ready("w1")
    assert any("clock of partition" in answer for answer in before), (
        f"it said nothing of its backlog: {before}"
    )
    bench.read(0.5)  # metrics tell of the last commit
    samples = bench.metrics("w1")
    behind = [value for name, value in samples.items() if name.startswith("latido_clock_behind_seconds")]
    assert len(behind) == PARTITIONS
    assert max(behind) <= READY_BEHIND_S
    assert samples['latido_lag{input="logins"}'] == 0
    assert recovered(bench, "w1") == 0, "of a fresh application"
    held = accounts(bench, "w1")

    bench.start("w2")
    bench.until_ready("w2")
    bench.until_ready("w1")
    kept = bench.owned("w1")
    assert len(kept) == len(bench.owned("w2")) == PARTITIONS // 2
    assert recovered(bench, "w1") == 0, "what it kept was read again"
    assert accounts(bench, "w1") == {number: held[number] for number in kept}
    whole = recovered(bench, "w2")
    assert whole > sum(held.values()) - sum(held[number] for number in kept)
    assert bench.stop("w2") == 0
    while len(bench.owned("w1")) < PARTITIONS:
        bench.read(0.1)
    bench.until_ready("w1")
    assert accounts(bench, "w1") == held

    assert recovered(bench, "w1") < whole / 4, "more than the tails of what it had given up was read"

    bench.start("w2", **STATIC)
    bench.until_ready("w2")
    assert bench.metrics("w2")["latido_snapshots_read_total"] == PARTITIONS // 2, bench.log("w2")
    assert recovered(bench, "w2") < whole / 4, "more than the tail was read"
    assert accounts(bench, "w2") == {number: held[number] for number in bench.owned("w2")}
    assert bench.metrics("w1")["latido_snapshots_written_total"] == PARTITIONS

    bench.until_ready("w1")
    owned, rebalances = bench.owned("w2"), bench.log("w1").count("owns partitions")
    bench.kill("w2")
    bench.start("w2", **STATIC)
    bench.until_ready("w2")
    assert bench.owned("w2") == owned
    assert bench.log("w1").count("owns partitions") == rebalances, "the other worker was disturbed"
