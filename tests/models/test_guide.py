"""`guide`: money, engagement, and what is beyond; tiers with their service levels; alerts and opportunities."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.models.golden import changes, dimensions, logins, played, require, score_of, unjudged_until, visits
from tests.scenarios.timeline import Story, Tree, facts, login, payment, ticket

# The first day: payments that failed 6 * 100, late ones 4 * 100, upgrade pages 3 * 40, risk pages 4 * 100, tickets 3 * 100:
#   1820 of 20. Facts are 49 more: 12 value, 6 upsell, 6 cost, 5 size, 5 growth, 4 influence, 7 fit, 4 referrals
#   75 * 69 = 5175: 1820 + 1200 + 600 + 600 + 500 + 50 (growth -15 -> 10) + 80 + 245 + 80
#   50 * 69 = 3450: 1820 +  480 + 360 + 300 + 100 + 20 (growth -18 ->  4) + 80 + 210 + 80
#   25 * 69 = 1725: 1820 - 400 (two risk pages) + 0 + 0 + 0 + 100 + 10 (growth -19 -> 2) + 80 + 35 + 80
AT_75: Final[dict[str, Any]] = {
    "arr": 200_000, "upsell_potential": "high", "cost_to_serve_pct": 10, "employees": 1000, "growth_pct": -15,
    "influence": "low", "fit_pct": 35, "referral_potential": "low",
}  # fmt: skip
AT_50: Final = AT_75 | {
    "arr": 10_000, "upsell_potential": "some", "cost_to_serve_pct": 30, "employees": 10, "growth_pct": -18, "fit_pct": 30,
}  # fmt: skip
AT_25: Final = AT_75 | {
    "arr": 0, "upsell_potential": "none", "cost_to_serve_pct": 60, "employees": 10, "growth_pct": -19, "fit_pct": 5,
}  # fmt: skip


SERVICES: Final = {
    "evaluate": "self-service; judge at renewal whether it pays to keep it",
    "maintain": "shared inbox, answer within two working days; review once a year",
    "growth": "named contact, answer within one working day; review twice a year, offer what it lacks",
    "strategic": "own customer-success manager, answer within four hours; review every quarter with its sponsor",
}


@pytest.mark.parametrize(
    ("told", "risk", "score", "tier"),
    [
        (AT_75, 0, 75, "strategic"),
        (AT_75 | {"fit_pct": 34.99}, 0, 74.999, "growth"),
        (AT_50, 0, 50, "growth"),
        (AT_50 | {"fit_pct": 29.99}, 0, 49.999, "maintain"),
        (AT_25, 2, 25, "maintain"),
        (AT_25 | {"fit_pct": 4.99}, 2, 24.999, "evaluate"),
    ],
)
def test_the_tiers_at_their_edges_and_their_service_levels(
    told: dict[str, Any], risk: int, score: float, tier: str
) -> None:
    found = score_of("guide", *visits("0 11:00", "/cancel", risk), facts("0 12:00", **told), until="0 13:00")
    assert (found["score"], found["band"], found["coverage"]) == (score, tier, 0.69)
    assert found["service"] == SERVICES[tier]


def test_without_a_tier_there_is_no_service_level() -> None:
    found = score_of("guide", facts("0 12:00", fit_pct=50), until="0 13:00")
    assert (found["band"], found["service"], found["coverage"]) == ("insufficient_evidence", None, 0.27)


RICH: Final[list[Tree]] = [
    login("0 09:00"),
    *(payment(f"{day} 09:00", "succeeded", f"P{day}", amount_minor=500_000, currency="EUR") for day in (20, 40, 60)),
    *logins(range(93, 98)),
    ticket("98 09:00", "opened", "T1"),
    ticket("99 09:00", "resolved", "T1", csat=5),
    ticket("99 10:00", "opened", "T2"),
    *logins([100], 50),
    *visits("100 10:00", "/app/reports"),
    *visits("100 10:30", "/pricing"),
    facts(
        "100 11:00", arr=50_000, upsell_potential="some", cost_to_serve_pct=20, employees=100, growth_pct=0,
        influence="medium", fit_pct=80, referral_potential="high",
    ),
]  # fmt: skip


# Financial: 12 * 80 + 6 * 65 (15,000.00 in a quarter) + 600 + 400 + 6 * 60 + 6 * 75 = 3160 / 40
# Engagement: 8 days 9 * 60, more than 40 of recent use 500, 1 of 3 features 6 * 33.3, a look at prices 3 * 70, 400, 2 tickets
#   300, solved in 24 h 2 * 70, csat 5 300 = 2589.8 / 35. Strategic: 5 * 50 + 5 * 40 + 4 * 60 + 7 * 80 + 400 = 1650 / 25
def test_an_account_of_which_everything_is_known() -> None:
    outside, inside = unjudged_until("100 11:30")
    found = score_of("guide", outside, *RICH, inside, until="100 12:00")
    require(
        found, 73.998, "growth", 1,
        contract_value=9.6, spend=3.9, payment_history=6, late_payments=4, upsell=3.6, cost_to_serve=4.5,
        usage_frequency=5.4, recent_usage=5, feature_adoption=1.998, upgrade_pages=2.1, risk_pages=4, ticket_volume=3,
        ticket_resolution=1.4, csat=3, size=2.5, growth=2, influence=2.4, fit=5.6, referrals=4,
    )  # fmt: skip
    assert dimensions(found) == {"financial": 79, "engagement": 73.994, "strategic": 66}


#   75; a cancel page takes 4 * 70: 4895 / 69 = 70.942; a second 4 * 30: 69.203, not told; a failed payment 6 * 50 and, as it
#   is late, 4 * 50: 4275 / 69 = 61.957; paid: late no more, but it did fail: 4475 / 69 = 64.855, not told
def test_bad_signs_take_points_away() -> None:
    story = played(
        "guide",
        facts("0 12:00", **AT_75),
        *visits("1 12:00", "/cancel", 2),
        payment("2 12:00", "failed"),
        payment("3 12:00", "succeeded"),
        until="4",
    )
    assert changes(story) == ["0 12:00 75 strategic", "1 12:00 70.942 growth", "2 12:00 61.957 growth"]
    assert story.view["scores"][0]["score"] == 64.855


#   75; no contract any more: 3975 / 69 = 57.609, a tier lower and 17.39 points in five days: an alert
#   the contract back: 75, for strategic 77 are asked; fit 65 -> + 210: 78.043: the tier is back, the alert is over
def test_a_drop_of_fifteen_points_alerts_and_the_old_tier_resolves_it() -> None:
    story = played(
        "guide",
        facts("0 12:00", **AT_75),
        facts("5 12:00", arr=0),
        facts("8 12:00", arr=200_000),
        facts("9 12:00", fit_pct=65),
        until="10",
        rules={"band_drop": {}},
    )
    assert changes(story) == [
        "0 12:00 75 strategic", "5 12:00 57.609 growth", "8 12:00 75 growth", "9 12:00 78.043 strategic",
    ]  # fmt: skip
    assert story.messages == [
        "5 12:00 firing warning band_drop", "9 12:00 resolved warning band_drop by condition_over",
    ]  # fmt: skip
    assert story.evidence("band_drop") == {"band": "growth", "band_before": "strategic", "points_lost": 17.39}


def growing(**raised: Any) -> Story:
    """Return what becomes of an account whose use rises sixfold after six weeks and that then looks at upgrades, twice."""
    seen = [*logins(range(42)), *logins(range(42, 60), 6), *visits("57 12:00", "/upgrade", 2)]
    rules: Tree = {"usage_surge": {}, "upgrade_interest": {}}
    return played("guide", *seen, until="60", rules=rules, raise_severity=raised)


#   day 55, after eight weeks: 78 events in two weeks against 42 in six; day 57: two visits
def test_rising_use_and_upgrade_pages_together_are_an_opportunity() -> None:
    assert growing(signs_together=2).messages == [
        "55 00:00 firing info usage_surge", "57 12:00:01 escalated warning usage_surge+upgrade_interest",
    ]  # fmt: skip


@pytest.mark.parametrize("raised", [{}, {"signs_together": 3}])
def test_one_sign_more_is_no_message_unless_the_policy_asks_for_so_many(raised: Tree) -> None:
    story = growing(**raised)
    assert story.messages == ["55 00:00 firing info usage_surge"]
    assert [line.split()[0] for line in story.open_reasons] == ["usage_surge", "upgrade_interest"]


def test_an_override_of_the_score_and_of_a_component() -> None:
    pinned = score_of("guide", facts("0 12:00", override__guide=90, **AT_50), until="0 13:00")
    assert (pinned["score"], pinned["band"], pinned["components"][-1]["contribution"]) == (
        90,
        "strategic",
        40,
    )
    #   contract value 100 in place of 40: + 12 * 60 / 69 = 10.435
    part = score_of("guide", facts("0 12:00", override__guide__contract_value=100, **AT_50), until="0 13:00")
    assert (part["score"], part["components"][-1]["contribution"]) == (60.435, 10.435)
