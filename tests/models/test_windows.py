"""How long an event counts: up to the last day of its component's window, and not on the day after."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.models.golden import score_of, visits
from tests.models.test_bigcommerce import BEST as BEST_BIGCOMMERCE
from tests.models.test_expansion import BEST_FIT
from tests.models.test_guide import AT_75
from tests.scenarios.timeline import Tree, facts, login, payment, ticket

FAILED: Final = [payment(f"0 13:0{n}", "failed", f"P{n}") for n in range(3)]
PAID: Final = [payment("0 13:00", "succeeded", amount_minor=1_000_000, currency="EUR")]


def opened(count: int, **fields: Any) -> list[Tree]:
    return [ticket(f"0 13:{n:02}", "opened", f"T{n}", **fields) for n in range(count)]


# Everything happens on day 0: so much that the component has no points while it counts, or, of good signs, has some.
@pytest.mark.parametrize(
    ("model", "component", "told", "seen", "last_day", "is_good"),
    [
        ("guide", "payment_history", AT_75, FAILED, 90, False),
        ("guide", "spend", AT_75, PAID, 90, True),
        ("guide", "risk_pages", AT_75, visits("0 13:00", "/cancel", 2), 27, False),
        ("guide", "ticket_volume", AT_75, opened(12), 27, False),
        ("guide", "csat", AT_75, opened(1, csat=5), 90, True),  # its week and the twelve that follow
        ("axon", "failed_payments", {}, FAILED, 90, False),
        ("bigcommerce", "gaps_and_stability", BEST_BIGCOMMERCE, opened(6, tags=["bug"]), 27, False),
        ("siemens", "payment_frequency", {"nps": 0}, PAID, 90, True),
        ("expansion", "complementary_pages", BEST_FIT, visits("0 13:00", "/marketplace", 6), 27, True),
        ("qualification", "pricing_pages", {"kind": "trial"}, visits("0 13:00", "/pricing", 2), 13, True),
        ("qualification", "key_features", {"kind": "trial"}, visits("0 13:00", "/app/reports", 5), 6, True),
        ("qualification", "logins", {"kind": "trial"}, [], 6, True),
        ("retention", "payment_trouble", {}, FAILED[:2], 27, False),
        ("retention", "escalations", {}, [ticket(f"0 13:0{n}", "escalated", f"T{n}") for n in range(3)], 27, False),
        ("health", "support_requests", {"goals_pct": 100, "savings_pct": 100, "efficiency_pct": 100}, opened(12), 27, False),
    ],
)  # fmt: skip
def test_an_event_counts_up_to_the_last_day_of_the_window(
    model: str,
    component: str,
    told: dict[str, Any],
    seen: list[Tree],
    last_day: int,
    is_good: bool,  # noqa: FBT001
) -> None:
    later = facts(f"{last_day - 1} 20:00", **told)  # what grows old is told again
    start = [facts("0 12:00", **told), login("0 12:30")]
    within, after = (
        {
            part["name"]: part["contribution"] or 0
            for part in score_of(model, *start, *seen, later, until=until)["components"]
        }
        for until in (f"{last_day} 23:00", f"{last_day + 1} 01:00")
    )
    assert (within[component] > 0, after[component] > 0) == (is_good, not is_good)
