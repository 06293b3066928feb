"""The judge of a run: what a ``read_committed`` reader saw against what one undisturbed partition makes of the same logs.

family     claimed
history    every output and dead letter: full payload, order per account, none missing, none twice
live       the same: each account has its events in order, so its outputs do not depend on when they came
disorder   none twice, none torn out of its chain, order per account, every event and reject counted once,
no silence told of an account whose activity came within the grace and
               that did not move on itself
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from aiokafka.structs import TopicPartition

from agents.partition import Partition
from agents.simulation.clocktext import instant_text
from schemas.topics import INPUT_TOPICS, Input, Output
from streams.clock import ENDLESS_MS
from tests.auditor.core import chunk_of
from tests.auditor.event import Recorded
from tests.auditor.reference import audit
from tests.faults.scenario import Family, Scenario
from tests.faults.world import CHANGELOG, Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from schemas.records import OutputRecord

IDS: Final = {
    Output.SCORE_CHANGES: "change_id",
    Output.SHADOW_SCORES: "change_id",
    Output.DISENGAGEMENTS: "alert_id",
    Output.OPPORTUNITIES: "alert_id",
}
Key = tuple[str, str]
Told = dict[Key, list[bytes]]
"""By (topic, account), dead letters by (topic, place of origin): what was told, in its order."""
STEP_ROWS: Final = 5_000


def judge(result: Result) -> list[str]:
    """Return what is wrong with a run."""
    scenario = result.scenario
    records = recorded(result)
    reference = [undisturbed(scenario, records, number) for number in range(scenario.world.partitions)]
    recovered = [_recovered(result, number) for number in range(scenario.world.partitions)]
    found = _positions(reference, recovered) + _memories(reference, recovered)
    expected = _told(scenario, (record for machine in reference for record in machine[1]))
    seen = _seen(result)
    if scenario.family is Family.DISORDER:
        letters = {key for key in {*seen, *expected} if key[0] == Output.DEAD_LETTERS}
        found += [
            f"dead letters of {key} differ" for key in sorted(letters) if seen.get(key) != expected.get(key)
        ]
        return found + _chains(seen) + _false_silences(scenario, seen)
    return found + differences(seen, expected)


def audited(result: Result) -> list[str]:
    """Return where the outputs differ from those of the independent auditor, without the sentences for people."""
    scenario = result.scenario
    found = audit(recorded(result), **scenario.world._asdict())
    expected: dict[Key, list[Any]] = defaultdict(list)
    for topic, payloads in (
        (Output.SCORE_CHANGES, found.score_changes),
        (Output.SHADOW_SCORES, found.shadow_scores),
        (Output.DISENGAGEMENTS, found.disengagements),
        (Output.OPPORTUNITIES, found.opportunities),
    ):
        for payload in payloads:
            expected[topic, payload["account_id"]].append(payload)
    seen = {
        key: [
            {name: told for name, told in json.loads(value).items() if name != "summary"} for value in values
        ]
        for key, values in _seen(result).items()
        if key[0] != Output.DEAD_LETTERS
    }
    return [
        f"{key}: the auditor says otherwise"
        for key in sorted({*seen, *expected})
        if seen.get(key, []) != expected.get(key, [])
    ]


# -- what should have been told -------------------------------------------------------------------------------------------


def recorded(result: Result) -> list[Recorded]:
    """Return the inputs as the workers read them."""
    committed = result.scenario.isolation_level == "read_committed"
    return [
        Recorded(topic, number, record.offset, record.key, record.value, record.timestamp)
        for topic, spec in INPUT_TOPICS.items()
        for number in range(result.scenario.world.partitions)
        for record in result.broker.logs[TopicPartition(spec.name, number)]
        .read(0, 1 << 30, committed=committed)
        .records
    ]


Folded = tuple[Partition, list["OutputRecord"]]


def undisturbed(scenario: Scenario, records: list[Recorded], number: int) -> Folded:
    """Fold the records of a partition in one go, as a replay does, up to the end of what is judged."""
    machine = Partition(scenario.program, partition=number, partitions=scenario.world.partitions)
    for topic in Input:
        lane = [record for record in records if record.partition == number and record.input is topic]
        if lane:
            machine.offer(topic, chunk_of(lane))
        machine.end_reached(topic, ENDLESS_MS)
    while machine.step(STEP_ROWS) or machine.due_now():
        pass
    if machine.halted is None:
        machine.merge.clock_ms = max(machine.merge.clock_ms, scenario.until_ms)
        machine.sweep_all()
    return machine, machine.drain().outputs


def _recovered(result: Result, number: int) -> Partition:
    scenario = result.scenario
    machine = Partition(scenario.program, partition=number, partitions=scenario.world.partitions)
    log = result.broker.logs[TopicPartition(CHANGELOG, number)].read(0, 1 << 30, committed=True)
    rows = [record for record in log.records if not (record.key or b"").startswith(b"\0own:")]
    machine.load([row.key or b"" for row in rows], [row.value for row in rows])
    machine.loaded()
    return machine


def _positions(reference: list[Folded], recovered: list[Partition]) -> list[str]:
    return [
        f"{topic.name}[{found.partition}] is folded in up to {found.position(topic)}, must be {due.position(topic)}"
        for (due, _), found in zip(reference, recovered, strict=True)
        for topic in Input
        if due.position(topic) != found.position(topic) and due.halted is None
    ]


def _memories(reference: list[Folded], recovered: list[Partition]) -> list[str]:
    """Which events were counted: an id that is not remembered was lost, one too many was made up."""
    return [
        f"partition {found.partition} remembers other ids"
        for (due, _), found in zip(reference, recovered, strict=True)
        if _ids(due) != _ids(found) and due.halted is None
    ]


def _ids(machine: Partition) -> set[int]:
    return {
        int(value)
        for generation in machine._memory._generations
        for value in generation.log[: generation.used[0]]
    }


# -- what was told --------------------------------------------------------------------------------------------------------


def _seen(result: Result) -> Told:
    told: Told = defaultdict(list)
    until = instant_text(result.scenario.until_ms)
    for topic in (*IDS, Output.DEAD_LETTERS):
        for number in range(result.scenario.world.partitions):
            log = result.broker.logs[TopicPartition(topic, number)].read(0, 1 << 30, committed=True)
            for record in log.records:
                _add(told, topic, record.value or b"", dict(record.headers), until)
    return told


def _told(scenario: Scenario, outputs: Iterable[OutputRecord]) -> Told:
    told: Told = defaultdict(list)
    until = instant_text(scenario.until_ms)
    for output in outputs:
        if output.topic is not Output.ACCOUNTS:
            _add(told, output.topic, output.value, dict(output.headers), until)
    return told


def _add(told: Told, topic: Output, value: bytes, headers: Mapping[str, bytes], until: str) -> None:
    if topic is Output.DEAD_LETTERS:
        place = b" ".join(headers[f"latido_{name}"] for name in ("topic", "partition")).decode()
        told[topic, place].append(headers["latido_offset"] + b" " + headers["latido_reason"] + b" " + value)
        return
    payload = json.loads(value)
    if payload["effective_at"] <= until:
        told[topic, payload["account_id"]].append(value)


def differences(seen: Told, expected: Told) -> list[str]:
    """Name the first message of each account that differs."""
    found = []
    for key in sorted({*seen, *expected}):
        mine, due = seen.get(key, []), expected.get(key, [])
        if mine != due:
            at = next(
                (i for i, (a, b) in enumerate(zip(mine, due, strict=False)) if a != b),
                min(len(mine), len(due)),
            )
            found.append(
                f"{key} {len(mine)}/{len(due)} at {at}: {mine[at : at + 1]} must be {due[at : at + 1]}"
            )
    return found


# -- what holds whatever the order ----------------------------------------------------------------------------------------


def _chains(seen: Told) -> list[str]:
    """Each message continues where the one before it of its model or episode ended, and comes once."""
    found = []
    for (topic, account), values in seen.items():
        if topic == Output.DEAD_LETTERS:
            continue
        payloads = [json.loads(value) for value in values]
        ids = Counter(payload[IDS[Output(topic)]] for payload in payloads)
        found += [
            f"{topic} of {account}: {name} came {times} times" for name, times in ids.items() if times > 1
        ]
        instants = [payload["effective_at"] for payload in payloads]
        found += [f"{topic} of {account} goes back in time"] * (instants != sorted(instants))
        found += _broken(f"{topic} of {account}", payloads)
    return found


def _broken(what: str, payloads: list[dict[str, Any]]) -> list[str]:
    found, last = [], dict[str, Any]()
    for payload in payloads:
        if "change_id" in payload:
            model = payload["model"]
            if model in last and payload["old"] != last[model]:
                found.append(f"{what}: {payload['change_id']} begins at {payload['old']}, was {last[model]}")
            last[model] = payload["new"]
        else:
            episode, status = payload["episode_id"], payload["status"]
            if (status == "firing") is (episode in last) or last.get(episode) == "resolved":
                found.append(f"{what}: {payload['alert_id']} is {status} after {last.get(episode)}")
            last[episode] = status
    return found


def _false_silences(scenario: Scenario, seen: Told) -> list[str]:
    """An account is told to be silent though activity of it, newer than its silence, had come within the grace."""
    found = []
    grace_ms = 1000 * scenario.world.policy["grace_s"]
    for (topic, account), values in seen.items():
        for payload in (json.loads(value) for value in values if topic == Output.DISENGAGEMENTS):
            at_ms = _instant_ms(payload["effective_at"])
            if any(name == account and time_ms >= at_ms for name, time_ms, _ in scenario.active):
                continue  # it moved on itself, perhaps ahead of its other inputs: then nothing is waited for
            for reason in payload["reasons"]:
                since_ms = _instant_ms(reason["since"])
                if reason["rule"] not in {"silence", "absolute_silence"} or since_ms != at_ms:
                    continue
                begun_ms = at_ms - 1000 * reason["evidence"]["silent_for_s"]
                found += [
                    f"{account} is told silent at {payload['effective_at']} in spite of {time_ms}"
                    for name, time_ms, arrived_ms in scenario.active
                    if name == account
                    and begun_ms + 1000 < time_ms < at_ms
                    and arrived_ms < time_ms + grace_ms
                    and payload["status"] != "resolved"
                ]
    return found


def _instant_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
