"""Processes under measurement: how much processor time and memory they took, by what the kernel says of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
RUN_TIMEOUT_S: Final = 1_800
UNCOMPILED: Final = "NUMBA_DISABLE_JIT"


def environment(**settings: str) -> dict[str, str]:
    """Return this process's environment with settings, and with the core compiled."""
    kept = {name: value for name, value in os.environ.items() if name != UNCOMPILED}
    return {**kept, **settings}


def start(arguments: list[str], log: Path, **settings: str) -> subprocess.Popen[bytes]:
    """Start Python with ``arguments``; what it says goes to ``log``."""
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, *arguments], env=environment(**settings), stdout=out, stderr=out
        )


def run_python(*arguments: str) -> str:
    """Run Python with ``arguments`` to its end and return what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=RUN_TIMEOUT_S,
    )
    return done.stdout


def latido(*command: str) -> list[str]:
    """Return the arguments of Python for a command of latido."""
    return ["-c", "from agents.cli import main; main()", *command]


def cpu_s(pid: int) -> float:
    """Return the processor seconds of a running process, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def memory_mib(pid: int, field: str = "VmHWM") -> float:
    """Return a running process's memory: ``VmHWM`` the largest resident one that it has had, ``VmRSS`` that of now."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024
