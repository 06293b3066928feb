"""Who watches a partition: one object per kind of happening, so that one call logs and counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.reasons import EventNote, Merged, RejectReason
    from schemas.topics import Input
    from streams.brake import Tally
    from streams.notices import Notice


class Waits(NamedTuple):
    """Reasons that began to wait because a source is stalled, those that joined later, those that were over before."""

    began: int
    joined: int
    in_vain: int


class PartitionState(NamedTuple):
    """How a partition stands: seconds behind the wall clock, events queued, whether it is halted, accounts, how many may be.

    ``held`` episodes wait by the brake, ``waiting`` reasons because the inputs ``stalled`` are.
    """

    behind_s: float
    queued: int
    halted: bool
    accounts: int
    accounts_max: int
    held: int
    waiting: int
    stalled: frozenset[Input]


class PartitionObserver(Protocol):
    """Hears what a partition did. Must not raise."""

    def on_step(
        self, partition: int, events: Mapping[Input, int], rejects: list[tuple[Input, RejectReason]]
    ) -> None:
        """Events were processed, so many of each input, and records rejected."""

    def on_notes(self, partition: int, notes: dict[EventNote, int]) -> None:
        """Accepted events were remarkable."""

    def on_scores(self, score_changes: dict[str, int]) -> None:
        """Score changes were written, so many of each model."""

    def on_alerts(self, alerts: dict[tuple[str, str], int]) -> None:
        """Alerts were written, counted by (reason, status)."""

    def on_brake(self, partition: int, tally: Tally) -> None:
        """The brake held episodes, released or dropped some."""

    def on_waits(self, partition: int, waits: Waits) -> None:
        """Reasons began or ceased to wait because a source is stalled."""

    def on_notice(self, partition: int, notice: Notice) -> None:
        """Trouble began or ended."""

    def on_control(self, partition: int, kind: str, *, late: bool) -> None:
        """A control record was taken; ``late``: it came after the instant from which it was meant to count."""

    def on_merged(self, partition: int, outcome: Merged) -> None:
        """An account was to end by a merge or to take one in that has: that is what became of it."""

    def on_state(self, partition: int, state: PartitionState) -> None:
        """A batch was drained: that is how it stands."""


class NullPartitionObserver:
    """Watches nothing."""

    def on_step(
        self, partition: int, events: Mapping[Input, int], rejects: list[tuple[Input, RejectReason]]
    ) -> None:
        """Ignore it."""

    def on_notes(self, partition: int, notes: dict[EventNote, int]) -> None:
        """Ignore it."""

    def on_scores(self, score_changes: dict[str, int]) -> None:
        """Ignore it."""

    def on_alerts(self, alerts: dict[tuple[str, str], int]) -> None:
        """Ignore it."""

    def on_brake(self, partition: int, tally: Tally) -> None:
        """Ignore it."""

    def on_waits(self, partition: int, waits: Waits) -> None:
        """Ignore it."""

    def on_notice(self, partition: int, notice: Notice) -> None:
        """Ignore it."""

    def on_control(self, partition: int, kind: str, *, late: bool) -> None:
        """Ignore it."""

    def on_merged(self, partition: int, outcome: Merged) -> None:
        """Ignore it."""

    def on_state(self, partition: int, state: PartitionState) -> None:
        """Ignore it."""
