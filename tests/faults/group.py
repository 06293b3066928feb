"""The consumer group as its coordinator sees it: generations, an eager rebalance, sessions that expire.

stable --(join, leave, expired session)--> joining --(all are back, or the time is up)--> stable, next generation
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from aiokafka.errors import IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextvars import Context
    from random import Random

    from aiokafka.structs import TopicPartition

SESSION_S: Final = 2.0
HEARTBEAT_S: Final = 0.4
REBALANCE_S: Final = 3.0


class Joined(NamedTuple):
    """What a member is given."""

    generation: int
    partitions: tuple[int, ...]


class Group:
    """One group; partitions of all inputs go by their number."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, outside: Context, chance: Random, partitions: int
    ) -> None:
        self.generation = 0
        self.offsets: dict[TopicPartition, int] = {}
        self.rebalances = 0
        self._loop, self._outside, self._chance, self._partitions = loop, outside, chance, partitions
        self._seen_s: dict[str, float] = {}
        self._joining: dict[str, asyncio.Future[Joined | Exception]] = {}
        self._is_joining = False

    def join(self, member: str) -> asyncio.Future[Joined | Exception]:
        """Enter, or come back; the answer comes when all are there."""
        self._seen_s[member] = self._loop.time()
        joined: asyncio.Future[Joined | Exception] = self._loop.create_future()
        old = self._joining.get(member)
        self._joining[member] = joined
        if old is not None and not old.done():
            old.set_result(UnknownMemberIdError())
        self._begin()
        self._complete_if_all_are_there()
        return joined

    def leave(self, member: str) -> None:
        if self._seen_s.pop(member, None) is not None:
            self._joining.pop(member, None)
            self._begin()
            self._complete_if_all_are_there()

    def heartbeat(self, member: str, generation: int) -> None:
        """Hear that the member lives.

        Raises:
            UnknownMemberIdError: it was given up.
            RebalanceInProgressError: it must come back.
        """
        if member not in self._seen_s:
            raise UnknownMemberIdError
        self._seen_s[member] = self._loop.time()
        if self._is_joining:
            raise RebalanceInProgressError
        if generation != self.generation:
            raise IllegalGenerationError

    def commit(self, member: str, generation: int, offsets: Mapping[TopicPartition, int]) -> None:
        if member not in self._seen_s:
            raise UnknownMemberIdError
        if generation != self.generation:
            raise IllegalGenerationError
        self.offsets.update(offsets)

    def expire(self) -> None:
        """Give up those who were silent for too long; those who wait for the others are not."""
        now_s = self._loop.time()
        for member, seen_s in [*self._seen_s.items()]:
            if member not in self._joining and now_s - seen_s > SESSION_S:
                self.leave(member)

    def _begin(self) -> None:
        if not self._is_joining:
            self._is_joining = True
            self.rebalances += 1
            begun = self.rebalances
            self._later(REBALANCE_S, lambda: self._complete(begun))

    def _complete_if_all_are_there(self) -> None:
        if self._joining.keys() >= self._seen_s.keys():
            begun = self.rebalances
            # Not at once: others that start now find the group still open.
            self._later(0.02, lambda: self._complete_if_still(begun))

    def _complete_if_still(self, begun: int) -> None:
        if self._joining.keys() >= self._seen_s.keys():
            self._complete(begun)

    def _complete(self, begun: int) -> None:
        if not self._is_joining or begun != self.rebalances:
            return
        self._is_joining = False
        self._seen_s = {member: self._loop.time() for member in self._joining}
        self.generation += 1
        members = [*self._joining]
        self._chance.shuffle(members)
        for at, member in enumerate(members):
            numbers = tuple(range(at, self._partitions, len(members)))
            self._joining[member].set_result(Joined(self.generation, numbers))
        self._joining = {}

    def _later(self, seconds: float, callback: Callable[[], None]) -> None:
        self._loop.call_later(seconds, callback, context=self._outside)
