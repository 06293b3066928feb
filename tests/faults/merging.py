"""What a seed that merges has besides: accounts that are much like others, and merges of all kinds.

twin       x..x.x...x|               of an account it has some events, so that there is much to add, to unite and to choose from
merges     twin-0 -> account-1       there or not, in the same partition or in another
           account-1 -> renamed-0    one after another, before or after what the first one brought has come
           crowd-0 -> crowd-0        into itself: nothing happens

A merge lies anywhere, or so that its join does: at an event, at a midnight, while the workers run.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from schemas.events import is_account_id
from tests.auditor.edges import NEAR_MS
from tests.auditor.exact import DAY_MS, HOUR_MS, partition_of

if TYPE_CHECKING:
    from collections.abc import Collection
    from random import Random

    from tests.auditor.event import Recorded
    from tests.auditor.worlds import World
    from tests.faults.control import Operator
    from tests.faults.policies import Timed

MERGES: Final = (2, 2, 3, 4, 5)
TWINS: Final = 3
LIKE: Final = 0.4
"""So much of what happens to an account happens to its twin."""


class Lives(NamedTuple):
    """What happens in a history, as far as merges are drawn by it.

    Attributes:
        events: by account when something of it happens, in order.
        erasures: accounts, and when they are erased.
    """

    events: dict[str, list[int]]
    erasures: list[tuple[str, int]]


class Merging(NamedTuple):
    """Between what a seed merges, and when.

    Attributes:
        lives: of accounts that may be merged.
        delay_ms: from a merge to its join.
        near: instants while the workers run at which a join is to count.
    """

    lives: Lives
    delay_ms: int
    near: list[int]


def with_twins(rng: Random, timed: Timed, world: World) -> Timed:
    """Give some accounts a twin each."""
    names = sorted(lives_in(timed).events)
    twins = {name: f"twin-{number}" for number, name in enumerate(rng.sample(names, min(TWINS, len(names))))}
    kept: Timed = []
    for at_ms, record in timed:
        kept.append((at_ms, record))
        body = _told(record)
        if body is not None and body["account_id"] in twins and rng.random() < LIKE:
            kept.append((at_ms, _of(record, body, twins[body["account_id"]], world.partitions)))
    return kept


def lives_in(timed: Timed, but: Collection[str] = ()) -> Lives:
    """Return what happens in a history, but to some accounts."""
    lives = Lives(defaultdict(list), [])
    for at_ms, record in timed:
        body = _told(record)
        if body is None or body["account_id"] in but:
            continue
        lives.events[body["account_id"]].append(at_ms)
        if body.get("erase") is True:
            lives.erasures.append((body["account_id"], at_ms))
    return lives


def _told(record: Recorded) -> dict[str, Any] | None:
    """Return what a record tells, if it can be told of another account as well."""
    try:
        body = json.loads(record.value or b"")
    except ValueError:
        return None
    if not isinstance(body, dict) or not isinstance(body.get("event_id"), str):
        return None
    name = body.get("account_id")
    is_right = isinstance(name, str) and is_account_id(name) and name.encode() == record.key
    return body if is_right else None


def _of(record: Recorded, body: dict[str, Any], account: str, partitions: int) -> Recorded:
    body = body | {"account_id": account, "event_id": f"{account} {body['event_id']}"[:100]}
    home = partition_of(account, partitions)
    return record._replace(partition=home, key=account.encode(), value=json.dumps(body).encode())


def draw_merges(rng: Random, operator: Operator, merging: Merging) -> None:
    """Merge accounts, some times."""
    names, delay_ms = sorted(merging.lives.events), merging.delay_ms
    came: tuple[str, int] | None = None
    for number in range(rng.choice(MERGES)):
        if came is not None and rng.random() < 0.4:
            old, at_ms = came[0], came[1] + _apart(rng, delay_ms)
        else:
            old = rng.choice(names)
            at_ms = _instant(rng, operator, merging, merging.lives.events[old])
        new = rng.choice([name for name in names if name != old] or [f"renamed-{number}"])
        case = rng.random()
        if case < 0.05:
            new = old
        elif case < 0.35:
            new = f"renamed-{rng.choice([0, number])}"
        elif case < 0.6 and merging.lives.erasures:
            new, erased_ms = rng.choice(merging.lives.erasures[-3:])
            if rng.random() < 0.5:
                at_ms = erased_ms + rng.choice([1, HOUR_MS, DAY_MS]) - delay_ms
        operator.merge(old, new, at_ms, may_be_late=at_ms + delay_ms < min(merging.near))
        came = new, at_ms
    if rng.random() < 0.25:
        operator.change_mind(first=0)


def _apart(rng: Random, delay_ms: int) -> int:
    """Return how much later than a merge the next one of a chain counts: before, at or after the join of the first."""
    return rng.choice(
        [1, delay_ms // 2, delay_ms - 1, delay_ms, delay_ms + 1, 2 * delay_ms, HOUR_MS, DAY_MS, 3 * DAY_MS]
    )


def _instant(rng: Random, operator: Operator, merging: Merging, events: list[int]) -> int:
    """Return when a merge counts: it or its join near something in the history, or its join while workers run."""
    case = rng.random()
    if case < 0.45:
        return rng.choice(merging.near) - merging.delay_ms
    if case < 0.7:
        return rng.choice(events) + rng.choice(NEAR_MS)
    return operator.moment() - rng.choice([0, 0, merging.delay_ms])
