"""docs/personal-data.md keeps its promises: its figures are those of the topics, its tests are there, and hold what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from agents.account_commands import erasure
from agents.metrics import METRICS
from agents.program import load_program
from agents.replay import replay_files
from schemas.topics import (
    COMPACTED_WITHIN_MS,
    DAY_MS,
    HOUR_MS,
    INPUT_TOPICS,
    OUTPUT_TOPICS,
    TOMBSTONES_MS,
)
from streams.erased import ERASED_MAX, FORGOTTEN_MS
from tests.shell.test_commands import NOBODY, one_message

if TYPE_CHECKING:
    from tests.shell.conftest import Latido

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "personal-data.md").read_text(encoding="utf-8")
ROWS: Final = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ")
]
LABELS: Final = {"partition", "input", "reason", "note", "model", "status", "kind", "outcome"}
START_MS: Final = 1_772_323_200_000


@pytest.mark.parametrize("shown_by", sorted({row[4] for row in ROWS if "::" in row[4]}))
def test_a_test_that_the_page_names_is_there(shown_by: str) -> None:
    file, _, name = shown_by.partition("::")
    found = [
        path for path in (ROOT / "tests").rglob(file) if f"def {name}(" in path.read_text(encoding="utf-8")
    ]
    assert len(found) == 1


def test_topics_keep_what_the_page_says() -> None:
    told = {
        name: row[2]
        for row in ROWS
        for name in re.findall(r"`([a-z-]+)`", row[0])
        if re.fullmatch(r"\d+ days", row[2])
    }
    specs = [*INPUT_TOPICS.values(), *OUTPUT_TOPICS.values()]
    deleted = {spec.name: f"{spec.retention_ms // DAY_MS} days" for spec in specs if spec.retention_ms}
    assert told == deleted
    assert f"at most {COMPACTED_WITHIN_MS // DAY_MS} days" in PAGE
    assert f"{TOMBSTONES_MS // HOUR_MS} hours beyond" in PAGE
    assert f"erased {FORGOTTEN_MS // DAY_MS} days after" in PAGE
    assert f"{ERASED_MAX:,} a partition ({16 * ERASED_MAX // 1000} KB)" in PAGE


def test_each_row_names_a_test() -> None:
    assert [row[0] for row in ROWS if "::" not in row[4]] == ["topic", "place"], "the heads alone name none"


def test_no_label_of_a_metric_names_an_account() -> None:
    assert {label.name for metric in METRICS for label in metric.labels} <= LABELS


# --- of a replay ---------------------------------------------------------------------------------------------------


def lines(*events: dict[str, Any]) -> bytes:
    head = ({"event_id": f"event-of-hannah-{n}", "account_id": "acme"} for n in range(len(events)))
    return b"".join(
        json.dumps(named | each).encode() + b"\n" for named, each in zip(head, events, strict=True)
    )


def at(day: float) -> int:
    return int(START_MS + day * DAY_MS)


LIFE: Final[tuple[dict[str, Any], ...]] = (
    {"type": "login", "occurred_at": at(0), "user_id": "hannah"},
    {
        "type": "ticket",
        "occurred_at": at(1),
        "ticket_id": "ticket-of-hannah",
        "action": "opened",
        "user_id": "hannah",
    },
    {
        "type": "payment",
        "occurred_at": at(1),
        "payment_id": "payment-of-hannah",
        "status": "due",
        "user_id": "hannah",
    },
    {"type": "page_visit", "occurred_at": at(2), "path": "/cancel?mail=hannah", "user_id": "hannah"},
)


def replayed(folder: Path, *events: dict[str, Any]) -> dict[str, bytes]:
    recording = folder / "recording.jsonl"
    recording.write_bytes(lines(*events))
    replay_files([recording], load_program("default"), partitions=1, until_ms=at(60), out=folder / "out")
    return {path.name: path.read_bytes() for path in (folder / "out").iterdir()}


def test_a_replay_ends_accounts_as_a_worker_does(tmp_path: Path) -> None:
    erased = {"type": "facts", "occurred_at": at(3), "facts": {}, "erase": True}
    out = replayed(tmp_path, *LIFE, erased)
    assert out["accounts.jsonl"] == b""
    last = json.loads(out["disengagements.jsonl"].splitlines()[-1])
    assert (last["resolved_by"], last["reasons"]) == ("erased", [])


def test_late_events_of_an_erased_account_leave_no_trace(tmp_path: Path) -> None:
    (tmp_path / "without").mkdir()
    erased = {"type": "facts", "occurred_at": at(3), "facts": {}, "erase": True}
    late = [each | {"occurred_at": each["occurred_at"] + 4 * DAY_MS} for each in LIFE]
    with_late, without = (
        replayed(tmp_path, *LIFE, erased, *late),
        replayed(tmp_path / "without", *LIFE, erased),
    )
    assert with_late == without
    assert with_late["dead-letters.jsonl"] == b""


def test_no_id_of_a_user_event_ticket_or_payment_is_in_the_account_table() -> None:
    from agents.partition import Partition
    from schemas.topics import Input
    from streams.clock import ENDLESS_MS
    from tests.auditor.core import chunk_of
    from tests.auditor.scenarios import records

    machine = Partition(load_program("default"), partition=0, partitions=1, keyed=False)
    named = [json.loads(line) for line in lines(*LIFE).splitlines()]
    for record in records(named):
        machine.offer(record.input, chunk_of([record]))
    for topic in Input:
        machine.end_reached(topic, ENDLESS_MS)
    while machine.step(100) or machine.due_now():
        pass
    changelog = machine.drain().changelog
    assert changelog
    assert not [key for key, value in changelog if b"hannah" in key or b"hannah" in (value or b"")]


# --- the command ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("account", ["", "a\nb", "x" * 257])
def test_an_id_that_no_account_has_is_not_erased(latido: Latido, account: str) -> None:
    one_message(
        latido("accounts", "erase", account, broker=NOBODY),
        "ACCOUNT is",
        "1 to 256 bytes",
        "letter by letter",
    )


def test_an_erasure_without_a_broker_is_told(latido: Latido) -> None:
    one_message(latido("accounts", "erase", "acme", broker=NOBODY), f"no broker answers at {NOBODY}")


def test_an_erasure_said_twice_of_one_instant_is_one() -> None:
    assert erasure("acme", 5, None) == erasure("acme", 5, None)
    assert (
        json.loads(erasure("acme", 5, None))["event_id"] != json.loads(erasure("acme", 6, None))["event_id"]
    )
