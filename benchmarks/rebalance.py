"""The pause of a rebalance: how long nothing is committed of a partition when a third worker joins, and when it leaves.

Events of every partition arrive at 500 a second, so that a partition commits in nearly every interval of 50 ms; the
changelog's own time stamps tell when.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from confluent_kafka import Consumer, TopicPartition

from schemas.topics import INPUT_TOPICS, Input
from tests.worker.conftest import Bench

if TYPE_CHECKING:
    from pathlib import Path

PARTITIONS: Final = 6
"""Three workers have two each, two have three: each joining and leaving moves some."""
ACCOUNTS: Final = 200
RATE: Final = 500
SETTLE_S: Final = 4.0
READ_TIMEOUT_S: Final = 30.0
JOIN_TIMEOUT_S: Final = 60.0


class Pauses(NamedTuple):
    """Longest time in ms without a commit, by partition: when nothing happens, at the joining, at the leaving."""

    before: list[float]
    joining: list[float]
    leaving: list[float]


def pauses(broker: str, folder: Path) -> Pauses:
    """Return the pauses of one joining and one orderly leaving."""
    folder.mkdir()
    bench, stop = Bench(broker, folder, PARTITIONS), threading.Event()
    feeding = threading.Thread(target=_feed, args=(bench, stop), daemon=True)
    try:
        feeding.start()
        for name in ("w1", "w2"):
            bench.start(name)
        for name in ("w1", "w2"):
            bench.until_ready(name)
        time.sleep(SETTLE_S)
        marks = [_now_ms()]
        time.sleep(SETTLE_S)
        bench.start("w3")
        deadline = time.monotonic() + JOIN_TIMEOUT_S
        while not bench.owned("w3"):
            assert time.monotonic() < deadline, bench.log("w3")
            time.sleep(0.05)
        joined_ms = _now_ms()
        time.sleep(SETTLE_S)
        marks += [joined_ms - SETTLE_S * 1000, _now_ms()]
        bench.stop("w3")
        time.sleep(SETTLE_S)
        marks.append(_now_ms())
        stop.set()
        feeding.join()
        commits = _commits(bench)
    finally:
        stop.set()
        bench.close()
    before, joining, leaving, end = marks
    return Pauses(
        _longest(commits, before, before + SETTLE_S * 1000),
        _longest(commits, joining, leaving),
        _longest(commits, leaving, end),
    )


def _now_ms() -> float:
    return time.time() * 1000


def _feed(bench: Bench, stop: threading.Event) -> None:
    producer, n = bench.producer(**{"linger.ms": 5}), 0
    topic, began = bench.topic(INPUT_TOPICS[Input.LOGINS].name), time.monotonic()
    while not stop.is_set():
        key = b"account-%d" % (n % ACCOUNTS)
        value = b'{"event_id":"%d","account_id":"%s","occurred_at":%d}' % (n, key, _now_ms())
        producer.produce(topic, value, key)
        producer.poll(0)
        n += 1
        time.sleep(max(0.0, began + n / RATE - time.monotonic()))
    producer.flush(10)


def _commits(bench: Bench) -> dict[int, list[int]]:
    """Return the time stamps of the changelog's records by partition, in ms."""
    consumer = Consumer(
        {
            "bootstrap.servers": bench.settings.broker,
            "group.id": "pauses",
            "isolation.level": "read_committed",
        }
    )
    tps = [TopicPartition(bench.changelog, number, 0) for number in range(PARTITIONS)]
    ends = {tp.partition: consumer.get_watermark_offsets(tp, timeout=10)[1] for tp in tps}
    consumer.assign(tps)
    stamps: dict[int, list[int]] = defaultdict(list)
    deadline = time.monotonic() + READ_TIMEOUT_S
    while time.monotonic() < deadline:
        messages = consumer.consume(5_000, 1.0)
        if not messages:
            break
        for message in messages:
            stamps[message.partition() or 0].append(message.timestamp()[1])
    consumer.close()
    assert stamps.keys() == ends.keys(), f"read {stamps.keys()} of {ends}"
    return stamps


def _longest(commits: dict[int, list[int]], start_ms: float, end_ms: float) -> list[float]:
    longest = []
    for stamps in commits.values():
        times = [start_ms, *(stamp for stamp in stamps if start_ms <= stamp <= end_ms), end_ms]
        longest.append(max(later - earlier for earlier, later in pairwise(times)))
    return longest
