"""What the parts of the simulation hand to each other: an event without its id and its envelope."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from agents.simulation.clocktext import instant_text
from schemas.topics import Input

if TYPE_CHECKING:
    from collections.abc import Mapping


class Row(NamedTuple):
    """One event before it gets an id: instant in ms UTC, input, account number, JSON members of its own."""

    occurred_ms: int
    topic: Input
    account: int
    members: str


def facts_row(
    account: int, at_ms: int, facts: Mapping[str, Any], author: str, expires_ms: int | None = None
) -> Row:
    """Return the row that tells facts of an account."""
    text = json.dumps(facts, separators=(",", ":"))
    until = "" if expires_ms is None else f',"expires_at":"{instant_text(expires_ms)}"'
    return Row(at_ms, Input.ACCOUNT_FACTS, account, f'"facts":{text},"author":"{author}"{until}')
