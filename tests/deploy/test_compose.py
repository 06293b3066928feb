"""docker-compose.yml, checked without Docker: its commands and settings are those of this very version."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, cast

import click
import pytest
import yaml

from agents.cli import main
from agents.settings import Settings

ROOT: Final = Path(__file__).parents[2]
COMPOSE: Final = cast("dict[str, Any]", yaml.safe_load((ROOT / "docker-compose.yml").read_text()))
SERVICES: Final = cast("dict[str, dict[str, Any]]", COMPOSE["services"])
OURS: Final = {name: service for name, service in SERVICES.items() if "build" in service}


def parse(command: click.Command, arguments: list[str]) -> None:
    """Let click check a command line, without running it.

    Raises:
        click.UsageError: no such command or option, or a wrong value.
    """
    while isinstance(command, click.Group):
        name, *arguments = arguments
        if name not in command.commands:
            raise click.UsageError(f"no command {name!r}")
        command = command.commands[name]
    command.make_context(command.name, arguments)


def test_there_are_kafka_two_workers_and_traffic() -> None:
    workers = [name for name, service in OURS.items() if service["command"] == ["worker"]]
    assert len(workers) == 2
    assert {"kafka", "topics", "traffic"} <= SERVICES.keys()


@pytest.mark.parametrize("name", OURS)
def test_a_service_runs_a_command_that_latido_has(name: str) -> None:
    parse(main, OURS[name]["command"])


def test_a_command_that_latido_has_not_is_noticed() -> None:
    with pytest.raises(click.UsageError):
        parse(main, ["topics", "make"])
    with pytest.raises(click.UsageError):
        parse(main, ["simulate", "--speed", "50"])


@pytest.mark.parametrize("name", OURS)
def test_a_service_sets_only_settings_that_exist_to_values_that_are_allowed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment: dict[str, str] = OURS[name].get("environment", {})
    known = {f"LATIDO_{field.upper()}" for field in Settings.model_fields}
    assert environment.keys() <= known
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    Settings.load()


def test_workers_keep_their_files_apart_and_share_everything_else() -> None:
    first, second = (OURS[name] for name in OURS if OURS[name]["command"] == ["worker"])
    assert first["environment"] == second["environment"]
    assert first["volumes"] != second["volumes"]
    for worker in (first, second):
        assert worker["volumes"][0].endswith(":" + worker["environment"]["LATIDO_DATADIR"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_port_is_open_to_this_machine_alone(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("127.0.0.1:"), f"{name} opens {port} to the network"


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_has_a_version(name: str) -> None:
    assert re.search(r":\d+\.\d+(\.\d+)?$", SERVICES[name]["image"])


def test_our_image_carries_the_version_of_the_project() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE)
    assert version is not None
    assert {service["image"] for service in OURS.values()} == {f"latido:{version.group(1)}"}


def test_what_a_service_waits_for_exists_and_can_be_waited_for() -> None:
    for name, service in SERVICES.items():
        for other, wait in service.get("depends_on", {}).items():
            assert other in SERVICES, f"{name} waits for {other}"
            if wait["condition"] == "service_healthy":
                assert "test" in SERVICES[other]["healthcheck"], f"{name} waits for the health of {other}"


def test_every_named_volume_is_declared() -> None:
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert used == COMPOSE["volumes"].keys()
