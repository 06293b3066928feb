"""What a worker answers over HTTP, asked as Prometheus and an orchestrator ask."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry

from agents import probes
from agents.metrics import Metrics
from agents.probes import Probes
from schemas.errors import ConfigError
from tests.servers.ports import free_ports


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def test_metrics_are_served_and_a_taken_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{port} .*LATIDO_METRICS_PORT"):
            Probes(CollectorRegistry(), lambda _: None).serve("127.0.0.1", port)
    Probes(Metrics().registry, lambda _: None).serve("127.0.0.1", port)
    status, text = await asyncio.to_thread(get, port, "/metrics")
    assert status == 200
    assert 'latido_events_total{input="logins"} 0.0' in text


async def test_readiness_is_asked_on_the_main_loop_and_tells_the_reason() -> None:
    reasons, asked = ["partition 3 is halted", None], []

    def unready(now_ms: int) -> str | None:
        asked.append((abs(now_ms - time.time() * 1000) < 10_000, threading.current_thread()))
        return reasons.pop(0)

    (port,) = free_ports(1)
    Probes(CollectorRegistry(), unready).serve("127.0.0.1", port)
    assert await asyncio.to_thread(get, port, "/ready") == (503, "not ready: partition 3 is halted\n")
    assert await asyncio.to_thread(get, port, "/ready") == (200, "ready\n")
    assert asked == [(True, threading.main_thread())] * 2


async def test_a_main_loop_that_does_not_turn_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "ANSWER_TIMEOUT_S", 0.2)
    (port,) = free_ports(1)
    Probes(CollectorRegistry(), lambda _: None).serve("127.0.0.1", port)
    assert await asyncio.to_thread(get, port, "/live") == (200, "alive\n")
    asking = asyncio.create_task(asyncio.to_thread(get, port, "/live"))
    await asyncio.sleep(0)
    time.sleep(0.6)  # noqa: ASYNC251 - a loop that is stuck
    assert await asking == (503, "not alive: the main loop did not answer in 0 s\n")
