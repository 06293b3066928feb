from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agents.settings import Settings, page, unknown_variables
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

WRONG = [
    ("BROKER", "kafka", "'kafka' is not host:port"),
    ("BROKER", "a:1,b:70000", "'b:70000' is not host:port with a port from 1 to 65535"),
    ("BROKER", "a:1,,b:2", "'' is not host:port"),
    ("BROKER", "plaintext://a:1", "is not host:port"),
    ("APPLICATION_ID", "my app", "letters, digits, dot, underscore, hyphen"),
    ("TOPIC_PREFIX", "eu/", "letters, digits, dot, underscore, hyphen"),
    ("MODELS_DIR", "no/such/folder", "there is no such folder"),
    ("METRICS_PORT", "65536", "less than or equal to 65535"),
    ("METRICS_PORT", "http", "valid integer"),
    ("MAX_EVENTS_PER_S", "0", "greater than 0"),
    ("MAX_EVENTS_PER_S", "inf", "finite"),
    ("COMMIT_INTERVAL_MS", "5", "10 to 10000"),
    ("SESSION_TIMEOUT_S", "5", "6 to 300"),
    ("GROUP_INSTANCE_ID", "worker 1", "a name of this worker alone"),
    ("COMPRESSION", "lz4", "'none' or 'zstd'"),
]


@pytest.mark.parametrize(
    ("name", "value", "said"), WRONG, ids=[f"{name}={value}" for name, value, _ in WRONG]
)
def test_a_wrong_value_is_shown_with_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"LATIDO_{name}", value)
    with pytest.raises(ConfigError) as caught:
        Settings.load()
    first, *mistakes = str(caught.value).splitlines()
    assert "Mend each, or unset it" in first
    assert len(mistakes) == 1
    assert f"LATIDO_{name}={value!r}: " in mistakes[0]
    assert said in mistakes[0]


def test_every_mistake_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATIDO_BROKER", "x")
    monkeypatch.setenv("LATIDO_METRICS_PORT", "-1")
    with pytest.raises(ConfigError, match=r"(?s)LATIDO_BROKER='x'.*LATIDO_METRICS_PORT='-1'"):
        Settings.load()


def test_prefix_and_application_must_fit_into_a_topic_name_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.settings.TOPIC_NAME_MAX", 30)
    monkeypatch.setenv("LATIDO_TOPIC_PREFIX", "x" * 20)
    with pytest.raises(
        ConfigError, match=r"LATIDO_TOPIC_PREFIX and LATIDO_APPLICATION_ID are too long together"
    ):
        Settings.load()


@pytest.mark.parametrize("address", ["a:1", "a:1,b-2.example:65535", "10.0.0.1:9092", "[::1]:9092"])
def test_addresses_of_all_kinds_are_taken(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("LATIDO_BROKER", address)
    assert Settings.load().broker == address


def test_spaces_between_addresses_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATIDO_BROKER", "a:1, b:2")
    assert Settings.load().broker == "a:1,b:2"


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATIDO_MAX_EVENTS_PER_S", "")
    settings = Settings.load()
    assert settings.max_events_per_s is None
    assert not settings.model_fields_set


def test_a_wrong_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATIDO_REDIS_URL", "http://user:hunter2@host")
    with pytest.raises(ConfigError, match=r"LATIDO_REDIS_URL=\(not shown\)") as caught:
        Settings.load()
    assert "hunter2" not in str(caught.value)


def test_the_data_folder_follows_the_desktop_standard(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert Settings.load().datadir == tmp_path / "latido"


def test_a_data_folder_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LATIDO_DATADIR", str(tmp_path / "file" / "folder"))
    with pytest.raises(ConfigError, match=r"cannot be written to .* Set LATIDO_DATADIR"):
        Settings.load().require_datadir()


def test_a_misspelt_variable_is_told_with_the_setting_that_may_be_meant() -> None:
    environment = {"LATIDO_BROKRE": "a:1", "LATIDO_BROKER": "a:1", "LATIDO_ZEBRA": "", "PATH": ""}
    assert unknown_variables(environment) == {"LATIDO_BROKRE": "LATIDO_BROKER", "LATIDO_ZEBRA": None}


def test_the_page_names_every_setting_with_what_is_allowed_and_nothing_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere")
    monkeypatch.setenv("LATIDO_METRICS_PORT", "1")
    rows = [line.split(" | ") for line in page().splitlines() if line.startswith("| `LATIDO_")]
    assert [row[0] for row in rows] == [f"| `LATIDO_{name.upper()}`" for name in Settings.model_fields]
    allowed = {row[0].removeprefix("| `LATIDO_").rstrip("`"): tuple(row[1:3]) for row in rows}
    assert allowed["METRICS_PORT"] == ("0 to 65535", "`9646`")
    assert allowed["COMPRESSION"] == ("`none`, `zstd`", "`none`")
    assert allowed["MAX_EVENTS_PER_S"] == ("a number above 0", "")
    assert allowed["DATADIR"] == ("a path", "`$XDG_DATA_HOME/latido, else ~/.local/share/latido`")
