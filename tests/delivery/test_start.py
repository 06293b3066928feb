"""Starts without a real Kafka: nobody at the address, and the mock broker of a demo."""

from __future__ import annotations

import signal
import socket
import time
from typing import TYPE_CHECKING

from agents.mockbroker import PARTITIONS, MockBroker
from schemas.topics import Input, Output
from tests.delivery.support import Application, WorkerProcess

if TYPE_CHECKING:
    from pathlib import Path

EVENTS = 2_000


def test_nobody_at_the_address_is_one_message(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        _assert_one_message(address, tmp_path)


def test_an_address_that_swallows_everything_is_one_message(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        _assert_one_message(f"127.0.0.1:{silent.getsockname()[1]}", tmp_path)


def test_the_same_worker_runs_on_the_mock_broker(tmp_path: Path) -> None:
    with MockBroker() as broker:
        application = Application(broker.address, PARTITIONS)
        application.produce(
            (topic, number % PARTITIONS, b"account-%d" % (number % PARTITIONS), b"event")
            for number in range(EVENTS // len(Input))
            for topic in Input
        )
        with WorkerProcess(application, tmp_path, check_crcs=False, watched=True) as worker:
            worker.until_committed(EVENTS)
            while worker.until("clock_ms")["clock_ms"] < 0:
                pass
            worker.signal(signal.SIGTERM)
            assert worker.wait() == 0
        assert len(application.read(application.output(Output.SCORE_CHANGES))) == EVENTS // 10


def _assert_one_message(address: str, folder: Path) -> None:
    started_s = time.monotonic()
    with WorkerProcess(Application(address, 1), folder) as worker:
        assert worker.wait() == 2
    assert time.monotonic() - started_s < 12
    (message,) = worker.errors.splitlines()
    assert message.startswith(f"latido worker: no Kafka broker answers at {address}.")
    assert "LATIDO_BROKER" in message
