"""What a reader of committed outputs sees through crashes equals a replay of the same events, to the last byte.

w1  ------ kill -9, start -------------------------- kill -9, start ------------------->
w2  ---------------------- SIGSTOP 14 s (session 10 s), exits fenced, start -- kill -9, start ->
w3              join --------------------- leave

Each kill lands in an open transaction, and the pause between processing and committing, as broker and metrics tell.
About 60,000 events; ``LATIDO_TEST_ACCOUNTS`` sets another size (750 events an account), as `make chaos` does.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from typing import TYPE_CHECKING, Final

import pytest

from tests.worker.conftest import PARTITIONS
from tests.worker.judge import differences, total, up_to
from tests.worker.recording import record, replayed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.worker.conftest import Bench

ACCOUNTS: Final = int(os.environ.get("LATIDO_TEST_ACCOUNTS", "80"))
SLOWLY: Final = {"max_events_per_s": 2.5 * ACCOUNTS, "commit_interval_ms": 1_000}
"""Each worker until the last blow has fallen: so that there is work left, and much of it in each transaction."""
FAIL_STOP: Final = 13
PAUSE_S: Final = 14.0
STARTED_WITHIN_S: Final = 90.0
log = logging.getLogger(__name__)


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_through_kills_a_long_pause_and_rebalances_the_outputs_equal_the_replay(
    bench: Bench, tmp_path: Path
) -> None:
    recording = record(accounts=ACCOUNTS, days=100, seed=11)
    expected = replayed(recording, tmp_path / "replay", partitions=PARTITIONS)
    wanted = total(expected)
    assert wanted > 6 * ACCOUNTS
    bench.produce(recording)
    began_s = time.monotonic()

    bench.start("w1", **SLOWLY)
    bench.start("w2", **SLOWLY)
    bench.read(60, until=wanted // 10)
    kills = [bench.kill_in_a_transaction("w1")]
    bench.start("w1", **SLOWLY)
    bench.start("w3", **SLOWLY)
    deadline = time.monotonic() + STARTED_WITHIN_S
    # Else nobody takes over from w2 while it is paused.
    while not all("owns partitions" in bench.log(name) for name in ("w1", "w3")):
        bench.read(0.5)
        assert time.monotonic() < deadline, bench.log("w3")
    bench.pause_with_uncommitted("w2", events=10)
    bench.read(PAUSE_S)
    bench.workers["w2"].send_signal(signal.SIGCONT)
    assert bench.wait("w2") == FAIL_STOP
    bench.start("w2", **SLOWLY)
    assert bench.stop("w3") in (0, FAIL_STOP)
    kills.append(bench.kill_in_a_transaction("w1"))
    bench.start("w1")
    kills.append(bench.kill_in_a_transaction("w2"))
    assert total(up_to(bench.read(1), recording.end_ms)) < wanted, "the last kill left nothing to do"
    bench.start("w2")
    seen = bench.read_all(wanted, recording.end_ms)
    took_s = time.monotonic() - began_s
    found = differences(seen, expected)
    assert not found, "\n".join(found)

    counts = {
        topic: sum(len(payloads) for (of, _), payloads in seen.items() if of == topic) for topic, _ in seen
    }
    takeovers = ", ".join(f"{bench.takeover_s(kill):.1f} s" for kill in kills)
    log.info("%d events; equal to the replay: %s; %.0f s", len(recording.events), counts, took_s)
    log.info("%d kills, taken over after %s", len(kills), takeovers)
