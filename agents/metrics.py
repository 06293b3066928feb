"""Prometheus metrics: one catalogue, created at start with its label values, fed by two observers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    start_http_server,
)

from schemas.reasons import EventNote, RejectReason, Rule, Status
from schemas.topics import INPUT_TOPICS

if TYPE_CHECKING:
    from agents.ports import Commit
    from schemas.topics import Input

log = logging.getLogger(__name__)
INPUTS: Final = tuple(spec.name for spec in INPUT_TOPICS.values())
_SECONDS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


class Metric(NamedTuple):
    """One metric: kind is counter, gauge or histogram; ``values`` the allowed values of each label, if they are known."""

    name: str
    kind: str
    unit: str
    labels: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    help: str


METRICS: Final = (
    Metric("latido_events", "counter", "events", (), (), "events processed"),
    Metric(
        "latido_dead_letters",
        "counter",
        "records",
        ("input", "reason"),
        (INPUTS, tuple(RejectReason)),
        "records rejected, by input and reason",
    ),
    Metric(
        "latido_event_notes",
        "counter",
        "events",
        ("note",),
        (tuple(EventNote),),
        "remarkable events that were accepted",
    ),
    Metric("latido_score_changes", "counter", "messages", ("model",), (), "score changes written"),
    Metric(
        "latido_alerts",
        "counter",
        "reasons",
        ("reason", "status"),
        (tuple(rule.label for rule in Rule), tuple(Status)),
        "reasons in alerts written, by status of the alert",
    ),
    Metric(
        "latido_clock_behind_seconds",
        "gauge",
        "seconds",
        ("partition",),
        (),
        "wall time minus the partition's clock",
    ),
    Metric(
        "latido_queued_events", "gauge", "events", ("partition",), (), "events fetched and not yet processed"
    ),
    Metric("latido_halted", "gauge", "1", ("partition",), (), "1 if rejects in a row halted the partition"),
    Metric("latido_accounts", "gauge", "rows", ("partition",), (), "accounts in memory"),
    Metric("latido_commit_seconds", "histogram", "seconds", (), (), "duration of a transaction"),
    Metric("latido_commit_bytes", "counter", "bytes", (), (), "bytes of records committed"),
    Metric("latido_recovered_records", "counter", "records", (), (), "changelog records read at assignments"),
    Metric(
        "latido_recovery_seconds", "gauge", "seconds", (), (), "duration of the last assignment's recovery"
    ),
    Metric("latido_fenced", "counter", "holders", (), (), "foreign holders fenced"),
    Metric(
        "latido_stale_events",
        "counter",
        "events",
        (),
        (),
        "events of an older assignment, dropped and fetched again",
    ),
    Metric(
        "latido_gave_up_waiting",
        "counter",
        "times",
        (),
        (),
        "waits for a lagging input that ended without it",
    ),
    Metric(
        "latido_unread_deleted",
        "counter",
        "records",
        (),
        (),
        "input records deleted by retention before they were read",
    ),
)
_KINDS: Final = {"counter": Counter, "gauge": Gauge}


class Metrics:
    """The process's metrics; implements ``DeliveryObserver`` and ``PartitionObserver``."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._of = {metric.name.removeprefix("latido_"): self._create(metric) for metric in METRICS}

    def _create(self, metric: Metric) -> Any:
        if metric.kind == "histogram":
            return Histogram(
                metric.name, metric.help, metric.labels, registry=self.registry, buckets=_SECONDS
            )
        made: Any = _KINDS[metric.kind](metric.name, metric.help, metric.labels, registry=self.registry)
        if metric.values:
            for first in metric.values[0]:
                for second in metric.values[1] if len(metric.values) > 1 else ((),):
                    made.labels(first, *([second] if second else []))
        return made

    def serve(self, host: str, port: int) -> None:
        """Serve the metrics over HTTP from a thread of their own."""
        start_http_server(port, addr=host, registry=self.registry)

    def _add(self, name: str, amount: float, *labels: str) -> None:
        counter = self._of[name]
        assert isinstance(counter, Counter)
        (counter.labels(*labels) if labels else counter).inc(amount)

    def gauge(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge of the catalogue."""
        gauge = self._of[name]
        assert isinstance(gauge, Gauge)
        (gauge.labels(*labels) if labels else gauge).set(value)

    # -- what a partition did ---------------------------------------------------------------------------------

    def on_step(self, partition: int, events: int, rejects: list[tuple[Input, RejectReason]]) -> None:  # noqa: ARG002
        """Count events and rejects."""
        self._add("events", events)
        for topic, reason in rejects:
            self._add("dead_letters", 1, INPUT_TOPICS[topic].name, reason)

    def on_state(self, partition: int, *, behind_s: float, queued: int, halted: bool, accounts: int) -> None:
        """Show how a partition stands."""
        label = str(partition)
        self.gauge("clock_behind_seconds", behind_s, label)
        self.gauge("queued_events", queued, label)
        self.gauge("halted", float(halted), label)
        self.gauge("accounts", accounts, label)

    def on_notes(self, partition: int, notes: dict[EventNote, int]) -> None:  # noqa: ARG002
        """Count remarkable events."""
        for note, count in notes.items():
            self._add("event_notes", count, note)

    def on_outputs(self, score_changes: dict[str, int], alerts: dict[tuple[str, str], int]) -> None:
        """Count outputs."""
        for model, count in score_changes.items():
            self._add("score_changes", count, model)
        for (reason, status), count in alerts.items():
            self._add("alerts", count, reason, status)

    # -- what the delivery layer did --------------------------------------------------------------------------

    def on_committed(self, commit: Commit) -> None:
        """Time a transaction."""
        histogram = self._of["commit_seconds"]
        assert isinstance(histogram, Histogram)
        histogram.observe(commit.seconds)
        self._add("commit_bytes", commit.record_bytes)

    def on_fenced(self, transactional_id: str) -> None:
        """Count a fence."""
        log.warning("fenced the former holder %s", transactional_id)
        self._add("fenced", 1)

    def on_stale(self, rows: int) -> None:
        """Count dropped events."""
        self._add("stale_events", rows)

    def on_loaded(self, partition: int, records: int, seconds: float) -> None:  # noqa: ARG002
        """Count recovered records."""
        self._add("recovered_records", records)

    def on_acquired(self, partitions: frozenset[int], seconds: float) -> None:
        """Show the duration of a recovery."""
        log.warning("owns partitions %s after %.2f s of recovery", sorted(partitions), seconds)
        self.gauge("recovery_seconds", seconds)

    def on_released(self, partitions: frozenset[int]) -> None:
        """Show nothing more of partitions that were given up."""
        for partition in partitions:
            for name in ("clock_behind_seconds", "queued_events", "halted", "accounts"):
                gauge = self._of[name]
                if (str(partition),) in gauge._metrics:  # noqa: SLF001 - the library has no public test for a child
                    gauge.remove(str(partition))

    def on_gave_up_waiting(self, partition: int) -> None:
        """Count an ended wait, and say it: the order of events is that of arrival from here on."""
        log.warning("partition %d: went on without an input that lags behind", partition)
        self._add("gave_up_waiting", 1)

    def on_unread_deleted(self, topic: str, partition: int, records: int) -> None:
        """Count deleted records, and say it."""
        log.error(
            "%s[%d]: %d records were deleted by retention before they were read", topic, partition, records
        )
        self._add("unread_deleted", records)
