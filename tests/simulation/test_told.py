"""Payments, tickets and facts: every kind of story really occurs, and no story breaks its own order."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pytest

from agents.program import load_program
from agents.simulation.billing import Billing
from agents.simulation.contracts import Contracts
from schemas.topics import Input
from tests.simulation.conftest import DAY_MS, START_MS

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents.simulation import Company
    from tests.simulation.conftest import Told

Story = list[tuple[int, dict[str, Any]]]
Values = dict[tuple[str, str], list[tuple[int, Any, dict[str, Any]]]]
PAID_STORIES: Final[dict[str, Callable[[list[str]], bool]]] = {
    "paid at once": lambda story: story == ["due", "succeeded"],
    "failed, then paid": lambda story: story[:3] == ["due", "failed", "succeeded"],
    "failed three times, then paid": lambda story: story == ["due", *["failed"] * 3, "succeeded"],
    "refunded": lambda story: story[-1] == "refunded",
    "disputed": lambda story: story[-1] == "disputed",
    "disputed, then won": lambda story: story[-2:] == ["disputed", "succeeded"],
    "never paid": lambda story: "succeeded" not in story,
}


def at_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.fixture(scope="module")
def payments(company: Company) -> dict[str, Story]:
    """The records of each payment of ten years, as if no account ever ended."""
    contracts = Contracts(company.accounts, company.fates, company.changes)
    billing, rng = Billing(company.accounts, company.fates, contracts), np.random.default_rng(3)
    rows = [
        row for day in range(company.first_day, company.first_day + 3650) for row in billing.draw(rng, day)
    ]
    stories: dict[str, Story] = defaultdict(list)
    for at, _, _, members in sorted(rows):
        members_read = msgspec.json.decode(f"{{{members}}}")
        stories[members_read["payment_id"]].append((at, members_read))
    return stories


@pytest.fixture(scope="module")
def tickets(told: Told) -> dict[str, Story]:
    stories: dict[str, Story] = defaultdict(list)
    for _, at, members in told[Input.TICKETS]:
        stories[members["ticket_id"]].append((at, members))
    return {name: story for name, story in stories.items() if story[0][1]["action"] == "opened"}


@pytest.fixture(scope="module")
def facts(told: Told) -> Values:
    """Instant, value and members of every fact that was told, by account and name."""
    found: Values = defaultdict(list)
    for name, at, members in told[Input.ACCOUNT_FACTS]:
        for fact, value in members["facts"].items():
            found[name, fact].append((at, value, members))
    return found


def test_payments_of_a_run_begin_with_what_is_due(told: Told) -> None:
    first: dict[str, tuple[int, str]] = {}
    for _, at, members in told[Input.PAYMENTS]:
        first.setdefault(members["payment_id"], (at, members["status"]))
    asked_before = START_MS + 90 * DAY_MS
    statuses = [status for at, status in first.values() if at > asked_before]
    assert len(statuses) > 1000
    assert set(statuses) == {"due"}


@pytest.mark.parametrize("story", PAID_STORIES)
def test_payments_go_many_ways(story: str, payments: dict[str, Story]) -> None:
    found = [PAID_STORIES[story]([members["status"] for _, members in steps]) for steps in payments.values()]
    assert 10 < sum(found) < len(found)


def test_most_payments_are_in_time_and_some_are_days_late(payments: dict[str, Story]) -> None:
    late_days = [
        (at - at_ms(members["due_at"])) / DAY_MS
        for steps in payments.values()
        for at, members in steps
        if members["status"] == "succeeded"
    ]
    late = sum(days > 3 for days in late_days)
    assert 0.01 < late / len(late_days) < 0.25


def test_a_payment_keeps_its_amount_and_every_amount_is_of_its_currency(payments: dict[str, Story]) -> None:
    amounts: dict[str, list[int]] = defaultdict(list)
    for steps in payments.values():
        assert len({(m["amount_minor"], m["currency"], m["due_at"]) for _, m in steps}) == 1
        amounts[steps[0][1]["currency"]].append(steps[0][1]["amount_minor"])
    assert set(amounts) == {"USD", "EUR", "GBP", "BRL", "JPY", "AUD"}
    assert all(amount > 0 for found in amounts.values() for amount in found)
    assert 30 < np.median(amounts["JPY"]) / (np.median(amounts["USD"]) / 100) < 750, (
        "yen have no smaller unit"
    )


def test_a_score_of_a_survey_comes_after_the_resolution(tickets: dict[str, Story]) -> None:
    scored = 0
    for steps in tickets.values():
        for place, (_, members) in enumerate(steps):
            if "csat" in members:
                scored += 1
                assert any(before["action"] == "resolved" for _, before in steps[:place])
                assert 1 <= members["csat"] <= 5
    assert 0.1 < scored / len(tickets) < 0.5


def test_wishes_stay_open_for_weeks_and_other_tickets_rarely(tickets: dict[str, Story]) -> None:
    waits: dict[bool, list[bool]] = {True: [], False: []}
    for steps in tickets.values():
        wish = bool({"feature-request", "feature-gap"} & set(steps[0][1]["tags"]))
        resolved = [at for at, members in steps if members["action"] == "resolved"]
        waits[wish].append(not resolved or resolved[0] > steps[0][0] + 14 * DAY_MS)
    wishes, others = (sum(found) / len(found) for found in (waits[True], waits[False]))
    assert wishes > 0.25
    assert 0 < others < 0.1


def test_tickets_have_all_tags_and_severities_of_the_default_policy(tickets: dict[str, Story]) -> None:
    tags = Counter(tag for steps in tickets.values() for tag in steps[0][1]["tags"])
    for kind, known in load_program("default").policy.ticket_tags.items():
        assert sum(tags[tag] for tag in known) > 10, kind
    assert {steps[0][1]["severity"] for steps in tickets.values()} == {"low", "normal", "high", "urgent"}
    actions = Counter(tuple(dict.fromkeys(m["action"] for _, m in steps)) for steps in tickets.values())
    assert actions["opened", "resolved"] > 10
    assert any("reopened" in found and "resolved" in found for found in actions)
    assert any("escalated" in found for found in actions)


def test_every_fact_that_the_default_policy_reads_is_told(facts: Values) -> None:
    read = set(load_program("default").facts)
    assert len(read) >= 8
    assert read <= {name for _, name in facts}


def test_a_renewal_moves_its_date_forward_by_a_year(facts: Values) -> None:
    moved = 0
    for (_, name), values in facts.items():
        if name == "renewal_date":
            dates = [date.fromisoformat(value) for _, value, _ in values]
            moved += len(dates) - 1
            assert all(360 < (b - a).days < 370 for a, b in zip(dates, dates[1:], strict=False))
            assert all(at_ms(f"{day}T14:00Z") > at for day, (at, _, _) in zip(dates, values, strict=True))
    assert moved > 50


def test_a_customer_has_a_contract_and_a_trial_has_none(facts: Values) -> None:
    kinds = {name: values[0][1] for (name, fact), values in facts.items() if fact == "kind"}
    for name, kind in kinds.items():
        asked = ("kind", "customer_since", "renewal_date", "arr")
        first = {fact: facts[name, fact][0][0] for fact in asked if (name, fact) in facts}
        at_once = {fact for fact, at in first.items() if at == first["kind"]}
        assert at_once == ({*first} if kind in {"customer", "partner"} else {"kind"}), kind
    since = [date.fromisoformat(v[0][1]) for (_, fact), v in facts.items() if fact == "customer_since"]
    assert len(set(since)) > 100


def test_numbers_of_people_are_told_as_they_come(facts: Values) -> None:
    by_name: dict[str, list[Any]] = defaultdict(list)
    for (_, name), values in facts.items():
        by_name[name] += [value for _, value, _ in values]
    assert all(-100 <= value <= 100 for value in by_name["nps"])
    assert min(by_name["nps"]) < 0
    assert max(by_name["nps"]) > 50
    assert set(by_name["csm_sentiment"]) == {"poor", "neutral", "good"}
    for reviewed in ("savings_pct", "efficiency_pct", "goals_pct"):
        assert all(0 <= value <= 100 for value in by_name[reviewed])
        assert min(by_name[reviewed]) < 40
        assert max(by_name[reviewed]) > 70
    assert any(len(values) > 1 for (_, name), values in facts.items() if name == "nps")


def test_references_only_grow(facts: Values) -> None:
    given = [
        [value for _, value, _ in values] for (_, name), values in facts.items() if name == "references_given"
    ]
    assert all(counts == sorted(set(counts)) for counts in given)
    assert any(len(counts) > 1 for counts in given)


def test_an_override_is_rare_and_has_an_author_and_an_end(facts: Values) -> None:
    pins = [v for (_, name), values in facts.items() if name == "override.retention" for v in values]
    pinned = [(at, value, members) for at, value, members in pins if value is not None]
    assert 3 <= len(pinned) < 50
    assert len(pinned) < len(pins), "some are taken back"
    for at, value, members in pinned:
        assert 0 <= value <= 100
        assert members["author"].startswith("csm-")
        assert DAY_MS < at_ms(members["expires_at"]) - at < 90 * DAY_MS
