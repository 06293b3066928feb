"""One undisturbed partition that takes the records of a run, and the control records from where they count in the run.

A join of the run is taken like any control record. That all partitions together make and withdraw the very joins that they
take is what a replay comes to by itself: a join counts later than its merge, so none rests on itself.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka.structs import TopicPartition

from agents.observer import NullPartitionObserver, Waits
from agents.partition import Partition
from schemas.control import JoinAccount, MergeAccounts, ResumeInput, SkipInput, kind_of
from schemas.reasons import CauseKind, EventNote, Merged, RejectReason, ResolvedBy, Status
from schemas.topics import Input, Output
from streams.clock import NEVER_MS
from streams.control import ControlLine, home_of, read_control
from streams.instants import instant_ms
from tests.auditor.core import take_all
from tests.auditor.exact import millis
from tests.faults.noting import NOTED, read_note
from tests.faults.world import APPLICATION, CHANGELOG, Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agents.joins import Pair
    from schemas.records import OutputRecord
    from streams.brake import Tally
    from tests.auditor.event import Recorded

STEP_ROWS: Final = 5_000


class Folded(NamedTuple):
    """A partition at its end, what it told, what it said to the control topic, and what happened in it."""

    machine: Partition
    outputs: list[OutputRecord]
    said: Sequence[Pair]
    counts: Counter[str]


class Counting(NullPartitionObserver):
    """Counts what there is to be disturbed."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def on_step(
        self, partition: int, events: Mapping[Input, int], rejects: list[tuple[Input, RejectReason]]
    ) -> None:
        refused = [reason for _, reason in rejects if reason is RejectReason.TOO_MANY_ACCOUNTS]
        self.counts["events of too many accounts"] += len(refused)

    def on_notes(self, partition: int, notes: dict[EventNote, int]) -> None:
        self.counts["events of erased accounts"] += notes.get(EventNote.ERASED, 0)
        self.counts["events of merged accounts"] += notes.get(EventNote.MERGED, 0)

    def on_merged(self, partition: int, outcome: Merged) -> None:
        self.counts[OUTCOMES[outcome]] += 1

    def on_brake(self, partition: int, tally: Tally) -> None:
        self.counts.update(
            {
                "episodes held": tally.held,
                "episodes released": tally.released,
                "episodes dropped": tally.dropped,
            }
        )

    def on_waits(self, partition: int, waits: Waits) -> None:
        self.counts.update(
            {
                "reasons that waited": waits.began,
                "reasons that joined after a wait": waits.joined,
                "reasons that waited in vain": waits.in_vain,
            }
        )

    def told(self, machine: Partition, outputs: Iterable[OutputRecord]) -> None:
        """Count what outputs show."""
        ends = {end_ms for _, end_ms in machine.control.mutes().tolist()}
        for output in outputs:
            if output.topic is Output.ACCOUNTS:
                self.counts["accounts ended"] += not output.value
            elif output.topic in {Output.DISENGAGEMENTS, Output.OPPORTUNITIES}:
                payload = json.loads(output.value)
                self.counts["messages of episodes"] += 1
                for cause in (ResolvedBy.ERASED, ResolvedBy.RETIRED, ResolvedBy.POLICY, ResolvedBy.MERGED):
                    self.counts[f"episodes ended by {cause}"] += payload["resolved_by"] == cause
                is_told = payload["status"] != Status.RESOLVED and millis(payload["effective_at"]) in ends
                self.counts["alerts told as muting ended"] += is_told
            elif output.topic is Output.SCORE_CHANGES:
                self.counts["score changes"] += 1
                kind = json.loads(output.value)["cause"]["kind"]
                self.counts["score changes by a policy"] += kind == CauseKind.MODEL
                self.counts["score changes by a merge"] += kind == CauseKind.MERGE


OUTCOMES: Final = {
    Merged.ENDED: "accounts ended by merged",
    Merged.NOT_THERE: "merges of nobody",
    Merged.SAME: "merges into oneself",
    Merged.JOINED: "accounts joined",
    Merged.RENAMED: "accounts renamed",
    Merged.ERASED: "joins into erased accounts",
    Merged.TOO_LARGE: "merges of too large accounts",
}

HAPPENS: Final = (
    "kills", "pauses", "outages", "leaves", "rebalances", "fenced", "stale rows", "exit 13",
    "control records", "late control records", "control records replaced", "control records written in an outage",
    "pause in force", "resume in force", "go_live in force", "policy in force", "resume_input in force", "skip_input in force",
    "alerts told as muting ended", "score changes by a policy", "episodes ended by policy",
    "commits amid an adoption", "takeovers amid an adoption", "takeovers under a policy of another layout",
    "episodes held", "episodes released", "episodes dropped", "takeovers while episodes are held",
    "reasons that waited", "reasons that joined after a wait", "reasons that waited in vain", "takeovers while silences wait",
    "accounts ended", "episodes ended by erased", "episodes ended by retired", "events of erased accounts",
    "events of too many accounts",
    "merge in force", "join in force", "merges in time", "late merges", "joins in time", "late joins",
    *(name for outcome, name in OUTCOMES.items() if outcome is not Merged.TOO_LARGE), "merges within a partition",
    "merges into another partition", "merges in a chain", "joins on their way at the end", "joins lost by hand",
    "score changes by a merge", "episodes ended by merged", "events of merged accounts",
    "kills in a transaction of a merge", "pauses in a transaction of a merge", "kills while an account is on its way",
    "pauses while an account is on its way", "takeovers with a merge to come", "takeovers with a join to come",
)  # fmt: skip
"""What a run of many seeds must have seen, by the names of what is counted."""


def undisturbed(result: Result, records: list[Recorded], number: int) -> Folded:
    """Fold the records of a partition in one go, as a replay does, up to where its last owner has come."""
    scenario, observer = result.scenario, Counting()
    machine = Partition(
        scenario.program,
        partition=number,
        partitions=scenario.world.partitions,
        observer=observer,
        application=APPLICATION,
    )
    for line, at_ms in counting(result, number):
        machine.control.take(line, at_ms - 1, NEVER_MS)
        record = read_control(line)
        counts = isinstance(record, ResumeInput | SkipInput) or at_ms <= result.clocks[number]
        observer.counts[f"{kind_of(record)} in force"] += counts
    machine.take_control(())
    take_all(machine, records, STEP_ROWS)
    if machine.halted is None:
        machine.merge.clock_ms = max(machine.merge.clock_ms, result.clocks[number])
        machine.sweep_all()
    batch = machine.drain()
    observer.told(machine, batch.outputs)
    return Folded(machine, batch.outputs, batch.control, observer.counts)


def counting(result: Result, number: int) -> list[tuple[ControlLine, int]]:
    """Return the control records that count in a partition, each with the instant from which it does, as was committed."""
    notes = _notes(result, number)
    counts = {offset: at_ms for note in notes for offset, at_ms in note.counts.items() if at_ms is not None}
    for offset in {offset for note in notes for offset in note.replaced}:
        del counts[offset]
    lines = control_lines(result)
    return [(lines[offset], at_ms) for offset, at_ms in sorted(counts.items()) if offset in lines]


def misplaced(result: Result, number: int) -> list[str]:
    """Return which records do not count from where they should, and which were not heard; count those that were late."""
    found, lines = list[str](), control_lines(result)
    heard = set[int]()
    for note in _notes(result, number):
        for offset, at_ms in note.counts.items():
            heard.add(offset)
            if offset not in lines:
                found.append(
                    f"partition {number} took the control record {offset}, which was never committed"
                )
                continue
            if lines[offset].value is None:
                continue
            record = read_control(lines[offset])
            home = home_of(record, result.scenario.world.partitions)
            if at_ms is None:
                result.counts["control records replaced"] += home is None  # by one that was heard with it
                if home == number and isinstance(record, MergeAccounts | JoinAccount):
                    found.append(f"control record {offset} does not count in partition {number}")
                continue
            told_ms = instant_ms(record.effective_at)
            is_late = told_ms <= note.reached_ms
            result.counts["late control records"] += is_late
            if isinstance(record, MergeAccounts | JoinAccount):
                result.counts[f"{'late ' * is_late}{kind_of(record)}s{' in time' * (not is_late)}"] += 1
            if at_ms != max(told_ms, note.reached_ms + 1):
                found.append(
                    f"control record {offset} counts in partition {number} from {at_ms}, not {told_ms}; it had "
                    f"come to {note.reached_ms}"
                )
        result.counts["control records replaced"] += len(note.replaced)
    last = {lines[offset].key: offset for offset in sorted(heard & lines.keys())}
    # replaced before any owner came to read it: none hears of it any more
    heard |= {offset for offset, line in lines.items() if offset < last.get(line.key, -1)}
    if heard != lines.keys():
        found.append(
            f"partition {number} has heard of the control records {sorted(heard)}, not {sorted(lines)}"
        )
    return found


def _notes(result: Result, number: int) -> list[Any]:
    log = result.broker.logs[TopicPartition(CHANGELOG, number)].read(0, 1 << 30, committed=True)
    return [read_note(record.value or b"") for record in log.records if (record.key or b"").startswith(NOTED)]


def control_lines(result: Result) -> dict[int, ControlLine]:
    """Return by offset all that the control topic ever held."""
    return {record.offset: ControlLine(record.offset, record.key, record.value) for record in result.control}
