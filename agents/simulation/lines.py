"""Recorded events as lines of a file, compressed by its suffix. The bytes depend on the events alone."""

from __future__ import annotations

import gzip
import json
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Final, cast

import zstandard

from schemas.errors import ConfigError
from schemas.events import RECORDED_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from agents.simulation.company import SimulatedEvent

_OPENINGS: Final = {topic: f'{{"type":"{name}",'.encode() for name, topic in RECORDED_TYPES.items()}
_GZIP_LEVEL: Final = 6
_ZSTD_LEVEL: Final = 3


def recorded_line(event: SimulatedEvent) -> bytes:
    """Return the event as a line of a recorded file: its body with the ``type`` of its input added."""
    return _OPENINGS[event.topic] + event.body[1:] + b"\n"


@contextmanager
def lines_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing lines: ``.gz`` and ``.zst`` are compressed, anything else is plain.

    Raises:
        ConfigError: if the file cannot be opened or written.
    """
    try:
        with path.open("wb") as raw, _compressed(path, raw) as lines:
            yield lines
    except OSError as error:
        message = (
            f"cannot write {str(path)!r}: {error.strerror}. Name a file in an existing folder with room."
        )
        raise ConfigError(message) from error


def _compressed(path: Path, raw: IO[bytes]) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.GzipFile("", "wb", _GZIP_LEVEL, raw, mtime=0))
    if path.suffix == ".zst":
        return cast("IO[bytes]", zstandard.ZstdCompressor(_ZSTD_LEVEL).stream_writer(raw, closefd=False))
    return raw


def write_events(path: Path, events: Iterable[SimulatedEvent]) -> int:
    """Write events as recorded lines and return their number."""
    count = 0
    with lines_file(path) as lines:
        for event in events:
            lines.write(recorded_line(event))
            count += 1
    return count


def write_objects(path: Path, objects: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line."""
    with lines_file(path) as lines:
        for item in objects:
            lines.write(json.dumps(item, separators=(",", ":")).encode() + b"\n")
