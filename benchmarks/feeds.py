"""Events for benchmarks: four topics in turn, any number of accounts, about 200 bytes an event, in order of time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np
from confluent_kafka import Producer

from schemas.topics import INPUT_TOPICS, Input

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from agents.settings import Settings

    Feed = Iterator[tuple[Input, bytes, bytes, int]]
    """(input, account id, JSON, time in ms), in order of time."""

DAY_MS: Final = 86_400_000
BLOCK: Final = 100_000
HISTORY_DAYS: Final = (70, 55, 40, 26, 12, 5)
"""Days before the feed on which every account logs in: windows and rhythm are then known."""
INPUTS: Final = (Input.LOGINS, Input.TICKETS, Input.PAYMENTS, Input.PAGE_VISITS)
TYPES: Final = ("login", "ticket", "payment", "page_visit")
BODIES: Final = (
    '"user_id":"user-{user:05d}","method":"sso","success":true,"agent":"browser","region":"eu-west-1"',
    '"ticket_id":"t-{n}","action":"{action}","severity":"normal","user_id":"user-{user:05d}"',
    '"payment_id":"p-{n}","status":"{status}","amount_minor":12900,"currency":"EUR","user_id":"u{user:05d}"',
    '"path":"{path}","duration_ms":5400,"user_role":"member","user_id":"user-{user:05d}"',
)
ACTIONS: Final = ("opened", "commented", "commented", "resolved", "escalated")
STATUSES: Final = ("due", "succeeded", "succeeded", "succeeded", "failed")
PATHS: Final = (
    "/app/reports/17",
    "/app/board",
    "/app/board/2",
    "/pricing",
    "/settings",
    "/app/automation",
    "/cancel",
)


def events(count: int, accounts: int, start_ms: int, end_ms: int, seed: int) -> Feed:
    """Yield ``count`` events, times evenly from ``start_ms`` to ``end_ms``."""
    random = np.random.default_rng(seed)
    for first in range(0, count, BLOCK):
        size = min(BLOCK, count - first)
        kinds, who = random.integers(0, 4, size).tolist(), random.integers(0, accounts, size).tolist()
        users, dice = random.integers(0, 40, size).tolist(), random.random(size).tolist()
        for i in range(size):
            n = first + i
            at = start_ms + (end_ms - start_ms) * n // count
            kind, die = kinds[i], dice[i]
            body = BODIES[kind].format(
                n=n, user=users[i], action=ACTIONS[int(die * 5)], status=STATUSES[int(die * 5)],
                path=PATHS[-1] if die > 0.999 else PATHS[int(die * 6)],
            )  # fmt: skip
            yield INPUTS[kind], *_line(f"e-{n}", TYPES[kind], who[i], at, body), at


def history(accounts: int, end_ms: int) -> Feed:
    """Yield a log-in of every account on each of ``HISTORY_DAYS``."""
    for day in HISTORY_DAYS:
        at = end_ms - day * DAY_MS
        for who in range(accounts):
            yield Input.LOGINS, *_line(f"h-{day}-{who}", "login", who, at, '"user_id":"user-00001"'), at


def _line(event_id: str, kind: str, who: int, at: int, body: str) -> tuple[bytes, bytes]:
    account = f"account-{who:06d}"
    instant = datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")
    text = f'{{"event_id":"{event_id}","type":"{kind}","account_id":"{account}","occurred_at":"{instant}",{body}}}'
    return account.encode(), text.encode()


def produce(settings: Settings, feed: Feed) -> int:
    """Send a feed to the input topics, stamped when sent; return how many events there were."""
    producer = Producer(
        {
            "bootstrap.servers": settings.broker,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "linger.ms": 50,
            "batch.num.messages": 1_000,
            "queue.buffering.max.messages": 500_000,
        }
    )
    names = {topic: settings.topic_prefix + spec.name for topic, spec in INPUT_TOPICS.items()}
    sent = 0
    for topic, key, value, _ in feed:
        while True:
            try:
                producer.produce(names[topic], value, key)
                break
            except BufferError:
                producer.poll(0.1)
        sent += 1
        if sent % 1000 == 0:
            producer.poll(0)
    left = producer.flush(120)
    assert left == 0, f"{left} events were not acknowledged"
    return sent


def record(path_handle: BinaryIO, feed: Feed) -> int:
    """Write a feed as a recorded file; return how many events there were."""
    count = 0
    for _, _, value, at in feed:
        path_handle.write(value[:-1] + b',"received_at":%d}\n' % at)
        count += 1
    return count
