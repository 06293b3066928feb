"""Snapshot files between owners on a real Kafka: used when nothing speaks against them, else ignored with a reason."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING

import pytest

from agents.snapshots import Snapshots
from schemas.reasons import SnapshotRefusal
from tests.delivery.ledger import Owner, new_owner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.delivery.support import Application

pytestmark = pytest.mark.kafka


def snapshots(folder: Path, application: Application) -> Snapshots:
    return Snapshots(folder, f"cluster/{application.changelog}/id")


async def left(application: Application, folder: Path, name: str = "first", counts: int = 3) -> Owner:
    """Return an owner of partition 0 that counted, gave it up and wrote a snapshot."""
    owner = await new_owner(application, name, snapshots=snapshots(folder, application))
    await owner.ownership.acquire({0})
    for _ in range(counts):
        owner.ledger().count()
        await owner.ownership.commit()
    owner.ledger().write(b"beside", b"kept")
    await owner.ownership.release()
    await owner.ownership.save()
    assert [(what, partition) for what, partition, _ in owner.watcher.snapshots if what == "written"] == [
        ("written", 0)
    ]
    return owner


async def test_the_next_owner_reads_the_snapshot_and_the_tail_alone(
    make_application: Callable[[int], Application], tmp_path: Path
) -> None:
    """
    first   1 2 3, gives up | snapshot
    other                     4, gives up
    first again                            snapshot, and the tail: 4
    """
    application = make_application(1)
    first = await left(application, tmp_path)
    other = await new_owner(application, "other")
    await other.ownership.acquire({0})
    assert other.watcher.loaded == {0: 4}
    other.ledger().count()
    await other.ownership.release()
    again = await new_owner(application, "again", snapshots=snapshots(tmp_path, application))
    await again.ownership.acquire({0})
    assert [what for what, _, _ in again.watcher.snapshots] == ["read"]
    assert again.watcher.loaded == {0: 1}, "more than the tail was read"
    assert again.ledger().rows == {b"counter": b"4", b"beside": b"kept"}
    for owner in (first, other, again):
        await owner.vanish()


async def test_a_lost_partition_is_written_after_a_rebalance_and_read_when_it_comes_back(
    make_application: Callable[[int], Application], tmp_path: Path
) -> None:
    application = make_application(2)
    owner = await new_owner(application, "a", snapshots=snapshots(tmp_path, application))
    await owner.ownership.acquire({0, 1})
    owner.ledger(0).count()
    owner.ledger(1).count()
    await owner.ownership.release()
    await owner.ownership.acquire({0})
    kept = owner.ledger(0)
    await owner.ownership.release()
    owner.watcher.loaded.clear()
    await owner.ownership.acquire({0, 1})
    assert [(what, partition) for what, partition, _ in owner.watcher.snapshots] == [
        ("written", 1), ("read", 1)
    ]  # fmt: skip
    assert owner.ledger(0) is kept
    assert owner.watcher.loaded == {1: 0}
    assert owner.ledger(1).rows == {b"counter": b"1"}
    owner.ledger(1).count()
    await owner.ownership.commit()
    await owner.vanish()


async def test_a_file_that_is_not_used_loses_nothing(
    make_application: Callable[[int], Application], tmp_path: Path
) -> None:
    application = make_application(1)
    first = await left(application, tmp_path)
    path = snapshots(tmp_path, application).path(0)
    path.write_bytes(path.read_bytes()[:-1])
    assert await next_owner(application, tmp_path) == [SnapshotRefusal.DAMAGED]
    await first.vanish()


@pytest.mark.parametrize(
    ("shift", "reason"),
    [
        pytest.param(-7, SnapshotRefusal.NOT_IN_LOG, id="another record lies there"),
        pytest.param(+1, SnapshotRefusal.NOT_IN_LOG, id="no record lies there or behind"),
        pytest.param(+2, SnapshotRefusal.TOO_NEW, id="the log ends before"),
    ],
)
async def test_a_snapshot_of_what_the_log_does_not_hold_is_not_used(
    make_application: Callable[[int], Application], tmp_path: Path, shift: int, reason: SnapshotRefusal
) -> None:
    """As if the log had lost its end, and gone on otherwise."""
    application = make_application(1)
    first = await left(application, tmp_path)
    files = snapshots(tmp_path, application)
    found = files.read(0, first.ledger().layout, 1_000)
    assert found is not None
    found.state.others.append((b"counter", b"999"))
    files.write(0, found._replace(offset=found.offset + shift))
    assert await next_owner(application, tmp_path) == [reason]
    await first.vanish()


async def next_owner(application: Application, folder: Path) -> list[object]:
    """Let an owner acquire partition 0; return why it did not use the snapshot, after checking what it knows."""
    owner = await new_owner(application, "next", snapshots=snapshots(folder, application))
    await owner.ownership.acquire({0})
    assert owner.ledger().rows == {b"counter": b"3", b"beside": b"kept"}
    assert owner.watcher.loaded[0] >= 4
    await owner.vanish()
    return [reason for what, _, reason in owner.watcher.snapshots if what == "refused"]


async def test_without_room_on_the_disk_only_the_snapshot_is_lost(
    make_application: Callable[[int], Application], tmp_path: Path
) -> None:
    application = make_application(2)
    (tmp_path / "taken").touch()
    owner = await new_owner(application, "a", snapshots=snapshots(tmp_path / "taken", application))
    await owner.ownership.acquire({0, 1})
    owner.ledger(1).count()
    await owner.ownership.release()
    await owner.ownership.acquire({0})
    owner.ledger(0).count()
    await owner.ownership.commit()
    await owner.ownership.release()
    await owner.ownership.acquire({0, 1})
    told = [(partition, detail) for what, partition, detail in owner.watcher.snapshots if what == "failed"]
    assert told == [(1, errno.EEXIST)]
    assert owner.ledger(1).rows == {b"counter": b"1"}
    await owner.vanish()


async def test_an_error_of_ours_in_writing_a_snapshot_is_seen_by_the_next_commit(
    make_application: Callable[[int], Application], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    application = make_application(1)
    owner = await left(application, tmp_path)
    await owner.ownership.acquire({0})
    await owner.ownership.release()

    def write(partition: int, _found: object) -> int:
        raise RuntimeError(f"partition {partition}: a mistake")

    monkeypatch.setattr(owner.ownership._snapshots, "write", write)
    await owner.ownership.acquire(set())

    async def commit_often() -> None:
        for _ in range(100):
            await owner.ownership.commit()
            await asyncio.sleep(0.02)

    with pytest.raises(RuntimeError, match="partition 0: a mistake"):
        await commit_often()
    await owner.vanish()
