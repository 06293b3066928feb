"""The worker on a real Kafka, changelog and exactly-once on: processor time per million events, and latency."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from confluent_kafka import Consumer, Producer

from agents.settings import Settings
from agents.topics import create_topics
from benchmarks import feeds
from benchmarks.processes import cpu_s, environment, latido, memory_mib, run_python, start
from schemas.topics import INPUT_TOPICS, Input, Output
from tests.servers.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PARTITIONS: Final = 8
STOP_TIMEOUT_S: Final = 60
RUN_TIMEOUT_S: Final = 600
ONE_BAND: Final = Path(__file__).with_name("one_band") / "policy.yaml"
RETENTION: Final = Path(__file__).parents[1] / "docs/examples/silence.yaml"
JOBS: Final = {"one-band": str(ONE_BAND), "retention": str(RETENTION), "three models": "default"}
LATENCY_RATE: Final = 1_000
LATENCY_ALERT_SHARE: Final = 20
"""One of so many events is a visit to the cancel page by an account that had none: an alert."""


class Cost(NamedTuple):
    """What a run cost: processor seconds per million events, events a second, peak memory in MiB; and outputs per event."""

    cpu_s_per_million: float
    events_per_s: float
    peak_mib: float = 0.0
    outputs: float = 0.0


class Waits(NamedTuple):
    """Milliseconds from an event to its alert at a reader, and how many alerts there were."""

    p50: float
    p99: float
    worst: float
    alerts: int


class Worker:
    """One worker process on topics of its own."""

    def __init__(self, broker: str, folder: Path, policy: str) -> None:
        self.settings = Settings(broker=broker, topic_prefix=f"b{uuid.uuid4().hex[:8]}-", policy=policy)
        create_topics(self.settings, partitions=PARTITIONS, replication=1)
        self.datadir = folder / self.settings.topic_prefix
        self.datadir.mkdir()
        self.log = self.datadir / "worker.log"
        (self._port,) = free_ports(1)
        self._process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def start(self, **variables: str) -> None:
        """Start the worker; variables are further settings."""
        settings = self.settings
        self._process = start(
            latido("worker"), self.log,
            LATIDO_BROKER=settings.broker, LATIDO_TOPIC_PREFIX=settings.topic_prefix, LATIDO_POLICY=settings.policy,
            LATIDO_DATADIR=str(self.datadir), LATIDO_METRICS_PORT=str(self._port), **variables,
        )  # fmt: skip

    def stop(self) -> None:
        """Stop the worker and wait until it has committed everything."""
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(STOP_TIMEOUT_S)
        if code:
            raise RuntimeError(f"the worker ended with {code}:\n{self.log.read_text()[-3000:]}")

    def kill(self) -> None:
        """End the worker where it is."""
        self._process.kill()
        self._process.wait(STOP_TIMEOUT_S)

    def events(self) -> int:
        """Return how many events the worker says it has processed."""
        return self._counted("latido_events_total")

    def outputs(self) -> int:
        """Return how many score changes, and reasons of alerts, the worker says it has told."""
        return self._counted("latido_score_changes_total", "latido_alerts_total")

    def _counted(self, *names: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return 0
        return sum(round(float(line.rpartition(" ")[2])) for line in lines if line.startswith(names))

    def wait_for_line(self, text: str) -> None:
        """Wait until the worker has said ``text``."""
        self._wait(lambda: text in self.log.read_text(), text)

    def wait_for(self, events: int) -> None:
        """Wait until so many events have been processed."""
        self._wait(lambda: self.events() >= events, f"{events} events")

    def wait_for_commit_of(self, events: int) -> None:
        """Wait until what came of so many events is committed.

        Each look at its metrics costs the worker some milliseconds of what is measured: there are few of them, more towards
        the end.
        """
        began, first = time.monotonic(), self.events()

        def processed() -> bool:
            now, elapsed_s = self.events(), time.monotonic() - began
            rate = max(now - first, 1) / elapsed_s
            time.sleep(min(0.4 * max(0, events - now) / rate, elapsed_s, 5))
            return now >= events

        self._wait(processed, f"{events} events", pause_s=0.05)
        committed = "latido_committed_events_total"
        self._wait(lambda: self._counted(committed) >= events, f"commits of {events} events", pause_s=0.02)

    def _wait(self, reached: Callable[[], bool], what: str, pause_s: float = 0.2) -> None:
        deadline = time.monotonic() + RUN_TIMEOUT_S
        while not reached():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"waited in vain for {what}:\n{self.log.read_text()[-3000:]}")
            time.sleep(pause_s)


def throughput(
    broker: str, folder: Path, job: str, *, feed: str, events: int, accounts: int, seed: int
) -> dict[str, Cost]:
    """Run a job over a backlog; return what it cost, what bare reads of the same topics cost, and outputs per event.

    The backlog of a ``company`` is at least a day of it, that of a ``storm`` a day of so many events. Every account has a
    history, known before the measured events, so that every component has its evidence.
    """
    worker = Worker(broker, folder, JOBS[job])
    end_ms = round(time.time() * 1000) - feeds.DAY_MS // 24
    span_ms = feeds.DAY_MS
    if feed == "company":
        span_ms = max(span_ms, round(span_ms * events / feeds.company_events(accounts, span_ms)))
        events = feeds.company_events(accounts, span_ms)
    known = (worker.settings.broker, worker.settings.topic_prefix, worker.settings.policy, feed)
    run_python("-m", "benchmarks.known_accounts", *known, *map(str, (PARTITIONS, accounts, end_ms - span_ms)))
    happens = (
        feeds.company(accounts, end_ms - span_ms, end_ms, seed)
        if feed == "company"
        else feeds.events(events, accounts, end_ms - span_ms, end_ms, seed)
    )
    feeds.produce(worker.settings, happens)
    worker.start()
    worker.wait_for(1)
    first, cpu, began = worker.events(), cpu_s(worker.pid), time.perf_counter()
    worker.wait_for_commit_of(events)
    seconds = time.perf_counter() - began
    measured, peak = (events - first) / 1e6, memory_mib(worker.pid)
    cost = Cost(
        (cpu_s(worker.pid) - cpu) / measured, (events - first) / seconds, peak, worker.outputs() / events
    )
    worker.stop()
    return {job: cost, "getmany": bare(worker.settings), "getmany, limited": bare(worker.settings, 10_000)}


def bare(settings: Settings, records_max: int = 0) -> Cost:
    """Read the topics of the four event streams with a bare consumer, in a process of its own (``benchmarks.bare``)."""
    topics = [settings.topic_prefix + INPUT_TOPICS[topic].name for topic in feeds.INPUTS]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.bare", settings.broker, str(PARTITIONS), str(records_max), *topics],
        check=True, capture_output=True, env=environment(), timeout=RUN_TIMEOUT_S,
    )  # fmt: skip
    told = json.loads(done.stdout)
    return Cost(told["cpu_s"] / told["records"] * 1e6, told["records"] / told["seconds"])


def latency(broker: str, folder: Path, *, seconds: int, **variables: str) -> Waits:
    """Return how long alerts took from their event to a ``read_committed`` reader."""
    worker = Worker(broker, folder, "default")
    worker.start(**variables)
    reader = _AlertReader(worker.settings)
    producer = Producer({"bootstrap.servers": broker, "partitioner": "murmur2_random", "linger.ms": 5})
    topics = {topic: worker.settings.topic_prefix + spec.name for topic, spec in INPUT_TOPICS.items()}
    warm_up = 10 * LATENCY_RATE
    began = time.perf_counter()
    for n, (topic, key, value) in enumerate(_live(warm_up + seconds * LATENCY_RATE)):
        due = began + n / LATENCY_RATE
        while (now := time.perf_counter()) < due:
            time.sleep(min(due - now, 0.001))
        stamp = b"%d" % (time.time_ns() // 1_000_000)
        producer.produce(topics[topic], value.replace(b"NOW", stamp), key)
        producer.poll(0)
    producer.flush(30)
    time.sleep(2)
    found = reader.stop()[warm_up // LATENCY_ALERT_SHARE :]
    worker.stop()
    wanted = seconds * LATENCY_RATE // LATENCY_ALERT_SHARE
    assert len(found) == wanted, f"{len(found)} alerts of {wanted}"
    waits = np.array(found)
    return Waits(float(np.median(waits)), float(np.percentile(waits, 99)), float(waits.max()), len(found))


def _live(count: int) -> Iterator[tuple[Input, bytes, bytes]]:
    for n in range(count):
        alert = n % LATENCY_ALERT_SHARE == 0
        account = f"alert-{n}" if alert else f"account-{n % 5000:06d}"
        path = "/cancel" if alert else "/app/board"
        text = f'{{"event_id":"e-{n}","account_id":"{account}","occurred_at":NOW,"path":"{path}","user_role":"member"}}'
        yield Input.PAGE_VISITS, account.encode(), text.encode()


class _AlertReader:
    """Reads alerts in a thread and notes how long after its event each was seen."""

    def __init__(self, settings: Settings) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.broker, "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest",
                "isolation.level": "read_committed", "fetch.wait.max.ms": 500,
            }
        )  # fmt: skip
        self._consumer.subscribe([settings.topic_prefix + Output.DISENGAGEMENTS])
        self._waits: list[float] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read, name="alert reader")
        self._thread.start()

    def _read(self) -> None:
        while not self._stopping.is_set():
            message = self._consumer.poll(0.1)
            if message is not None and message.error() is None:
                seen_ms = time.time_ns() / 1e6
                payload = json.loads(message.value() or b"")
                if payload["account_id"].startswith("alert-") and payload["status"] == "firing":
                    at = np.datetime64(payload["effective_at"].removesuffix("Z"), "ms").astype(np.int64)
                    self._waits.append(seen_ms - float(at))

    def stop(self) -> list[float]:
        """Stop reading; return the waits in milliseconds, in the order of the alerts."""
        self._stopping.set()
        self._thread.join()
        self._consumer.close()
        return self._waits


def start_cost(broker: str, folder: Path, **variables: str) -> float:
    """Return the processor seconds from the start of ``latido worker`` until its core is ready and it joins."""
    worker = Worker(broker, folder, "default")
    worker.start(**variables)
    worker.wait_for_line("core ready")
    cpu = cpu_s(worker.pid)
    worker.kill()
    return cpu
