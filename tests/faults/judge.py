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
from typing import TYPE_CHECKING, Any, Final

from aiokafka.structs import TopicPartition

from agents.partition import Partition
from agents.simulation.clocktext import instant_text
from schemas.control import JoinAccount, control_key, is_of_join
from schemas.events import OCCURRED_AT_END_MS
from schemas.topics import CONTROL, INPUT_TOPICS, Input, Output
from streams.control import ControlLine, read_control
from streams.murmur import partition_of
from streams.views import view_records
from tests.auditor.event import Recorded
from tests.auditor.exact import millis
from tests.auditor.reference import audit
from tests.faults.scenario import Family
from tests.faults.undisturbed import Folded, misplaced, undisturbed
from tests.faults.world import APPLICATION, CHANGELOG, Result

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from agents.joins import Pair
    from schemas.records import OutputRecord
    from streams.plan import Program

IDS: Final = {
    Output.SCORE_CHANGES: "change_id",
    Output.SHADOW_SCORES: "change_id",
    Output.DISENGAGEMENTS: "alert_id",
    Output.OPPORTUNITIES: "alert_id",
}
JUDGED: Final = (*IDS, Output.DEAD_LETTERS, Output.OPERATIONS)
Key = tuple[str, str]
Told = dict[Key, list[bytes]]
"""By (topic, account), dead letters by (topic, place of origin), notices by what they are of: what was told, in its order."""


def judge(result: Result) -> list[str]:
    """Return what is wrong with a run."""
    scenario = result.scenario
    records = recorded(result)
    numbers = range(scenario.world.partitions)
    found = [line for number in numbers for line in misplaced(result, number)]
    reference = [undisturbed(result, records, number) for number in numbers]
    for folded in reference:
        result.counts.update(folded.counts)
    recovered = [_recovered(result, number) for number in numbers]
    found += _positions(reference, recovered) + _memories(reference, recovered)
    found += _moves(result, recovered)
    expected = _told(record for folded in reference for record in folded.outputs)
    seen = _seen(result)
    found += _notices_twice(seen)
    if scenario.family is Family.DISORDER:
        letters = {key for key in {*seen, *expected} if key[0] == Output.DEAD_LETTERS}
        found += [
            f"dead letters of {key} differ" for key in sorted(letters) if seen.get(key) != expected.get(key)
        ]
        return found + _chains(result, seen) + _false_silences(result, seen)
    return found + _states(reference, recovered) + _said(result, reference) + differences(seen, expected)


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
        for key, values in _seen(result, until_ms=scenario.until_ms).items()
        if key[0] in IDS
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


def _recovered(result: Result, number: int) -> Partition:
    scenario = result.scenario
    machine = Partition(
        scenario.program,
        partition=number,
        partitions=scenario.world.partitions,
        application=APPLICATION,
    )
    log = result.broker.logs[TopicPartition(CHANGELOG, number)].read(0, 1 << 30, committed=True)
    rows = [record for record in log.records if not (record.key or b"").startswith(b"\0own:")]
    machine.load([row.key or b"" for row in rows], [row.value for row in rows])
    machine.loaded()
    return machine


def _positions(reference: list[Folded], recovered: list[Partition]) -> list[str]:
    return [
        f"{topic.name}[{found.partition}] is folded in up to {found.position(topic)}, must be {due.position(topic)}"
        for (due, *_), found in zip(reference, recovered, strict=True)
        for topic in Input
        if due.position(topic) != found.position(topic) and due.halted is None
    ]


def _memories(reference: list[Folded], recovered: list[Partition]) -> list[str]:
    """Which events were counted: an id that is not remembered was lost, one too many was made up."""
    return [
        f"partition {found.partition} remembers other ids"
        for (due, *_), found in zip(reference, recovered, strict=True)
        if _ids(due) != _ids(found) and due.halted is None
    ]


def _states(reference: list[Folded], recovered: list[Partition]) -> list[str]:
    """What else a next owner would go on with: who is there and who was erased, which policy is in force, what waits."""
    found = []
    for (due, *_), machine in zip(reference, recovered, strict=True):
        if due.halted is None:
            # As the next owner comes there.
            machine.merge.clock_ms = max(machine.merge.clock_ms, due.merge.clock_ms)
            machine.sweep_all()
            mine, theirs = _state(machine), _state(due)
            found += [
                f"partition {due.partition}: {name} {mine[name]}, must be {theirs[name]}"
                for name in theirs
                if mine[name] != theirs[name]
            ]
    return found


def _state(machine: Partition) -> dict[str, Any]:
    accounts, brake = machine.accounts, machine.outbox.brake
    return {
        "accounts": sorted(accounts.names[row] for row in accounts.existing()),
        "erased": sorted(accounts.erased._until.items()),
        "merged": sorted(accounts.erased._merged),
        "policy": content_of(machine.control.program),
        "held": [(topic, [*queue]) for topic, queue in brake._queues.items()],
        "waits": machine.inflow.guards().tolist(),
        "views": _views(machine),
        "merges and joins to come": [(entry.at_ms, entry.offset) for entry in machine.control.moves()],
    }


def _views(machine: Partition) -> dict[str, Any]:
    """Return what there is to see of each account, but for when it was and is looked at: a takeover looks more often."""
    found = {}
    for record in view_records(machine.accounts, machine.accounts.existing()):
        view = json.loads(record.value)
        del view["as_of"], view["next_change_at"]
        for episode in view["episodes"]:
            episode["reasons"] = [(reason["rule"], reason["since"]) for reason in episode["reasons"]]
        found[view["account_id"]] = view
    return found


def content_of(program: Program) -> str:
    """Return what tells one policy from another."""
    return repr((program.policy, program.models))


def _ids(machine: Partition) -> set[int]:
    return {
        int(value)
        for generation in machine._memory._generations
        for value in generation.log[: generation.used[0]]
    }


# -- merges ----------------------------------------------------------------------------------------------------------------


def _moves(result: Result, recovered: list[Partition]) -> list[str]:
    """Each join is written once, and withdrawn once by who took it in; count what there is of them."""
    found, joins = list[str](), _joins(result)
    log = result.broker.logs[TopicPartition(CONTROL, 0)]
    withdrawals = [record for record in result.control if is_of_join(record.key) and record.value is None]
    withdrawn = Counter(record.key for record in withdrawals if log.is_transactional(record.offset))
    by_hand = {record.key for record in withdrawals if not log.is_transactional(record.offset)}
    to_come = {control_key(entry.record) for machine in recovered for entry in machine.control.moves()}
    written = Counter(map(control_key, joins))
    for join in joins:
        key = control_key(join)
        is_lost = key in by_hand and not withdrawn[key] and key not in to_come
        result.counts["joins lost by hand"] += is_lost
        result.counts["joins on their way at the end"] += key in to_come
        if written[key] != 1 or withdrawn[key] + (key in to_come) + is_lost != 1:
            found.append(
                f"{key.decode()} from {join.old} into {join.into} is written {written[key]} times, withdrawn {withdrawn[key]} "
                f"times{', and to come' * (key in to_come)}"
            )
        homes = {partition_of(name.encode(), len(recovered)) for name in (join.old, join.into)}
        result.counts["merges within a partition"] += len(homes) == 1
        result.counts["merges into another partition"] += len(homes) == 2
        result.counts["merges in a chain"] += any(join.into == other.old for other in joins)
    return found


def _joins(result: Result) -> list[JoinAccount]:
    """Return all joins that workers wrote."""
    found = []
    for record in result.control:
        if is_of_join(record.key) and record.value is not None:
            join = read_control(ControlLine(record.offset, record.key, record.value))
            assert isinstance(join, JoinAccount)
            found.append(join)
    return found


def _said(result: Result, reference: list[Folded]) -> list[str]:
    """What workers wrote to the control topic, in the order of each partition: joins that it made, and that it took in."""
    log, partitions = result.broker.logs[TopicPartition(CONTROL, 0)], len(reference)
    joins = {control_key(join): join for join in _joins(result)}
    said: list[list[Pair]] = [[] for _ in reference]
    for record in result.control:
        if not log.is_transactional(record.offset):
            continue
        assert record.key is not None
        join = joins[record.key]
        teller = join.into if record.value is None else join.old
        said[partition_of(teller.encode(), partitions)].append((record.key, record.value))
    return [
        f"partition {due.machine.partition} said {_short(mine)} to the control topic, must be {_short(due.said)}"
        for mine, due in zip(said, reference, strict=True)
        if mine != [*due.said]
    ]


def _short(said: Sequence[Pair]) -> list[tuple[bytes, bytes]]:
    return [(key, (value or b"withdrawn")[:200]) for key, value in said]


# -- what was told --------------------------------------------------------------------------------------------------------


def _seen(result: Result, until_ms: int = OCCURRED_AT_END_MS - 1) -> Told:
    told: Told = defaultdict(list)
    until = instant_text(until_ms)
    for topic in JUDGED:
        for number in range(result.scenario.world.partitions):
            log = result.broker.logs[TopicPartition(topic, number)].read(0, 1 << 30, committed=True)
            for record in log.records:
                _add(told, topic, record.value or b"", dict(record.headers), until)
    return told


def _told(outputs: Iterable[OutputRecord]) -> Told:
    told: Told = defaultdict(list)
    until = instant_text(OCCURRED_AT_END_MS - 1)
    for output in outputs:
        if output.topic in JUDGED:
            _add(told, output.topic, output.value, dict(output.headers), until)
    return told


def _add(told: Told, topic: Output, value: bytes, headers: Mapping[str, bytes], until: str) -> None:
    if topic is Output.DEAD_LETTERS:
        place = b" ".join(headers[f"latido_{name}"] for name in ("topic", "partition")).decode()
        if headers["latido_reason"] == b"too_many_accounts":
            value = b""  # it is there or not, by whether the account was there as the record was read
        told[topic, place].append(headers["latido_offset"] + b" " + headers["latido_reason"] + b" " + value)
        return
    payload = json.loads(value)
    if topic is Output.OPERATIONS:
        told[topic, f"{payload['kind']} {payload['subject']} {payload['partition']}"].append(value)
    elif payload["effective_at"] <= until:
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


def _ends(result: Result) -> Counter[str]:
    """Return how often each account ended: its view was taken back."""
    logs = (
        result.broker.logs[TopicPartition(Output.ACCOUNTS, n)]
        for n in range(result.scenario.world.partitions)
    )
    return Counter(
        (record.key or b"").decode()
        for log in logs
        for record in log.read(0, 1 << 30, committed=True).records
        if not record.value
    )


def _chains(result: Result, seen: Told) -> list[str]:
    """Each message continues where the one before it of its model or episode ended, and comes once."""
    found, ends, joins, scores = list[str](), _ends(result), _joins(result), _scores(seen)
    policies = sum((record.key or b"").startswith(b"policy:") for record in result.control)
    for (topic, account), values in seen.items():
        if topic not in IDS:
            continue
        payloads = [json.loads(value) for value in values]
        told = {
            value: (payload[IDS[Output(topic)]], payload["effective_at"])
            for value, payload in zip(values, payloads, strict=True)
        }
        found += [f"{topic} of {account}: a message came twice"] * (len(told) < len(values))
        found += [
            f"{topic} of {account}: {name} came twice" for name in _repeated(told.values(), ends[account])
        ]
        instants = [payload["effective_at"] for payload in payloads]
        found += [f"{topic} of {account} goes back in time"] * (instants != sorted(instants))
        taken_over = [score for name in _forerunners(account, joins) for score in scores[name]]
        found += _broken(f"{topic} of {account}", payloads, ends[account] + policies, taken_over)
    return found


def _repeated(told: Collection[tuple[str, str]], ends: int) -> list[str]:
    """Return the ids that came twice; an account that ends may begin again within seconds, and with the same ids."""
    tens: defaultdict[str, list[str]] = defaultdict(list)
    for name, at in told:
        tens[name].append(at[: len("2026-01-01T00:00:0")])
    return [name for name, found in tens.items() if len(found) > 1 and (not ends or len({*found}) > 1)]


Score = tuple[str, Any]
"""A model, and what it last told: its score, band and coverage."""


def _scores(seen: Told) -> defaultdict[str, list[Score]]:
    """Return what was told of each account, in both topics: a model may have moved between them."""
    found: defaultdict[str, list[Score]] = defaultdict(list)
    for (topic, account), values in seen.items():
        if topic in {Output.SCORE_CHANGES, Output.SHADOW_SCORES}:
            found[account] += [
                (payload["model"], payload["new"]) for payload in (json.loads(value) for value in values)
            ]
    return found


def _forerunners(account: str, joins: list[JoinAccount]) -> set[str]:
    """Return the accounts that were merged into one, and those that were merged into them."""
    found, more = set[str](), {account}
    while more:
        more = {join.old for join in joins if join.into in more} - found
        found |= more
    return found


def _notices_twice(seen: Told) -> list[str]:
    notices = [
        json.loads(value)
        for (topic, _), values in seen.items()
        if topic == Output.OPERATIONS
        for value in values
    ]
    times = Counter(notice["operation_id"] for notice in notices)
    return [f"notice {notice} comes twice" for notice in notices if times[notice["operation_id"]] > 1]


NEW: Final = {"score": None, "band": "insufficient_evidence", "coverage": 0.0}


def _broken(what: str, payloads: list[dict[str, Any]], begins: int, taken_over: list[Score]) -> list[str]:
    """A model begins anew at most as often as the account ended, and as a policy takes hold: together so often.

    It begins with nothing, or with what was last told of another account whose new name this is.
    """
    found, last, anew = [], dict[str, Any](), Counter[str]()
    for payload in payloads:
        if "change_id" in payload:
            model = payload["model"]
            if model in last and payload["old"] != last[model] and payload["cause"]["kind"] != "model":
                anew[model] += 1
                is_anew = payload["old"] == NEW or (model, payload["old"]) in taken_over
                if not is_anew or anew[model] > begins:
                    found.append(
                        f"{what}: {payload['change_id']} begins at {payload['old']}, was {last[model]}"
                    )
            last[model] = payload["new"]
        else:
            episode, status = payload["episode_id"], payload["status"]
            if (status == "firing") is (episode in last) or last.get(episode) == "resolved":
                found.append(f"{what}: {payload['alert_id']} is {status} after {last.get(episode)}")
            last[episode] = status
    return found


def _false_silences(result: Result, seen: Told) -> list[str]:
    """An account is told to be silent though activity of it, newer than its silence, had come within the grace.

    Not one that was merged: what comes of one that has ended is left out, and a new name has another's past.
    """
    found, scenario = [], result.scenario
    merged = {name for join in _joins(result) for name in (join.old, join.into)}
    grace_ms = 1000 * scenario.world.policy["grace_s"]
    for (topic, account), values in seen.items():
        if topic != Output.DISENGAGEMENTS or account in merged:
            continue
        for payload in map(json.loads, values):
            at_ms = millis(payload["effective_at"])
            if any(name == account and time_ms >= at_ms for name, time_ms, _ in scenario.active):
                continue  # it moved on itself, perhaps ahead of its other inputs: then nothing is waited for
            for reason in payload["reasons"]:
                since_ms = millis(reason["since"])
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
