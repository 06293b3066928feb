"""A change of models between two owners of a partition on a real Kafka: the changelog alone carries what is needed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from agents.beside import LAYOUT
from agents.changelog import ChangelogReader
from agents.clients import Connection, transactional_producer
from agents.commit import Committer
from agents.ownership import Ownership, TransactionFence
from agents.partition import Partition
from schemas.errors import StateError
from schemas.records import Batch, Chunk
from schemas.topics import Input, Output
from streams.layout import NOW, STATE_VERSION
from streams.metrics import metric
from tests.auditor.core import program_of
from tests.auditor.scenarios import component, default_policy, model
from tests.delivery.ledger import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.plan import Program
    from tests.delivery.support import Application

pytestmark = pytest.mark.kafka

START_MS = 1_772_323_200_000  # 2026-03-01
DAY_MS = 86_400_000
ACCOUNTS = 3


def counting(*windows: int) -> Program:
    """Return a program whose model counts log-ins in these windows."""
    parts = [
        component(
            f"within_{days}",
            metric={"feature": "count", "source": "logins", "window_days": days},
            ramp=[[0, 0], [days, 100]],
        )
        for days in windows
    ]
    return program_of(default_policy(models=["test"], rules={}), {"test": model(*parts, min_change=1)})


class Worker:
    """An owner of partition 0 that runs a program, as far as Kafka can tell."""

    def __init__(self, application: Application, name: str, program: Program) -> None:
        self.application, self.name, self.program = application, f"{application.name}-{name}", program

    async def start(self) -> Worker:
        connection = Connection(self.application.bootstrap)
        self.producer = await transactional_producer(connection, self.name)
        self.ownership = Ownership(
            self.name,
            Committer(self.producer, self.application.topics, Watcher()),
            fence=TransactionFence(connection),
            open_changelog=lambda: ChangelogReader(connection, self.application.changelog),
            new_partition=lambda number: Partition(self.program, partition=number, partitions=1),
            observer=Watcher(),
        )
        return self

    async def own(self) -> Partition:
        await self.ownership.acquire({0})
        port = self.ownership.holdings[0].port
        assert isinstance(port, Partition)
        return port

    async def work(self, *days: int) -> None:
        """Take a log-in of every account on each of these days, and commit."""
        port = self.ownership.holdings[0].port
        for day in days:
            at = START_MS + day * DAY_MS + 3_600_000
            names = [b"account-%d" % i for i in range(ACCOUNTS)]
            values = [
                b'{"event_id":"%s-%d","account_id":"%s","occurred_at":%d}' % (name, day, name, at)
                for name in names
            ]
            first = port.position(Input.LOGINS) + 1
            offsets, stamps = np.arange(first, first + ACCOUNTS), np.full(ACCOUNTS, -1)
            port.offer(Input.LOGINS, Chunk(names, values, offsets, stamps))
            for topic in Input:
                port.end_reached(topic, at + 600_000)
            while port.step(1_000) or port.due_now():
                pass
            await self.ownership.commit()

    async def vanish(self) -> None:
        await self.producer.stop()


def components(application: Application) -> dict[str, dict[str, str | None]]:
    """Return why each component of each account is missing, by the last view of it."""
    last = {r.key: r.value for r in application.read(application.output(Output.ACCOUNTS))}
    views = [json.loads(value or b"") for value in last.values()]
    return {
        view["account_id"]: {p["name"]: p["missing"] for p in view["scores"][0]["components"]}
        for view in views
    }


async def test_the_next_owner_reads_what_was_written_under_other_models(
    make_application: Callable[[int], Application],
) -> None:
    """
    Owner of one window      days 0 .. 19
    Owner of two windows                  | takes over ... 27: the longer one warms up ... 41: known
    Owner of one window                                                                              | takes over, 42
    """
    application = make_application(1)
    first = await Worker(application, "first", counting(7)).start()
    await first.own()
    await first.work(*range(20))
    second = await Worker(application, "second", counting(7, 28)).start()
    port = await second.own()
    assert len(port.accounts) == ACCOUNTS
    await second.work(20, 27)
    warming = {"within_7": None, "within_28": "warming_up"}
    assert components(application) == {f"account-{i}": warming for i in range(ACCOUNTS)}
    await second.work(40, 41)
    known = {"within_7": None, "within_28": None}
    assert components(application) == {f"account-{i}": known for i in range(ACCOUNTS)}
    records = application.read(application.changelog)
    described = [record.key for record in records if record.key and record.key.startswith(LAYOUT)]
    layouts = [counting(7).layout, counting(7, 28).layout]
    assert described == [LAYOUT + layout.fingerprint for layout in layouts]
    third = await Worker(application, "third", counting(7)).start()
    accounts = (await third.own()).accounts
    await third.work(42)
    now = int(accounts.cells.i64[0, NOW])
    counts = [metric(accounts.cells, accounts.plan, row, 0, now)[0] for row in range(ACCOUNTS)]
    assert counts == [3] * ACCOUNTS, "of the days 40 and 41 under the second owner, and of 42"
    for worker in (first, second, third):
        await worker.vanish()


async def test_an_owner_refuses_what_a_newer_worker_wrote(
    make_application: Callable[[int], Application],
) -> None:
    application = make_application(1)
    newer = await Worker(application, "newer", counting(7)).start()
    port = await newer.own()
    key = LAYOUT + newer.program.layout.fingerprint
    text = b'{"state_version":%d,"columns":[]}' % (STATE_VERSION + 1)
    port._beside.keep(key, text)
    await newer.work(0)
    await newer.ownership.release()
    committer = newer.ownership._committer
    await committer.commit([Batch(0, [(key, text)], [], {}, 0)], {})
    older = await Worker(application, "older", counting(7)).start()
    with pytest.raises(StateError, match=f"state version is {STATE_VERSION + 1}"):
        await older.own()
    for worker in (newer, older):
        await worker.vanish()
