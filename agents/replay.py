"""Replay: the same core over recorded events, deterministic.

Two passes. The first deals the lines out to one spool file per partition and input, in file order; the second runs one
partition after another from its spools, so that memory holds one partition's accounts however long the recording is.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from agents.joins import fold_with_joins
from agents.partition import Partition
from agents.recorded import Reader, deal
from schemas.errors import ConfigError
from schemas.topics import Input, Output
from streams.clock import ENDLESS_MS, NEVER_MS
from streams.views import view_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from agents.joins import Pair
    from agents.recorded import LinePlace, Spool
    from schemas.records import OutputRecord
    from streams.control import ControlLine
    from streams.decode import Refused
    from streams.plan import Program

STEP_ROWS: Final = 20_000
OUTPUT_FILES: Final = {
    Output.SCORE_CHANGES: "score-changes.jsonl",
    Output.SHADOW_SCORES: "shadow-scores.jsonl",
    Output.DISENGAGEMENTS: "disengagements.jsonl",
    Output.OPPORTUNITIES: "opportunities.jsonl",
    Output.ACCOUNTS: "accounts.jsonl",
    Output.OPERATIONS: "operations.jsonl",
    Output.DEAD_LETTERS: "dead-letters.jsonl",
}
_IDS: Final = {
    Output.SCORE_CHANGES: "change_id",
    Output.SHADOW_SCORES: "change_id",
    Output.DISENGAGEMENTS: "alert_id",
    Output.OPPORTUNITIES: "alert_id",
    Output.OPERATIONS: "operation_id",
}


class Summary(NamedTuple):
    """What a replay did: lines read, events taken, and records written by output."""

    lines: int
    events: int
    written: dict[str, int]


def replay_files(
    files: Sequence[Path], program: Program, *, partitions: int, until_ms: int | None, out: Path
) -> Summary:
    """Replay recorded files into ``out`` (``score-changes.jsonl`` and so on, ordered by time, account and id).

    Raises:
        ConfigError: a file cannot be read, or the folder cannot be made.
        StateError: a control record cannot be followed.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the folder {str(out)!r} cannot be made ({error.strerror}). Give --out a folder that can be written to."
        ) from error
    unrouted: list[tuple[Any, bytes]] = []
    told: dict[int, _Told] = {}

    def refuse(place: LinePlace, text: bytes, refused: Refused) -> None:
        unrouted.append(_unroutable(place.number, text, refused))

    with TemporaryDirectory(prefix="latido-replay-") as folder, ExitStack() as stack:
        recording = deal(files, partitions, Path(folder), stack, refuse)

        def fold_one(partition: int, control: Sequence[ControlLine]) -> list[Pair]:
            machine = Partition(program, partition=partition, partitions=partitions, keyed=False)
            machine.take_control(control)
            told[partition] = one = _Told(machine, recording.of(partition), until_ms)
            return one.said

        fold_with_joins(recording.control, partitions, fold_one)
    written = {}
    for output, file in OUTPUT_FILES.items():
        records = [record for one in told.values() for record in one.outputs[output]]
        records += unrouted if output is Output.DEAD_LETTERS else []
        records.sort(key=lambda record: record[0])
        (out / file).write_bytes(b"".join(line + b"\n" for _, line in records))
        written[file] = len(records)
    return Summary(recording.lines, sum(one.events for one in told.values()), written)


class _Told:
    """What comes out of a partition that is folded to its end: outputs, each to be sorted by what stands before it."""

    def __init__(self, machine: Partition, spools: Mapping[Input, Spool], until_ms: int | None) -> None:
        self.outputs: dict[Output, list[tuple[Any, bytes]]] = {output: [] for output in Output}
        self.said: list[Pair] = []
        self.events = sum(fold(machine, spools, until_ms, self._collect, self.said))
        finish(machine, until_ms, self._collect, self.said)
        for record in view_records(machine.accounts, machine.accounts.existing()):
            self._collect(record)

    def _collect(self, record: OutputRecord) -> None:
        _collect(self.outputs, record)


def fold_files(files: Sequence[Path], program: Program) -> Partition:
    """Return the one partition of a replay of recorded files, at its end; what went out is dropped.

    Raises:
        ConfigError: a file cannot be read.
    """
    with TemporaryDirectory(prefix="latido-replay-") as folder, ExitStack() as stack:
        recording = deal(files, 1, Path(folder), stack, _drop)
        machines: list[Partition] = []

        def fold_one(_: int, control: Sequence[ControlLine]) -> list[Pair]:
            machine = Partition(program, partition=0, partitions=1, keyed=False)
            said: list[Pair] = []
            machine.take_control(control)
            for _ in fold(machine, recording.of(0), None, _drop, said):
                pass
            finish(machine, None, _drop, said)
            machines[:] = [machine]
            return said

        fold_with_joins(recording.control, 1, fold_one)
    return machines[0]


def fold(
    machine: Partition,
    spools: Mapping[Input, Spool],
    until_ms: int | None,
    emit: Callable[[OutputRecord], None],
    said: list[Pair],
) -> Iterator[int]:
    """Fold recorded events into a partition up to ``until_ms``; yield after each step how many it took.

    What goes out is given to ``emit``, but for views; control records are added to ``said``.
    """
    machine.merge.until_ms = ENDLESS_MS if until_ms is None else until_ms
    readers = {topic: Reader(spool) for topic, spool in spools.items()}
    for topic in Input:
        if topic not in readers:
            machine.end_reached(topic, ENDLESS_MS)
    while True:
        taken = machine.step(STEP_ROWS)
        yield taken
        if machine.due_now():
            continue
        _flush(machine, emit, said)
        if taken:
            continue
        if not _feed(machine, readers):
            return


def finish(
    machine: Partition, clock_ms: int | None, emit: Callable[[OutputRecord], None], said: list[Pair]
) -> None:
    """Move the clock of a partition of which nothing is left, and fire what is due.

    Args:
        machine: the partition.
        clock_ms: where the clock moves; None is the largest time it took, minus the grace. A halted partition's stands still.
        emit: gets what goes out, but for views.
        said: gets the control records.
    """
    if machine.halted is None:
        largest = machine.merge.largest_ms
        last = largest - machine.grace_ms if largest > NEVER_MS else NEVER_MS
        machine.merge.clock_ms = max(machine.merge.clock_ms, last if clock_ms is None else clock_ms)
    machine.sweep_all()
    _flush(machine, emit, said)


def _drop(*_: object) -> None:
    """Take what nobody wants."""


def _unroutable(line: int, text: bytes, refused: Refused) -> tuple[Any, bytes]:
    told = {
        "reason": refused.reason,
        "detail": f"line cannot be routed: {refused}",
        "topic": None,
        "partition": None,
        "offset": line,
        "key_bytes": 0,
        "value_bytes": len(text),
    }
    return _dead_entry(told, None, text)


def _dead_entry(told: dict[str, Any], key: bytes | None, value: bytes) -> tuple[Any, bytes]:
    told["key"] = None if key is None else key.decode("utf-8", "replace")
    told["value"] = value.decode("utf-8", "replace")
    return ("", str(told["topic"]), told["partition"] or 0, told["offset"]), msgspec.json.encode(told)


def _feed(machine: Partition, readers: dict[Input, Reader]) -> bool:
    fed = False
    for topic in machine.merge.lagging():
        reader = readers.get(topic)
        if reader is None:
            continue
        chunk = reader.chunk()
        fed = True
        if chunk is None:
            del readers[topic]
            machine.end_reached(topic, ENDLESS_MS)
        else:
            machine.offer(topic, chunk)
    return fed


def _flush(machine: Partition, emit: Callable[[OutputRecord], None], said: list[Pair]) -> None:
    batch = machine.drain()
    said += batch.control
    for record in batch.outputs:
        if record.topic is not Output.ACCOUNTS:
            emit(record)


def _collect(outputs: dict[Output, list[tuple[Any, bytes]]], record: OutputRecord) -> None:
    if record.topic is Output.DEAD_LETTERS:
        told = {name.removeprefix("latido_"): value.decode() for name, value in record.headers}
        entry = told | {name: int(told[name]) for name in ("partition", "offset", "key_bytes", "value_bytes")}
        outputs[record.topic].append(_dead_entry(entry, record.key, record.value))
        return
    payload = msgspec.json.decode(record.value)
    at = payload.get("effective_at", payload.get("as_of"))
    outputs[record.topic].append(
        ((at, payload.get("account_id", ""), payload.get(_IDS.get(record.topic, ""), "")), record.value)
    )
