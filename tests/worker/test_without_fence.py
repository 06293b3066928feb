"""Negative control: the same workers with nobody fenced, and the judge that finds nothing else finds it.

w1  ------------ SIGSTOP with uncommitted work ~~~~~~~~~~~~~~~~~~~~~~~~~~ SIGCONT: commits it, as the other one did
w2     join ---- own half ------ session of w1 expires, takes over, does it all
"""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING

import pytest

from tests.worker.conftest import PARTITIONS
from tests.worker.judge import differences, told_twice, total, up_to
from tests.worker.recording import record, replayed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.worker.conftest import Bench

UNFENCED = ("-m", "tests.worker.unfenced")
UNCOMMITTED = 3_000
log = logging.getLogger(__name__)


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_without_a_fence_a_paused_worker_tells_twice_what_its_successor_told(
    bench: Bench, tmp_path: Path
) -> None:
    recording = record(accounts=80, days=100, seed=12)
    expected = replayed(recording, tmp_path / "replay", partitions=PARTITIONS)
    bench.produce(recording)

    bench.start("w1", UNFENCED, max_events_per_s=1_000, commit_interval_ms=5_000)
    bench.read(60, until=1)
    bench.start("w2", UNFENCED)
    while not bench.owned("w2"):
        bench.read(0.2)
    bench.pause_with_uncommitted("w1", UNCOMMITTED)
    seen = bench.read_all(total(expected), recording.end_ms)
    assert differences(seen, expected) == [], "until here nobody did anything wrong"

    bench.workers["w1"].send_signal(signal.SIGCONT)
    seen = up_to(bench.read(8), recording.end_ms)
    twice, found = told_twice(seen), differences(seen, expected)
    log.info(
        "%d of %d messages told twice, %d accounts differ, for example %s",
        len(twice), total(expected), len(found), found[:1],
    )  # fmt: skip
    assert twice
    assert found
