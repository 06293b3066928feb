"""A TCP proxy on loopback whose network can be cut: nothing arrives, or no answers do, or connections are refused.

While it is cut, connections stay open and what was sent is on its way: it arrives after the network is mended, as what TCP
sends again does. New connections get no answer meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from typing import Final, Self

HOST: Final = "127.0.0.1"
CHUNK_BYTES: Final = 64 * 1024
START_TIMEOUT_S: Final = 10.0
RESET: Final = struct.pack("ii", 1, 0)
"""As the time to linger on close: a reset instead of an end in good order."""


class Proxy:
    """Forwards connections to ``port`` to ``target_port``, in a thread of its own, until the context ends."""

    def __init__(self, port: int, target_port: int) -> None:
        self.port, self._target_port = port, target_port
        self._loop = asyncio.new_event_loop()
        self._requests, self._answers = asyncio.Event(), asyncio.Event()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.mend()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_TIMEOUT_S)
        self._loop.close()

    def cut(self, *, requests: bool = True) -> None:
        """Let no answer arrive, and no request either unless ``requests`` is False."""
        for gate in [self._answers, *([self._requests] if requests else [])]:
            self._loop.call_soon_threadsafe(gate.clear)

    def refuse(self) -> None:
        """Reset all connections and refuse new ones."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(START_TIMEOUT_S)

    def mend(self) -> None:
        """Let everything through again, what is on its way first."""
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(START_TIMEOUT_S)

    async def _open(self) -> None:
        self._requests.set()
        self._answers.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, HOST, self.port)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in (each for each in self._writers if not each.is_closing()):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
        self._writers.clear()
        self._requests.set()
        self._answers.set()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        await self._requests.wait()
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self._target_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(far_writer)
        await asyncio.gather(
            _pump(reader, far_writer, self._requests), _pump(far_reader, writer, self._answers)
        )
        self._writers -= {writer, far_writer}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(CHUNK_BYTES):
            await gate.wait()
            writer.write(chunk)
            await writer.drain()
    await gate.wait()
    with contextlib.suppress(OSError):
        writer.close()
        await writer.wait_closed()
