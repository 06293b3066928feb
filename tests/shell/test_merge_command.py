"""`latido accounts merge`: what it shows, what it asks, what it writes, and what it refuses; on a real Kafka."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, Final

import pytest
from click.testing import CliRunner
from confluent_kafka import Producer

from agents.account_commands import merging
from agents.changelog import HOLDS, holder_key
from agents.cli import main
from agents.latest import Span, read_spans
from agents.program import load_program
from agents.settings import PREFIX, Settings
from agents.topics import create_topics
from schemas.control import control_key
from schemas.topics import CONTROL
from streams.control import ControlLine, read_control
from tests.core.conftest import DAY_MS, START_MS
from tests.core.test_ends import Owner, erasure, event, facts
from tests.shell.test_commands import NOBODY, one_message

if TYPE_CHECKING:
    from streams.plan import Program
    from tests.servers.kafka import KafkaServer
    from tests.shell.conftest import Latido

AT: Final = "2026-04-20T06:00:00Z"


class Application:
    """One whose account table holds `old`, `acme` with an open alert, and that `gone` was erased."""

    def __init__(self, kafka: KafkaServer, program: Program) -> None:
        self.named: dict[str, Any] = {
            "broker": kafka.broker,
            "topic_prefix": f"t{uuid.uuid4().hex[:8]}-",
            "application_id": "app",
        }
        create_topics(Settings(**self.named), partitions=1, replication=1)
        machine = Owner(program, partition=0, partitions=1)
        events = [
            facts("old", 0, nps=40),
            event("old", 1),
            facts("acme", 2, nps=30),
            erasure("gone", 3),
        ]
        batch = machine.take(*events, until_day=49)
        producer = Producer({"bootstrap.servers": kafka.broker, "transactional.id": uuid.uuid4().hex})
        producer.init_transactions(20)
        producer.begin_transaction()
        for key, value in [(holder_key("w1"), HOLDS), *batch.changelog, (holder_key("w1"), None)]:
            producer.produce(f"{self.named['topic_prefix']}app-accounts-changelog", value, key, 0)
        producer.commit_transaction(20)

    def run(self, *arguments: str, answer: str | None = None) -> tuple[int, str]:
        environment = {PREFIX + name.upper(): value for name, value in self.named.items()}
        done = CliRunner().invoke(main, ["accounts", "merge", *arguments], input=answer, env=environment)
        return done.exit_code, done.output

    @property
    def written(self) -> list[tuple[bytes | None, dict[str, Any]]]:
        topic = self.named["topic_prefix"] + CONTROL
        seen = read_spans(self.named["broker"], "look", [Span(topic, 0, 100)], "read_committed")
        return [(each.key, json.loads(each.value or b"null")) for each in seen]


@pytest.fixture(scope="module")
def application(kafka: KafkaServer) -> Application:
    return Application(kafka, load_program("default"))


@pytest.mark.kafka
def test_it_shows_both_and_writes_nothing_unless_it_is_told_yes(application: Application) -> None:
    before = application.written
    code, told = application.run("old", "acme", "--at", AT, answer="n\n")
    assert code == 1
    assert application.written == before
    old, acme = (
        next(line for line in told.splitlines() if line.startswith(name)) for name in ("old ", "acme ")
    )
    assert old.split()[:5] == ["old", "0", "of", "1", "2026-03-01"]
    assert "2026-03-02T00:00:00.000Z" in old
    assert "customer" in old
    assert old.endswith("none")
    assert acme.split()[5:8] == ["never", "customer", "retention"]
    assert acme.endswith("warning never_started since 2026-03-17T00:00:00.000Z")
    assert f"old ends at {AT[:-1]}.000Z" in told
    assert "At 2026-04-20T06:08:00.000Z acme takes in" in told
    assert "Merge them?" in told


@pytest.mark.kafka
def test_said_twice_it_is_one_record_that_workers_can_follow(application: Application) -> None:
    said = [application.run("old", "acme", "--at", AT, "--author", "kim", "--yes") for _ in range(2)]
    assert [code for code, _ in said] == [0, 0]
    assert said[0] == said[1]
    (first, told), (second, again) = application.written[-2:]
    assert (first, told) == (second, again)
    record = read_control(ControlLine(0, first, json.dumps(told).encode()))
    assert record == merging("old", "acme", told["effective_at"], "kim")
    assert control_key(record).decode() in said[0][1], "how it is called off"


@pytest.mark.kafka
def test_a_name_that_is_not_there_is_said_to_begin(application: Application) -> None:
    code, told = application.run("old", "new", "--at", AT, answer="n\n")
    assert code == 1
    assert "There is no new. At 2026-04-20T06:08:00.000Z it begins with all that is kept of old" in told


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("old", "new", "at", "told"),
    [
        ("stranger", "acme", AT, "account 'stranger' is not in the account table"),
        ("gone", "acme", AT, "account 'gone' is not in the account table"),
        (
            "old",
            "gone",
            "2026-04-01T00:00:00Z",
            "'gone' was erased, and what comes of it up to 2026-04-03T00:00:00.000Z is left out",
        ),
    ],
    ids=["unknown", "erased", "into one that was erased"],
)
def test_what_would_come_to_nothing_is_refused(
    application: Application, old: str, new: str, at: str, told: str
) -> None:
    before = application.written
    code, output = application.run(old, new, "--at", at, "--yes")
    assert code == 2
    assert told in output
    assert application.written == before


@pytest.mark.kafka
def test_when_an_erased_name_may_be_used_again_it_may_be_merged_into(application: Application) -> None:
    code, told = application.run("old", "gone", "--at", str(START_MS + 33 * DAY_MS), answer="n\n")
    assert (code, "There is no gone." in told) == (1, True)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("acme", "acme"), ("OLD and NEW are both 'acme'", "Name two accounts")),
        (("", "acme"), ("OLD is ''", "1 to 256 bytes")),
        (("acme", "a\nb"), ("NEW is 'a\\nb'", "no control character")),
        (("acme", "x" * 257), ("NEW is", "letter by letter")),
    ],
    ids=["itself", "empty", "a control character", "too long"],
)
def test_bad_names_are_refused_before_anything_is_asked(
    latido: Latido, names: tuple[str, str], told: tuple[str, ...]
) -> None:
    one_message(latido("accounts", "merge", *names, broker=NOBODY), *told)


def test_without_a_broker_it_says_so(latido: Latido) -> None:
    one_message(
        latido("accounts", "merge", "old", "acme", "--yes", broker=NOBODY), f"no broker answers at {NOBODY}"
    )
