"""One worker's delivery: from an assignment to owned partitions, from polls to transactions, and the way out.

Any exception here ends the process (exit code 13): memory may then differ from what is committed, and must
not survive. The supervisor starts it again and nothing is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
import uuid
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from faust.types import TP

from agents.changelog import ChangelogReader
from agents.clients import Connection, transactional_producer
from agents.commit import Committer, DeliveryTopics
from agents.control_log import ControlLog
from agents.drive import Drive
from agents.ownership import Fence, Ownership
from agents.pace import CommitPace, Throttle
from agents.snapshots import Snapshots
from schemas.errors import LatidoError, StateError
from schemas.topics import CONTROL, INPUT_TOPICS, OUTPUT_TOPICS, Input, changelog_topic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agents.polls import Poll
    from agents.ports import DeliveryObserver, PartitionFactory

log = logging.getLogger(__name__)

EXIT_OPERATING_ERROR: Final = 2
EXIT_FAIL_STOP: Final = 13
SILENT_MAX_S: Final = 30.0
"""Without any poll for so long the consumer thread is dead or stuck."""


class WorkerSettings(NamedTuple):
    """What the delivery layer has to know; every value changes when something comes out, none what."""

    connection: Connection
    application_id: str
    datadir: Path
    topic_prefix: str = ""
    isolation_level: str = "read_uncommitted"
    commit_interval_ms: int = 50
    max_events_per_s: float | None = None
    session_timeout_s: float = 10.0
    group_instance_id: str = ""
    ready_behind_s: float = 180.0
    changelog_identity: str | None = None
    """Names the changelog so that no other one ever has the name; without it no snapshots are kept."""
    group_commit_interval_s: float = 2.0


class Delivery:
    """Ownership, drive, and the task that commits, behind the app (``polls.DeliveryPort``)."""

    def __init__(
        self,
        settings: WorkerSettings,
        new_partition: PartitionFactory,
        *,
        observer: DeliveryObserver,
        fence: Fence,
    ) -> None:
        self.inputs = {settings.topic_prefix + INPUT_TOPICS[topic].name: topic for topic in Input}
        self.check_crcs = settings.connection.check_crcs
        self.isolation_level = settings.isolation_level
        self.pace = CommitPace(settings.commit_interval_ms)
        self.drive: Drive
        self._settings, self._new_partition = settings, new_partition
        self._observer, self._fence = observer, fence
        self._stopping = False
        self._owned = self._acquiring = False

    @property
    def misplaced(self) -> bool:
        """Whether an input is to be read on from elsewhere, so that all have to be sought again."""
        return self.drive.misplaced

    @property
    def held_back(self) -> frozenset[tuple[str, int]]:
        """Topic partitions that are not to be read now."""
        return self.drive.held_back

    async def start(self) -> None:
        """Connect the producer under a new transactional id and start committing.

        The id is new for every process: a stable one would let whoever fences a dead worker kill the one that
        was started in its place. The predecessor in this datadir is fenced at once, so what it left open does
        not hold up readers until its session expires.
        """
        settings = self._settings
        memo = settings.datadir / "transactional_id"
        if memo.exists():
            predecessor = memo.read_text()
            self._observer.on_fenced(predecessor)
            await self._fence.fence(predecessor)
        transactional_id = f"{settings.application_id}-{uuid.uuid4().hex[:12]}"
        producer = await transactional_producer(settings.connection, transactional_id)
        memo.write_text(transactional_id)
        changelog = settings.topic_prefix + changelog_topic(settings.application_id).name
        outputs = {output: settings.topic_prefix + spec.name for output, spec in OUTPUT_TOPICS.items()}
        control, compression = settings.topic_prefix + CONTROL, settings.connection.compression
        topics = DeliveryTopics(changelog, outputs, control)
        self._committer = Committer(producer, topics, self._observer, compression)
        self._ownership = Ownership(
            transactional_id,
            self._committer,
            fence=self._fence,
            open_changelog=lambda: ChangelogReader(settings.connection, changelog),
            new_partition=self._new_partition,
            observer=self._observer,
            snapshots=self._snapshots(),
        )
        rate = settings.max_events_per_s
        self._control = ControlLog(settings.connection, control)
        await self._control.start()
        self.drive = Drive(
            self._ownership,
            self.pace,
            self.inputs,
            control=self._control,
            throttle=Throttle(rate) if rate else None,
            observer=self._observer,
        )
        tasks = {"commit": self._commit_for_ever(), "control": self._control.follow()}
        self._tasks = [asyncio.create_task(work, name=name) for name, work in tasks.items()]
        for task in self._tasks:
            task.add_done_callback(self.die_of_task)

    def _snapshots(self) -> Snapshots | None:
        identity = self._settings.changelog_identity
        return None if identity is None else Snapshots(self._settings.datadir / "snapshots", identity)

    async def save(self) -> None:
        """Write snapshots of what was given up, after ``stop``."""
        await self._ownership.save()

    async def stop(self) -> None:
        """Commit what was processed, give everything up, and take nothing any more."""
        self._stopping = True
        await self.on_revoked()
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._control.stop()
        await self._committer.stop()

    async def on_revoked(self) -> None:
        """Stop processing, then commit and give up in one transaction."""
        self._owned = self.drive.accepting = False
        self.drive.room.set()
        await self._ownership.release()

    async def on_assigned(self, assigned: set[TP]) -> None:
        """Own the partitions of the inputs; processing starts with the seek."""
        if self._stopping:
            return
        self._acquiring = True
        await self._ownership.acquire(_co_partitioned(assigned, self.inputs))
        self._acquiring, self._owned = False, True

    async def start_positions(
        self, assigned: set[TP], earliest: Mapping[TP, int], hints: Mapping[TP, int]
    ) -> tuple[int, dict[TP, int]]:
        """Begin a generation where the committed state, or what is still queued, ends.

        Faust may ask late, for an assignment that is no more, while the state of the next one is being read:
        then nothing is read until it asks again.

        Raises:
            StateError: the group has committed offsets beyond the changelog, so the changelog lost records.
            ProducerFenced: the group has because another owner went on meanwhile.
        """
        # To wait for the group and to recover is no silence of the consumer.
        self.drive.alive_s = time.monotonic()
        self.drive.accepting = self._owned and not self._stopping
        if not self.drive.accepting:
            return self.drive.begin_generation(), {}
        firsts, committed = _by_name(earliest), _by_name(hints)
        starts = {}
        for tp in assigned:
            holding = self._ownership.holdings.get(tp.partition)
            if holding is None:
                continue
            topic = self.inputs[tp.topic]
            folded = holding.port.position(topic) + 1
            if (hint := committed.get(tp) or 0) > folded:
                await self._ownership.confirm()
                raise _lost_changelog(tp, folded, hint)
            start = max(holding.input_next.get(topic, folded), folded)
            first = firsts.get(tp) or 0
            if first > start > 0:
                self._observer.on_unread_deleted(tp.topic, tp.partition, first - start)
            holding.input_next[topic] = starts[tp] = max(start, first)
        return self.drive.begin_generation(), starts

    def unready(self, now_ms: int) -> str | None:
        """Return why the worker is not up to date at ``now_ms`` (ms UTC), ``None`` if it is."""
        if not self._owned:
            return self._recovering() if self._acquiring else "no partitions are assigned"
        return next(filter(None, (self._behind(number, now_ms) for number in self._ownership.holdings)), None)

    def _recovering(self) -> str:
        if self._ownership.progress is None:
            return "recovering"
        recovery = self._ownership.progress.recovery
        read, unread = sum(recovery.read.values()), sum(recovery.unread.values())
        return (
            f"recovering partitions {sorted(recovery.read)}, {read} of {read + unread} changelog records read"
        )

    def _behind(self, number: int, now_ms: int) -> str | None:
        port = self._ownership.holdings[number].port
        behind_s = (now_ms - port.clock_ms) / 1000
        if behind_s <= self._settings.ready_behind_s:
            return None
        if port.halted is not None:
            return f"partition {number} is halted by records of {INPUT_TOPICS[port.halted].name} that were rejected"
        if port.clock_ms <= 0:
            return f"the clock of partition {number} does not go yet: an input has not been read to its end"
        return f"the clock of partition {number} is {behind_s:.0f} s behind the wall clock"

    def group_offsets(self) -> dict[TP, int]:
        """Return the committed positions as group offsets."""
        if not self.drive.accepting:
            return {}
        names = {topic: name for name, topic in self.inputs.items()}
        return {
            TP(names[topic], number): offset + 1
            for number, holding in self._ownership.holdings.items()
            for topic, offset in holding.committed.items()
            if offset >= 0
        }

    async def take(self, poll: Poll) -> None:
        """Work a poll off."""
        await self.drive.take(poll)

    def die(self, error: BaseException) -> NoReturn:
        """End the process: memory may differ from what is committed and must not survive."""
        if isinstance(error, LatidoError):
            sys.stderr.write(f"latido worker: {error}\n")
            leave(EXIT_OPERATING_ERROR)
        log.critical("stopping at once: %r", error, exc_info=error)
        leave(EXIT_FAIL_STOP)

    async def _commit_for_ever(self) -> None:
        interval_s = self.pace.interval_ms / 1000
        began_s = looked_s = time.monotonic()
        while True:
            rest_s = max(0.0, looked_s + interval_s - time.monotonic())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(rest_s):  # wait_for may swallow a cancellation
                    await self.drive.full.wait()
            self.drive.full.clear()
            looked_s = time.monotonic()
            self._refuse_silence()
            if not self.drive.accepting or not self.pace.due((looked_s - began_s) * 1000, self.drive.queued):
                continue
            began_s = looked_s
            await self._ownership.commit(self._drained)

    def _drained(self) -> None:
        self.pace.drained()
        self.drive.room.set()

    def _refuse_silence(self) -> None:
        silent_s = time.monotonic() - self.drive.alive_s
        if self.drive.accepting and silent_s > SILENT_MAX_S:
            raise TimeoutError(f"no poll for {silent_s:.0f} s: the consumer is dead or stuck")

    def die_of_task(self, task: asyncio.Task[None]) -> None:
        """End the process if the task ended by an exception (a done callback)."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.die(error)


def _co_partitioned(assigned: set[TP], inputs: Mapping[str, Input]) -> set[int]:
    numbers = {tp.partition for tp in assigned if tp.topic in inputs}
    missing = sorted(
        (name, number) for name in inputs for number in numbers if TP(name, number) not in assigned
    )
    if missing:
        raise StateError(
            f"the inputs are not co-partitioned: {missing} belong to another worker or do not exist. "
            "All inputs need the same number of partitions: see `latido topics check`."
        )
    return numbers


def _lost_changelog(tp: TP, folded: int, hint: int) -> StateError:
    return StateError(
        f"the group has read {tp.topic}[{tp.partition}] up to {hint}, the changelog knows it up to {folded}: the "
        "changelog lost records. Restore it, or delete the group's offsets and the changelog and start over from "
        "the inputs."
    )


def _by_name(offsets: Mapping[TP, int]) -> dict[TP, int]:
    return {TP(*tp): offset for tp, offset in offsets.items()}


def leave(code: int) -> NoReturn:
    """End the process without waiting for any thread, after flushing what was said."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
