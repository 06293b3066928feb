from __future__ import annotations

import re
import socket
import urllib.request

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agents.metrics import METRICS, Metrics
from agents.ports import Commit
from schemas.errors import ConfigError
from schemas.reasons import EventNote, RejectReason, Rule, Status
from schemas.topics import Input


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


def test_every_metric_moves() -> None:
    """One of everything that can happen; a metric that nothing feeds would stay at zero."""
    metrics = Metrics()
    metrics.on_step(3, {Input.LOGINS: 5}, [(Input.LOGINS, RejectReason.NOT_JSON)])
    metrics.on_notes(3, {EventNote.DUPLICATE: 2})
    metrics.on_outputs({"retention": 1}, {("silence", "firing"): 1})
    metrics.on_state(3, behind_s=1.5, queued=7, halted=True, accounts=9)
    metrics.on_committed(Commit(1, 5, 1, 1, 100, 0.004))
    metrics.on_fenced("latido-1")
    metrics.on_lag({Input.LOGINS: 8})
    metrics.on_stale(4)
    metrics.on_loaded(3, 10, 0.1)
    metrics.on_acquired(frozenset({3}), 0.2)
    metrics.on_gave_up_waiting(3)
    metrics.on_unread_deleted("logins", 3, 6)
    text = generate_latest(metrics.registry).decode()
    for family in text_string_to_metric_families(text):
        assert any(sample.value for sample in family.samples), f"nothing feeds {family.name}"


def test_a_partition_that_was_given_up_is_shown_no_more() -> None:
    metrics = Metrics()
    metrics.on_state(3, behind_s=1.5, queued=7, halted=False, accounts=9)
    metrics.on_lag({Input.LOGINS: 8})
    metrics.on_released(frozenset({3, 4}))
    assert value(metrics, "accounts", partition="3") is None
    assert value(metrics, "lag", input="logins") == 0


def test_metrics_are_served_where_asked_and_a_taken_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{port} .*LATIDO_METRICS_PORT"):
            Metrics().serve("127.0.0.1", port)
    Metrics().serve("127.0.0.1", port)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        assert b'latido_events_total{input="logins"} 0.0' in answer.read()
