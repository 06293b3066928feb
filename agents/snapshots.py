"""Snapshot files: what the changelog of a partition held when its owner gave it up, so that only the tail is read next time.

The changelog stays the authority. A file is used only if nothing speaks against it; else it is ignored with a reason and
the whole changelog is read. One file per partition, written beside and renamed, so there is a whole one or none:

    magic and header (JSON), blanks up to a page | rows | everything else (MessagePack) | CRC-32 of all before

The rows are mapped, not copied: they lie in the page cache, and a page becomes memory of the process when one of its rows is
written. The file is never changed in place, so the mapping stays what was checked.
"""

from __future__ import annotations

import os
import struct
import time
import zlib
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np

from schemas.reasons import SnapshotRefusal
from schemas.records import Snapshot
from schemas.topics import HOUR_MS, TOMBSTONES_MS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAGIC: Final = b"latido s"
VERSION: Final = 1
AGE_MAX_MS: Final = TOMBSTONES_MS // 2
"""Of what was deleted after an older snapshot was written the changelog may no longer say so: it would come back."""
SKEW_MAX_MS: Final = 5 * 60_000
"""A snapshot from farther in the future was written under another clock: its age is not known."""
HEAD_BYTES: Final = 4096
CHUNK_BYTES: Final = 4 << 20
SUFFIX: Final = ".snapshot"
UNFINISHED: Final = ".unfinished"
_U32: Final = struct.Struct("<I")


class Header(msgspec.Struct, frozen=True):
    """Whose snapshot it is, of what, and how large."""

    version: int
    changelog: str
    partition: int
    layout: str
    offset: int
    holder: str
    written_ms: int
    accounts: int
    row_bytes: int
    rest_bytes: int


class _Rest(msgspec.Struct, frozen=True):
    keys: list[bytes]
    tails: dict[int, bytes]
    stale: list[int]
    others: list[tuple[bytes, bytes]]


class Found(NamedTuple):
    """A snapshot, the changelog offset after all that is in it, and who gave the partition up just before that."""

    state: Snapshot
    offset: int
    holder: str


class Refused(Exception):
    """A snapshot is not used: why, as a label and in words."""

    def __init__(self, reason: SnapshotRefusal, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class Snapshots:
    """The snapshot files of one worker for one changelog."""

    def __init__(
        self, folder: Path, changelog: str, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        """Remove what can never be used.

        Args:
            folder: of this process alone; made when it is first written to.
            changelog: names the log so that no other one ever has the name: cluster, topic, id of the topic.
            now_ms: the time in ms UTC.
        """
        self._folder, self._changelog, self._now_ms = folder, changelog, now_ms
        outdated_s = (now_ms() - AGE_MAX_MS) / 1000
        unfinished = folder.glob(f"*{UNFINISHED}")
        outdated = (path for path in folder.glob(f"*{SUFFIX}") if path.stat().st_mtime < outdated_s)
        for path in [*unfinished, *outdated]:
            path.unlink()

    def path(self, partition: int) -> Path:
        """Return where the snapshot of a partition is."""
        return self._folder / f"{partition}{SUFFIX}"

    def write(self, partition: int, found: Found) -> int:
        """Write the snapshot of a partition that was just given up, in place of an older one; return its bytes.

        Raises:
            OSError: it cannot be written; then there is none.
        """
        state, path = found.state, self.path(partition)
        rest = msgspec.msgpack.encode(_Rest(state.keys, state.tails, state.stale, state.others))
        accounts, row_bytes = state.rows.shape
        header = Header(
            VERSION, self._changelog, partition, state.fingerprint.hex(), found.offset, found.holder,
            self._now_ms(), accounts, row_bytes, len(rest),
        )  # fmt: skip
        self._folder.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # first, to make room for the new one
        beside = path.with_suffix(UNFINISHED)
        try:
            with beside.open("wb") as file:
                size = _write_summed(file, msgspec.json.encode(header), state.rows, rest)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        beside.replace(path)
        _sync_folder(self._folder)
        return size

    def read(self, partition: int, layout: bytes, end: int) -> Found | None:
        """Return the snapshot of a partition, if there is one.

        Args:
            partition: its number.
            layout: fingerprint of the layout that is read.
            end: where the changelog ends.

        Raises:
            Refused: it is not to be used.
        """
        try:
            with self.path(partition).open("rb") as file:
                return self._read(file, partition, layout.hex(), end)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Refused(SnapshotRefusal.UNREADABLE, str(error)) from None

    def _read(self, file: IO[bytes], partition: int, layout: str, end: int) -> Found:
        header = _read_header(file)
        self._judge(header, partition, layout, end)
        size = header.accounts * header.row_bytes + header.rest_bytes
        if os.fstat(file.fileno()).st_size != HEAD_BYTES + size + _U32.size:
            raise Refused(SnapshotRefusal.DAMAGED, "it has another length than it says")
        whole = np.asarray(np.memmap(file, np.uint8, mode="c"))
        if _U32.pack(_checksum(whole[: -_U32.size])) != whole[-_U32.size :].tobytes():
            raise Refused(SnapshotRefusal.DAMAGED, "its checksum is wrong")
        rows, rest = np.split(whole[HEAD_BYTES : -_U32.size], [header.accounts * header.row_bytes])
        try:
            told = msgspec.msgpack.decode(rest.data, type=_Rest)
        except msgspec.DecodeError as error:
            raise Refused(SnapshotRefusal.DAMAGED, f"its end cannot be read ({error})") from None
        rows = rows.reshape(header.accounts, header.row_bytes)
        state = Snapshot(bytes.fromhex(layout), told.keys, rows, told.tails, told.stale, told.others)
        return Found(state, header.offset, header.holder)

    def _judge(self, header: Header, partition: int, layout: str, end: int) -> None:
        if header.version != VERSION or header.layout != layout:
            raise Refused(
                SnapshotRefusal.OTHER_LAYOUT, f"it has layout {header.layout}, this program reads {layout}"
            )
        if (header.changelog, header.partition) != (self._changelog, partition):
            raise Refused(
                SnapshotRefusal.FOREIGN,
                f"it is of partition {header.partition} of {header.changelog}, not {partition} of {self._changelog}",
            )
        age_ms = self._now_ms() - header.written_ms
        if age_ms > AGE_MAX_MS:
            raise Refused(
                SnapshotRefusal.TOO_OLD,
                f"it is {age_ms / HOUR_MS:.1f} h old, at most {AGE_MAX_MS // HOUR_MS} are allowed",
            )
        if age_ms < -SKEW_MAX_MS:
            raise Refused(SnapshotRefusal.TOO_NEW, f"it was written {-age_ms / 1000:.0f} s from now")
        if header.offset > end:
            raise Refused(
                SnapshotRefusal.TOO_NEW, f"it goes up to offset {header.offset}, the changelog ends at {end}"
            )


def _read_header(file: IO[bytes]) -> Header:
    head = file.read(HEAD_BYTES)
    if not head.startswith(MAGIC):
        raise Refused(SnapshotRefusal.DAMAGED, "it does not begin like a snapshot")
    try:
        return msgspec.json.decode(head.removeprefix(MAGIC), type=Header)
    except msgspec.DecodeError as error:
        raise Refused(SnapshotRefusal.DAMAGED, f"its header cannot be read ({error})") from None


def _checksum(content: np.ndarray[Any, np.dtype[np.uint8]]) -> int:
    summed = 0
    for at in range(0, len(content), CHUNK_BYTES):
        summed = zlib.crc32(content[at : at + CHUNK_BYTES].data, summed)
    return summed


def _write_summed(file: IO[bytes], header: bytes, rows: Any, rest: bytes) -> int:
    summed = size = 0
    head = (MAGIC + header).ljust(HEAD_BYTES)
    assert len(head) == HEAD_BYTES, header
    for part in (head, rows.reshape(-1).data, rest):
        for at in range(0, len(part), CHUNK_BYTES):
            chunk = part[at : at + CHUNK_BYTES]
            summed = zlib.crc32(chunk, summed)
            size += file.write(chunk)
    return size + file.write(_U32.pack(summed))


def _sync_folder(folder: Path) -> None:
    """Make the rename last."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
