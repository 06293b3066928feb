"""How far the recovery of an assignment is, told every two seconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from agents.ports import Recovery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents.ports import DeliveryObserver

TELL_EVERY_S: Final = 2.0


class Progress:
    """Positions in the changelogs of one assignment, between where reading starts and where it has to come to."""

    def __init__(self, starts: Mapping[int, int], observer: DeliveryObserver) -> None:
        self._starts, self._positions, self._ends = dict(starts), dict(starts), dict(starts)
        self._observer = observer
        self._began_s = self._told_s = time.monotonic()

    def aim(self, ends: dict[int, int]) -> dict[int, int]:
        """Take the ends that are to be reached, and return them."""
        self._ends |= ends
        return ends

    def on_positions(self, positions: Mapping[int, int]) -> None:
        """Hear of new positions."""
        self._positions |= positions
        if time.monotonic() - self._told_s >= TELL_EVERY_S:
            self.tell()

    @property
    def recovery(self) -> Recovery:
        """How far it is now."""
        read = {number: max(0, at - self._starts[number]) for number, at in self._positions.items()}
        unread = {number: max(0, end - self._positions[number]) for number, end in self._ends.items()}
        return Recovery(read, unread, time.monotonic() - self._began_s)

    def tell(self) -> None:
        """Tell the observer."""
        self._told_s = time.monotonic()
        self._observer.on_recovering(self.recovery)
