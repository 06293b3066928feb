"""The judge: what a reader of the outputs saw against what a replay of the same events tells."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from agents.simulation.clocktext import instant_text
from schemas.topics import Output

IDS: Final = {
    Output.SCORE_CHANGES: "change_id",
    Output.SHADOW_SCORES: "change_id",
    Output.DISENGAGEMENTS: "alert_id",
    Output.OPPORTUNITIES: "alert_id",
}
"""The outputs that are judged, and the field that names one of their messages."""
Messages = dict[tuple[Output, str], list[dict[str, Any]]]
"""By (topic, account): payloads in the order seen."""


def total(messages: Messages) -> int:
    return sum(map(len, messages.values()))


def up_to(messages: Messages, until_ms: int) -> Messages:
    """Leave out what took effect later; texts of equal form compare as times."""
    until = instant_text(until_ms)
    kept = {
        key: [payload for payload in payloads if payload["effective_at"] <= until]
        for key, payloads in messages.items()
    }
    return {key: payloads for key, payloads in kept.items() if payloads}


def told_twice(messages: Messages) -> list[str]:
    """Name the messages that came more than once."""
    ids = Counter(payload[IDS[key[0]]] for key, payloads in messages.items() for payload in payloads)
    return [name for name, count in ids.items() if count > 1]


def differences(seen: Messages, expected: Messages) -> list[str]:
    """Name the first message that differs of each account: full payloads, in their order."""
    found = []
    for key in sorted({*seen, *expected}):
        mine, theirs = (_ties_by_id(key[0], messages.get(key, [])) for messages in (seen, expected))
        if mine != theirs:
            at = next(
                (i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b),
                min(len(mine), len(theirs)),
            )
            found.append(
                f"{key} {len(mine)}/{len(theirs)} at {at}: {mine[at : at + 1]} != {theirs[at : at + 1]}"
            )
    return found


def _ties_by_id(topic: Output, payloads: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put neighbours of one instant in order of their ids: a topic has them as they happened, a replay's file so."""
    ties = groupby(payloads, itemgetter("effective_at"))
    return [payload for _, tied in ties for payload in sorted(tied, key=itemgetter(IDS[topic]))]
