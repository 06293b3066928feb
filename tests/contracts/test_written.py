"""What a partition really writes validates against the schemas, and reads back as the structs.

A simulated company of 150 days under a policy whose cap on silence is short, so that every rule speaks, and whose brake is
tight, with a few
records among its log-ins that cannot be judged.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from agents.program import load_program, shipped
from schemas.outputs import CLOUD_EVENT_TYPES, OUTPUT_TYPES
from schemas.policy import Rules
from schemas.reasons import OPPORTUNITIES, CauseKind, RejectReason, Rule, Status
from schemas.topics import Input, Output
from tests.auditor.core import run_core
from tests.auditor.scenarios import NPS, facts, only, records
from tests.auditor.worlds import World
from tests.contracts.validators import OUTPUT_SCHEMAS, header_mistakes, mistakes
from tests.core.conftest import Machine, company

if TYPE_CHECKING:
    from schemas.records import OutputRecord

BAD: Final = {
    b"{": RejectReason.NOT_JSON,
    b"[]": RejectReason.WRONG_TYPE,
    b'{"event_id": "x", "account_id": "", "occurred_at": 0}': RejectReason.BAD_ACCOUNT_ID,
}


SHORT: Final = {
    "days: 90, refractory": "days: 21, refractory",
    "factor: 4.0, firings_min: 20": "factor: 1.0, firings_min: 1",
    "shadow: []": "shadow: [adoption]",
}
"""What of the policy is another: a silence is soon too long, alerts soon wait, and a model is in shadow."""
WHEN_JOINED: Final = {Rule.SILENCE.label, Rule.ABSOLUTE_SILENCE.label}
"""Rules whose evidence does not change while they are open."""


class WholeMachine(Machine):
    """Keeps account views too."""

    def commit(self) -> None:
        self.outputs += self.partition.drain().outputs


Written = dict[Output, list["OutputRecord"]]
pytestmark = pytest.mark.compiled


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    policy = tmp_path_factory.mktemp("policy") / "short.yaml"
    text = shipped("policies")["default"].read_text(encoding="utf-8")
    for shipped_numbers, others in SHORT.items():
        assert shipped_numbers in text
        text = text.replace(shipped_numbers, others)
    policy.write_text(text)
    events = company(seed=8, accounts=40, days=150)
    events[Input.LOGINS][20:20] = BAD
    machine = WholeMachine(load_program(str(policy)), events)
    machine.run(random.Random(1), rows_max=500)
    found: Written = defaultdict(list)
    for record in machine.outputs:
        found[record.topic].append(record)
    return found


def bodies(records: list[OutputRecord]) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in records]


@pytest.mark.parametrize("topic", OUTPUT_SCHEMAS)
def test_every_body_validates_and_reads_back_as_its_struct(written: Written, topic: Output) -> None:
    assert written[topic]
    for record in written[topic]:
        body = json.loads(record.value)
        assert mistakes(OUTPUT_SCHEMAS[topic], body) == []
        again = json.loads(msgspec.json.encode(msgspec.json.decode(record.value, type=OUTPUT_TYPES[topic])))
        assert json.dumps(again) == json.dumps(body), "the same fields in the same order"


def test_an_open_silence_in_a_view_has_the_evidence_of_its_alert(written: Written) -> None:
    alerted = {
        (body["account_id"], reason["rule"], reason["since"]): reason
        for body in bodies(written[Output.DISENGAGEMENTS])
        for reason in body["reasons"]
    }
    shown = [
        (body["account_id"], reason)
        for body in bodies(written[Output.ACCOUNTS])
        for episode in body["episodes"]
        for reason in episode["reasons"]
        if reason["rule"] in WHEN_JOINED
    ]
    assert {reason["rule"] for _, reason in shown} == WHEN_JOINED
    for account, reason in shown:
        assert reason == alerted.get((account, reason["rule"], reason["since"]), reason)
    known = [(account, reason["rule"], reason["since"]) in alerted for account, reason in shown]
    assert sum(known) > len(known) / 2, "some joined an open episode without a message"


@pytest.mark.parametrize("topic", Output)
def test_every_header_is_as_described(written: Written, topic: Output) -> None:
    assert written[topic]
    for record in written[topic]:
        headers = dict(record.headers)
        assert header_mistakes(topic, headers) == []
        if topic in CLOUD_EVENT_TYPES:
            assert headers["ce_type"].decode() == CLOUD_EVENT_TYPES[topic]


def test_every_rule_every_status_and_the_usual_causes_were_among_it(written: Written) -> None:
    alerts = bodies(written[Output.DISENGAGEMENTS])
    assert {alert["status"] for alert in alerts} == set(Status)
    good_news = {rule.label for rule in OPPORTUNITIES}
    rules = {
        topic: {reason["rule"] for alert in bodies(written[topic]) for reason in alert["reasons"]}
        for topic in (Output.DISENGAGEMENTS, Output.OPPORTUNITIES)
    }
    assert rules == {
        Output.DISENGAGEMENTS: set(Rules.model_fields) - good_news,
        Output.OPPORTUNITIES: good_news,
    }
    causes = {change["cause"]["kind"] for change in bodies(written[Output.SCORE_CHANGES])}
    assert {CauseKind.EVENT, CauseKind.TIME} <= causes


def test_a_dead_letter_is_the_untouched_record_with_its_reason(written: Written) -> None:
    letters = written[Output.DEAD_LETTERS]
    assert {letter.value: dict(letter.headers)["latido_reason"].decode() for letter in letters} == BAD


def test_what_an_override_adds_may_move_by_more_than_the_scale() -> None:
    told = [
        facts("2026-01-05 10:00", None, nps=80, **{"override.test": 0}),
        facts("2026-01-06 10:00", None, nps=0, **{"override.test": 100}),
    ]
    world = World(only(), {"test": NPS}, partitions=1, keyed=False)
    change = run_core(records(told), **world._asdict()).score_changes[-1] | {"summary": "left out there"}
    assert change["contributions"][-1] == {
        "component": "override",
        "old": -80.0,
        "new": 100.0,
        "delta": 180.0,
    }
    assert mistakes("score-change", change) == []
    msgspec.convert(change, OUTPUT_TYPES[Output.SCORE_CHANGES], strict=False)
