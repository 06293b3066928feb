"""Batches that are bytes at once, read by aiokafka as its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from agents.record_batch import HEADER_BYTES, RecordBatch, RowRecords
from schemas.records import NO_ROWS, PackedRows

if TYPE_CHECKING:
    import pytest

STAMP_MS = 1_790_000_000_000
Pair = tuple[bytes, bytes | None]


def rows_of(records: list[tuple[bytes, bytes, bytes]]) -> PackedRows:
    """Return rows with these keys, values and tails."""

    def column(
        place: int,
    ) -> tuple[np.ndarray[tuple[int], np.dtype[np.uint8]], np.ndarray[tuple[int], np.dtype[np.int64]]]:
        parts = [record[place] for record in records]
        return np.frombuffer(b"".join(parts), np.uint8), np.cumsum(
            [len(part) for part in parts], dtype=np.int64
        )

    return PackedRows(*column(0), *column(1), {i: record[2] for i, record in enumerate(records) if record[2]})


def batches_of(
    rows: PackedRows, pairs: list[Pair], bytes_max: int, compression: str | None = None
) -> list[RecordBatch]:
    """Put rows and then pairs into as few batches as they fit in, as a commit does."""
    batches, left = [RecordBatch(bytes_max, compression, STAMP_MS)], RowRecords(rows)
    while left.count:
        batches[-1].add_rows(left)
        if left.count:
            batches.append(RecordBatch(bytes_max, compression, STAMP_MS))
    for key, value in pairs:
        if not batches[-1].add(key, value):
            batches.append(RecordBatch(bytes_max, compression, STAMP_MS))
            assert batches[-1].add(key, value)
    return batches


def read(batch: RecordBatch, sequence: int = 0) -> list[Pair]:
    """Return what aiokafka reads in a batch."""
    batch._set_producer_state(7, 3, sequence)
    found = MemoryRecords(bytes(batch._build())).next_batch()
    assert found is not None
    assert found.validate_crc()
    assert found.is_transactional
    assert (found.producer_id, found.producer_epoch, found.base_sequence) == (7, 3, sequence)
    records = list(found)
    assert [record.offset for record in records] == list(range(batch.record_count()))
    assert {record.timestamp for record in records} <= {STAMP_MS}
    assert all(record.headers in ((), []) for record in records)
    return [(record.key, record.value) for record in records]


SIZES = st.sampled_from([0, 1, 62, 63, 64, 127, 128, 300, 8_191, 8_192])
PART = SIZES.map(lambda size: bytes(i % 251 for i in range(size)))


@given(
    st.lists(st.tuples(PART, PART, PART), max_size=8),
    st.lists(st.tuples(PART, st.none() | PART), max_size=4),
    st.sampled_from([100, 400, 9_000, 1_000_000]),
    st.sampled_from([None, "zstd"]),
)
def test_rows_and_records_are_read_back_in_order(
    records: list[tuple[bytes, bytes, bytes]], pairs: list[Pair], bytes_max: int, compression: str | None
) -> None:
    """Lengths on both sides of where their own length takes a byte more."""
    rows = rows_of(records)
    batches = [b for b in batches_of(rows, pairs, bytes_max, compression) if b.record_count()]
    assert [pair for batch in batches for pair in read(batch, 5)] == rows.pairs() + pairs
    assert all(batch.size() <= bytes_max or batch.record_count() == 1 for batch in batches)


def test_a_batch_is_full_to_the_byte() -> None:
    """A record of a key of 3 and a value of 32 bytes takes 43: length, attributes, time, offset, 2 lengths, headers."""
    rows = rows_of([(b"key", b"v" * 32, b"")] * 10)
    exact = HEADER_BYTES + 10 * 42
    (batch,) = batches_of(rows, [], exact)
    assert (batch.size(), batch.record_count()) == (exact, 10)
    assert [b.record_count() for b in batches_of(rows, [], exact - 1)] == [9, 1]
    assert [b.record_count() for b in batches_of(rows, [(b"k", None)], exact)] == [10, 1]


def test_a_record_that_is_larger_than_a_batch_has_one_of_its_own() -> None:
    rows = rows_of([(b"a", b"x", b""), (b"b", b"y" * 500, b"z" * 500), (b"c", b"x", b"")])
    batches = batches_of(rows, [(b"d", b"w" * 2_000), (b"e", b"")], 200)
    assert [read(batch) for batch in batches] == [
        [(b"a", b"x")], [(b"b", b"y" * 500 + b"z" * 500)], [(b"c", b"x")], [(b"d", b"w" * 2_000)], [(b"e", b"")],
    ]  # fmt: skip


def test_what_does_not_get_smaller_is_not_compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.record_batch.zstd_encode", lambda data: data + b"!")
    (batch,) = batches_of(NO_ROWS, [(b"k", b"v")], 1_000, "zstd")
    assert read(batch) == [(b"k", b"v")]


def test_a_batch_that_is_sent_again_is_the_same() -> None:
    (batch,) = batches_of(rows_of([(b"k", b"v", b"")]), [], 1_000)
    batch._set_producer_state(1, 2, 3)
    assert batch._build() is batch._build()
    assert batch.closed()
