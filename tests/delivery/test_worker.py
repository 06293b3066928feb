"""The whole worker, Faust included, in a process of its own on a real Kafka."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from schemas.topics import Input, Output
from tests.delivery.fold import EVERY, ROW, told
from tests.delivery.support import WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from schemas.records import OutputRecord
    from tests.delivery.support import Application

    Event = tuple[Input, int, bytes, bytes]

pytestmark = pytest.mark.kafka

SESSION_S = 6.0
"""The shortest that a broker allows: a killed worker's partitions are free after it."""
START_S = 30.0
EVENTS_PER_S = 6_000


def make_events(count: int, partitions: int, accounts: int = 500) -> list[Event]:
    """Return seeded events (input, partition, account, payload)."""
    chance = random.Random(count)
    events = []
    for number in range(count):
        account = chance.randrange(accounts)
        topic = chance.choice([*Input])
        events.append((topic, account % partitions, b"account-%d" % account, b"event-%d" % number))
    return events


def expected_outputs(events: list[Event]) -> dict[tuple[bytes, Input], list[OutputRecord]]:
    """Return what a fold without any crash tells, by account and input."""
    counts: Counter[tuple[bytes, Input]] = Counter()
    outputs: dict[tuple[bytes, Input], list[OutputRecord]] = defaultdict(list)
    for topic, _, account, payload in events:
        counts[account, topic] += 1
        if counts[account, topic] % EVERY == 0:
            outputs[account, topic].append(told(account, topic, counts[account, topic], payload))
    return outputs


def assert_exactly_once(application: Application, events: list[Event]) -> None:
    """Compare every payload, header, key, partition and order, and the final state in the changelog."""
    expected = expected_outputs(events)
    position = {account: partition for _, partition, account, _ in events}
    seen: dict[tuple[bytes, Input], list[OutputRecord]] = defaultdict(list)
    by_payload = {output.value: key for key, outputs in expected.items() for output in outputs}
    for record in application.read(application.output(Output.SCORE_CHANGES)):
        assert record.key is not None
        assert record.value is not None
        assert record.partition == position[record.key]
        like = expected[by_payload[record.value]][0]
        seen[by_payload[record.value]].append(like._replace(value=record.value, headers=record.headers))
    assert seen == expected
    rows = {record.key: record.value for record in application.read(application.changelog)}
    counts = {key: ROW.unpack_from(value or b"") for key, value in rows.items() if key and key[0]}
    totals = Counter((account, topic) for topic, _, account, _ in events)
    assert counts == {account: tuple(totals[account, topic] for topic in Input) for account in position}


def test_killed_twice_at_work_and_nothing_is_lost_or_told_twice(
    make_application: Callable[[int], Application], tmp_path: Path
) -> None:
    """
    First worker    work ... kill -9
    Second worker                    session expires, fence, load, work ... kill -9
    Third worker                                                                    ... work, SIGTERM: exit 0
    """
    application, events = make_application(3), make_events(30_000, 3)
    application.produce(events)
    done, unread = 0, []
    for _ in range(2):
        with WorkerProcess(
            application, tmp_path, max_events_per_s=EVENTS_PER_S, session_timeout_s=SESSION_S
        ) as worker:
            worker.until("acquired", timeout_s=START_S)
            worker.until_committed(8_000)
            unread.append(worker.until("lag")["lag"])
            worker.signal(signal.SIGKILL)
            assert worker.wait() == -signal.SIGKILL
        commits = [entry["committed"] for entry in worker.journal if entry.get("committed")]
        assert len(commits) >= 10, "a throttled worker commits every interval"
        done += commits[-1]
        assert done < len(events), "the kill landed in the work"
    with WorkerProcess(application, tmp_path, session_timeout_s=SESSION_S) as worker:
        fenced = worker.until("fenced", timeout_s=START_S)
        assert fenced["fenced"].startswith(application.name)
        assert sum(worker.until("loaded")["records"] for _ in range(3)) > 0
        _until_all_committed(worker, application, events)
        assert len(events) > unread[0] > 0, "polls are bounded: the first worker had not yet read everything"
        worker.until("lag", lag=0)
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
        assert worker.journal_has("released")
        assert worker.errors == ""
    assert_exactly_once(application, events)


def test_a_second_worker_joins_and_leaves_and_one_is_stopped_for_longer_than_its_session(
    make_application: Callable[[int], Application], tmp_path: Path
) -> None:
    """
    One     work ............... SIGSTOP ~~~~~~~~~~~~~~~ SIGCONT: fenced, exit 13
    Other          joins, work ........ takes over, work .................... SIGTERM: exit 0
    """
    application, events = make_application(4), make_events(48_000, 4)
    application.produce(events)
    options = {"session_timeout_s": SESSION_S, "max_events_per_s": 2_000}
    with WorkerProcess(application, tmp_path / "one", **options) as one:
        one.until("acquired", acquired=[0, 1, 2, 3], timeout_s=START_S)
        one.until_committed(2_000)
        with WorkerProcess(
            application, tmp_path / "other", **{**options, "max_events_per_s": 8_000}
        ) as other:
            assert len(other.until("acquired", timeout_s=START_S)["acquired"]) == 2
            assert one.until("released")["released"] == [0, 1, 2, 3]
            assert len(one.until("acquired")["acquired"]) == 2
            one.until_committed(7_000)  # beyond what was queued when the other one came
            one.signal(signal.SIGSTOP)
            other.until("fenced", timeout_s=START_S)
            other.until("acquired", acquired=[0, 1, 2, 3], timeout_s=START_S)
            one.signal(signal.SIGCONT)
            assert one.wait() == 13
            assert "ProducerFenced" in one.errors
            _until_all_committed(other, application, events)
            other.signal(signal.SIGTERM)
            assert other.wait() == 0
    assert_exactly_once(application, events)


def test_the_clock_of_an_idle_worker_follows_the_wall(
    make_application: Callable[[int], Application], tmp_path: Path
) -> None:
    with WorkerProcess(make_application(2), tmp_path, watched=True) as worker:
        worker.until("acquired", timeout_s=START_S)
        while worker.until("clock_ms")["clock_ms"] < 0:
            pass
        entries = [worker.until("clock_ms") for _ in range(40)]
        behind_ms = [entry["at"] * 1000 - entry["clock_ms"] for entry in entries]
        assert max(behind_ms) < 500
        assert len({entry["clock_ms"] for entry in entries}) >= 10
        worker.signal(signal.SIGINT)
        assert worker.wait() == 0
    assert all(
        earlier["clock_ms"] <= later["clock_ms"] for earlier, later in zip(entries, entries[1:], strict=False)
    )


async def test_the_clock_stands_while_an_input_has_an_open_transaction(
    make_application: Callable[[int], Application], tmp_path: Path
) -> None:
    """The end of an input is its highwater, not its last stable offset: records may be in the making."""
    application = make_application(1)
    source = AIOKafkaProducer(
        bootstrap_servers=application.bootstrap, transactional_id=f"{application.name}-source"
    )
    await source.start()
    with WorkerProcess(application, tmp_path, watched=True, isolation_level="read_committed") as worker:
        worker.until("acquired", timeout_s=START_S)
        while worker.until("clock_ms")["clock_ms"] < 0:
            pass
        await source.begin_transaction()
        await source.send_and_wait(application.input(Input.LOGINS), b"event", key=b"acme", partition=0)
        opened_ms = time.time() * 1000
        held = [worker.until("clock_ms") for _ in range(30)][-1]
        assert held["clock_ms"] <= opened_ms
        assert held["counted"] == 0
        await source.commit_transaction()
        after = worker.until("clock_ms", counted=1)
        while after["clock_ms"] <= opened_ms + 1_000:
            after = worker.until("clock_ms")
    await source.stop()


@pytest.mark.parametrize(
    ("isolation_level", "aborted"), [("read_uncommitted", False), ("read_committed", True)]
)
async def test_fetches_of_nothing_but_markers_and_aborted_records_leave_no_hole(
    make_application: Callable[[int], Application], tmp_path: Path, isolation_level: str, *, aborted: bool
) -> None:
    """
    logins      event [commit]  event [commit]     or:  event [abort]  event [commit]
    fetched     event|        |                         |             |
    """
    application = make_application(1)
    source = AIOKafkaProducer(
        bootstrap_servers=application.bootstrap, transactional_id=f"{application.name}-source"
    )
    await source.start()
    with WorkerProcess(application, tmp_path, watched=True, isolation_level=isolation_level) as worker:
        worker.until("acquired", timeout_s=START_S)
        for number in range(3):
            await source.begin_transaction()
            await source.send_and_wait(application.input(Input.LOGINS), b"event", key=b"acme", partition=0)
            if not aborted:
                worker.until("counted", counted=number + 1)
            await (source.abort_transaction() if aborted else source.commit_transaction())
            moved_on_ms = time.time() * 1000
            while worker.until("clock_ms")["clock_ms"] <= moved_on_ms:
                pass
        await source.begin_transaction()
        await source.send_and_wait(application.input(Input.LOGINS), b"event", key=b"acme", partition=0)
        await source.commit_transaction()
        worker.until("counted", counted=1 if aborted else 4)
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
    await source.stop()


def test_a_group_ahead_of_the_changelog_is_refused(
    make_application: Callable[[int], Application], tmp_path: Path
) -> None:
    application = make_application(1)
    application.produce(make_events(100, 1))
    ahead = TopicPartition(application.input(Input.LOGINS), 0, 10)
    admin = AdminClient({"bootstrap.servers": application.bootstrap})
    for altered in admin.alter_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(application.name, [ahead])]
    ).values():
        altered.result()
    with WorkerProcess(application, tmp_path) as worker:
        assert worker.wait(START_S) == 2
        assert "the changelog lost records" in worker.errors
        assert "Traceback" not in worker.errors


def test_unequal_partition_counts_are_refused(
    make_application: Callable[[int], Application], tmp_path: Path
) -> None:
    application = make_application(1)
    admin = AdminClient({"bootstrap.servers": application.bootstrap})
    for grown in admin.create_partitions([NewPartitions(application.input(Input.TICKETS), 2)]).values():
        grown.result()
    with WorkerProcess(application, tmp_path) as worker:
        assert worker.wait(START_S) == 2
        assert "the inputs are not co-partitioned" in worker.errors
        assert "Traceback" not in worker.errors


def test_two_workers_on_one_data_folder_are_refused(
    make_application: Callable[[int], Application], tmp_path: Path
) -> None:
    application = make_application(1)
    with WorkerProcess(application, tmp_path) as first:
        first.until("acquired", timeout_s=START_S)
        with WorkerProcess(application, tmp_path) as second:
            assert second.wait(START_S) == 2
            assert "in use by another worker" in second.errors
        first.signal(signal.SIGTERM)
        assert first.wait() == 0


def _until_all_committed(worker: WorkerProcess, application: Application, events: list[Event]) -> None:
    """Wait until the changelog's positions are at the last events."""
    last = Counter((topic, partition) for topic, partition, _, _ in events)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        worker.until("committed", timeout_s=60)
        positions = {
            (topic, record.partition): int(record.value or b"-1") + 1
            for record in application.read(application.changelog)
            for topic in Input
            if record.key == b"\0pos:%d" % topic
        }
        if positions == last:
            return
    raise AssertionError(f"still at {positions} of {last}")
