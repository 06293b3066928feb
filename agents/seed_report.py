"""What a seed made of history: events, bands of each model, episodes that are open and whether their alerts wait."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np

from agents.observer import NullPartitionObserver
from agents.tables import table_text
from schemas.reasons import EventNote, Rule
from schemas.topics import INPUT_TOPICS, Input
from streams.clock import NEVER_MS
from streams.conditions import GOOD_NEWS
from streams.instants import instant_text
from streams.layout import HELD, HELD_FIRING, OPEN, QUIET
from streams.levels import band_name
from streams.messages import STORIES
from streams.plan import PRESENT_BAND

if TYPE_CHECKING:
    from agents.partition import Partition
    from agents.seed_rejects import Rejects

NOTES: Final = {
    EventNote.DUPLICATE: "repeats of events, not counted again",
    EventNote.LATE_FOR_RHYTHM: "older than activity before them, telling nothing of the rhythm: sort each input by occurred_at",
    EventNote.TOO_LATE: "too old for a window when they came: sort each input by occurred_at",
    EventNote.FUTURE_CLAMPED: "from the future, taken at the time of the others",
    EventNote.UNKNOWN_VALUE: "of an unknown action or status, taken as `other`",
    EventNote.AMOUNT_LEFT_OUT: "with an amount in another currency or none, not summed",
    EventNote.ERASED: "of erased accounts, from before that, left out",
    EventNote.MERGED: "of merged accounts, from before that, left out",
}


class Report(NullPartitionObserver):
    """Adds up partitions; hears of remarkable events (``PartitionObserver``)."""

    def __init__(self) -> None:
        self.accounts = self.events = 0
        self.notes: Counter[EventNote] = Counter()
        self.largest_ms = dict.fromkeys(Input, NEVER_MS)
        """The largest time taken of each input."""
        self.bands: dict[str, Counter[str]] = defaultdict(Counter)
        self.waiting: Counter[str] = Counter()
        """Reasons of open episodes whose alerts are held back."""
        self.told: Counter[str] = Counter()
        """Reasons of those whose alerts count as told."""
        self.alerts_waiting = self.alerts_told = 0

    def on_notes(self, partition: int, notes: dict[EventNote, int]) -> None:  # noqa: ARG002
        """Count remarkable events."""
        self.notes.update(notes)

    def add(self, machine: Partition, rows: list[int]) -> None:
        """Add the accounts of a partition that is through."""
        self.accounts += len(rows)
        for topic, queue in machine.merge.queues.items():
            self.largest_ms[topic] = max(self.largest_ms[topic], queue.progress.largest_ms)
        accounts, is_held = machine.accounts, machine.outbox.brake.is_held
        for model, column in zip(accounts.program.models, accounts.plan.models[:, PRESENT_BAND], strict=True):
            codes, counts = np.unique(accounts.cells.u8[rows, column], return_counts=True)
            for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
                self.bands[model.model][band_name(model, code)] += count
        for number, story in enumerate(STORIES):
            mine = accounts.cells.u16[rows, OPEN].astype(np.int64) & (GOOD_NEWS if number else ~GOOD_NEWS)
            waits = np.isin(accounts.cells.u8[rows, HELD + number], (QUIET, HELD_FIRING))
            waits |= np.array([is_held(accounts.keys[row], story.topic) for row in rows], bool)
            self.alerts_waiting += int(((mine != 0) & waits).sum())
            self.alerts_told += int(((mine != 0) & ~waits).sum())
            for rule in Rule:
                has = (mine >> rule & 1).astype(bool)
                self.waiting[rule.label] += int((has & waits).sum())
                self.told[rule.label] += int((has & ~waits).sum())

    def text(self, *, cut_ms: int, left: int, rejects: Rejects) -> str:
        """Return it for people; ``left`` lines lie beyond the cut."""
        rejected = rejects.counts.total()
        said = [f"{self.accounts} accounts of {self.events} events up to {instant_text(cut_ms)}"]
        if left:
            said.append(f"{left} lines after that are left to the topics")
        parts = [", ".join(said) + "."]
        ends = (
            f"{INPUT_TOPICS[topic].name} {'none' if at == NEVER_MS else instant_text(at)}"
            for topic, at in self.largest_ms.items()
        )
        parts.append(f"Latest events: {', '.join(ends)}.")
        parts += [f"{count} events {NOTES[note]} ({note})." for note, count in sorted(self.notes.items())]
        if rejected:
            reasons = ", ".join(f"{reason} {count}" for reason, count in rejects.counts.most_common())
            shown = [f"  {reject}" for reject in rejects.first]
            more = [f"  and {rejected - len(shown)} more"] if rejected > len(shown) else []
            parts.append("\n".join([f"{rejected} lines were rejected: {reasons}", *shown, *more]))
        parts += ["", self._band_table(), "", self._alert_table()]
        return "\n".join(parts)

    def _band_table(self) -> str:
        rows = [
            [model, band, str(count)]
            for model, bands in self.bands.items()
            for band, count in bands.most_common()
        ]
        return table_text(("model", "band", "accounts"), rows, numbers=("accounts",))

    def _alert_table(self) -> str:
        reasons = [rule.label for rule in Rule if self.waiting[rule.label] or self.told[rule.label]]
        rows = [[reason, str(self.waiting[reason]), str(self.told[reason])] for reason in reasons]
        rows.append(
            ["alerts (one may have several reasons)", str(self.alerts_waiting), str(self.alerts_told)]
        )
        heads = ("reason", "open, held back", "open, counts as told")
        return table_text(heads, rows, numbers=heads[1:])
