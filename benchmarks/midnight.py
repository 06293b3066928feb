"""A midnight of very many accounts in one partition: bounded steps, and memory per account. In a process of its own.

Run as ``python -m benchmarks.midnight ACCOUNTS``; tells a line of JSON. Every account has log-ins on six days and some of a
day's events; ten thousand of them are computed and then loaded again and again under other names, as from a changelog.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Final

import numpy as np

from agents.numba_cache import use_cache
from benchmarks.processes import memory_mib

if TYPE_CHECKING:
    from agents.partition import Partition
    from streams.plan import Program

END_MS: Final = 1_790_000_000_000
COMPUTED: Final = 10_000
EVENTS: Final = 100_000
CHUNK: Final = 5_000


def main(accounts: int) -> None:
    """Measure and tell."""
    use_cache()
    from agents.program import load_program  # noqa: PLC0415 - after the cache is chosen

    program = load_program("default")
    records = computed(program, END_MS)
    values = [value for key, value in records if value is not None and key[0] != 0]
    before = memory_mib(os.getpid(), "VmRSS")
    partition, mib = loaded(program, values, accounts), memory_mib(os.getpid(), "VmRSS") - before
    day = 86_400_000
    pauses, cpu, outputs = midnight(partition, (END_MS // day + 1) * day)
    print(
        json.dumps(
            {
                "accounts": len(partition.accounts),
                "bytes_per_account": mib * 1024 * 1024 / accounts,
                "row_bytes": program.layout.dtype.itemsize,
                "longest_pause_ms": max(pauses) * 1000,
                "steps": len(pauses),
                "cpu_s_per_million": cpu / accounts * 1e6,
                "outputs_per_account": outputs / accounts,
            }
        )
    )


def computed(program: Program, end_ms: int) -> list[tuple[bytes, bytes | None]]:
    """Return the changelog of ``COMPUTED`` accounts with a history and a day of events up to ``end_ms``."""
    from agents.partition import Partition  # noqa: PLC0415
    from benchmarks import feeds  # noqa: PLC0415
    from schemas.records import Chunk  # noqa: PLC0415
    from schemas.topics import Input  # noqa: PLC0415

    partition = Partition(program, partition=0, partitions=1)
    offsets = dict.fromkeys(Input, 0)
    start_ms = end_ms - feeds.DAY_MS
    for feed, until_ms in (
        (feeds.history(COMPUTED, start_ms), start_ms),
        (feeds.events(EVENTS, COMPUTED, start_ms, end_ms, 1), end_ms),
    ):
        taken: dict[Input, list[tuple[bytes, bytes]]] = {topic: [] for topic in Input}
        for topic, key, value, _ in feed:
            taken[topic].append((key, value))
        for topic, records in taken.items():
            for first in range(0, len(records), CHUNK):
                keys, bodies = zip(*records[first : first + CHUNK], strict=True)
                numbers = np.arange(offsets[topic], offsets[topic] + len(keys))
                partition.offer(topic, Chunk(keys, bodies, numbers, np.full(len(keys), -1)))
                offsets[topic] += len(keys)
            partition.end_reached(topic, until_ms)
        while partition.step(EVENTS) or partition.due_now():
            pass
    return partition.drain().changelog


def loaded(program: Program, values: list[bytes], accounts: int) -> Partition:
    """Return a partition with so many accounts."""
    from agents.partition import Partition  # noqa: PLC0415

    partition = Partition(program, partition=0, partitions=1)
    for first in range(0, accounts, len(values)):
        keys = [b"account-%07d" % number for number in range(first, first + len(values))]
        partition.load(keys, list(values))
    partition.loaded()
    return partition


def midnight(partition: Partition, at_ms: int) -> tuple[list[float], float, int]:
    """Let it become ``at_ms``; return the seconds of every step, the processor seconds, and the outputs."""
    from schemas.topics import Input  # noqa: PLC0415

    began, pauses, outputs = time.process_time(), [], 0
    for topic in Input:
        partition.end_reached(topic, at_ms + partition.grace_ms)
    while True:
        start = time.perf_counter()
        partition.step(EVENTS)
        pauses.append(time.perf_counter() - start)
        outputs += len(partition.drain().outputs) if len(pauses) % 50 == 0 else 0
        if not partition.due_now():
            break
    outputs += len(partition.drain().outputs)
    return pauses, time.process_time() - began, outputs


if __name__ == "__main__":
    main(int(sys.argv[1]))
