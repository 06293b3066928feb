"""Recorded events on a real Kafka, workers as processes, blows that land in open work, and what a reader sees."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections import defaultdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, NamedTuple

import pytest
from confluent_kafka import Consumer, IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from agents.settings import Settings
from agents.topics import create_topics
from schemas.topics import INPUT_TOPICS, Output, changelog_topic
from tests.servers.ports import free_ports
from tests.worker.judge import IDS, Messages, total, up_to

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.servers.kafka import KafkaServer
    from tests.worker.recording import Recording

log = logging.getLogger(__name__)
PARTITIONS: Final = 4
ROOT: Final = Path(__file__).parents[2]
WORKER: Final = ("-c", "from agents.cli import main; main()", "worker")
BLOW_TIMEOUT_S: Final = 60.0
READY_TIMEOUT_S: Final = 120.0
OPEN_RECORDS_MIN: Final = 10
"""Of a transaction that is hit: one that only takes partitions over has fewer."""
SLICE_S: Final = 0.003
STILL_S: Final = 0.1
"""A transaction that does not move for so long belongs to somebody who does not move."""


class Kill(NamedTuple):
    """A kill -9 and the transaction that it left open: its changelog records by partition."""

    worker: str
    at_ms: int
    open_records: dict[int, int]


class Bench:
    """One application on the broker: topics of its own, workers, and a reader.

    With ``settings`` it is an application whose topics are there already.
    """

    def __init__(
        self, broker: str, folder: Path, partitions: int = PARTITIONS, settings: Settings | None = None
    ) -> None:
        self.folder = folder
        # A group of its own too: the broker waits for static members of one that are gone.
        own = uuid.uuid4().hex[:8]
        self.settings = settings or Settings(
            broker=broker, topic_prefix=f"t{own}-", application_id=f"app{own}"
        )
        if settings is None:
            create_topics(self.settings, partitions=partitions, replication=1)
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.seen: Messages = defaultdict(list)
        self._metrics_ports: dict[str, int] = {}
        self._said_before: dict[str, int] = {}
        self._admin = AdminClient({"bootstrap.servers": broker, "log_level": 0})
        self._consumer = self._reader()
        self._consumer.subscribe([self.topic(output) for output in IDS])

    def topic(self, name: str) -> str:
        return self.settings.topic_prefix + name

    @property
    def changelog(self) -> str:
        return self.topic(changelog_topic(self.settings.application_id).name)

    def producer(self, **options: object) -> Producer:
        return Producer(
            {
                "bootstrap.servers": self.settings.broker,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                **options,
            }
        )

    def produce(self, recording: Recording, producer: Producer | None = None) -> None:
        producer = producer or self.producer(**{"queue.buffering.max.messages": 1_000_000})
        for event in recording.events:
            topic = self.topic(INPUT_TOPICS[event.topic].name)
            producer.produce(topic, event.body, event.account_id.encode(), timestamp=recording.end_ms)
            producer.poll(0)
        assert producer.flush(60) == 0

    def environment(self, **settings: object) -> dict[str, str]:
        """Return the environment of a process of this application, compiled, with settings in lower case."""
        return {
            **{key: value for key, value in os.environ.items() if key != "NUMBA_DISABLE_JIT"},
            "LATIDO_BROKER": self.settings.broker,
            "LATIDO_TOPIC_PREFIX": self.settings.topic_prefix,
            "LATIDO_APPLICATION_ID": self.settings.application_id,
            **{f"LATIDO_{key.upper()}": str(value) for key, value in settings.items()},
        }

    # -- workers ----------------------------------------------------------------------------------------------------

    def start(
        self,
        name: str,
        command: tuple[str, ...] = WORKER,
        sink: IO[bytes] | None = None,
        /,
        **settings: object,
    ) -> None:
        """Start a worker with ``LATIDO_*`` settings in lower case; its log is ``NAME.log``, written by it or by the sink."""
        (self._metrics_ports[name],) = free_ports(1)
        environment = self.environment(
            datadir=self.folder / name, metrics_port=self._metrics_ports[name], **settings
        )
        with (self.folder / f"{name}.log").open("ab") as log:
            self._said_before[name] = log.tell()
            self.workers[name] = subprocess.Popen(
                [sys.executable, *command], cwd=ROOT, env=environment, stdout=sink or log, stderr=sink or log
            )

    def log(self, name: str) -> str:
        """Return what the worker said since it was last started."""
        return (self.folder / f"{name}.log").read_bytes()[self._said_before[name] :].decode()

    def kill(self, name: str) -> None:
        self.workers[name].kill()
        self.workers.pop(name).wait(10)

    def stop(self, name: str) -> int:
        self.workers[name].send_signal(signal.SIGTERM)
        return self.wait(name)

    def wait(self, name: str) -> int:
        return self.workers.pop(name).wait(40)

    def owned(self, name: str) -> set[int]:
        """Return the partitions that the worker last said to own."""
        said = re.findall(r"owns partitions \[([\d, ]*)\]", self.log(name))
        return {int(number) for number in said[-1].split(",") if number} if said else set()

    def ready(self, name: str) -> str:
        """Return what the worker answers when it is asked whether it is ready."""
        try:
            url = f"http://127.0.0.1:{self._metrics_ports[name]}/ready"
            with urllib.request.urlopen(url, timeout=10) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return str(error.read().decode())
        except OSError:
            return "not there yet"

    def until_ready(self, name: str) -> list[str]:
        """Wait until the worker is ready; return what it answered before."""
        deadline, answers = time.monotonic() + READY_TIMEOUT_S, ["not there yet"]
        while (answer := self.ready(name)) != "ready\n":
            if answer != answers[-1]:
                answers.append(answer)
            assert time.monotonic() < deadline, f"{name} is {answer}\n{self.log(name)}"
            time.sleep(0.1)
        return answers

    def metrics(self, name: str) -> dict[str, float]:
        """Return the worker's metrics by name with labels, as they are exposed."""
        url = f"http://127.0.0.1:{self._metrics_ports[name]}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {sample: float(value) for sample, _, value in samples}

    # -- blows that land in open work ---------------------------------------------------------------------------------

    def kill_in_a_transaction(self, name: str) -> Kill:
        """Kill -9 while the broker has an open transaction of the worker's, with rows in it.

        The worker runs in slices shorter than a transaction is open, and is looked at after each.
        """
        deadline = time.monotonic() + BLOW_TIMEOUT_S
        while time.monotonic() < deadline:
            time.sleep(SLICE_S if self.owned(name) else STILL_S)
            self.workers[name].send_signal(signal.SIGSTOP)
            if self.open_now(name) and sum((held := self.held_open(name)).values()) >= OPEN_RECORDS_MIN:
                at_ms = time.time_ns() // 1_000_000
                self.kill(name)
                left = dict(self.held_open(name).items() & held.items())
                assert sum(left.values()) >= OPEN_RECORDS_MIN, (
                    f"the open work was not {name}'s: {held}, {left}"
                )
                log.info("killed %s, which left open records %s", name, left)
                return Kill(name, at_ms, left)
            self.workers[name].send_signal(signal.SIGCONT)
        raise AssertionError(f"{name} had no open transaction in {BLOW_TIMEOUT_S:.0f} s\n{self.log(name)}")

    def pause_with_uncommitted(self, name: str, events: int) -> None:
        """SIGSTOP when so many events were processed since anything was written, and no transaction is open."""
        deadline = time.monotonic() + BLOW_TIMEOUT_S
        while time.monotonic() < deadline:
            ends, before = self._ends_of(name), self._processed(name)
            while (now := self._ends_of(name)) == ends:
                if self._processed(name) - before < events:
                    continue
                self.workers[name].send_signal(signal.SIGSTOP)
                if not self.held_open(name) and self._ends_of(name) == now:
                    log.info("paused %s with at least %d events uncommitted", name, events)
                    return
                self.workers[name].send_signal(signal.SIGCONT)
        raise AssertionError(f"{name} never had {events} uncommitted events\n{self.log(name)}")

    def _processed(self, name: str) -> float:
        samples = self.metrics(name).items()
        return sum(value for sample, value in samples if sample.startswith("latido_events_total"))

    def held_open(self, name: str) -> dict[int, int]:
        """Return the records of the worker's changelog partitions in a transaction that does not move."""
        before = self.open_now(name)
        time.sleep(STILL_S)
        still = before & self.open_now(name)
        return {number: end - stable for number, end, stable in sorted(still)}

    def open_now(self, name: str) -> set[tuple[int, int, int]]:
        """Return (partition, end, where open work begins) of the worker's changelog partitions with open work."""
        ends, stable = self._ends_of(name), self._ends_of(name, IsolationLevel.READ_COMMITTED)
        return {(number, end, stable[number]) for number, end in ends.items() if stable[number] < end}

    def _ends_of(
        self, name: str, isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED
    ) -> Mapping[int, int]:
        """Return where the worker's changelog partitions end; for a committed reader: where open work begins."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = {TopicPartition(self.changelog, number): latest for number in self.owned(name)}
        answers = self._admin.list_offsets(asked, isolation_level=isolation) if asked else {}
        return {tp.partition: answer.result(10).offset for tp, answer in answers.items()}

    # -- the reader ---------------------------------------------------------------------------------------------------

    def _reader(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.settings.broker,
                "group.id": uuid.uuid4().hex,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "log_level": 0,
            }
        )

    def read(self, seconds: float, until: int = sys.maxsize) -> Messages:
        """Read outputs for so long, or until so many have been seen in all."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and total(self.seen) < until:
            message = self._consumer.poll(0.2)
            if message is None:
                continue
            assert message.error() is None, message.error()
            topic = Output(str(message.topic()).removeprefix(self.settings.topic_prefix))
            payload = json.loads(message.value() or b"")
            self.seen[topic, payload["account_id"]].append(payload)
        return self.seen

    def read_all(self, wanted: int, end_ms: int, seconds: float = 120) -> Messages:
        """Read until so many outputs that took effect by ``end_ms`` have been seen, and a few seconds more."""
        deadline = time.monotonic() + seconds
        while total(up_to(self.read(1), end_ms)) < wanted and time.monotonic() < deadline:
            pass
        return up_to(self.read(3), end_ms)

    def takeover_s(self, kill: Kill) -> float:
        """Return after how long somebody else had written to every partition that was left open."""
        reader = self._reader()
        asked = [TopicPartition(self.changelog, number, kill.at_ms) for number in kill.open_records]
        firsts = []
        for start in reader.offsets_for_times(asked, timeout=10):
            reader.assign([start])
            message = reader.poll(10)
            assert message is not None, f"nobody wrote to partition {start.partition}"
            firsts.append(message.timestamp()[1])
        reader.close()
        return (max(firsts) - kill.at_ms) / 1000

    def close(self) -> None:
        for name in list(self.workers):
            self.workers[name].send_signal(signal.SIGCONT)
            self.kill(name)
        self._consumer.close()


def latido(bench: Bench, *arguments: str) -> str:
    """Run a command against the bench's application; return what it said."""
    done = subprocess.run(
        [sys.executable, "-c", "from agents.cli import main; main()", *arguments],
        env=bench.environment(), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def bench(kafka: KafkaServer, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(kafka.broker, tmp_path)
    yield made
    made.close()
