"""Batches of changelog records in Kafka's format: those of many accounts at once, without an object for each.

    header 61 bytes | record: length, 0, 0, offset, key length, key, value length, value, 0 | record ...

Lengths and offsets are variable-length integers (zigzag, seven bits a byte). aiokafka's own builder takes records one by
one. The format: https://kafka.apache.org/documentation/#recordbatch (magic 2).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import google_crc32c
import numpy as np
from aiokafka.codec import zstd_encode
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.util import encode_varint, size_of_varint

from streams.compiled import copy, entry, int64, kernel

if TYPE_CHECKING:
    import numpy.typing as npt

    from schemas.records import PackedRows

    Bytes = npt.NDArray[np.uint8]
    Ends = npt.NDArray[np.int64]

_HEAD: Final = struct.Struct(">qiibI")
"""Base offset, length, leader epoch, magic, checksum of what follows."""
_COUNTED: Final = struct.Struct(">hiqqqhii")
"""Attributes, last offset, first and last time, producer, its epoch, first sequence number, number of records."""
HEADER_BYTES: Final = _HEAD.size + _COUNTED.size
LENGTH_FROM: Final = 12
"""The length counts from here."""
MAGIC: Final = 2
TRANSACTIONAL, ZSTD = 0x10, 0x04
NO_EPOCH: Final = -1
SEVEN_BITS: Final = 0x7F
MORE: Final = 0x80
AT, FIRST, OFFSET = range(3)


@kernel
def _size_of(number: int) -> int:
    """Return how many bytes a number >= 0 takes as a variable-length integer."""
    left, size = int64(number) << int64(1), int64(1)
    while left > SEVEN_BITS:
        left >>= int64(7)
        size += 1
    return size


@kernel
def _put(out: Bytes, at: int, number: int) -> int:
    """Write a number >= 0 as a variable-length integer; return where it ends."""
    left = int64(number) << int64(1)
    while left > SEVEN_BITS:
        out[at] = (left & SEVEN_BITS) | MORE
        left >>= int64(7)
        at += 1
    out[at] = left
    return at + 1


@kernel
def _begin(ends: Ends, i: int) -> int:
    return ends[i - 1] if i > 0 else int64(0)


@entry
def put_rows(
    keys: Bytes,
    key_ends: Ends,
    values: Bytes,
    value_ends: Ends,
    tails: Bytes,
    tail_ends: Ends,
    out: Bytes,
    cursor: Ends,
) -> None:
    """Write records behind each other until one does not fit.

    Args:
        keys: (bytes,) uint8, of all records.
        key_ends: (n,) int64, where that of each record ends.
        values: (bytes,) uint8, of all records.
        value_ends: (n,) int64, where that of each record ends.
        tails: (bytes,) uint8, what the values go on with.
        tail_ends: (n,) int64, where that of each record ends.
        out: (bytes,) uint8.
        cursor: (3,) int64: where in ``out`` the next record begins, which one it is, and its offset in the batch; moved on.
    """
    at, i, offset = cursor[AT], cursor[FIRST], cursor[OFFSET]
    while i < len(key_ends):
        key_at, value_at, tail_at = _begin(key_ends, i), _begin(value_ends, i), _begin(tail_ends, i)
        key_size, row_size, tail_size = key_ends[i] - key_at, value_ends[i] - value_at, tail_ends[i] - tail_at
        value_size = row_size + tail_size
        size = 3 + _size_of(offset) + _size_of(key_size) + key_size + _size_of(value_size) + value_size
        if at + _size_of(size) + size > len(out):
            break
        at = _put(out, at, size)
        out[at], out[at + 1] = 0, 0
        at = _put(out, at + 2, offset)
        at = _put(out, at, key_size)
        copy(out, at, keys, key_at, key_size)
        at = _put(out, at + key_size, value_size)
        copy(out, at, values, value_at, row_size)
        copy(out, at + row_size, tails, tail_at, tail_size)
        at += value_size
        out[at] = 0
        at += 1
        i += 1
        offset += 1
    cursor[AT], cursor[FIRST], cursor[OFFSET] = at, i, offset


class RowRecords:
    """The records of rows, to be put into batches in order."""

    def __init__(self, rows: PackedRows) -> None:
        self.count = len(rows.key_ends)
        tails = np.zeros(self.count, np.int64)
        tails[list(rows.tails)] = list(map(len, rows.tails.values()))
        told = np.frombuffer(b"".join(rows.tails[i] for i in sorted(rows.tails)), np.uint8)
        self._columns = (rows.keys, rows.key_ends, rows.values, rows.value_ends, told, np.cumsum(tails))
        self._next = 0

    def put(self, out: Bytes, at: int, offset: int) -> int:
        """Write as many as fit, from byte ``at`` of ``out`` and ``offset`` on; return where they end."""
        cursor = np.array([at, self._next, offset], np.int64)
        put_rows(*self._columns, out, cursor)
        self.count -= int(cursor[FIRST]) - self._next
        self._next = int(cursor[FIRST])
        return int(cursor[AT])

    def next_size(self) -> int:
        """Return how many bytes the next one takes as the first of a batch."""
        at = self._next
        key, row, tail = (int(ends[at] - (ends[at - 1] if at else 0)) for ends in self._columns[1::2])
        size: int = 4 + sum(size_of_varint(part) + part for part in (key, row + tail))
        return size + int(size_of_varint(size))


class RecordBatch(BatchBuilder):
    """A batch of a transaction for aiokafka's producer, all of it of one time.

    A record that is larger than a batch may be has one of its own.
    """

    def __init__(self, bytes_max: int, compression: str | None, timestamp_ms: int) -> None:
        """Begin one.

        Args:
            bytes_max: of the whole batch, before compression.
            compression: None or "zstd".
            timestamp_ms: of all its records.
        """
        self._out: Bytes = np.empty(bytes_max, np.uint8)
        self._size, self._count = HEADER_BYTES, 0
        self._compression, self._timestamp_ms = compression, timestamp_ms
        self._producer = (-1, -1, 0)
        self._built: memoryview | None = None

    def add_rows(self, rows: RowRecords) -> None:
        """Add as many as fit."""
        before = rows.count
        self._size = rows.put(self._out, self._size, self._count)
        if rows.count == before and before and not self._count:
            self._out = np.empty(HEADER_BYTES + rows.next_size(), np.uint8)
            self._size = rows.put(self._out, self._size, self._count)
        self._count += before - rows.count

    def add(self, key: bytes, value: bytes | None) -> bool:
        """Add a record if it fits; a value of None is a tombstone."""
        body = bytearray(2)
        encode_varint(self._count, body.append)
        for part in (key, value):
            encode_varint(-1 if part is None else len(part), body.append)
            body += part or b""
        body.append(0)
        head = bytearray()
        encode_varint(len(body), head.append)
        record = head + body
        end = self._size + len(record)
        if end > len(self._out):
            if self._count:
                return False
            self._out = np.empty(end, np.uint8)
        self._out[self._size : end] = np.frombuffer(record, np.uint8)
        self._size = end
        self._count += 1
        return True

    # -- what aiokafka's producer asks of a batch ---------------------------------------------------------------------

    def close(self) -> None:
        """Nothing is added any more."""

    def closed(self) -> bool:
        """Return whether nothing is added any more: always, once the producer has it."""
        return True

    def size(self) -> int:
        """Return its bytes, before compression."""
        return self._size

    def record_count(self) -> int:
        """Return how many records there are."""
        return self._count

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._producer = (producer_id, producer_epoch, base_sequence)

    def _build(self) -> memoryview:
        if self._built is None:
            self._built = self._whole()
            self._out = self._out[:0]  # nothing is written into what was handed over
        return self._built

    def _whole(self) -> memoryview:
        """Write the header before the records, where they lie."""
        whole, attributes = memoryview(self._out)[: self._size], TRANSACTIONAL  # type: ignore[arg-type]
        if self._compression is not None:
            packed = zstd_encode(bytes(whole[HEADER_BYTES:]))
            if HEADER_BYTES + len(packed) < len(whole):
                whole, attributes = whole[: HEADER_BYTES + len(packed)], TRANSACTIONAL | ZSTD
                whole[HEADER_BYTES:] = packed
        time_ms, last = self._timestamp_ms, self._count - 1
        fields = (attributes, last, time_ms, time_ms, *self._producer, self._count)
        _COUNTED.pack_into(whole, _HEAD.size, *fields)
        checksum = google_crc32c.value(bytes(whole[_HEAD.size :]))  # it takes nothing but bytes
        _HEAD.pack_into(whole, 0, 0, len(whole) - LENGTH_FROM, NO_EPOCH, MAGIC, checksum)
        return whole
