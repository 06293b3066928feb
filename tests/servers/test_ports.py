"""Free ports are really free to use again and again."""

from __future__ import annotations

from tests.servers.ports import HIGHEST, LOWEST, free_ports


def test_free_ports_are_outside_the_range_of_outgoing_connections() -> None:
    ports = free_ports(3)
    assert len(set(ports)) == 3
    assert all(LOWEST <= port < HIGHEST for port in ports)
