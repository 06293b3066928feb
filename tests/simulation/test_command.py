"""`latido simulate`: files, repeatable bytes, and clear words for what cannot be done."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest
import zstandard
from click.testing import CliRunner

from agents.cli import main
from agents.simulation.command import simulate

if TYPE_CHECKING:
    from pathlib import Path

UNTIL = ["--until", "2026-03-01T00:00:00Z"]
SMALL = ["--accounts", "20", "--days", "10", "--seed", "4", *UNTIL]


def test_the_same_arguments_write_the_same_file_and_the_seed_is_said(tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.gz"
    for path in (first, second):
        result = CliRunner().invoke(simulate, [*SMALL, "--out", str(path)])
        assert result.exit_code == 0, result.output
        assert "seed 4" in result.output
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_lines_are_recorded_events_whatever_the_suffix(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"events.jsonl{suffix}"
    assert CliRunner().invoke(simulate, [*SMALL, "--out", str(path)]).exit_code == 0
    raw = path.read_bytes()
    types = {json.loads(line)["type"] for line in plain(raw, suffix).splitlines()}
    assert types >= {"login", "page_visit", "facts"}


def plain(raw: bytes, suffix: str) -> bytes:
    match suffix:
        case ".gz":
            return gzip.decompress(raw)
        case ".zst":
            return zstandard.ZstdDecompressor().decompressobj().decompress(raw)
        case _:
            return raw


def test_the_truth_has_a_line_for_every_account(tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    arguments = [*SMALL, "--out", str(tmp_path / "events.jsonl"), "--truth", str(truth)]
    assert CliRunner().invoke(simulate, arguments).exit_code == 0
    assert len(truth.read_text().splitlines()) == 20


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "either --out FILE or --broker HOST:PORT"),
        (["--out", "x", "--broker", "y"], "either --out FILE or --broker HOST:PORT"),
        (["--out", "x", "--rate", "5"], "need --broker HOST:PORT"),
        (["--broker", "x", "--rate", "5", *UNTIL], "--until cannot be given"),
        (["--out", "x", "--accounts", "0"], "0 is not in the range"),
        (["--out", "x", "--until", "yesterday"], "'yesterday' is not an instant"),
        (["--out", "x", "--until", "2026-03-01T00:00:00"], "has no time zone"),
        (["--out", "/no/such/folder/x"], "existing folder"),
        (["--out", "/no/such/folder/x.zst", *SMALL], "existing folder"),
        (["--out", "/dev/full", *SMALL], "'/dev/full': No space left on device"),
        (["--out", "/dev/null", "--truth", "/no/such/folder/x", *SMALL], "existing folder"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_message(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(main, ["simulate", *arguments])
    assert result.exit_code == 2
    assert said in result.output
    assert isinstance(result.exception, SystemExit), "an exception of ours would be a traceback"


@pytest.mark.timeout(30)
def test_a_broker_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.simulation.feed.REACH_TIMEOUT_S", 0.5)
    result = CliRunner().invoke(main, ["simulate", "--broker", "127.0.0.1:9", "--days", "1"])
    assert result.exit_code == 2
    assert "no Kafka broker answers at '127.0.0.1:9'" in result.output
