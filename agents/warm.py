"""Compile every function that the shell calls, by a first small use."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import numpy as np

from agents.clients import BATCH_BYTES
from agents.partition import Partition
from agents.record_batch import RecordBatch, RowRecords
from schemas.records import Chunk
from schemas.topics import Input
from streams.clock import ENDLESS_MS

if TYPE_CHECKING:
    from streams.plan import Program

_LOGIN = b'{"event_id":"1","account_id":"a","occurred_at":"2026-01-01T00:00:00Z"}'


def compile_core(program: Program) -> None:
    """Run one event through a partition, and its changelog through another."""
    gc.disable()  # a fifth of a cold compilation otherwise
    try:
        _use(program)
    finally:
        gc.enable()


def _use(program: Program) -> None:
    first = Partition(program, partition=0, partitions=1, keyed=False)
    first.offer(Input.LOGINS, Chunk([None], [_LOGIN], np.zeros(1, np.int64), np.zeros(1, np.int64) - 1))
    for topic in Input:
        first.end_reached(topic, ENDLESS_MS)
    first.step(1)
    first.merge.clock_ms = 1_900_000_000_000
    first.sweep_all()
    batch = first.drain()
    RecordBatch(BATCH_BYTES, None, 0).add_rows(RowRecords(batch.rows))
    records = batch.changelog
    second = Partition(program, partition=0, partitions=1, keyed=False)
    second.load([key for key, _ in records], [value for _, value in records])
    second.loaded()
