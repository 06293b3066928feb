"""What a seed that merges has besides: accounts that are much like others, and merges of all kinds.

twin       x..x.x...x|               of an account it has some events, so that there is much to add, to unite and to choose from
merges     twin-0 -> account-1       there or not, in the same partition or in another
           account-1 -> renamed-0    one after another, before or after what the first one brought has come
           crowd-0 -> crowd-0        into itself: nothing happens

A merge lies anywhere, or so that its join does: at an event, at a midnight, while the workers run.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from schemas.events import is_account_id
from tests.auditor.exact import DAY_MS, HOUR_MS, partition_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from tests.auditor.event import Recorded
    from tests.auditor.worlds import World
    from tests.faults.control import Operator
    from tests.faults.policies import Timed

MERGES: Final = (1, 2, 2, 3, 4)
TWINS: Final = 2
LIKE: Final = 0.4
"""So much of what happens to an account happens to its twin."""


class Towns(NamedTuple):
    """Between what a seed merges.

    Attributes:
        names: accounts that are there at some time.
        delay_ms: from a merge to its join.
        history: instants of events, in order.
        near: instants while the workers run at which a join is to count.
    """

    names: Sequence[str]
    delay_ms: int
    history: list[int]
    near: list[int]


def with_twins(rng: Random, timed: Timed, world: World) -> Timed:
    """Give two accounts a twin each."""
    names = names_in(timed)
    twins = {name: f"twin-{number}" for number, name in enumerate(rng.sample(names, min(TWINS, len(names))))}
    kept: Timed = []
    for at_ms, record in timed:
        kept.append((at_ms, record))
        name = _account(record)
        if name in twins and rng.random() < LIKE:
            kept.append((at_ms, _of(record, twins[name], world.partitions)))
    return kept


def _account(record: Recorded) -> str | None:
    """Return the account of a record that can be told of another one as well."""
    try:
        body = json.loads(record.value or b"")
    except ValueError:
        return None
    if not isinstance(body, dict) or not isinstance(body.get("event_id"), str):
        return None
    name = body.get("account_id")
    return name if isinstance(name, str) and is_account_id(name) and name.encode() == record.key else None


def _of(record: Recorded, account: str, partitions: int) -> Recorded:
    body: dict[str, Any] = json.loads(record.value or b"")
    body |= {"account_id": account, "event_id": f"{account} {body['event_id']}"[:100]}
    key = account.encode()
    return record._replace(
        partition=partition_of(account, partitions), key=key, value=json.dumps(body).encode()
    )


def names_in(timed: Timed) -> list[str]:
    """Return the accounts of records."""
    return sorted({name for _, record in timed if (name := _account(record)) is not None})


def draw_merges(rng: Random, operator: Operator, towns: Towns) -> None:
    """Merge accounts, once or some times."""
    came: tuple[str, int] | None = None
    for number in range(rng.choice(MERGES)):
        if came is not None and rng.random() < 0.4:
            old, at_ms = came[0], came[1] + _apart(rng, towns.delay_ms)
        else:
            old, at_ms = rng.choice(towns.names), _instant(rng, operator, towns)
        others = [name for name in towns.names if name != old]
        case = rng.random()
        if case < 0.05 or not others:
            new = old
        elif case < 0.4:
            new = f"renamed-{rng.choice([0, number])}"
        else:
            new = rng.choice(others)
        operator.merge(old, new, at_ms)
        came = new, at_ms
    if rng.random() < 0.25:
        operator.change_mind(first=0)


def _apart(rng: Random, delay_ms: int) -> int:
    """Return how much later than a merge the next one of a chain counts: before, at or after the join of the first."""
    return rng.choice(
        [1, delay_ms // 2, delay_ms - 1, delay_ms, delay_ms + 1, 2 * delay_ms, HOUR_MS, DAY_MS, 3 * DAY_MS]
    )


def _instant(rng: Random, operator: Operator, towns: Towns) -> int:
    """Return when a merge counts: it or its join near something that happens in the history, or its join in the run."""
    if rng.random() < 0.4:
        return rng.choice(towns.near) - towns.delay_ms
    operator.times = towns.history
    return operator.moment() - rng.choice([0, 0, towns.delay_ms])
