"""What `latido explain` says of an account, held against the replay of the same events.

events of the recording      present                  the same recording, replayed until then
------x--x-x-x-----x---------|- - - - - - - - - - - -|
told: nothing but time  = written by the replay with --until
told: a log-in          = written by the replay with that log-in
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from confluent_kafka import Producer

from agents.account_state import AccountState, from_changelog, from_files
from agents.beside import LAYOUT
from agents.changelog import HOLDS, holder_key
from agents.cli import main
from agents.explain import explain
from agents.explain_text import explanation_text, why_text
from agents.explanation import ComponentTold
from agents.program import load_program, speaking
from agents.replay import fold_files, replay_files
from agents.settings import Settings
from agents.simulation import Company, Rates, Span
from agents.simulation.lines import recorded_line
from agents.topics import create_topics
from schemas.control import content_hash
from schemas.errors import AccountError, StateError
from schemas.words_en import ENGLISH
from schemas.words_es import SPANISH
from streams.instants import instant_text
from streams.layout import TYPES
from streams.migration import describe
from streams.murmur import partition_of
from tests.core.conftest import START_MS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agents.explanation import Explanation, ModelTold
    from agents.partition import Partition
    from streams.plan import Program
    from tests.servers.kafka import KafkaServer
    from tests.shell.conftest import Latido

POLICY = """\
policy: mine
version: 2
models: [retention, health]
activity: [login, page_visit]
rules:
  silence: {}
  absolute_silence: {days: 30}
  risk_page: {}
"""
DAYS = 60
DAY_MS = 86_400_000
START = datetime(2026, 3, 1, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policy") / "mine.yaml"
    path.write_text(POLICY)
    return path


@pytest.fixture(scope="module")
def program(policy: Path) -> Program:
    return load_program(str(policy))


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the recording of a small company."""
    span = Span(seed=7, accounts=10, start_ms=START_MS, days=45, volume=0.1, rates=Rates(8.0, 4.0, 0.1))
    path = tmp_path_factory.mktemp("company") / "company.jsonl"
    path.write_bytes(b"".join(recorded_line(event).rstrip(b"\n") + b"\n" for event in Company(span)))
    return path


def accounts_of(recording: Path) -> list[str]:
    return sorted({json.loads(line)["account_id"] for line in recording.read_text().splitlines()})


def replayed(
    recordings: list[Path], program: Program, out: Path, until_ms: int
) -> dict[str, list[dict[str, Any]]]:
    """Return the messages of a replay by account, as they follow each other."""
    replay_files(recordings, program, partitions=1, until_ms=until_ms, out=out)
    found: dict[str, list[dict[str, Any]]] = {}
    for name in ("score-changes", "disengagements", "opportunities"):
        for line in (out / f"{name}.jsonl").read_text().splitlines():
            message = json.loads(line)
            found.setdefault(message["account_id"], []).append(message)
    return found


def by_id(messages: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {message.get("change_id") or message["alert_id"]: message for message in messages}


def facts_line(day: int, facts: dict[str, Any]) -> dict[str, Any]:
    """Return facts told of the account some days after the start."""
    at = (START + timedelta(days=day)).isoformat()
    return {"type": "facts", "event_id": "f", "account_id": "acme", "occurred_at": at, "facts": facts}


def test_what_comes_without_any_event_is_what_the_replay_writes(
    company: Path, program: Program, tmp_path: Path
) -> None:
    end_ms = fold_files([company], program).merge.largest_ms
    written = replayed([company], program, tmp_path, end_ms + DAYS * DAY_MS)
    comes = 0
    for account in accounts_of(company):
        state = from_files([company], program, account)
        told, until = explain(state, DAYS), instant_text(state.present_ms + DAYS * DAY_MS)
        expected = [m for m in written.get(account, []) if told.committed_at < m["effective_at"] <= until]
        messages = [step.message for step in told.without_any_event]
        assert by_id(messages) == by_id(expected), account
        assert [m["effective_at"] for m in messages] == sorted(m["effective_at"] for m in messages)
        comes += len(messages)
    assert comes > 20, "a company in which nothing comes shows nothing"


def test_what_a_log_in_would_change_is_what_the_replay_writes_with_it(
    company: Path, program: Program, tmp_path: Path
) -> None:
    moved, end_ms = 0, fold_files([company], program).merge.largest_ms
    for account in accounts_of(company)[:6]:
        state = from_files([company], program, account)
        told, present_ms = explain(state, DAYS), state.present_ms
        line = {
            "type": "login", "event_id": "if", "account_id": account, "occurred_at": present_ms, "success": True,
        }  # fmt: skip
        (tmp_path / "log-in.jsonl").write_text(json.dumps(line))
        written = replayed([company, tmp_path / "log-in.jsonl"], program, tmp_path, end_ms)[account]
        expected = [m for m in written if m["effective_at"] == instant_text(present_ms)]
        messages = by_id([step.message for step in told.if_active_now.messages])
        for message in [*expected, *messages.values()]:
            if "cause" in message:
                del message["cause"]["offset"]
        assert messages == by_id(expected), account
        moved += len(expected)
    assert moved > 0, "a log-in that changes nothing anywhere shows nothing"


def test_the_parts_add_up_to_the_score(company: Path, program: Program) -> None:
    for account in accounts_of(company):
        for model in explain(from_files([company], program, account), 1).models:
            present = [part for part in model.components if part.points is not None]
            if model.band == "not_applicable":
                assert (model.weight_present, model.coverage, model.score) == (0, 0, None)
                continue
            assert model.weight_present == sum(part.weight for part in present)
            assert round(model.coverage * model.denominator) == model.weight_present
            assert all((part.missing is None) is (part.points is not None) for part in model.components)
            if model.score is not None:
                contributions = [part.contribution for part in present]
                assert round(sum(c for c in contributions if c is not None), 3) == model.score
                mean = sum(part.weight * (part.points or 0) for part in present) / model.weight_present
                assert abs(mean - model.score) <= 0.001


# A log-in a day for 60 days, then ten days of nothing but a ticket of another account: the clock goes on.


def recording(tmp_path: Path, more: list[dict[str, Any]] | None = None, days: int = 60) -> Path:
    events: list[dict[str, Any]] = [
        {"type": "login", "event_id": f"e{day}", "account_id": "acme", "success": True, "user_id": "u",
         "occurred_at": (START + timedelta(days=day)).isoformat()}
        for day in range(days)
    ]  # fmt: skip
    end = (START + timedelta(days=69, hours=6)).isoformat()
    last = {"type": "ticket", "event_id": "t", "account_id": "other", "ticket_id": "1", "action": "opened"}
    events.append(last | {"occurred_at": end, "received_at": end})
    path = tmp_path / "acme.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in [*events, *(more or [])]))
    return path


@pytest.fixture
def told(program: Program, tmp_path: Path) -> Explanation:
    return explain(from_files([recording(tmp_path)], program, "acme"), 40)


def test_the_account_and_its_instants_are_told(told: Explanation) -> None:
    assert (told.account_id, told.kind, told.time_zone) == ("acme", "customer", "UTC")
    assert (told.policy, told.policy_version) == ("mine", 2)
    assert told.last_active_at == "2026-04-29T09:00:00.000Z"
    assert told.now == "2026-05-09T14:58:00.000Z"


def test_a_component_tells_its_metric_in_its_unit_and_what_is_missing(told: Explanation) -> None:
    parts = {part.name: part for model in told.models for part in model.components}
    trend = parts["activity_trend"]
    assert (trend.metric, trend.unit) == ("activity in 28 days against the 28 days before", "1")
    assert trend.value == round(18 / 28, 3)
    assert (parts["usage"].value, parts["usage"].unit) == (18, "days")
    assert parts["own_rhythm"].unit == "usual gaps"
    assert parts["own_rhythm"].value is not None
    assert parts["nps"].value is None
    assert parts["nps"].missing == "the fact 'nps' is not told, or has expired"


def test_values_are_those_of_now_and_not_of_the_last_change(program: Program, tmp_path: Path) -> None:
    end = (START + timedelta(days=300)).isoformat()
    later = [{
        "type": "ticket", "event_id": "t2", "account_id": "other", "ticket_id": "2", "action": "opened",
        "occurred_at": end, "received_at": end,
    }]  # fmt: skip
    told = explain(from_files([recording(tmp_path, later)], program, "acme"), 1)
    (rhythm,) = (part for part in told.models[0].components if part.name == "own_rhythm")
    assert isinstance(rhythm.value, float)
    assert told.committed_at < "2026-12-01"
    assert rhythm.value > 190


def test_facts_are_told_and_raise_coverage(program: Program, tmp_path: Path) -> None:
    at = (START + timedelta(days=50)).isoformat()
    facts = [
        {"type": "facts", "event_id": "f", "account_id": "acme", "occurred_at": at,
         "facts": {"nps": 20, "goals_pct": 70, "kind": "customer"}},
    ]  # fmt: skip
    told = explain(from_files([recording(tmp_path, facts)], program, "acme"), 1)
    _, health = told.models
    assert (health.weight_present, health.denominator) == (56, 100)
    assert health.score is not None
    (nps,) = (part for part in health.components if part.name == "nps")
    assert (nps.value, nps.unit, nps.points) == (20, "-100..100", 66)
    (requests,) = (part for part in health.components if part.name == "feature_requests")
    assert requests.missing == "nothing of it was seen yet, or the account is known for less than 84 days"


def test_manual_judgement_is_told_beside_the_evidence(program: Program, tmp_path: Path) -> None:
    facts = [facts_line(50, {"override.retention": 10})]
    told = explain(from_files([recording(tmp_path, facts)], program, "acme"), 1)
    assert told.models[0].score == 10
    contributions = [part.contribution or 0 for part in told.models[0].components]
    assert told.models[0].override == round(10 - sum(contributions), 3)
    assert "manual judgement adds -" in explanation_text(told, ENGLISH)


def test_the_days_are_those_of_the_account(program: Program, tmp_path: Path) -> None:
    facts = [facts_line(1, {"time_zone": "Asia/Tokyo"})]
    told = explain(from_files([recording(tmp_path, facts)], program, "acme"), 40)
    assert told.time_zone == "Asia/Tokyo"
    assert {step.effective_at[11:] for step in told.without_any_event} == {"15:00:00.000Z"}


def test_an_open_episode_is_told_in_sentences_and_a_log_in_ends_it(told: Explanation) -> None:
    (episode,) = told.episodes
    assert (episode.topic, episode.severity) == ("disengagements", "warning")
    assert episode.sentences[0].startswith("Usually active every 1-2 days; last seen 8 days ago.")
    assert [
        step.message["status"] for step in told.if_active_now.messages if step.topic == "disengagements"
    ] == ["resolved"]
    (retention, _) = told.if_active_now.scores
    assert (retention.old_score or 0) < (retention.new_score or 0)


def test_the_next_alert_comes_later_after_a_log_in(told: Explanation) -> None:
    alerts = [step for step in told.without_any_event if step.topic == "disengagements"]
    assert [alert.message["status"] for alert in alerts] == ["escalated"]
    assert told.if_active_now.next_alert_at_without == alerts[0].effective_at
    assert told.if_active_now.next_alert_at is not None
    assert told.if_active_now.next_alert_at < alerts[0].effective_at, (
        "a new silence is told long before the cap"
    )


def test_what_the_workers_have_not_told_yet_is_due_already(program: Program, tmp_path: Path) -> None:
    """The state is that of the recording's end, two days after the last log-in; now is 13 days later."""
    state = from_files([recording(tmp_path, days=68)], program, "acme")
    late = state._replace(present_ms=state.present_ms + 13 * DAY_MS)
    told, soon = explain(late, 40), explain(state, 53)
    assert told.without_any_event == soon.without_any_event
    alerts = [step for step in told.without_any_event if step.topic == "disengagements"]
    assert [alert.effective_at <= told.now for alert in alerts] == [True, False]
    assert told.if_active_now.next_alert_at_without == alerts[1].effective_at
    assert soon.if_active_now.next_alert_at_without == alerts[0].effective_at
    assert len(told.episodes) == 1, "the episode is open by now"
    text = explanation_text(told, ENGLISH)
    assert f"{alerts[0].effective_at} (due already)  disengagements firing" in text
    assert f"{alerts[1].effective_at}  disengagements escalated" in text


def test_explaining_changes_nothing(program: Program, tmp_path: Path) -> None:
    state = from_files([recording(tmp_path)], program, "acme")
    assert explain(state, 40) == explain(state, 40)


def test_the_text_tells_all_of_it(told: Explanation) -> None:
    text = explanation_text(told, ENGLISH)
    assert text.startswith("acme: customer, days of UTC; last active 2026-04-29T09:00:00.000Z\n")
    assert "now is 2026-05-09T14:58:00.000Z" in text
    assert (
        f"Retention version 1: {told.models[0].score:g} {told.models[0].band}, coverage 100/100\nLoses most by: "
        in text
    )
    (line,) = (line for line in text.splitlines() if line.startswith("activity_trend "))
    assert "activity in 28 days against the 28 days before" in line
    assert line.split()[-5:-2] == ["64.3", "%", f"{told.models[0].components[1].points:g}"]
    assert "open in disengagements since " in text
    assert "without any event, in the next 40 days:" in text
    (first, *_) = told.without_any_event
    assert f"  {first.effective_at}  Retention " in text
    assert re.search(r"activity \d\S* % -> \d\S* % in 28 days against the 28 days before \(-", text)
    assert "if it logged in now (2026-05-09T14:58:00.000Z):" in text
    assert "goes out: disengagements resolved (warning): Resolved (" in text


def test_it_is_told_in_spanish_too_and_only_the_words_differ(
    told: Explanation, program: Program, tmp_path: Path
) -> None:
    spanish = explain(from_files([recording(tmp_path)], speaking(program, "es"), "acme"), 40)
    assert (told.language, spanish.language) == ("en", "es")
    assert [figures(model) for model in spanish.models] == [figures(model) for model in told.models]
    assert [step.effective_at for step in spanish.without_any_event] == [
        step.effective_at for step in told.without_any_event
    ]
    text = explanation_text(spanish, SPANISH)
    assert text.startswith("acme: cliente, días de UTC; última actividad: 2026-04-29T09:00:00.000Z\n")
    assert "Pierde sobre todo por: " in text
    assert "actividad en 28 días frente a los 28 días anteriores: 64,3 % (" in text
    assert "  Retención " in text
    assert "abierto en disengagements desde " in text
    assert "sin ningún evento, en los próximos 40 días:" in text
    assert (
        "sale: disengagements se resuelve (advertencia): Resuelto (se vio actividad). Era: Suele estar activa "
        in text
    )
    english = {
        "Retention",
        "log-in",
        "activity",
        "days",
        "Loses",
        "without",
        "The score",
        "Usually",
        "points",
    }
    assert {word for word in english if word in text.replace("activity_trend", "")} == set()


def figures(model: ModelTold) -> list[object]:
    parts = [(part.name, part.value, part.points, part.contribution) for part in model.components]
    return [model.model, model.score, model.band, model.coverage, parts]


def test_the_language_is_an_option_of_the_command(policy: Path, tmp_path: Path) -> None:
    arguments = [
        "explain",
        "acme",
        "--policy",
        str(policy),
        "--days",
        "1",
        "--files",
        str(recording(tmp_path)),
    ]
    assert "acme: customer, days" in CliRunner().invoke(main, arguments).output
    done = CliRunner().invoke(main, [*arguments[:2], "--language", "es", *arguments[2:]])
    assert "acme: cliente, días" in done.output
    policy.with_name("es.yaml").write_text(policy.read_text() + "language: es\n")
    arguments[3] = str(policy.with_name("es.yaml"))
    assert "acme: cliente, días" in CliRunner().invoke(main, arguments).output


def test_the_language_is_that_of_the_option_also_under_a_policy_that_took_hold(
    program: Program, policy: Path, tmp_path: Path
) -> None:
    taken = program.policy.model_copy(update={"policy": "taken", "version": 3}).model_dump(mode="json")
    models = [model.model_dump(mode="json", by_alias=True) for model in program.models]
    at = (START + timedelta(days=50)).isoformat()
    control = {
        "type": "control", "kind": "policy", "id": "one", "effective_at": at, "policy": taken, "models": models,
        "hash": content_hash(taken, models),
    }  # fmt: skip
    path = recording(tmp_path, [control])
    arguments = ["--policy", str(policy), "--language", "es", "--days", "1", "--files", str(path)]
    done = CliRunner().invoke(main, ["explain", "acme", *arguments])
    assert "política taken versión 3" in done.output
    assert "Pierde sobre todo por: " in done.output


def component(
    name: str, weight: int, points: float | None, value: float | str = 1, unit: str = ""
) -> ComponentTold:
    return ComponentTold(
        name=name, dimension="d", metric=name, value=value, unit=unit, points=points, weight=weight, contribution=points,
        missing=None if points is not None else "untold",
    )  # fmt: skip


def test_what_costs_most_goes_by_weight_and_missing_points_and_what_holds_up_is_above_the_middle() -> None:
    parts = [
        component("a", 10, 60, 0.25, "1"),  # costs 400
        component("b", 50, 90.25, "yes"),  # costs 487.5
        component("c", 5, 10),  # costs 450
        component("d", 1, 10),  # costs 90: the fourth, and below the middle
        component("e", 90, None),
        component("f", 2, 100, 1.0, "usual gaps"),  # costs nothing, gives 200
        component("g", 3, 100, 2.5, "usual gaps"),  # gives 300
    ]
    assert why_text(parts, (0, 100), ENGLISH) == (
        "Loses most by: b: yes (90.2 of 100 points); c: 1 (10 of 100 points); a: 25 % (60 of 100 points). "
        "Held up by: g: 2.5 times (100 of 100 points); f: 1 time (100 of 100 points)."
    )
    assert why_text(parts[5:], (0, 100), ENGLISH).startswith("Held up by: g: ")
    assert (
        why_text([component("d", 1, 1)], (1, 10), SPANISH) == "Pierde sobre todo por: d: 1 (1 de 10 puntos)."
    )


def test_a_halted_partition_is_told(program: Program, tmp_path: Path) -> None:
    paid = {
        "type": "payment", "event_id": "p", "account_id": "acme", "payment_id": "1", "status": "succeeded",
        "amount_minor": 1, "currency": "EUR", "occurred_at": (START + timedelta(days=40)).isoformat(),
    }  # fmt: skip
    bad: list[dict[str, Any]] = [paid, *({"type": "payment", "account_id": "acme"} for _ in range(100))]
    told = explain(from_files([recording(tmp_path, bad)], program, "acme"), 1)
    assert told.halted_by == "payments"
    assert "payments has halted this partition" in explanation_text(told, ENGLISH)


def test_a_policy_without_log_ins_says_that_they_are_no_activity(policy: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(policy.read_text().replace("[login, page_visit]", "[page_visit]"))
    told = explain(from_files([recording(tmp_path)], load_program(str(other)), "acme"), 1)
    assert not told.if_active_now.is_activity
    assert "does not count a log-in as activity" in explanation_text(told, ENGLISH)


# -- the command ------------------------------------------------------------------------------------------------------


def test_the_command_reads_files_and_writes_json(latido: Latido, policy: Path, tmp_path: Path) -> None:
    file = recording(tmp_path, days=20)
    done = latido("explain", "acme", "--json", "--days", "5", "--files", str(file), policy=policy)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert (told["account_id"], told["days_ahead"]) == ("acme", 5)
    assert [model["model"] for model in told["models"]] == ["retention", "health"]


def test_an_account_that_is_in_no_file_is_told(latido: Latido, policy: Path, tmp_path: Path) -> None:
    done = latido("explain", "ACME", "--files", str(recording(tmp_path, days=3)), policy=policy)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "latido: no event of 'ACME' was taken from " in done.stderr
    assert "2 other accounts are there" in done.stderr


def test_an_account_of_which_nothing_was_taken_is_told(program: Program, tmp_path: Path) -> None:
    bad = [{"type": "payment", "account_id": "acme"} for _ in range(100)]
    with pytest.raises(AccountError, match=r"no event of 'acme' was taken.*halted by bad payments"):
        from_files([recording(tmp_path, bad)], program, "acme")


@pytest.mark.parametrize("arguments", [["acme", "{file}"], ["acme", "--files"]])
def test_files_are_named_after_the_option(tmp_path: Path, arguments: list[str]) -> None:
    named = [argument.format(file=recording(tmp_path)) for argument in arguments]
    done = CliRunner().invoke(main, ["explain", *named])
    assert done.exit_code == 2
    assert "latido explain ACCOUNT --files FILE..." in done.output


# -- from the state of the workers ------------------------------------------------------------------------------------


class Committed:
    """An application whose account table holds what a worker writes of a recording."""

    def __init__(self, kafka: KafkaServer, name: str, folder: Path, partitions: int) -> None:
        self.settings = Settings(
            broker=kafka.broker, topic_prefix=f"{name}-", application_id="app", datadir=folder
        )
        create_topics(self.settings, partitions=partitions, replication=1)

    def write(self, machine: Partition, partition: int, *, commit: bool = True) -> None:
        """Write what a drain of the machine leaves to commit, and holder keys, in one transaction."""
        rows, layout = machine.accounts.existing(), machine.accounts.program.layout
        pairs: list[tuple[bytes, bytes | None]] = [
            (holder_key("w1"), HOLDS),
            *machine.accounts.packed(np.array(rows, np.int64)).pairs(),
            (b"\0meta", b'{"partitions":%d}' % machine._beside._partitions),
            (LAYOUT + layout.fingerprint, describe(layout)),
            (holder_key("w1"), None),
        ]
        producer = Producer({"bootstrap.servers": self.settings.broker, "transactional.id": "w1"})
        producer.init_transactions(20)
        producer.begin_transaction()
        for key, value in pairs:
            producer.produce(f"{self.settings.topic_prefix}app-accounts-changelog", value, key, partition)
        end = producer.commit_transaction if commit else producer.abort_transaction
        producer.flush(20)
        end(20)


@pytest.fixture
def committed(kafka: KafkaServer, tmp_path: Path) -> Callable[[int], Committed]:
    def made(partitions: int) -> Committed:
        return Committed(kafka, tmp_path.name.replace("_", "-"), tmp_path, partitions)

    return made


def account(state: AccountState) -> object:
    """Return everything that is known of the account; the bytes between its cells mean nothing."""
    accounts = state.machine().accounts
    return [getattr(accounts.cells, name)[0].tolist() for name in TYPES], accounts.cold, accounts.names


@pytest.mark.kafka
def test_the_committed_state_is_that_of_the_recording(
    committed: Callable[[int], Committed], program: Program, company: Path, tmp_path: Path
) -> None:
    """The latest committed row counts: neither an older one nor one of a transaction that was aborted."""
    application = committed(1)
    application.write(fold_files([recording(tmp_path)], program), 0)
    application.write(fold_files([company], program), 0)
    newer = [
        {"type": "login", "event_id": "n", "account_id": accounts_of(company)[0], "success": True,
         "occurred_at": "2026-05-01T00:00:00Z"}
    ]  # fmt: skip
    application.write(fold_files([company, recording(tmp_path, newer)], program), 0, commit=False)
    for name in [*accounts_of(company), "acme"]:
        found = from_changelog(application.settings, program, name)
        source = recording(tmp_path) if name == "acme" else company
        assert account(found) == account(from_files([source], program, name))


@pytest.mark.kafka
def test_the_command_explains_a_committed_account(
    committed: Callable[[int], Committed], program: Program, policy: Path, latido: Latido, tmp_path: Path
) -> None:
    application = committed(5)
    home = partition_of(b"acme", 5)
    machine = fold_files([recording(tmp_path)], program)
    machine._beside._partitions = 5
    application.write(machine, home)
    where = {name: value for name, value in application.settings if value is not None} | {"policy": policy}
    done = latido("explain", "acme", **where)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"partition {home} of 5, policy mine version 2; now is {datetime.now(UTC):%Y-%m-%d}" in done.stdout
    missing = latido("explain", "nobody", **where)
    assert missing.returncode == 2
    assert "latido: account 'nobody' is not in the account table" in missing.stderr
    assert "LATIDO_APPLICATION_ID" in missing.stderr


@pytest.mark.kafka
def test_state_of_another_partition_count_is_refused(
    committed: Callable[[int], Committed], program: Program, tmp_path: Path
) -> None:
    application = committed(4)
    application.write(fold_files([recording(tmp_path)], program), partition_of(b"acme", 4))
    with pytest.raises(StateError, match="written for 1 partitions, the input topics have 4 now"):
        from_changelog(application.settings, program, "acme")


@pytest.mark.kafka
def test_state_that_was_written_under_other_models_is_explained_under_those_in_force(
    committed: Callable[[int], Committed], program: Program, tmp_path: Path
) -> None:
    application, default = committed(1), load_program("default")
    application.write(fold_files([recording(tmp_path)], program), 0)
    told = explain(from_changelog(application.settings, default, "acme"), 1)
    assert [model.model for model in told.models] == ["retention", "adoption", "health"]
    missing = {part.name: part.missing for model in told.models for part in model.components}
    assert missing["first_use"] == (
        "it is warming up: since policy or models changed, not every day of it is known yet"
    )
    assert missing["nps"] == "the fact 'nps' is not told, or has expired"
