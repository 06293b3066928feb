"""The state of one account: from the worker's changelog, or from recorded events; and throw-away copies of it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from agents.beside import LAYOUT, META
from agents.changelog import read_changelog
from agents.clients import Connection
from agents.partition import Partition
from agents.replay import fold_files
from agents.topics import check_topics
from schemas.errors import AccountError
from schemas.topics import INPUT_TOPICS
from streams.control import CONTROL
from streams.erased import ERASED
from streams.layout import NOW, UNSET
from streams.merge import POSITION
from streams.murmur import partition_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agents.settings import Settings
    from schemas.topics import Input
    from streams.erased import Erased
    from streams.plan import Program

Pair = tuple[bytes, bytes | None]


class AccountState(NamedTuple):
    """An account's changelog record, the program in force, and the instant that counts as now.

    ``halted`` is the input that halts its partition.
    """

    program: Program
    account: str
    partition: int
    partitions: int
    record: Pair
    present_ms: int
    halted: Input | None

    def machine(self) -> Partition:
        """Return a new partition that holds this account alone; whatever is done to it is done to nothing else."""
        return _loaded(self.program, self.partition, self.partitions, [self.record])


def from_files(files: Sequence[Path], program: Program, account: str) -> AccountState:
    """Return an account as it is at the end of recorded events; that is its now.

    Raises:
        AccountError: no event of this account was taken.
        ConfigError: a file cannot be read.
    """
    whole = fold_files(files, program)
    row = whole.accounts.row_of(account.encode("utf-8", "surrogatepass"))
    if row is None or whole.accounts.cells.i64[row, NOW] == UNSET:
        places, others = ", ".join(map(str, files)), len(whole.accounts.existing())
        halted = (
            f"; it is halted by bad {INPUT_TOPICS[whole.halted].name}" if whole.halted is not None else ""
        )
        raise AccountError(
            f"no event of {account!r} was taken from {places} ({others} other accounts are there{halted}). "
            "Check the id, letter by letter; `latido replay` writes down what was rejected, and why."
        )
    (record,) = whole.accounts.packed(np.array([row])).pairs()
    present_ms = max(whole.clock_ms, int(whole.accounts.cells.i64[row, NOW]))
    return AccountState(whole.accounts.program, account, 0, 1, record, present_ms, whole.halted)


def from_changelog(settings: Settings, program: Program, account: str) -> AccountState:
    """Return an account as the workers have committed it; its now is this machine's.

    Raises:
        AccountError: the account table has no such account.
        StateError: it was written under another partition count, or under a layout that cannot be read.
        TopicsError: topics are missing or do not fit.
        BrokerError: the broker does not answer.
    """
    state, _ = standing(settings, program, account)
    if state is None:
        partitions = check_topics(settings)
        partition = partition_of(account.encode("utf-8", "surrogatepass"), partitions)
        raise AccountError(
            f"account {account!r} is not in the account table ({settings.changelog}, partition {partition} of {partitions}). "
            "Check the id, letter by letter, and LATIDO_APPLICATION_ID and LATIDO_TOPIC_PREFIX; a worker must have taken "
            "an event of it."
        )
    return state


def standing(settings: Settings, program: Program, account: str) -> tuple[AccountState | None, Erased]:
    """Return an account as the workers have committed it, None if it is not there, and what is remembered of its end.

    Raises:
        StateError, TopicsError, BrokerError: as ``from_changelog``.
    """
    partitions = check_topics(settings)
    key = account.encode("utf-8", "surrogatepass")
    partition, latest = partition_of(key, partitions), _Found(key)
    asyncio.run(read_changelog(Connection(settings.broker), settings.changelog, [partition], latest))
    whole = _loaded(program, partition, partitions, list(latest.latest.items()))
    erased = whole.accounts.erased
    if latest.latest.get(key) is None:
        return None, erased
    now_ms = max(time.time_ns() // 1_000_000, int(whole.accounts.cells.i64[0, NOW]))
    (record,) = whole.accounts.packed(np.array([0])).pairs()
    in_force = whole.accounts.program
    return AccountState(in_force, account, partition, partitions, record, now_ms, whole.halted), erased


class _Found:
    """Keeps the latest records of one account, of partition count, layouts and positions (``ChangelogSink``)."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.latest: dict[bytes, bytes | None] = {}

    def take(self, _partition: int, keys: list[bytes], values: list[bytes | None]) -> None:
        """Take consecutive records."""
        for key, value in zip(keys, values, strict=True):
            if key in (self._key, META) or key.startswith((LAYOUT, POSITION, CONTROL, ERASED)):
                self.latest[key] = value


def _loaded(program: Program, partition: int, partitions: int, pairs: Sequence[Pair]) -> Partition:
    machine = Partition(program, partition=partition, partitions=partitions, keyed=False)
    machine.load([key for key, _ in pairs], [value for _, value in pairs])
    machine.loaded()
    return machine
