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

from agents.numba_cache import use_cache
from benchmarks import feeds
from benchmarks.known_accounts import COMPUTED, EVENTS, computed, rows_of, under_names
from benchmarks.processes import memory_mib

if TYPE_CHECKING:
    from agents.partition import Partition
    from streams.plan import Program

END_MS: Final = 1_790_000_000_000


def main(accounts: int) -> None:
    """Measure and tell."""
    use_cache()
    from agents.program import load_program  # noqa: PLC0415 - after the cache is chosen

    program = load_program("default")
    last_day = feeds.events(EVENTS, COMPUTED, END_MS - feeds.DAY_MS, END_MS, 1)
    values, _ = rows_of(computed(program, END_MS - feeds.DAY_MS, (last_day, END_MS)), 1)
    before = memory_mib(os.getpid(), "VmRSS")
    partition, mib = loaded(program, values, accounts), memory_mib(os.getpid(), "VmRSS") - before
    pauses, cpu, outputs = midnight(partition, (END_MS // feeds.DAY_MS + 1) * feeds.DAY_MS)
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


def loaded(program: Program, values: list[bytes], accounts: int) -> Partition:
    """Return a partition with so many accounts."""
    from agents.partition import Partition  # noqa: PLC0415

    partition = Partition(program, partition=0, partitions=1)
    for keys, some in under_names(values, accounts):
        partition.load(keys, list(some))
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
