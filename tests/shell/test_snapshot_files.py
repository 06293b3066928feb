"""A snapshot file is used as it was written, or not at all: who wrote it, when, whether it is whole."""

from __future__ import annotations

import errno
import os
import resource
import time
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from agents.snapshots import AGE_MAX_MS, HEAD_BYTES, MAGIC, Found, Header, Refused, Snapshots
from schemas.reasons import SnapshotRefusal
from schemas.records import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LAYOUT = b"abcdefgh"
LOG = "cluster/app-accounts-changelog/topic-id"
NOW_MS = time.time_ns() // 1_000_000


def snapshots(folder: Path, log: str = LOG, now_ms: int = NOW_MS) -> Snapshots:
    return Snapshots(folder, log, lambda: now_ms)


def found(accounts: int = 3) -> Found:
    rows = np.arange(accounts * 16, dtype=np.uint8).reshape(accounts, 16)
    keys = [b"account-%d" % n for n in range(accounts)]
    state = Snapshot(LAYOUT, keys, rows, {1: b"[{},{}]"}, [2], [(b"\0meta", b"{}")])
    return Found(state, 40, "app-1")


def refusal(files: Snapshots, layout: bytes = LAYOUT, end: int = 100, partition: int = 0) -> SnapshotRefusal:
    with pytest.raises(Refused) as caught:
        files.read(partition, layout, end)
    assert caught.value.detail
    return caught.value.reason


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    files = snapshots(tmp_path / "made when needed")
    size = files.write(0, found())
    assert files.path(0).stat().st_size == size
    read = files.read(0, LAYOUT, 40)
    assert read is not None
    assert read.state.rows.tobytes() == found().state.rows.tobytes()
    read.state.rows[0] = 255
    assert files.path(0).stat().st_size == size
    again = files.read(0, LAYOUT, 40)
    assert again is not None
    assert again.state.rows[0, 0] == 0, "what a partition writes to its rows went into the file"
    for name in ("fingerprint", "keys", "tails", "stale", "others"):
        assert getattr(read.state, name) == getattr(found().state, name)
    assert (read.offset, read.holder) == (40, "app-1")
    assert files.read(1, LAYOUT, 40) is None


def test_there_is_one_file_per_partition_the_newest(tmp_path: Path) -> None:
    files = snapshots(tmp_path)
    for offset in (40, 50, 60):
        files.write(0, found()._replace(offset=offset))
        files.write(7, found()._replace(offset=offset))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.snapshot", "7.snapshot"]
    read = files.read(7, LAYOUT, 100)
    assert read is not None
    assert read.offset == 60


def test_a_file_of_which_a_bit_is_wrong_or_a_byte_too_much_or_too_little_is_not_used(tmp_path: Path) -> None:
    files = snapshots(tmp_path)
    files.write(0, found())
    whole = files.path(0).read_bytes()
    header = len(whole[:HEAD_BYTES].rstrip())
    spoilt = [whole[:-1], whole[: HEAD_BYTES + 5], whole[:20], whole[:5], b"", whole + b"\0"]
    spoilt += [whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :] for at in range(HEAD_BYTES, len(whole))]
    for content in spoilt:
        files.path(0).write_bytes(content)
        assert refusal(files) is SnapshotRefusal.DAMAGED
    for at in range(header):  # may make it another partition's, another layout's, an older one
        files.path(0).write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        refusal(files)
    files.path(0).write_bytes(whole)
    assert files.read(0, LAYOUT, 100) is not None


def test_a_header_that_promises_more_than_there_is_takes_no_memory(tmp_path: Path) -> None:
    files = snapshots(tmp_path)
    header = Header(1, LOG, 0, LAYOUT.hex(), 40, "app-1", NOW_MS, 1 << 40, 1 << 20, 1 << 50)
    text = msgspec.json.encode(header)
    files.path(0).write_bytes((MAGIC + text).ljust(HEAD_BYTES))
    assert refusal(files) is SnapshotRefusal.DAMAGED


def test_a_file_of_another_log_or_partition_is_not_used(tmp_path: Path) -> None:
    files = snapshots(tmp_path)
    files.write(0, found())
    assert refusal(snapshots(tmp_path, "cluster/app-accounts-changelog/made-anew")) is SnapshotRefusal.FOREIGN
    files.path(0).rename(files.path(1))
    assert refusal(files, partition=1) is SnapshotRefusal.FOREIGN


def test_a_file_of_another_layout_is_not_used(tmp_path: Path) -> None:
    files = snapshots(tmp_path)
    files.write(0, found())
    assert refusal(files, layout=b"12345678") is SnapshotRefusal.OTHER_LAYOUT


def test_a_file_beyond_the_end_of_the_log_is_not_used(tmp_path: Path) -> None:
    files = snapshots(tmp_path)
    files.write(0, found())
    assert refusal(files, end=39) is SnapshotRefusal.TOO_NEW
    assert files.read(0, LAYOUT, 40) is not None


def test_a_file_that_is_older_than_tombstones_are_surely_kept_is_not_used(tmp_path: Path) -> None:
    files = snapshots(tmp_path)
    now_ms = NOW_MS
    files._now_ms = lambda: now_ms
    files.write(0, found())
    now_ms = NOW_MS + AGE_MAX_MS
    assert files.read(0, LAYOUT, 100) is not None
    now_ms += 1
    assert refusal(files) is SnapshotRefusal.TOO_OLD
    now_ms = NOW_MS - 5 * 60_000 - 1
    assert refusal(files) is SnapshotRefusal.TOO_NEW, "written under a clock that is ahead: of unknown age"


def test_a_start_removes_what_can_never_be_used(tmp_path: Path) -> None:
    files = snapshots(tmp_path)
    files.write(0, found())
    files.write(1, found())
    (tmp_path / "2.unfinished").write_bytes(b"half")
    old_s = (NOW_MS - AGE_MAX_MS) / 1000 - 60
    os.utime(files.path(1), (old_s, old_s))
    snapshots(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["0.snapshot"]


def test_a_file_that_cannot_be_read_is_not_used(tmp_path: Path) -> None:
    files = snapshots(tmp_path)
    files.path(0).mkdir()
    assert refusal(files) is SnapshotRefusal.UNREADABLE


@pytest.fixture
def little_room() -> Iterator[int]:
    """Let no file become larger than so many bytes: writing fails in the middle, as on a full disk."""
    limits, room = resource.getrlimit(resource.RLIMIT_FSIZE), 100_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    yield room
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_without_room_there_is_no_file_not_even_half_of_one(tmp_path: Path, little_room: int) -> None:
    files = snapshots(tmp_path)
    files.write(0, found())
    with pytest.raises(OSError, match="too large") as caught:
        files.write(0, found(little_room // 16))
    assert caught.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []
