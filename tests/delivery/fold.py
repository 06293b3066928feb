"""A partition with a trivial fold: counts events by account and input, and tells every k-th one.

What it puts out depends only on the order within an account and input, so a run with crashes must equal a run
without, whatever the order between inputs.
"""

from __future__ import annotations

import json
from collections import deque
from struct import Struct
from typing import TYPE_CHECKING

import numpy as np

from schemas.records import Batch, Chunk, OutputRecord, Snapshot
from schemas.topics import Input, Output

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streams.control import ControlLine

EVERY = 10
ROW = Struct("<5I")
PADDING = b"\0" * 130
POSITION = b"\0pos:%d"
UNKNOWN_MS = -1


class FoldPartition:
    """The smallest honest ``PartitionPort``."""

    waiting = False
    layout = b"counts"
    control_next = 0

    def __init__(self, partition: int, every: int = EVERY) -> None:
        self.partition, self.every = partition, every
        self.queued = 0
        self.clock_ms = UNKNOWN_MS
        self.halted: Input | None = None
        self.counts: dict[bytes, list[int]] = {}
        self.ends_ms: dict[Input, int] = {}
        self.gave_up = 0
        self._positions = dict.fromkeys(Input, -1)
        self._queue: deque[tuple[Input, Chunk, int]] = deque()
        self._dirty: set[bytes] = set()
        self._moved: set[Input] = set()
        self._outputs: list[OutputRecord] = []
        self._events = 0

    @property
    def pending_bytes(self) -> int:
        return len(self._dirty) * (ROW.size + len(PADDING)) + sum(
            len(output.value) for output in self._outputs
        )

    def offer(self, topic: Input, chunk: Chunk) -> None:
        self._queue.append((topic, chunk, 0))
        self.queued += len(chunk.keys)

    def take_control(self, lines: Iterable[ControlLine]) -> dict[Input, int]:
        for line in lines:
            self.control_next = line.offset + 1
        return {}

    def end_reached(self, topic: Input, at_ms: int) -> None:
        self.ends_ms[topic] = at_ms

    def step(self, rows_max: int) -> int:
        done = 0
        while self._queue and done < rows_max:
            topic, chunk, start = self._queue.popleft()
            stop = min(len(chunk.keys), start + rows_max - done)
            self._fold(topic, chunk.keys[start:stop], chunk.values[start:stop])
            self._positions[topic] = int(chunk.offsets[stop - 1])
            self._moved.add(topic)
            done += stop - start
            if stop < len(chunk.keys):
                self._queue.appendleft((topic, chunk, stop))
        self.queued -= done
        self._events += done
        if not self._queue and len(self.ends_ms) == len(Input):
            self.clock_ms = max(self.clock_ms, min(self.ends_ms.values()))
        return done

    def give_up_waiting(self) -> None:
        self.gave_up += 1

    def due_now(self) -> bool:
        return False

    def drain(self) -> Batch:
        rows = [(key, ROW.pack(*self.counts[key]) + PADDING) for key in sorted(self._dirty)]
        moved = [(POSITION % topic, b"%d" % self._positions[topic]) for topic in sorted(self._moved)]
        batch = Batch(self.partition, [*rows, *moved], self._outputs, dict(self._positions), self._events)
        self._dirty, self._moved, self._outputs, self._events = set(), set(), [], 0
        return batch

    def load(self, keys: list[bytes], values: list[bytes | None]) -> None:
        for key, value in zip(keys, values, strict=True):
            assert value is not None
            if key[0]:
                self.counts[key] = list(ROW.unpack_from(value))
            else:
                self._positions[Input(int(key.removeprefix(POSITION[:5])))] = int(value)

    def saved(self) -> Snapshot:
        keys = sorted(self.counts)
        rows = np.array([list(ROW.pack(*self.counts[key])) for key in keys], np.uint8)
        positions = [(POSITION % topic, b"%d" % at) for topic, at in self._positions.items() if at >= 0]
        return Snapshot(self.layout, keys, rows.reshape(len(keys), ROW.size), {}, [], positions)

    def restore(self, saved: Snapshot) -> None:
        self.load(saved.keys, [row.tobytes() for row in saved.rows])
        self.load([key for key, _ in saved.others], [value for _, value in saved.others])

    def loaded(self) -> None:
        pass

    def position(self, topic: Input) -> int:
        return self._positions[topic]

    def _fold(self, topic: Input, keys: Sequence[bytes | None], values: Sequence[bytes | None]) -> None:
        rank, every = int(topic), self.every
        for key, value in zip(keys, values, strict=True):
            assert key is not None
            counts = self.counts.get(key)
            if counts is None:
                counts = self.counts[key] = [0, 0, 0, 0, 0]
            counts[rank] += 1
            self._dirty.add(key)
            if counts[rank] % every == 0:
                self._outputs.append(told(key, rank, counts[rank], value))


def told(account: bytes, rank: int, count: int, value: bytes | None) -> OutputRecord:
    """Return what is told of the ``count``-th event of an account and input."""
    payload = {"account": account.decode(), "input": rank, "count": count, "event": (value or b"").decode()}
    return OutputRecord(
        Output.SCORE_CHANGES, account, json.dumps(payload).encode(), (("ce_id", b"%d-%d" % (rank, count)),)
    )
