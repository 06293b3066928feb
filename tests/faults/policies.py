"""What the policies of a seed say beside rules and models: how accounts end, what waits; and a crowd that makes it matter.

crowd      xx..xxxxxxxxxxxxxxxx....xxxx    accounts that log in twice a day, but for two outages of their input
brake                          hh r        too many are silent at one midnight: some are held, and released in the hours after
guard                        [www)         fewer events than usual: silences wait
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from schemas.topics import Input
from tests.auditor.edges import with_erase
from tests.auditor.event import Recorded
from tests.auditor.exact import DAY_MS, HOUR_MS, partition_of

if TYPE_CHECKING:
    from random import Random

    from tests.auditor.scenarios import Tree
    from tests.auditor.worlds import World

CROWD_DAYS: Final = 26
RETIRE: Final = (
    {"closed_days": 1},
    {"quiet_days": 2},
    {"closed_days": 2, "quiet_days": 9},
    {"quiet_days": 14},
)
FEW_ACCOUNTS: Final = (1, 1, 2, 3)

Timed = list[tuple[int, Recorded]]
"""Records in the order of their times, each with its time."""


class Drawn(NamedTuple):
    """What of it a seed has."""

    ends: bool
    few: bool
    brake: bool
    guard: bool

    @property
    def is_crowded(self) -> bool:
        """Whether anything waits."""
        return self.brake or self.guard


def strict(rng: Random, policy: Tree, drawn: Drawn) -> Tree:
    """Return a policy with numbers so small that they bite within some days."""
    more: Tree = {}
    if drawn.ends:
        more |= {"retire": rng.choice(RETIRE), "erased_days": rng.choice([0, 1, 3, 30])}
    if drawn.few:
        more["accounts_max"] = rng.choice(FEW_ACCOUNTS)
    if drawn.brake:
        more["brake"] = {"factor": rng.choice([1.0, 1.0, 1.5]), "firings_min": 1, "weeks": rng.choice([1, 2])}
    if drawn.guard:
        more["stalled_sources"] = {
            "inputs": rng.choice([["logins"], ["logins"], ["logins", "page-visits"]]),
            "expected_min": rng.choice([1, 2]),
            "stalled_below": rng.choice([0.1, 0.5]),
            "back_from": rng.choice([0.5, 1.0]),
            "settle_hours": rng.choice([0, 1, 13]),
            "hold_days": rng.choice([1, 2, 5]),
            "weeks": rng.choice([1, 2]),
        }
    if drawn.is_crowded:
        silence = {"severity": rng.choice(["info", "warning"]), "days": 1, "refractory_days": 1}
        more["rules"] = policy["rules"] | {"absolute_silence": silence}
    return policy | more


def with_erasures(rng: Random, records: list[Recorded]) -> list[Recorded]:
    """Let some events of account-facts erase."""
    return [_perhaps_erasing(rng, record) for record in records]


def _perhaps_erasing(rng: Random, record: Recorded) -> Recorded:
    if record.input is not Input.ACCOUNT_FACTS or not record.value or rng.random() > 0.15:
        return record
    return with_erase(record, lambda: True)


def with_crowd(rng: Random, timed: Timed, world: World) -> Timed:
    """Add a crowd in the last days of a history; in an outage nothing comes of its input, from nobody."""
    end_ms = timed[-1][0]
    start_ms = max(timed[0][0], end_ms - CROWD_DAYS * DAY_MS)
    outages = [
        (begin_ms, begin_ms + round(rng.choice([1.2, 2.1, 3.3]) * DAY_MS))
        for begin_ms in (start_ms + 2 * DAY_MS, end_ms - round(rng.uniform(3, 9) * DAY_MS))
    ]
    kept = [
        (at_ms, record)
        for at_ms, record in timed
        if record.input is not Input.LOGINS or not any(begin <= at_ms < end for begin, end in outages)
    ]
    for number in range(rng.choice([2, 3, 4])):
        at_ms = start_ms + rng.randrange(HOUR_MS)
        while at_ms < end_ms:
            if not any(begin <= at_ms < end for begin, end in outages):
                kept.append((at_ms, _login(f"crowd-{number}", at_ms, world.partitions)))
            at_ms += 12 * HOUR_MS
    return sorted(kept, key=lambda pair: pair[0])


def _login(account: str, at_ms: int, partitions: int) -> Recorded:
    body: dict[str, Any] = {"event_id": f"{account} {at_ms}", "account_id": account, "occurred_at": at_ms}
    key, value = account.encode(), json.dumps(body).encode()
    return Recorded(Input.LOGINS, partition_of(account, partitions), -1, key, value, at_ms)
