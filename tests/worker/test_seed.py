"""A seeded application on a real Kafka: it goes on as if it had been there all the time, whatever happens to the seed.

control           another policy takes hold
file     history ..............................| cut
topics         (older records)        last 300 |  live events ...............
                     not read         repeats  |  read
worker                                         starts --------- go-live ----->
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from agents.changelog import HOLDER_PREFIX
from agents.latest import Span, read_spans
from agents.settings import Settings
from agents.simulation.clocktext import instant_text
from agents.simulation.company import DAY_MS
from agents.topics import partition_counts
from schemas.topics import INPUT_TOPICS, Output
from tests.worker.conftest import PARTITIONS, ROOT, Bench, latido
from tests.worker.judge import Messages, differences, told_twice, total, up_to
from tests.worker.recording import Recording, record, replayed, write
from tests.worker.test_control import second_policy
from tests.worker.test_control import written as control_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.servers.kafka import KafkaServer

REPEATED: Final = 300
SEED: Final = (sys.executable, "-c", "from agents.cli import main; main()", "seed")
SLICE_S: Final = 0.002
EXIT_OPERATING_ERROR: Final = 2
log = logging.getLogger(__name__)
pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


def parted(recording: Recording, cut_ms: int) -> tuple[Recording, Recording]:
    """Return what happened up to an instant, and what came later."""
    history = [event for event in recording.events if event.occurred_ms <= cut_ms]
    live = [event for event in recording.events if event.occurred_ms > cut_ms]
    return recording._replace(events=history), recording._replace(events=live)


def since(messages: Messages, at_ms: int) -> Messages:
    """Leave out what took effect up to an instant."""
    at = instant_text(at_ms)
    kept = {key: [each for each in told if each["effective_at"] > at] for key, told in messages.items()}
    return {key: told for key, told in kept.items() if told}


def placed(messages: Messages, bench: Bench) -> Messages:
    """Let causes name the places at which their events lie in the topics, not those in a recording."""
    topics = {bench.topic(spec.name): spec.name for spec in INPUT_TOPICS.values()}
    counts = partition_counts(bench.settings)
    spans = [Span(topic, number, 1_000_000) for topic in topics for number in range(counts[topic])]
    seen = read_spans(bench.settings.broker, "look", spans, "read_uncommitted")
    places = {
        (topics[each.topic], json.loads(each.value or b"")["event_id"]): (each.partition, each.offset)
        for each in seen
    }
    for payload in (each for told in messages.values() for each in told):
        cause = payload.get("cause")
        if cause is not None and (place := places.get((cause["topic"], cause["event_id"]))) is not None:
            cause["partition"], cause["offset"] = place
    return messages


def state(bench: Bench, partitions: int = PARTITIONS) -> dict[tuple[int, bytes | None], bytes]:
    """Return the account table as it stands, without holder keys."""
    spans = [Span(bench.changelog, number, 1_000_000) for number in range(partitions)]
    seen = read_spans(bench.settings.broker, "look", spans, "read_committed")
    latest = {(each.partition, each.key): each.value for each in seen}
    return {
        place: value
        for place, value in latest.items()
        if value is not None and not (place[1] or b"").startswith(HOLDER_PREFIX)
    }


def test_the_worker_goes_on_as_the_replay_of_history_and_topics(bench: Bench, tmp_path: Path) -> None:
    recording = record(accounts=50, days=80, seed=31)
    cut_ms = recording.end_ms - 6 * DAY_MS - 12_345_678
    go_live_ms = cut_ms + 2 * DAY_MS + 17
    history, live = parted(recording, cut_ms)
    old = [event for event in history.events if event.occurred_ms < cut_ms - 20 * DAY_MS][-REPEATED:]
    bench.produce(recording._replace(events=old, end_ms=cut_ms - DAY_MS))
    bench.produce(recording._replace(events=history.events[-REPEATED:] + live.events))
    write(history, tmp_path / "history.jsonl")
    second = second_policy(tmp_path / "second")
    latido(bench, "policy", "activate", second, "--at", str(cut_ms - 15 * DAY_MS - 1))

    said = latido(bench, "seed", str(tmp_path / "history.jsonl"), "--until", str(cut_ms))
    assert f"of {len(history.events)} events up to {instant_text(cut_ms)}." in said
    assert "Alerts wait until `latido alerts go-live`" in said
    latido(bench, "alerts", "go-live", "--at", str(go_live_ms))
    expected = replayed(recording, tmp_path / "replay", partitions=PARTITIONS, control=control_lines(bench))
    expected = placed(since(expected, cut_ms), bench)
    wanted = total(expected)
    bench.start("w1")
    seen = bench.read_all(wanted, recording.end_ms)
    assert not up_to(seen, cut_ms), "something of the history was told"
    found = differences(seen, expected)
    assert not found, "\n".join(found)

    firings = [each for (topic, _), told in seen.items() if topic is Output.DISENGAGEMENTS for each in told]
    assert {each["status"] for each in firings if each["effective_at"] < instant_text(go_live_ms)} <= {
        "resolved"
    }
    at_go_live = [each for each in firings if each["effective_at"] == instant_text(go_live_ms)]
    assert any(each["since"] < instant_text(cut_ms) for each in at_go_live), "no alert of the history waited"
    metrics = bench.metrics("w1")
    assert metrics['latido_event_notes_total{note="duplicate"}'] == REPEATED
    assert metrics['latido_event_notes_total{note="late_for_rhythm"}'] == 0
    log.info(
        "%d events, %d of them seeded, %d messages equal", len(recording.events), len(history.events), wanted
    )


def test_the_first_worker_shows_all_accounts_at_once(bench: Bench, tmp_path: Path) -> None:
    recording = record(accounts=20, days=40, seed=9)
    write(recording, tmp_path / "history.jsonl")
    latido(bench, "seed", str(tmp_path / "history.jsonl"))
    bench.start("w1")
    until_views(bench, {event.account_id for event in recording.events})


def until_views(bench: Bench, accounts: set[str]) -> None:
    """Wait until the topic of accounts has the view of each account that was ever told of."""
    deadline = time.monotonic() + 30
    viewed: set[str] = set()
    while viewed != accounts and time.monotonic() < deadline:
        spans = [Span(bench.topic(Output.ACCOUNTS), number, 10_000) for number in range(PARTITIONS)]
        seen = read_spans(bench.settings.broker, "look", spans, "read_committed")
        viewed = {(each.key or b"").decode() for each in seen}
    assert viewed == accounts


# -- a seed that is killed ------------------------------------------------------------------------------------------


class Seeding:
    """A seed as a process, and what the broker has of it."""

    def __init__(self, bench: Bench, *arguments: str) -> None:
        self._bench, self._admin = (
            bench,
            AdminClient({"bootstrap.servers": bench.settings.broker, "log_level": 0}),
        )
        self.process = subprocess.Popen(
            [*SEED, *arguments],
            cwd=ROOT,
            env=bench.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def ends(self, isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED) -> dict[int, int]:
        """Return where the changelog ends; for a committed reader: where open work begins."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = {TopicPartition(self._bench.changelog, number): latest for number in range(PARTITIONS)}
        answers = self._admin.list_offsets(asked, isolation_level=isolation)
        try:
            return {tp.partition: answer.result(10).offset for tp, answer in answers.items()}
        except KafkaException:  # the topic was made a moment ago
            return dict.fromkeys(range(PARTITIONS), 0)

    def open_in(self, records: int = 1) -> int:
        """Return in how many partitions so many records or more lie that are not committed."""
        stable = self.ends(IsolationLevel.READ_COMMITTED)
        return sum(end - stable[number] >= records for number, end in self.ends().items())

    def stop_when(self, reached: str) -> None:
        """Stop the process when it ``claims`` the partitions, when it ``holds`` them, or has its transaction ``open``."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.process.communicate()
            self.process.send_signal(signal.SIGSTOP)
            time.sleep(SLICE_S)
            if reached == "claims" and self.open_in():
                return
            if reached == "holds" and min(self.ends().values()) > 0 and not self.open_in():
                return
            if reached == "open" and self.open_in(10) > PARTITIONS // 2:
                return
            self.process.send_signal(signal.SIGCONT)
            time.sleep(SLICE_S)
        raise AssertionError(f"it never {reached}")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def another(kafka: KafkaServer, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(kafka.broker, tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("reached", ["claims", "holds", "open"])
def test_a_seed_that_was_killed_is_repeated_and_ends_by_every_byte_like_one_that_was_not(
    bench: Bench, another: Bench, tmp_path: Path, reached: str
) -> None:
    recording = record(accounts=1_500, days=2, seed=7)
    write(recording, tmp_path / "history.jsonl")
    seeding = Seeding(bench, str(tmp_path / "history.jsonl"))
    seeding.stop_when(reached)
    seeding.kill()
    assert not state(bench), "a part of it is visible"
    told = latido(bench, "seed", str(tmp_path / "history.jsonl"))
    assert (
        latido(another, "seed", str(tmp_path / "history.jsonl")).replace(
            another.settings.application_id, bench.settings.application_id
        )
        == told
    )
    assert seeding.open_in() == 0
    seeded = state(bench)
    assert len(seeded) > 1_000
    assert seeded == state(another)
    assert [line["kind"] for line in control_lines(bench)] == ["go_live"]


def test_a_worker_that_starts_meanwhile_takes_over_and_the_seed_writes_nothing(
    bench: Bench, tmp_path: Path
) -> None:
    recording = record(accounts=10, days=30, seed=8)
    write(recording, tmp_path / "history.jsonl")
    seeding = Seeding(bench, str(tmp_path / "history.jsonl"))
    seeding.stop_when("holds")
    bench.start("w1")
    deadline = time.monotonic() + 60
    while len(bench.owned("w1")) < PARTITIONS:
        assert time.monotonic() < deadline, bench.log("w1")
        time.sleep(0.1)
    seeding.process.send_signal(signal.SIGCONT)
    _, said = seeding.process.communicate(timeout=60)
    assert seeding.process.returncode == EXIT_OPERATING_ERROR
    assert b"started meanwhile and took the account table over: nothing was seeded" in b" ".join(said.split())
    assert b"Traceback" not in said
    assert bench.workers["w1"].poll() is None
    assert not [key for _, key in state(bench) if not (key or b"").startswith(b"\0")]


# -- another partition count ------------------------------------------------------------------------------------------


def commands(heading: str) -> list[str]:
    """Return the commands of a section of the page on seeding, but for those that do not end."""
    page = (ROOT / "docs" / "seeding.md").read_text()
    (section,) = re.findall(rf"^## {heading}$(.*?)(?=^## |\Z)", page, flags=re.DOTALL | re.MULTILINE)
    found = [line.removeprefix("$ ") for line in section.splitlines() if line.startswith("$ ")]
    return [command for command in found if not command.startswith("latido worker")]


def run(commands: Sequence[str], bench: Bench, folder: Path, **variables: object) -> str:
    bin_first = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = (
        bench.environment() | {"PATH": bin_first} | {name: str(value) for name, value in variables.items()}
    )
    done = subprocess.run(
        ["bash", "-ec", "\n".join(commands)], cwd=folder, env=environment, capture_output=True, text=True,
        check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_procedure_for_another_partition_count_loses_and_repeats_nothing(
    bench: Bench, kafka: KafkaServer, tmp_path: Path
) -> None:
    recording = record(accounts=20, days=70, seed=32)
    cut_ms = recording.end_ms - 9 * DAY_MS - 23_456_789
    live_ms = cut_ms - 25 * DAY_MS
    history, live = parted(recording, cut_ms)
    latido(bench, "alerts", "go-live", "--at", str(live_ms))
    expected = replayed(recording, tmp_path / "replay", partitions=3, control=control_lines(bench))
    before, after = up_to(expected, cut_ms), since(expected, cut_ms)
    bench.produce(history)
    bench.start("w1")
    seen = up_to(bench.read_all(total(before), recording.end_ms), cut_ms)
    assert bench.stop("w1") == 0

    write(history, tmp_path / "history.jsonl")
    said = run(commands("Another partition count"), bench, tmp_path, T=cut_ms, LIVE=live_ms, PARTITIONS=3)
    assert "all topics fit, 3 partitions" in said
    settings = Settings(
        broker=kafka.broker,
        topic_prefix=f"v2-{bench.settings.topic_prefix}",
        application_id=bench.settings.application_id,
    )
    second = Bench(kafka.broker, tmp_path, settings=settings)
    try:
        second.produce(live)
        second.start("w2")
        later = second.read_all(total(after), recording.end_ms)
        before, after = placed(before, bench), placed(after, second)
    finally:
        second.close()
    for told, wanted in ((seen, before), (later, after)):
        found = differences(told, wanted)
        assert not found, "\n".join(found)
    assert not told_twice({key: seen.get(key, []) + later.get(key, []) for key in {*seen, *later}})
    assert {topic for topic, _ in after} >= {Output.SCORE_CHANGES, Output.DISENGAGEMENTS}
