"""Recovery of very many accounts from a changelog on a real Kafka: from joining until the partitions are owned.

The changelog is written in the worker's own format: ten thousand accounts are computed and written again and again under
other names, so that nobody has to read a history.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from agents.clients import Connection, transactional_producer
from agents.commit import Committer, DeliveryTopics
from agents.ports import NullObserver
from agents.program import load_program
from benchmarks import feeds
from benchmarks.known_accounts import COMPUTED, EVENTS, computed, rows_of
from benchmarks.processes import cpu_s, memory_mib
from benchmarks.worker import PARTITIONS, Worker
from schemas.records import Batch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agents.commit import Pair
    from agents.settings import Settings

ROWS_AT_ONCE: Final = 2_000
"""Rows of a partition in one transaction."""
_OWNS: Final = re.compile(r"owns partitions .* after ([\d.]+) s of recovery")


class Recovery(NamedTuple):
    """Seconds from the assignment to owned partitions, processor seconds of the worker until then, its peak memory.

    ``snapshots`` is how many were read.
    """

    seconds: float
    cpu_s: float
    peak_mib: float
    snapshots: int


def filled(broker: str, folder: Path, accounts: int) -> Worker:
    """Return a worker, not started, with a changelog of so many accounts."""
    worker = Worker(broker, folder, "default")
    asyncio.run(_fill(worker.settings, accounts))
    return worker


def recovery(worker: Worker) -> Recovery:
    """Start the worker, let it recover from the changelog alone, and end it where it is."""
    shutil.rmtree(worker.datadir / "snapshots", ignore_errors=True)
    return _recovery(worker)


def recovery_by_snapshot(worker: Worker) -> Recovery:
    """The same with the snapshots that an orderly stop left."""
    if not (worker.datadir / "snapshots").exists():
        _recovery(worker, Worker.stop)
    found = _recovery(worker)
    if found.snapshots != PARTITIONS:
        raise RuntimeError(f"{found.snapshots} of {PARTITIONS} snapshots were read")
    return found


def _recovery(worker: Worker, end: Callable[[Worker], None] = Worker.kill) -> Recovery:
    worker.log.unlink(missing_ok=True)
    worker.start()
    worker.wait_for_line("core ready")
    before = cpu_s(worker.pid)
    worker.wait_for_line("owns partitions")
    said = worker.log.read_text()
    found = Recovery(
        float(_OWNS.findall(said)[-1]),
        cpu_s(worker.pid) - before,
        memory_mib(worker.pid),
        said.count("snapshot read"),
    )
    end(worker)
    return found


async def _fill(settings: Settings, accounts: int) -> None:
    end_ms = time.time_ns() // 1_000_000
    last_day = feeds.events(EVENTS, COMPUTED, end_ms - feeds.DAY_MS, end_ms, 1)
    rows, said = rows_of(
        computed(load_program("default"), end_ms - feeds.DAY_MS, (last_day, end_ms)), PARTITIONS
    )
    producer = await transactional_producer(Connection(settings.broker), f"{settings.topic_prefix}fill")
    topic = settings.changelog
    committer = Committer(producer, DeliveryTopics(topic, {}), NullObserver())
    for partition in range(PARTITIONS):
        await committer.commit([Batch(partition, said, [], {}, 0)])
    for first in range(0, accounts, PARTITIONS * ROWS_AT_ONCE):
        batches = []
        for partition in range(PARTITIONS):
            start = first + partition * ROWS_AT_ONCE
            numbers = range(start, min(start + ROWS_AT_ONCE, accounts))
            pairs: list[Pair] = [(b"account-%07d" % n, rows[n % len(rows)]) for n in numbers]
            batches.append(Batch(partition, pairs, [], {}, 0))
        await committer.commit(batches)
    await committer.stop()
