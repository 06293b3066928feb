"""Between the processes and the broker: every request takes its time, and some meet with an accident.

process   ask ----.                      .----> answer
broker             `-> arrives, applied -'

lost          it does not arrive; asked again after a time-out
answer lost   applied, and asked again: the broker sees it twice
failed        an error for the caller; applied all the same, or not
slow          on its way for seconds; everything else goes on
crash         the process dies: before it asks, when it is applied, or with the answer
"""

from __future__ import annotations

import asyncio
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from aiokafka.errors import KafkaTimeoutError, NotEnoughReplicasError

from tests.faults.loop import LANE, Lane, SimulatedLoop

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

Answer = TypeVar("Answer")
REQUEST_TIMEOUT_S: Final = 0.8
RETRY_S: Final = 0.02
NEVER_FAILS: Final = frozenset({"Fetch", "JoinGroup", "Heartbeat", "LeaveGroup"})
"""Of these only the time varies: aiokafka asks them again by itself, for ever."""


class Weather(NamedTuple):
    """How requests fare: latency in seconds, probabilities of accidents for each request, and
    how much of a partition fits into the answer to a fetch.
    """

    latency_s: float = 0.005
    slow: float = 0.0
    slow_max_s: float = 0.0
    lost: float = 0.0
    answer_lost: float = 0.0
    refused: float = 0.0
    failed: float = 0.0
    crash: float = 0.0
    fetch_entries_max: int = 1_000


class Process:
    """One life of a worker process: its lanes, and whether it still lives."""

    def __init__(self, loop: SimulatedLoop, name: str) -> None:
        self.name = name
        self.main, self.thread = loop.lane(f"{name} main"), loop.lane(f"{name} thread")
        self.is_dead = False

    @property
    def lanes(self) -> tuple[Lane, Lane]:
        return self.main, self.thread

    def stop(self, *, stopped: bool) -> None:
        for lane in self.lanes:
            lane.is_stopped = stopped

    def end(self) -> None:
        self.is_dead = True
        for lane in self.lanes:
            lane.end()


PROCESS: ContextVar[Process] = ContextVar("process")


class Network:
    """Carries requests of processes."""

    def __init__(
        self,
        loop: SimulatedLoop,
        chance: Random,
        tell: Callable[[str], None],
        crash: Callable[[Process, str], None],
    ) -> None:
        self.weather = Weather()
        self.away_until_s = 0.0
        """Until then nothing arrives: the broker is away."""
        self.tell = tell
        self._loop, self._chance, self._crash = loop, chance, crash
        self._outside = Context()
        self._outside.run(LANE.set, loop.outside)

    @property
    def is_away(self) -> bool:
        """Whether the broker is away now."""
        return self._loop.time() < self.away_until_s

    def later(self, callback: Callable[[], None]) -> None:
        """Let something happen at the broker, soon."""
        self._loop.call_later(self._takes_s(), callback, context=self._outside)

    async def request(self, what: str, apply: Callable[[], Any], detail: str = "") -> Any:
        """Ask until there is an answer; errors that are worth it are tried again, as aiokafka does.

        Args:
            what: the kind of request.
            apply: what the broker does with it; may run more than once, returns the answer or a future of it.
            detail: for the trace.
        """
        process = PROCESS.get()
        while True:
            accident = self._accident(what)
            if accident == "crash":
                await self._die(process, f"before {what}")
            answer = self._send(process, what, apply, detail, accident)
            try:
                if accident in {"lost", "answer lost"}:
                    await asyncio.sleep(REQUEST_TIMEOUT_S)
                    continue
                return await answer
            except NotEnoughReplicasError:
                await asyncio.sleep(RETRY_S)

    def _accident(self, what: str) -> str:
        weather, drawn = self.weather, self._chance.random()
        fails = what not in NEVER_FAILS
        for name, share in (
            ("crash", weather.crash / 3),
            ("crash when applied", weather.crash / 3),
            ("crash with the answer", weather.crash / 3),
            ("slow", weather.slow),
            ("lost", weather.lost),
            ("answer lost", weather.answer_lost),
            ("refused", weather.refused * fails),
            ("failed", weather.failed / 2 * fails),
            ("failed, but applied", weather.failed / 2 * fails),
        ):
            if drawn < share:
                return name
            drawn -= share
        return ""

    async def _die(self, process: Process, why: str) -> None:
        self._crash(process, why)
        await self._loop.create_future()

    def _send(
        self, process: Process, what: str, apply: Callable[[], Any], detail: str, accident: str
    ) -> asyncio.Future[Any]:
        answer = self._loop.create_future()
        answer.add_done_callback(_look_at)  # nobody may be waiting any more

        def arrive() -> None:
            if self._loop.time() < self.away_until_s:
                self._loop.call_at(self.away_until_s, arrive, context=self._outside)
                return
            if accident == "lost":
                self.tell(f"{process.name} {what} {detail}: lost")
                return
            result: Any
            if accident in {"refused", "failed"}:
                result = NotEnoughReplicasError() if accident == "refused" else KafkaTimeoutError()
            else:
                try:
                    result = apply()
                except Exception as error:  # noqa: BLE001 - it is the answer
                    result = error
            if isinstance(result, asyncio.Future):
                result.add_done_callback(lambda done: go_back(done.result()), context=self._outside)
            else:
                go_back(result)

        def go_back(result: Any) -> None:
            self.tell(
                f"{process.name} {what} {detail}{': ' + accident if accident else ''} -> {_short(result)}"
            )
            if accident == "crash when applied":
                self._crash(process, f"when {what} was applied")
            elif accident != "answer lost":
                told = KafkaTimeoutError() if accident == "failed, but applied" else result
                self._loop.call_later(self._takes_s(), hear, told, context=self._outside)

        def hear(result: Any) -> None:
            if accident == "crash with the answer":
                self._crash(process, f"with the answer to {what}")
            elif answer.cancelled():
                return
            elif isinstance(result, BaseException):
                answer.set_exception(result)
            else:
                answer.set_result(result)

        on_its_way_s = self._takes_s()
        if accident == "slow":
            on_its_way_s += self._chance.random() * self.weather.slow_max_s
        self._loop.call_later(on_its_way_s, arrive, context=self._outside)
        return answer

    def _takes_s(self) -> float:
        return self.weather.latency_s * (0.2 + self._chance.random())


def _short(result: Any) -> str:
    if isinstance(result, dict):
        return " ".join(f"{tp.topic}[{tp.partition}] {offset}" for tp, offset in sorted(result.items()))
    return type(result).__name__ if isinstance(result, BaseException) else str(result)


def _look_at(answer: asyncio.Future[Any]) -> None:
    if not answer.cancelled():
        answer.exception()
