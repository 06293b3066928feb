"""What operators are told of a partition: trouble that begins and ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from schemas.outputs import Operation
from schemas.records import OutputRecord
from schemas.topics import Output
from streams.identity import cloud_event, identity
from streams.instants import instant_text

if TYPE_CHECKING:
    from schemas.reasons import Status, Trouble


class Notice(NamedTuple):
    """Trouble with a topic that began at ``since_ms``, as of ``at_ms``; ``seen`` is the ``count`` of ``Operation``."""

    kind: Trouble
    subject: str
    status: Status
    at_ms: int
    since_ms: int
    limit: int
    seen: int


def notice_record(partition: int, notice: Notice) -> OutputRecord:
    """Return a notice as a record of the topic ``operations``."""
    kind, subject, status, at_ms, since_ms, limit, seen = notice
    operation = Operation(
        operation_id=identity("operation", kind, subject, partition, since_ms, status),
        kind=kind,
        subject=subject,
        partition=partition,
        status=status,
        effective_at=instant_text(at_ms),
        since=instant_text(since_ms),
        limit=limit,
        count=seen,
    )
    headers = cloud_event(Output.OPERATIONS, kind, operation.operation_id, operation.effective_at)
    return OutputRecord(Output.OPERATIONS, subject.encode(), msgspec.json.encode(operation), headers)
