"""The composition of `latido worker`: settings, topics, program, metrics, delivery."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

from agents.numba_cache import use_cache
from agents.topics import changelog_identity, check_topics, partition_counts
from schemas.topics import INPUT_TOPICS, Input

if TYPE_CHECKING:
    from agents.ownership import Fence
    from agents.settings import Settings

READY_BEHIND_S: Final = 60
"""So far behind the wall clock, beside the grace, the clock of a worker that is up to date may be."""


async def run_worker(settings: Settings, *, mock: bool = False, fence: Fence | None = None) -> int:
    """Run a worker until it is told to stop, then end the process; return the exit code of an operating error.

    ``mock`` is for librdkafka's mock broker: its topics are made by their first use and its transaction markers carry
    wrong checksums. ``fence`` cuts off former owners of a partition; by transactions unless another one is given.

    Raises:
        LatidoError: a setting, a topic, the policy or the committed state is wrong.
    """
    first = settings.topic_prefix + INPUT_TOPICS[Input.LOGINS].name
    partitions = partition_counts(settings)[first] if mock else check_topics(settings)
    identity = None if mock else changelog_identity(settings)
    use_cache()
    started = time.perf_counter()
    sys.stderr.write(
        "latido worker: loading the core (compiled on first use, about 10 s; kept in the cache folder)\n"
    )
    from agents.clients import Connection  # noqa: PLC0415
    from agents.delivery import WorkerSettings  # noqa: PLC0415
    from agents.metrics import Metrics  # noqa: PLC0415
    from agents.partition import Partition  # noqa: PLC0415
    from agents.probes import Probes  # noqa: PLC0415
    from agents.program import load_program  # noqa: PLC0415
    from agents.warm import compile_core  # noqa: PLC0415
    from agents.worker_app import build_app, run  # noqa: PLC0415

    program = load_program(settings.policy, settings.models_dir)
    compile_core(program)
    sys.stderr.write(
        f"latido worker: core ready after {time.perf_counter() - started:.1f} s, joining {settings.broker}\n"
    )
    metrics = Metrics([model.model for model in program.models])
    compression = None if settings.compression == "none" else settings.compression
    app = build_app(
        WorkerSettings(
            connection=Connection(settings.broker, compression, check_crcs=not mock),
            application_id=settings.application_id,
            datadir=settings.datadir,
            topic_prefix=settings.topic_prefix,
            commit_interval_ms=settings.commit_interval_ms,
            max_events_per_s=settings.max_events_per_s,
            session_timeout_s=settings.session_timeout_s,
            group_instance_id=settings.group_instance_id,
            changelog_identity=identity,
            ready_behind_s=program.policy.grace_s + READY_BEHIND_S,
        ),
        lambda partition: Partition(
            program,
            partition=partition,
            partitions=partitions,
            observer=metrics,
            application=settings.application_id,
        ),
        observer=metrics,
        fence=fence,
    )
    if settings.metrics_port:
        Probes(metrics.registry, app.worker.unready).serve(settings.metrics_host, settings.metrics_port)
    return await run(app)
