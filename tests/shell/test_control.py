"""Commands that change the running application: what they say, what they write, and what they refuse."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agents.control_topic import write_control
from agents.latest import Seen, Span, read_spans
from agents.settings import Settings
from agents.topics import create_topics
from schemas.control import JoinAccount, content_hash
from schemas.topics import CONTROL
from streams.control import ControlLine, read_control
from tests.shell.test_commands import NOBODY, one_message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.servers.kafka import KafkaServer
    from tests.shell.conftest import Latido

ONE = Path(__file__).parents[2] / "docs" / "examples" / "silence.yaml"
DAY_MS = 86_400_000
START_MS = 1_772_323_200_000


@pytest.fixture
def application(kafka: KafkaServer) -> dict[str, Any]:
    """The settings of an application whose topics are there."""
    names: dict[str, Any] = {"broker": kafka.broker, "topic_prefix": f"t{uuid.uuid4().hex[:8]}-"}
    create_topics(Settings(**names), partitions=2, replication=1)
    return names


def written(application: Mapping[str, Any]) -> list[Seen]:
    topic = application["topic_prefix"] + CONTROL
    return read_spans(application["broker"], "look", [Span(topic, 0, 100)], "read_committed")


# --- comparing policies --------------------------------------------------------------------------------------------


def recording(folder: Path) -> Path:
    """Two accounts that log in every day for 40 days; then one is silent for 80, and the other visits /goodbye."""
    lines: list[dict[str, Any]] = []
    for day in range(120):
        for account in ("quiet", "busy"):
            if account == "quiet" and day >= 40:
                continue
            at = START_MS + day * DAY_MS
            lines.append(
                {"type": "login", "event_id": f"{account}{day}", "account_id": account, "occurred_at": at}
            )
    visit = {
        "event_id": "v",
        "account_id": "busy",
        "occurred_at": START_MS + 110 * DAY_MS,
        "path": "/goodbye",
    }
    lines.append({"type": "page_visit", **visit})
    file = folder / "recording.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def other_policy(folder: Path) -> Path:
    text = ONE.read_text(encoding="utf-8")
    file = folder / "other.yaml"
    file.write_text(
        text.replace("cancel: [", "cancel: [/goodbye, ").replace("policy: retention_only", "policy: other")
    )
    return file


def test_a_diff_of_policies_counts_alerts_accounts_and_bands_that_differ(
    latido: Latido, tmp_path: Path
) -> None:
    done = latido("policy", "diff", str(ONE), str(other_policy(tmp_path)), str(recording(tmp_path)))
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.strip()}
    assert rows["risk_page"] == ["0", "1", "0", "0", "1"]
    assert "silence" not in rows, "it fired before the last 30 days"
    longer = latido("policy", "diff", str(ONE), str(ONE), str(recording(tmp_path)), "--days", "100")
    rows = {line.split()[0]: line.split()[1:] for line in longer.stdout.splitlines() if line.strip()}
    assert rows["silence"] == ["1", "1", "1", "0", "0"]


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", [["policy", "activate", "default"], ["dead-letters", "resume", "logins", "0"]], ids=" ".join
)
def test_without_a_broker_nothing_is_changed(latido: Latido, command: list[str]) -> None:
    one_message(latido(*command, broker=NOBODY), f"no broker answers at {NOBODY}")


def test_an_instant_that_is_none_is_refused(latido: Latido) -> None:
    done = latido("alerts", "pause", "--at", "tomorrow", broker=NOBODY)
    assert done.returncode == 2
    assert "'tomorrow' is neither RFC 3339" in done.stderr


def test_a_policy_with_a_mistake_is_refused_before_anything_is_written(
    latido: Latido, tmp_path: Path
) -> None:
    file = other_policy(tmp_path)
    file.write_text(file.read_text().replace("grace_s: 120", "grace_s: -1"))
    one_message(latido("policy", "activate", str(file), broker=NOBODY), "grace_s", "line 6")


@pytest.mark.kafka
def test_a_halt_that_is_none_is_refused_with_those_there_are(
    latido: Latido, application: dict[str, Any]
) -> None:
    one_message(
        latido("dead-letters", "resume", "logins", "1", **application),
        "logins of partition 1 is not halted",
        "none",
    )
    assert written(application) == []


# --- what is written -----------------------------------------------------------------------------------------------


@pytest.mark.kafka
def test_commands_write_records_that_workers_can_follow(
    latido: Latido, application: dict[str, Any], tmp_path: Path
) -> None:
    at = str(START_MS)
    first = latido("policy", "activate", str(ONE), "--at", at, "--author", "kim", **application)
    assert (
        "takes hold at 2026-03-01T00:00:00.000Z, after LATIDO_POLICY of each worker (here default)"
        in first.stdout
    )
    assert "new models (retention)" in first.stdout.replace("\n", " ")
    second = latido("policy", "activate", str(other_policy(tmp_path)), **application)
    assert "after 'retention_only 1 2026-03-01T00:00:00.000Z'" in second.stdout
    assert "(none)" in second.stdout
    assert (
        "from 2026-03-01T00:00:00.000Z on no alert begins"
        in latido("alerts", "pause", "--at", at, **application).stdout
    )
    assert (
        "what is still open then is told then"
        in latido("alerts", "go-live", "--at", at, **application).stdout
    )
    seen = written(application)
    records = [read_control(ControlLine(each.offset, each.key, each.value)) for each in seen]
    assert [type(record).__name__ for record in records] == [
        "ActivatePolicy",
        "ActivatePolicy",
        "Pause",
        "GoLive",
    ]
    assert records[0].author == "kim"
    body = json.loads(seen[0].value or b"")
    assert body["hash"] == content_hash(body["policy"], body["models"])
    listed = latido("control", "list", **application).stdout.splitlines()
    assert [line.split()[0].partition(":")[0] for line in listed[1:]] == [
        "policy",
        "policy",
        "pause",
        "go_live",
    ]
    assert listed[1].split()[-4:] == ["kim", "not", "heard", "yet"]
    skew = other_policy(tmp_path)
    skew.write_text(skew.read_text().replace("max_future_skew_s: 300", "max_future_skew_s: 10"))
    one_message(latido("policy", "activate", str(skew), **application), "max_future_skew_s is 10, and 300")
    assert len(written(application)) == len(seen)


@pytest.mark.kafka
def test_a_key_that_is_not_there_is_refused_with_those_near_it_and_what_is_withdrawn_is_so_once(
    latido: Latido, application: dict[str, Any]
) -> None:
    one_message(
        latido("control", "withdraw", "pause:x", **application),
        "no record 'pause:x'",
        "the topic holds nothing",
    )
    assert "holds nothing" in latido("control", "list", **application).stdout
    latido("alerts", "pause", "--at", "2026-03-01T00:00:00Z", "--author", "a\x1b[31mb", **application)
    latido("alerts", "go-live", "--at", str(START_MS), **application)
    near = latido("control", "withdraw", "pause:2026-03-01", **application)
    one_message(near, "Nearest to it: 'pause:2026-03-01T00:00:00.000Z'.", "`latido control list`")
    assert "go_live" not in near.stderr
    assert "\x1b" not in latido("control", "list", **application).stdout
    assert len(written(application)) == 2
    key = "pause:2026-03-01T00:00:00.000Z"
    said = latido("control", "withdraw", key, **application)
    assert said.stdout.startswith(
        f"withdrawn: {key}. No partition has committed anything as of its instant: it will not"
    )
    last = written(application)[-1]
    assert (last.key, last.value) == (key.encode(), None)
    assert "was withdrawn already" in latido("control", "withdraw", key, **application).stdout
    assert len(written(application)) == 3
    again = [
        json.loads(line) for line in latido("control", "list", "--json", **application).stdout.splitlines()
    ]
    assert [(line["kind"], line["withdrawn"]) for line in again] == [("pause", True), ("go_live", False)]
    latido("alerts", "pause", "--at", "2026-03-01T00:00:00Z", **application)
    assert "will not count" in latido("control", "withdraw", key, **application).stdout


@pytest.mark.kafka
def test_of_a_join_that_is_withdrawn_it_is_told_what_is_lost_and_those_of_others_are_not_shown(
    latido: Latido, application: dict[str, Any]
) -> None:
    settings = Settings.model_validate(application)
    for name in (settings.application_id, "another"):
        join = JoinAccount(
            id=name, application=name, effective_at=START_MS, into="new", old="old", row=b"", layout=b""
        )
        write_control(settings, join)
    key = f"join:{settings.application_id}"
    rows = latido("control", "list", **application).stdout.splitlines()[1:]
    assert [row.split()[0] for row in rows] == [key]
    said = latido("control", "withdraw", key, **application).stdout
    assert "What was kept of 'old' is lost then: 'new' does not take it in" in said
    one_message(latido("control", "withdraw", "join:another", **application), "no record 'join:another'")
