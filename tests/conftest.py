"""What all tests share: the core uncompiled, the profiles of hypothesis, and real servers.

``LATIDO_TEST_COMPILED=1`` runs the core compiled. ``HYPOTHESIS_PROFILE`` is ``dev``, ``ci`` or ``deep``.
``LATIDO_REQUIRE_SERVERS=1`` fails a test whose server is missing instead of skipping it. ``LATIDO_TEST_ACCOUNTS`` is the
size of ``tests/worker/test_equals_replay.py``, ``LATIDO_TEST_CHAOS_SECONDS`` and ``LATIDO_TEST_CHAOS_SEED``
are the length and the seed of ``tests/worker/test_chaos.py``.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from typing import TYPE_CHECKING, Final, NoReturn

import pytest
from hypothesis import settings

from tests.servers.kafka import KafkaServer
from tests.servers.kafka_jars import ensure_jars
from tests.servers.missing import ServerMissing, servers_required

if TYPE_CHECKING:
    from collections.abc import Iterator

for name in ("COLUMNS", "LINES"):  # a process of xdist is told of a terminal that it has not
    os.environ.pop(name, None)

# Read when numba is first imported, which no import above does.
if os.environ.get("LATIDO_TEST_COMPILED") == "1":
    # A folder of this run: what was compiled with other checks or from other sources is never met.
    folder = tempfile.mkdtemp(prefix="latido-numba-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["NUMBA_CACHE_DIR"] = folder
else:
    os.environ["NUMBA_DISABLE_JIT"] = "1"

# No deadline per example: the uncompiled core is slow in places, and every test has its time limit.
settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True, print_blob=True)
settings.register_profile("deep", max_examples=5_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

MISSING: Final = pytest.StashKey[ServerMissing]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a real Kafka through a fixture, too; and begin with what takes longest by its own time limit.

    Else the last process to end may wait minutes for one test.
    """
    for item in items:
        if "kafka" in getattr(item, "fixturenames", ()):
            item.add_marker("kafka")
    items.sort(key=_time_limit, reverse=True)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fetch what servers need before the first test: its time limit is not for downloads."""
    if session.config.option.collectonly or not any(map(_needs_kafka, session.items)):
        return
    try:
        ensure_jars()
    except ServerMissing as missing:
        session.config.stash[MISSING] = missing


def _time_limit(item: pytest.Item) -> float:
    limit = item.get_closest_marker("timeout")
    return limit.args[0] if limit else 0.0


def _needs_kafka(item: pytest.Item) -> bool:
    return item.get_closest_marker("kafka") is not None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was not run and how to have it run."""
    missing = config.stash.get(MISSING, None)
    if missing is not None and not servers_required():
        terminalreporter.section("not run on this machine", sep="-")
        terminalreporter.line(f"tests on {missing.server} were skipped: {missing.why}")
        terminalreporter.line(f"to run them, {missing.how}")


def _without_server(missing: ServerMissing) -> NoReturn:
    if servers_required():
        pytest.fail(f"LATIDO_REQUIRE_SERVERS=1 and {missing}")
    pytest.skip(str(missing))


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Iterator[KafkaServer]:
    """Return a real Kafka, shared by all tests: each uses topics and groups of its own names."""
    missing = request.config.stash.get(MISSING, None)
    if missing is not None:
        _without_server(missing)
    with KafkaServer() as server:
        yield server
