"""Accounts with a history, computed once and known under as many names as are asked for.

Reading the history of a million accounts takes a worker longer than what is to be measured after it. So the rows of some
thousands are computed from their events, and put under all names: into a partition, or into the changelog of a worker.

Run as ``python -m benchmarks.known_accounts BROKER PREFIX POLICY FEED PARTITIONS ACCOUNTS END_MS`` it writes a changelog.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import numpy as np
from confluent_kafka import Producer

from agents.numba_cache import use_cache
from agents.settings import Settings
from benchmarks import feeds
from schemas.topics import Input

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents.commit import Pair
    from agents.partition import Partition
    from streams.plan import Program

COMPUTED: Final = 10_000
EVENTS: Final = 100_000
"""Of a day of these accounts, where one is wanted."""
CHUNK: Final = 5_000


def name_of(account: int) -> bytes:
    """Return the id of the account that the feeds know by this number."""
    return b"account-%06d" % account


def computed(program: Program, end_ms: int, *feeds_until: tuple[feeds.Feed, int]) -> Partition:
    """Return a partition that has read a history of ``COMPUTED`` accounts until ``end_ms``, and then further feeds."""
    return _read(program, (feeds.history(COMPUTED, end_ms), end_ms), *feeds_until)


def company(program: Program, end_ms: int) -> Partition:
    """Return a partition that has read the history of every pattern of a company's accounts until ``end_ms``."""
    start_ms = end_ms - feeds.COMPANY_DAYS * feeds.DAY_MS
    return _read(program, (feeds.company(feeds.PATTERNS, start_ms, end_ms, seed=0), end_ms))


def _read(program: Program, *feeds_until: tuple[feeds.Feed, int]) -> Partition:
    from agents.partition import Partition  # noqa: PLC0415 - after the cache is chosen

    partition = Partition(program, partition=0, partitions=1)
    offsets = dict.fromkeys(Input, 0)
    for feed, until_ms in feeds_until:
        offer(partition, offsets, feed)
        for topic in Input:
            partition.end_reached(topic, until_ms)
        while partition.step(CHUNK) or partition.due_now():
            pass
    return partition


def offer(partition: Partition, offsets: dict[Input, int], feed: feeds.Feed) -> None:
    """Offer a feed in chunks and move the offsets on."""
    from schemas.records import Chunk  # noqa: PLC0415

    taken: dict[Input, list[tuple[bytes, bytes]]] = {topic: [] for topic in Input}
    for topic, key, value, _ in feed:
        taken[topic].append((key, value))
    for topic, records in taken.items():
        for first in range(0, len(records), CHUNK):
            keys, bodies = zip(*records[first : first + CHUNK], strict=True)
            numbers = np.arange(offsets[topic], offsets[topic] + len(keys))
            partition.offer(topic, Chunk(keys, bodies, numbers, np.full(len(keys), -1)))
            offsets[topic] += len(keys)


def rows_of(partition: Partition, partitions: int) -> tuple[list[bytes], list[Pair]]:
    """Return the changelog values of all accounts, and what stands beside them, under so many partitions."""
    from agents.beside import LAYOUT, META  # noqa: PLC0415

    said: list[Pair] = [(META, b'{"partitions":%d}' % partitions)]
    said += [pair for pair in partition.drain().changelog if pair[0].startswith(LAYOUT)]
    records = partition.accounts.packed(np.arange(len(partition.accounts))).pairs()
    return [value for _, value in records if value], said


def under_names(values: list[bytes], accounts: int) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """Yield keys and values of so many accounts, with the values in turn, some at a time."""
    for first in range(0, accounts, len(values)):
        keys = [name_of(account) for account in range(first, min(accounts, first + len(values)))]
        yield keys, values[: len(keys)]


def write_changelog(settings: Settings, feed: str, partitions: int, accounts: int, end_ms: int) -> None:
    """Write the changelog of accounts whose history ends at ``end_ms``, before a feed by name."""
    from agents.program import load_program  # noqa: PLC0415

    history = {"company": company, "storm": computed}[feed]
    values, said = rows_of(history(load_program(settings.policy), end_ms), partitions)
    topic = settings.changelog
    producer = Producer(
        {
            "bootstrap.servers": settings.broker,
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 2 * COMPUTED,
        }
    )
    for number in range(partitions):
        for key, value in said:
            producer.produce(topic, value, key, number)
    for keys, some in under_names(values, accounts):
        for key, value in zip(keys, some, strict=True):
            producer.produce(topic, value, key)
        left = producer.flush(60)
        assert left == 0, f"{left} records were not acknowledged"


def main(broker: str, prefix: str, policy: str, feed: str, *numbers: str) -> None:
    """Write the changelog that the command line names."""
    use_cache()
    partitions, accounts, end_ms = map(int, numbers)
    settings = Settings(broker=broker, topic_prefix=prefix, policy=policy)
    write_changelog(settings, feed, partitions, accounts, end_ms)


if __name__ == "__main__":
    main(*sys.argv[1:])
