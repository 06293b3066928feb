"""A real Apache Kafka 4.1 on loopback: one KRaft node, for tests and benchmarks.

By hand: ``python -m tests.servers.kafka [--seconds N]`` prints ``broker HOST:PORT`` and runs until its
standard input closes, a signal comes, or the seconds have passed.
"""

from __future__ import annotations

import argparse
import base64
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from tests.servers.kafka_jars import ensure_jars, java
from tests.servers.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

MESSAGE_MAX_BYTES: Final = 16 * 1024 * 1024
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 30.0
ADMIN_TIMEOUT_S: Final = 30.0
LOG_SHOWN_CHARACTERS: Final = 8000
MAX_SECONDS: Final = 3600

# Without looks for what is too old: tests write records of long ago, and every five minutes some would go.
PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{advertised}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={folder}
auto.create.topics.enable=false
message.max.bytes={message_max_bytes}
replica.fetch.max.bytes={message_max_bytes}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.retention.check.interval.ms=86400000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""


class KafkaFailed(Exception):
    """The broker did not start, or did not answer in time; the end of its log is in the message."""


class KafkaServer:
    """One broker with free ports and a data folder of its own, which goes when the context ends."""

    def __init__(self, properties: str = "", fronts: Mapping[int, int] | None = None) -> None:
        """Choose ports and a folder; nothing runs yet.

        Args:
            properties: further lines of the broker's properties.
            fronts: further ports to listen on, by the port that clients which come in there are told to come to.

        Raises:
            ServerMissing: Java or the jars cannot be had.
        """
        jars = ensure_jars()
        self._port, controller_port = free_ports(2)
        self.folder = Path(tempfile.mkdtemp(prefix="latido-kafka-"))
        self._properties = self.folder / "server.properties"
        named = {f"FRONT{number}": ports for number, ports in enumerate((fronts or {}).items())}
        self._properties.write_text(
            PROPERTIES.format(
                listeners="".join(f",{name}://127.0.0.1:{back}" for name, (_, back) in named.items()),
                advertised="".join(f",{name}://127.0.0.1:{front}" for name, (front, _) in named.items()),
                protocols="".join(f",{name}:PLAINTEXT" for name in named),
                port=self._port,
                controller_port=controller_port,
                folder=self.folder / "data",
                message_max_bytes=MESSAGE_MAX_BYTES,
            )
            + properties
        )
        self._log = self.folder / "broker.log"
        logging = [
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
        ]
        self._java = [java(), "-Xmx1g", *logging, "-cp", f"{jars}/*"]
        self._process: subprocess.Popen[bytes] | None = None
        self._format()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._remove()

    @property
    def broker(self) -> str:
        """The address for clients, ``127.0.0.1:PORT``; it stays the same over restarts."""
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """The process id of the running broker."""
        assert self._process is not None, "the broker is not running"
        return self._process.pid

    def start(self) -> None:
        """Start the broker and wait until it answers.

        Raises:
            KafkaFailed: it ended, or did not answer in time.
        """
        assert self._process is None, f"the broker runs already, process {self.pid}"
        command = [*_die_with_parent(), *self._java, "kafka.Kafka", str(self._properties)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self._wait_until_it_answers(time.monotonic() + START_TIMEOUT_S)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Stop the broker in good order; kill it if that takes too long. Does nothing if it does not run."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End the broker without warning (SIGKILL). Does nothing if it does not run."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait(STOP_TIMEOUT_S)
        self._process = None

    def restart(self) -> None:
        """Stop and start again: same address, same data."""
        self.stop()
        self.start()

    def create_topic(self, name: str, partitions: int = 4, config: Mapping[str, str] | None = None) -> None:
        """Create a topic and wait until every partition has a leader.

        Raises:
            KafkaFailed: no leaders in time.
            KafkaException: the broker refuses, for example because the topic exists.
        """
        admin = self.admin()
        topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=dict(config or {}))
        admin.create_topics([topic], request_timeout=ADMIN_TIMEOUT_S)[name].result(ADMIN_TIMEOUT_S)
        deadline = time.monotonic() + ADMIN_TIMEOUT_S
        while not self._has_leaders(admin, name, partitions):
            if time.monotonic() > deadline:
                raise KafkaFailed(
                    f"topic {name!r} has no leaders after {ADMIN_TIMEOUT_S:.0f} s{self._log_end()}"
                )
            time.sleep(0.05)

    def admin(self) -> AdminClient:
        """Return an administration client of this broker."""
        return AdminClient({"bootstrap.servers": self.broker, "log_level": 0})

    def _format(self) -> None:
        # The id must not begin with a dash, which would be read as an option: its first byte is zero.
        cluster_id = base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
        command = [
            *self._java,
            "kafka.tools.StorageTool",
            "format",
            "-t",
            cluster_id,
            "-c",
            str(self._properties),
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=START_TIMEOUT_S)
        if done.returncode != 0:
            self._remove()
            raise KafkaFailed(
                f"formatting the data folder ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )

    def _wait_until_it_answers(self, deadline: float) -> None:
        assert self._process is not None
        while not (_listens(self._port) and self._answers()):
            if self._process.poll() is not None:
                raise KafkaFailed(
                    f"the broker ended with {self._process.returncode} at start{self._log_end()}"
                )
            if time.monotonic() > deadline:
                raise KafkaFailed(
                    f"the broker did not answer within {START_TIMEOUT_S:.0f} s{self._log_end()}"
                )
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            return bool(self.admin().list_topics(timeout=5).brokers)
        except KafkaException:
            return False

    @staticmethod
    def _has_leaders(admin: AdminClient, name: str, partitions: int) -> bool:
        found = admin.list_topics(name, timeout=ADMIN_TIMEOUT_S).topics[name].partitions
        return len(found) == partitions and all(partition.leader >= 0 for partition in found.values())

    def _log_end(self) -> str:
        return f"; the end of its log:\n{self._log.read_text(errors='replace')[-LOG_SHOWN_CHARACTERS:]}"

    def _remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _die_with_parent() -> list[str]:
    """Return the prefix of a command that ends with us, even if we are killed (Linux; elsewhere nothing)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_for_the_end(seconds: float) -> None:
    """Wait until standard input closes or the seconds have passed."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        readable, _, _ = select.select([sys.stdin], [], [], left)
        if readable and not sys.stdin.buffer.readline():
            return


def main() -> None:
    """Run a broker by hand."""
    parser = argparse.ArgumentParser(description="A real Apache Kafka on loopback.")
    parser.add_argument(
        "--seconds", type=float, default=MAX_SECONDS, help="run at most so long (default: %(default)s)"
    )
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with KafkaServer() as server:
            print(f"broker {server.broker}", flush=True)
            _wait_for_the_end(arguments.seconds)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
