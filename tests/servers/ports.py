"""Free loopback ports for servers that will be stopped and started again on the same port."""

from __future__ import annotations

import random
import socket
from typing import Final

# Below the range that the system gives to outgoing connections: while a server is down, a client that keeps
# connecting to a port of that range can be given that very port, and then talks to itself.
LOWEST: Final = 15_000
HIGHEST: Final = 31_000


def free_ports(count: int) -> list[int]:
    """Return ports on which nothing listens now.

    Raises:
        OSError: nearly all ports of the range are taken.
    """
    candidates = random.SystemRandom().sample(range(LOWEST, HIGHEST), 1000)
    free = [port for port in candidates[: count * 20] if _is_free(port)]
    if len(free) < count:
        raise OSError(f"found {len(free)} free ports between {LOWEST} and {HIGHEST}, need {count}")
    return free[:count]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
