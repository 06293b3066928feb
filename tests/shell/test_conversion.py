"""`latido report conversion`: accounts judged, by period and best band, and how many of them converted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agents.cli import main
from schemas import model_file

Tree = dict[str, Any]


def event(account: str, when: str, kind: str, **fields: Any) -> Tree:
    return {"type": kind, "account_id": account, "occurred_at": f"2026-{when}:00Z"} | fields


def facts(account: str, when: str, **told: Any) -> Tree:
    return event(account, when, "facts", facts=told)


def interested(account: str, when: str) -> list[Tree]:
    """Return a log-in and two looks at prices: of a new trial 100 points, qualified."""
    return [
        event(account, f"{when}T09:00", "login"),
        event(account, f"{when}T09:01", "page_visit", path="/pricing"),
        event(account, f"{when}T09:02", "page_visit", path="/pricing"),
    ]


#        January                               February                       March
#   ann  qualified on the 5th, bought on 20th
#   bob  a log-in on the 5th: warm, then cold  cold                           cold
#   cid  told of, bought on the 6th
#   dee  a log-in on the 31st: warm            qualified, customer on 10th    told as converted on the 3rd
#   eve  a customer all the time
#   fay                                        qualified; converted: no       cold
#   gus  a log-in on the 5th: warm; told as converted on the 10th, and still called a trial: not counted any more
RECORDED = [
    *(facts(name, "01-05T08:00", kind="trial") for name in ("ann", "bob", "cid", "gus")),
    facts("eve", "01-05T08:00", kind="customer"),
    *interested("ann", "01-05"),
    event("bob", "01-05T09:00", "login"),
    event("gus", "01-05T09:00", "login"),
    event("eve", "01-05T09:00", "login"),
    facts("cid", "01-06T12:00", outcome="converted", kind="customer"),
    facts("gus", "01-10T12:00", outcome="converted"),
    facts("ann", "01-20T12:00", outcome="converted", kind="customer"),
    facts("dee", "01-31T08:00", kind="trial"),
    event("dee", "01-31T09:00", "login"),
    facts("fay", "02-01T08:00", kind="trial"),
    *interested("fay", "02-01"),
    *interested("dee", "02-01"),
    facts("fay", "02-05T08:00", outcome="converted"),
    facts("fay", "02-06T08:00", outcome=None),
    facts("dee", "02-10T08:00", kind="customer"),
    facts("dee", "03-03T08:00", outcome="converted"),
    event("eve", "03-03T09:00", "login"),
]
MONTHS = [
    ["2026-01", "insufficient_evidence", 1, 1, 1.0],
    ["2026-01", "warm", 3, 1, 0.3333],
    ["2026-01", "qualified", 1, 1, 1.0],
    ["2026-01", "all", 5, 3, 0.6],
    ["2026-02", "cold", 1, 0, 0.0],
    ["2026-02", "qualified", 2, 1, 0.5],
    ["2026-02", "all", 3, 1, 0.3333],
    ["2026-03", "cold", 2, 0, 0.0],
    ["2026-03", "all", 2, 0, 0.0],
]
FIRST_QUARTER = [
    ["insufficient_evidence", 1, 1, 1.0],
    ["warm", 2, 1, 0.5],
    ["qualified", 3, 2, 0.6667],
    ["all", 6, 4, 0.6667],
]


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    lines = [json.dumps({"event_id": f"e{n}"} | each) for n, each in enumerate(RECORDED)]
    lines += [
        "not JSON",
        json.dumps({"type": "facts", "account_id": "bob", "facts": {"outcome": "converted"}}),
    ]
    (tmp_path / "events.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path / "events.jsonl"


def report(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["report", "conversion", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def rows(*arguments: str) -> list[list[Any]]:
    return [list(row.values()) for row in json.loads(report(*arguments, "--json"))]


def test_conversion_by_month_and_best_band(recorded: Path) -> None:
    assert rows(str(recorded)) == MONTHS


@pytest.mark.parametrize(("period", "name"), [("quarter", "2026-Q1"), ("year", "2026")])
def test_conversion_by_quarter_and_year(recorded: Path, period: str, name: str) -> None:
    assert rows(str(recorded), "--period", period) == [[name, *row] for row in FIRST_QUARTER]


def test_the_table_tells_shares_of_all_and_of_the_qualified(recorded: Path) -> None:
    lines = [line.split() for line in report(str(recorded)).splitlines()]
    assert lines[0] == ["period", "band", "accounts", "converted", "share"]
    assert ["2026-02", "qualified", "2", "1", "50.0", "%"] in lines
    assert ["2026-02", "all", "3", "1", "33.3", "%"] in lines


#   the same by a copy whose band `warm` begins at 0: nobody is cold
def test_a_model_of_ones_own_judges_under_ones_own_policy(recorded: Path, tmp_path: Path) -> None:
    shipped = Path(model_file.__file__).parent
    mine = (shipped / "models" / "qualification.yaml").read_text()
    mine = mine.replace("  - {name: cold, from: 0, closed: left}\n", "").replace(
        "name: warm, from: 40", "name: warm, from: 0"
    )
    (tmp_path / "mine.yaml").write_text(mine.replace("model: qualification", "model: mine"))
    (tmp_path / "policy.yaml").write_text((shipped / "policies" / "default.yaml").read_text())
    found = rows(
        str(recorded), "--model", str(tmp_path / "mine.yaml"), "--policy", str(tmp_path / "policy.yaml")
    )
    assert [row[1:4] for row in found if row[0] == "2026-03"] == [["warm", 2, 0], ["all", 2, 0]]


def test_a_file_that_cannot_be_read_and_a_model_that_is_not_there_are_told() -> None:
    done = CliRunner().invoke(main, ["report", "conversion", __file__, "--model", "qualifcation"])
    assert done.exit_code == 2
    assert "model 'qualifcation' cannot be read" in done.output
    assert "qualification" in done.output
