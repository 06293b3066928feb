"""`latido seed`: recorded history into the state of a fresh application, all of it in one transaction.

    lines of files -> spools -> one partition after another through the core -> its changelog records on disk
      -> one transaction: all records, and the positions at which workers begin

What was kept of a partition waits on disk, so memory holds the accounts of one partition. A seed that is killed has
written nothing; the next one begins again. What of history a worker reads once more is known by its ids (semantics, 13).
"""

from __future__ import annotations

import asyncio
import errno
import time
from contextlib import ExitStack, nullcontext
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple, Protocol

import msgspec
import numpy as np

from agents.beside import CLOCK, clock_record
from agents.clients import Connection
from agents.control_log import ControlLog
from agents.control_topic import write_control
from agents.partition import Partition
from agents.recorded import deal
from agents.replay import finish, fold
from agents.seed_report import Report
from agents.seed_target import Hold, first_unfolded, require_fresh
from agents.topics import check_topics
from schemas.control import GoLive, JoinAccount, control_key
from schemas.errors import ConfigError
from schemas.events import OCCURRED_AT_END_MS
from schemas.reasons import RejectReason
from schemas.topics import CONTROL, INPUT_TOPICS, Input
from streams.control import ControlLine, read_control
from streams.instants import instant_ms, instant_text
from streams.layout import VIEW_DUE
from streams.merge import HALT_AFTER, POSITION, Progress, position_record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agents.commit import Pair
    from agents.recorded import Recording
    from agents.seed_rejects import Rejects
    from agents.settings import Settings
    from streams.plan import Program

RECORDS_AT_ONCE: Final = 2_000
UNTIL_TOLD: Final = GoLive(effective_at=OCCURRED_AT_END_MS - 1, author="latido seed")
"""Alerts are muted until somebody says otherwise."""


class Order(NamedTuple):
    """What is to be seeded: ``until_ms`` is the cut, None the largest time of the files."""

    files: Sequence[Path]
    until_ms: int | None
    from_earliest: bool
    dry_run: bool


class Bars(Protocol):
    """Shows how far it is."""

    def begin(self, what: str, total: int) -> None:
        """Something begins, of so much."""

    def reach(self, done: int) -> None:
        """So much of it is done."""


class Kept:
    """The changelog records of a partition, on disk."""

    def __init__(self, file: BinaryIO) -> None:
        self.records = 0
        self.largest_ms: dict[Input, int] = {}
        """The running maximum of each input."""
        self._file = file
        self._sizes: list[int] = []

    def put(self, pairs: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Add records."""
        self._sizes.append(self._file.write(msgspec.msgpack.encode(pairs)))
        self.records += len(pairs)

    def parts(self) -> Iterator[list[Pair]]:
        """Yield the records, some at a time."""
        self._file.seek(0)
        for size in self._sizes:
            yield msgspec.msgpack.decode(self._file.read(size), type=list[tuple[bytes, bytes | None]])


def seed(settings: Settings, program: Program, order: Order, rejects: Rejects, bars: Bars) -> str:
    """Seed a fresh application; return what there is to say of it.

    Raises:
        ConfigError: a file cannot be read, holds nothing, or does not fit.
        TopicsError: topics are missing or do not fit.
        StateError: the application is not fresh, or a worker started meanwhile.
        BrokerError: the broker does not answer.
    """
    partitions = check_topics(settings)
    require_fresh(settings, partitions)
    now_ms = time.time_ns() // 1_000_000
    if order.until_ms is not None and order.until_ms > now_ms:
        raise ConfigError(
            f"--until {instant_text(order.until_ms)} lies in the future (it is {instant_text(now_ms)}): no file holds all that "
            "happens until then. Give an instant in the past."
        )
    try:
        with TemporaryDirectory(prefix="latido-seed-") as folder, ExitStack() as stack:
            recording = _dealt(order.files, partitions, Path(folder), stack, rejects, bars)
            kept = [
                Kept(stack.enter_context((Path(folder) / f"kept-{number}").open("w+b")))
                for number in range(partitions)
            ]
            skew_ms = program.policy.max_future_skew_s * 1000
            cut_ms = min(recording.largest_ms(skew_ms), now_ms) if order.until_ms is None else order.until_ms
            seeding = _Seeding(settings, program, order, cut_ms, recording, kept, rejects, bars)
            return asyncio.run(seeding.run())
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise ConfigError(
            f"{gettempdir()} has no room for what a seed keeps there (the files unpacked, and about 1 KiB an account). Nothing "
            "was seeded. Let TMPDIR name a folder with room."
        ) from error


def _dealt(
    files: Sequence[Path], partitions: int, folder: Path, stack: ExitStack, rejects: Rejects, bars: Bars
) -> Recording:
    sizes = [file.stat().st_size for file in files]
    before = dict(zip(files, accumulate(sizes, initial=0), strict=False))
    bars.begin("reading", sum(sizes))
    recording = deal(
        files, partitions, folder, stack, rejects.on_refused, lambda path, at: bars.reach(before[path] + at)
    )
    if recording.control:
        raise ConfigError(
            f"the files hold {len(recording.control)} lines of type control. A seed follows the topic {CONTROL}: write them "
            "there (`latido alerts`, `latido policy activate`) and leave them out of the files. Nothing was seeded."
        )
    if not recording.spools:
        raise ConfigError(
            f"no event was found in {', '.join(map(str, files))}.{_first(rejects)} Give recorded events. Nothing was seeded."
        )
    return recording


class _Seeding(NamedTuple):
    """One seed with its files dealt out."""

    settings: Settings
    program: Program
    order: Order
    cut_ms: int
    recording: Recording
    kept: list[Kept]
    rejects: Rejects
    bars: Bars

    async def run(self) -> str:
        settings, order, report = self.settings, self.order, Report()
        control = await _control(settings, dry_run=order.dry_run)
        async with nullcontext() if order.dry_run else Hold(settings, self.program, len(self.kept)) as hold:
            lines = sum(len(spool.marks) for spool in self.recording.spools.values())
            self.bars.begin("folding", lines)
            for number in range(len(self.kept)):
                for taken in self._fold(number, control, report):
                    report.events += taken
                    self.bars.reach(report.events + self._rejected)
                    await asyncio.sleep(0)
            if not report.accounts:
                raise ConfigError(f"no event was taken.{_first(self.rejects)} Nothing was seeded.")
            if hold is not None:
                self.bars.begin("writing", sum(kept.records for kept in self.kept))
                await hold.write(self._parts(self._firsts()))
        left = lines - report.events - self._rejected
        told = report.text(cut_ms=self.cut_ms, left=left, rejects=self.rejects)
        return f"{told}\n\n{self._next_steps(report, control)}"

    @property
    def _rejected(self) -> int:
        """Lines of the spools that were rejected, but for those that were taken and found no room."""
        counts = self.rejects.counts
        return counts.total() - self.rejects.unrouted - counts[RejectReason.TOO_MANY_ACCOUNTS]

    def _fold(self, number: int, control: Sequence[ControlLine], report: Report) -> Iterator[int]:
        """Fold the history of a partition and keep what is to be written."""
        emit = self.rejects.of(self.recording, number)
        machine = Partition(
            self.program, partition=number, partitions=len(self.kept), observer=report, keyed=False,
            application=self.settings.application_id,
        )  # fmt: skip
        machine.take_control(control)
        said: list[Pair] = []
        yield from fold(machine, self.recording.of(number), self.cut_ms, emit, said)
        if machine.halted is not None:
            name = INPUT_TOPICS[machine.halted].name
            raise ConfigError(
                f"{HALT_AFTER} rejects in a row of {name} (partition {number}) halt it, the last is {self.rejects.last[name]}. "
                "Nothing was seeded. Mend those lines or leave them out; --rejects FILE writes them down."
            )
        finish(machine, self.cut_ms - machine.grace_ms, emit, said)
        if said:
            raise _merged_before(said)
        rows = machine.accounts.existing()
        machine.accounts.cells.u8[rows, VIEW_DUE] = 1
        report.add(machine, rows)
        kept = self.kept[number]
        for first in range(0, len(rows), RECORDS_AT_ONCE):
            kept.put(machine.accounts.packed(np.array(rows[first : first + RECORDS_AT_ONCE])).pairs())
        others = [pair for pair in machine.saved().others if not pair[0].startswith((POSITION, CLOCK))]
        kept.put([*others, clock_record(machine.clock_ms)])  # it may be all that moved since the last event
        kept.largest_ms = {topic: queue.progress.largest_ms for topic, queue in machine.merge.queues.items()}

    def _firsts(self) -> dict[tuple[int, Input], int]:
        """Return where workers begin."""
        from_ms = self.cut_ms - self.program.policy.max_future_skew_s * 1000
        return first_unfolded(self.settings, len(self.kept), None if self.order.from_earliest else from_ms)

    def _parts(self, firsts: dict[tuple[int, Input], int]) -> Iterator[tuple[int, Sequence[Pair]]]:
        """Yield all that is to be written, by partition."""
        done = 0
        for number, kept in enumerate(self.kept):
            for pairs in kept.parts():
                yield number, pairs
                done += len(pairs)
                self.bars.reach(done)
            progress = {
                topic: Progress(firsts[number, topic] - 1, largest_ms)
                for topic, largest_ms in kept.largest_ms.items()
            }
            yield number, [position_record(topic, at) for topic, at in progress.items()]

    def _next_steps(self, report: Report, control: Sequence[ControlLine]) -> str:
        live_ms = instant_ms(_go_live(control).effective_at)
        still = f"of the {report.alerts_waiting} held back those still open then are told then."
        alerts = f"The application goes live at {instant_text(live_ms)}, as the topic {CONTROL} says: {still}"
        if live_ms == UNTIL_TOLD.effective_at:
            alerts = f"Alerts wait until `latido alerts go-live` (or its --at T): {still}"
        if self.order.dry_run:
            return (
                f"Nothing was written; without --dry-run this is the state that workers begin with. {alerts}"
            )
        name = self.settings.application_id
        return f"Seeded {name!r}. Next: start the workers (`latido worker`). {alerts}"


def _merged_before(said: Sequence[Pair]) -> ConfigError:
    records = [read_control(ControlLine(0, None, value)) for _, value in said if value is not None]
    names = ", ".join(f"{each.old} into {each.into}" for each in records if isinstance(each, JoinAccount))
    return ConfigError(
        f"the topic {CONTROL} merges accounts before the cut ({names or 'a join counts there'}), and a seed follows no merge. "
        "Nothing was seeded. Name the events of those accounts in the files as the other's, and withdraw these "
        "records (`latido control withdraw KEY`; `latido control list` shows the keys)."
    )


def _first(rejects: Rejects) -> str:
    return f" The first of {rejects.counts.total()} rejects is {rejects.first[0]}." if rejects.first else ""


def _go_live(control: Sequence[ControlLine]) -> GoLive:
    """Return the record that says until when alerts are muted."""
    record = read_control([line for line in control if line.key == control_key(UNTIL_TOLD)][-1])
    assert isinstance(record, GoLive)
    return record


async def _control(settings: Settings, *, dry_run: bool) -> Sequence[ControlLine]:
    """Return the records of the control topic, among them one that mutes alerts, which is written if there is none."""
    lines = await _read_control(settings)
    latest = {line.key: line.value for line in lines}
    if latest.get(control_key(UNTIL_TOLD)) is not None:
        return lines
    if dry_run:
        offset = lines[-1].offset + 1 if lines else 0
        return [*lines, ControlLine(offset, control_key(UNTIL_TOLD), msgspec.json.encode(UNTIL_TOLD))]
    write_control(settings, UNTIL_TOLD)
    return await _read_control(settings)


async def _read_control(settings: Settings) -> Sequence[ControlLine]:
    log = ControlLog(Connection(settings.broker), settings.topic_prefix + CONTROL)
    await log.start()
    try:
        return log.after(0)
    finally:
        await log.stop()
