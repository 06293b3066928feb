"""The tutorial does what it says: its files are written, its commands run in an empty folder, what they print is compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

import pytest

PAGE: Final = (Path(__file__).parents[2] / "docs" / "tutorial-model.md").read_text()
LEFT_OUT: Final = "..."


class Step(NamedTuple):
    """A file to save, or a command and the lines that it must print."""

    name: str
    lines: list[str]
    is_file: bool


def steps(page: str) -> list[Step]:
    """Return the files and commands of a page in their order."""
    found: list[Step] = []
    for text, language, block in re.findall(
        r"(.*?)^```(\w+)\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE
    ):
        if language == "yaml":
            (name,) = re.findall(r"[Ss]ave this as `(\S+)`:\s*\Z", text)
            found.append(Step(name, block.splitlines(), is_file=True))
        elif language == "console":
            for line in block.splitlines():
                if line.startswith("$ "):
                    found.append(Step(line.removeprefix("$ "), [], is_file=False))
                else:
                    found[-1].lines.append(line)
    return found


def agree(said: list[str], told: list[str]) -> bool:
    """Tell whether printed lines are those of the page; `...` in the page stands for anything, within a line or for lines."""
    text = "\n".join(" ".join(line.split()) for line in told)
    pattern = re.escape(text).replace(re.escape(LEFT_OUT), ".*")
    return (
        re.fullmatch(pattern, "\n".join(" ".join(line.split()) for line in said), flags=re.DOTALL) is not None
    )


def run(command: str, folder: Path) -> list[str]:
    """Return what a command prints, in the order of its two outputs."""
    where = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(  # noqa: S602 - a page of our own
        command, shell=True, cwd=folder, env=os.environ | {"PATH": where}, capture_output=True, text=True,
        check=False, timeout=100,
    )  # fmt: skip
    return [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]


@pytest.mark.timeout(300)
def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    found = steps(PAGE)
    assert len([step for step in found if step.is_file]) == 2
    assert len(found) > 10
    for step in found:
        if step.is_file:
            (tmp_path / step.name).write_text("\n".join(step.lines) + "\n")
            continue
        told = [line for line in step.lines if line.strip()]
        said = run(step.name, tmp_path)
        assert agree(said, told), f"$ {step.name}\n" + "\n".join(said)


@pytest.mark.parametrize(
    ("told", "does"),
    [
        (["one", "two", "three"], True),
        (["one", "...", "three"], True),
        (["one", "tw...", "..."], True),
        (["one", "..."], True),
        (["one", "three"], False),
        (["one", "two", "3"], False),
        (["one", "two"], False),
        ([], False),
    ],
)
def test_what_is_printed_is_compared_with_what_the_page_says(told: list[str], does: bool) -> None:  # noqa: FBT001
    assert agree(["one", "two", " three"], told) is does
