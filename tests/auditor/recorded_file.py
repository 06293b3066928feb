"""A recorded file: one event a line, routed to the partition of its account as a producer would."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from schemas.events import RECORDED_TYPES
from schemas.reasons import RejectReason
from tests.auditor.event import Recorded
from tests.auditor.exact import partition_of
from tests.auditor.wire import (
    Fields,
    Members,
    Rejected,
    holds,
    instant_ms,
    is_instant,
    is_text,
    optional,
    parse_json,
)  # fmt: skip

if TYPE_CHECKING:
    from schemas.topics import Input

NOT_RECORDED = -1
ROUTING = {"type": is_text, "account_id": is_text, "received_at": optional(is_instant)}

Broken = tuple[int, RejectReason]


def read_recorded(content: bytes, partitions: int) -> tuple[list[Recorded], list[Broken]]:
    """Return the records of a file, and the lines (counted from 1) that cannot be routed.

    Blank lines are skipped. The offset of a record is its ordinal within its type and partition.
    """
    records: list[Recorded] = []
    broken: list[Broken] = []
    ordinals: Counter[tuple[Input, int]] = Counter()
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            source, fields = _routable(line)
        except Rejected as rejected:
            broken.append((number, rejected.reason))
            continue
        partition = partition_of(fields["account_id"], partitions)
        offset = ordinals[source, partition]
        ordinals[source, partition] += 1
        records.append(Recorded(source, partition, offset, None, line, _received_ms(fields)))
    return records, broken


def _routable(line: bytes) -> tuple[Input, Fields]:
    """Return the input of a line and its fields, of which only those that route it are checked.

    Raises:
        Rejected: `not_json` or `wrong_type`.
    """
    fields = parse_json(line)
    if type(fields) is not Members or not holds(fields, ROUTING):
        raise Rejected(RejectReason.WRONG_TYPE)
    source = RECORDED_TYPES.get(fields["type"]) if "type" in fields and "account_id" in fields else None
    if source is None:
        raise Rejected(RejectReason.WRONG_TYPE)
    return source, fields


def _received_ms(fields: Fields) -> int:
    received_ms = instant_ms(fields.get("received_at"))
    return NOT_RECORDED if received_ms is None else received_ms
