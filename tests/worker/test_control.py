"""A rolling restart with two versions of a policy: the control topic decides, and nobody is alerted of the change.

topic   first policy .. pause .. resume .. second policy
w1      as one ---------- stop, start as the other ------------------->
w2      as the other ------------- stop, start as one ---------------->

Commands write the records before the workers start. What a reader sees equals the replay of events and control.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from agents.latest import Span, read_spans
from agents.program import shipped
from agents.simulation.clocktext import instant_text
from agents.simulation.company import DAY_MS
from schemas.topics import CONTROL, Output
from tests.worker.conftest import PARTITIONS, ROOT, latido
from tests.worker.judge import Messages, differences, total, up_to
from tests.worker.recording import record, replayed

if TYPE_CHECKING:
    from tests.worker.conftest import Bench
    from tests.worker.recording import Recording

ACCOUNTS: Final = 20
DAYS: Final = 70
SLOWLY: Final = {"max_events_per_s": 600, "commit_interval_ms": 500}
OTHER: Final = str(ROOT / "docs" / "examples" / "silence.yaml")
log = logging.getLogger(__name__)


def second_policy(folder: Path) -> str:
    """Write a version of the shipped policy with a stricter model and a rule less; return its path."""
    folder.mkdir()
    policy = shipped("policies")["default"].read_text(encoding="utf-8")
    model = shipped("models")["retention"].read_text(encoding="utf-8")
    assert policy.count("version: 1\n") == model.count("version: 1\n") == 1
    assert "  decline: " in policy
    kept = [line for line in policy.splitlines() if not line.startswith("  decline: ")]
    (folder / "second.yaml").write_text("\n".join(kept).replace("version: 1", "version: 2") + "\n")
    stricter = model.replace("version: 1\n", "version: 2\n").replace("from: 70", "from: 97")
    assert stricter.count("from: 97")
    (folder / "retention.yaml").write_text(stricter)
    return str(folder / "second.yaml")


def written(bench: Bench) -> list[dict[str, Any]]:
    """Return the records of the control topic as lines of a recording."""
    topic = bench.topic(CONTROL)
    seen = read_spans(bench.settings.broker, "look", [Span(topic, 0, 100)], "read_committed")
    return [{"type": "control", **json.loads(each.value or b"")} for each in seen]


def told_at(messages: Messages, at_ms: int, topic: Output) -> list[dict[str, Any]]:
    at = instant_text(at_ms)
    return [
        each
        for (of, _), told in messages.items()
        if of == topic
        for each in told
        if each["effective_at"] == at
    ]


def rolled(bench: Bench, recording: Recording, expected: Messages) -> Messages:
    """Let workers, restarted one after the other under each other's policies, tell what is expected; return it."""
    wanted = total(expected)
    bench.produce(recording)
    bench.start("w1", **SLOWLY)
    bench.start("w2", policy=OTHER, **SLOWLY)
    bench.read(60, until=wanted // 5)
    assert bench.stop("w1") == 0
    bench.start("w1", policy=OTHER, **SLOWLY)
    bench.read(60, until=wanted // 2)
    assert bench.stop("w2") == 0
    assert total(up_to(bench.read(1), recording.end_ms)) < wanted, "the restarts came after all was told"
    bench.start("w2")
    seen = bench.read_all(wanted, recording.end_ms)
    found = differences(seen, expected)
    assert not found, "\n".join(found)
    return seen


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_rolling_restart_with_two_policies_equals_the_replay_and_alerts_nobody_of_the_change(
    bench: Bench, tmp_path: Path
) -> None:
    recording = record(accounts=ACCOUNTS, days=DAYS, seed=21)
    start_ms = recording.end_ms - DAYS * DAY_MS
    change_ms = start_ms + 50 * DAY_MS + 12_345_678
    paused_ms, resumed_ms = start_ms + 30 * DAY_MS, start_ms + 40 * DAY_MS + 1
    assert "takes hold" in latido(bench, "policy", "activate", "default", "--at", str(start_ms - DAY_MS))
    latido(bench, "alerts", "pause", "--at", str(paused_ms))
    latido(bench, "alerts", "resume", "--at", str(resumed_ms))
    assert "new models (retention)" in latido(
        bench, "policy", "activate", second_policy(tmp_path / "second"), "--at", str(change_ms)
    )
    expected = replayed(recording, tmp_path / "replay", partitions=PARTITIONS, control=written(bench))
    seen = rolled(bench, recording, expected)

    changes = told_at(seen, change_ms, Output.SCORE_CHANGES)
    assert {change["cause"]["kind"] for change in changes} == {"model"}
    assert len(changes) > ACCOUNTS // 2
    assert any(change["old"]["band"] != change["new"]["band"] for change in changes)
    alerts = [
        each
        for topic in (Output.DISENGAGEMENTS, Output.OPPORTUNITIES)
        for each in told_at(seen, change_ms, topic)
    ]
    assert {alert["resolved_by"] for alert in alerts} <= {"policy"}
    assert told_at(seen, resumed_ms, Output.DISENGAGEMENTS), "nothing was held back"
    paused = [
        each
        for (topic, _), told in seen.items() if topic != Output.SCORE_CHANGES
        for each in told if instant_text(paused_ms) <= each["effective_at"] < instant_text(resumed_ms)
    ]  # fmt: skip
    assert {each["status"] for each in paused} <= {"resolved"}
    log.info(
        "%d events, %d messages equal to the replay, %d of the change",
        len(recording.events),
        total(expected),
        len(changes),
    )
