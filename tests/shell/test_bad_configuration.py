"""Bad configuration: one clear message that shows the value and says what to do, exit code 2, no traceback."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agents.program import load_program
from schemas import model_file, policy

if TYPE_CHECKING:
    from tests.servers.kafka import KafkaServer

MODEL = Path(model_file.__file__).parent / "models/retention.yaml"
POLICY = Path(policy.__file__).parent / "policies/default.yaml"


def latido(*arguments: str, **settings: str) -> str:
    """Run the command line; return its one message."""
    environment = {
        **os.environ,
        "LATIDO_METRICS_PORT": "0",
        **{f"LATIDO_{k.upper()}": v for k, v in settings.items()},
    }
    command = [sys.executable, "-c", "from agents.cli import main; main()", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=40, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_every_mistake_of_a_model_is_named_with_its_line_and_value(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(
        MODEL.read_text()
        .replace("weight: 10\n", "weight: -1\n")
        .replace("feature: rhythm", "feature: rythm")
        .replace("hysteresis: 2", "hysterese: 2")
    )
    told = latido("models", "check", str(broken))
    # `hysteresis` is not also missing, and a weight that is none adds up to nothing
    assert "3 mistake(s)" in told
    assert "unknown feature 'rythm'; known: count, active_days, ratio, since_last, rhythm, fact" in told
    assert "(found -1)" in told
    assert "hysterese: unknown key; known: model, version, scale," in told
    lines = broken.read_text().splitlines()
    at = next(i for i, line in enumerate(lines, 1) if "weight: -1" in line)
    assert f"line {at}: " in told


def test_numbers_finer_than_what_is_computed_are_refused_and_not_rounded(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(
        MODEL.read_text()
        .replace("[[0.1, 0], [0.5, 45]", "[[0.1004, 0], [0.5, 45]", 1)
        .replace("[[0, 100], [1, 30]", "[[0, 100], [1.5, 30]")
        .replace("[1, 40]", "[1, 40.0005]")
        .replace("hysteresis: 2", "hysteresis: 2.00001")
    )
    told = latido("models", "check", str(broken))
    assert "4 mistake(s)" in told
    assert "x 0.1004 is finer than feature 'ratio' is measured; write multiples of 0.001" in told
    assert "x 1.5 is finer than feature 'count' is measured; write multiples of 1" in told
    assert "40.0005 has more than three decimals; scores are exact to 0.001, round it" in told
    assert "2.00001 has more than three decimals" in told


def test_weights_that_do_not_add_up_are_refused_with_the_sum_that_was_found(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(MODEL.read_text().replace("denominator: 100", "denominator: 17"))
    assert "the weights add up to 100, the denominator is 17" in latido("models", "check", str(broken))


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("models: [retention,", "models: [retenshun,", "enables model 'retenshun', which does not exist"),
        (
            "time_zone: UTC",
            "time_zone: Europe/Madird",
            "time_zone 'Europe/Madird' is not known",
        ),
        (
            "grace_s: 120",
            "grace_s: two minutes",
            "grace_s: Input should be a valid integer (found 'two minutes')",
        ),
        ("activity: [login,", "activity: [logins,", "unknown activity 'logins'; known: login,"),
        ("policy: default", "policy: [", "not a YAML file"),
        (
            "shadow: []",
            "shadow: [helth]",
            "names 'helth', which is not in models; those that can be in shadow: adoption, health",
        ),
        (
            "shadow: []",
            "shadow: [health, retention]",
            "names 'retention', the first of models, on which band_drop",
        ),
        (
            "inputs: [logins,",
            "inputs: [login,",
            "unknown input 'login'; known: logins, page-visits, payments, tickets",
        ),
        ("inputs: [logins,", "inputs: [logins, logins,", "the input 'logins' is listed twice"),
        (
            "inputs: [logins,",
            "inputs: [payments,",
            "stalled_sources names payments, and none of its events is activity",
        ),
        (
            "back_from: 0.5",
            "back_from: 0.05",
            "back_from 0.05 is below stalled_below 0.1; an input would be both",
        ),
        ("hold_days: 7", "hold_days: 29", "Input should be less than or equal to 28 (found 29)"),
        ("factor: 4.0", "factor: 0.5", "Input should be greater than or equal to 1 (found 0.5)"),
        ("brake: {", "brake: on #", "brake"),
    ],
)
def test_a_broken_policy_is_refused_with_what_is_allowed(
    tmp_path: Path, good: str, bad: str, message: str
) -> None:
    broken = tmp_path / "policy.yaml"
    broken.write_text(POLICY.read_text().replace(good, bad))
    assert message in latido("policy", "check", str(broken))


@pytest.mark.parametrize("word", ["off", "null", "'off'"])
def test_what_may_be_off_is_off_by_that_word(tmp_path: Path, word: str) -> None:
    text = POLICY.read_text()
    for name in ("stalled_sources", "brake"):
        text = re.sub(rf"^{name}: .*$", f"{name}: {word}", text, flags=re.MULTILINE)
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    program = load_program(str(file))
    assert (program.policy.stalled_sources, program.policy.brake) == (None, None)


def test_a_policy_that_is_not_there_names_those_that_are() -> None:
    assert "policy 'defualt' cannot be read" in latido("policy", "check", "defualt")


def test_wrong_settings_are_all_named_with_their_values() -> None:
    told = latido("config", broker="kafka", metrics_port="99999")
    assert "LATIDO_BROKER='kafka': 'kafka' is not host:port" in told
    assert "LATIDO_METRICS_PORT='99999'" in told


def test_a_broker_that_does_not_answer_is_named_within_seconds() -> None:
    told = latido("worker", broker="127.0.0.1:9")
    assert "no broker answers at 127.0.0.1:9" in told
    assert "LATIDO_BROKER" in told


@pytest.mark.kafka
def test_missing_topics_are_named_with_the_command_that_makes_them(kafka: KafkaServer) -> None:
    told = latido("worker", broker=kafka.broker, topic_prefix=f"none-{uuid.uuid4().hex[:6]}-")
    assert "missing topics: none-" in told
    assert "latido topics create --partitions N" in told


@pytest.mark.kafka
def test_unequal_partition_counts_are_told_topic_by_topic(kafka: KafkaServer) -> None:
    prefix = f"odd-{uuid.uuid4().hex[:6]}-"
    kafka.create_topic(f"{prefix}payments", 2)
    told = latido("topics", "create", "--partitions", "4", broker=kafka.broker, topic_prefix=prefix)
    assert "partition counts differ" in told
    assert f"{prefix}payments 2" in told
    assert f"{prefix}logins 4" in told
