"""The kernel and the auditor agree on accounts that live on in another one, or under another id.

The small histories of `edges.py`, whose accounts are merged about the instants at which something is told of them.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from functools import cache
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import pytest

from schemas.reasons import CauseKind, EventNote, ResolvedBy
from tests.auditor import edges, test_muted, worlds
from tests.auditor.control import Said, said
from tests.auditor.core import differences, run_core
from tests.auditor.days import local_day, start_of_day
from tests.auditor.exact import DAY_MS, HOUR_MS, millis
from tests.auditor.merging import ON_THE_WAY_MS
from tests.auditor.reference import Audit, audit
from tests.auditor.test_muted import messages
from tests.auditor.wire import instant_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.auditor.event import Recorded

SEEDS = int(os.environ.get("LATIDO_AUDIT_SEEDS", "0")) or 24
EVENTS = 180
NEAR_MS = (-1, 0, 0, 1)
DELAY_MS = edges.GRACE_MS + 300_000 + ON_THE_WAY_MS
"""From a merge to its join."""
NEW = ("account-8", "account-9")
"""No account of a company is called so."""


class Case(NamedTuple):
    case: edges.Case
    found: Audit


@cache
def merged(seed: int) -> Case:
    """Return the case of a seed: accounts that end in all ways, under a topic of merges and perhaps of pauses."""
    rng = Random(f"merged {seed}")
    drawn = edges.drawn(rng, worlds.world(seed), EVENTS, accounts_min=2)
    policy = drawn.world.policy | {
        "retire": rng.choice([None, None, {"closed_days": 1}, {"quiet_days": 4}]),
        "erased_days": rng.choice([0, 1, 3]),
        "accounts_max": rng.choice([2, 250_000, 250_000]),
    }
    world = drawn.world._replace(policy=policy)
    records = [edges.perhaps_erasing(rng, record, 0.04) for record in drawn.records]
    apart = audit(records, **world._asdict())
    told = [millis(message["effective_at"]) for message in messages(apart)]
    told += [millis(change["effective_at"]) for change in rng.choices(apart.score_changes, k=5)]
    zone = policy["time_zone"]
    told += [start_of_day(zone, local_day(zone, each) + 1) for each in rng.choices(told, k=5)]
    topic = merges(rng, told, sorted({*apart.final, *apart.gone}))
    topic += [_into_erased(rng, *one) for one in 2 * erased(records)]
    if rng.random() < 0.3:
        topic += test_muted.control(rng, told, 1)
    if rng.random() < 0.3:
        places = sorted(rng.randrange(len(records)) for _ in topic)
        topic = [one._replace(after=after) for one, after in zip(topic, places, strict=True)]
    world = world._replace(control=tuple(topic))
    return Case(edges.Case(records, world), audit(records, **world._asdict()))


def merges(rng: Random, instants: Sequence[int], accounts: Sequence[str]) -> list[Said]:
    """Return merges of accounts into others, some as others are on their way or come to, some while alerts are muted."""
    found: list[Said] = []
    late_enough = sorted(instants)[len(instants) // 4 :]
    for number in range(rng.choice([2, 3, 5])):
        at_ms = rng.choice(late_enough) + rng.choice(NEAR_MS)
        old = rng.choice(accounts)
        new = rng.choice([account for account in accounts if account != old] if rng.random() < 0.6 else NEW)
        if rng.random() < 0.1:
            new = old
        found.append(said("merge", f"{number}", at_ms, old=old, new=new))
        if rng.random() < 0.1:
            found.append(Said(found[-1].key, None))
        if rng.random() < 0.4:
            then_ms = at_ms + DELAY_MS + rng.choice(NEAR_MS)
            found.append(
                said("merge", f"{number} goes on", then_ms, old=new, new=rng.choice([*accounts, *NEW]))
            )
        if rng.random() < 0.4:
            found.append(said("pause", f"{number}", at_ms - DAY_MS))
            found.append(said("resume", f"{number}", at_ms + rng.choice([DELAY_MS, DAY_MS])))
    return found


def erased(records: Sequence[Recorded]) -> list[tuple[str, int]]:
    """Return which accounts records erase, and when."""
    found = [json.loads(r.value) for r in records if r.value and b'"erase": true' in r.value]
    told = [(fields["account_id"], instant_ms(fields["occurred_at"])) for fields in found]
    return [(account, time_ms) for account, time_ms in told if time_ms]


def _into_erased(rng: Random, account: str, time_ms: int) -> Said:
    """Return a merge into an account that is erased, soon before, then, or soon after."""
    at_ms = time_ms + rng.choice([-DELAY_MS, 0, HOUR_MS, DAY_MS - DELAY_MS, DAY_MS]) + rng.choice(NEAR_MS)
    old = rng.choice([f"account-{n}" for n in range(4)])
    return said("merge", f"into {account} at {at_ms}", at_ms, old=old, new=account)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_accounts_are_merged_alike_in_every_output_view_and_note(seed: int) -> None:
    (records, world), found = merged(seed)
    assert differences(run_core(records, **world._asdict()), found) == []


def test_all_that_can_become_of_a_merge_does_so_many_times() -> None:
    seen = Counter[str]()
    for _, found in map(merged, range(24)):
        seen.update(outcome.value for _, outcome in found.moved)
        seen["event left out"] += found.notes[EventNote.MERGED]
        seen["end of an episode"] += sum(m["resolved_by"] == ResolvedBy.MERGED for m in messages(found))
        causes = [change["cause"]["kind"] for change in found.score_changes]
        seen["score change"] += causes.count(CauseKind.MERGE)
        episodes = [episode for account in found.final.values() for episode in account["episodes"]]
        seen["episode under another name, not told"] += sum(not episode["told"] for episode in episodes)
    assert len(seen) == 10, seen
    assert all(number >= 3 for number in seen.values()), seen
