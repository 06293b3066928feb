"""Control records, by section 10 of `docs/semantics.md`: from which instant each counts, and when alerts are muted."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.auditor.merging import Merge
from tests.auditor.wire import instant_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Said(NamedTuple):
    """One record of the control topic.

    Attributes:
        key: its key, of its kind and id.
        body: what it says; None withdraws what was said under the key.
        after: how many records of the inputs had been offered as it was taken.
    """

    key: str
    body: dict[str, Any] | None
    after: int = 0


def said(kind: str, name: str, at: int | str, after: int = 0, **more: Any) -> Said:
    """Return a record of a kind and an id that is to count from an instant."""
    return Said(
        f"{kind}:{name}", {"kind": kind, "id": name, "effective_at": at, "author": None} | more, after
    )


class Counting(NamedTuple):
    """A record that counts from an instant."""

    key: str
    from_ms: int
    body: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.body["kind"])


def counting(topic: Sequence[Said], reached_ms: Callable[[int], float]) -> list[Counting]:
    """Return the records of the topic that count once, in the order in which they do.

    Args:
        topic: all records, in order.
        reached_ms: by the number of records offered the largest key among them.
    """
    found: list[Counting] = []
    for one in topic:
        reached = reached_ms(one.after)
        found = [other for other in found if other.key != one.key or other.from_ms <= reached]
        if one.body is not None:
            told_ms = instant_ms(one.body["effective_at"])
            assert told_ms is not None
            from_ms = told_ms if told_ms > reached else int(reached) + 1
            found.append(Counting(one.key, from_ms, one.body))
    return sorted(found, key=lambda one: (one.from_ms, one.kind != "policy"))


@dataclass(frozen=True)
class Muting:
    """The intervals in which alerts are muted: each from its beginning on, until before its end."""

    intervals: tuple[tuple[float, float], ...] = ()

    def covers(self, now_ms: int) -> bool:
        return any(begin <= now_ms < end for begin, end in self.intervals)

    @property
    def ends(self) -> list[float]:
        return [end for _, end in self.intervals]


NEVER_MUTED = Muting()


def muting(records: Sequence[Counting]) -> Muting:
    """Return when alerts are muted by records in the order in which they count."""
    found: list[tuple[float, float]] = []
    for number, one in enumerate(records):
        if one.kind == "pause":
            resumed = (after.from_ms for after in records[number:] if after.kind == "resume")
            found.append((one.from_ms, next(resumed, inf)))
        if one.kind == "go_live":
            found.append((-inf, one.from_ms))
    return Muting(tuple(found))


def merges(records: Sequence[Counting]) -> list[Merge]:
    """Return the merges among records, in the order in which they count."""
    return [Merge(one.from_ms, one.body["old"], one.body["new"]) for one in records if one.kind == "merge"]
