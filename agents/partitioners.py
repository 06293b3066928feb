"""Which partitioner put records where they lie, judged by their keys."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from streams.murmur import partition_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agents.latest import Seen

    Partitioner = Callable[[bytes, int], int]

FNV_OFFSET: Final = 0x811C9DC5
FNV_PRIME: Final = 0x01000193
FEW: Final = 8
"""So few records may fit a smaller partition count by chance."""


class Suspect(NamedTuple):
    """A partitioner that producers may have by mistake, and what to do about it."""

    name: str
    place: Partitioner
    advice: str


def crc32_partition(key: bytes, partitions: int) -> int:
    """Return the partition that librdkafka's ``consistent`` and ``consistent_random`` choose."""
    return zlib.crc32(key) % partitions


def fnv1a_partition(key: bytes, partitions: int) -> int:
    """Return the partition that librdkafka's ``fnv1a`` and Sarama's default choose."""
    hashed = FNV_OFFSET
    for byte in key:
        hashed = ((hashed ^ byte) * FNV_PRIME) & 0xFFFFFFFF
    return (hashed if hashed < 1 << 31 else (1 << 32) - hashed) % partitions


MURMUR2: Final = (
    "set partitioner=murmur2_random in that producer (librdkafka), or take the Java client's default"
)
SUSPECTS: Final = (
    Suspect("librdkafka's default, consistent_random (CRC32 of the key)", crc32_partition, MURMUR2),
    Suspect("fnv1a (librdkafka's fnv1a_random, Sarama's default)", fnv1a_partition, MURMUR2),
)
UNEXPLAINED: Final = (
    "no known hash of the key: round robin, random, or a partition set by hand",
    f"let the producer choose the partition by the key: {MURMUR2}",
)


def misplaced(records: Sequence[Seen], partitions: int) -> list[Seen]:
    """Return the records that do not lie in the partition of their key; those without a key are left out."""
    return [
        seen
        for seen in records
        if seen.key is not None and partition_of(seen.key, partitions) != seen.partition
    ]


def likely_cause(wrong: Sequence[Seen], partitions: int) -> tuple[str, str]:
    """Return what likely put misplaced records (with keys) where they lie, and what to do."""
    for suspect in SUSPECTS:
        if _fits(suspect.place, wrong, partitions):
            return suspect.name, suspect.advice
    for fewer in range(1, partitions) if len(wrong) >= FEW else ():
        if _fits(partition_of, wrong, fewer):
            return (
                f"murmur2 of the key while there were {fewer} partitions",
                "the topic was enlarged after they were written: start a new application on new topics "
                "(LATIDO_TOPIC_PREFIX) and produce the history again",
            )
    return UNEXPLAINED


def _fits(place: Partitioner, records: Sequence[Seen], partitions: int) -> bool:
    return all(seen.key is not None and place(seen.key, partitions) == seen.partition for seen in records)
