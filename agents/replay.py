"""Replay: the same core over recorded events, deterministic.

Two passes. The first deals the lines out to one spool file per partition and input, in file order; the second runs one
partition after another from its spools, so that memory holds one partition's accounts however long the recording is.
"""

from __future__ import annotations

import gzip
import io
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

import msgspec
import numpy as np
import zstandard

from agents.partition import Partition
from schemas.control import RECORDED_CONTROL
from schemas.errors import ConfigError
from schemas.events import OCCURRED_AT_END_MS, OCCURRED_AT_MIN_MS, RECORDED_TYPES, Instant
from schemas.reasons import RejectReason
from schemas.records import Chunk, OutputRecord
from schemas.topics import Input, Output
from streams.clock import ENDLESS_MS, NEVER_MS
from streams.control import ControlLine
from streams.decode import Refused, check_json, cut_instants, instant_ms
from streams.murmur import partition_of
from streams.views import view_records

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from streams.plan import Program

CHUNK_LINES: Final = 5_000
STEP_ROWS: Final = 20_000
FAR_AHEAD_MS: Final = 86_400_000
"""An undated event so far beyond all other inputs is taken for a wrong clock."""
OUTPUT_FILES: Final = {
    Output.SCORE_CHANGES: "score-changes.jsonl",
    Output.DISENGAGEMENTS: "disengagements.jsonl",
    Output.OPPORTUNITIES: "opportunities.jsonl",
    Output.ACCOUNTS: "accounts.jsonl",
    Output.OPERATIONS: "operations.jsonl",
    Output.DEAD_LETTERS: "dead-letters.jsonl",
}
_CONTROL: Final = b'"%s"' % RECORDED_CONTROL.encode()
_IDS: Final = {
    Output.SCORE_CHANGES: "change_id",
    Output.DISENGAGEMENTS: "alert_id",
    Output.OPPORTUNITIES: "alert_id",
    Output.OPERATIONS: "operation_id",
}


class Address(msgspec.Struct):
    """What routing reads of a line."""

    account_id: str
    type: str
    received_at: Instant | None = None


class _Type(msgspec.Struct):
    type: str
    withdraws: str | None = None


class Summary(NamedTuple):
    """What a replay did: lines read, events taken, and records written by output."""

    lines: int
    events: int
    written: dict[str, int]


class _Spool(NamedTuple):
    lines: BinaryIO
    stamps: list[int]


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
    outputs: dict[Output, list[tuple[Any, bytes]]] = {output: [] for output in Output}
    with TemporaryDirectory(prefix="latido-replay-") as folder, ExitStack() as stack:
        control: list[ControlLine] = []
        spools, lines = _deal(files, partitions, Path(folder), stack, outputs[Output.DEAD_LETTERS], control)
        _date_undated(spools)
        events = 0
        for partition in range(partitions):
            machine = Partition(program, partition=partition, partitions=partitions, keyed=False)
            machine.take_control(control)
            events += _run(machine, _of(spools, partition), until_ms, outputs)
            for record in view_records(machine.accounts, machine.accounts.existing()):
                _collect(outputs, record)
    for output, records in outputs.items():
        records.sort(key=lambda record: record[0])
        (out / OUTPUT_FILES[output]).write_bytes(b"".join(line + b"\n" for _, line in records))
    return Summary(lines, events, {OUTPUT_FILES[output]: len(records) for output, records in outputs.items()})


def fold_files(files: Sequence[Path], program: Program) -> Partition:
    """Return the one partition of a replay of recorded files, at its end; what went out is dropped.

    Raises:
        ConfigError: a file cannot be read.
    """
    outputs: dict[Output, list[tuple[Any, bytes]]] = {output: [] for output in Output}
    machine = Partition(program, partition=0, partitions=1, keyed=False)
    with TemporaryDirectory(prefix="latido-replay-") as folder, ExitStack() as stack:
        control: list[ControlLine] = []
        spools, _ = _deal(files, 1, Path(folder), stack, outputs[Output.DEAD_LETTERS], control)
        _date_undated(spools)
        machine.take_control(control)
        _run(machine, _of(spools, 0), None, outputs)
    return machine


def _of(spools: dict[tuple[int, Input], _Spool], partition: int) -> dict[Input, _Spool]:
    return {topic: spools[partition, topic] for topic in Input if (partition, topic) in spools}


# -- first pass ---------------------------------------------------------------------------------------------------


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as raw:
            if path.suffix == ".gz":
                with gzip.open(raw) as text:
                    yield text  # type: ignore[misc]
            elif path.suffix in (".zst", ".zstd"):
                yield io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw))
            else:
                yield raw
    except (OSError, EOFError, zstandard.ZstdError) as error:
        raise ConfigError(
            f"{path}: cannot be read ({error}). Give recorded events as .jsonl, .jsonl.gz or .jsonl.zst."
        ) from error


def read_lines(files: Sequence[Path]) -> Iterator[bytes]:
    """Return the lines of recorded files, one file after another.

    Raises:
        ConfigError: a file cannot be read.
    """
    for path in files:
        with _open(path) as source:
            yield from source


def _deal(
    files: Sequence[Path],
    partitions: int,
    folder: Path,
    stack: ExitStack,
    dead: list[tuple[Any, bytes]],
    control: list[ControlLine],
) -> tuple[dict[tuple[int, Input], _Spool], int]:
    spools: dict[tuple[int, Input], _Spool] = {}
    homes: dict[str, int] = {}
    decoder = msgspec.json.Decoder(Address)
    lines = 0
    for line in read_lines(files):
        lines += 1
        text = line.rstrip(b"\r\n")
        if not text.strip():
            continue
        if _CONTROL in text and (line_type := _type_of(text)) and line_type.type == RECORDED_CONTROL:
            control.append(_control_line(len(control), line_type, text))
            continue
        try:
            address, topic = _routed(decoder, text)
        except Refused as refused:
            dead.append(_unroutable(lines, text, refused))
            continue
        stamp = -1 if address.received_at is None else instant_ms(address.received_at)
        home = homes.get(address.account_id)
        if home is None:
            home = partition_of(address.account_id.encode(), partitions)
            homes[address.account_id] = home
        spool = spools.get((home, topic))
        if spool is None:
            handle = stack.enter_context((folder / f"{home}-{topic}").open("w+b", buffering=1 << 16))
            spool = spools[home, topic] = _Spool(handle, [])
        spool.lines.write(text + b"\n")
        spool.stamps.append(stamp)
    return spools, lines


def _routed(decoder: msgspec.json.Decoder[Address], text: bytes) -> tuple[Address, Input]:
    """Return what routing reads of a line, and its input.

    Raises:
        Refused: it is not JSON, or what routing reads is missing or wrong.
    """
    try:
        if not text.isascii():
            text.decode()
        address = decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        check_json(text)
        raise Refused(RejectReason.WRONG_TYPE, str(error)) from None
    cut_instants(address, text)
    topic = RECORDED_TYPES.get(address.type)
    if topic is None:
        detail = f"type is {address.type[:40]!r}; known: {', '.join(RECORDED_TYPES)}"
        raise Refused(RejectReason.WRONG_TYPE, detail)
    return address, topic


def _type_of(text: bytes) -> _Type | None:
    try:
        return msgspec.json.decode(text, type=_Type)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _control_line(number: int, line: _Type, text: bytes) -> ControlLine:
    """Return a control record as it would lie in the topic."""
    if line.withdraws is not None:
        return ControlLine(number, line.withdraws.encode(), None)
    return ControlLine(number, None, text)


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


# -- second pass --------------------------------------------------------------------------------------------------


class _Reader:
    """One spool read in chunks, clamped where an event is ahead of all other inputs."""

    def __init__(self, spool: _Spool) -> None:
        spool.lines.seek(0)
        self._lines, self._stamps, self._offset = spool.lines, spool.stamps, 0

    def chunk(self) -> Chunk | None:
        """Return the next chunk, or None at the end."""
        values = [line[:-1] for line in self._lines_up_to(CHUNK_LINES)]
        if not values:
            return None
        offsets = np.arange(self._offset, self._offset + len(values), dtype=np.int64)
        stamps = np.array(self._stamps[self._offset : self._offset + len(values)], np.int64)
        self._offset += len(values)
        return Chunk([None] * len(values), values, offsets, stamps)

    def _lines_up_to(self, count: int) -> list[bytes]:
        return [line for _, line in zip(range(count), self._lines, strict=False)]


def _run(
    machine: Partition,
    spools: dict[Input, _Spool],
    until_ms: int | None,
    outputs: dict[Output, list[tuple[Any, bytes]]],
) -> int:
    machine.merge.until_ms = ENDLESS_MS if until_ms is None else until_ms
    readers = {topic: _Reader(spool) for topic, spool in spools.items()}
    for topic in Input:
        if topic not in readers:
            machine.end_reached(topic, ENDLESS_MS)
    events = 0
    while True:
        taken = machine.step(STEP_ROWS)
        events += taken
        if machine.due_now():
            continue
        _flush(machine, outputs)
        if taken:
            continue
        if not _feed(machine, readers):
            break
    if machine.halted is None:
        machine.merge.clock_ms = max(machine.merge.clock_ms, _last_clock(machine, until_ms))
    machine.sweep_all()
    _flush(machine, outputs)
    return events


def _feed(machine: Partition, readers: dict[Input, _Reader]) -> bool:
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


def _last_clock(machine: Partition, until_ms: int | None) -> int:
    if until_ms is not None:
        return until_ms
    largest = machine.merge.largest_ms
    return largest - machine.grace_ms if largest > NEVER_MS else NEVER_MS


class _Dated(msgspec.Struct):
    occurred_at: Instant


def _date_undated(spools: dict[tuple[int, Input], _Spool]) -> None:
    """Give undated lines far ahead of all other inputs the largest time of those as the time of their record."""
    if all(stamp >= 0 for spool in spools.values() for stamp in spool.stamps):
        return
    times = {place: _times(spool) for place, spool in spools.items()}
    largest = dict.fromkeys(Input, NEVER_MS)
    for (_, topic), found in times.items():
        largest[topic] = max(largest[topic], int(found.max()))
    for (partition, topic), spool in spools.items():
        limit = max(largest[other] for other in Input if other is not topic)
        if limit == NEVER_MS:
            continue
        for i in np.nonzero(times[partition, topic] > limit + FAR_AHEAD_MS)[0].tolist():
            if spool.stamps[i] < 0:
                spool.stamps[i] = limit


def _times(spool: _Spool) -> npt.NDArray[np.int64]:
    spool.lines.seek(0)
    decoder = msgspec.json.Decoder(_Dated)
    return np.array([_time_of(decoder, line) for line in spool.lines], np.int64)


def _time_of(decoder: msgspec.json.Decoder[_Dated], line: bytes) -> int:
    try:
        dated = decoder.decode(line)
    except (msgspec.MsgspecError, RecursionError):
        return NEVER_MS
    cut_instants(dated, line)
    time_ms = instant_ms(dated.occurred_at)
    return time_ms if OCCURRED_AT_MIN_MS <= time_ms < OCCURRED_AT_END_MS else NEVER_MS


def _flush(machine: Partition, outputs: dict[Output, list[tuple[Any, bytes]]]) -> None:
    for record in machine.drain().outputs:
        if record.topic is not Output.ACCOUNTS:
            _collect(outputs, record)


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
