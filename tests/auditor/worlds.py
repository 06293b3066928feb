"""Random policies and models for the histories of `edges.py`: short durations and small numbers, so that everything
comes into play within days, and each edge many times.
"""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from tests.auditor.scenarios import Tree, component, default_policy, model

if TYPE_CHECKING:
    from tests.auditor.control import Said

ZONES = {
    "UTC": "2026-03-01",
    "Europe/Madrid": "2026-03-20",
    "America/Sao_Paulo": "2018-10-25",
    "America/Santiago": "2026-08-28",
    "Australia/Lord_Howe": "2026-03-27",
    "Asia/Kathmandu": "1990-06-01",
    "Pacific/Apia": "2011-12-20",
}
"""Zones of policies, and a day some days before something happens to their clocks, if ever it does."""
ACTIVITY = ("login", "page_visit", "ticket_opened", "ticket_commented", "ticket_reopened")
PATTERNS = ("/app/reports*", "/app/*", "*7", "/cancel", "/pricing*")


class World(NamedTuple):
    """What a run of both is told beside the records; `_asdict()` are their arguments."""

    policy: Tree
    models: dict[str, Tree]
    partitions: int
    until_ms: int | None = None
    keyed: bool = True
    control: tuple[Said, ...] = ()


def world(seed: int) -> World:
    """Return the policy and models of a seed: rules some or all, every feature, bands closed on either side."""
    rng = Random(f"world {seed}")
    zone = list(ZONES)[seed % len(ZONES)]
    named = rng.choice(["third", "value"])
    models = {"first": _first(rng), "second": _second(rng), named: _third(rng, named)}
    order = list(models)
    rng.shuffle(order)
    policy = default_policy(
        models=order,
        time_zone=zone,
        grace_s=120,
        activity=[
            *ACTIVITY,
            *rng.sample(["payment_succeeded", "login_failed", "ticket_resolved"], rng.randint(0, 1)),
        ],
        key_features={
            name: rng.sample(PATTERNS, rng.randint(1, 2))
            for name in rng.sample(["reports", "automation", "integrations"], rng.randint(0, 3))
        },
        ticket_tags=rng.choice(
            [
                {},
                {"feature_request": ["idea", "feature-request"], "stability": ["bug"]},
                {"feature_request": ["idea"], "stability": ["bug", "idea"]},
            ]
        ),
        rhythm={
            "prior_rate": rng.choice([0.5, 1.0, 2.0]),
            "prior_days": rng.choice([0.5, 1.0, 7.0]),
            "forgetting": rng.choice([0.97, 1.0]),
            "horizon_days": rng.choice([2, 7]),
            "unit": rng.choice(["day", "day", "day", "hour"]),
        },
        rules=_rules(rng),
        raise_severity=rng.choice(
            [
                None,
                {"renewal_within_days": 30},
                {"renewal_within_days": 0},
                {"renewal_within_days": 7, "arr_from": 12.5},
                {"arr_from": 1000},
            ]
        ),
    )
    policy["shadow"] = Random(f"shadow {seed}").choice([[], order[1:2], order[2:], order[1:]])
    if policy["rhythm"]["unit"] == "day":
        policy["calendar"] = _calendar(rng, date.fromisoformat(ZONES[zone]))
    return World(policy, models, rng.choice([1, 2, 3]))


def _calendar(rng: Random, begin: date) -> Tree | None:
    """Return none, an empty one, weekends of one or two days, and holidays of one or some days on end."""
    if rng.random() < 0.5:
        return None
    first = begin + timedelta(days=rng.randrange(30))
    return {
        "weekend": rng.choice([[], ["sunday"], ["saturday", "sunday"], ["friday", "saturday"]]),
        "holidays": [first + timedelta(days=n) for n in range(rng.choice([0, 1, 5]))],
    }


def _rules(rng: Random) -> Tree:
    """Return rules with their smallest numbers among others: all of them, or some."""
    days, level = (1, 2, 7), ("info", "warning", "critical")
    window = rng.choice([7, 14])
    everything: Tree = {
        "silence": {
            "severity": "warning",
            "false_alarms_per_year": rng.choice([0.5, 5, 50, 50]),
            "refractory_days": rng.choice(days),
        },
        "decline": {
            "severity": rng.choice(level),
            "weeks": rng.choice([1, 2]),
            "baseline_weeks": 3,
            "active_days_min": rng.choice([1, 3]),
            "drop": rng.choice([0.1, 0.333, 0.5]),
            "level": rng.choice([0.001, 0.5, 1]),
            "phi_min": rng.choice([0.1, 0.5]),
            "refractory_days": rng.choice(days),
        },
        "absolute_silence": {"severity": rng.choice(level), "days": rng.choice(days), "refractory_days": 1},
        "never_started": {
            "severity": rng.choice(level),
            "days": rng.choice(days),
            "refractory_days": rng.choice(days),
        },
        "risk_page": {
            "severity": "info",
            "repeated_severity": rng.choice(["warning", "critical"]),
            "quiet_days": rng.choice([1, 2]),
            "repeat_after_min": rng.choice([0, 30]),
            "refractory_days": rng.choice([1, 2]),
        },
        "payment_trouble": {
            "severity": rng.choice(level),
            "late_days": rng.choice([0, 1, 1]),
            "quiet_days": rng.choice([1, 1, 2, 2, 90]),
            "refractory_days": rng.choice([1, 2]),
        },
        "ticket_trouble": {
            "severity": rng.choice(level),
            "spike_ratio": rng.choice([0.5, 1, 3]),
            "spike_min": rng.choice([1, 2]),
            "unresolved_days": rng.choice([1, 2, 89, 89]),
            "refractory_days": rng.choice([1, 2]),
        },
        "band_drop": {
            "severity": rng.choice(level),
            "points": rng.choice([0.01, 15, 100, 100]),
            "days": rng.choice(days),
            "refractory_days": rng.choice([1, 3]),
        },
        "users_leaving": {
            "severity": rng.choice(level),
            "window_days": window,
            "of_days": window + rng.choice([7, 14]),
            "share": rng.choice([0.5, 0.75, 1]),
            "users_min": rng.choice([1, 3]),
            "refractory_days": rng.choice([1, 2]),
        },
        "reengaged": {
            "severity": rng.choice(level),
            "active_days": rng.choice([1, 2]),
            "quiet_days": rng.choice([2, 3]),
            "refractory_days": rng.choice([1, 2]),
        },
        "usage_surge": {
            "severity": rng.choice(level),
            "window_days": rng.choice([7, 14]),
            "baseline_days": rng.choice([7, 14]),
            "ratio": rng.choice([0.75, 1, 1.5]),
            "events_min": rng.choice([1, 3]),
            "refractory_days": rng.choice([1, 2]),
        },
        "upgrade_interest": {
            "severity": rng.choice(level),
            "visits": rng.choice([1, 2]),
            "window_days": rng.choice([7, 14]),
            "refractory_days": rng.choice([1, 2]),
        },
    }
    named = rng.sample(list(everything), rng.choice([1, 2, 3, 6, len(everything)]))
    rarer = ("silence", "decline", "never_started", "risk_page", "payment_trouble", "ticket_trouble")
    named += [name for name in rarer if rng.random() < 0.35]
    if "reengaged" in named and "silence" not in named:
        named.append("absolute_silence")
    return {name: everything[name] for name in everything if name in named}


def metric(feature: str, source: str | None = None, window: int | None = None, **more: int) -> Tree:
    """Return what a component measures."""
    given = {"feature": feature, "source": source, "window_days": window} | more
    return {name: value for name, value in given.items() if value is not None}


def _first(rng: Random) -> Tree:
    """What is told of an account, with cuts among the values told."""
    sentiment = {"good": 100, "neutral": 52, "poor": 0.001}
    bands = [
        {"name": "low", "from": 0, "closed": "left"},
        {"name": "middle", "from": 30, "closed": rng.choice(["left", "right"])},
        {"name": "high", "from": 50, "closed": rng.choice(["left", "right"])},
        {"name": "top", "from": 70, "closed": rng.choice(["left", "right"])},
    ]
    return model(
        component("nps", 3),
        component("sentiment", 1, metric=metric("fact", "csm_sentiment"), table=sentiment),
        component(
            "size", 1, metric=metric("fact", "seats"), steps=[[-5, 3], [0, 50], [2.5, 51.999], [10, 100]]
        ),
        model="first",
        applies_to={"kind": ["customer", "trial"]},
        min_coverage=rng.choice([0, 0.2, 0.5, 0.6]),
        bands=bands,
        hysteresis=rng.choice([0, 2, 2.001]),
        dwell_h=rng.choice([0, 1, 24]),
        min_change=rng.choice([0.001, 1, 5]),
    )


def _second(rng: Random) -> Tree:
    """What accounts do: counts of all kinds over short windows."""
    fast = [[0, 0], [0.333, 49.999], [1, 50], [3, 100]]
    return model(
        component("rhythm", 5, metric=metric("rhythm"), ramp=[[0, 100], [0.5, 99], [1.5, 70.001], [6, 0]]),
        component("trend", 7, metric=metric("ratio", "activity", 7, lag_days=rng.choice([7, 14])), ramp=fast),
        component("logins", 3, metric=metric("count", "logins", 7), ramp=[[0, 0], [7, 100]]),
        component(
            "days", 3, metric=metric("active_days", "activity", 14), ramp=[[0, 0], [3, 33.333], [14, 100]]
        ),
        component("last", 2, metric=metric("since_last", "page_visits"), steps=[[0, 100], [1, 50], [7, 0]]),
        component("risk", 2, metric=metric("count", "risk_pages", 7), steps=[[0, 100], [1, 30], [2, 0]]),
        component(
            "failed", 1, metric=metric("ratio", "payments_failed", 7, lag_days=7), ramp=[[0, 100], [2, 0]]
        ),
        component("opened", 1, metric=metric("active_days", "tickets_opened", 7), ramp=[[0, 100], [7, 0]]),
        model="second",
        min_coverage=rng.choice([0, 0.1, 0.5]),
        hysteresis=rng.choice([0, 2]),
        dwell_h=rng.choice([1, 24]),
        min_change=rng.choice([0.001, 5]),
    )


def _third(rng: Random, name: str) -> Tree:
    """Some of everything else that can be measured, each so that its smallest steps show."""
    few, week, weeks = [[0, 0], [1, 33.333], [2, 50], [6, 100]], 7, rng.choice([7, 14])
    share, money = [[0, 0], [0.333, 50], [1, 80], [3, 100]], [[0, 0], [100, 50], [10_000, 100]]
    pool = [
        component(
            "faded", metric=metric("decayed", "logins", weeks, half_life_days=rng.choice([1, 3])), ramp=few
        ),
        component("faults", metric=metric("decayed", "failed_logins", week, half_life_days=2), ramp=few),
        component("paid", metric=metric("sum", "payments_succeeded", weeks), ramp=money),
        component("unpaid", metric=metric("sum", "payments_failed", week), ramp=money),
        component("users", metric=metric("users", window=week), ramp=few),
        component("share", metric=metric("user_share", window=week, of_days=14), ramp=share),
        component("open", metric=metric("open_tickets"), ramp=few),
        component("late", metric=metric("late_payments"), ramp=few),
        component("content", metric=metric("mean", "csat", weeks), ramp=[[1, 0], [3.333, 50], [5, 100]]),
        component("solved", metric=metric("mean", "resolve_hours", weeks), ramp=[[0, 100], [1, 50], [48, 0]]),
        component("breadth", metric=metric("key_features", window=weeks), ramp=[[0, 0], [1, 100]]),
        component("start", metric=metric("first_use"), ramp=[[0, 100], [1, 66.667], [30, 0]]),
        component(
            "asked", metric=metric("since_last", "feature_requests"), steps=[[0, 100], [1, 50], [7, 0]]
        ),
        component("gaps", metric=metric("count", "stability_tickets", week), ramp=few),
        component("depth", metric=metric("active_days", "key_feature_pages", week), ramp=few),
        component("wishes", metric=metric("count", "upgrade_pages", week), ramp=few),
        component("value", metric=metric("fact", "arr"), steps=[[0, 10], [12.5, 50], [1000, 100]]),
    ]
    parts = [part | {"weight": rng.randint(1, 4)} for part in rng.sample(pool, rng.randint(3, 9))]
    return model(
        *parts,
        model=name,
        applies_to={"kind": ["customer", "trial", "partner", "closed"]},
        min_coverage=rng.choice([0, 0.1, 0.5]),
        bands=[
            {"name": "small", "from": 0, "closed": "left"},
            {"name": "fair", "from": 33.333, "closed": rng.choice(["left", "right"])},
            {"name": "large", "from": 50, "closed": rng.choice(["left", "right"])},
        ],
        hysteresis=rng.choice([0, 1]),
        dwell_h=rng.choice([0, 1, 24]),
        min_change=rng.choice([0.001, 5]),
    )
