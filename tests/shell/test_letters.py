"""Dead letters as an operator meets them, on a real broker: listed, shown, tried again."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from agents.cli import main
from agents.dead_letter import dead_letter
from agents.latest import Span, bounds_of
from agents.letter_text import ADVICE, lateness, visible, whole_text
from agents.letters import ALL, Lookup, letter_at, name_parts
from agents.partition import Partition
from agents.program import load_program
from agents.rejudge import Judge, Judged
from agents.retry import Record, Sender, Verdict
from agents.settings import Settings
from agents.topics import create_topics
from schemas.errors import BrokerError
from schemas.policy import Policy
from schemas.reasons import RejectReason
from schemas.records import Chunk
from schemas.topics import INPUT_TOPICS, Input, Output, changelog_topic
from streams.decode import Decoder, Place
from streams.events import Reject
from streams.merge import HALT_AFTER
from streams.murmur import partition_of
from streams.plan import compile_program
from tests.shell.test_commands import NOBODY

if TYPE_CHECKING:
    from tests.servers.kafka import KafkaServer

PARTITIONS = 2
DAY_MS = 86_400_000
NOW_MS = time.time_ns() // 1_000_000
LOGINS, VISITS = INPUT_TOPICS[Input.LOGINS].name, INPUT_TOPICS[Input.PAGE_VISITS].name
HOME = partition_of(b"acme", PARTITIONS)
ASTRAY = 1 - HOME
EVIL = "\x1b]0;owned\x07\u202e\x9b2J"
"""Sets a terminal's title, turns the direction of writing, clears the screen."""


class Application:
    """Topics of its own, with records and letters as a worker would write them."""

    def __init__(self, broker: str) -> None:
        own = uuid.uuid4().hex[:8]
        self.settings = Settings(broker=broker, topic_prefix=f"t{own}-", application_id=f"app{own}")
        create_topics(self.settings, partitions=PARTITIONS, replication=1)
        self.program = load_program("default")
        self._producer = Producer({"bootstrap.servers": broker, "message.max.bytes": 17 << 20})

    def latido(self, *arguments: str, code: int = 0) -> str:
        names = ("broker", "topic_prefix", "application_id")
        environment = {f"LATIDO_{name.upper()}": getattr(self.settings, name) for name in names}
        done = CliRunner().invoke(main, ["dead-letters", *arguments], env=environment)
        assert done.exit_code == code, done.output
        return done.output

    def put(
        self,
        name: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        stamp_ms: int,
        headers: Any = (),
    ) -> int:
        """Write a record; return its offset."""
        places: list[int] = []
        self._producer.produce(
            self.settings.topic_prefix + name, value, key, partition, timestamp=stamp_ms, headers=list(headers),
            on_delivery=lambda error, message: places.append(-1 if error else message.offset() or 0),
        )  # fmt: skip
        assert self._producer.flush(20) == 0
        assert places[0] >= 0
        return places[0]

    def reject(
        self, topic: Input, partition: int, key: bytes | None, value: bytes | None, stamp_ms: int = NOW_MS,
        headers: Any = (), rejected_at_ms: int = NOW_MS,
    ) -> str:  # fmt: skip
        """Write a record and, as the decoder refuses it, its letter; return the letter's name."""
        offset = self.put(INPUT_TOPICS[topic].name, partition, key, value, stamp_ms, headers)
        machine = Partition(self.program, partition=partition, partitions=PARTITIONS)
        decoder = Decoder(self.program, machine.accounts, Place(partition, PARTITIONS, keyed=True))
        chunk = Chunk([key], [value], np.array([offset]), np.array([stamp_ms]))
        (reject,) = decoder.decode(topic, chunk).rejects
        return self.letter(topic, partition, reject, rejected_at_ms)

    def letter(self, topic: Input, partition: int, reject: Reject, rejected_at_ms: int = NOW_MS) -> str:
        record = dead_letter(partition, topic, reject)
        at = self.put(record.topic, partition, record.key, record.value, rejected_at_ms, record.headers)
        return f"{partition}@{at}"

    def commit(self, machine: Partition) -> None:
        """Write a partition's state to the changelog."""
        name = changelog_topic(self.settings.application_id).name
        for key, value in machine.drain().changelog:
            self.put(name, machine.partition, key, value, NOW_MS)

    def read(self, name: str, isolation: str = "read_committed") -> list[Message]:
        """Return all records of a topic, by partition."""
        topic = self.settings.topic_prefix + name
        consumer = Consumer(
            {
                "bootstrap.servers": self.settings.broker, "group.id": "look", "isolation.level": isolation,
                "auto.offset.reset": "earliest", "enable.partition.eof": True,
            }
        )  # fmt: skip
        places = [TopicPartition(topic, number, 0) for number in range(PARTITIONS)]
        # Not what the consumer would be told: that is where an open transaction begins.
        whole = bounds_of(self.settings.broker, [Span(topic, number, ALL) for number in range(PARTITIONS)])
        ends = {number: end for (_, number), (_, end) in whole.items()}
        consumer.assign(places)
        found: list[Message] = []
        while ends:
            message = consumer.poll(10)
            assert message is not None, f"an open transaction before the ends {ends}"
            if message.error() is None:
                found.append(message)
            elif (message.offset() or 0) >= ends.get(message.partition() or 0, 0):
                ends.pop(message.partition() or 0, None)
        consumer.close()
        return sorted(found, key=lambda each: (each.partition(), each.offset()))


@pytest.fixture
def application(kafka: KafkaServer) -> Application:
    return Application(kafka.broker)


def visit(number: int, *, at_ms: int = NOW_MS, account: str = "acme", path: str = "/app") -> bytes:
    event = {"event_id": f"v{number}", "account_id": account, "occurred_at": at_ms, "path": path}
    return json.dumps(event).encode()


def active(*, days: int, until_ms: int = NOW_MS) -> Partition:
    """Return the home of acme, which logged in on each of so many days up to now."""
    machine = Partition(load_program("default"), partition=HOME, partitions=PARTITIONS)
    for number in range(days):
        at_ms = until_ms - (days - 1 - number) * DAY_MS
        body = {"event_id": f"l{number}", "account_id": "acme", "occurred_at": at_ms}
        take(machine, Input.LOGINS, json.dumps(body).encode(), number, at_ms)
    return machine


def take(machine: Partition, topic: Input, value: bytes, offset: int, at_ms: int) -> None:
    machine.offer(topic, Chunk([b"acme"], [value], np.array([offset]), np.array([at_ms])))
    for each in Input:
        machine.end_reached(each, at_ms)
    while machine.step(100) or machine.queued or machine.due_now():
        pass


# --- what others wrote ---------------------------------------------------------------------------------------------


def test_no_control_character_gets_to_the_terminal() -> None:
    shown = visible(EVIL + "ok\n\t\ud800")
    assert shown.isprintable()
    assert shown == r"\x1b]0;owned\x07\u202e\x9b2Jok\n\t\ud800"


def test_bytes_that_are_no_text_are_shown_as_a_dump_and_cut() -> None:
    lines = whole_text(b"\xff\x1b[2J" + bytes(600))
    assert lines[0].startswith("00000000  ff 1b 5b 32 4a 00")
    assert lines[0].endswith("|..[2J...........|")
    assert len(lines) == 33
    assert lines[-1] == "... 93 more bytes"
    assert whole_text(b"a" * 4_001)[1] == "... 1 more characters"


@pytest.mark.parametrize(
    ("late_ms", "said"),
    [
        (-5, "less than a minute late"), (59_999, "less than a minute late"), (60_000, "1 min late"), (3_600_000, "1 h late"),
        (3_660_000, "1 h 1 min late"), (DAY_MS + 60_000, "1 d late"), (3 * DAY_MS + 7_200_000, "3 d 2 h late"),
    ],
)  # fmt: skip
def test_lateness_is_told_in_its_two_largest_units(late_ms: int, said: str) -> None:
    assert lateness(late_ms) == said


def test_every_reason_has_a_usual_cause_and_what_to_do() -> None:
    assert ADVICE.keys() == set(RejectReason)


# --- list and show -------------------------------------------------------------------------------------------------


@pytest.mark.kafka
def test_letters_are_counted_filtered_and_the_newest_shown_without_obeying_them(
    application: Application,
) -> None:
    said = application.latido("list")
    assert said == "no dead letters\n"
    for number in range(3):
        application.reject(Input.PAGE_VISITS, ASTRAY, b"acme", visit(number), rejected_at_ms=NOW_MS + number)
    evil = application.reject(Input.LOGINS, HOME, EVIL.encode(), EVIL.encode(), rejected_at_ms=NOW_MS + 10)
    application.put(Output.DEAD_LETTERS, 0, None, b"not ours", NOW_MS)

    lines = application.latido("list", "--newest", "2").splitlines()
    assert [line.split()[:3] for line in lines[:3]] == [
        ["reason", "input", "letters"],
        ["wrong_partition", VISITS, "3"],
        ["not_json", LOGINS, "1"],
    ]
    assert lines[4] == "the newest 2 of 4:"
    assert lines[6].startswith(f"{evil} ")
    assert r"\x1b]0;owned\x07\u202e\x9b2J" in lines[6]
    assert len(lines) == 8
    assert all(line.isprintable() for line in lines)

    def names(*filters: str) -> int:
        return len(application.latido("list", "--json", *filters).splitlines())

    assert names() == 4
    assert names("--reason", "not_json") == names("--input", LOGINS) == names("--account", EVIL) == 1
    assert names("--account", "acme") == names("--reason", "wrong_partition", "--account", "acme") == 3
    assert names("--since", str(NOW_MS + 2)) == 2
    told = json.loads(application.latido("list", "--json", "--newest", "1"))
    assert told["letter"] == evil
    assert told["value_start"] == EVIL
    assert told["retried"] is False


@pytest.mark.kafka
def test_a_letter_is_shown_with_its_record_its_reason_and_what_to_do(application: Application) -> None:
    stamp_ms = NOW_MS - 5 * 60_000
    name = application.reject(Input.PAGE_VISITS, ASTRAY, b"acme", visit(1), stamp_ms)
    said = application.latido("show", name)
    assert f"letter {name}: wrong_partition, rejected at " in said
    assert f"by murmur2 it belongs to partition {HOME} of 2" in said
    assert f"{VISITS} partition {ASTRAY} offset 0, of 2" in said
    assert "librdkafka: murmur2_random" in said
    assert visit(1).decode() in said
    assert "retried        no" in said

    cut = Reject(7, RejectReason.VALUE_TOO_LARGE, None, b"\xff" * (16 << 20), "it is \x1b[1mlong")
    said = application.latido("show", application.letter(Input.LOGINS, 0, cut))
    assert "16777216 bytes, of which 15728640 are here:" in said
    assert "gone from there since (retention)" in said
    assert r"it is \x1b[1mlong" in said
    assert "ff ff ff" in said


@pytest.mark.kafka
def test_a_name_that_is_no_letter_is_told_with_those_there_are(application: Application) -> None:
    for number in range(3):
        application.reject(Input.PAGE_VISITS, ASTRAY, b"acme", visit(number))
    application.put(Output.DEAD_LETTERS, ASTRAY, None, b"not ours", NOW_MS)
    assert "'three' names no letter: a name is PARTITION@OFFSET" in application.latido(
        "show", "three", code=2
    )
    assert "the partitions of" in application.latido("show", "9@0", code=2)
    assert "holds none" in application.latido("show", f"{HOME}@0", code=2)
    for beyond in (3, 4):
        said = application.latido("show", f"{ASTRAY}@{beyond}", code=2)
        assert f"that partition has {ASTRAY}@0 to {ASTRAY}@3" in said
    topic = application.settings.topic_prefix + Output.DEAD_LETTERS
    admin = application_admin(application)
    for answer in admin.delete_records([TopicPartition(topic, ASTRAY, 2)]).values():
        answer.result(10)
    said = application.latido("show", f"{ASTRAY}@1", code=2)
    assert (
        f"letter {ASTRAY}@1 is gone: retention has deleted it, the oldest place of that partition is {ASTRAY}@2"
        in said
    )
    assert "letter" in application.latido("show", f"{ASTRAY}@2")


def application_admin(application: Application) -> Any:
    from confluent_kafka.admin import AdminClient

    return AdminClient({"bootstrap.servers": application.settings.broker})


@pytest.mark.kafka
@pytest.mark.parametrize(
    "command", [["list"], ["show", "0@0"], ["retry", "0@0"]], ids=lambda command: command[0]
)
def test_without_broker_or_topic_one_message_says_so(kafka: KafkaServer, command: list[str]) -> None:
    nobody = CliRunner().invoke(main, ["dead-letters", *command], env={"LATIDO_BROKER": NOBODY})
    assert (nobody.exit_code, nobody.output.count("latido: ")) == (2, 1)
    assert f"no broker answers at {NOBODY}" in nobody.output
    where = {"LATIDO_BROKER": kafka.broker, "LATIDO_TOPIC_PREFIX": "nowhere-"}
    nothing = CliRunner().invoke(main, ["dead-letters", *command], env=where)
    assert (nothing.exit_code, nothing.output.count("latido: ")) == (2, 1)
    assert "nowhere-dead-letters" in nothing.output
    assert "latido topics create" in nothing.output


@pytest.mark.parametrize("arguments", [[], ["0@0", "--reason", "not_json"]], ids=["nothing", "both"])
def test_a_retry_is_told_which_letters(arguments: list[str]) -> None:
    done = CliRunner().invoke(main, ["dead-letters", "retry", *arguments])
    assert done.exit_code == 2
    assert "name letters (PARTITION@OFFSET), or choose them by --reason" in done.output


# --- retry ---------------------------------------------------------------------------------------------------------


def sent(application: Application, name: str) -> list[Message]:
    """Return the records of an input that a retry wrote."""
    return [each for each in application.read(name) if "latido_retried_from" in dict(each.headers() or ())]


@pytest.mark.kafka
def test_a_retry_first_says_then_sends_each_once_as_it_was_where_it_belongs(application: Application) -> None:
    stamps = [NOW_MS - 5 * DAY_MS, NOW_MS - 4 * DAY_MS]
    names = [
        application.reject(
            Input.PAGE_VISITS,
            ASTRAY,
            b"acme",
            visit(number, at_ms=stamp),
            stamp,
            [("trace", b"t%d" % number)],
        )
        for number, stamp in enumerate(stamps)
    ]
    bad = application.reject(Input.PAGE_VISITS, ASTRAY, b"acme", b"{")

    before = [len(application.read(name)) for name in (VISITS, Output.DEAD_LETTERS)]
    dry = application.latido("retry", "--account", "acme")
    assert f"{names[0]} wrong_partition: accepted, to {VISITS} partition {HOME}, account acme, 5 d" in dry
    assert f"{bad} not_json: not sent, the same reason again: " in dry
    assert "2 would be sent; `--send` sends, 1 not (1 not_json)." in dry
    assert "What was told is not rewritten" in dry
    assert [len(application.read(name)) for name in (VISITS, Output.DEAD_LETTERS)] == before

    said = application.latido("retry", "--account", "acme", "--send")
    assert "2 sent, 1 not (1 not_json)." in said
    records = sent(application, VISITS)
    assert [record.partition() for record in records] == [HOME, HOME]
    assert [(record.key(), record.value()) for record in records] == [
        (b"acme", visit(number, at_ms=stamp)) for number, stamp in enumerate(stamps)
    ]
    assert [record.timestamp()[1] for record in records] == stamps
    assert [record.headers() for record in records] == [
        [("trace", b"t%d" % number), ("latido_retried_from", name.encode())]
        for number, name in enumerate(names)
    ]

    again = application.latido("retry", "--account", "acme", "--send")
    assert "0 sent, 1 not" in again
    assert f"retried already: {names[0]}. Nothing was sent" in application.latido(
        "retry", names[0], "--send", code=2
    )
    assert len(sent(application, VISITS)) == 2
    assert [json.loads(line)["letter"] for line in application.latido("list", "--json").splitlines()] == [bad]
    assert len(application.latido("list", "--json", "--retried").splitlines()) == 3
    assert "retried        yes" in application.latido("show", names[1])


@pytest.mark.kafka
def test_what_becomes_of_an_event_is_told_from_the_committed_state(application: Application) -> None:
    machine = active(days=30)
    taken = visit(99, at_ms=NOW_MS - 1000)
    take(machine, Input.PAGE_VISITS, taken, 0, NOW_MS)
    application.commit(machine)

    def verdict(value: bytes, stamp_ms: int) -> str:
        name = application.reject(Input.PAGE_VISITS, ASTRAY, b"acme", value, stamp_ms)
        return application.latido("retry", name)

    assert "it counts in full" in verdict(visit(1), NOW_MS)
    late = verdict(visit(2, at_ms=NOW_MS - 3 * DAY_MS - 60_000), NOW_MS - 3 * DAY_MS)
    assert "3 d" in late
    assert (
        "older than the account's last activity: it is counted, the rhythm (of silence) leaves it out" in late
    )
    assert "older than a window that is kept" in verdict(visit(3, at_ms=NOW_MS - 300 * DAY_MS), NOW_MS)
    assert "not sent, its event was taken already" in verdict(taken, NOW_MS)
    ahead = verdict(visit(4, at_ms=NOW_MS + 1000), NOW_MS - 2 * DAY_MS)
    assert "it was of the future when its record came" in ahead
    assert "2 d" in ahead


@pytest.mark.kafka
def test_of_an_erased_account_nothing_is_sent_again(application: Application) -> None:
    """It would be left out, and be personal data in the topic once more."""
    machine = active(days=3)
    body = {"event_id": "erase", "account_id": "acme", "occurred_at": NOW_MS, "facts": {}, "erase": True}
    take(machine, Input.ACCOUNT_FACTS, json.dumps(body).encode(), 0, NOW_MS)
    application.commit(machine)
    name = application.reject(Input.PAGE_VISITS, ASTRAY, b"acme", visit(1, at_ms=NOW_MS - DAY_MS))
    said = application.latido("retry", name, "--send")
    assert "not sent, its account was erased, and what happened before that is left out" in said
    assert "0 sent, 1 not (1 erased)." in said
    assert sent(application, VISITS) == []


@pytest.mark.kafka
def test_for_whose_account_there_is_no_room_is_refused_again(application: Application) -> None:
    machine = active(days=1)
    application.commit(machine)
    base = application.program
    tree = base.policy.model_dump(mode="json") | {"accounts_max": 1}
    program = compile_program(Policy.model_validate(tree), base.models, base.zones)
    new = next(f"new{i}" for i in range(99) if partition_of(b"new%d" % i, PARTITIONS) == HOME)
    judge = Judge(application.settings, program, PARTITIONS, {new.encode()})
    judged = judge.judge(Input.PAGE_VISITS, new.encode(), visit(1, account=new), NOW_MS, HOME)
    assert judged.reason is RejectReason.TOO_MANY_ACCOUNTS
    assert "1 accounts" in judged.detail
    again = Judge(application.settings, base, PARTITIONS, {new.encode()})
    assert again.judge(Input.PAGE_VISITS, new.encode(), visit(1, account=new), NOW_MS, HOME).reason is None


@pytest.mark.kafka
def test_a_record_that_is_gone_is_sent_with_the_time_of_its_letter(application: Application) -> None:
    gone = Reject(40, RejectReason.WRONG_PARTITION, b"acme", visit(1), "astray")
    name = application.letter(Input.PAGE_VISITS, ASTRAY, gone, NOW_MS - DAY_MS)
    assert "its record is gone: sent with the letter's time, without headers" in application.latido(
        "retry", name, "--send"
    )
    (record,) = sent(application, VISITS)
    assert record.timestamp()[1] == NOW_MS - DAY_MS
    assert record.headers() == [("latido_retried_from", name.encode())]


@pytest.mark.kafka
def test_a_letter_that_was_cut_cannot_be_retried(application: Application) -> None:
    whole = visit(1) + b" " * (16 << 20)
    name = application.letter(
        Input.PAGE_VISITS, HOME, Reject(0, RejectReason.VALUE_TOO_LARGE, b"acme", whole, "long")
    )
    said = application.latido("retry", name, "--send")
    assert f"not sent, it is cut: its record had a key of 4 and a value of {len(whole)} bytes" in said
    assert sent(application, VISITS) == []


@pytest.mark.kafka
def test_records_with_no_or_another_key_are_sent_by_their_body_if_so_asked(application: Application) -> None:
    names = [
        application.reject(Input.PAGE_VISITS, ASTRAY, key, visit(number))
        for number, key in enumerate((None, b'"acme"'))
    ]
    said = application.latido("retry", *names, "--send")
    assert said.count("the same reason again") == 2
    said = application.latido("retry", *names, "--rekey", "--send")
    assert "2 sent" in said
    assert [(record.key(), record.partition()) for record in sent(application, VISITS)] == [
        (b"acme", HOME)
    ] * 2


@pytest.mark.kafka
def test_what_is_sent_to_a_halted_input_waits_and_that_is_told(application: Application) -> None:
    machine = active(days=1)
    count = HALT_AFTER
    bad = Chunk([b"acme"] * count, [b"{"] * count, np.arange(count), np.full(count, NOW_MS))
    machine.offer(Input.PAGE_VISITS, bad)
    application.commit(machine)
    said = application.latido(
        "retry", application.reject(Input.PAGE_VISITS, ASTRAY, b"acme", visit(1, at_ms=NOW_MS - DAY_MS))
    )
    assert "older than the account's last activity" in said
    assert f"{VISITS} of partition {HOME}, by the reject at offset {count - 1} is halted" in said


@pytest.mark.kafka
def test_a_retry_that_broke_off_is_simply_repeated_and_can_do_no_more(application: Application) -> None:
    name = application.reject(Input.PAGE_VISITS, ASTRAY, b"acme", visit(1))
    prefix = application.settings.topic_prefix
    broken = Producer(
        {
            "bootstrap.servers": application.settings.broker,
            "transactional.id": f"{application.settings.application_id}-dead-letters-retry", "log_level": 0,
        }
    )  # fmt: skip
    broken.init_transactions(10)
    broken.begin_transaction()
    mark: Any = [("latido_retried_from", name.encode())]
    broken.produce(prefix + VISITS, visit(1), b"acme", HOME, headers=mark)
    broken.produce(prefix + Output.DEAD_LETTERS, None, b"acme", ASTRAY, headers=mark)
    assert broken.flush(10) == 0

    assert "1 sent" in application.latido("retry", name, "--send")
    with pytest.raises(Exception, match=r"(?i)fenced|epoch"):
        broken.commit_transaction(10)
    assert len(sent(application, VISITS)) == 1
    assert sum(each.value() is None for each in application.read(Output.DEAD_LETTERS)) == 1


@pytest.mark.kafka
def test_of_two_retries_at_once_the_later_one_sends_and_the_earlier_one_says_so(
    application: Application,
) -> None:
    name = application.reject(Input.PAGE_VISITS, ASTRAY, b"acme", visit(1))
    settings = application.settings
    with Lookup(settings, "read_committed") as dead:
        letter, _ = letter_at(settings, dead, *(name_parts(name) or (0, 0)))
    record = Record(
        settings.topic_prefix + VISITS, HOME, b"acme", visit(1), NOW_MS, headers=[], original=True
    )

    def both() -> None:
        with Sender(settings) as earlier:
            earlier.send(Verdict(letter, Judged(HOME), record))
            assert "1 sent" in application.latido("retry", name, "--send")

    with pytest.raises(BrokerError, match=r"^0 letters were sent .*another retry has begun meanwhile"):
        both()
    assert len(sent(application, VISITS)) == 1


@pytest.mark.kafka
def test_only_the_oldest_so_many_are_tried_and_the_rest_by_the_next_run(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.retry.TRANSACTION_LETTERS", 2)
    for number in range(5):
        application.reject(Input.PAGE_VISITS, ASTRAY, b"acme", visit(number), rejected_at_ms=NOW_MS + number)
    said = application.latido("retry", "--input", VISITS, "--at-most", "3", "--send")
    assert "3 sent" in said
    assert [record.value() for record in sent(application, VISITS)] == [visit(0), visit(1), visit(2)]
    assert "2 sent" in application.latido("retry", "--input", VISITS, "--send")
    assert [record.value() for record in sent(application, VISITS)] == list(map(visit, range(5)))
