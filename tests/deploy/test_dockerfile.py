"""deploy/Dockerfile, checked without Docker, and the wheel that it builds and installs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

from agents.cli import main
from agents.settings import Settings

ROOT: Final = Path(__file__).parents[2]
TEXT: Final = (ROOT / "deploy" / "Dockerfile").read_text().replace("\\\n", " ")
COPIED: Final = re.findall(r"^COPY (?!--from)(.+) \S+$", TEXT, flags=re.MULTILINE)


def test_every_stage_starts_from_an_image_with_a_version() -> None:
    images = re.findall(r"^FROM (\S+)", TEXT, flags=re.MULTILINE)
    assert len(images) >= 2
    assert all(re.search(r":3\.11-slim", image) for image in images)


def test_everything_from_outside_is_installed_by_hash() -> None:
    for command in re.findall(r"pip (?:install|wheel)[^&\n]*", TEXT):
        by_hash = "--require-hashes -r requirements/" in command
        assert by_hash or "--no-deps" in command, f"neither locked nor our own: {command}"
    assert "--require-hashes -r requirements/run.txt" in TEXT


def test_it_does_not_run_as_root_and_compiles_as_the_user_that_runs() -> None:
    user = TEXT.index("\nUSER latido")
    assert user < TEXT.index("\nRUN latido warm") < TEXT.index("\nENTRYPOINT")
    assert TEXT.count("\nUSER ") == 1


def test_its_commands_exist() -> None:
    assert "warm" in main.commands
    assert 'CMD ["worker"]' in TEXT
    assert "worker" in main.commands


def test_it_sets_only_settings_that_exist() -> None:
    named = set(re.findall(r"LATIDO_[A-Z_]+", TEXT))
    assert named <= {f"LATIDO_{field.upper()}" for field in Settings.model_fields}


def test_its_health_is_asked_where_metrics_are_served() -> None:
    health = TEXT[TEXT.index("HEALTHCHECK") :]
    port = re.search(r"LATIDO_METRICS_PORT=(\d+)", TEXT)
    assert port is not None
    assert "LATIDO_METRICS_PORT" in health
    assert f"EXPOSE {port.group(1)}" in TEXT


def test_what_it_copies_is_let_through_to_the_build() -> None:
    let_through = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    copied = {source for sources in COPIED for source in sources.split()}
    assert copied == let_through


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Build the wheel from exactly the files that the Dockerfile copies; return the names in it."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheels")
    for name in (name for sources in COPIED for name in sources.split()):
        if name.endswith("/"):
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(out), str(source)], check=True, timeout=90)
    with zipfile.ZipFile(next(out.glob("latido-*.whl"))) as archive:
        return archive.namelist()


def test_the_wheel_has_every_module_and_every_data_file(wheel: list[str]) -> None:
    shipped = {
        path.relative_to(ROOT).as_posix()
        for part in ("schemas", "streams", "agents")
        for path in (ROOT / part).rglob("*")
        if path.suffix in {".py", ".yaml", ".json", ".html", ".css", ".js"}
    }
    assert shipped <= set(wheel)


def test_the_wheel_has_nothing_else(wheel: list[str]) -> None:
    top = {name.split("/")[0] for name in wheel}
    assert {name for name in top if not name.endswith(".dist-info")} == {"agents", "schemas", "streams"}
