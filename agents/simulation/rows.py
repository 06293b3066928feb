"""What the parts of the simulation hand to each other: an event without its id and its envelope."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from schemas.topics import Input


class Row(NamedTuple):
    """One event before it gets an id: instant in ms UTC, input, account number, JSON members of its own."""

    occurred_ms: int
    topic: Input
    account: int
    members: str
