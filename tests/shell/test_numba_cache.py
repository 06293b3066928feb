from __future__ import annotations

import os
from pathlib import Path

import pytest

from agents.numba_cache import VARIABLE, use_cache


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "set so that the old value comes back")
    monkeypatch.delenv(VARIABLE)


def test_the_folder_is_named_after_the_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = use_cache()
    assert folder.parent == tmp_path / "latido"
    assert folder.name.startswith("numba-")
    assert folder.is_dir()
    assert os.environ[VARIABLE] == str(folder)


def test_a_changed_source_has_another_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = use_cache()
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr("agents.numba_cache.version", lambda _: "0.0")
    assert use_cache() != before


def test_a_folder_that_is_set_is_respected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert use_cache() == tmp_path


def test_without_a_writable_folder_it_compiles_into_a_temporary_one_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert use_cache().parent == tmp_path
    assert "Set XDG_CACHE_HOME" in capsys.readouterr().err
