"""A rejected record as a dead letter: its bytes untouched, cut to what the topic takes, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.outputs import DEAD_LETTER_KEY_BYTES_MAX, DEAD_LETTER_VALUE_BYTES_MAX
from schemas.records import OutputRecord
from schemas.topics import INPUT_TOPICS, Input, Output
from streams.events import EVENT_INPUT, EVENT_OFFSET, EVENT_ROW, REFUSED, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.events import Reject, Taken


def add_refusals(taken: Taken, keys: Sequence[bytes]) -> None:
    """Add to the rejects, each at its offset, those of events for whose accounts, ``keys`` by row, there was no room."""
    found = taken.rejects
    for event in taken.columns[taken.columns[:, EVENT_ROW] <= REFUSED]:
        topic, offset = Input(int(event[EVENT_INPUT])), int(event[EVENT_OFFSET])
        key = keys[REFUSED - event[EVENT_ROW]]
        found.append((topic, taken.strangers.get((topic, offset)) or refusal(offset, key, None)))
    found.sort(key=lambda each: (each[0], each[1].offset))


def dead_letter(partition: int, topic: Input, reject: Reject) -> OutputRecord:
    """Return the record that tells of a reject of one partition of an input."""
    value = reject.value or b""
    headers = (
        ("latido_reason", str(reject.reason).encode()),
        ("latido_detail", reject.detail.encode("utf-8", "replace")[:1000]),
        ("latido_topic", INPUT_TOPICS[topic].name.encode()),
        ("latido_partition", b"%d" % partition),
        ("latido_offset", b"%d" % reject.offset),
        ("latido_key_bytes", b"%d" % len(reject.key or b"")),
        ("latido_value_bytes", b"%d" % len(value)),
    )
    key = None if reject.key is None else reject.key[:DEAD_LETTER_KEY_BYTES_MAX]
    return OutputRecord(Output.DEAD_LETTERS, key, value[:DEAD_LETTER_VALUE_BYTES_MAX], headers)
