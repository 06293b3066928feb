"""What a check of `latido doctor` found: a verdict, and one line."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    PROBLEM = "problem"
    UNKNOWN = "could not tell"


class Finding(NamedTuple):
    """One line: what was checked, what was found, what to do (empty if nothing)."""

    check: str
    verdict: Verdict
    found: str
    advice: str = ""

    @property
    def line(self) -> str:
        """The finding as one line of text."""
        text = f"{self.check}: {self.found}" + (f". {self.advice}" if self.advice else "")
        return f"{self.verdict:<14}  {' '.join(text.split())}"
