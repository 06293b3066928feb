"""Blows in random order against workers, their network, their disk and the broker; all of it planned by a seed.

Each worker reaches the broker through a proxy of its own. One that ends by itself is started again, as a supervisor would;
one that was told to stop and does not is killed. Blows overlap.
"""

from __future__ import annotations

import logging
import random
import resource
import signal
import subprocess
import time
from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from confluent_kafka import KafkaException

from tests.worker.conftest import OPEN_RECORDS_MIN, SLICE_S, WORKER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.servers.kafka import KafkaServer
    from tests.servers.proxy import Proxy
    from tests.worker.conftest import Bench

log = logging.getLogger(__name__)

SESSION_S: Final = 6
WORKERS: Final = 2
"""Always there; one more comes and goes."""
GUEST: Final = f"w{WORKERS}"
EVERY_S: Final = 8.0
"""Between two blows, if there is time for more than one of each kind."""
START_AGAIN_S: Final = 0.5
STOP_WITHIN_S: Final = 20.0
"""A worker that was told to stop is killed after so long."""
LOOK_S: Final = 0.05
AIM_S: Final = 5.0
"""So long a kill waits for an open transaction."""
WORK_WITHIN_S: Final = 40.0
"""A blow waits so long for a worker that owns something and goes on."""
NO_ROOM_BYTES: Final = 4_096
EXITS: Final = (2, 13, -signal.SIGKILL)
"""By an operating error (no broker at its start), by itself, killed."""
EXITS_TOLD: Final = (0, -signal.SIGTERM, *EXITS)
"""Of one that was told to stop: in order; while it was being imported."""


class Kind(StrEnum):
    """What can happen."""

    KILL = "kill -9"
    PAUSE = "pause beyond the session"
    STALL = "short pause"
    CUT = "network cut"
    DEAF = "answers lost"
    REFUSED = "connections refused"
    BROKER = "broker killed and started"
    RESTART = "restart in order"
    DISK = "restart in order, disk full"
    GUEST = "one more worker joins or leaves"


FIRST: Final = (Kind.CUT, Kind.DEAF, Kind.REFUSED, Kind.BROKER, Kind.DISK)
"""What no other test does to workers comes first, so that a short run has it."""
LASTING_S: Final = {
    Kind.PAUSE: (SESSION_S + 2, SESSION_S + 6),
    Kind.STALL: (0.5, 3),
    Kind.CUT: (1, 2 * SESSION_S),
    Kind.DEAF: (1, 2 * SESSION_S),
    Kind.REFUSED: (0.5, 2 * SESSION_S),
}
"""How long those last that end (s)."""


class Blow(NamedTuple):
    """What happens how long after the blow before (s), to whom, and for how long."""

    after_s: float
    kind: Kind
    victim: str
    lasts_s: float


class Struck(NamedTuple):
    """A blow as it fell: at which time, and which partitions the victim owned."""

    kind: Kind
    victim: str
    at_ms: int
    partitions: frozenset[int]


def plan(seed: int, seconds: float) -> list[Blow]:
    """Return the blows of a seed: the first kinds in any case, then each kind as often as any other."""
    rng = random.Random(seed)
    kinds = rng.sample(FIRST, len(FIRST))
    while len(kinds) < seconds / EVERY_S:
        kinds += rng.sample(list(Kind), len(Kind))
    kinds = kinds[: max(len(FIRST), round(seconds / EVERY_S))]
    gaps = [rng.uniform(0.3, 1.7) for _ in kinds]
    blows = []
    for kind, gap in zip(kinds, gaps, strict=True):
        after_s = gap * seconds / (sum(gaps) + 1)
        victim = GUEST if kind is Kind.GUEST else f"w{rng.randrange(WORKERS)}"
        blows.append(Blow(after_s, kind, victim, rng.uniform(*LASTING_S.get(kind, (0, 0)))))
    return blows


class Chaos:
    """Keeps workers running and strikes them."""

    def __init__(self, bench: Bench, kafka: KafkaServer, proxies: Sequence[Proxy], rate: float) -> None:
        self.struck: list[Struck] = []
        self.exits: Counter[tuple[str, int]] = Counter()
        """By (who ended it, exit code): ``self`` is the worker."""
        self.kills_in_a_transaction = 0
        self._bench, self._kafka = bench, kafka
        self._proxies = {f"w{number}": proxy for number, proxy in enumerate(proxies)}
        self._rate = rate
        self._wanted = {f"w{number}" for number in range(WORKERS)}
        self._start_at_s = dict.fromkeys(self._wanted, 0.0)
        self._stop_by_s: dict[str, float] = {}
        self._ends: list[tuple[float, Kind, str]] = []
        self._sinks: dict[str, subprocess.Popen[bytes]] = {}

    # -- the supervisor -----------------------------------------------------------------------------------------------

    def run(self, blows: Sequence[Blow]) -> None:
        """Let the blows fall when all workers have something to lose, and end all that last."""
        while not all(self._owns(name) for name in self._wanted):
            self._supervise()
            time.sleep(LOOK_S)
        struck_s, left = time.monotonic(), list(blows)
        while left or self._ends:
            self._supervise()
            now_s = time.monotonic()
            self._mend([end for end in self._ends if end[0] <= now_s])
            waits_s = now_s - struck_s - left[0].after_s if left else -1.0
            if waits_s >= 0 and (waits_s > WORK_WITHIN_S or any(map(self._works, self._bench.workers))):
                self._strike(left.pop(0))
                struck_s = time.monotonic()
            time.sleep(LOOK_S)

    def _works(self, name: str) -> bool:
        """Tell whether it owns something and no blow on it lasts."""
        return self._owns(name) and not any(victim == name for _, _, victim in self._ends)

    def _owns(self, name: str) -> bool:
        is_there = name in self._bench.workers and name not in self._stop_by_s
        return is_there and bool(self._bench.owned(name))

    def _supervise(self) -> None:
        now_s = time.monotonic()
        for name, process in list(self._bench.workers.items()):
            code = process.poll()
            if code is None and self._stop_by_s.get(name, now_s) < now_s:
                log.info("%s did not stop in %.0f s and is killed", name, STOP_WITHIN_S)
                process.kill()
                self._stop_by_s[name] = now_s + STOP_WITHIN_S
            elif code is not None:
                self._ended(name, code)
        for name in self._wanted - self._bench.workers.keys():
            if self._start_at_s[name] <= now_s:
                self._start(name)

    def _ended(self, name: str, code: int) -> None:
        told = self._stop_by_s.pop(name, None) is not None
        self.exits["told" if told else "itself", code] += 1
        assert code in (EXITS_TOLD if told else EXITS), f"{name} ended with {code}\n{self._bench.log(name)}"
        del self._bench.workers[name]
        self._sinks.pop(name).wait(10)
        self._start_at_s[name] = time.monotonic() + START_AGAIN_S

    def _start(self, name: str) -> None:
        # Through a pipe: a limit on the size of files is meant for snapshots, not for what the worker says.
        with (self._bench.folder / f"{name}.log").open("ab") as said:
            self._sinks[name] = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=said)
        sink = self._sinks[name].stdin
        assert sink is not None
        broker = f"127.0.0.1:{self._proxies[name].port}"
        self._bench.start(
            name, WORKER, sink, broker=broker, max_events_per_s=self._rate, session_timeout_s=SESSION_S,
            commit_interval_ms=300,
        )  # fmt: skip
        sink.close()

    def stop(self) -> None:
        """Let all workers stop, in order."""
        self._wanted = set()
        for name in list(self._bench.workers):
            self._tell_to_stop(name)
        while self._bench.workers:
            self._supervise()
            time.sleep(LOOK_S)

    def _tell_to_stop(self, name: str) -> None:
        self._bench.workers[name].send_signal(signal.SIGTERM)
        self._stop_by_s[name] = time.monotonic() + STOP_WITHIN_S

    # -- blows --------------------------------------------------------------------------------------------------------

    def _strike(self, planned: Blow) -> None:
        blow = self._aimed(planned)
        if blow is None:
            return
        name = blow.victim
        self._note(blow, frozenset(self._bench.owned(name)))
        process, proxy = self._bench.workers[name], self._proxies[name]
        match blow.kind:
            case Kind.KILL:
                self.kills_in_a_transaction += self._aim(name)
                process.kill()
            case Kind.PAUSE | Kind.STALL:
                process.send_signal(signal.SIGSTOP)
            case Kind.CUT:
                proxy.cut()
            case Kind.DEAF:
                proxy.cut(requests=False)
            case Kind.REFUSED:
                proxy.refuse()
            case Kind.BROKER:
                self._kafka.kill()
                self._kafka.start()
            case Kind.RESTART:
                self._tell_to_stop(name)
            case Kind.DISK:
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (NO_ROOM_BYTES, resource.RLIM_INFINITY))
                self._tell_to_stop(name)
            case Kind.GUEST:
                self._wanted.discard(name)
                self._tell_to_stop(name)
        if blow.kind in LASTING_S:
            self._ends.append((time.monotonic() + blow.lasts_s, blow.kind, name))

    def _aimed(self, blow: Blow) -> Blow | None:
        """Return a blow for whoever runs, with most to lose; None if nobody does, or the guest is called."""
        if blow.kind is Kind.GUEST and blow.victim not in self._wanted:
            self._wanted.add(blow.victim)
            self._start_at_s[blow.victim] = 0
            self._note(blow, frozenset())
            return None
        running = [name for name, process in self._bench.workers.items() if process.poll() is None]
        if blow.kind is Kind.GUEST:
            return blow if blow.victim in running else None
        running.sort(key=lambda name: (self._works(name), self._owns(name), name == blow.victim))
        return blow._replace(victim=running[-1]) if running else None

    def _note(self, blow: Blow, partitions: frozenset[int]) -> None:
        at_ms = time.time_ns() // 1_000_000
        self.struck.append(Struck(blow.kind, blow.victim, at_ms, partitions))
        log.info(
            "%s: %s, %s%s",
            blow.kind,
            blow.victim,
            sorted(partitions),
            f" for {blow.lasts_s:.1f} s" if blow.lasts_s else "",
        )

    def _mend(self, ends: Sequence[tuple[float, Kind, str]]) -> None:
        for end in ends:
            self._ends.remove(end)
            _, kind, name = end
            if kind in {Kind.PAUSE, Kind.STALL}:
                if name in self._bench.workers:
                    self._bench.workers[name].send_signal(signal.SIGCONT)
            else:
                self._proxies[name].mend()

    def _aim(self, name: str) -> bool:
        """Try for a while to stop the worker where it has an open transaction with rows in it; tell whether it has."""
        process, deadline = self._bench.workers[name], time.monotonic() + AIM_S
        try:
            while time.monotonic() < deadline and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                time.sleep(SLICE_S)
                process.send_signal(signal.SIGSTOP)
                held = self._bench.held_open(name) if self._bench.open_now(name) else {}
                if sum(held.values()) >= OPEN_RECORDS_MIN:
                    return True
        except KafkaException:  # the broker is not there
            return False
        return False
