"""What the delivery tests share: topics, producing, reading what was committed, worker processes."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
import uuid
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from agents.commit import DeliveryTopics
from schemas.topics import CONTROL, INPUT_TOPICS, OUTPUT_TOPICS, Input, Output, changelog_topic

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

ROOT = Path(__file__).parents[2]
READ_TIMEOUT_S = 30.0


_Headers = list[tuple[str, bytes]]


class Record(NamedTuple):
    """One record as a ``read_committed`` consumer sees it."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class Application:
    """The topics of one application on a broker, under a prefix of its own."""

    def __init__(self, bootstrap: str, partitions: int) -> None:
        self.bootstrap, self.partitions = bootstrap, partitions
        self.name = f"app-{uuid.uuid4().hex[:8]}"
        self.prefix = f"{self.name}."
        self.changelog = self.prefix + changelog_topic(self.name).name
        self.control = self.prefix + CONTROL
        self.topics = DeliveryTopics(
            self.changelog,
            {output: self.prefix + spec.name for output, spec in OUTPUT_TOPICS.items()},
            self.control,
        )

    def create_topics(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        plain = [*map(self.input, Input)]
        topics = [NewTopic(name, self.partitions, 1) for name in plain]
        topics += [
            NewTopic(
                self.prefix + spec.name,
                self.partitions,
                1,
                config={"max.message.bytes": str(spec.max_message_bytes)},
            )
            for spec in OUTPUT_TOPICS.values()
        ]
        topics.append(NewTopic(self.control, 1, 1, config={"cleanup.policy": "compact"}))
        topics.append(NewTopic(self.changelog, self.partitions, 1, config={"cleanup.policy": "compact"}))
        for created in admin.create_topics(topics).values():
            created.result()

    def input(self, topic: Input) -> str:
        return self.prefix + INPUT_TOPICS[topic].name

    def output(self, topic: Output) -> str:
        return self.topics.outputs[topic]

    def produce(self, events: Iterable[tuple[Input, int, bytes, bytes]], **options: Any) -> None:
        """Produce (input, partition, key, value)."""
        producer = Producer(
            # Idempotent: else a retry at the first use of a topic puts records in another order.
            {"bootstrap.servers": self.bootstrap, "linger.ms": 20, "enable.idempotence": True, **options}
        )
        for topic, partition, key, value in events:
            producer.produce(self.input(topic), key=key, value=value, partition=partition)
            producer.poll(0)
        assert producer.flush(READ_TIMEOUT_S) == 0

    def read(self, topic: str) -> list[Record]:
        """Read everything committed so far, partition by partition in order."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": f"reader-{uuid.uuid4().hex}",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 10,
                "socket.nagle.disable": True,
            }
        )
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(self.partitions)])
        try:
            return _until_ends(consumer, self.partitions)
        finally:
            consumer.close()


def _until_ends(consumer: Consumer, partitions: int) -> list[Record]:
    records: dict[int, list[Record]] = defaultdict(list)
    left, deadline = set(range(partitions)), time.monotonic() + READ_TIMEOUT_S
    while left:
        assert time.monotonic() < deadline, f"no end of partitions {left}"
        for message in consumer.consume(5_000, 0.2):
            error, partition = message.error(), cast("int", message.partition())
            if error is None:
                headers = tuple((name, value) for name, value in cast("_Headers", message.headers() or []))
                records[partition].append(Record(partition, message.key(), message.value(), headers))
            else:
                assert error.code() == KafkaError._PARTITION_EOF, error
                left.discard(partition)
    return [record for partition in sorted(records) for record in records[partition]]


class WorkerProcess:
    """A worker over the counting fold in a process of its own; its journal is read as it is written."""

    def __init__(self, application: Application, datadir: Path, **options: Any) -> None:
        settings = {
            "bootstrap": application.bootstrap,
            "application_id": application.name,
            "topic_prefix": application.prefix,
            "datadir": str(datadir),
            **options,
        }
        self.journal: list[dict[str, Any]] = []
        self._lines: queue.Queue[str] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.delivery.worker_main", json.dumps(settings)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._errors: list[str] = []
        self._threads = [
            threading.Thread(target=self._pump_journal, daemon=True),
            threading.Thread(target=self._pump_errors, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self.wait()

    @property
    def errors(self) -> str:
        return "".join(self._errors)

    def until(self, *names: str, timeout_s: float = 30.0, **values: Any) -> dict[str, Any]:
        """Wait for a journal entry that has the names and the values."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                message = f"no {names} {values} in {timeout_s} s: {self.journal[-5:]} {self.errors}"
                raise AssertionError(message) from None
            entry: dict[str, Any] = json.loads(line)
            self.journal.append(entry)
            if entry.keys() >= {*names} and entry.items() >= values.items():
                return entry

    def journal_has(self, name: str) -> bool:
        """Tell whether an entry of the whole journal has the name; only after the process has ended."""
        while not self._lines.empty():
            self.journal.append(json.loads(self._lines.get()))
        return any(name in entry for entry in self.journal)

    def until_committed(self, events: int, timeout_s: float = 30.0) -> None:
        """Wait until so many events were committed by this process."""
        while self.until("committed", timeout_s=timeout_s)["committed"] < events:
            pass

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def wait(self, timeout_s: float = 20.0) -> int:
        code = self._process.wait(timeout_s)
        for thread in self._threads:
            thread.join(timeout_s)
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()
        return code

    def _pump_journal(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def _pump_errors(self) -> None:
        assert self._process.stderr is not None
        self._errors.extend(self._process.stderr)
