"""A worker process over the counting fold: ``python -m tests.delivery.worker_main '{"bootstrap": ...}'``."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.clients import Connection
from agents.delivery import WorkerSettings, leave
from agents.ports import NullObserver
from agents.worker_app import build_app, run
from tests.delivery.fold import UNKNOWN_MS, FoldPartition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents.ports import Commit
    from schemas.topics import Input

WATCH_EVERY_S = 0.05


class Journal(NullObserver):
    """One JSON line on standard output per operational event, and the clock a few times a second."""

    def __init__(self) -> None:
        self.ports: dict[int, FoldPartition] = {}
        self.events = 0

    def new_partition(self, number: int) -> FoldPartition:
        self.ports[number] = FoldPartition(number)
        return self.ports[number]

    def on_committed(self, commit: Commit) -> None:
        self.events += commit.events
        self._say(committed=self.events, took=commit.seconds, size=commit.record_bytes)

    def on_fenced(self, transactional_id: str) -> None:
        self._say(fenced=transactional_id)

    def on_lag(self, lag: Mapping[Input, int]) -> None:
        self._say(lag=sum(lag.values()))

    def on_stale(self, rows: int) -> None:
        self._say(stale=rows)

    def on_loaded(self, partition: int, records: int, seconds: float) -> None:
        self._say(loaded=partition, records=records, took=seconds)

    def on_acquired(self, partitions: frozenset[int], seconds: float) -> None:
        self._say(acquired=sorted(partitions), took=seconds)

    def on_released(self, partitions: frozenset[int]) -> None:
        self._say(released=sorted(partitions))

    async def watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            clock_ms = min((port.clock_ms for port in self.ports.values()), default=UNKNOWN_MS)
            counted = sum(sum(map(sum, port.counts.values())) for port in self.ports.values())
            self._say(clock_ms=clock_ms, counted=counted)

    def _say(self, **event: Any) -> None:
        line = {"at": time.time(), "cpu": time.process_time(), **event}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


async def work(settings: WorkerSettings, *, watched: bool) -> int:
    journal = Journal()
    watching = asyncio.create_task(journal.watch()) if watched else None
    code = await run(build_app(settings, journal.new_partition, observer=journal))
    if watching is not None:
        watching.cancel()
    return code


def main() -> None:
    options = json.loads(sys.argv[1])
    logging.basicConfig(level="WARNING", format="%(asctime)s %(name)s %(message)s")
    watched = options.pop("watched", False)
    connection = Connection(options.pop("bootstrap"), check_crcs=options.pop("check_crcs", True))
    settings = WorkerSettings(connection=connection, datadir=Path(options.pop("datadir")), **options)
    leave(asyncio.run(work(settings, watched=watched)))


if __name__ == "__main__":
    main()
