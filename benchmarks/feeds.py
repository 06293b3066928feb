"""Events for benchmarks: any number of accounts, about 200 bytes an event, in order of time.

``company`` has the mix of `latido simulate --accounts 300 --days 120 --seed 1`: what kinds of events there are and how many
of them an account has. ``events`` is a storm: all kinds alike, one event in ten raises an alert.
"""

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

PATTERNS: Final = 2_000
"""So many accounts differ; account n is like account n mod this."""
EVENTS_A_DAY: Final = 8.4
"""Of an account, in the mean; the accounts' own rates are lognormal, of this deviation of the logarithm."""
RATE_DEVIATION: Final = 1.23
COMPANY_DAYS: Final = 91
"""The history of the company before what is measured: longer than every window."""
PAYMENT_DAYS: Final = 14
"""A payment that is announced is due so much later."""
USERS: Final = (1, 1, 2, 2, 3, 8)
SHARES: Final[dict[tuple[int, str], float]] = {
    (3, "/app/dashboard"): 0.4047, (3, "/app/tasks"): 0.1656, (3, "/app/invoices"): 0.0265,
    (3, "/app/reports"): 0.0261, (3, "/help/getting-started"): 0.0220, (3, "/app/automations"): 0.0216,
    (3, "/help/search"): 0.0198, (3, "/app/team"): 0.0376, (3, "/app/forecast"): 0.0137,
    (3, "/app/integrations"): 0.0120, (3, "/app/settings/profile"): 0.0194, (3, "/app/reports/export"): 0.0116,
    (3, "/app/settings/api-keys"): 0.0060, (3, "/docs/api"): 0.0054, (3, "/marketplace/insights"): 0.0034,
    (3, "/pricing"): 0.00108, (3, "/upgrade"): 0.00006, (3, "/help/refund-faq"): 0.00006,
    (3, "/account/cancel"): 0.00006,
    (0, ""): 0.1911,
    (1, "commented"): 0.00183, (1, "resolved"): 0.00150, (1, "opened"): 0.00117, (1, "escalated"): 0.00015,
    (2, "due"): 0.00229, (2, "succeeded"): 0.00224, (2, "failed"): 0.00013,
}  # fmt: skip
"""Of each kind of event and path, action or status among all."""


def company(accounts: int, start_ms: int, end_ms: int, seed: int) -> Feed:
    """Yield what happens to so many accounts, times evenly from ``start_ms`` to ``end_ms``."""
    rates = np.random.default_rng(0).lognormal(0, RATE_DEVIATION, PATTERNS)[: min(accounts, PATTERNS)]
    bounds, kinds = np.cumsum(rates / rates.sum()), list(SHARES)
    shares = np.cumsum(list(SHARES.values()))
    random = np.random.default_rng(seed)
    count = company_events(accounts, end_ms - start_ms)
    for first in range(0, count, BLOCK):
        size = min(BLOCK, count - first)
        pattern = np.searchsorted(bounds[:-1], random.random(size))
        others = random.integers(0, -(-accounts // PATTERNS), size) * PATTERNS
        who = np.where(pattern + others < accounts, pattern + others, pattern).tolist()
        what = np.searchsorted(shares[:-1], random.random(size) * shares[-1]).tolist()
        users = random.integers(0, 8, size).tolist()
        for i in range(size):
            n = first + i
            at = start_ms + (end_ms - start_ms) * n // count
            kind, word = kinds[what[i]]
            body = BODIES[kind].format(
                n=n, user=users[i] % USERS[who[i] % len(USERS)], action=word, status=word, path=word
            )
            if word == "due":
                body += f',"due_at":{at + PAYMENT_DAYS * DAY_MS}'
            yield INPUTS[kind], *_line(f"e-{n}", TYPES[kind], who[i], at, body), at


def company_events(accounts: int, span_ms: int) -> int:
    """Return how many events so many accounts have in so much time."""
    return round(accounts * EVENTS_A_DAY * span_ms / DAY_MS)


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
