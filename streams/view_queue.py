"""When an account's view goes out: at once on a change of band or episode, else at most once a minute of wall time.

Far behind the present a view would be stale before anybody read it: views then wait until the partition has caught up,
and each account's goes out once. A row's cell ``VIEW_DUE`` remembers across owners that its view waits.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

VIEW_EVERY_MS: Final = 60_000
BEHIND_MS: Final = 10 * VIEW_EVERY_MS
"""A partition whose clock is farther behind the wall's catches up first."""
VIEWS_MAX: Final = 200
"""Views of one drain, beside those that go out at once."""


def is_behind(wall_ms: int, clock_ms: int) -> bool:
    """Tell whether a partition is so far behind the wall time (ms UTC) that its views wait."""
    return wall_ms - clock_ms >= BEHIND_MS


class ViewQueue:
    """The rows of one partition whose views wait; bounded by the number of its accounts."""

    def __init__(self) -> None:
        self.waits = False
        """Rows may have been left out, because the partition was far behind: any that is due is to be added."""
        self._due_ms: dict[int, int] = {}
        self._order: list[tuple[int, int]] = []
        self._sent_ms: dict[int, int] = {}

    def choose(
        self, due: npt.NDArray[np.uint8], evaluated: list[int], urgent: set[int], wall_ms: int, clock_ms: int
    ) -> list[int]:
        """Return the rows whose views go out now, and mark them in ``due``, (rows,) uint8 with 1 where a view waits."""
        if is_behind(wall_ms, clock_ms):
            self.waits = True
            return []
        self.add(np.nonzero(due)[0].tolist() if self.waits else evaluated)
        self.waits = False
        chosen = self.take(urgent, wall_ms)
        due[chosen] = 0
        return chosen

    def forget(self, rows: Iterable[int]) -> None:
        """Let no view of rows wait whose accounts have ended, nor one sent count for their next ones."""
        for row in rows:
            self._due_ms.pop(row, None)
            self._sent_ms.pop(row, None)

    def add(self, rows: Iterable[int]) -> None:
        """Let the views of changed rows wait."""
        for row in set(rows) - self._due_ms.keys():
            self._due_ms[row] = self._sent_ms.get(row, 0) + VIEW_EVERY_MS
            heappush(self._order, (self._due_ms[row], row))

    def take(self, urgent: set[int], wall_ms: int) -> list[int]:
        """Return the rows whose views go out now, at wall time ``wall_ms`` (ms UTC)."""
        chosen = list(urgent & self._due_ms.keys())
        for row in chosen:
            del self._due_ms[row]
        at_most = len(chosen) + VIEWS_MAX
        while len(chosen) < at_most and self._order and self._order[0][0] <= wall_ms:
            due_ms, row = heappop(self._order)
            if self._due_ms.get(row) == due_ms:
                del self._due_ms[row]
                chosen.append(row)
        self._sent_ms |= dict.fromkeys(chosen, wall_ms)
        return chosen
