"""Through blows in random order, planned by a seed, every output equals the replay: none is missing, twice, late or false.

w0, w1  each behind a network of its own, throttled so that the recording lasts; killed, paused, cut off, restarted
w2      comes and goes
broker  killed and started on the same data

`make chaos SECONDS=n SEED=n` is the long form; the seed of a run is printed. At its end all stop in order and one worker
that nobody disturbs does the rest.
"""

from __future__ import annotations

import json
import logging
import os
import random
import time
import uuid
from collections import Counter, defaultdict
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest
from confluent_kafka import Consumer, TopicPartition

from schemas.topics import Output
from tests.servers.kafka import KafkaServer
from tests.servers.ports import free_ports
from tests.servers.proxy import Proxy
from tests.worker.chaos import FIRST, SESSION_S, WORKERS, Chaos, Kind, plan
from tests.worker.conftest import Bench
from tests.worker.judge import IDS, Messages, differences, told_twice, total, up_to
from tests.worker.recording import record, replayed

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)
SECONDS: Final = float(os.environ.get("LATIDO_TEST_CHAOS_SECONDS") or "20")
SEED: Final = int(os.environ.get("LATIDO_TEST_CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))
ACCOUNTS: Final = round(max(20, 0.6 * SECONDS))
PARTITIONS: Final = 6
REST_S: Final = 120.0


def read_topics(broker: str, topics: list[str]) -> list[tuple[str, int, int, bytes]]:
    """Return (topic, partition, timestamp, value) of all committed records, each partition in order."""
    consumer = Consumer(
        {
            "bootstrap.servers": broker, "group.id": uuid.uuid4().hex, "isolation.level": "read_committed",
            "auto.offset.reset": "earliest", "enable.partition.eof": True,
        }
    )  # fmt: skip
    places = [TopicPartition(topic, number, 0) for topic in topics for number in range(PARTITIONS)]
    ends = {(tp.topic, tp.partition): consumer.get_watermark_offsets(tp, timeout=20)[1] for tp in places}
    consumer.assign(places)
    found = []
    while ends:
        for message in consumer.consume(10_000, 1):
            place = str(message.topic()), message.partition() or 0
            if message.error() is None:
                found.append((*place, message.timestamp()[1], message.value() or b""))
            elif (message.offset() or 0) >= ends.get(place, 0):
                ends.pop(place, None)
    consumer.close()
    return found


def seen(bench: Bench, end_ms: int) -> Messages:
    """Return what a reader of committed outputs has seen, as the judge takes it."""
    messages: Messages = defaultdict(list)
    prefix = bench.settings.topic_prefix
    for topic, _, _, value in read_topics(bench.settings.broker, [bench.topic(output) for output in IDS]):
        payload = json.loads(value)
        messages[Output(topic.removeprefix(prefix)), payload["account_id"]].append(payload)
    return up_to(messages, end_ms)


def gaps_s(bench: Bench, chaos: Chaos) -> dict[Kind, list[float]]:
    """Return for each kind how long after each blow the last of the victim's partitions was written to."""
    stamps: dict[int, list[int]] = defaultdict(list)
    for _, partition, stamp, _ in read_topics(bench.settings.broker, [bench.changelog]):
        stamps[partition].append(stamp)
    found: dict[Kind, list[float]] = defaultdict(list)
    for struck in chaos.struck:
        next_ms = [
            min((stamp for stamp in stamps[number] if stamp > struck.at_ms), default=struck.at_ms)
            for number in struck.partitions
        ]
        if next_ms:
            found[struck.kind].append((max(next_ms) - struck.at_ms) / 1000)
    return found


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(int(600 + 2 * SECONDS))
def test_through_chaos_the_outputs_equal_the_replay(tmp_path: Path) -> None:
    log.info("seed %d, %.0f s; again: make chaos SECONDS=%.0f SEED=%d", SEED, SECONDS, SECONDS, SEED)
    recording = record(accounts=ACCOUNTS, days=100, seed=SEED)
    expected = replayed(recording, tmp_path / "replay", partitions=PARTITIONS)
    ports = free_ports(2 * (WORKERS + 1))
    fronts = dict(zip(ports[: WORKERS + 1], ports[WORKERS + 1 :], strict=True))
    with ExitStack() as stack:
        kafka = stack.enter_context(KafkaServer(fronts=fronts))
        proxies = [stack.enter_context(Proxy(*each)) for each in fronts.items()]
        bench = Bench(kafka.broker, tmp_path, partitions=PARTITIONS)
        stack.callback(bench.close)
        bench.produce(recording)
        chaos = Chaos(bench, kafka, proxies, rate=0.75 * len(recording.events) / SECONDS)
        chaos.run(plan(SEED, SECONDS))
        chaos.stop()
        through = total(seen(bench, recording.end_ms))
        bench.start("w0")
        deadline = time.monotonic() + REST_S + SECONDS / 10
        while total(told := seen(bench, recording.end_ms)) < total(expected) and time.monotonic() < deadline:
            time.sleep(1)
        time.sleep(2)
        told = seen(bench, recording.end_ms)
        found = differences(told, expected)
        assert not found, f"seed {SEED}: {len(found)} accounts differ\n" + "\n".join(found[:10])
        assert told_twice(told) == []
        report(chaos, gaps_s(bench, chaos), len(recording.events), total(told), through)
        assert through > 0, "the blows fell on nobody who worked"


def report(chaos: Chaos, gaps: dict[Kind, list[float]], events: int, outputs: int, through: int) -> None:
    """Say what was done."""
    log.info(
        "%d events, %d outputs compared and equal, %d of them told among blows", events, outputs, through
    )
    for kind, count in Counter(struck.kind for struck in chaos.struck).items():
        until = sorted(gaps.get(kind, []))
        told = f"written to again after {until[0]:.1f}-{until[-1]:.1f} s" if until else ""
        log.info("%3d x %s; %s", count, kind, told)
    log.info(
        "%d kills in an open transaction; ends by (whom, code): %s",
        chaos.kills_in_a_transaction,
        dict(chaos.exits),
    )


def test_a_seed_plans_the_same_blows_in_time_and_with_time_every_kind() -> None:
    for seconds, kinds in ((10.0, set(FIRST)), (600.0, set(Kind))):
        blows = plan(7, seconds)
        assert blows == plan(7, seconds) != plan(8, seconds)
        assert {blow.kind for blow in blows} == kinds
        assert 0.7 * seconds < sum(blow.after_s for blow in blows) < seconds
    assert any(blow.lasts_s > SESSION_S for blow in plan(7, 10.0))
