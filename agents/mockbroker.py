"""librdkafka's mock broker in a child process: a Kafka for a demo or a test, gone when its owner is gone.

It makes topics at the first request for them, each with four partitions; it has no controller (no topic can
be created by a request), keeps at most some 5 MB or 100,000 records of a partition and then drops silently,
and does not isolate transactions. Nothing that is promised about delivery is tested on it.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Self

from confluent_kafka import Producer

from schemas.errors import BrokerError

if TYPE_CHECKING:
    from types import TracebackType

PARTITIONS: Final = 4
"""The partitions of every topic that the mock broker makes."""
START_TIMEOUT_S: Final = 15.0
STOP_TIMEOUT_S: Final = 3.0
LOOK_EVERY_S: Final = 1.0
ADDRESS_TIMEOUT_S: Final = 5.0


class MockBroker:
    """Context manager of a mock broker in a child process; ``address`` is its host and port.

    The child ends with the block, and also when this process ends in any way, by a kill too.
    """

    address: str

    def __enter__(self) -> Self:
        """Start the broker.

        Raises:
            BrokerError: if it does not tell its address within ``START_TIMEOUT_S``.
        """
        self._child = subprocess.Popen(
            [sys.executable, "-m", "agents.mockbroker"],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._child.stdout is not None
        self.address = _line(self._child.stdout, START_TIMEOUT_S)
        if not self.address:
            self.__exit__(None, None, None)
            raise BrokerError(
                f"the embedded broker did not start in {START_TIMEOUT_S:g} s "
                f"(exit status {self._child.poll()}). Is confluent-kafka installed, "
                "and may this process listen on 127.0.0.1?"
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the child, by its closed input first, by a kill if that does not help."""
        child = self._child
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        try:
            child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    @property
    def process_id(self) -> int:
        """The process id of the child."""
        return self._child.pid


def _line(pipe: IO[bytes], timeout_s: float) -> str:
    """Return one line from a child, or an empty text if it says nothing in time or ends."""
    ready, _, _ = select.select([pipe], [], [], timeout_s)
    return pipe.readline().decode().strip() if ready else ""


def run_child() -> None:
    """Run the broker until standard input is closed or the parent is another process than at the start."""
    parent = os.getppid()
    broker = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock:1", "log_level": 0})
    addresses = [str(node) for node in broker.list_topics(timeout=ADDRESS_TIMEOUT_S).brokers.values()]
    sys.stdout.write(addresses[0].split("/")[0] + "\n")
    sys.stdout.flush()
    while os.getppid() == parent:
        ready, _, _ = select.select([sys.stdin.buffer], [], [], LOOK_EVERY_S)
        if ready and not os.read(sys.stdin.fileno(), 1):
            break


if __name__ == "__main__":
    run_child()
