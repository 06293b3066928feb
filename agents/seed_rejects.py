"""The lines that a seed does not take: counted by reason, the first few kept, all of them written to a file if one is named."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

import msgspec

from agents.recorded import NUMBER
from schemas.errors import ConfigError
from schemas.topics import INPUT_BY_NAME, Output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agents.recorded import LinePlace, Recording
    from schemas.records import OutputRecord
    from streams.decode import Refused

SHOWN: Final = 5
"""Rejects that are kept."""


class Reject(msgspec.Struct, frozen=True):
    """A line that was not taken: where it is, which input it would have gone to, why, and what it says."""

    file: str
    line: int
    input: str | None
    reason: str
    detail: str
    value: str

    def __str__(self) -> str:
        """Return it as a line for people."""
        return f"{self.file}:{self.line} {self.reason}: {self.detail}"


class Rejects:
    """What was rejected so far."""

    def __init__(self, file: BinaryIO | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self.first: list[Reject] = []
        self.last: dict[str | None, Reject] = {}
        """The last one of each input; without input those that belong to no partition."""
        self.unrouted = 0
        """Of them the latter."""
        self._file = file

    def on_refused(self, place: LinePlace, text: bytes, refused: Refused) -> None:
        """Take a line that belongs to no partition."""
        self.unrouted += 1
        self._take(place, None, refused.reason, f"line cannot be routed: {refused}", text)

    def of(self, recording: Recording, partition: int) -> Callable[[OutputRecord], None]:
        """Return what takes the dead letters of a partition, and drops whatever else goes out."""

        def take(record: OutputRecord) -> None:
            if record.topic is not Output.DEAD_LETTERS:
                return
            told = {name.removeprefix("latido_"): value.decode() for name, value in record.headers}
            spool = recording.spools[partition, INPUT_BY_NAME[told["topic"]]]
            place = recording.place(int(spool.marks[int(told["offset"]), NUMBER]))
            self._take(place, told["topic"], told["reason"], told["detail"], record.value)

        return take

    def _take(self, place: LinePlace, name: str | None, reason: str, detail: str, text: bytes) -> None:
        reject = Reject(str(place.path), place.line, name, reason, detail, text.decode("utf-8", "replace"))
        self.counts[reason] += 1
        self.last[name] = reject
        if len(self.first) < SHOWN:
            self.first.append(reject)
        if self._file is not None:
            self._file.write(msgspec.json.encode(reject) + b"\n")


@contextmanager
def rejects_to(path: Path | None) -> Iterator[Rejects]:
    """Give what takes rejects, and writes them to a file as JSON lines if one is named.

    Raises:
        ConfigError: it cannot be written.
    """
    if path is None:
        yield Rejects()
        return
    try:
        file = path.open("wb")
    except OSError as error:
        raise ConfigError(
            f"the rejects cannot be written to {str(path)!r} ({error.strerror}). Give --rejects a file that can be written."
        ) from error
    with file:
        yield Rejects(file)
