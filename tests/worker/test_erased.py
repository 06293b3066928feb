"""An account is erased while a worker runs: on the broker nothing but hashes is left of it, and nobody brings it back.

w1   events .. erase .. late events            kill -9
w2                                   takes over ------ > agrees
"""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from agents.latest import Span, read_spans
from schemas.topics import INPUT_TOPICS, Input, Output
from streams.erased import ERASED
from streams.murmur import partition_of
from tests.worker.conftest import PARTITIONS, latido

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.worker.conftest import Bench


OTHERS: Final = 20
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
ACCOUNT: Final = "hannah@example.com"
AT_ONCE: Final = {"commit_interval_ms": 100}

Log = list[tuple[bytes, bytes | None]]


def records(bench: Bench, topic: str, partition: int) -> Log:
    """Return what a committed reader finds in a partition of a topic."""
    seen = read_spans(bench.settings.broker, "look", [Span(topic, partition, 100_000)], "read_committed")
    return [(each.key or b"", each.value) for each in seen]


def until(what: Callable[[], Any], message: str, seconds: float = 40) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, message
        time.sleep(0.3)
    return found


def compact_at_once(bench: Bench, *topics: str) -> None:
    """Let the broker compact topics now instead of within a week."""
    quickly = {"segment.ms": "500", "min.cleanable.dirty.ratio": "0.01", "max.compaction.lag.ms": "1000"}
    admin = AdminClient({"bootstrap.servers": bench.settings.broker, "log_level": 0})
    entries = [ConfigEntry(*each, incremental_operation=AlterConfigOpType.SET) for each in quickly.items()]
    asked = [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries) for topic in topics]
    for answer in admin.incremental_alter_configs(asked).values():
        answer.result(10)


def names(bench: Bench, topic: str, partition: int) -> list[tuple[bytes, bytes | None]]:
    """Return the records of a partition that still tell something of the account, and are no deletion."""
    found = records(bench, topic, partition)
    return [each for each in found if each[1] is not None and (b"hannah" in each[0] or b"annah" in each[1])]


def send(bench: Bench, *events: dict[str, Any], at_ms: int) -> None:
    producer = bench.producer()
    for number, event in enumerate(events):
        kind = Input.ACCOUNT_FACTS if "facts" in event else Input.LOGINS
        told = {"event_id": f"{at_ms} {number} {event['account_id']}", "occurred_at": at_ms} | event
        topic = bench.topic(INPUT_TOPICS[kind].name)
        producer.produce(topic, json.dumps(told).encode(), event["account_id"].encode())
    assert producer.flush(30) == 0


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_an_erased_account_is_gone_from_the_broker_and_stays_away_after_a_takeover(
    bench: Bench,
) -> None:
    key, now_ms = ACCOUNT.encode(), time.time_ns() // 1_000_000
    home = partition_of(key, PARTITIONS)
    changelog, views = bench.changelog, bench.topic(Output.ACCOUNTS)
    bench.start("w1", **AT_ONCE)
    bench.until_ready("w1")
    others: list[dict[str, Any]] = [{"account_id": f"other-{n}", "facts": {"nps": n}} for n in range(OTHERS)]
    known: list[dict[str, Any]] = [
        {"account_id": ACCOUNT, "facts": {"owner": "Hannah Ana", "nps": 40}},
        {"account_id": ACCOUNT},
    ]
    send(bench, *others, *known, at_ms=now_ms - 2 * DAY_MS)
    until(lambda: dict(records(bench, changelog, home)).get(key), "its row was never written")
    until(lambda: dict(records(bench, views, home)).get(key), "its view was never written")

    assert "erased as of" in latido(bench, "accounts", "erase", ACCOUNT, "--author", "dpo")
    until(lambda: (key, None) in records(bench, changelog, home), "its row was never deleted")
    until(lambda: (key, None) in records(bench, views, home), "its view was never deleted")
    send(
        bench, {"account_id": ACCOUNT}, {"account_id": ACCOUNT, "facts": {"nps": 10}}, at_ms=now_ms - HOUR_MS
    )
    send(bench, {"account_id": "other-0"}, at_ms=now_ms - HOUR_MS)
    noted = 'latido_event_notes_total{note="erased"}'
    until(lambda: bench.metrics("w1")[noted] == 2, "the late events were not left out")

    bench.kill("w1")
    bench.start("w2", **AT_ONCE)
    bench.until_ready("w2")
    send(bench, {"account_id": ACCOUNT}, at_ms=now_ms - 2 * HOUR_MS)
    until(lambda: bench.metrics("w2")[noted] == 1, "the next owner did not know that it was erased")
    held = records(bench, changelog, home)
    assert dict(held)[key] is None
    assert dict(records(bench, views, home))[key] is None
    remembered = Counter(each for each, value in held if each.startswith(ERASED) and value is not None)
    assert len(remembered) == 1
    assert (
        sum(bench.metrics("w2")[f'latido_accounts{{partition="{n}"}}'] for n in range(PARTITIONS)) == OTHERS
    )
    letters = [
        record for n in range(PARTITIONS) for record in records(bench, bench.topic(Output.DEAD_LETTERS), n)
    ]
    assert letters == [], "late events of it became dead letters"

    compact_at_once(bench, changelog, views)
    newcomers = (
        name for n in range(10_000) if partition_of((name := f"new-{n}").encode(), PARTITIONS) == home
    )

    def is_compacted() -> bool:
        """A log is compacted up to the segment that is written to: something new has to come."""
        send(bench, {"account_id": next(newcomers)}, at_ms=now_ms - HOUR_MS)
        return not names(bench, changelog, home) and not names(bench, views, home)

    until(is_compacted, "Kafka still keeps what was deleted", seconds=90)
    for name in ("w1", "w2"):
        assert b"annah" not in (bench.folder / f"{name}.log").read_bytes()
