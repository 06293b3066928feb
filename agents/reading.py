"""Which policy reads which record: from the first event past its instant on, an input is read under the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streams.decode import Decoder
from streams.events import EVENT_OFFSET, EVENT_TIME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from schemas.records import Chunk
    from streams.accounts import Accounts
    from streams.control import Entry
    from streams.decode import Place
    from streams.events import Decoded
    from streams.merge import InputQueue
    from streams.plan import Program


class Reading:
    """The decoders of a partition: of the policy in force, and of those to come as they are needed."""

    def __init__(self, program: Program, accounts: Accounts, place: Place) -> None:
        self._accounts, self._place = accounts, place
        self._present = Decoder(program, accounts, place)
        self._policies: Sequence[Entry] = []
        self._program_of: Callable[[Entry], Program]
        self._later: dict[int, Decoder] = {}

    def follow(self, policies: Sequence[Entry], program_of: Callable[[Entry], Program]) -> None:
        """Hear of the policies to come, in their order, and how their programs are made."""
        self._policies, self._program_of = policies, program_of

    def parts(self, chunk: Chunk, queue: InputQueue) -> Iterator[tuple[Decoded, int]]:
        """Yield a chunk decoded, cut where the next policy begins to read, each part with the last offset that it covers.

        Each part is to be offered to the queue before the next one is asked for.
        """
        while True:
            passed = sum(entry.at_ms <= queue.offered_ms for entry in self._policies)
            decoder = self._decoder_of(self._policies[passed - 1]) if passed else self._present
            decoded = decoder.decode(queue.topic, chunk)
            from_ms = self._policies[passed].at_ms if passed < len(self._policies) else None
            past = (
                []
                if from_ms is None
                else decoded.columns[decoded.columns[:, EVENT_TIME] >= from_ms, EVENT_OFFSET]
            )
            if from_ms is None or not len(past):
                yield decoded, int(chunk.offsets[-1])
                return
            place = int(np.searchsorted(chunk.offsets, past[0]))
            if place:
                yield decoder.decode(queue.topic, chunk.part(0, place)), int(past[0]) - 1
            if queue.halting:
                return
            queue.raise_to(from_ms)
            chunk = chunk.part(place, len(chunk.offsets))

    def _decoder_of(self, entry: Entry) -> Decoder:
        if entry.offset not in self._later:
            self._later[entry.offset] = Decoder(self._program_of(entry), self._accounts, self._place)
        return self._later[entry.offset]
