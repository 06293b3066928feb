"""The network between two is cut and mended: what was on its way arrives late, nothing is lost or turned round."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.servers.ports import free_ports
from tests.servers.proxy import Proxy

SOON_S = 5.0
AWHILE_S = 0.2


class Echo:
    """Sends back what it gets, and keeps it."""

    def __init__(self, port: int) -> None:
        self.got = b""
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    def _echo(self, connection: socket.socket) -> None:
        with connection:
            try:
                while chunk := connection.recv(1024):
                    self.got += chunk
                    connection.sendall(chunk)
            except OSError:
                return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def between() -> Iterator[tuple[Proxy, Echo]]:
    port, target = free_ports(2)
    echo = Echo(target)
    with Proxy(port, target) as proxy:
        yield proxy, echo
    echo.close()


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), SOON_S)


def answer(connection: socket.socket, timeout_s: float) -> bytes | None:
    connection.settimeout(timeout_s)
    try:
        return connection.recv(1024)
    except TimeoutError:
        return None


def test_what_is_sent_while_the_network_is_cut_arrives_when_it_is_mended(between: tuple[Proxy, Echo]) -> None:
    proxy, echo = between
    with connect(proxy) as connection:
        connection.sendall(b"one")
        assert answer(connection, SOON_S) == b"one"
        proxy.cut()
        connection.sendall(b"two")
        assert answer(connection, AWHILE_S) is None
        assert echo.got == b"one"
        with connect(proxy) as late:
            late.sendall(b"three")
            assert answer(late, AWHILE_S) is None
            proxy.mend()
            assert answer(connection, SOON_S) == b"two"
            assert answer(late, SOON_S) == b"three"


def test_answers_alone_can_be_lost(between: tuple[Proxy, Echo]) -> None:
    proxy, echo = between
    with connect(proxy) as connection:
        proxy.cut(requests=False)
        connection.sendall(b"one")
        assert answer(connection, AWHILE_S) is None
        assert echo.got == b"one"
        proxy.mend()
        assert answer(connection, SOON_S) == b"one"


def test_refused_is_at_once_and_ends_what_was_open(between: tuple[Proxy, Echo]) -> None:
    proxy, _ = between
    with connect(proxy) as connection:
        connection.sendall(b"one")
        assert answer(connection, SOON_S) == b"one"
        proxy.refuse()
        with pytest.raises(ConnectionResetError):
            answer(connection, SOON_S)
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
    proxy.mend()
    with connect(proxy) as connection:
        connection.sendall(b"two")
        assert answer(connection, SOON_S) == b"two"
