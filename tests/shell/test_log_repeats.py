"""A broker that is away does not flood the log: what a library repeats is said once in ten seconds, with how often."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from click.testing import CliRunner

from agents.cli import main
from agents.log_repeats import KINDS_MAX, Repeats


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def clock() -> list[float]:
    return [100.0]


@pytest.fixture
def kept(clock: list[float]) -> Kept:
    handler = Kept()
    handler.addFilter(Repeats(lambda: clock[0]))
    return handler


def say(kept: Kept, logger: str, text: str, *values: object) -> None:
    kept.handle(logging.LogRecord(logger, logging.ERROR, "", 0, text, values, None))


def test_a_library_is_heard_once_in_ten_seconds_of_each_kind(kept: Kept, clock: list[float]) -> None:
    for node in range(50):
        say(kept, "aiokafka.client", "no connection to %d: %s", node, "closed")
    say(kept, "aiokafka.client", "another thing")
    say(kept, "aiokafka.consumer", "no connection to %d: %s", 1, "closed")
    clock[0] += 9.9
    say(kept, "aiokafka.client", "no connection to %d: %s", 50, "closed")
    clock[0] += 0.1
    say(kept, "aiokafka.client", "no connection to %d: %s", 51, "100% refused")
    assert kept.lines == [
        "no connection to 0: closed",
        "another thing",
        "no connection to 1: closed",
        "no connection to 51: 100% refused (and 50 more of this kind in 10 s)",
    ]


def test_what_we_say_ourselves_always_passes(kept: Kept) -> None:
    for _ in range(3):
        say(kept, "agents.metrics", "fenced the former holder %s", "a")
    assert len(kept.lines) == 3


def test_messages_without_end_do_not_fill_the_memory(kept: Kept) -> None:
    (repeats,) = kept.filters
    assert isinstance(repeats, Repeats)
    for number in range(3 * KINDS_MAX):
        say(kept, "aiokafka", f"number {number}")
    assert len(kept.lines) == 3 * KINDS_MAX
    assert len(repeats._passed) <= KINDS_MAX


def test_a_worker_says_repeats_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = Kept()
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    filtered = []

    async def run(_: object) -> int:
        filtered.extend(handler.filters)
        return 0

    monkeypatch.setattr("agents.run.run_worker", run)
    assert CliRunner().invoke(main, ["worker"], env={"LATIDO_DATADIR": str(tmp_path)}).exit_code == 0
    assert [type(each) for each in filtered] == [Repeats]
