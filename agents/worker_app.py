"""The worker: one Faust app out of settings and a partition factory; starts, commits, stops, and dies.

Exit codes: 0 stopped on request with everything committed and given up; 2 an operating error, told in one
message; 13 fail-stop: start it again, nothing is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import signal
import sys
from typing import IO, TYPE_CHECKING, Final, NoReturn

from agents.batching import POLLS_QUEUED_MAX, SCHEME, BatchingApp, PollScheduler
from agents.clients import require_broker
from agents.delivery import EXIT_OPERATING_ERROR, Delivery, WorkerSettings, leave
from agents.ownership import Fence, TransactionFence
from agents.ports import DeliveryObserver, NullObserver
from schemas.errors import ConfigError, LatidoError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from agents.ports import PartitionFactory

HEARTBEAT_S: Final = 2.0
"""At most: a member hears of a rebalance with its next heartbeat, however long its session."""
STOP_TIMEOUT_S: Final = 20.0
SAVE_TIMEOUT_S: Final = 20.0
GARBAGE_OBJECTS_MIN: Final = 50_000


class WorkerApp(BatchingApp):
    """The Faust app with its delivery and the settings of both."""

    settings: WorkerSettings
    worker: Delivery


def build_app(
    settings: WorkerSettings,
    new_partition: PartitionFactory,
    *,
    observer: DeliveryObserver | None = None,
    fence: Fence | None = None,
) -> WorkerApp:
    """Wire a worker; nothing is started and nobody is connected to yet."""
    settings.datadir.mkdir(parents=True, exist_ok=True)
    app = WorkerApp(
        settings.application_id,
        broker=[f"{SCHEME}://{address}" for address in settings.connection.bootstrap.split(",")],
        datadir=settings.datadir,
        ConsumerScheduler=PollScheduler,
        stream_buffer_maxsize=POLLS_QUEUED_MAX,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.group_instance_id or None,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=min(HEARTBEAT_S, settings.session_timeout_s / 5),
        broker_rebalance_timeout=2 * settings.session_timeout_s,
        broker_request_timeout=max(30.0, 3 * settings.session_timeout_s),
        broker_commit_interval=settings.group_commit_interval_s,
        table_standby_replicas=1,  # with none Faust silently assigns without regard to co-partitioning
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        web_tables_enabled=False,
    )
    app.settings = settings
    app.worker = Delivery(
        settings,
        new_partition,
        observer=observer or NullObserver(),
        fence=fence or TransactionFence(settings.connection),
    )
    app.deliver(list(app.worker.inputs), app.worker)
    return app


async def run(app: WorkerApp, checks: Callable[[], Awaitable[None]] | None = None) -> int:
    """Run the worker until SIGINT or SIGTERM, then end the process; return the exit code of an operating error.

    Args:
        app: from ``build_app``.
        checks: looked at after the broker answered and before anything is joined; raise ``LatidoError``.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        with _locked(app.settings.datadir):
            await require_broker(app.settings.connection)
            if checks is not None:
                await checks()
            await _serve(app, stop)
    except LatidoError as error:
        sys.stderr.write(f"latido worker: {error}\n")
    return EXIT_OPERATING_ERROR


async def _serve(app: WorkerApp, stop: asyncio.Event) -> NoReturn:
    _collect_less_often()
    await app.worker.start()
    starting = asyncio.create_task(app.start(), name="faust")
    starting.add_done_callback(app.worker.die_of_task)
    await _stopped_or_crashed(app, stop)
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await app.worker.stop()
    except TimeoutError as error:
        app.worker.die(error)
    starting.remove_done_callback(app.worker.die_of_task)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await app.stop()
    with contextlib.suppress(TimeoutError):  # others own the partitions meanwhile: nobody waits for it
        async with asyncio.timeout(SAVE_TIMEOUT_S):
            await app.worker.save()
    leave(
        0
    )  # everything is committed and given up: what Faust's threads may still wait for is nothing of ours


async def _stopped_or_crashed(app: WorkerApp, stop: asyncio.Event) -> None:
    waits = [asyncio.create_task(stop.wait()), asyncio.create_task(app.wait_until_stopped())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    if app.crashed:
        app.worker.die(app.crash_reason or RuntimeError("the Faust app crashed"))


def _collect_less_often() -> None:
    """Let the garbage collector look after 50,000 new objects, not 700: records come by the ten thousand.

    It costs half of the fetch path otherwise, and finds nothing: records are freed by their reference counts.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS_MIN, 20, 50)


@contextlib.contextmanager
def _locked(datadir: Path) -> Iterator[None]:
    with (datadir / "lock").open("w") as handle:
        _lock(handle, datadir)
        yield


def _lock(handle: IO[str], datadir: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ConfigError(
            f"the data folder {datadir} is in use by another worker. "
            "Give each worker its own: LATIDO_DATADIR."
        ) from error
