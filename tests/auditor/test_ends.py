"""The kernel and the auditor agree on how accounts end: the small histories of `edges.py`, with erasures among the facts."""

from __future__ import annotations

from collections import Counter
from functools import cache
from random import Random

import pytest

from schemas.reasons import EventNote, RejectReason, ResolvedBy
from tests.auditor import edges
from tests.auditor.core import differences, run_core
from tests.auditor.ends import Erasures
from tests.auditor.exact import DAY_MS
from tests.auditor.reference import Audit, audit

SEEDS = range(16)
RETIRE = (
    None,
    {"closed_days": 1},
    {"quiet_days": 2},
    {"closed_days": 2, "quiet_days": 4},
    {"closed_days": 1, "quiet_days": 3},
)


def case(seed: int) -> edges.Case:
    """Return a case of `edges.py` under a policy by which accounts end, with erasures in place of some facts."""
    rng, drawn = Random(f"ends {seed}"), edges.case(seed)
    policy = drawn.world.policy | {
        "retire": rng.choice(RETIRE),
        "erased_days": rng.choice([0, 1, 3]),
        "accounts_max": rng.choice([1, 1, 2, 3, 250_000]),
    }
    records = [edges.perhaps_erasing(rng, record, 0.2) for record in drawn.records]
    return edges.Case(records, drawn.world._replace(policy=policy))


@cache
def audited(seed: int) -> Audit:
    records, world = case(seed)
    return audit(records, **world._asdict())


@pytest.mark.parametrize("seed", SEEDS)
def test_accounts_end_alike_in_every_output_reject_and_note(seed: int) -> None:
    records, world = case(seed)
    assert differences(run_core(records, **world._asdict()), audited(seed)) == []


def test_all_kinds_of_ends_are_hit() -> None:
    found = [audited(seed) for seed in SEEDS]
    alerts = [alert for one in found for alert in one.disengagements + one.opportunities]
    ends = Counter(alert["resolved_by"] for alert in alerts)
    assert ends[ResolvedBy.ERASED] >= 30, ends
    assert ends[ResolvedBy.RETIRED] >= 10, ends
    assert sum(one.notes[EventNote.ERASED] for one in found) >= 300
    refused = Counter(reason for one in found for *_, reason in one.dead_letters)
    assert refused[RejectReason.TOO_MANY_ACCOUNTS] >= 100, refused
    assert sum(len(one.score_changes) for one in found) > 1000


def test_a_memory_of_erased_accounts_is_bounded_in_time_and_number() -> None:
    memory = Erasures()
    memory.remember("a", 0)
    memory.remember("b", 90 * DAY_MS)
    assert memory.leave_out("a", 0)
    memory.remember("c", 90 * DAY_MS + 1)
    assert not memory.remembers("a")
    for number in range(10_000):
        memory.remember(f"{number}", 91 * DAY_MS)
    assert len(memory.until_ms) == 10_000
    assert not memory.remembers("b")
