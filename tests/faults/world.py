"""One seed, one run: inputs, workers and accidents, until all is calm and everything is told."""

from __future__ import annotations

import logging
import tempfile
import time
import uuid
from collections import Counter, deque
from contextlib import ExitStack, contextmanager
from contextvars import Context, copy_context
from functools import partial
from hashlib import blake2b
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn
from unittest.mock import patch

from aiokafka.errors import IllegalOperation, KafkaError
from aiokafka.structs import TopicPartition

import agents.clients
import agents.delivery
import agents.partition
from agents.clients import TRANSACTION_TIMEOUT_MS, Connection
from agents.delivery import WorkerSettings
from agents.partition import Partition
from schemas.control import is_of_join
from schemas.topics import CONTROL, INPUT_TOPICS, OUTPUT_TOPICS, Input, changelog_topic
from tests.faults.broker import Broker, Stored
from tests.faults.clients import CLUSTER, Cluster, SimulatedConsumer, SimulatedProducer
from tests.faults.control import goes_on
from tests.faults.group import Group
from tests.faults.loop import LANE, Ended, SimulatedLoop
from tests.faults.network import PROCESS, Network, Process, Weather
from tests.faults.noting import Ledger, NotingPartition
from tests.faults.scenario import LIVE_BEFORE_MS, Arrival, Family, Scenario, scenario
from tests.faults.worker import Watcher, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agents.ownership import Holding

APPLICATION: Final = "app"
CHANGELOG: Final = changelog_topic(APPLICATION).name
IN_MEMORY: Final = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
LAST_STEPS: Final = 40
LOOK_S: Final = 0.25
COMPACTIONS: Final = 0.2
"""For each look, how probable it is that a partition of the changelog is compacted."""
TARRIES: Final = 0.93
STRIKES: Final = 0.5
MOVING_STRIKES: Final = 0.7
LOSSES: Final = 0.2
"""In so many of the seeds that merge somebody withdraws a join by hand, if there is time."""
TRANSACTION_TAKES: Final = 10
"""So many latencies a transaction takes about."""
STUCK_AFTER_S: Final = 60.0
"""So long after the last accident everything must have been told."""


class Violation(AssertionError):
    """The worker broke a promise."""


class Result(NamedTuple):
    """A run that came to its end."""

    scenario: Scenario
    broker: Broker
    digest: str
    seconds: float
    counts: Counter[str]
    clocks: dict[int, int]
    """By partition how far its last owner has come."""
    control: list[Stored]
    """All that was ever committed to the control topic."""


class Simulation:
    """The world of one seed.

    Args:
        seed: decides everything.
        tell: hears each step as a line.
    """

    def __init__(self, seed: int, tell: Callable[[str], None] = lambda _line: None) -> None:
        self.scenario = scenario(seed)
        self.counts: Counter[str] = Counter()
        self.steps: deque[str] = deque(maxlen=LAST_STEPS)
        self._chance = chance = Random(f"world {seed}")
        self._loop = SimulatedLoop(chance)
        self._tell, self._digest = tell, blake2b(digest_size=8)
        self._outside = Context()
        self._outside.run(LANE.set, self._loop.outside)
        self._network = Network(self._loop, chance, self._note, self._crash)
        self._broker = Broker(self._network.later)
        self._group = Group(self._loop, self._outside, chance, self.scenario.world.partitions)
        self._cluster = Cluster(self._broker, self._network, chance)
        self._workers: dict[str, Worker | None] = {}
        self._lives: Counter[str] = Counter()
        self._watchers: list[Watcher] = []
        self._calm = False
        self._ledger = Ledger(
            self._tarry, lambda: self._strike(PROCESS.get()), lambda: self._strike_moving(PROCESS.get())
        )
        self._merges = any(each.key.startswith(b"merge:") for each in self.scenario.control)
        self._blow = Random(f"blows {seed}")
        self._blows = self._blow.choice([0, 2, 4]) if self._merges else 0
        self._losses = int(self._merges and self._blow.random() < LOSSES)
        self._kept: dict[int, Stored] = {}
        self._clocks: dict[int, int] = {}
        self._going_on: set[tuple[TopicPartition, int]] = set()
        self._unwritten = 0
        self._told = False
        self._sweep_rows = chance.choice([1, 2, 500])
        self._step_s = chance.choice([0.0, 0.02, 0.05])
        self._strikes = chance.choice([0, 2, 3])
        self._every_s = chance.choice([0.7, 1.2, 3.0, 8.0])
        self._settings = self._drawn_settings()
        self._began_s = self._loop.time()
        self._is_caught_up_since: float | None = None

    def run(self) -> Result:
        """Run to the end.

        Raises:
            Violation: a worker ended for no good reason, or not everything was told in time.
        """
        with ExitStack() as stack:
            folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="latido-faults-", dir=IN_MEMORY))
            )
            self._settings = self._settings._replace(datadir=folder)
            stack.enter_context(self._stage())
            self._create_topics()
            self._outside.run(self._begin)
            self._loop.run()
        watched = self._watchers
        self.counts["commits"] += sum(watcher.commits for watcher in watched)
        self.counts["fenced"] += sum(watcher.fenced for watcher in watched)
        self.counts["stale rows"] += sum(watcher.stale for watcher in watched)
        self.counts["rebalances"] += self._group.rebalances
        self.counts["gave up waiting"] += sum(watcher.gave_up for watcher in watched)
        self.counts += self._ledger.counts
        return Result(
            self.scenario,
            self._broker,
            self._digest.hexdigest(),
            self._loop.time() - self._began_s,
            self.counts,
            self._clocks,
            self._committed_control(),
        )

    def close(self) -> None:
        """Let go of what never ended."""
        with self._stage():
            self._loop.close()

    # -- the stage: what of the process the workers run on ----------------------------------------------------------------

    @contextmanager
    def _stage(self) -> Iterator[None]:
        """Put simulated time, chance, clients and ends in the place of the real ones."""

        def leave(code: int) -> NoReturn:
            self._end_of(PROCESS.get(), code)
            raise Ended

        with (
            patch.object(time, "monotonic", self._loop.time),
            patch.object(time, "time_ns", self._wall_ns),
            patch.object(uuid, "uuid4", lambda: SimpleNamespace(hex=f"{self._chance.getrandbits(48):012x}")),
            patch.object(agents.clients, "AIOKafkaProducer", SimulatedProducer),
            patch.object(agents.clients, "AIOKafkaConsumer", SimulatedConsumer),
            patch.object(agents.delivery, "leave", leave),
            patch.object(agents.partition, "SWEEP_ROWS", self._sweep_rows),
        ):
            yield

    def _wall_ns(self) -> int:
        return self.scenario.begin_ms * 1_000_000 + round((self._loop.time() - self._began_s) * 1e9)

    def _note(self, line: str) -> None:
        text = f"{self._loop.time() - self._began_s:9.4f} {line}"
        self.steps.append(text)
        self._digest.update(text.encode())
        self._tell(text)

    # -- inputs -----------------------------------------------------------------------------------------------------------

    def _create_topics(self) -> None:
        partitions = self.scenario.world.partitions
        for spec in (*INPUT_TOPICS.values(), *OUTPUT_TOPICS.values(), changelog_topic(APPLICATION)):
            self._broker.create(spec.name, partitions, spec.max_message_bytes)
        self._broker.create(CONTROL, 1)
        self._control = self._broker.logs[TopicPartition(CONTROL, 0)]
        for number, arrival in enumerate(self.scenario.arrivals):
            if arrival.after_ms < 0:
                self._arrive(arrival, -number - 1)
            else:
                self._in_s(arrival.after_ms / 1000, partial(self._arrive, arrival, -number - 1))

        for record in self.scenario.control:
            if record.after_ms < 0:
                self._write_control(record.key, record.value)
            else:
                self._write_control_in_s(record.after_ms / 1000, record.key, record.value)

    def _write_control_in_s(self, seconds: float, key: bytes, value: bytes | None) -> None:
        self._unwritten += 1

        def write() -> None:
            self._unwritten -= 1
            self.counts["control records written in an outage"] += self._network.is_away
            self._write_control(key, value)
            alive = [worker for worker in self._workers.values() if worker is not None]
            if alive and self._strikes and not self._calm and self._chance.random() < STRIKES / 3:
                self._crash(self._chance.choice(alive).process, "as a control record is written")

        self._in_s(seconds, write)

    def _write_control(self, key: bytes, value: bytes | None) -> None:
        self.counts["control records"] += 1
        row = Stored(-1, self._wall_ns() // 1_000_000, key, value, ())
        offset = self._control.append([row])
        self._note(f"control {offset} {key.decode()} {(value or b'withdrawn')[:90].decode()}")

    def _arrive(self, arrival: Arrival, producer: int) -> None:
        log = self._broker.logs[arrival.partition]
        log.append(arrival.rows, None if arrival.held_ms is None else producer)
        tp = arrival.partition
        self._note(f"input {tp.topic}[{tp.partition}] {len(arrival.rows)} -> {log.high_watermark}")
        if arrival.held_ms:
            self._in_s(arrival.held_ms / 1000, lambda: log.mark(producer, commit=arrival.commit))
        elif arrival.held_ms == 0:
            log.mark(producer, commit=arrival.commit)

    # -- workers ----------------------------------------------------------------------------------------------------------

    def _drawn_settings(self) -> WorkerSettings:
        chance, rows = self._chance, sum(len(arrival.rows) for arrival in self.scenario.arrivals)
        return WorkerSettings(
            connection=Connection("simulated"),
            application_id=APPLICATION,
            datadir=Path(),
            isolation_level=self.scenario.isolation_level,
            changelog_identity=chance.choice([None, "simulated", "simulated"]),
            commit_interval_ms=chance.choice([50, 100, 300, 1_000]),
            max_events_per_s=chance.choice([None, rows / 2, rows / 4]),
        )

    def _start(self, name: str) -> None:
        self._lives[name] += 1
        process = Process(self._loop, f"{name}{self._lives[name]}")
        self._note(f"{process.name} starts")
        datadir = self._settings.datadir / (name if self._chance.random() < 0.7 else process.name)
        datadir.mkdir(exist_ok=True)
        watcher = Watcher()
        self._watchers.append(watcher)
        world, program = self.scenario.world, self._chance.choice(self.scenario.begin_under)

        def live() -> Worker:
            PROCESS.set(process)
            CLUSTER.set(self._cluster)
            return Worker(
                process,
                self._settings._replace(datadir=datadir),
                lambda number: NotingPartition(
                    program, number, world.partitions, application=APPLICATION, ledger=self._ledger
                ),
                group=self._group,
                network=self._network,
                chance=self._chance,
                watcher=watcher,
            )

        context = copy_context()
        context.run(LANE.set, process.main)
        worker = context.run(live)
        self._workers[name] = worker
        self._loop.start(process.main, worker.run(), context)

    def _tarry(self) -> bool:
        """Let a step of an adoption take its time, and be one of several for an account."""
        self._loop.spend(self._step_s * self._chance.random())
        return self._step_s > 0 and self._chance.random() < TARRIES

    def _strike(self, process: Process) -> None:
        """Kill a worker, once or twice a seed, about when there is something that a next owner has to find."""
        if self._strikes and not self._calm and self._chance.random() < STRIKES:
            self._strikes -= 1
            soon_s = self._chance.random() * self._settings.commit_interval_ms / 1000
            self._in_s(soon_s, lambda: self._crash(process, "by a blow that waited for this"))

    def _strike_moving(self, process: Process) -> None:
        """Kill or stop a worker about when it writes of a merge or a join: in its transaction, or after it."""
        blow = self._blow
        if not self._blows or self._calm or blow.random() > MOVING_STRIKES:
            return
        self._blows -= 1
        soon_s = blow.random() * blow.choice([TRANSACTION_TAKES * self._network.weather.latency_s, 0.3])
        if blow.random() < 0.6:
            self._in_s(soon_s, lambda: self._crash(process, "by a blow amid a merge"))
            return
        worker = self._worker_of(process)
        about_s = blow.choice([0.5, 2.5, 4.0])
        self._in_s(soon_s, lambda: None if process.is_dead else self._pause(worker, about_s))

    def _count_moving(self, process: Process, what: str) -> None:
        """Count it, if what it hits is in the middle of a merge."""
        worker = self._worker_of(process)
        writes = self._broker.transactions.get(worker.transactional_id or "")
        is_writing = writes is not None and TopicPartition(CONTROL, 0) in writes.partitions
        self.counts[f"{what} in a transaction of a merge"] += is_writing
        self.counts[f"{what} while an account is on its way"] += self._merges and bool(self._on_their_way())

    def _on_their_way(self) -> set[bytes]:
        """Return the keys of the joins that nobody has withdrawn."""
        found = set[bytes]()
        for record in self._control.read(0, 1 << 30, committed=True).records:
            if is_of_join(record.key):
                assert record.key is not None
                (found.discard if record.value is None else found.add)(record.key)
        return found

    def _committed_control(self) -> list[Stored]:
        """Keep what is committed of the control topic, before compaction removes it, and return it."""
        records = self._control.read(0, 1 << 30, committed=True).records
        self._kept |= {record.offset: record for record in records}
        return [record for _, record in sorted(self._kept.items())]

    def _worker_of(self, process: Process) -> Worker:
        return next(each for each in self._workers.values() if each is not None and each.process is process)

    def _crash(self, process: Process, why: str) -> None:
        if not process.is_dead:
            self.counts["kills"] += 1
            self._count_moving(process, "kills")
            self._note(f"{process.name} is killed {why}")
            self._bury(process)

    def _end_of(self, process: Process, code: int) -> None:
        worker = self._worker_of(process)
        reason = worker.delivery.reason
        self._note(f"{process.name} leaves with {code} {reason!r}")
        self.counts[f"exit {code}"] += 1
        self._bury(process)
        if code and not isinstance(reason, KafkaError | IllegalOperation):
            self._loop.failures.append(Violation(f"{process.name} ended with {code}: {reason!r}"))

    def _bury(self, process: Process) -> None:
        process.end()
        name = process.name.rstrip("0123456789")
        self._workers[name] = None
        self._in_s(0.1 + 1.5 * self._chance.random(), lambda: self._start_again(name))

    def _start_again(self, name: str) -> None:
        if self._workers[name] is None:
            self._start(name)

    # -- accidents --------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Start the workers, and let their accidents begin."""
        chance = self._chance
        logging.getLogger("agents.delivery").setLevel(logging.CRITICAL + 1)
        ends_s = max((a.after_ms + (a.held_ms or 0)) / 1000 for a in self.scenario.arrivals)
        ends_s = max([ends_s, *(record.after_ms / 1000 for record in self.scenario.control)])
        self._in_s(max(4.0 + chance.random() * 5, ends_s), self._become_calm)
        is_live = self.scenario.family is not Family.HISTORY
        is_fair = is_live and chance.random() < 0.3
        for name in "a" if is_fair else "abc"[: chance.choice([1, 1, 2, 2, 3])]:
            self._workers[name] = None
            self._in_s(chance.random() * chance.choice([0.2, 3.0]), partial(self._start_again, name))
        if is_live and (is_fair or chance.random() < 0.5):
            self._in_s(LIVE_BEFORE_MS / 1000 + 2 - 1.5 * chance.random(), self._sleep_through_midnight)
        if not is_fair:
            self._network.weather = self._drawn_weather()
            self._in_s(self._every_s * chance.random(), self._have_an_accident)
        self._keep_time()

    def _drawn_weather(self) -> Weather:
        chance = self._chance
        rough = chance.choice([0.0, 0.0, 1.0, 1.0, 3.0])
        return Weather(
            latency_s=chance.choice([0.002, 0.005, 0.02]),
            slow=rough * chance.choice([0.0, 0.01, 0.05]),
            slow_max_s=chance.choice([0.2, 1.0, 3.0]),
            lost=rough * 0.005,
            answer_lost=rough * 0.005,
            refused=rough * 0.005,
            failed=rough * chance.choice([0.0, 0.003, 0.01]),
            crash=rough * chance.choice([0.0, 0.005, 0.015]),
            fetch_entries_max=chance.choice([5, 15, 50, 200]),
        )

    def _have_an_accident(self) -> None:
        if self._calm:
            return
        chance = self._chance
        alive = [name for name, worker in self._workers.items() if worker is not None]
        if alive:
            name = chance.choice(alive)
            worker = self._workers[name]
            assert worker is not None
            kind = chance.choice([self._kill, self._pause, self._pause, self._retire, self._outage])
            kind(worker)
        self._in_s(self._every_s * (0.1 + 2 * chance.random()), self._have_an_accident)

    def _kill(self, worker: Worker) -> None:
        self._crash(worker.process, "by chance")

    def _sleep_through_midnight(self) -> None:
        """Stop one while the events come that tell whether an account is silent."""
        alive = [worker for worker in self._workers.values() if worker is not None]
        if alive:
            self._pause(self._chance.choice(alive), 2.5)

    def _pause(self, worker: Worker, about_s: float | None = None) -> None:
        about_s = about_s or self._chance.choice([0.05, 0.5, 2.5, 4.0])
        process, seconds = worker.process, about_s * (0.5 + self._chance.random())
        self.counts["pauses"] += 1
        self._count_moving(process, "pauses")
        self._note(f"{process.name} is stopped for {seconds:.2f} s")
        process.stop(stopped=True)

        def wake() -> None:
            self._note(f"{process.name} wakes up")
            process.stop(stopped=False)

        self._in_s(seconds, wake)

    def _retire(self, worker: Worker) -> None:
        self.counts["leaves"] += 1
        self._note(f"{worker.process.name} is asked to stop")
        context = copy_context()
        context.run(LANE.set, worker.process.main)
        self._loop.call_soon(worker.leave, context=context)

    def _outage(self, worker: Worker) -> None:
        self.counts["outages"] += 1
        self._network.away_until_s = self._loop.time() + 1.5 * self._chance.random()

    def _become_calm(self) -> None:
        self._note("calm")
        self._calm = True
        self._network.weather = Weather(latency_s=self._network.weather.latency_s)
        for worker in self._workers.values():
            if worker is not None:
                worker.process.stop(stopped=False)
        self._in_s(STUCK_AFTER_S, self._be_stuck)

    def _be_stuck(self) -> None:
        places = {
            number: (worker.process.name, holding.port.clock_ms - self.scenario.until_ms, holding.port.queued)
            for worker in self._workers.values()
            if worker is not None
            for number, holding in worker.owned()
        }
        message = f"after {STUCK_AFTER_S:.0f} s of calm not everything is told: {places}"
        self._loop.failures.append(Violation(message))

    def _keep_time(self) -> None:
        """What the broker does by itself, and a look whether all is told."""
        self._group.expire()
        if self._chance.random() < COMPACTIONS:
            number = int(self._chance.random() * self.scenario.world.partitions)
            self._broker.logs[TopicPartition(CHANGELOG, number)].compact(int(40 * self._chance.random()))
        if self._merges:
            self._look_after_joins()
        self._broker.expire_transactions(self._loop.time(), TRANSACTION_TIMEOUT_MS / 1000)
        if self.scenario.goes_on:
            self._let_go_on()
        was_told, self._told = self._told, self._calm and self._is_told() and not self._broker.is_writing
        if was_told and self._told:
            self._loop.stop()
        self._in_s(LOOK_S, self._keep_time)

    def _look_after_joins(self) -> None:
        """Compact the control topic, and withdraw a join by hand: who ended is lost, unless it was taken in already."""
        if self._blow.random() < COMPACTIONS:
            self._committed_control()
            self._control.compact(int(5 * self._blow.random()))
        if self._losses and not self._calm and (keys := self._on_their_way()):
            self._losses -= 1
            self._write_control(min(keys), None)

    def _let_go_on(self) -> None:
        """Write, some time after an input has halted, that it goes on."""
        for number, holding in self._owned():
            port = holding.port
            assert isinstance(port, Partition)
            if port.halted is None:
                continue
            offset = port.merge.queues[port.halted].offered
            halt = TopicPartition(INPUT_TOPICS[port.halted].name, number)
            if (halt, offset) not in self._going_on:
                self._going_on.add((halt, offset))
                key, value = goes_on(
                    self._chance, halt.topic, number, offset, self._broker.logs[halt].last_stable
                )
                self._write_control_in_s(3 * self._chance.random(), key, value)

    def _owned(self) -> list[tuple[int, Holding]]:
        workers = [worker for worker in self._workers.values() if worker is not None]
        return [owned for worker in workers for owned in worker.owned()]

    def _is_told(self) -> bool:
        """Tell whether some worker has read, committed and told everything of each partition."""
        told = {
            number: holding.port.clock_ms
            for number, holding in self._owned()
            if self._is_through(number, holding)
        }
        self._clocks = told
        return len(told) == self.scenario.world.partitions and not self._unwritten

    def _is_through(self, number: int, holding: Holding) -> bool:
        port, committed = holding.port, self.scenario.isolation_level == "read_committed"
        assert isinstance(port, NotingPartition)
        if port.notes or self._control.read(port.control_next, 1 << 30, committed=True).records:
            return False
        if port.halted is not None and self.scenario.goes_on:
            return False
        until_ms = max(self.scenario.until_ms, self._ledger.clocks.get(number, 0))
        if port.halted is None and port.clock_ms < until_ms:
            return False
        if port.queued and not port.waiting:
            return False  # a halted one still takes what comes before its halt
        for topic, spec in INPUT_TOPICS.items():
            log = self._broker.logs[TopicPartition(spec.name, number)]
            if log.read(holding.input_next.get(topic, 0), 1 << 30, committed=committed).records:
                return False
        at = {topic: port.position(topic) for topic in Input if port.position(topic) >= 0}
        is_committed = at == {topic: offset for topic, offset in holding.committed.items() if offset >= 0}
        return is_committed and not port.pending_bytes and not port.due_now()

    def _in_s(self, seconds: float, callback: Callable[[], object]) -> None:
        self._loop.call_later(seconds, callback, context=self._outside)
