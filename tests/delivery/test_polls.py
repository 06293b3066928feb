"""What fetched records become: a chunk with the offset that each of them has."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from faust.types import TP

from agents.polls import polled


@pytest.mark.parametrize("offsets", [[7], [7, 8, 9], [7, 9], [7, 8, 11]], ids=str)
def test_a_record_keeps_its_offset_also_after_markers_and_records_that_are_gone(offsets: list[int]) -> None:
    records = [
        SimpleNamespace(
            key=b"k%d" % at, value=None if at == 9 else b"v%d" % at, offset=at, timestamp=100 * at
        )
        for at in offsets
    ]
    made = polled(TP("logins", 3), 5, 12, records)
    assert (made.topic, made.partition, made.start, made.end) == ("logins", 3, 5, 12)
    assert made.records.offsets.tolist() == offsets
    assert made.records.timestamps.tolist() == [100 * at for at in offsets]
    assert made.records.keys == [record.key for record in records]
    assert made.records.values == [record.value for record in records]
    assert made.value_bytes == sum(len(record.value) for record in records if record.value)
