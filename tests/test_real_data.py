"""The commands of docs/real-data.md, run; and the figures that they print, on a recording worked out by hand."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from agents.program import load_program
from agents.replay import replay_files
from benchmarks.false_alarms import YEAR_S, figures

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = (ROOT / "docs" / "real-data.md").read_text()
DAY_S: Final = 86_400
FIRST_DAY: Final = datetime(2024, 10, 4, tzinfo=UTC)
PROGRAMS: Final = {
    ".venv/bin/latido": [sys.executable, "-c", "from agents.cli import main; main()"],
    ".venv/bin/python": [sys.executable],
}
CUT: Final = Path("data/cdnow.jsonl")
"""The recording of which the test replays every tenth customer: all of them take a minute."""


def commands() -> list[list[str]]:
    """Return the commands of the page, in their order."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines() if line]


def run(command: Sequence[str], folder: Path) -> str:
    program, *arguments = command
    done = subprocess.run(
        [*PROGRAMS[program], *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if "fetch" in arguments and "pip could not download" in done.stderr:
        pytest.skip(f"no package index within reach: {done.stderr}")
    assert done.returncode == 0, f"{shlex.join(command)}: {done.stderr}"
    return done.stdout


def keep_every_tenth(recording: Path) -> None:
    lines = recording.read_text().splitlines(keepends=True)
    recording.write_text("".join(line for line in lines if json.loads(line)["account_id"].endswith("0")))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_commands_of_the_page_print_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)  # the processes run the core compiled
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    judged = 0
    for command in commands():
        told = run(command, tmp_path)
        if str(CUT) in command and "--out" in command and "convert" in command:
            keep_every_tenth(tmp_path / CUT)
        elif "benchmarks.false_alarms" in command:
            judged += 1
            if str(CUT) in command:
                assert re.search(r"^accounts +2,357$", told, flags=re.MULTILINE)
            else:
                assert f"```text\n{told}```" in PAGE
    assert judged == 6


def test_a_silence_that_ends_by_activity_is_a_false_alarm(tmp_path: Path) -> None:
    """Two accounts, a purchase a day for 40 days; then silence.

    comes-back  |40 days|.... 30 days ....|1|       a false alarm on the way, 70 days engaged
    leaves      |40 days|..........................  open at the end, 39 days engaged
    neighbour                             |1|..|1|   ends the recording on day 80, 10 days engaged
    """
    days = {"comes-back": [*range(40), 70], "leaves": list(range(40)), "neighbour": [70, 80]}
    recording = tmp_path / "events.jsonl"
    recording.write_text("".join(purchase(account, day) for day, account in sorted(by_day(days))))
    program = load_program(str(ROOT / "docs" / "examples" / "cdnow.yaml"))
    replay_files([recording], program, partitions=1, until_ms=None, out=tmp_path / "results")
    found = figures(recording, tmp_path / "results")
    assert (found.accounts, found.events, found.budget) == (3, 83, 0.5)
    assert (found.episodes_opened, found.episodes_resolved) == (2, 1)
    assert (found.back, found.accounts_back, found.still_open) == (1, 1, 1)
    assert found.engaged_years == pytest.approx((70 + 39 + 10) * DAY_S / YEAR_S)
    assert found.engaged_years_of_back == pytest.approx(70 * DAY_S / YEAR_S)
    assert found.worst_years == pytest.approx((70 + 80 + 10) * DAY_S / YEAR_S)
    assert found.back_with_many_gaps == 1, "39 gaps of a day"
    assert found.recorded_years == pytest.approx((80 + 80 + 10) * DAY_S / YEAR_S)
    assert found.score_changes == len(
        (tmp_path / "results" / "score-changes.jsonl").read_bytes().splitlines()
    )
    later = figures(recording, tmp_path / "results", start_s=(FIRST_DAY + timedelta(days=60)).timestamp())
    assert (later.back, later.still_open) == (0, 0), "both began before"
    assert later.engaged_years == pytest.approx((10.5 + 10) * DAY_S / YEAR_S), (
        "from midnight to noon of day 70"
    )


def by_day(days: dict[str, list[int]]) -> list[tuple[int, str]]:
    return [(day, account) for account, active in days.items() for day in active]


def purchase(account: str, day: int) -> str:
    return (
        json.dumps(
            {
                "type": "payment",
                "event_id": f"{account}-{day}",
                "account_id": account,
                "occurred_at": f"{FIRST_DAY + timedelta(days=day):%Y-%m-%d}T12:00:00.000Z",
                "payment_id": f"{account}-{day}",
                "status": "succeeded",
                "amount_minor": 100,
                "currency": "USD",
            }
        )
        + "\n"
    )
