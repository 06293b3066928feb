from __future__ import annotations

import gzip
import subprocess
import sys
import time
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from confluent_kafka.cimpl import NewPartitions

from agents.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.kafka import KafkaServer
    from tests.shell.conftest import Latido

NOBODY = "127.0.0.1:1"


def one_message(done: subprocess.CompletedProcess[str], *said: str) -> None:
    """Check that an operating error was told in one message, and how the process ended."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("latido: ") == 1
    for part in said:
        assert part in done.stderr


@pytest.mark.parametrize(
    "command", [["worker"], ["topics", "check"], ["topics", "create", "--partitions", "4"]]
)
def test_an_unreachable_broker_is_told_soon(latido: Latido, tmp_path: Path, command: list[str]) -> None:
    began = time.monotonic()
    done = latido(*command, broker=NOBODY, datadir=tmp_path)
    one_message(done, f"no broker answers at {NOBODY}", "set LATIDO_BROKER")
    assert time.monotonic() - began < 12


@pytest.mark.parametrize(
    "command", [["worker"], ["config"], ["warm"], ["topics", "check"], ["models", "list"], ["doctor"]]
)
def test_wrong_settings_are_told_by_every_command(latido: Latido, command: list[str]) -> None:
    one_message(latido(*command, broker="kafka"), "LATIDO_BROKER='kafka'", "Mend each")


def test_a_worker_needs_a_data_folder(latido: Latido, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    one_message(latido("worker", datadir=tmp_path / "file"), "data folder", "Set LATIDO_DATADIR")


@pytest.mark.kafka
def test_a_worker_without_topics_names_them_and_the_command(
    latido: Latido, kafka: KafkaServer, tmp_path: Path
) -> None:
    done = latido("worker", broker=kafka.broker, topic_prefix="nothing-", datadir=tmp_path)
    one_message(done, "missing topics", "nothing-logins", "Run: latido topics create --partitions N")


@pytest.mark.kafka
def test_a_worker_with_unequal_partition_counts_says_so(
    latido: Latido, kafka: KafkaServer, tmp_path: Path
) -> None:
    where = {"broker": kafka.broker, "topic_prefix": "unequal-", "datadir": tmp_path}
    created = latido("topics", "create", "--partitions", "2", **where)
    assert "all topics fit, 2 partitions" in created.stdout
    admin = kafka.admin()  # its answers end with it
    admin.create_partitions([NewPartitions("unequal-logins", 3)])["unequal-logins"].result(20)
    one_message(
        latido("worker", **where), "partition counts differ", "unequal-logins 3", "latido topics check"
    )


@pytest.mark.kafka
def test_a_worker_with_a_broken_policy_or_model_says_so_before_it_joins(
    latido: Latido, kafka: KafkaServer, tmp_path: Path
) -> None:
    where = {"broker": kafka.broker, "topic_prefix": "broken-", "datadir": tmp_path}
    latido("topics", "create", "--partitions", "1", **where)
    policy = tmp_path / "mine.yaml"
    policy.write_text("policy: mine\nversion: 1\nmodels: [ours]\nactivity: [login, dancing]\n")
    message = latido("worker", policy=policy, **where)
    assert message.returncode == 2
    assert "line 4: activity.1: unknown activity 'dancing'; known: login" in message.stderr
    assert "Traceback" not in message.stderr
    policy.write_text("policy: mine\nversion: 1\nmodels: [ours]\nactivity: [login]\n")
    (tmp_path / "ours.yaml").write_text("model: ours\nversion: one\n")
    message = latido("worker", policy=policy, **where)
    assert message.returncode == 2
    assert "line 2: version: " in message.stderr
    assert "joining" not in message.stderr
    assert "Traceback" not in message.stderr


def test_a_broken_policy_is_told_with_every_mistake_and_its_line(latido: Latido, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("policy: mine\nversion: 1\nmodels: [retention]\nactivity: [dancing]\ngrace_s: -1\n")
    done = latido("policy", "check", str(path))
    one_message(done, "2 mistake(s)", "line 4: activity", "line 5: grace_s")


def test_a_broken_model_is_told_with_its_line(latido: Latido, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("model: mine\nversion: 0\n")
    one_message(latido("models", "check", str(path)), str(path), "line 2: version")


def test_a_file_that_is_no_yaml_is_told(latido: Latido, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("model: [\n")
    one_message(latido("models", "check", str(path)), "not a YAML file")


def test_a_good_policy_says_its_models_and_the_bytes_of_a_row(latido: Latido) -> None:
    done = latido("policy", "check", "default")
    assert (done.returncode, done.stderr) == (0, "")
    assert "models retention" in done.stdout
    assert "bytes a row" in done.stdout


def test_a_replay_with_an_unknown_model_says_where_to_put_it(latido: Latido, tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text("")
    (tmp_path / "mine.yaml").write_text("policy: mine\nversion: 1\nmodels: [ours]\nactivity: [login]\n")
    (tmp_path / "models").mkdir()
    arguments = [
        str(tmp_path / "events.jsonl"),
        "--out",
        str(tmp_path / "out"),
        "--policy",
        str(tmp_path / "mine.yaml"),
    ]
    one_message(latido("replay", *arguments, models_dir=tmp_path / "models"), "'ours'", "LATIDO_MODELS_DIR")


def test_a_replay_into_a_folder_that_cannot_be_made_says_so(latido: Latido, tmp_path: Path) -> None:
    recording = tmp_path / "events.jsonl"
    recording.write_text("")
    done = latido("replay", str(recording), "--out", str(recording / "results"))
    one_message(done, f"the folder {str(recording / 'results')!r} cannot be made")


def test_a_replay_takes_a_model_from_the_folder_of_models(latido: Latido, tmp_path: Path) -> None:
    shipped = files("schemas").joinpath("models", "retention.yaml").read_text()
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "ours.yaml").write_text(shipped.replace("model: retention", "model: ours"))
    (tmp_path / "mine.yaml").write_text("policy: mine\nversion: 1\nmodels: [ours]\nactivity: [login]\n")
    (tmp_path / "events.jsonl").touch()
    out = tmp_path / "out"
    done = latido(
        "replay",
        str(tmp_path / "events.jsonl"),
        "--out",
        str(out),
        policy=tmp_path / "mine.yaml",
        models_dir=tmp_path / "models",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (out / "score-changes.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cdnow", "{folder}/cdnow.txt", "--out", "{folder}/no/such/x.jsonl"], "existing folder"),
        (["cdnow", "{folder}/cdnow.txt", "--out", "/dev/full"], "'/dev/full': No space left on device"),
        (["collegemsg", "{folder}/cdnow.txt", "--out", "{folder}/x"], "line 1 is not one of CollegeMsg"),
        (["collegemsg", "{folder}/torn.csv.gz", "--out", "{folder}/x"], "torn.csv.gz': "),
        (["fetch", "cdnow", "--into", "{folder}/cdnow.txt/data"], "cannot be written"),
    ],
)
def test_what_cannot_be_converted_is_told(
    latido: Latido, tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "cdnow.txt").write_text("00001 19970101  1   11.77\n")
    torn = bytearray(gzip.compress(b"1,2,4/15/04 2:56 PM"))
    torn[10] = 0xFF
    (tmp_path / "torn.csv.gz").write_bytes(torn)
    one_message(latido("convert", *(part.format(folder=tmp_path) for part in arguments)), said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cdnow", "no-such-file", "--out", "x"], "'no-such-file' does not exist"),
        (["fetch", "netflix"], "'netflix' is not one of 'cdnow', 'collegemsg'"),
        (["netflix"], "No such command 'netflix'"),
    ],
)
def test_a_set_or_file_that_is_not_there_is_told_with_the_usage(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(main, ["convert", *arguments])
    assert done.exit_code == 2
    assert said in done.output


@pytest.mark.parametrize("until", ["yesterday", "2026-01-01T00:00:00", "-5", "99999999999999999999", "5e3"])
def test_an_instant_that_is_none_is_told(until: str, tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").touch()
    done = CliRunner().invoke(
        main, ["replay", str(tmp_path / "events.jsonl"), "--until", until, "--out", "o"]
    )
    assert done.exit_code == 2
    assert f"{until!r} is neither RFC 3339 with a zone" in done.output


def test_config_says_each_value_and_where_it_comes_from_but_no_secret(latido: Latido) -> None:
    done = latido("config", redis_url="redis://user:hunter2@host", brokr="x")
    lines = done.stdout.splitlines()
    assert any(line.startswith("LATIDO_BROKER=127.0.0.1:9092  # default: ") for line in lines)
    assert any(line.startswith("LATIDO_REDIS_URL=**********  # environment: ") for line in lines)
    assert "hunter2" not in done.stdout + done.stderr
    assert "LATIDO_BROKR is set but is no setting; did you mean LATIDO_BROKER?" in done.stderr


def test_the_version_is_told() -> None:
    assert CliRunner().invoke(main, ["version"]).output.startswith("latido ")


def test_help_waits_for_no_compiler_and_no_kafka_framework() -> None:
    heavy = "sorted({'numba', 'faust', 'aiokafka', 'prometheus_client'} & set(sys.modules))"
    code = f"import sys, agents.cli; sys.exit(str({heavy}) if {heavy} else 0)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
