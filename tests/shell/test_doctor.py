"""What `latido doctor` finds, and what it advises: on a real Kafka, with records of real producers."""

from __future__ import annotations

import json
import random
import time
import uuid
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewPartitions,
    ResourcePatternType,
    ResourceType,
)

from agents.cli import main
from agents.doctor_records import _clock
from agents.findings import Verdict
from agents.latest import Seen
from agents.program import load_program
from agents.settings import PREFIX, Settings
from agents.topics import create_topics, partition_counts
from agents.write_record import write_record
from schemas.errors import BrokerError
from tests.core.conftest import Machine, company
from tests.servers.kafka import KafkaServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PARTITIONS = 4
ACCOUNTS = [f"account-{number}" for number in range(40)]
DENYING = """\
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
"""
NOBODY = "127.0.0.1:1"


class Clinic:
    """One application on a broker, and what the doctor says of it."""

    def __init__(self, kafka: KafkaServer, folder: Path, partitions: int = PARTITIONS) -> None:
        self.settings = Settings(
            broker=kafka.broker,
            topic_prefix=f"d{uuid.uuid4().hex[:8]}-",
            application_id="app",
            datadir=folder,
        )
        create_topics(self.settings, partitions=partitions, replication=1)

    def topic(self, name: str) -> str:
        return self.settings.topic_prefix + name

    def log_in(
        self, accounts: list[str], partitioner: str = "murmur2_random", *, timestamp_ms: int = 0
    ) -> None:
        """Produce a log-in of each account by a librdkafka producer with this partitioner."""
        producer = Producer({"bootstrap.servers": self.settings.broker, "partitioner": partitioner})
        for account in accounts:
            body = json.dumps({"event_id": "1", "account_id": account, "occurred_at": 0})
            producer.produce(self.topic("logins"), body, account, timestamp=timestamp_ms)
        assert producer.flush(20) == 0

    def enlarge(self, name: str, partitions: int) -> None:
        """Give a topic more partitions, and wait until the broker tells of them."""
        admin, topic = AdminClient({"bootstrap.servers": self.settings.broker}), self.topic(name)
        admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(20)
        deadline = time.monotonic() + 20
        while partition_counts(self.settings)[topic] < partitions:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def ends(self) -> dict[str, int]:
        """Return the end of each partition of each topic."""
        admin = AdminClient({"bootstrap.servers": self.settings.broker})
        names = [name for name in admin.list_topics(timeout=10).topics if name.startswith(self.topic(""))]
        consumer = Consumer({"bootstrap.servers": self.settings.broker, "group.id": "ends"})
        counts = {name: len(admin.list_topics(name, timeout=10).topics[name].partitions) for name in names}
        found = {
            f"{name} {number}": consumer.get_watermark_offsets(TopicPartition(name, number), timeout=10)[1]
            for name, count in counts.items()
            for number in range(count)
        }
        consumer.close()
        return found

    def write_state(self, policy: str, partition: int) -> None:
        """Write what a worker of one partition writes of a company's state."""
        machine = Machine(load_program(policy), company(seed=1, accounts=4, days=1))
        machine.run(random.Random(1))
        producer = Producer({"bootstrap.servers": self.settings.broker})
        for key, value in machine.changelog:
            producer.produce(self.topic("app-accounts-changelog"), value, key, partition)
        assert producer.flush(20) == 0

    def examine(self, **settings: object) -> tuple[int, dict[str, str]]:
        """Run the command; return its exit code and its lines by check."""
        return examine(**(self.settings.model_dump(exclude_none=True) | settings))


def examine(**settings: object) -> tuple[int, dict[str, str]]:
    environment = {PREFIX + name.upper(): str(value) for name, value in settings.items()}
    done = CliRunner().invoke(main, ["doctor"], env=environment)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    lines = {}
    for line in done.output.splitlines():
        verdict, rest = line[:16].strip(), line[16:]
        assert verdict in set(Verdict)
        check, _, _ = rest.partition(": ")
        assert check not in lines
        lines[check] = f"{verdict}: {rest}"
    return done.exit_code, lines


@pytest.fixture
def clinic(kafka: KafkaServer, tmp_path: Path) -> Clinic:
    return Clinic(kafka, tmp_path)


def test_without_a_broker_the_rest_is_still_looked_at(tmp_path: Path) -> None:
    code, lines = examine(broker=NOBODY, datadir=tmp_path)
    assert code == 1
    assert lines["broker"].startswith(f"problem: broker: no broker answers at {NOBODY}")
    assert "set LATIDO_BROKER" in lines["broker"]
    assert lines["data folder"].startswith("ok: ")
    assert lines["policy"].startswith("ok: policy: default version 1 with retention, ")
    assert lines["topics, permissions, records, state"].startswith("could not tell: ")
    assert "redis" not in lines


def test_folder_policy_and_read_model_are_lines_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "mine.yaml").write_text("policy: mine\nversion: 1\nmodels: [health]\nactivity: [dancing]\n")
    where = {
        "datadir": tmp_path / "file",
        "policy": tmp_path / "mine.yaml",
        "redis_url": "redis://user:hunter2@host",
    }
    code, lines = examine(broker=NOBODY, **where)
    assert code == 1
    assert lines["data folder"].startswith("problem: ")
    assert "Set LATIDO_DATADIR" in lines["data folder"]
    assert "line 4: activity.0: unknown activity 'dancing'" in lines["policy"]
    assert lines["redis"].startswith(
        "could not tell: redis: LATIDO_REDIS_URL is set, and this version has no"
    )
    assert "hunter2" not in "".join(lines.values())


@pytest.mark.parametrize(
    ("age_ms", "verdict", "said"),
    [
        (3_000, Verdict.OK, "within 60 s"),
        (-4_000, Verdict.OK, "within 60 s"),
        (-6_000, Verdict.PROBLEM, "6 s ahead of this machine"),
        (61_000, Verdict.UNKNOWN, "not behind, but may be ahead: the newest record is 61 s old"),
    ],
)
def test_a_clock_is_judged_by_the_newest_record(age_ms: int, verdict: Verdict, said: str) -> None:
    now_ms = 1_800_000_000_000
    records = [Seen("logins", 0, at, b"a", b"", now_ms - age_ms - at) for at in range(3)]
    found = _clock(records, now_ms)
    assert found.verdict is verdict
    assert said in found.found


def test_records_without_a_timestamp_tell_nothing_of_the_clock() -> None:
    assert _clock([Seen("logins", 0, 0, b"a", b"", -1)], 0).verdict is Verdict.UNKNOWN


@pytest.mark.kafka
def test_a_fresh_application_has_no_problem(clinic: Clinic) -> None:
    code, lines = clinic.examine()
    assert code == 0, "\n".join(lines.values())
    assert lines["topics"] == "ok: topics: all fit, 4 partitions"
    assert lines["permissions"].startswith("ok: ")
    assert lines["transactions"].startswith("ok: ")
    assert lines["partitioner, keys and clock"].startswith("could not tell: ")
    assert lines["state"] == "ok: state: there is none yet"
    assert set(clinic.ends().values()) == {0}, "the doctor writes nothing to any topic"


@pytest.mark.kafka
def test_a_missing_topic_is_one_line_with_the_command(kafka: KafkaServer, tmp_path: Path) -> None:
    code, lines = examine(broker=kafka.broker, datadir=tmp_path, topic_prefix="nothing-")
    assert code == 1
    assert "missing topics: nothing-account-facts" in lines["topics"]
    assert "latido topics create --partitions N" in lines["topics"]
    assert lines["permissions"].startswith("could not tell: ")


@pytest.mark.kafka
def test_unequal_partition_counts_are_one_line(clinic: Clinic) -> None:
    clinic.enlarge("logins", 5)
    code, lines = clinic.examine()
    assert code == 1
    assert (
        f"partition counts differ: {clinic.topic('account-facts')} 4, {clinic.topic('logins')} 5"
        in lines["topics"]
    )


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("partitioner", "said"),
    [
        ("murmur2_random", "ok: partitioner: murmur2 of the key, in the latest records of {topic} 40"),
        ("consistent_random", "likely librdkafka's default, consistent_random (CRC32 of the key)"),
        ("fnv1a_random", "likely fnv1a (librdkafka's fnv1a_random, Sarama's default)"),
        ("random", "likely no known hash of the key: round robin, random, or a partition set by hand"),
    ],
)
def test_the_partitioner_of_a_producer_is_named(clinic: Clinic, partitioner: str, said: str) -> None:
    clinic.log_in(ACCOUNTS, partitioner)
    code, lines = clinic.examine()
    assert said.format(topic=clinic.topic("logins")) in lines["partitioner"]
    assert code == (0 if partitioner == "murmur2_random" else 1)
    assert ("partitioner=murmur2_random" in lines["partitioner"]) is (code == 1)
    assert lines["keys"].startswith("ok: ")
    assert lines["clock"].startswith("ok: ")


@pytest.mark.kafka
def test_records_from_before_a_topic_was_enlarged_are_explained(kafka: KafkaServer, tmp_path: Path) -> None:
    clinic = Clinic(kafka, tmp_path, partitions=3)
    clinic.log_in(ACCOUNTS)
    clinic.enlarge("logins", 8)
    _, lines = clinic.examine()
    assert "likely murmur2 of the key while there were 3 partitions" in lines["partitioner"]
    assert "LATIDO_TOPIC_PREFIX" in lines["partitioner"]


@pytest.mark.kafka
def test_keys_that_are_not_the_account_id_are_told(clinic: Clinic) -> None:
    producer = Producer({"bootstrap.servers": clinic.settings.broker, "partitioner": "murmur2_random"})
    body = b'{"account_id": "acme"}'
    for key, value in (
        ("acme", body),
        ("Acme", body),
        (None, body),
        (None, body),
        ("acme", b"{"),
        ("acme", None),
    ):
        producer.produce(clinic.topic("tickets"), value, key)
    assert producer.flush(20) == 0
    code, lines = clinic.examine()
    assert code == 1
    assert "of 6 records" in lines["keys"]
    assert "1 have another key than their account_id (such as offset " in lines["keys"]
    assert "2 have no key" in lines["keys"]
    assert "2 have a body without a readable account_id" in lines["keys"]


@pytest.mark.kafka
def test_a_record_of_the_future_is_told(clinic: Clinic) -> None:
    clinic.log_in(["acme"], timestamp_ms=time.time_ns() // 1_000_000 + 600_000)
    code, lines = clinic.examine()
    assert code == 1
    assert "s ahead of this machine" in lines["clock"]
    assert "by NTP" in lines["clock"]


@pytest.mark.kafka
def test_state_that_fits_is_seen_to_fit(kafka: KafkaServer, tmp_path: Path) -> None:
    clinic = Clinic(kafka, tmp_path, partitions=1)
    clinic.write_state("default", 0)
    code, lines = clinic.examine()
    assert code == 0, "\n".join(lines.values())
    assert lines["state, partition count"] == "ok: state, partition count: written for 1"
    assert lines["state, layout"].startswith("ok: ")


@pytest.mark.kafka
def test_state_of_another_partition_count_is_told(clinic: Clinic) -> None:
    clinic.write_state("default", 2)
    code, lines = clinic.examine()
    assert code == 1
    assert "written for 1 partitions, there are 4 now" in lines["state, partition count"]
    assert "LATIDO_APPLICATION_ID" in lines["state, partition count"]


@pytest.mark.kafka
def test_state_of_another_layout_is_told_and_no_problem(kafka: KafkaServer, tmp_path: Path) -> None:
    clinic = Clinic(kafka, tmp_path, partitions=1)
    clinic.write_state("default", 0)
    (tmp_path / "less.yaml").write_text("policy: less\nversion: 1\nmodels: [retention]\nactivity: [login]\n")
    code, lines = clinic.examine(policy=tmp_path / "less.yaml")
    assert code == 0
    assert (
        "the latest rows of 1 of 1 partitions have another than the policy's 'less'" in lines["state, layout"]
    )
    assert lines["state, partition count"].startswith("ok: ")


@pytest.fixture(scope="module")
def denying(kafka: KafkaServer) -> Iterator[KafkaServer]:  # noqa: ARG001 - skips where there is none
    """Return a broker that refuses what its rules forbid; the shared one refuses nothing."""
    with KafkaServer(DENYING) as server:
        yield server


def forbid(server: KafkaServer, kind: ResourceType, name: str, operation: AclOperation) -> None:
    """Allow everything on a resource to everybody, but one operation."""
    rules = [
        AclBinding(kind, name, ResourcePatternType.PREFIXED, "User:*", "*", what, permission)
        for what, permission in (
            (AclOperation.ALL, AclPermissionType.ALLOW),
            (operation, AclPermissionType.DENY),
        )
    ]
    admin = server.admin()  # its answers end with it
    for answer in admin.create_acls(rules).values():
        answer.result(20)
    asked = AclBindingFilter(
        kind, name, ResourcePatternType.PREFIXED, "User:*", "*", AclOperation.ANY, AclPermissionType.ANY
    )
    deadline = time.monotonic() + 20
    while len(admin.describe_acls(asked).result(20)) < len(rules):  # not all of the broker knows them at once
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.kafka
def test_what_is_not_allowed_is_told(denying: KafkaServer, tmp_path: Path) -> None:
    clinic = Clinic(denying, tmp_path)
    forbid(denying, ResourceType.TOPIC, clinic.topic("score-changes"), AclOperation.WRITE)
    forbid(denying, ResourceType.TOPIC, clinic.topic("payments"), AclOperation.READ)
    forbid(denying, ResourceType.TOPIC, clinic.topic("latido-control"), AclOperation.WRITE)
    forbid(denying, ResourceType.TRANSACTIONAL_ID, "app-", AclOperation.WRITE)
    code, lines = clinic.examine()
    assert code == 1
    assert (
        f"READ {clinic.topic('payments')}, WRITE {clinic.topic('score-changes')}, WRITE {clinic.topic('latido-control')}. Allow"
        in lines["permissions"]
    )
    assert lines["transactions"].startswith("problem: ")
    assert "transactional ids that begin with app-" in lines["transactions"]


@pytest.mark.kafka
def test_a_command_that_may_not_write_says_what_was_not_done(denying: KafkaServer, tmp_path: Path) -> None:
    clinic = Clinic(denying, tmp_path)
    topic = clinic.topic("account-facts")
    forbid(denying, ResourceType.TOPIC, topic, AclOperation.WRITE)
    with pytest.raises(BrokerError, match=r"^nothing was erased: ") as refused:
        write_record(clinic.settings, "account-facts", b"acme", b"{}", undone="nothing was erased")
    assert (
        f"did not take the record (Broker: Topic authorization failed). Allow this client to write to {topic}"
        in str(refused.value)
    )
