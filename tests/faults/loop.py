"""An event loop without a world: time that is counted, and a seeded choice of whose callback runs next.

A *lane* is one thread of one process. Its callbacks run in their order, as asyncio promises; which lane goes next, and how
long each callback takes, is chance. A lane can be stopped (SIGSTOP) and ended (kill -9): no callback of it runs then, and
none after its end.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from contextvars import Context, ContextVar, copy_context
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeVarTuple, Unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from random import Random

Arguments = TypeVarTuple("Arguments")
CALLBACK_MAX_S: Final = 0.0002
STALL_MAX_S: Final = 0.03
THREAD_MAX_S: Final = 0.05
STALLS: Final = 0.004
"""So many callbacks take long: the garbage collector, a busy machine."""


class Ended(BaseException):
    """The process has ended here; nothing of it runs any more."""


class Lane:
    """One thread of one process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready: deque[asyncio.Handle] = deque()
        self.is_stopped = self.is_ended = False

    def end(self) -> None:
        self.is_ended = True
        self.ready.clear()


LANE: ContextVar[Lane] = ContextVar("lane")


class SimulatedLoop(asyncio.BaseEventLoop):
    """Runs until it is told to stop; with nothing to run, time goes on to the next timer."""

    def __init__(self, chance: Random) -> None:
        super().__init__()
        self.failures: list[BaseException] = []
        self.outside = Lane("outside")
        self.lanes = [self.outside]
        self._chance, self._now_s, self._order = chance, 1_000.0, count()
        self._timers: list[tuple[float, int, Lane, asyncio.TimerHandle]] = []
        self._is_stopping = False
        self._tasks: list[asyncio.Task[Any]] = []

    def run(self) -> None:
        """Run callbacks until ``stop``; an exception that nobody took ends it.

        Raises:
            BaseException: the first exception of a callback or of a task that nobody awaited.
        """
        asyncio._set_running_loop(self)
        try:
            while not self._is_stopping:
                self._run_one()
                if self.failures:
                    raise self.failures[0]
        finally:
            asyncio._set_running_loop(None)

    def stop(self) -> None:
        self._is_stopping = True

    def spend(self, seconds: float) -> None:
        """Let what runs now take so long."""
        self._now_s += seconds

    def lane(self, name: str) -> Lane:
        made = Lane(name)
        self.lanes.append(made)
        return made

    def start(self, lane: Lane, work: Coroutine[Any, Any, Any], context: Context) -> asyncio.Task[Any]:
        """Start a task in a lane."""
        context.run(LANE.set, lane)
        return self.create_task(work, context=context)

    def close(self) -> None:
        """Forget everything that is left, without a word about tasks that never ended."""
        for task in self._tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            task._log_traceback = False
            task.get_coro().close()
        self._tasks.clear()
        super().close()

    def _run_one(self) -> None:
        self._wake()
        runnable = [lane for lane in self.lanes if lane.ready and not lane.is_stopped]
        if not runnable:
            self._now_s = max(self._now_s, self._timers[0][0])
            return
        chance = self._chance
        lane = runnable[0] if len(runnable) == 1 else runnable[int(chance.random() * len(runnable))]
        handle = lane.ready.popleft()
        took = chance.random()
        self._now_s += CALLBACK_MAX_S * took if took > STALLS else STALL_MAX_S * took / STALLS
        if not handle.cancelled():
            handle._run()

    def _wake(self) -> None:
        timers = self._timers
        while timers and timers[0][0] <= self._now_s:
            _, _, lane, handle = heapq.heappop(timers)
            if not lane.is_ended and not handle.cancelled():
                lane.ready.append(handle)

    # -- what asyncio asks of a loop ----------------------------------------------------------------------------------

    def time(self) -> float:
        return self._now_s

    def call_soon(
        self,
        callback: Callable[[Unpack[Arguments]], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context or copy_context())
        lane = self._lane_of(context)
        if not lane.is_ended:
            lane.ready.append(handle)
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Arguments]], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context or copy_context())
        lane = self._lane_of(context)
        if not lane.is_ended:
            heapq.heappush(self._timers, (when, next(self._order), lane, handle))
        return handle

    def _lane_of(self, context: Context | None) -> Lane:
        found = LANE.get(None) if context is None else context.get(LANE)
        return found or self.outside

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        return task

    def run_in_executor(  # type: ignore[override]
        self, executor: None, func: Callable[[Unpack[Arguments]], Any], *args: *Arguments
    ) -> asyncio.Future[Any]:
        """Run it in the caller's lane, soon: a thread that nobody else sees at work."""
        done = self.create_future()

        def work() -> None:
            try:
                result = func(*args)
            except OSError as error:
                done.set_exception(error)
            else:
                done.set_result(result)

        self.call_later(THREAD_MAX_S * self._chance.random(), work)
        return done

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, Ended):
            self.failures.append(error or RuntimeError(context["message"]))

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer is left out when it is due."""
