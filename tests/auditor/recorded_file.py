"""A recorded file: one event a line, routed to the partition of its account as a producer would."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from schemas.events import RECORDED_TYPES
from schemas.reasons import RejectReason
from tests.auditor.event import Recorded
from tests.auditor.exact import partition_of
from tests.auditor.wire import Fields, Rejected, instant_ms, is_account_id, is_text, parse_json

if TYPE_CHECKING:
    from schemas.topics import Input

NOT_RECORDED = -1

Broken = tuple[int, RejectReason]


def read_recorded(content: bytes, partitions: int) -> tuple[list[Recorded], list[Broken]]:
    """Return the records of a file, and the lines (counted from 1) that belong to no input or account.

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
        Rejected: `not_json`, `wrong_type` or `bad_account_id`.
    """
    fields = parse_json(line)
    source = (
        RECORDED_TYPES.get(fields["type"]) if type(fields) is dict and is_text(fields.get("type")) else None
    )
    if source is None:
        raise Rejected(RejectReason.WRONG_TYPE)
    account_id = fields.get("account_id")
    if not is_text(account_id) or not is_account_id(account_id):
        raise Rejected(RejectReason.BAD_ACCOUNT_ID)
    return source, fields


def _received_ms(fields: Fields) -> int:
    received_ms = instant_ms(fields.get("received_at"))
    return NOT_RECORDED if received_ms is None else received_ms
