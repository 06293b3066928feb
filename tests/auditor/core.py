"""The core as a black box: the records that the auditor judged go through it, and what it says is told alike."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from agents.joins import fold_with_joins
from agents.observer import NullPartitionObserver
from agents.partition import Partition
from agents.zones import ZoneDatabase
from schemas.model_file import ModelFile
from schemas.policy import Policy
from schemas.reasons import EventNote, Merged
from schemas.records import Batch, Chunk, OutputRecord
from schemas.topics import INPUT_TOPICS, Input, Output
from streams.cells import AMOUNT_LEFT_OUT
from streams.clock import ENDLESS_MS
from streams.control import ControlLine
from streams.plan import Program, compile_program
from streams.views import view_records
from tests.auditor.reference import Audit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.auditor.control import Said
    from tests.auditor.event import Recorded
    from tests.auditor.reference import DeadLetter

MADE_WHEN_READ = (EventNote.FUTURE_CLAMPED, EventNote.UNKNOWN_VALUE)
"""The core makes these of events that are never taken, too."""
ORDINAL_OF = {INPUT_TOPICS[source].name: source for source in Input}

STEP_ROWS = 64


class Heard(NullPartitionObserver):
    """Counts the notes that a partition made, and lists what became of merges."""

    def __init__(self) -> None:
        self.notes: Counter[str] = Counter()
        self.moved: list[Merged] = []

    def on_merged(self, partition: int, outcome: Merged) -> None:
        self.moved.append(outcome)

    def on_notes(self, partition: int, notes: dict[EventNote, int]) -> None:
        self.notes.update({note.value: count for note, count in notes.items()})


class Folded(NamedTuple):
    """A partition that took everything, and what it said."""

    machine: Partition
    heard: Heard
    batch: Batch


def program_of(policy: dict[str, Any], models: dict[str, dict[str, Any]]) -> Program:
    """Return the program of the trees of a policy file and of the models that it names."""
    rules = Policy.model_validate(policy)
    files = [ModelFile.model_validate(models[name]) for name in rules.models]
    return compile_program(rules, files, ZoneDatabase())


def run_core(
    records: Sequence[Recorded],
    *,
    policy: dict[str, Any],
    models: dict[str, dict[str, Any]],
    partitions: int,
    until_ms: int | None,
    keyed: bool,
    control: Sequence[Said] = (),
) -> Audit:
    """Return what the core makes of records; the arguments are those of the auditor.

    Everything is offered before the first step, so that what is late beyond the grace has one right answer, too.
    """
    program = program_of(policy, models)
    folded: dict[int, Folded] = {}

    def fold(number: int, lines: Sequence[ControlLine]) -> Sequence[tuple[bytes, bytes | None]]:
        heard = Heard()
        machine = Partition(program, partition=number, partitions=partitions, observer=heard, keyed=keyed)
        if until_ms is not None:
            machine.merge.until_ms = until_ms
        offered = _hear(machine, records, lines, [one.after for one in control])
        take_all(machine, records[offered:], STEP_ROWS)
        if machine.halted is None:
            end_ms = machine.merge.largest_ms - machine.grace_ms if until_ms is None else until_ms
            machine.merge.clock_ms = max(machine.merge.clock_ms, end_ms)
            machine.sweep_all()
            # What the last joins left out is told with the next step, which never comes.
            heard.notes[EventNote.AMOUNT_LEFT_OUT.value] += int(machine.accounts.cells.notes[AMOUNT_LEFT_OUT])
        folded[number] = Folded(machine, heard, machine.drain())
        return list(folded[number].batch.control)

    fold_with_joins([_line(number, one) for number, one in enumerate(control)], partitions, fold)
    found = Audit()
    for number in range(partitions):
        _add(found, *folded[number])
    return found


def _line(number: int, one: Said) -> ControlLine:
    return ControlLine(number, one.key.encode(), None if one.body is None else json.dumps(one.body).encode())


def _hear(
    machine: Partition, records: Sequence[Recorded], lines: Sequence[ControlLine], after: Sequence[int]
) -> int:
    """Let a partition take control records, each after so many records were offered, joins last; return their number."""
    offered = 0
    last = max(after, default=0)
    places = [*after, *[last] * (len(lines) - len(after))]
    for place in sorted(set(places)):
        _offer(machine, records[offered:place])
        offered = place
        machine.take_control([line for line, mine in zip(lines, places, strict=True) if mine == place])
    return offered


def _offer(machine: Partition, records: Sequence[Recorded]) -> None:
    for source in Input:
        lane = [each for each in records if each.partition == machine.partition and each.input is source]
        if lane:
            machine.offer(source, chunk_of(lane))


def take_all(machine: Partition, records: Sequence[Recorded], rows_max: int) -> None:
    """Let a partition take all records that are its own, each input as one chunk, in steps of ``rows_max`` events."""
    _offer(machine, records)
    for source in Input:
        machine.end_reached(source, ENDLESS_MS)
    while machine.step(rows_max) or machine.due_now():
        pass


def chunk_of(lane: Sequence[Recorded]) -> Chunk:
    """Return records of one input and partition as one chunk."""
    return Chunk(
        [record.key for record in lane],
        [record.value for record in lane],
        np.array([record.offset for record in lane], np.int64),
        np.array([record.timestamp_ms for record in lane], np.int64),
    )


def _add(found: Audit, machine: Partition, heard: Heard, batch: Batch) -> None:
    for record in batch.outputs:
        if record.topic is Output.DEAD_LETTERS:
            found.dead_letters.append(_dead_letter(record))
        elif record.topic is Output.SCORE_CHANGES:
            found.score_changes.append(_without_summary(record.value))
        elif record.topic is Output.SHADOW_SCORES:
            found.shadow_scores.append(_without_summary(record.value))
        elif record.topic is Output.DISENGAGEMENTS:
            found.disengagements.append(_without_summary(record.value))
        elif record.topic is Output.OPPORTUNITIES:
            found.opportunities.append(_without_summary(record.value))
        elif record.topic is Output.ACCOUNTS:
            found.gone.append((record.key or b"").decode())
    for record in view_records(machine.accounts, list(machine.accounts.existing())):
        view = json.loads(record.value)
        found.final[view["account_id"]] = _final(view, machine.partition)
    found.notes += heard.notes
    found.moved += [(machine.partition, outcome) for outcome in heard.moved]
    queues = machine.merge.queues.items()
    found.halts += [(machine.partition, source, queue.offered) for source, queue in queues if queue.halting]


def _dead_letter(record: OutputRecord) -> DeadLetter:
    told = {name.removeprefix("latido_"): value.decode() for name, value in record.headers}
    return (ORDINAL_OF[told["topic"]], int(told["partition"]), int(told["offset"]), told["reason"])


def _without_summary(value: bytes) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(value)
    assert payload.pop("summary")
    return payload


def _final(view: dict[str, Any], partition: int) -> dict[str, Any]:
    scores = {
        shown["model"]: {
            "score": None if shown["score"] is None else round(1000 * shown["score"]),
            "band": shown["band"],
            "coverage": round(1000 * shown["coverage"]),
        }
        for shown in view["scores"] + view["shadow"]
    }
    episodes = [
        episode | {"reasons": {reason["rule"]: reason["since"] for reason in episode["reasons"]}}
        for episode in view["episodes"]
    ]
    return {"partition": partition, "models": scores, "episodes": episodes}


def differences(core: Audit, auditor: Audit) -> list[str]:
    """Return what the two do not say alike, one line each: messages by account in their order, and all the rest."""
    found = []
    for name in ("score_changes", "shadow_scores", "disengagements", "opportunities"):
        said, due = by_account(getattr(core, name)), by_account(getattr(auditor, name))
        for account in sorted(said.keys() | due.keys()):
            found += _unequal(f"{name} of {account}", said[account], due[account])
    found += _unequal(
        "dead letters", sorted(core.dead_letters, key=repr), sorted(auditor.dead_letters, key=repr)
    )
    notes = [note.value for note in EventNote if not (auditor.left and note in MADE_WHEN_READ)]
    found += _unequal("notes", [(n, core.notes[n]) for n in notes], [(n, auditor.notes[n]) for n in notes])
    found += _unequal("halts", core.halts, auditor.halts)
    found += _unequal("accounts gone", sorted(core.gone), sorted(auditor.gone))
    found += _unequal("merges and joins", core.moved, auditor.moved)
    for account in sorted(core.final.keys() | auditor.final.keys()):
        mine, theirs = core.final.get(account, {}), auditor.final.get(account, {})
        found += [
            f"{account} ends with {name} {mine.get(name)}, must be {theirs.get(name)}"
            for name in ("partition", "models", "episodes")
            if mine.get(name) != theirs.get(name)
        ]
    return found


def by_account(payloads: Sequence[dict[str, Any]]) -> defaultdict[str, list[dict[str, Any]]]:
    """Return messages by account, in their order."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for payload in payloads:
        found[payload["account_id"]].append(payload)
    return found


def _unequal(what: str, mine: Sequence[Any], theirs: Sequence[Any]) -> list[str]:
    """Return the first place at which two lists differ, if there is one."""
    for i in range(max(len(mine), len(theirs))):
        one, other = mine[i : i + 1], theirs[i : i + 1]
        if one != other:
            return [f"{what}, number {i}: the core says {one}, must be {other}"]
    return []
