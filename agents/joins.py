"""Joins in a replay: those that the recording does not hold are made by the merges in it, as workers make them.

A partition is folded with the joins that are known; where another one turns up that goes to it, it is folded again. A join
counts later than its merge, so each round makes at least the next one right, and there are no more rounds than merges.

    round 1    partition 0: merge a -> b            makes join 1, for partition 2
               partition 2: merge b -> c            makes join 2, for partition 0, without what a had
    round 2    partition 2 with join 1              makes join 2 anew
    round 3    partition 0 with join 2              makes join 1 as before
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from schemas.control import JoinAccount, control_key
from streams.control import ControlLine, read_control
from streams.instants import instant_ms
from streams.murmur import partition_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Pair = tuple[bytes, bytes | None]
    Fold = Callable[[int, Sequence[ControlLine]], Iterable[Pair]]
    """Folds a partition with control records anew, and returns the control records that come out."""

_JOIN = msgspec.json.Decoder(JoinAccount)


def fold_with_joins(control: Sequence[ControlLine], partitions: int, fold: Fold) -> Sequence[ControlLine]:
    """Fold all partitions, those again to which joins turn up to go; return the joins that were made.

    Raises:
        StateError: a control record cannot be read.
    """
    held = {_place(value) for value in _latest(control).values() if value is not None}
    joins: dict[bytes, bytes] = {}
    made: dict[int, dict[bytes, bytes]] = {}
    stale, own = list(range(partitions)), list[ControlLine]()
    while stale:
        for partition in stale:
            said = fold(partition, [*control, *own])
            made[partition] = {
                key: value for key, value in said if value is not None and _place(value) not in held
            }
        found = {key: value for each in made.values() for key, value in each.items()}
        changed = [key for key in found.keys() | joins.keys() if found.get(key) != joins.get(key)]
        homes = {_JOIN.decode(found.get(key) or joins[key]).into for key in changed}
        stale = sorted({partition_of(into.encode(), partitions) for into in homes})
        joins, own = found, _lines(found, control[-1].offset + 1 if control else 0)
    return own


def _place(value: bytes) -> tuple[str, str, int] | None:
    """Return of which merge a join comes and from when it counts, whichever application made it; None of other records."""
    record = read_control(ControlLine(0, None, value))
    if not isinstance(record, JoinAccount):
        return None
    return record.old, record.into, instant_ms(record.effective_at)


def _latest(control: Sequence[ControlLine]) -> dict[bytes, bytes | None]:
    """Return the last value of each key; lines of files have no keys but of what they withdraw."""
    return {
        line.key if line.key is not None else control_key(read_control(line)): line.value for line in control
    }


def _lines(joins: Mapping[bytes, bytes], first: int) -> list[ControlLine]:
    """Return joins as lines of control, in the order in which they count."""
    order = sorted(joins, key=lambda key: (instant_ms(_JOIN.decode(joins[key]).effective_at), key))
    return [ControlLine(offset, key, joins[key]) for offset, key in enumerate(order, first)]
