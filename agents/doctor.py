"""`latido doctor`: what is wrong with a set-up, and what to do about it; it writes nothing to any topic.

Not checked: whether the group may be joined, what other versions or policies other workers run, and what lies between
the first and the latest records of a partition.
"""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaException, Producer, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient

from agents.doctor_records import input_findings, state_findings
from agents.findings import Finding, Verdict
from agents.program import load_program
from agents.topics import TIMEOUT_S, check_topics, partition_counts
from schemas.errors import LatidoError
from schemas.topics import CONTROL, INPUT_TOPICS, OUTPUT_TOPICS, changelog_topic

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from agents.settings import Settings
    from streams.plan import Program

UNHEARD: Final = logging.getLogger("librdkafka")
"""Takes what a client would write to the terminal beside the finding."""
UNHEARD.addHandler(logging.NullHandler())
UNHEARD.propagate = False


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield the findings, one by one as they are made."""
    yield _told("data folder", settings.require_datadir, lambda _: f"{settings.datadir} can be written to")
    yield from _redis(settings)
    program, finding = _program(settings)
    yield finding
    try:
        counts = partition_counts(settings)
    except LatidoError as error:
        yield Finding("broker", Verdict.PROBLEM, str(error))
        yield Finding("topics, permissions, records, state", Verdict.UNKNOWN, "not looked at")
        return
    yield Finding("broker", Verdict.OK, f"{settings.broker} answers")
    yield _told("topics", lambda: check_topics(settings), lambda count: f"all fit, {count} partitions")
    yield _permissions(settings, counts)
    yield _transactions(settings)
    yield from input_findings(settings, counts)
    yield from state_findings(settings, counts, program)


def _told(check: str, action: Callable[[], Any], said: Callable[[Any], str]) -> Finding:
    """Return the finding of an action that raises an operating error, whose message says what to do."""
    try:
        return Finding(check, Verdict.OK, said(action()))
    except LatidoError as error:
        return Finding(check, Verdict.PROBLEM, str(error))


def _program(settings: Settings) -> tuple[Program | None, Finding]:
    try:
        program = load_program(settings.policy, settings.models_dir)
    except LatidoError as error:
        return None, Finding("policy", Verdict.PROBLEM, str(error))
    names = ", ".join(model.model for model in program.models)
    found = f"{program.policy.policy} version {program.policy.version} with {names}"
    return program, Finding("policy", Verdict.OK, found)


def _redis(settings: Settings) -> Iterator[Finding]:
    if settings.redis_url is not None:
        found = "LATIDO_REDIS_URL is set, and this version has no read model that would use it"
        yield Finding("redis", Verdict.UNKNOWN, found)


# -- permissions --------------------------------------------------------------------------------------------------


def _permissions(settings: Settings, present: Container[str]) -> Finding:
    changelog = changelog_topic(settings.application_id).name
    wanted = {name: {AclOperation.READ} for name in (spec.name for spec in INPUT_TOPICS.values())}
    wanted |= {spec.name: {AclOperation.WRITE} for spec in OUTPUT_TOPICS.values()}
    wanted |= {name: {AclOperation.READ, AclOperation.WRITE} for name in (changelog, CONTROL)}
    prefix = settings.topic_prefix
    names = {prefix + name: those for name, those in wanted.items() if prefix + name in present}
    if not names:
        return Finding("permissions", Verdict.UNKNOWN, "there are no topics to ask about")
    client = AdminClient({"bootstrap.servers": settings.broker, "log_level": 0})
    answers = client.describe_topics(
        TopicCollection(list(names)), include_authorized_operations=True, request_timeout=TIMEOUT_S
    )
    lacking, unknown = [], []
    for name, operations in names.items():
        try:
            allowed = set(answers[name].result(2 * TIMEOUT_S).authorized_operations or ())
        except KafkaException as error:
            unknown.append(f"{name} ({error.args[0].str()})")
            continue
        lacking += [f"{one.name} {name}" for one in sorted(operations - allowed, key=lambda one: one.name)]
    if lacking:
        return Finding(
            "permissions", Verdict.PROBLEM, f"not allowed: {', '.join(lacking)}", "Allow it to this client"
        )
    if unknown:
        return Finding("permissions", Verdict.UNKNOWN, f"not told of {', '.join(unknown)}")
    return Finding(
        "permissions", Verdict.OK, "inputs may be read, outputs, control and account table written"
    )


def _transactions(settings: Settings) -> Finding:
    """Begin and abort a transaction without a record, under an id of the shape that workers use."""
    identity = f"{settings.application_id}-doctor-{uuid.uuid4().hex[:12]}"
    options = {"bootstrap.servers": settings.broker, "transactional.id": identity}
    producer = Producer(options, logger=UNHEARD)
    try:
        producer.init_transactions(2 * TIMEOUT_S)
        producer.begin_transaction()
        producer.abort_transaction(TIMEOUT_S)
    except KafkaException as error:
        return Finding(
            "transactions",
            Verdict.PROBLEM,
            f"transactional id {identity!r} is refused ({error.args[0].str()})",
            f"Allow this client to write with transactional ids that begin with {settings.application_id}-, and see "
            "that the broker has its topic of transactions",
        )
    return Finding("transactions", Verdict.OK, "one was begun and aborted, without a record")
