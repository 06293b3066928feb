"""What a seed reads, refuses and tells: on a real broker, over one application that bad input leaves fresh."""

from __future__ import annotations

import gzip
import json
import re
import sys
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.cimpl import NewPartitions
from pyarrow import parquet

from agents.account_commands import merging
from agents.beside import CLOCK
from agents.cli import main
from agents.control_topic import write_control
from agents.latest import Span, read_spans
from agents.program import shipped
from agents.seed_report import NOTES
from agents.seed_target import require_fresh
from agents.settings import PREFIX, Settings
from agents.topics import create_topics, partition_counts
from schemas.reasons import EventNote
from schemas.topics import CONTROL, Input
from streams.merge import HALT_AFTER, POSITION, read_position

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.servers.kafka import KafkaServer

ROOT: Final = Path(__file__).parents[2]
PARTITIONS: Final = 2
DAY_MS: Final = 86_400_000
GRACE_MS: Final = 120_000
START_MS: Final = 1_767_225_600_000
"""2026-01-01, a Thursday, in UTC."""
Event = dict[str, Any]


def login(account: str, day: float, **more: object) -> Event:
    at_ms = START_MS + round(day * DAY_MS)
    return {
        "type": "login",
        "event_id": f"{account}-{day}",
        "account_id": account,
        "occurred_at": at_ms,
        **more,
    }


def told_of(account: str, day: float, **facts: object) -> Event:
    return login(account, day) | {"type": "facts", "event_id": f"f-{account}-{day}", "facts": facts}


def lines(*events: Event | str) -> bytes:
    return b"".join((e if isinstance(e, str) else json.dumps(e)).encode() + b"\n" for e in events)


REGULAR: Final = [login("acme", day + 0.5) for day in range(40)]
"""Logs in every day for 40 days."""
SILENT: Final = [login("bolt", day + 0.25) for day in range(20)]
"""The same for 20 days, and then no more."""
HISTORY: Final = sorted([*REGULAR, *SILENT], key=lambda event: event["occurred_at"])


@pytest.fixture(scope="module")
def fresh(kafka: KafkaServer) -> Settings:
    """Return an application that every test leaves fresh."""
    return application(kafka)


def application(kafka: KafkaServer) -> Settings:
    own = uuid.uuid4().hex[:8]
    settings = Settings(broker=kafka.broker, topic_prefix=f"s{own}-", application_id=f"seeded-{own}")
    create_topics(settings, partitions=PARTITIONS, replication=1)
    return settings


def environment(settings: Settings) -> dict[str, str]:
    names = ("broker", "topic_prefix", "application_id")
    return {PREFIX + name.upper(): str(getattr(settings, name)) for name in names}


def seed(settings: Settings, *arguments: object) -> tuple[int, str]:
    """Return the exit code and what was said, in one line."""
    done = CliRunner().invoke(main, ["seed", *map(str, arguments)], env=environment(settings))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, " ".join(done.output.split())


def torn(text: bytes) -> bytes:
    packed = bytearray(gzip.compress(text))
    packed[20] ^= 0xFF
    return bytes(packed)


def table(path: Path, **columns: object) -> None:
    parquet.write_table(pa.table(columns), path)


BAD: Final[dict[str, tuple[str, Callable[[Path], object], str]]] = {
    "an empty file": ("a.jsonl", lambda path: path.touch(), "no event was found in"),
    "a file of blank lines": ("a.jsonl", lambda path: path.write_bytes(b"\n \n"), "no event was found in"),
    "a file of lines that are no events": (
        "a.jsonl",
        lambda path: path.write_bytes(lines("{", '{"type":"dance","account_id":"a"}')),
        "a.jsonl:1 not_json: line cannot be routed",
    ),
    "a torn gz": ("a.jsonl.gz", lambda path: path.write_bytes(torn(lines(*HISTORY))), "a.jsonl.gz: cannot be read"),
    "a gz that was cut off": (
        "a.jsonl.gz",
        lambda path: path.write_bytes(gzip.compress(lines(*HISTORY))[:-20]),
        "a.jsonl.gz: cannot be read",
    ),
    "a zst that is none": ("a.jsonl.zst", lambda path: path.write_bytes(lines(*HISTORY)), "a.jsonl.zst: cannot be read"),
    "a line of control": (
        "a.jsonl",
        lambda path: path.write_bytes(lines(*HISTORY, {"type": "control", "kind": "pause", "id": "x"})),
        "the files hold 1 lines of type control. A seed follows the topic latido-control",
    ),
    "rejects in a row": (
        "a.jsonl",
        lambda path: path.write_bytes(lines(REGULAR[0], *[login("acme", 1) | {"occurred_at": None}] * HALT_AFTER)),
        f"100 rejects in a row of logins (partition 0) halt it, the last is {{path}}:{HALT_AFTER + 1} wrong_type",
    ),
    "nothing but rejects": (
        "a.jsonl",
        lambda path: path.write_bytes(lines(login("acme", 1) | {"occurred_at": "soon"})),
        "no event was taken. The first of 1 rejects is",
    ),
    "a parquet that is none": ("a.parquet", lambda path: path.write_bytes(b"PAR1"), "cannot be read as parquet"),
    "a parquet without a type": (
        "a.parquet",
        lambda path: table(path, event_id=["1"], account_id=["a"], occurred_at=[START_MS]),
        "has no column type; it has event_id, account_id, occurred_at",
    ),
    "a parquet of instants without a zone": (
        "a.parquet",
        lambda path: table(
            path, type=["login"], event_id=["1"], account_id=["a"],
            occurred_at=pa.array([START_MS * 1000], pa.timestamp("us")),
        ),
        "column occurred_at is timestamp[us], without a zone",
    ),
    "a parquet of facts as a struct": (
        "a.parquet",
        lambda path: table(
            path, type=["facts"], event_id=["1"], account_id=["a"], occurred_at=[START_MS], facts=[{"nps": 9}]
        ),
        "in which an absent fact is null, and null deletes a fact",
    ),
}  # fmt: skip


@pytest.mark.kafka
@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_told_in_one_message_and_leaves_the_application_fresh(
    fresh: Settings, tmp_path: Path, what: str
) -> None:
    name, write, told = BAD[what]
    path = tmp_path / name
    write(path)
    code, said = seed(fresh, path)
    assert code == 2, said
    assert said.count("latido: ") == 1
    assert told.format(path=path) in said
    require_fresh(fresh, PARTITIONS)


def test_a_missing_file_is_told_with_the_usage(tmp_path: Path) -> None:
    code, said = seed(Settings(), tmp_path / "none.jsonl")
    assert code == 2
    assert "none.jsonl' does not exist" in said


def test_a_broker_that_is_away_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(*HISTORY))
    code, said = seed(Settings(broker="127.0.0.1:1"), tmp_path / "a.jsonl")
    assert code == 2
    assert "no broker answers at 127.0.0.1:1" in said


@pytest.mark.kafka
def test_a_cut_in_the_future_and_a_file_for_rejects_that_cannot_be_written_are_told(
    fresh: Settings, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(*HISTORY))
    code, said = seed(fresh, tmp_path / "a.jsonl", "--until", "2099-01-01T00:00:00Z")
    assert code == 2
    assert "--until 2099-01-01T00:00:00.000Z lies in the future" in said
    code, said = seed(fresh, tmp_path / "a.jsonl", "--rejects", tmp_path / "no" / "x")
    assert code == 2
    assert "the rejects cannot be written to" in said


@pytest.mark.kafka
def test_rejects_are_counted_and_told_with_their_lines_and_a_dry_run_writes_nothing(
    kafka: KafkaServer, tmp_path: Path
) -> None:
    settings, rejects = application(kafka), tmp_path / "rejects.jsonl"
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl.gz"
    first.write_bytes(lines(*HISTORY[:30], "{", "", login("acme", 9) | {"event_id": 5}))
    second.write_bytes(gzip.compress(lines(*HISTORY[30:], HISTORY[-1], login("", 39), login("acme", 45))))
    until = START_MS + 41 * DAY_MS
    code, said = seed(settings, first, second, "--until", until, "--dry-run", "--rejects", rejects)
    assert code == 0, said
    assert (
        "2 accounts of 61 events up to 2026-02-11T00:00:00.000Z, 1 lines after that are left to the topics."
        in said
    )
    assert "1 events repeats of events, not counted again (duplicate)." in said
    assert "3 lines were rejected: " in said
    assert f"{first}:31 not_json: line cannot be routed" in said
    assert f"{first}:33 wrong_type: Expected `str`, got `int` - at `$.event_id`" in said
    assert f"{second}:32 bad_account_id" in said
    written = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [(each["file"], each["line"], each["input"], each["reason"]) for each in written] == [
        (str(first), 31, None, "not_json"),
        (str(first), 33, "logins", "wrong_type"),
        (str(second), 32, "logins", "bad_account_id"),
    ]
    assert json.loads(written[1]["value"])["event_id"] == 5
    assert "Nothing was written" in said
    require_fresh(settings, PARTITIONS)
    assert not read_spans(
        settings.broker, "look", [Span(settings.topic_prefix + CONTROL, 0, 10)], "read_uncommitted"
    )


@pytest.mark.kafka
def test_of_erased_accounts_and_of_those_without_room_it_is_told(
    fresh: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each account alone in its partition leaves no room; who is refused was taken in the order, so nothing is left over."""
    policy, path = tmp_path / "policy.yaml", tmp_path / "a.jsonl"
    text = shipped("policies")["default"].read_text(encoding="utf-8")
    policy.write_text(
        re.sub(r"^accounts_max: \d+", "accounts_max: 1", text, flags=re.MULTILINE), encoding="utf-8"
    )
    monkeypatch.setenv(f"{PREFIX}POLICY", str(policy))
    erasure = told_of("gone", 1) | {"erase": True}
    strangers = [login(f"new{i}", 1.5) for i in range(20)]
    path.write_bytes(lines(login("gone", 0), erasure, login("gone", 1.2), *strangers))
    code, said = seed(fresh, path, "--dry-run")
    assert code == 0, said
    assert "2 accounts of 23 events up to 2026-01-02T12:00:00.000Z. Latest" in said
    assert "1 events of erased accounts, from before that, left out (erased)." in said
    assert "18 lines were rejected: too_many_accounts 18" in said


def test_every_remarkable_event_has_words() -> None:
    assert set(NOTES) == set(EventNote)


@pytest.mark.kafka
def test_bands_waiting_alerts_and_the_way_to_go_live_are_told_and_once_is_enough(
    kafka: KafkaServer, tmp_path: Path
) -> None:
    settings, path = application(kafka), tmp_path / "a.jsonl"
    path.write_bytes(lines(*HISTORY))
    code, said = seed(settings, path)
    assert code == 0, said
    assert "2 accounts of 60 events up to 2026-02-09T12:00:00.000Z." in said
    assert "logins 2026-02-09T12:00:00.000Z, tickets none" in said
    assert "retention healthy 1 retention leaving 1" in said
    assert "silence 1 0" in said
    assert "alerts (one may have several reasons) 1 0" in said
    assert "Alerts wait until `latido alerts go-live` (or its --at T): of the 1 held back" in said
    code, said = seed(settings, path)
    assert code == 2
    assert (
        f"the application {settings.application_id!r} is not fresh: it was seeded, and no worker has read"
        in said
    )
    assert (
        f"kafka-topics.sh --bootstrap-server {settings.broker} --delete --topic {settings.topic_prefix}"
        in said
    )


@pytest.mark.kafka
def test_the_clock_ends_a_grace_before_the_cut(fresh: Settings, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines(*HISTORY))
    replayed(path, tmp_path / "out")
    alert = json.loads((tmp_path / "out" / "disengagements.jsonl").read_text().splitlines()[0])
    fires_ms = round(datetime.fromisoformat(alert["effective_at"]).timestamp() * 1000)
    assert fires_ms % DAY_MS == 0
    for until_ms, waiting in ((fires_ms + GRACE_MS - 1, 0), (fires_ms + GRACE_MS, 1)):
        code, said = seed(fresh, path, "--until", until_ms, "--dry-run")
        assert code == 0, said
        assert f"alerts (one may have several reasons) {waiting} 0" in said


@pytest.mark.kafka
def test_the_clock_that_is_kept_is_that_of_the_end_also_if_nothing_was_due_since_the_last_event(
    kafka: KafkaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, path = application(kafka), tmp_path / "a.jsonl"
    path.write_bytes(lines(login("acme", 0.1), login("acme", 0.2)))
    monkeypatch.setenv("LATIDO_POLICY", str(ROOT / "docs" / "examples" / "silence.yaml"))
    cut_ms = START_MS + DAY_MS // 5 + 5 * 60_000
    code, said = seed(settings, path, "--until", cut_ms)
    assert code == 0, said
    spans = [Span(settings.changelog, number, 10_000) for number in range(PARTITIONS)]
    seen = read_spans(settings.broker, "look", spans, "read_committed")
    clocks = [int.from_bytes(each.value or b"", "little", signed=True) for each in seen if each.key == CLOCK]
    assert clocks == [cut_ms - GRACE_MS] * PARTITIONS


@pytest.mark.kafka
def test_a_go_live_that_was_said_is_followed(
    kafka: KafkaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, path = application(kafka), tmp_path / "a.jsonl"
    path.write_bytes(lines(*HISTORY))
    go_live = ["alerts", "go-live", "--at", str(START_MS + 10 * DAY_MS)]
    assert CliRunner().invoke(main, go_live, env=environment(settings)).exit_code == 0
    code, said = seed(settings, path, "--dry-run")
    assert code == 0, said
    assert "alerts (one may have several reasons) 0 1" in said
    assert "The application goes live at 2026-01-11T00:00:00.000Z, as the topic latido-control says" in said
    monkeypatch.setattr("streams.brake.Brake.is_held", lambda *_: True)
    code, said = seed(settings, path, "--dry-run")
    assert code == 0, said
    assert "alerts (one may have several reasons) 1 0" in said


@pytest.mark.kafka
def test_a_merge_that_counts_before_the_cut_is_refused_and_one_after_it_is_followed_by_workers(
    kafka: KafkaServer, tmp_path: Path
) -> None:
    settings, path = application(kafka), tmp_path / "a.jsonl"
    path.write_bytes(lines(*REGULAR))
    write_control(settings, merging("acme", "other", START_MS + 100 * DAY_MS, None))
    code, said = seed(settings, path, "--dry-run")
    assert code == 0, said
    write_control(settings, merging("acme", "other", START_MS + 2 * DAY_MS, None))
    code, said = seed(settings, path)
    assert code == 2
    assert (
        "the topic latido-control merges accounts before the cut (acme into other), and a seed follows no merge"
        in said
    )
    assert "Nothing was seeded." in said
    require_fresh(settings, PARTITIONS)


@pytest.mark.kafka
@pytest.mark.parametrize(("where", "begins"), [("at-cut", 2), ("earliest", 0)])
def test_workers_begin_at_the_cut_or_at_the_first_record_there_is(
    kafka: KafkaServer, tmp_path: Path, where: str, begins: int
) -> None:
    """Two records of partition 0 are of the time of the history, a third comes after it."""
    settings, path = application(kafka), tmp_path / "a.jsonl"
    path.write_bytes(lines(*HISTORY))
    cut_ms = HISTORY[-1]["occurred_at"]
    producer = Producer({"bootstrap.servers": settings.broker})
    for stamp in (START_MS, cut_ms - 10 * DAY_MS, cut_ms + DAY_MS):
        producer.produce(settings.topic_prefix + "logins", b"{}", partition=0, timestamp=stamp)
    assert producer.flush(20) == 0
    code, said = seed(settings, "--positions", where, path)
    assert code == 0, said
    spans = [Span(settings.changelog, number, 10_000) for number in range(PARTITIONS)]
    seen = read_spans(settings.broker, "look", spans, "read_committed")
    told = [
        read_position(each.key, each.value)
        for each in seen
        if each.partition == 0 and each.key and each.value and each.key.startswith(POSITION)
    ]
    assert {topic: progress.offset + 1 for topic, progress in told}[Input.LOGINS] == begins


@pytest.mark.kafka
def test_an_application_that_runs_or_has_run_is_refused(kafka: KafkaServer, tmp_path: Path) -> None:
    settings, path = application(kafka), tmp_path / "a.jsonl"
    path.write_bytes(lines(*HISTORY))
    logins = settings.topic_prefix + "logins"
    member = Consumer({"bootstrap.servers": settings.broker, "group.id": settings.application_id})
    member.subscribe([logins])
    while not member.assignment():
        member.poll(0.2)
    code, said = seed(settings, path)
    assert code == 2
    assert f"1 worker(s) of the application {settings.application_id!r} run" in said
    assert "Stop them" in said
    member.commit(offsets=[TopicPartition(logins, 0, 1)], asynchronous=False)
    member.close()
    code, said = seed(settings, path)
    assert code == 2
    assert "is not fresh: its workers have read the inputs: the group has offsets" in said


@pytest.mark.kafka
def test_inputs_of_unequal_partition_counts_are_refused(kafka: KafkaServer, tmp_path: Path) -> None:
    settings, path = application(kafka), tmp_path / "a.jsonl"
    path.write_bytes(lines(*HISTORY))
    admin, payments = kafka.admin(), settings.topic_prefix + "payments"
    admin.create_partitions([NewPartitions(payments, 3)])[payments].result(10)
    while partition_counts(settings)[payments] < 3:
        time.sleep(0.1)
    code, said = seed(settings, path)
    assert code == 2
    assert "partition counts differ" in said
    assert f"{payments} 3" in said


# -- parquet ----------------------------------------------------------------------------------------------------------

MIXED: Final = [
    told_of("acme", 0, kind="customer", nps=9),
    *HISTORY,
    login("acme", 41)
    | {"type": "payment", "payment_id": "p", "status": "failed", "amount_minor": 5, "currency": "EUR"},
    login("acme", 42)
    | {"type": "ticket", "ticket_id": "t", "action": "opened", "tags": ["x", "y"], "csat": None},
    told_of("acme", 43, nps=None),
]


def replayed(path: Path, folder: Path) -> list[bytes]:
    done = CliRunner().invoke(main, ["replay", str(path), "--out", str(folder)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return [file.read_bytes() for file in sorted(folder.iterdir())]


def columns(events: Sequence[Event]) -> dict[str, Any]:
    names = dict.fromkeys(name for event in events for name in event)
    return {name: [event.get(name) for event in events] for name in names}


@pytest.mark.parametrize("facts_as", ["JSON text", "a map"])
@pytest.mark.parametrize("unit", ["ms", "ns", "integers"])
def test_a_parquet_file_is_read_as_the_lines_it_stands_for(tmp_path: Path, facts_as: str, unit: str) -> None:
    events = MIXED if facts_as == "JSON text" else [event for event in MIXED if event["type"] != "facts"]
    if facts_as == "a map":
        events = [
            told_of("acme", 0, kind="customer", segment="small"),
            *events,
            told_of("acme", 43, segment=None),
        ]
    (tmp_path / "a.jsonl").write_bytes(lines(*events))
    told = columns(events)
    facts = told["facts"]
    if facts_as == "JSON text":
        told["facts"] = [None if fact is None else json.dumps(fact) for fact in facts]
    else:
        pairs = [None if fact is None else list(fact.items()) for fact in facts]
        told["facts"] = pa.array(pairs, pa.map_(pa.string(), pa.string()))
    if unit != "integers":
        instants = [datetime.fromtimestamp(at / 1000, UTC) for at in told["occurred_at"]]
        told["occurred_at"] = pa.array(instants, pa.timestamp(unit, "Europe/Madrid"))
    table(tmp_path / "a.parquet", **told)
    whole = replayed(tmp_path / "a.jsonl", tmp_path / "lines")
    assert b"nps" in b"".join(whole) or facts_as == "a map"
    assert replayed(tmp_path / "a.parquet", tmp_path / "rows") == whole


def test_parquet_without_its_library_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    done = CliRunner().invoke(main, ["replay", str(tmp_path / "a.parquet"), "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "Install latido[parquet], or give .jsonl." in " ".join(done.output.split())
