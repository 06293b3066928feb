"""What is written to the control topic while a seed runs: before its workers, while they work, and while the broker is away.

``effective_at`` lies anywhere in what is judged, often where something else happens; a record that is written after a
partition has come there is late.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from schemas.control import content_hash
from schemas.events import OCCURRED_AT_END_MS
from tests.auditor.days import local_day, start_of_day
from tests.auditor.edges import NEAR_MS
from tests.auditor.exact import DAY_MS, HOUR_MS

if TYPE_CHECKING:
    from random import Random

    from tests.auditor.scenarios import Tree
    from tests.auditor.worlds import World

BEFORE: Final = -1
"""Written before the first worker starts."""
WHILE_MS: Final = 5_000
"""While workers run: within so long."""
LENGTHS_MS: Final = (1, HOUR_MS, DAY_MS, 3 * DAY_MS, 10 * DAY_MS)


class Written(NamedTuple):
    """A record of the control topic, written so many ms after the first worker starts; without a value it withdraws."""

    after_ms: int
    key: bytes
    value: bytes | None


class Operator:
    """Draws control records, each with an id of its own but where it replaces or withdraws one.

    Args:
        rng: decides.
        times: instants at which something happens, in order; may be replaced.
        zone: whose midnights matter.
        may_be_late: whether records of policies are also written while workers run.

    Attributes:
        policies_until_ms: no policy takes hold later; may be replaced.
    """

    def __init__(self, rng: Random, times: list[int], zone: str, *, may_be_late: bool) -> None:
        self.times, self.policies_until_ms = times, OCCURRED_AT_END_MS - 1
        self._rng, self._zone, self._may_be_late = rng, zone, may_be_late
        self.written: list[Written] = []

    def mute(self) -> None:
        """Pause alerts once or twice, and mostly resume them."""
        for _ in range(self._rng.choice([1, 1, 2])):
            from_ms, after_ms = self.moment(), self._when()
            self._write(after_ms, "pause", from_ms)
            if self._rng.random() < 0.85:
                end_ms = from_ms + self._rng.choice(LENGTHS_MS) + self._rng.choice(NEAR_MS) + 1
                self._write(self._later(after_ms), "resume", end_ms)

    def go_live(self) -> None:
        """Mute everything before an instant: written beforehand, for what was told cannot be taken back."""
        self._write(BEFORE, "go_live", self.moment(), name="application")

    def activate(self, world: World, at_ms: int | None = None) -> None:
        """Let the policy and models of a world take hold."""
        policy: Tree = json.loads(json.dumps(world.policy, default=str))
        models: list[Tree] = json.loads(json.dumps([world.models[name] for name in policy["models"]]))
        content: dict[str, Any] = {"policy": policy, "models": models, "hash": content_hash(policy, models)}
        after_ms = self._when() if self._may_be_late and at_ms is None else BEFORE
        at_ms = min(self.moment(), self.policies_until_ms) if at_ms is None else at_ms
        self._write(after_ms, "policy", at_ms, **content)

    def merge(self, old: str, new: str, at_ms: int, *, may_be_late: bool) -> None:
        """Let an account end by a merge into another one."""
        self._write(self._when() if may_be_late else BEFORE, "merge", at_ms, old=old, new=new)

    def change_mind(self, first: int = 1) -> None:
        """Withdraw a record, or put another in its place: it may count already. None before ``first``."""
        after_ms, key, value = self._rng.choice(self.written[first:])
        if key.startswith(b"go_live") or (key.startswith(b"policy") and not self._may_be_late):
            after_ms = BEFORE
        else:
            after_ms = self._later(after_ms)
        if self._rng.random() < 0.5:
            self.written.append(Written(after_ms, key, None))
            return
        at_ms = self.moment()
        if key.startswith(b"policy"):
            at_ms = min(at_ms, self.policies_until_ms)
        moved = json.loads(value or b"{}") | {"effective_at": at_ms}
        self.written.append(Written(after_ms, key, json.dumps(moved).encode()))

    def _write(self, after_ms: int, kind: str, at_ms: int, *, name: str = "", **content: Any) -> None:
        name = name or f"{len(self.written)}"
        body = {"kind": kind, "id": name, "effective_at": at_ms, **content}
        self.written.append(Written(after_ms, f"{kind}:{name}".encode(), json.dumps(body).encode()))

    def _when(self) -> int:
        return BEFORE if self._rng.random() < 0.4 else self._rng.randrange(WHILE_MS)

    def _later(self, after_ms: int) -> int:
        if after_ms == BEFORE and self._rng.random() < 0.5:
            return BEFORE
        return max(after_ms, 0) + self._rng.randrange(WHILE_MS // 2)

    def moment(self) -> int:
        """Return an instant among the events: anywhere, at one of them, at a midnight, as an hour begins."""
        rng, any_ms = self._rng, self._rng.randint(self.times[0], self.times[-1])
        match rng.randrange(4):
            case 0:
                return any_ms
            case 1:
                return rng.choice(self.times) + rng.choice(NEAR_MS)
            case 2:
                return start_of_day(self._zone, local_day(self._zone, any_ms)) + rng.choice(NEAR_MS)
            case _:
                return any_ms // HOUR_MS * HOUR_MS + rng.choice(NEAR_MS)


def goes_on(rng: Random, topic: str, partition: int, offset: int, end: int) -> tuple[bytes, bytes]:
    """Return the record, as key and value, that lets a halted input go on: behind the halt, or somewhere before its end."""
    name = f"{topic}-{partition}-{offset}"
    place: dict[str, Any] = {"input": topic, "partition": partition, "offset": offset}
    kind = "resume_input"
    if rng.random() < 0.4 and end > offset + 1:
        kind, place["to_offset"] = "skip_input", rng.randint(offset + 1, min(end, offset + 20))
    body = {"kind": kind, "id": name, "effective_at": "2026-01-01T00:00:00Z", **place}
    return f"{kind}:{name}".encode(), json.dumps(body).encode()
