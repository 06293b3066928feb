"""The partition of a worker in a seed: the real one, whose changelog also says from when each control record counts.

A record that is late counts from where the partition has come to, which is another place in every life. What was decided
is noted in the very transaction in which it is committed, so the judge reads of each record what holds.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

from agents.partition import Partition
from schemas.control import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from schemas.records import Batch
    from schemas.topics import Input
    from streams.control import ControlLine
    from streams.plan import Program

NOTED: Final = b"\0noted:"
"""The key of a note in the changelog, followed by the offset of the first record that was taken."""


class Note(msgspec.Struct):
    """What was decided as control records were taken together.

    Attributes:
        reached_ms: where the partition had come to.
        counts: of each record, by its offset, from when it counts; null if it does not, or withdraws.
        replaced: the offsets of those that it withdrew or replaced before they counted.
    """

    reached_ms: int
    counts: dict[int, int | None]
    replaced: list[int]


class Ledger:
    """What the partitions of all lives of all workers did.

    Args:
        tarry: lets time pass amid an adoption; tells whether nothing was done in it.
        strike: called as something is handed out to be committed while other things wait for a next owner to find them.
        strike_moving: called as it is handed out that an account ended by a merge, or took another one in.

    Attributes:
        clocks: by partition the greatest clock at which anything was handed out.
        counts: what happened, for the statistics.
    """

    def __init__(
        self, tarry: Callable[[], bool], strike: Callable[[], None], strike_moving: Callable[[], None]
    ) -> None:
        self.tarry, self.strike, self.strike_moving = tarry, strike, strike_moving
        self.clocks: dict[int, int] = {}
        self.counts: Counter[str] = Counter()


class NotingPartition(Partition):
    """Notes what it decides, and takes its time for what it does in bounded steps."""

    def __init__(
        self, program: Program, number: int, partitions: int, *, application: str, ledger: Ledger
    ) -> None:
        super().__init__(program, partition=number, partitions=partitions, application=application)
        self._ledger = ledger
        self.notes: list[tuple[bytes, bytes]] = []
        self._waiting_for = (False, False, False)

    def take_control(self, lines: Iterable[ControlLine]) -> dict[Input, int]:
        new = [line for line in lines if line.offset >= self.control.next_offset]
        before, in_force = dict(self.control._entries), self.control._in_force()
        reached_ms = max(self.merge.offered_ms, self.merge.clock_ms, self.control._standing.moved_ms)
        if in_force is not None:
            reached_ms = max(reached_ms, in_force.at_ms)
        going_on = super().take_control(new)
        after = self.control._entries
        counts = {line.offset: after[line.offset].at_ms if line.offset in after else None for line in new}
        replaced = [at for at in before if at not in after and before[at].at_ms > reached_ms]
        if new:
            note = msgspec.json.encode(Note(reached_ms, counts, replaced))
            self.notes.append((NOTED + b"%d" % new[0].offset, note))
        return going_on

    def step(self, rows_max: int) -> int:
        if self._is_amid_adoption and self._ledger.tarry():
            return 0  # there is more to do: it is asked again, as if there were many more accounts
        return super().step(rows_max)

    def drain(self) -> Batch:
        batch = super().drain()
        batch.records.extend(self.notes)
        self.notes = []
        clocks = self._ledger.clocks
        clocks[self.partition] = max(self.clock_ms, clocks.get(self.partition, self.clock_ms))
        self._ledger.counts["commits amid an adoption"] += self._is_amid_adoption
        before, self._waiting_for = self._waiting_for, self._what_waits()
        if batch.control:
            self._ledger.strike_moving()
        elif any(self._waiting_for) and self._waiting_for != before:
            self._ledger.strike()
        return batch

    @property
    def _is_amid_adoption(self) -> bool:
        return self._adopting and len(self.accounts.existing()) > 0

    def _what_waits(self) -> tuple[bool, bool, bool]:
        return self._is_amid_adoption, self.outbox.brake.held > 0, bool(self.inflow.stalled)

    def loaded(self) -> None:
        begun_under, counts = self.layout, self._ledger.counts
        super().loaded()
        adopting, held, stalled = self._what_waits()
        counts["takeovers amid an adoption"] += adopting
        counts["takeovers while episodes are held"] += held
        counts["takeovers while silences wait"] += stalled
        counts["takeovers under a policy of another layout"] += self.layout != begun_under
        to_come = [kind_of(entry.record) for entry in self.control.moves()]
        counts["takeovers with a merge to come"] += "merge" in to_come
        counts["takeovers with a join to come"] += "join" in to_come


def read_note(value: bytes) -> Note:
    """Return a note of the changelog."""
    return msgspec.json.decode(value, type=Note)
