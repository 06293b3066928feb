"""The kernel and the auditor agree on what is told, and when, while alerts are paused, resumed, or not live yet.

The small histories of `edges.py`, with control records that count around the messages which go out without them.
"""

from __future__ import annotations

import os
from collections import Counter
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from schemas.reasons import ResolvedBy, Status
from tests.auditor import edges
from tests.auditor.control import Counting, Said, counting, muting, said
from tests.auditor.core import differences, run_core
from tests.auditor.days import local_day, start_of_day
from tests.auditor.exact import millis
from tests.auditor.reference import Audit, audit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.auditor.worlds import World

SEEDS = int(os.environ.get("LATIDO_AUDIT_SEEDS", "0")) or 24
EVENTS = 150
NEAR_MS = (-1, 0, 0, 0, 1)
RESOLVED, FIRING, ESCALATED = Status.RESOLVED.value, Status.FIRING.value, Status.ESCALATED.value


class Muted(NamedTuple):
    """A case, and what is told in it with and without its control records."""

    case: edges.Case
    found: Audit
    unmuted: Audit


def messages(found: Audit) -> list[dict[str, Any]]:
    return found.disengagements + found.opportunities


@cache
def muted(seed: int) -> Muted:
    """Return the case of a seed: accounts that end, and pauses and all else about the instants at which something is told."""
    rng, drawn = Random(f"muted {seed}"), edges.case(seed, EVENTS)
    retire = rng.choice([None, None, None, {"closed_days": 1, "quiet_days": 4}])
    world = drawn.world._replace(policy=drawn.world.policy | {"retire": retire})
    records = [edges.perhaps_erasing(rng, record, 0.02) for record in drawn.records]
    unmuted = audit(records, **world._asdict())
    world = world._replace(control=tuple(control(rng, _instants(rng, world, unmuted), len(records))))
    return Muted(edges.Case(records, world), audit(records, **world._asdict()), unmuted)


def _instants(rng: Random, world: World, unmuted: Audit) -> list[int]:
    """Return instants at which something is told, most of all that alerts are worse, and midnights after some."""
    alerts = messages(unmuted)
    worse = [message for message in alerts if message["status"] == ESCALATED]
    told = [millis(message["effective_at"]) for message in alerts + 4 * worse]
    told += [millis(change["effective_at"]) for change in rng.choices(unmuted.score_changes, k=5)]
    zone = world.policy["time_zone"]
    return told + [start_of_day(zone, local_day(zone, each) + 1) for each in rng.choices(told, k=5)]


def control(rng: Random, instants: Sequence[int], records: int) -> list[Said]:
    """Return a control topic: pauses and resumes, now and then a go-live; some are replaced, withdrawn, or come late."""
    found: list[Said] = []
    in_order, are_timely = sorted(set(instants)), rng.random() < 0.6
    for _ in range(rng.choice([4, 8])):
        first = in_order.index(rng.choice(instants))
        last = min(first + rng.choice([0, 1, 2, 3, 8]), len(in_order) - 1)
        after = 0 if are_timely else rng.randrange(records)
        for kind, name, place in (
            ("pause", rng.choice("abcdefgh"), first),
            ("resume", rng.choice("abcdefgh"), last),
            ("go_live", "application", first // 3),
        ):
            one = said(kind, name, in_order[place] + rng.choice(NEAR_MS), after)
            if rng.random() < {"pause": 1, "resume": 0.8, "go_live": 0.2}[kind]:
                found.append(one if rng.random() < 0.9 else one._replace(body=None))
    return sorted(found, key=lambda one: one.after)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_is_muted_is_held_and_told_alike_in_every_output_view_and_note(seed: int) -> None:
    (records, world), found, _ = muted(seed)
    assert differences(run_core(records, **world._asdict()), found) == []


def of_episodes(found: Audit) -> dict[str, list[dict[str, Any]]]:
    """Return the messages by episode, in their order."""
    by_id: dict[str, list[dict[str, Any]]] = {}
    for message in messages(found):
        by_id.setdefault(message["episode_id"], []).append(message)
    return by_id


def test_all_that_muting_can_do_happens_many_times() -> None:
    seen = Counter[str]()
    for (_, world), found, unmuted in map(muted, range(24)):
        told, due = of_episodes(found), of_episodes(unmuted)
        seen["never told"] += len(due.keys() - told.keys())
        for name, sent in told.items():
            expected = {message["status"]: message["effective_at"] for message in due[name]}
            first, last = sent[0], sent[-1]
            seen["fired later, as critical"] += first != due[name][0] and first["severity"] == "critical"
            seen["fired later"] += first != due[name][0]
            seen["escalated later"] += any(
                message["status"] == ESCALATED and message not in due[name] for message in sent
            )
            seen["rise that was told with the firing"] += len(sent) < len(due[name])
            seen["end that was told while muted"] += last["status"] == RESOLVED and covered(world, last)
            seen["end of an account"] += last["resolved_by"] in {ResolvedBy.ERASED, ResolvedBy.RETIRED}
            seen["fired as expected"] += first["effective_at"] == expected.get(FIRING)
        episodes = [episode for account in found.final.values() for episode in account["episodes"]]
        seen["view of an episode not told"] += sum(not episode["told"] for episode in episodes)
        seen["late"] += sum(one.after > 0 for one in world.control)
        seen["withdrawal"] += sum(one.body is None for one in world.control)
    assert len(seen) == 11, seen
    assert seen.pop("view of an episode not told"), seen
    assert all(number >= 3 for number in seen.values()), seen


def covered(world: World, message: dict[str, Any]) -> bool:
    """Tell whether a message went out while alerts were muted, as far as the records that were timely say."""
    is_timely = not any(one.after for one in world.control)
    return is_timely and muting(counting(world.control, lambda _: -(10.0**15))).covers(
        millis(message["effective_at"])
    )


# --- which records count ------------------------------------------------------------------------------------------


def at(*reached_ms: float) -> list[Counting]:
    """Return what counts of a pause, a withdrawal and another pause that are taken as keys have come to these instants."""
    topic = [said("pause", "a", 1_000), Said("pause:a", None, 1), said("pause", "a", 3_000, 2)]
    return counting(topic, reached_ms.__getitem__)


def test_a_record_counts_from_its_instant_if_that_is_to_come_and_else_from_the_next() -> None:
    assert [one.from_ms for one in at(999, 999, 2_999)] == [3_000]
    assert [one.from_ms for one in at(1_000, 1_000, 3_000)] == [3_001]


def test_a_record_that_counts_is_not_withdrawn() -> None:
    assert [one.from_ms for one in at(0, 1_000, 2_000)] == [1_000, 3_000]


def test_a_pause_ends_with_the_first_resume_after_it_in_the_order_in_which_they_count() -> None:
    topic = [
        said("resume", "r", 5), said("pause", "a", 5), said("pause", "b", 3), said("resume", "s", 9),
        said("go_live", "application", 1),
    ]  # fmt: skip
    found = muting(counting(topic, lambda _: 0))
    assert sorted(found.intervals) == [(float("-inf"), 1), (3, 5), (5, 9)]
    assert [now for now in range(11) if found.covers(now)] == [0, 3, 4, 5, 6, 7, 8]
