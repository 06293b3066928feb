"""The kernel and the auditor, two programs written from one document, agree to the last unit over simulated months."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agents.program import load_program
from agents.replay import replay_files
from agents.simulation.command import simulate
from schemas import policy
from tests.auditor.reference import Audit, audit_file

POLICY = Path(policy.__file__).parent / "policies/default.yaml"
MODELS = Path(policy.__file__).parent / "models"


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


def compare(recording: Path, folder: Path, *, partitions: int = 2, rules: Path | None = None) -> Audit:
    """Replay and audit one recording; messages and last scores must be equal."""
    program = load_program("default" if rules is None else str(rules))
    replay_files([recording], program, partitions=partitions, until_ms=None, out=folder)
    audit = audit_file(recording, partitions, None, rules or POLICY, MODELS)
    for name, theirs in (("score-changes", audit.score_changes), ("disengagements", audit.disengagements)):
        mine = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        assert by_account(mine) == by_account(theirs)
    for line in (folder / "accounts.jsonl").read_text().splitlines():
        view = json.loads(line)
        theirs_last = audit.final[view["account_id"]]["models"]["retention"]
        assert view["scores"][0]["score"] == (
            None if theirs_last["score"] is None else theirs_last["score"] / 1000
        )
        assert view["scores"][0]["band"] == theirs_last["band"]
    return audit


@pytest.mark.parametrize("seed", [21, 22, 23])
def test_score_changes_and_episodes_of_simulated_months_are_equal(tmp_path: Path, seed: int) -> None:
    recording = tmp_path / "company.jsonl"
    arguments = (
        f"--accounts 16 --days 120 --seed {seed} --volume 0.15 --until 2026-11-01T00:00:00Z --out {recording}"
    )
    simulate.main(arguments.split(), standalone_mode=False)
    audit = compare(recording, tmp_path / "out")
    assert len(audit.score_changes) > 50
    assert len(audit.disengagements) > 0


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
