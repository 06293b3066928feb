"""Compile every function that the shell calls, by a first small use."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from agents.clients import BATCH_BYTES
from agents.partition import Partition
from agents.record_batch import RecordBatch, RowRecords
from schemas.control import MergeAccounts, control_key
from schemas.records import Chunk
from schemas.topics import Input
from streams.clock import ENDLESS_MS
from streams.control import ControlLine
from streams.days import DAY_MS

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
    _merge(first)
    RecordBatch(BATCH_BYTES, None, 0).add_rows(RowRecords(batch.rows))
    records = batch.changelog
    second = Partition(program, partition=0, partitions=1, keyed=False)
    second.load([key for key, _ in records], [value for _, value in records])
    second.loaded()


def _merge(machine: Partition) -> None:
    """Let the account of the login become another one's."""
    at_ms = machine.clock_ms + 1
    merge = MergeAccounts(id="warm", effective_at=at_ms, old="a", new="b")
    lines = [ControlLine(0, control_key(merge), msgspec.json.encode(merge))]
    for _ in range(2):
        machine.take_control(lines)
        machine.merge.clock_ms = at_ms = at_ms + DAY_MS
        machine.sweep_all()
        lines = [ControlLine(1, key, value) for key, value in machine.drain().control]
