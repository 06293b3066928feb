"""What a worker serves over HTTP: its metrics, whether its main loop turns (`/live`), whether it is up to date (`/ready`)."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, start_http_server

from schemas.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ANSWER_TIMEOUT_S: Final = 5.0
"""The main loop takes at most so long to answer while it loads or works."""


class Probes:
    """The pages; a question is asked on the loop that made them, from the thread that serves."""

    def __init__(self, registry: CollectorRegistry, unready: Callable[[int], str | None]) -> None:
        """Take what is served; ``unready`` tells why the worker is not ready at a time in ms UTC, ``None`` if it is."""
        self._registry = registry
        self._loop = asyncio.get_running_loop()
        self._questions: dict[str, tuple[str, Callable[[int], str | None]]] = {
            "/live": ("alive", lambda _: None),
            "/ready": ("ready", unready),
        }

    def serve(self, host: str, port: int) -> None:
        """Serve from a thread of their own, until the process ends.

        Raises:
            ConfigError: the address cannot be listened on.
        """
        try:
            server, _ = start_http_server(port, addr=host, registry=self._registry)
        except OSError as error:
            raise ConfigError(
                f"metrics cannot be served at {host}:{port} ({error.strerror}). Give each worker its own "
                "LATIDO_METRICS_PORT (0 serves none), and LATIDO_METRICS_HOST an address of this machine."
            ) from error
        metrics: Any = server.get_app()

        def pages(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            if environ["PATH_INFO"] not in self._questions:
                return metrics(environ, start_response)  # type: ignore[no-any-return]
            status, text = self._answer(environ["PATH_INFO"])
            start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
            return [text.encode()]

        server.set_app(pages)

    def _answer(self, path: str) -> tuple[str, str]:
        good, question = self._questions[path]

        async def ask() -> str | None:
            return question(time.time_ns() // 1_000_000)

        try:
            amiss = asyncio.run_coroutine_threadsafe(ask(), self._loop).result(ANSWER_TIMEOUT_S)
        except TimeoutError:
            amiss = f"the main loop did not answer in {ANSWER_TIMEOUT_S:.0f} s"
        if amiss is None:
            return "200 OK", f"{good}\n"
        return "503 Service Unavailable", f"not {good}: {amiss}\n"
