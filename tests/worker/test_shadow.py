"""Models go into shadow and out of it while workers are restarted one after another, under other policies of their own.

topic    health in shadow ............ adoption in shadow, health live
w1       as one ------------- stop, start as the other --------------->
w2       as the other ---------------- stop, start as one ------------>

What a reader sees of every topic equals the replay of events and control.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import pytest

from agents.program import shipped
from agents.simulation.company import DAY_MS
from schemas.topics import Output
from tests.worker.conftest import PARTITIONS, latido
from tests.worker.judge import total
from tests.worker.recording import record, replayed
from tests.worker.test_control import rolled, told_at, written

if TYPE_CHECKING:
    from pathlib import Path

    from tests.worker.conftest import Bench

ACCOUNTS: Final = 12
DAYS: Final = 120
UNHEARD: Final = {"score": None, "band": "insufficient_evidence", "coverage": 0.0}
log = logging.getLogger(__name__)


def policy(folder: Path, version: int, shadow: str) -> str:
    """Write the shipped policy with a model in shadow; return its path."""
    text = shipped("policies")["default"].read_text(encoding="utf-8")
    assert text.count("version: 1\n") == text.count("shadow: []") == 1
    file = folder / f"version-{version}.yaml"
    file.write_text(
        text.replace("version: 1\n", f"version: {version}\n").replace("shadow: []", f"shadow: [{shadow}]")
    )
    return str(file)


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_rolling_restart_while_models_go_live_and_into_shadow_equals_the_replay(
    bench: Bench, tmp_path: Path
) -> None:
    recording = record(accounts=ACCOUNTS, days=DAYS, seed=23)
    start_ms = recording.end_ms - DAYS * DAY_MS
    change_ms = start_ms + 105 * DAY_MS + 12_345_678
    latido(bench, "policy", "activate", policy(tmp_path, 1, "health"), "--at", str(start_ms - DAY_MS))
    said = latido(bench, "policy", "activate", policy(tmp_path, 2, "adoption"), "--at", str(change_ms))
    assert "From then on health live and adoption in shadow; its first score there is told at once." in said
    assert "new models (none)" in said
    expected = replayed(recording, tmp_path / "replay", partitions=PARTITIONS, control=written(bench))
    seen = rolled(bench, recording, expected)

    live, shadow = (told_at(seen, change_ms, topic) for topic in (Output.SCORE_CHANGES, Output.SHADOW_SCORES))
    assert {change["model"] for change in live} == {"health"}
    assert {change["model"] for change in shadow} == {"adoption"}
    for change in live + shadow:
        assert (change["cause"]["kind"], change["old"]) == ("model", UNHEARD)
    in_shadow = [
        each["model"] for (topic, _), told in seen.items() if topic is Output.SHADOW_SCORES for each in told
    ]
    assert set(in_shadow) == {"health", "adoption"}
    log.info(
        "%d events, %d messages equal to the replay, %d of them in shadow, %d of the change",
        len(recording.events), total(expected), len(in_shadow), len(live) + len(shadow),
    )  # fmt: skip
