"""Recorded events: the lines of files, dealt out to one spool file per partition and input, in file order.

A spool keeps beside each line the time of its record and its number in the recording, on disk as well, so that memory
does not grow with the recording (but for 8 bytes a line while undated lines are dated).
"""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from bisect import bisect_right
from contextlib import ExitStack, contextmanager
from operator import itemgetter
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

import msgspec
import numpy as np
import zstandard

from agents.parquet import parquet_lines
from schemas.control import RECORDED_CONTROL
from schemas.errors import ConfigError
from schemas.events import OCCURRED_AT_END_MS, OCCURRED_AT_MIN_MS, RECORDED_TYPES, Instant
from schemas.reasons import RejectReason
from schemas.records import Chunk
from schemas.topics import Input
from streams.clock import NEVER_MS
from streams.control import ControlLine
from streams.decode import Refused, check_json
from streams.instants import cut_instants, instant_ms
from streams.murmur import partition_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    OnBytes = Callable[[Path, int], None]
    """Hears how many bytes of a file were read."""
    OnRefused = Callable[["LinePlace", bytes, Refused], None]
    """Hears of a line that belongs to no partition: where it is, its text, and why."""

CHUNK_LINES: Final = 5_000
TOLD_LINES: Final = 10_000
"""How often it is told how far the reading is."""
FAR_AHEAD_MS: Final = 86_400_000
"""An undated event so far beyond all other inputs is taken for a wrong clock."""
PARQUET: Final = ".parquet"
STAMP, NUMBER = range(2)
_MARK: Final = struct.Struct("=qq")
_CONTROL: Final = b'"%s"' % RECORDED_CONTROL.encode()


class Address(msgspec.Struct):
    """What routing reads of a line."""

    account_id: str
    type: str
    received_at: Instant | None = None


class _Type(msgspec.Struct):
    type: str
    withdraws: str | None = None


class LinePlace(NamedTuple):
    """Where a line is: its file, its number there, and its number in the whole recording, both from 1."""

    path: Path
    line: int
    number: int

    def __str__(self) -> str:
        """Return it as an editor opens it."""
        return f"{self.path}:{self.line}"


class Spool:
    """The lines of one input of one partition; ``marks`` (lines, 2) int64: time of the record (ms, -1: none), line number."""

    def __init__(self, lines: BinaryIO, marks: BinaryIO) -> None:
        self.marks: npt.NDArray[np.int64]
        self._lines, self._marks = lines, marks

    def put(self, text: bytes, stamp: int, number: int) -> None:
        """Add a line."""
        self._lines.write(text + b"\n")
        self._marks.write(_MARK.pack(stamp, number))

    def dealt(self) -> None:
        """Hear that there are no more lines."""
        self._marks.flush()
        self.marks = np.memmap(self._marks, np.int64, "r+").reshape(-1, 2)

    def times(self) -> npt.NDArray[np.int64]:
        """Return the time that each line says (ms UTC), ``NEVER_MS`` where it says none that is plausible."""
        decoder = msgspec.json.Decoder(_Dated)
        return np.fromiter((_time_of(decoder, line) for line in self.lines()), np.int64, len(self.marks))

    def largest_ms(self, skew_ms: int) -> int:
        """Return the largest of them, those more than ``skew_ms`` after the time of their record as of that."""
        times, stamps = self.times(), self.marks[:, STAMP]
        return int(np.where((stamps >= 0) & (times > stamps + skew_ms), stamps, times).max())

    def lines(self) -> BinaryIO:
        """Return the lines, from the first on."""
        self._lines.seek(0)
        return self._lines


class Recording(NamedTuple):
    """What was dealt out: spools by partition and input, how many lines were read, and the control records among them."""

    spools: dict[tuple[int, Input], Spool]
    lines: int
    control: list[ControlLine]
    starts: list[tuple[int, Path]]
    """The number of the first line of each file."""

    def of(self, partition: int) -> dict[Input, Spool]:
        """Return the spools of a partition."""
        return {topic: self.spools[partition, topic] for topic in Input if (partition, topic) in self.spools}

    def largest_ms(self, skew_ms: int) -> int:
        """Return the largest plausible time of all lines, those from the future at the time of their record (ms UTC)."""
        return max((spool.largest_ms(skew_ms) for spool in self.spools.values()), default=NEVER_MS)

    def place(self, number: int) -> LinePlace:
        """Return where the line of a number is."""
        first, path = self.starts[bisect_right(self.starts, number, key=itemgetter(0)) - 1]
        return LinePlace(path, number - first + 1, number)


@contextmanager
def _open(path: Path) -> Iterator[tuple[BinaryIO, Iterable[bytes]]]:
    """Open a file of recorded events; give the file itself and its lines."""
    try:
        with path.open("rb") as raw:
            if path.suffix == ".gz":
                with gzip.open(raw) as text:
                    yield raw, text
            elif path.suffix in (".zst", ".zstd"):
                yield raw, io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw))
            elif path.suffix == PARQUET:
                yield raw, parquet_lines(path, raw)
            else:
                yield raw, raw
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise ConfigError(
            f"{path}: cannot be read ({error}). Give recorded events as .jsonl, .jsonl.gz, .jsonl.zst or .parquet."
        ) from error


def _lines_of(path: Path, on_bytes: OnBytes | None) -> Iterator[bytes]:
    with _open(path) as (raw, source):
        for number, line in enumerate(source, 1):
            if on_bytes is not None and number % TOLD_LINES == 0:
                on_bytes(path, raw.tell())
            yield line


def read_lines(files: Sequence[Path]) -> Iterator[bytes]:
    """Return the lines of recorded files, one file after another.

    Raises:
        ConfigError: a file cannot be read.
    """
    for path in files:
        yield from _lines_of(path, None)


def deal(
    files: Sequence[Path],
    partitions: int,
    folder: Path,
    stack: ExitStack,
    on_refused: OnRefused,
    on_bytes: OnBytes | None = None,
) -> Recording:
    """Deal the lines of files out to spools in a folder, which stay open until the stack is left.

    Raises:
        ConfigError: a file cannot be read.
    """
    recording = Recording({}, 0, [], [])
    homes = _Homes(partitions)
    decoder = msgspec.json.Decoder(Address)
    lines = 0
    for path in files:
        recording.starts.append((lines + 1, path))
        for line in _lines_of(path, on_bytes):
            lines += 1
            text = line.rstrip(b"\r\n")
            if not text.strip():
                continue
            control = _control_line(len(recording.control), text)
            if control is not None:
                recording.control.append(control)
                continue
            try:
                address, topic = _routed(decoder, text)
            except Refused as refused:
                on_refused(recording.place(lines), text, refused)
                continue
            home = homes[address.account_id]
            spool = recording.spools.get((home, topic))
            if spool is None:
                spool = recording.spools[home, topic] = _spool(folder, f"{home}-{topic}", stack)
            spool.put(text, -1 if address.received_at is None else instant_ms(address.received_at), lines)
    for spool in recording.spools.values():
        spool.dealt()
    _date_undated(recording.spools)
    return recording._replace(lines=lines)


def _spool(folder: Path, name: str, stack: ExitStack) -> Spool:
    files = [folder / name, folder / f"{name}-marks"]
    lines, marks = (stack.enter_context(file.open("w+b", buffering=1 << 16)) for file in files)
    return Spool(lines, marks)


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


class _Homes(dict[str, int]):
    """The partition of each account."""

    def __init__(self, partitions: int) -> None:
        super().__init__()
        self._partitions = partitions

    def __missing__(self, account_id: str) -> int:
        home = self[account_id] = partition_of(account_id.encode(), self._partitions)
        return home


def _control_line(number: int, text: bytes) -> ControlLine | None:
    """Return a control record as it would lie in the topic, None of a line that is none."""
    if _CONTROL not in text:
        return None
    try:
        line = msgspec.json.decode(text, type=_Type)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if line.type != RECORDED_CONTROL:
        return None
    return (
        ControlLine(number, None, text)
        if line.withdraws is None
        else ControlLine(number, line.withdraws.encode(), None)
    )


class Reader:
    """One spool read in chunks."""

    def __init__(self, spool: Spool) -> None:
        self._lines, self._marks, self._offset = spool.lines(), spool.marks, 0

    def chunk(self) -> Chunk | None:
        """Return the next chunk, or None at the end."""
        values = [line[:-1] for _, line in zip(range(CHUNK_LINES), self._lines, strict=False)]
        if not values:
            return None
        first, self._offset = self._offset, self._offset + len(values)
        offsets = np.arange(first, self._offset, dtype=np.int64)
        stamps = np.array(self._marks[first : self._offset, STAMP])
        return Chunk([None] * len(values), values, offsets, stamps)


class _Dated(msgspec.Struct):
    occurred_at: Instant


def _date_undated(spools: dict[tuple[int, Input], Spool]) -> None:
    """Give undated lines far ahead of all other inputs the largest time of those as the time of their record."""
    if all((spool.marks[:, STAMP] >= 0).all() for spool in spools.values()):
        return
    times = {place: spool.times() for place, spool in spools.items()}
    largest = dict.fromkeys(Input, NEVER_MS)
    for (_, topic), found in times.items():
        largest[topic] = max(largest[topic], int(found.max()))
    for (partition, topic), spool in spools.items():
        limit = max(largest[other] for other in Input if other is not topic)
        if limit == NEVER_MS:
            continue
        stamps = spool.marks[:, STAMP]
        stamps[(times[partition, topic] > limit + FAR_AHEAD_MS) & (stamps < 0)] = limit


def _time_of(decoder: msgspec.json.Decoder[_Dated], line: bytes) -> int:
    try:
        dated = decoder.decode(line)
    except (msgspec.MsgspecError, RecursionError):
        return NEVER_MS
    cut_instants(dated, line)
    time_ms = instant_ms(dated.occurred_at)
    return time_ms if OCCURRED_AT_MIN_MS <= time_ms < OCCURRED_AT_END_MS else NEVER_MS
