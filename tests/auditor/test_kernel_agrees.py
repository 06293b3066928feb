"""The kernel and the auditor, two programs written from one document, agree to the last unit over simulated months."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from agents.program import load_program
from agents.replay import replay_files
from agents.simulation.command import simulate
from schemas import policy
from tests.auditor.reference import audit_file

POLICY = Path(policy.__file__).parent / "policies/default.yaml"


def by_account(payloads: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found = defaultdict(list)
    for payload in payloads:
        found[payload["account_id"]].append(
            {name: value for name, value in payload.items() if name != "summary"}
        )
    return found


@pytest.mark.parametrize("seed", [21, 22, 23])
def test_score_changes_and_episodes_of_simulated_months_are_equal(tmp_path: Path, seed: int) -> None:
    recording = tmp_path / "company.jsonl"
    arguments = (
        f"--accounts 16 --days 120 --seed {seed} --volume 0.15 --until 2026-11-01T00:00:00Z --out {recording}"
    )
    simulate.main(arguments.split(), standalone_mode=False)
    replay_files([recording], load_program("default"), partitions=2, until_ms=None, out=tmp_path / "out")
    audit = audit_file(recording, 2, None, POLICY)
    assert len(audit.score_changes) > 50
    assert len(audit.disengagements) > 0
    for name, theirs in (("score-changes", audit.score_changes), ("disengagements", audit.disengagements)):
        mine = [json.loads(line) for line in (tmp_path / "out" / f"{name}.jsonl").read_text().splitlines()]
        assert by_account(mine) == by_account(theirs)
