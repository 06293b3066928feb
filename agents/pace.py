"""When to commit, and how fast to go: decisions over numbers, with time as an argument."""

from __future__ import annotations

from typing import Final

from schemas.topics import MIB

EVENTS_MAX: Final = 200_000
PENDING_BYTES_MAX: Final = 32 * MIB
"""Changed rows and outputs that wait for their transaction."""
OFFERED_BYTES_MAX: Final = 32 * MIB
"""Offered bytes may end up as dead letters, which are kept until the next commit."""
BACKLOG_QUEUED_MIN: Final = 10_000
BACKLOG_INTERVAL_MS: Final = 1_000


class CommitPace:
    """Decides when a commit is due: every interval, and in a backlog when a transaction is worth its cost.

    In a backlog one row is changed many times: waiting for more events writes it once.
    """

    def __init__(self, interval_ms: int) -> None:
        self.interval_ms = interval_ms
        self.events = 0
        self.offered_bytes = 0
        self.pending_bytes: dict[int, int] = {}
        """What each partition has to commit."""

    @property
    def full(self) -> bool:
        """Whether nothing more should be processed before a commit has taken what there is."""
        return (
            self.events >= EVENTS_MAX
            or sum(self.pending_bytes.values()) >= PENDING_BYTES_MAX
            or self.offered_bytes >= OFFERED_BYTES_MAX
        )

    def due(self, elapsed_ms: float, queued: int) -> bool:
        """Tell whether to commit now, ``elapsed_ms`` after the last one began, with ``queued`` rows to go."""
        if self.full or elapsed_ms >= max(BACKLOG_INTERVAL_MS, self.interval_ms):
            return True
        return elapsed_ms >= self.interval_ms and queued < BACKLOG_QUEUED_MIN

    def drained(self) -> None:
        """Count from zero: a commit takes everything there is."""
        self.events = self.offered_bytes = 0
        self.pending_bytes.clear()


class Throttle:
    """A token bucket of events that holds at most a tenth of a second's worth."""

    def __init__(self, events_per_s: float) -> None:
        self._rate, self._tokens, self._at_s = events_per_s, 0.0, 0.0

    def allowance(self, now_s: float) -> int:
        """Return how many events may be processed at ``now_s``, on any clock that only goes forward."""
        self._tokens = min(self._tokens + (now_s - self._at_s) * self._rate, max(1.0, self._rate / 10))
        self._at_s = now_s
        return int(self._tokens)

    def spend(self, events: int) -> None:
        """Take events out of the bucket."""
        self._tokens -= events
