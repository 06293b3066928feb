"""Hashes of ids, as columns: of events within their input, of natural keys, of tickets and payments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from xxhash import xxh3_64_intdigest

from schemas.topics import Input

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

ID_SEEDS: Final = {topic: xxh3_64_intdigest(f"id of {topic.name}".encode()) for topic in Input}
NATURAL_SEEDS: Final = {topic: xxh3_64_intdigest(f"natural key of {topic.name}".encode()) for topic in Input}
"""All 64 bits differ: under small seeds short ids of two inputs have equal hashes ("e98" under 3, "e99" under 4)."""


def digests(ids: Sequence[str], seed: int = 0) -> npt.NDArray[np.int64]:
    """Return the hashes of texts, (n,) int64."""
    return np.array([xxh3_64_intdigest(name.encode(), seed) for name in ids], np.uint64).view(np.int64)


def _hashes(ids: Sequence[str], seed: int) -> npt.NDArray[np.int64]:
    hashes = digests(ids, seed)
    hashes[hashes == 0] = 1
    return hashes


def event_hashes(topic: Input, event_ids: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the hashes of the ids of events of an input; none is 0."""
    return _hashes(event_ids, ID_SEEDS[topic])


def natural_keys(
    topic: Input, events: list[Any], times: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64] | int:
    """Return the hashes of the natural keys of events at ``times`` (ms), 0 if they have none."""
    if topic is Input.TICKETS:
        names = [f"{e.ticket_id}\0{e.action}\0{t}" for e, t in zip(events, times.tolist(), strict=True)]
    elif topic is Input.PAYMENTS:
        names = [f"{e.payment_id}\0{e.status}\0{t}" for e, t in zip(events, times.tolist(), strict=True)]
    else:
        return 0
    return _hashes(names, NATURAL_SEEDS[topic])
