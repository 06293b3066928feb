"""The stream of a simulated company: its bytes, its order, its contract and its truth."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter
from datetime import datetime
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from agents.simulation import Company, SimulatedEvent
from schemas.events import EVENT_TYPES
from schemas.topics import Input
from tests.simulation.conftest import START_MS, body_of, span

DIGEST = """
import hashlib
from agents.simulation import Company, Span
digest = hashlib.sha256()
for event in Company(Span(seed={seed}, accounts=40, start_ms={start}, days=30)):
    digest.update(event.body)
print(digest.hexdigest())
"""


def digest(seed: int) -> str:
    found = hashlib.sha256()
    for event in Company(span(seed=seed, accounts=40, days=30, volume=1.0)):
        found.update(event.body)
    return found.hexdigest()


def at_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def test_the_same_seed_gives_the_same_bytes_in_another_process() -> None:
    program = DIGEST.format(seed=5, start=START_MS)
    command = [sys.executable, "-c", program]
    other = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"})
    assert other.stdout.strip() == digest(5)


def test_another_seed_gives_other_bytes() -> None:
    assert digest(5) != digest(6)


def test_events_come_in_time_order_within_the_span(company: Company, events: list[SimulatedEvent]) -> None:
    assert all(a.occurred_ms <= b.occurred_ms for a, b in pairwise(events))
    assert company.span.start_ms <= events[0].occurred_ms
    assert events[-1].occurred_ms < company.span.end_ms


def test_event_ids_are_unique_and_differ_between_runs(events: list[SimulatedEvent]) -> None:
    ids = {body_of(event)["event_id"] for event in events}
    assert len(ids) == len(events)
    other = {body_of(event)["event_id"] for event in Company(span(accounts=5, days=3))}
    assert not ids & other


def test_every_event_keeps_the_contract_of_its_input(events: list[SimulatedEvent]) -> None:
    decoders = {topic: msgspec.json.Decoder(kind) for topic, kind in EVENT_TYPES.items()}
    for event in events[::7]:
        decoded: Any = decoders[event.topic].decode(event.body)
        assert decoded.account_id == event.account_id
        assert round(decoded.occurred_at.timestamp() * 1000) == event.occurred_ms


def test_every_input_and_every_action_is_there(events: list[SimulatedEvent]) -> None:
    topics = Counter(event.topic for event in events)
    assert set(topics) == set(Input)
    tickets = {body_of(event)["action"] for event in events if event.topic is Input.TICKETS}
    assert tickets == {"opened", "commented", "escalated", "resolved", "reopened"}
    payments = {body_of(event)["status"] for event in events if event.topic is Input.PAYMENTS}
    assert payments >= {"due", "succeeded", "failed", "refunded"}
    paths = {body_of(event).get("path") for event in events if event.topic is Input.PAGE_VISITS}
    assert paths >= {"/pricing", "/upgrade", "/account/cancel", "/help/refund-faq", "/app/dashboard"}


def test_facts_of_an_account_come_before_anything_else_of_it(events: list[SimulatedEvent]) -> None:
    first: dict[str, Input] = {}
    for event in events:
        first.setdefault(event.account_id, event.topic)
    assert set(first.values()) == {Input.ACCOUNT_FACTS}


def test_nothing_happens_in_an_account_after_its_stop(
    events: list[SimulatedEvent], truths: dict[str, dict[str, Any]]
) -> None:
    stops = {name: at_ms(truth["stops_at"]) for name, truth in truths.items() if truth["stops_at"]}
    assert len(stops) >= 60
    late = [
        event for event in events if event.occurred_ms >= stops.get(event.account_id, event.occurred_ms + 1)
    ]
    assert late == []


def test_nobody_works_during_a_pause_and_people_come_back(
    events: list[SimulatedEvent], truths: dict[str, dict[str, Any]]
) -> None:
    pauses = {name: list(map(at_ms, truth["pauses"][0])) for name, truth in truths.items() if truth["pauses"]}
    logins = [event for event in events if event.topic is Input.LOGINS and event.account_id in pauses]
    inside = [e for e in logins if pauses[e.account_id][0] <= e.occurred_ms < pauses[e.account_id][1]]
    back = {e.account_id for e in logins if e.occurred_ms >= pauses[e.account_id][1]}
    assert inside == []
    assert len(back) >= len(pauses) // 2 > 5


def test_a_fading_account_has_fewer_users_at_its_end(
    events: list[SimulatedEvent], truths: dict[str, dict[str, Any]]
) -> None:
    before, after = set(), set()
    for event in events:
        truth = truths[event.account_id]
        if truth["outcome"] != "fades" or not truth["stops_at"] or event.topic is not Input.LOGINS:
            continue
        user = body_of(event)["user_id"]
        if event.occurred_ms < at_ms(truth["fades_from"]):
            before.add(user)
        elif event.occurred_ms > at_ms(truth["stops_at"]) - 10 * 86_400_000:
            after.add(user)
    assert len(before) > 20
    assert len(after) < 0.5 * len(before)


def test_the_cancellation_page_is_opened_on_the_days_that_the_truth_names(
    events: list[SimulatedEvent], truths: dict[str, dict[str, Any]]
) -> None:
    visited = Counter(
        event.account_id
        for event in events
        if event.topic is Input.PAGE_VISITS and body_of(event).get("path") == "/account/cancel"
    )
    warned = [name for name, truth in truths.items() if truth["cancel_page_days"]]
    unwarned_leavers = [
        name
        for name, truth in truths.items()
        if truth["outcome"] == "stops" and not truth["cancel_page_days"]
    ]
    assert len(warned) >= 15
    assert all(visited[name] >= len(truths[name]["cancel_page_days"]) for name in warned)
    assert sum(visited[name] == 0 for name in unwarned_leavers) > 0.8 * len(unwarned_leavers)


def test_an_account_that_never_starts_has_facts_but_no_activity(
    events: list[SimulatedEvent], truths: dict[str, dict[str, Any]]
) -> None:
    never = {name for name, truth in truths.items() if truth["outcome"] == "never_starts"}
    topics = {event.topic for event in events if event.account_id in never}
    assert never
    assert Input.ACCOUNT_FACTS in topics
    assert not topics & {Input.LOGINS, Input.PAGE_VISITS, Input.TICKETS}


def test_healthy_intervals_hold_no_pause_and_end_before_the_departure(
    truths: dict[str, dict[str, Any]],
) -> None:
    for truth in truths.values():
        assert all(begin < end for begin, end in truth["healthy"])
        departures = [truth[key] for key in ("fades_from", "stops_at") if truth[key]]
        for begin, end in truth["healthy"]:
            assert all(end <= departure for departure in departures)
            assert all(end <= pause[0] or begin >= pause[1] for pause in truth["pauses"])


@pytest.mark.parametrize("days", [1, 45])
def test_a_longer_run_of_the_live_part_begins_with_the_same_events(days: int) -> None:
    """The history does not depend on how long the company goes on after it, event ids apart."""
    short = list(Company(span(accounts=30, days=days)))
    long = list(Company(span(accounts=30, days=days, further_ms=3_600_000)))
    assert [event.occurred_ms for event in long[: len(short)]] == [event.occurred_ms for event in short]
    assert len(long) >= len(short)


def test_volume_changes_the_amount_but_no_active_day() -> None:
    def days(volume: float) -> tuple[int, set[tuple[str, int]]]:
        found = list(Company(span(accounts=40, days=30, volume=volume)))
        logins = [event for event in found if event.topic is Input.LOGINS]
        return len(found), {(event.account_id, event.occurred_ms // 86_400_000) for event in logins}

    little, much = days(0.3), days(3.0)
    assert much[0] > 2 * little[0]
    assert len(much[1] ^ little[1]) < 0.12 * len(little[1])
