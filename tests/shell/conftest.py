"""The command line as an operator meets it: settings by environment, one message, an exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from agents.settings import PREFIX, Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    Latido = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def _default_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)


@pytest.fixture
def latido() -> Latido:
    """Return what runs a command in a process of its own; keywords are settings."""

    def run(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {PREFIX + name.upper(): str(value) for name, value in settings.items()}
        return subprocess.run(
            [sys.executable, "-c", "from agents.cli import main; main()", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run
