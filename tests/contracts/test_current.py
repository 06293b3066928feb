"""What is made from the code is committed as it is made today, and nothing else lies beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agents.generate import ROOT, documents, write

if TYPE_CHECKING:
    from pathlib import Path

AGAIN = "run `python -m agents.generate`"


@pytest.mark.parametrize("path", documents())
def test_a_made_document_is_current(path: str) -> None:
    file = ROOT / path
    assert file.is_file(), f"{path} is missing: {AGAIN}"
    assert file.read_text(encoding="utf-8") == documents()[path], f"{path} is not current: {AGAIN}"


def test_no_schema_is_left_over() -> None:
    found = {path.relative_to(ROOT).as_posix() for path in (ROOT / "schemas" / "json").iterdir()}
    assert found <= documents().keys(), "a schema of something that is gone"


def test_writing_changes_only_what_is_not_current(tmp_path: Path) -> None:
    assert write(tmp_path) == list(documents())
    (tmp_path / "docs" / "catalogue.md").write_text("old")
    assert write(tmp_path) == ["docs/catalogue.md"]
    assert write(tmp_path) == []
