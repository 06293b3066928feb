"""Who watches a partition: one object per kind of happening, so that one call logs and counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from schemas.topics import Input
from streams.events import EVENT_INPUT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.reasons import EventNote, RejectReason
    from streams.merge import Taken


class PartitionObserver(Protocol):
    """Hears what a partition did. Must not raise."""

    def on_step(
        self, partition: int, events: Mapping[Input, int], rejects: list[tuple[Input, RejectReason]]
    ) -> None:
        """Events were processed, so many of each input, and records rejected."""

    def on_notes(self, partition: int, notes: dict[EventNote, int]) -> None:
        """Accepted events were remarkable."""

    def on_outputs(self, score_changes: dict[str, int], alerts: dict[tuple[str, str], int]) -> None:
        """Score changes by model, and alerts by (reason, status), were written."""

    def on_control(self, partition: int, kind: str, *, late: bool) -> None:
        """A control record was taken; ``late``: it came after the instant from which it was meant to count."""

    def on_state(
        self, partition: int, *, behind_s: float, queued: int, halted: bool, accounts: int, accounts_max: int
    ) -> None:
        """A batch was drained: how far the clock is behind the wall, and what is in memory."""


class NullPartitionObserver:
    """Watches nothing."""

    def on_step(
        self, partition: int, events: Mapping[Input, int], rejects: list[tuple[Input, RejectReason]]
    ) -> None:
        """Ignore it."""

    def on_notes(self, partition: int, notes: dict[EventNote, int]) -> None:
        """Ignore it."""

    def on_outputs(self, score_changes: dict[str, int], alerts: dict[tuple[str, str], int]) -> None:
        """Ignore it."""

    def on_control(self, partition: int, kind: str, *, late: bool) -> None:
        """Ignore it."""

    def on_state(
        self, partition: int, *, behind_s: float, queued: int, halted: bool, accounts: int, accounts_max: int
    ) -> None:
        """Ignore it."""


def report_step(
    observer: PartitionObserver, partition: int, taken: Taken, notes: dict[EventNote, int]
) -> None:
    """Tell of events that were taken."""
    if notes:
        observer.on_notes(partition, notes)
    counts = np.bincount(taken.columns[:, EVENT_INPUT], minlength=len(Input)).tolist()
    rejects = [(topic, reject.reason) for topic, reject in taken.rejects]
    observer.on_step(partition, dict(zip(Input, counts, strict=True)), rejects)
