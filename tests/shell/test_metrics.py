from __future__ import annotations

import re
from typing import TYPE_CHECKING

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agents.metrics import METRICS, Metrics
from agents.observer import PartitionState, Waits
from agents.ports import Commit, Recovery
from schemas.reasons import EventNote, Merged, RejectReason, Rule, SnapshotRefusal, Status, Trouble
from schemas.topics import Input
from streams.brake import Tally
from streams.notices import Notice

if TYPE_CHECKING:
    import pytest

STATE = PartitionState(
    behind_s=1.5,
    queued=7,
    halted=True,
    accounts=9,
    accounts_max=36,
    held=2,
    waiting=4,
    stalled=frozenset({Input.LOGINS}),
)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"latido_{name}", labels)


def test_names_units_and_labels_follow_prometheus_conventions() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"[a-z][a-z_]*[a-z]", metric.name)
        assert not metric.name.endswith("_total"), "the suffix is added when it is exposed"
        assert metric.unit == "seconds" or not metric.name.endswith("_seconds")
        assert all(label.values or label.what for label in metric.labels)
        assert metric.help


def test_a_metric_is_there_before_anything_happened_at_zero() -> None:
    metrics = Metrics(["retention"])
    assert value(metrics, "events_total", input="payments") == 0
    assert value(metrics, "lag", input="payments") == 0
    assert value(metrics, "dead_letters_total", input="logins", reason=RejectReason.NOT_JSON) == 0
    assert value(metrics, "event_notes_total", note=EventNote.DUPLICATE) == 0
    assert value(metrics, "alerts_total", reason=Rule.SILENCE.label, status=Status.FIRING) == 0
    assert value(metrics, "score_changes_total", model="retention") == 0


def test_what_is_exposed_is_the_catalogue() -> None:
    text = generate_latest(Metrics().registry).decode()
    assert set(re.findall(r"^# HELP (\S+)", text, flags=re.MULTILINE)) == {
        metric.exposed for metric in METRICS
    }


def test_every_metric_moves(caplog: pytest.LogCaptureFixture) -> None:
    """One of everything that can happen; a metric that nothing feeds would stay at zero."""
    metrics = Metrics()
    metrics.on_step(3, {Input.LOGINS: 5}, [(Input.LOGINS, RejectReason.NOT_JSON)])
    metrics.on_notes(3, {EventNote.DUPLICATE: 2})
    metrics.on_scores({"retention": 1})
    metrics.on_alerts({("silence", "firing"): 1})
    metrics.on_brake(3, Tally(held=5, released=2, dropped=1))
    metrics.on_notice(3, Notice(Trouble.BRAKE, "disengagements", Status.FIRING, 7, 7, 20, 1))
    metrics.on_state(3, STATE)
    metrics.on_waits(3, Waits(3, 2, 1))
    metrics.on_committed(Commit(1, 5, 1, 1, 100, 0.004))
    metrics.on_fenced("latido-1")
    metrics.on_lag({Input.LOGINS: 8})
    metrics.on_stale(4)
    metrics.on_recovering(Recovery({3: 10}, {3: 4}, 0.5))
    metrics.on_control(3, "pause", late=True)
    metrics.on_merged(3, Merged.ENDED)
    metrics.on_snapshot_read(3, 17)
    metrics.on_snapshot_refused(3, SnapshotRefusal.DAMAGED, "its checksum is wrong")
    metrics.on_snapshot_written(3, 4_096)
    metrics.on_snapshot_failed(3, OSError(28, "No space left on device"))
    metrics.on_loaded(3, 10, 0.1)
    metrics.on_acquired(frozenset({3}), 0.2)
    metrics.on_gave_up_waiting(3)
    metrics.on_unread_deleted("logins", 3, 6)
    text = generate_latest(metrics.registry).decode()
    for family in text_string_to_metric_families(text):
        assert any(sample.value for sample in family.samples), f"nothing feeds {family.name}"
    assert "partition 3: brake of disengagements begins: 1 (limit 20)" in caplog.text


def test_a_partition_that_was_given_up_is_shown_no_more() -> None:
    metrics = Metrics()
    metrics.on_state(3, STATE)
    metrics.on_lag({Input.LOGINS: 8})
    metrics.on_released(frozenset({3, 4}))
    assert value(metrics, "accounts", partition="3") is None
    assert value(metrics, "stalled_partitions", input="logins") == 0
    assert value(metrics, "lag", input="logins") == 0


def test_a_partition_that_is_nearly_full_is_told_once_until_it_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    metrics = Metrics()
    for accounts in (89, 90, 95, 80, 91):
        metrics.on_state(3, STATE._replace(accounts=accounts, accounts_max=100))
    said = [record.getMessage() for record in caplog.records]
    assert [line.partition(":")[0] for line in said] == [
        "partition 3 has 90 of at most 100 accounts",
        "partition 3 has 91 of at most 100 accounts",
    ]
    assert value(metrics, "accounts_share", partition="3") == 0.91


def test_a_recovery_says_how_far_it_is_while_there_is_more_to_read(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    metrics.on_recovering(Recovery({3: 1_000, 4: 2_000}, {3: 500, 4: 500}, 2.0))
    (said,) = [record.getMessage() for record in caplog.records]
    assert said == "recovering: 3000 of 4000 changelog records read, 1500/s, about 1 s left"
    assert value(metrics, "recovery_unread_records", partition="3") == 500
    metrics.on_recovering(Recovery({3: 1_500, 4: 2_500}, {3: 0, 4: 0}, 2.7))
    assert len(caplog.records) == 1
    assert value(metrics, "recovery_read_records", partition="4") == 2_500
    assert value(metrics, "recovery_unread_records", partition="3") == 0
