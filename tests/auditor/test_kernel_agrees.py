"""The kernel and the auditor, two programs written from one document, agree to the last unit.

Over months of a simulated company, clean and with bad records in it, and over small histories concentrated on edges.
`LATIDO_AUDIT_SEEDS=n` compares n cases of each kind that is drawn by seed.
"""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.program import load_program
from agents.replay import replay_files
from agents.simulation import Company, Span
from agents.simulation.command import simulate
from agents.simulation.hostile import hostile_records
from schemas import policy
from schemas.catalogue import FEATURES
from schemas.reasons import EventNote, RejectReason, ResolvedBy, Rule
from schemas.topics import INPUT_TOPICS, Input
from streams import memory
from tests.auditor import edges, partition, scenarios, worlds
from tests.auditor.core import differences, program_of, run_core
from tests.auditor.event import Recorded
from tests.auditor.exact import partition_of
from tests.auditor.recorded_file import read_recorded
from tests.auditor.reference import Audit, audit, audit_file
from tests.auditor.scenarios import Tree, component, default_policy, login, model, only, retention, ticket
from tests.auditor.worlds import metric

POLICY = Path(policy.__file__).parent / "policies/default.yaml"
MODELS = Path(policy.__file__).parent / "models"
DAY_MS = 86_400_000
SEEDS = int(os.environ.get("LATIDO_AUDIT_SEEDS", "0"))


# --- small histories concentrated on edges -----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(SEEDS or 28))
def test_a_history_concentrated_on_edges_ends_alike_in_every_output_reject_and_note(seed: int) -> None:
    records, world = edges.case(seed)
    auditor = audit(records, **world._asdict())
    assert differences(run_core(records, **world._asdict()), auditor) == []
    assert auditor.dead_letters


@pytest.mark.parametrize("seed", range(SEEDS or 14))
def test_a_recorded_file_concentrated_on_edges_replays_alike(tmp_path: Path, seed: int) -> None:
    world = worlds.world(seed)._replace(keyed=False)
    content = edges.recorded_lines(seed, world)
    (tmp_path / "recording.jsonl").write_bytes(content)
    program = program_of(world.policy, world.models)
    replay_files(
        [tmp_path / "recording.jsonl"], program, partitions=world.partitions, until_ms=None, out=tmp_path
    )
    records, broken = read_recorded(content, world.partitions)
    auditor = audit(records, **world._asdict())
    assert_files_equal(tmp_path, auditor)
    expected: list[tuple[str | None, int, str]] = [(None, line, reason.value) for line, reason in broken]
    for source, _, offset, reason in auditor.dead_letters:
        assert source is not None
        expected.append((INPUT_TOPICS[source].name, offset, reason))
    found = [
        (dead["topic"], dead["offset"], dead["reason"]) for dead in lines(tmp_path / "dead-letters.jsonl")
    ]
    assert Counter(found) == Counter(expected)


@pytest.mark.parametrize("seed", range(7))
def test_a_memory_that_fills_up_forgets_alike(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(memory, "IDS_MAX", 5)
    monkeypatch.setattr(partition, "GENERATION_MAX", 5)
    records, world = edges.case(seed)
    auditor = audit(records, **world._asdict())
    assert differences(run_core(records, **world._asdict()), auditor) == []


@cache
def audited(seed: int) -> tuple[worlds.World, Audit]:
    """Return the world of a case and what the auditor says of it."""
    records, world = edges.case(seed)
    return world, audit(records, **world._asdict())


def test_the_edges_are_hit() -> None:
    """What the comparison rests on: in the cases together, everything that can happen does so many times."""
    found = [audited(seed)[1] for seed in range(28)]
    changes = [change for one in found for change in one.score_changes]
    causes = Counter(change["cause"]["kind"] for change in changes)
    assert all(causes[kind] >= 50 for kind in ("event", "fact", "override", "time", "evidence")), causes
    bands = Counter(change["new"]["band"] for change in changes)
    assert len(bands) == 9, bands
    assert min(bands.values()) >= 30, bands
    assert sum(change["contributions"][-1]["component"] == "override" for change in changes) >= 100
    alerts = [alert for one in found for alert in one.disengagements + one.opportunities]
    statuses = Counter((alert["status"], alert["resolved_by"]) for alert in alerts)
    elsewhere = {
        ResolvedBy.POLICY,
        ResolvedBy.ERASED,
        ResolvedBy.RETIRED,
        ResolvedBy.MERGED,
    }  # test_ends.py, merges
    ends = set(ResolvedBy) - elsewhere
    assert all(statuses["resolved", ended] >= 5 for ended in ends), statuses
    assert all(statuses[status, None] >= 30 for status in ("firing", "escalated")), statuses
    rules = Counter(reason["rule"] for alert in alerts for reason in alert["reasons"])
    assert all(rules[rule.label] >= 20 for rule in Rule), rules
    notes = sum((one.notes for one in found), Counter[str]())
    assert all(notes[note] >= 100 for note in set(EventNote) - {EventNote.ERASED, EventNote.MERGED}), notes
    assert len({reason for one in found for _, _, _, reason in one.dead_letters}) >= 6
    assert any(one.halts for one in found)
    assert sum(len(one.shadow_scores) for one in found) >= 500


def test_every_feature_is_measured_and_missing_many_times() -> None:
    """A component tells by its contribution: a number, or none beside others that have one."""
    never_missing = {"open_tickets", "late_payments"}
    audited_features = {feature.name for feature in FEATURES} - {
        "pattern"
    }  # which the auditor does not measure yet
    measured, missing = Counter[str](), Counter[str]()
    for world, one in map(audited, range(28)):
        features = {
            (name, part["name"]): part["metric"]["feature"]
            for name, tree in world.models.items()
            for dimension in tree["dimensions"]
            for part in dimension["components"]
        }
        scored = [
            change for change in one.score_changes if any(part["new"] for part in change["contributions"])
        ]
        for change in scored:
            for part in change["contributions"]:
                feature = features.get((change["model"], part["component"]), "override")
                (missing if part["new"] is None else measured)[feature] += 1
    assert all(measured[name] >= 100 for name in audited_features), measured
    assert all(missing[name] >= 5 for name in audited_features - never_missing), missing


# --- a crowd -----------------------------------------------------------------------------------------------------


def test_a_crowd_ends_alike_where_counts_and_users_are_full() -> None:
    """More users in a day than buckets can tell apart, more tickets and failed log-ins than a day's count holds."""
    start_ms = 1_767_571_200_000
    crowd = [login(start_ms + n, user_id=f"user {n}") for n in range(1200)]
    crowd += [login(start_ms + 2000 + n, success=False) for n in range(260)]
    crowd += [ticket(start_ms + 3000 + n, "opened", ticket_id=f"T{n}") for n in range(260)]
    crowd.append(login(start_ms + 7 * DAY_MS))
    full = model(
        component("users", 1, metric=metric("users", window=14), ramp=[[0, 0], [1000, 100]]),
        component("failed", 1, metric=metric("count", "failed_logins", 14), ramp=[[0, 0], [1000, 100]]),
        component("opened", 1, metric=metric("count", "tickets_opened", 14), ramp=[[0, 0], [1000, 100]]),
        component("open", 1, metric=metric("open_tickets"), ramp=[[0, 0], [10, 100]]),
        min_change=0.001,
        min_coverage=0,
    )
    world = worlds.World(only(), {"test": full}, 1, start_ms + 13 * DAY_MS, keyed=False)
    dated = [one | {"received_at": one["occurred_at"]} for one in crowd]
    records = scenarios.records(dated)
    auditor = audit(records, **world._asdict())
    assert differences(run_core(records, **world._asdict()), auditor) == []
    parts = auditor.score_changes[-1]["contributions"]
    assert [part["new"] for part in parts] == [17.75, 6.375, 6.375, 15]


# --- months of a simulated company -------------------------------------------------------------------------------


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def by_account(payloads: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return payloads without texts by account, in the order of the replay's files: by time, then by id."""
    found = defaultdict(list)
    for payload in payloads:
        found[payload["account_id"]].append(
            {name: value for name, value in payload.items() if name != "summary"}
        )
    for mine in found.values():
        mine.sort(
            key=lambda payload: (payload["effective_at"], payload.get("change_id") or payload["alert_id"])
        )
    return found


def assert_files_equal(folder: Path, audit: Audit) -> None:
    """Messages and last scores of a replay must be those of the auditor."""
    for name, theirs in (
        ("score-changes", audit.score_changes),
        ("shadow-scores", audit.shadow_scores),
        ("disengagements", audit.disengagements),
        ("opportunities", audit.opportunities),
    ):
        assert by_account(lines(folder / f"{name}.jsonl")) == by_account(theirs)
    views = lines(folder / "accounts.jsonl")
    assert {view["account_id"] for view in views} == set(audit.final)
    for view in views:
        for shown in view["scores"] + view["shadow"]:
            last = audit.final[view["account_id"]]["models"][shown["model"]]
            assert shown["score"] == (None if last["score"] is None else last["score"] / 1000)
            assert (shown["band"], shown["coverage"]) == (last["band"], last["coverage"] / 1000)


def compare(recording: Path, folder: Path, *, partitions: int = 2, rules: Path | None = None) -> Audit:
    """Replay and audit one recording; messages and last scores must be equal."""
    program = load_program("default" if rules is None else str(rules))
    replay_files([recording], program, partitions=partitions, until_ms=None, out=folder)
    audit = audit_file(recording, partitions, None, rules or POLICY, MODELS)
    assert_files_equal(folder, audit)
    return audit


# the clocks change: Lord Howe by half an hour on 4 October 2026, Sao Paulo at midnight on 4 November 2018
@pytest.mark.parametrize(
    ("seed", "zone", "until", "partitions"),
    [
        (21, "UTC", "2026-11-01", 2),
        (22, "Australia/Lord_Howe", "2026-11-01", 1),
        (23, "America/Sao_Paulo", "2018-12-20", 3),
    ],
)
def test_score_changes_and_episodes_of_simulated_months_are_equal(
    tmp_path: Path, seed: int, zone: str, until: str, partitions: int
) -> None:
    recording, rules = tmp_path / "company.jsonl", tmp_path / "policy.yaml"
    rules.write_text(POLICY.read_text().replace("time_zone: UTC", f"time_zone: {zone}"))
    arguments = (
        f"--accounts 16 --days 120 --seed {seed} --volume 0.15 --until {until}T00:00:00Z --out {recording}"
    )
    simulate.main(arguments.split(), standalone_mode=False)
    audit = compare(recording, tmp_path / "out", partitions=partitions, rules=rules)
    assert len(audit.score_changes) > 50
    assert len(audit.disengagements) > 0


def told() -> Tree:
    """Return a model of what the company's people tell of an account, numbers and categories."""
    sentiment = {"good": 100, "neutral": 50, "poor": 0}
    return model(
        component(
            "nps", 2, metric={"feature": "fact", "source": "nps"}, ramp=[[-100, 0], [0, 50], [100, 100]]
        ),
        component(
            "size",
            1,
            metric={"feature": "fact", "source": "arr"},
            steps=[[0, 20], [12_000, 60], [60_000, 100]],
        ),
        component("mood", 2, metric={"feature": "fact", "source": "csm_sentiment"}, table=sentiment),
        model="told",
        min_change=1,
    )


def besieged(seed: int, start_ms: int, partitions: int, days: int = 75) -> list[Recorded]:
    """Return months of a company with a bad record after every twelfth, and repeats of what came shortly before."""
    good = list(Company(Span(seed=seed, accounts=8, start_ms=start_ms, days=days, volume=0.15)))
    bad = hostile_records(np.random.default_rng(seed), good, len(good) // 12)
    offsets: Counter[tuple[Input, int]] = Counter()
    records = []

    def send(source: Input, partition: int, key: bytes | None, value: bytes | None, stamp_ms: int) -> None:
        offset = offsets[source, partition]
        offsets[source, partition] += 1
        records.append(Recorded(source, partition, offset, key, value, stamp_ms))

    for number, event in enumerate(good):
        for one in (event, *good[number - 5 : number - 4] * (number % 40 == 39)):
            home = partition_of(one.account_id, partitions)
            send(one.topic, home, one.account_id.encode(), one.body, event.occurred_ms)
        if number % 12 == 11:
            broken = next(bad)
            home = partition_of((broken.key or b"").decode(), partitions) + broken.partition_shift
            send(broken.topic, home % partitions, broken.key, broken.value, event.occurred_ms)
    return records


@pytest.mark.parametrize("seed", range(SEEDS or 3))
def test_months_of_a_company_among_bad_records_end_alike_in_every_output_reject_and_note(seed: int) -> None:
    zone, first_day = list(worlds.ZONES.items())[(seed + 2) % len(worlds.ZONES)]
    start_ms = (date.fromisoformat(first_day) - date(1970, 1, 1)).days * DAY_MS
    world = worlds.World(
        default_policy(models=["retention", "told"], time_zone=zone),
        {"retention": retention(), "told": told()},
        partitions=seed % 3 + 2,
        until_ms=start_ms + 120 * DAY_MS,
    )
    records = besieged(seed, start_ms, world.partitions)
    auditor = audit(records, **world._asdict())
    assert differences(run_core(records, **world._asdict()), auditor) == []
    reasons = {reason.value for reason in RejectReason} - {RejectReason.TOO_MANY_ACCOUNTS}
    assert {reason for _, _, _, reason in auditor.dead_letters} == reasons
    assert {change["model"] for change in auditor.score_changes} == {"retention", "told"}
    assert auditor.notes["duplicate"]
    assert auditor.disengagements


# --- told by hand ------------------------------------------------------------------------------------------------


class Recording:
    """A recorded file written event by event."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, kind: str, account: str, at: datetime, **more: object) -> None:
        line = {
            "type": kind,
            "event_id": str(len(self._lines)),
            "account_id": account,
            "occurred_at": at.isoformat(),
        }
        self._lines.append(json.dumps({**line, **more}) + "\n")

    def write(self, folder: Path) -> Path:
        path = folder / "recording.jsonl"
        path.write_text("".join(self._lines))
        return path


def test_a_reason_waits_for_the_end_of_its_refractory_time_and_fires_then(tmp_path: Path) -> None:
    """The same account with a refractory time of 7 and of 40 days.

    active     days 0-59 ........            76-78                                    130 (another account)
    7 days               ^ fires      ^ resolved     ^ fires
    40 days              ^ fires      ^ resolved                 ^ fires: 40 days after the first
    """
    start, recording = datetime(2026, 3, 1, 12, tzinfo=UTC), Recording()
    for day in (*range(60), 76, 77, 78):
        recording.add("login", "a", start + timedelta(days=day))
    recording.add("login", "b", start + timedelta(days=130))
    path, rules = recording.write(tmp_path), tmp_path / "policy.yaml"
    rules.write_text(POLICY.read_text().replace("refractory_days: 7", "refractory_days: 40"))
    firing = {
        days: [
            datetime.fromisoformat(alert["effective_at"])
            for alert in compare(path, tmp_path / str(days), partitions=1, rules=policy_file).disengagements
            if alert["status"] == "firing"
        ]
        for days, policy_file in ((7, None), (40, rules))
    }
    assert [len(found) for found in firing.values()] == [2, 2]
    assert firing[7][0] == firing[40][0]
    assert firing[7][1] < firing[40][0] + timedelta(days=40)
    assert firing[40][1] == firing[40][0] + timedelta(days=40)


@pytest.mark.parametrize("age_days", [13, 14, 27, 28, 29, 55, 56, 57])
def test_late_log_ins_count_on_their_day_or_not_at_all(tmp_path: Path, age_days: int) -> None:
    """Sixty log-ins come late, of a day that is in a window, at its edge, or beyond the ring.

    log-ins    4 a day ................ 1 a day ... day 80: 60 of day 80 - age
    facts      day 0 ............................................ day 81: holds the clock back until then
    """
    start, recording = datetime(2026, 3, 1, 12, tzinfo=UTC), Recording()
    recording.add("facts", "a", start - timedelta(hours=1), facts={"kind": "customer"})
    for day in range(81):
        for minute in range(4 if day < 66 else 1):
            recording.add("login", "a", start + timedelta(days=day, minutes=minute))
    for second in range(60):
        recording.add("login", "a", start + timedelta(days=80 - age_days, hours=2, seconds=second))
    recording.add("facts", "a", start + timedelta(days=81), facts={"owner": "csm-1"})
    audit = compare(recording.write(tmp_path), tmp_path / "out", partitions=1)
    assert audit.final["a"]["last_active_day"] == (start.date() - date(1970, 1, 1)).days + 80
