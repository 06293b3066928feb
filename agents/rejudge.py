"""What would become of a rejected record now: the core itself judges it, on a throw-away copy of the committed state.

Of each partition the copy holds the accounts that are asked about, how many others there are, the memory of ids, and how far
the inputs are. An input that is halted goes on in the copy.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from agents.beside import RESERVED
from agents.changelog import HOLDER_PREFIX, read_changelog
from agents.clients import Connection
from agents.control_topic import Halt
from agents.observer import NullPartitionObserver
from agents.partition import Partition
from schemas.records import Chunk
from schemas.topics import Input
from streams.decode import Decoder, Place
from streams.events import EVENT_TIME
from streams.merge import POSITION, position_record, read_position
from streams.murmur import partition_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from agents.settings import Settings
    from schemas.reasons import EventNote, RejectReason
    from streams.plan import Program

STEP_ROWS: Final = 10


class Judged(NamedTuple):
    """What would become of a record: rejected, with the reason and what is wrong, or accepted.

    An accepted one has what is remarkable about it, and by how much it is late (ms, below 0: of the future).
    """

    partition: int
    reason: RejectReason | None = None
    detail: str = ""
    notes: frozenset[EventNote] = frozenset()
    late_ms: int = 0


class _Heard(NullPartitionObserver):
    """Keeps the notes of the event that is judged, and whether there was no room for its account."""

    def __init__(self) -> None:
        self.notes: set[EventNote] = set()
        self.refused: RejectReason | None = None

    def forget(self) -> None:
        """Keep nothing of the events before."""
        self.notes.clear()
        self.refused = None

    def on_step(
        self, _partition: int, _events: Mapping[Input, int], rejects: Sequence[tuple[Input, RejectReason]]
    ) -> None:
        """Keep the reason of its dead letter."""
        self.refused = rejects[-1][1] if rejects else self.refused

    def on_notes(self, _partition: int, notes: Mapping[EventNote, int]) -> None:
        """Keep them."""
        self.notes |= {note for note, count in notes.items() if count}


class _State:
    """Keeps of the changelog the latest of some accounts, and what is beside all accounts (``ChangelogSink``)."""

    def __init__(self, accounts: Collection[bytes]) -> None:
        self._accounts = accounts
        self.latest: dict[int, dict[bytes, bytes | None]] = {}
        self.others: dict[int, set[int]] = {}
        """Hashes of the other accounts that are there."""
        self.halts: list[Halt] = []

    def take(self, partition: int, keys: list[bytes], values: list[bytes | None]) -> None:
        """Take consecutive records."""
        kept, others = self.latest.setdefault(partition, {}), self.others.setdefault(partition, set())
        for key, value in zip(keys, values, strict=True):
            if key in self._accounts or (key[0] == RESERVED and not key.startswith(HOLDER_PREFIX)):
                kept[key] = value
            elif key[0] != RESERVED and value is None:
                others.discard(hash(key))
            elif key[0] != RESERVED:
                others.add(hash(key))

    def lift_halts(self) -> None:
        """Let halted inputs go on, and remember where they stood."""
        for partition, kept in self.latest.items():
            for key, value in kept.items():
                if key.startswith(POSITION) and value is not None:
                    topic, progress = read_position(key, value)
                    if progress.halted:
                        self.halts.append(Halt(topic, partition, progress.offset))
                    _, kept[key] = position_record(topic, progress._replace(run=0, halted=0))


class Judge:
    """Judges records one after another, in the order in which they would be sent."""

    def __init__(
        self, settings: Settings, program: Program, partitions: int, keys: Collection[bytes]
    ) -> None:
        """Read the committed state of the accounts that may come.

        Raises:
            BrokerError: the broker does not answer.
            StateError: the state cannot be read under this program.
        """
        self._program, self._partitions = program, partitions
        state = _State(keys)
        where = {partition_of(key, partitions) for key in keys}
        if where:
            asyncio.run(read_changelog(Connection(settings.broker), settings.changelog, where, state))
        state.lift_halts()
        self.halts = state.halts
        self._state = state.latest
        self._others = {partition: len(others) for partition, others in state.others.items()}
        self._machines: dict[int, tuple[Partition, _Heard]] = {}

    def judge(self, topic: Input, key: bytes | None, value: bytes | None, stamp_ms: int, home: int) -> Judged:
        """Judge a record as if it came now with this timestamp; ``home`` is the partition of one without a key."""
        partition = home if key is None else partition_of(key, self._partitions)
        machine, heard = self._machine(partition)
        offset = machine.merge.queues[topic].offered + 1
        chunk = Chunk([key], [value], np.array([offset]), np.array([stamp_ms]))
        place = Place(partition, self._partitions, keyed=True)
        decoded = Decoder(machine.accounts.program, machine.accounts, place).decode(topic, chunk)
        if decoded.rejects:
            (reject,) = decoded.rejects
            return Judged(partition, reject.reason, reject.detail)
        heard.forget()
        now_ms = time.time_ns() // 1_000_000
        machine.offer(topic, chunk)
        for each in Input:
            machine.end_reached(each, now_ms)
        while machine.step(STEP_ROWS) or machine.queued or machine.due_now():
            pass
        machine.drain()
        if heard.refused is not None:
            limit = machine.accounts.program.policy.accounts_max
            return Judged(partition, heard.refused, f"the partition has {limit} accounts, as many as it may")
        return Judged(
            partition, notes=frozenset(heard.notes), late_ms=now_ms - int(decoded.columns[0, EVENT_TIME])
        )

    def _machine(self, partition: int) -> tuple[Partition, _Heard]:
        if partition not in self._machines:
            heard = _Heard()
            machine = Partition(
                self._program, partition=partition, partitions=self._partitions, observer=heard
            )
            kept = self._state.get(partition, {})
            machine.load(list(kept), list(kept.values()))
            machine.loaded()
            machine.accounts.cells.there[0] += self._others.get(partition, 0)
            self._machines[partition] = machine, heard
        return self._machines[partition]
