"""Prometheus metrics: one catalogue, created at start with its label values, fed by two observers."""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

from schemas.control import CONTROL_KINDS
from schemas.reasons import EventNote, Merged, RejectReason, Rule, SnapshotRefusal, Status
from schemas.topics import INPUT_TOPICS, Input

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agents.observer import PartitionState, Waits
    from agents.ports import Commit, Recovery
    from streams.brake import Tally
    from streams.notices import Notice

log = logging.getLogger(__name__)
PREFIX: Final = "latido_"
INPUTS: Final = tuple(spec.name for spec in INPUT_TOPICS.values())
SECONDS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
"""Upper bounds of a histogram's buckets."""


class Label(NamedTuple):
    """A label; ``values`` is empty where they are known only to a running worker, as ``what`` says."""

    name: str
    values: tuple[str, ...]
    what: str = ""


class Metric(NamedTuple):
    """One metric, named without prefix and suffix; ``kind`` is counter, gauge or histogram."""

    name: str
    kind: str
    unit: str
    labels: tuple[Label, ...]
    help: str

    @property
    def exposed(self) -> str:
        """The name under which Prometheus sees it."""
        return PREFIX + self.name + ("_total" if self.kind == "counter" else "")


INPUT: Final = Label("input", INPUTS)
PARTITION: Final = Label("partition", (), "numbers of the partitions that this worker owns")
MODEL: Final = Label("model", (), "names of the policy's models")
REJECT: Final = Label("reason", tuple(RejectReason))
NOTE: Final = Label("note", tuple(EventNote))
RULE: Final = Label("reason", tuple(rule.label for rule in Rule))
REFUSAL: Final = Label("reason", tuple(SnapshotRefusal))
STATUS: Final = Label("status", tuple(Status))
KIND: Final = Label("kind", CONTROL_KINDS)
OUTCOME: Final = Label("outcome", tuple(Merged))

METRICS: Final = (
    Metric("clock_behind_seconds", "gauge", "seconds", (PARTITION,), "wall time minus the partition's clock"),
    Metric("queued_events", "gauge", "events", (PARTITION,), "events fetched and not yet processed"),
    Metric("halted", "gauge", "1", (PARTITION,), "1 if rejects in a row halted the partition"),
    Metric("accounts", "gauge", "rows", (PARTITION,), "accounts that are there"),
    Metric(
        "accounts_share", "gauge", "1", (PARTITION,), "the same as a share of the policy's `accounts_max`"
    ),
    Metric(
        "lag",
        "gauge",
        "records",
        (INPUT,),
        "records of the owned partitions not yet read, at the latest fetch",
    ),
    Metric("events", "counter", "events", (INPUT,), "events processed"),
    Metric("dead_letters", "counter", "records", (INPUT, REJECT), "records rejected"),
    Metric("event_notes", "counter", "events", (NOTE,), "remarkable events that were accepted"),
    Metric(
        "score_changes", "counter", "messages", (MODEL,), "score changes written, of models in shadow too"
    ),
    Metric(
        "alerts", "counter", "reasons", (RULE, STATUS), "reasons in alerts written, by status of the alert"
    ),
    Metric(
        "stalled_partitions",
        "gauge",
        "partitions",
        (INPUT,),
        "owned partitions in which silences wait because the input is stalled or was until lately",
    ),
    Metric("silences_waiting", "gauge", "reasons", (PARTITION,), "reasons that wait for a stalled input now"),
    Metric("silences_held", "counter", "reasons", (), "reasons that began to wait for a stalled input"),
    Metric("silences_released", "counter", "reasons", (), "of those the ones that joined when it was back"),
    Metric("silences_dropped", "counter", "reasons", (), "of those the ones that were over before"),
    Metric("alerts_waiting", "gauge", "episodes", (PARTITION,), "episodes that the brake holds now"),
    Metric("alerts_held", "counter", "episodes", (), "episodes that the brake held"),
    Metric("alerts_released", "counter", "episodes", (), "of those the ones that were sent later"),
    Metric(
        "alerts_dropped", "counter", "episodes", (), "of those the ones that were over before they were sent"
    ),
    Metric("control_records", "counter", "records", (KIND,), "control records taken, for each partition"),
    Metric("control_late", "counter", "records", (KIND,), "of those the ones after their effective_at"),
    Metric("merges", "counter", "records", (OUTCOME,), "what became of merges and joins of accounts"),
    Metric("commits", "counter", "transactions", (), "transactions committed"),
    Metric("commit_seconds", "histogram", "seconds", (), "duration of a transaction"),
    Metric("commit_bytes", "counter", "bytes", (), "bytes of records committed"),
    Metric("committed_events", "counter", "events", (), "events of which all that came is committed"),
    Metric("recovery_seconds", "gauge", "seconds", (), "duration of the last assignment's recovery"),
    Metric("recovered_records", "counter", "records", (), "changelog records read at assignments"),
    Metric(
        "recovery_read_records",
        "gauge",
        "records",
        (PARTITION,),
        "changelog offsets read at the last assignment",
    ),
    Metric(
        "recovery_unread_records",
        "gauge",
        "records",
        (PARTITION,),
        "changelog offsets still to be read before the partition is owned",
    ),
    Metric("snapshots_read", "counter", "files", (), "snapshots read at assignments"),
    Metric(
        "snapshots_refused", "counter", "files", (REFUSAL,), "snapshots not used at assignments, by reason"
    ),
    Metric("snapshots_written", "counter", "files", (), "snapshots written of partitions given up"),
    Metric("snapshots_failed", "counter", "files", (), "snapshots that could not be written"),
    Metric("fences", "counter", "holders", (), "foreign holders fenced"),
    Metric("stale_batches", "counter", "batches", (), "batches of an older assignment, dropped"),
    Metric("stale_events", "counter", "events", (), "events in them, which are fetched again"),
    Metric("gave_up_waiting", "counter", "waits", (), "waits for a lagging input that ended without it"),
    Metric(
        "unread_deleted", "counter", "records", (), "input records deleted by retention before they were read"
    ),
)
NEARLY_FULL: Final = 0.9
"""Of the accounts that a partition may have: the worker warns once."""
OF_PARTITION: Final = tuple(metric.name for metric in METRICS if metric.labels == (PARTITION,))
KINDS: Final = {"counter": Counter, "gauge": Gauge}


class Metrics:
    """The process's metrics; implements ``DeliveryObserver`` and ``PartitionObserver``."""

    def __init__(self, models: Sequence[str] = ()) -> None:
        """Create every metric, with a child for each value of its labels that is known; ``models`` by name."""
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._of = {metric.name: self._create(metric) for metric in METRICS}
        self._stalled: dict[int, frozenset[Input]] = {}
        self._nearly_full: set[int] = set()
        for model in models:
            self._add("score_changes", 0, model)

    def _create(self, metric: Metric) -> Any:
        name, labels = PREFIX + metric.name, [label.name for label in metric.labels]
        if metric.kind == "histogram":
            return Histogram(name, metric.help, labels, registry=self.registry, buckets=SECONDS)
        made: Any = KINDS[metric.kind](name, metric.help, labels, registry=self.registry)
        if labels:
            for values in itertools.product(*(label.values for label in metric.labels)):
                made.labels(*values)
        return made

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

    def on_step(
        self,
        partition: int,  # noqa: ARG002
        events: Mapping[Input, int],
        rejects: list[tuple[Input, RejectReason]],
    ) -> None:
        """Count events and rejects."""
        for topic, count in events.items():
            self._add("events", count, INPUT_TOPICS[topic].name)
        for topic, reason in rejects:
            self._add("dead_letters", 1, INPUT_TOPICS[topic].name, reason)

    def on_state(self, partition: int, state: PartitionState) -> None:
        """Show how a partition stands."""
        label = str(partition)
        self.gauge("clock_behind_seconds", state.behind_s, label)
        self.gauge("queued_events", state.queued, label)
        self.gauge("halted", float(state.halted), label)
        self.gauge("accounts", state.accounts, label)
        self.gauge("accounts_share", state.accounts / state.accounts_max, label)
        self.gauge("alerts_waiting", state.held, label)
        self.gauge("silences_waiting", state.waiting, label)
        if self._stalled.get(partition) != state.stalled:
            self._stalled[partition] = state.stalled
            self._show_stalled()
        self._warn_of_fullness(partition, state.accounts, state.accounts_max)

    def _warn_of_fullness(self, partition: int, accounts: int, accounts_max: int) -> None:
        if accounts >= NEARLY_FULL * accounts_max and partition not in self._nearly_full:
            log.warning(
                "partition %d has %d of at most %d accounts: events of further ones become dead letters. Raise accounts_max of "
                "the policy, let quiet accounts retire, or stop who makes up ids",
                partition, accounts, accounts_max,
            )  # fmt: skip
            self._nearly_full.add(partition)
        elif accounts < NEARLY_FULL * accounts_max:
            self._nearly_full.discard(partition)

    def _show_stalled(self) -> None:
        for topic, spec in INPUT_TOPICS.items():
            self.gauge(
                "stalled_partitions", sum(topic in stalled for stalled in self._stalled.values()), spec.name
            )

    def on_merged(self, partition: int, outcome: Merged) -> None:  # noqa: ARG002
        """Count what became of a merge or a join."""
        self._add("merges", 1, outcome)

    def on_control(self, partition: int, kind: str, *, late: bool) -> None:  # noqa: ARG002
        """Count a control record."""
        self._add("control_records", 1, kind)
        self._add("control_late", late, kind)

    def on_notes(self, partition: int, notes: dict[EventNote, int]) -> None:  # noqa: ARG002
        """Count remarkable events."""
        for note, count in notes.items():
            self._add("event_notes", count, note)

    def on_scores(self, score_changes: dict[str, int]) -> None:
        """Count score changes."""
        for model, count in score_changes.items():
            self._add("score_changes", count, model)

    def on_alerts(self, alerts: dict[tuple[str, str], int]) -> None:
        """Count alerts."""
        for (reason, status), count in alerts.items():
            self._add("alerts", count, reason, status)

    def on_brake(self, partition: int, tally: Tally) -> None:  # noqa: ARG002
        """Count what the brake did."""
        self._add("alerts_held", tally.held)
        self._add("alerts_released", tally.released)
        self._add("alerts_dropped", tally.dropped)

    def on_waits(self, partition: int, waits: Waits) -> None:  # noqa: ARG002
        """Count reasons that wait because a source is stalled."""
        self._add("silences_held", waits.began)
        self._add("silences_released", waits.joined)
        self._add("silences_dropped", waits.in_vain)

    def on_notice(self, partition: int, notice: Notice) -> None:
        """Say what operators should know."""
        begins = notice.status is Status.FIRING
        log.warning(
            "partition %d: %s of %s %s: %d (limit %d)",
            partition, notice.kind.replace("_", " "), notice.subject, "begins" if begins else "ends",
            notice.seen, notice.limit,
        )  # fmt: skip

    # -- what the delivery layer did --------------------------------------------------------------------------

    def on_committed(self, commit: Commit) -> None:
        """Time a transaction."""
        histogram = self._of["commit_seconds"]
        assert isinstance(histogram, Histogram)
        histogram.observe(commit.seconds)
        self._add("commits", 1)
        self._add("commit_bytes", commit.record_bytes)
        self._add("committed_events", commit.events)

    def on_fenced(self, transactional_id: str) -> None:
        """Count a fence."""
        log.warning("fenced the former holder %s", transactional_id)
        self._add("fences", 1)

    def on_lag(self, lag: Mapping[Input, int]) -> None:
        """Show what lies unread."""
        for topic, records in lag.items():
            self.gauge("lag", records, INPUT_TOPICS[topic].name)

    def on_stale(self, rows: int) -> None:
        """Count a dropped batch and its events."""
        self._add("stale_batches", 1)
        self._add("stale_events", rows)

    def on_recovering(self, recovery: Recovery) -> None:
        """Show how far it is, and say it while there is more to read."""
        for partition, records in recovery.read.items():
            self.gauge("recovery_read_records", records, str(partition))
            self.gauge("recovery_unread_records", recovery.unread[partition], str(partition))
        read, unread = sum(recovery.read.values()), sum(recovery.unread.values())
        if unread:
            log.warning(
                "recovering: %d of %d changelog records read, %.0f/s, about %.0f s left",
                read, read + unread, read / recovery.seconds, unread * recovery.seconds / max(1, read),
            )  # fmt: skip

    def on_loaded(self, partition: int, records: int, seconds: float) -> None:  # noqa: ARG002
        """Count recovered records."""
        self._add("recovered_records", records)

    def on_snapshot_read(self, partition: int, offset: int) -> None:
        """Count it, and say it."""
        log.warning("partition %d: snapshot read, the changelog is read from offset %d on", partition, offset)
        self._add("snapshots_read", 1)

    def on_snapshot_refused(self, partition: int, reason: SnapshotRefusal, detail: str) -> None:
        """Count it by reason, and say it."""
        log.warning(
            "partition %d: snapshot not used, %s; the whole changelog is read (%s)", partition, detail, reason
        )
        self._add("snapshots_refused", 1, reason)

    def on_snapshot_written(self, partition: int, size: int) -> None:
        """Count it."""
        log.info("partition %d: snapshot of %d bytes written", partition, size)
        self._add("snapshots_written", 1)

    def on_snapshot_failed(self, partition: int, error: OSError) -> None:
        """Count it, and say it."""
        log.error(
            "partition %d: no snapshot, which can not be written (%s); its next owner reads the whole changelog",
            partition, error,
        )  # fmt: skip
        self._add("snapshots_failed", 1)

    def on_acquired(self, partitions: frozenset[int], seconds: float) -> None:
        """Show the duration of a recovery."""
        log.warning("owns partitions %s after %.2f s of recovery", sorted(partitions), seconds)
        self.gauge("recovery_seconds", seconds)

    def on_released(self, partitions: frozenset[int]) -> None:
        """Show nothing more of partitions that were given up; what lies unread is then no longer ours."""
        self.on_lag(dict.fromkeys(Input, 0))
        for partition, name in itertools.product(partitions, OF_PARTITION):
            self._of[name].remove(str(partition))
        for partition in partitions:
            self._stalled.pop(partition, None)
        self._show_stalled()

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


def page() -> str:
    """Return the catalogue as a page of the documentation."""
    lines = [
        "# Metrics",
        "",
        "A worker serves them for Prometheus at `LATIDO_METRICS_HOST`:`LATIDO_METRICS_PORT`, path `/metrics`. Beside them",
        "`/live` answers 200 while the main loop turns, `/ready` once every partition that the worker owns is recovered and",
        "its clock is at most a minute and the policy's grace behind the wall clock; else 503 with the reason.",
        "Children of known label values are there from the start, at 0. This page is made by",
        "`python -m agents.generate`.",
        "",
        "| metric | kind | unit | labels | what |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| `{metric.exposed}` | {metric.kind} | {metric.unit} | "
        f"{', '.join(f'`{label.name}`' for label in metric.labels)} | {metric.help} |"
        for metric in METRICS
    ]
    lines += ["", "## Labels", "", "| label | of | values |", "|---|---|---|"]
    for label in dict.fromkeys(label for metric in METRICS for label in metric.labels):
        of = ", ".join(f"`{metric.exposed}`" for metric in METRICS if label in metric.labels)
        values = ", ".join(f"`{value}`" for value in label.values) or label.what
        lines.append(f"| `{label.name}` | {of} | {values} |")
    return "\n".join(lines) + "\n"
