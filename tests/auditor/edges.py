"""Random small histories that are concentrated on edges: midnights, equal instants, the ends of every duration.

A policy and two models with short windows, so that each rule comes into play within days; a few accounts; the times
of events are drawn around the instants at which something begins or ends.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from random import Random
from typing import Any, NamedTuple

from schemas.events import RECORDED_TYPES
from schemas.topics import Input
from tests.auditor.days import local_day, start_of_day
from tests.auditor.event import Recorded
from tests.auditor.exact import DAY_MS, EPOCH, partition_of, rfc3339
from tests.auditor.scenarios import Tree, component, default_policy, model

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
GRACE_MS = 120_000
ZONES = {
    "UTC": "2026-03-01",
    "Europe/Madrid": "2026-03-20",
    "America/Sao_Paulo": "2018-10-25",
    "America/Santiago": "2026-08-28",
    "Australia/Lord_Howe": "2026-03-27",
    "Asia/Kathmandu": "1990-06-01",
    "Pacific/Apia": "2011-12-20",
}
"""Zones, and a day some days before something happens to their clocks, if ever it does."""
GAPS_MS = (
    0,
    0,
    1,
    999,
    1000,
    30 * MINUTE_MS,
    HOUR_MS,
    24 * HOUR_MS,
    DAY_MS,
    2 * DAY_MS,
    7 * DAY_MS,
    14 * DAY_MS,
)
"""Distances that mean something in the policy or the models below."""
NEAR_MS = (-1000, -1, 0, 0, 0, 1, 1000)
NAMES = {source: name for name, source in RECORDED_TYPES.items()}
NPS = (
    None,
    -100,
    0,
    29.999,
    30,
    30.0005,
    47.999,
    48,
    49.9995,
    50,
    51.999,
    52,
    52.0005,
    70,
    72,
    100,
    1e12,
    10**15,
    1e16,
)
CATEGORIES = (None, "good", "neutral", "poor", "unheard-of", 7, True)
KINDS = (None, "customer", "customer", "trial", "closed", "unheard-of")
PATHS = ("/cancel", "/refund", "/app/reports/7", "/pricing", "/elsewhere", "/Cancel", "")
URLS = (
    "https://example.com/cancel?why=price",
    "https://example.com?/cancel",
    "https://example.com/x#/cancel",
    "https://CANCEL.example/",
    "/cancel#top",
    "//example.com/cancel",
    "https://example.com/%63ancel",
)


class World(NamedTuple):
    """What a run of both is told beside the records; `_asdict()` are their arguments."""

    policy: Tree
    models: dict[str, Tree]
    partitions: int
    until_ms: int | None = None
    keyed: bool = True


class Case(NamedTuple):
    records: list[Recorded]
    world: World


@dataclass
class Draw:
    """A seeded company of a few accounts; `at_ms` is how far it has come."""

    rng: Random
    zone: str
    accounts: list[str]
    at_ms: int
    instants: list[int]
    count: int = 0


def world(seed: int) -> World:
    """Return the policy and models of a seed: short durations, every feature, bands closed on either side."""
    rng = Random(f"world {seed}")
    policy = default_policy(
        models=["first", "second"],
        time_zone=list(ZONES)[seed % len(ZONES)],
        grace_s=GRACE_MS // 1000,
        rhythm={
            "prior_rate": 1.0,
            "prior_days": rng.choice([0.5, 1.0, 7.0]),
            "forgetting": 0.97,
            "horizon_days": 7,
        },
        rules={
            "silence": {
                "severity": "warning",
                "false_alarms_per_year": rng.choice([0.5, 5, 50]),
                "refractory_days": rng.choice([1, 2, 7]),
            },
            "absolute_silence": {"severity": "critical", "days": rng.choice([1, 2, 7]), "refractory_days": 1},
            "risk_page": {
                "severity": "info",
                "repeated_severity": rng.choice(["warning", "critical"]),
                "quiet_days": rng.choice([1, 2]),
                "repeat_after_min": rng.choice([0, 30]),
                "refractory_days": rng.choice([1, 2]),
            },
        },
    )
    return World(policy, {"first": _first(rng), "second": _second(rng)}, rng.choice([1, 2, 3]))


def _metric(
    feature: str, source: str | None = None, window: int | None = None, lag: int | None = None
) -> Tree:
    return {"feature": feature, "source": source, "window_days": window, "lag_days": lag}


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
        component("sentiment", 1, metric=_metric("fact", "csm_sentiment"), table=sentiment),
        component(
            "size", 1, metric=_metric("fact", "seats"), steps=[[-5, 3], [0, 50], [2.5, 51.999], [10, 100]]
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
    """What accounts do: every feature over short windows."""
    fast = [[0, 0], [0.333, 49.999], [1, 50], [3, 100]]
    return model(
        component("rhythm", 5, metric=_metric("rhythm"), ramp=[[0.5, 100], [1.5, 70.001], [6, 0]]),
        component("trend", 7, metric=_metric("ratio", "activity", 7, rng.choice([7, 14])), ramp=fast),
        component("logins", 3, metric=_metric("count", "logins", 7), ramp=[[0, 0], [7, 100]]),
        component(
            "days", 3, metric=_metric("active_days", "activity", 14), ramp=[[0, 0], [3, 33.333], [14, 100]]
        ),
        component("last", 2, metric=_metric("since_last", "page_visits"), steps=[[0, 100], [1, 50], [7, 0]]),
        component("risk", 2, metric=_metric("count", "risk_pages", 7), steps=[[0, 100], [1, 30], [2, 0]]),
        component("failed", 1, metric=_metric("ratio", "payments_failed", 7, 7), ramp=[[0, 100], [2, 0]]),
        component("opened", 1, metric=_metric("active_days", "tickets_opened", 7), ramp=[[0, 100], [7, 0]]),
        model="second",
        min_coverage=rng.choice([0, 0.1, 0.5]),
        hysteresis=rng.choice([0, 2]),
        dwell_h=rng.choice([1, 24]),
        min_change=rng.choice([0.001, 5]),
    )


def case(seed: int, events: int = 250) -> Case:
    """Return the case of a seed: records as the broker holds them, hostile ones among them."""
    rng = Random(f"records {seed}")
    its = world(seed)
    zone = its.policy["time_zone"]
    draw = company(rng, zone)
    good = [_event(draw) for _ in range(events)]
    found: list[Recorded] = []
    offsets: dict[tuple[Input, int], int] = {}
    for source, account, tree, received_ms in _with_bad(rng, good, halt=rng.random() < 0.15):
        value = tree if isinstance(tree, bytes | None) else json.dumps(tree).encode()
        is_astray = rng.random() < 0.003
        partition = rng.randrange(its.partitions) if is_astray else partition_of(account, its.partitions)
        key = None if rng.random() < 0.003 else account.encode()
        offset = offsets.get((source, partition), rng.choice([0, 0, 1000]))
        offsets[source, partition] = offset + rng.choice([1, 1, 1, 2])
        found.append(Recorded(source, partition, offset, key, value, received_ms))
    until_ms = rng.choice([None, None, None, draw.at_ms, rng.choice(draw.instants), draw.at_ms + 30 * DAY_MS])
    return Case(found, its._replace(until_ms=until_ms))


def recorded_lines(seed: int, its: World, events: int = 250) -> bytes:
    """Return a recorded file of a seed: what is late is so by the grace at most, some lines are no events at all."""
    rng = Random(f"lines {seed}")
    draw = company(rng, its.policy["time_zone"])
    is_dated = rng.random() < 0.5
    timed = []
    for _ in range(events):
        source, _, tree, _ = _event(draw)
        time_ms = draw.instants[-1]
        received = rng.choice([time_ms, rfc3339(time_ms), time_ms - 1000]) if is_dated else None
        line = {"type": NAMES[source]} | tree | ({"received_at": received} if is_dated else {})
        timed.append((time_ms + rng.choice([0, 0, 0, GRACE_MS - 1, GRACE_MS]), json.dumps(line).encode()))
        if rng.random() < 0.05:
            timed.append((time_ms, rng.choice(_broken_lines(line))))
    timed.sort()
    if not is_dated:
        source, _, tree, _ = _event(draw)
        ahead_ms = max(draw.instants) + rng.choice([0, DAY_MS, 2 * DAY_MS]) + rng.choice(NEAR_MS)
        timed.append(
            (ahead_ms, json.dumps({"type": NAMES[source]} | tree | {"occurred_at": ahead_ms}).encode())
        )
    return b"\n".join(line for _, line in timed) + rng.choice([b"", b"\n", b"\r\n"])


def company(rng: Random, zone: str) -> Draw:
    """Return a company before its first event, some days before something happens to the clocks of its zone."""
    start_ms = start_of_day(zone, date.fromisoformat(ZONES[zone]).toordinal() - EPOCH.date().toordinal())
    return Draw(rng, zone, [f"account-{n}" for n in range(rng.randint(1, 4))], start_ms, [start_ms])


Sent = tuple[Input, str, Any, int]


def _event(draw: Draw) -> Sent:
    rng = draw.rng
    time_ms = _when(draw)
    draw.at_ms = max(draw.at_ms, time_ms)
    draw.instants = [*draw.instants[-40:], time_ms]
    draw.count += 1
    source = rng.choices(list(Input), weights=[4, 4, 1, 2, 4])[0]
    account = rng.choice(draw.accounts)
    fields = {
        "event_id": f"e{draw.count}",
        "account_id": account,
        "occurred_at": time_ms if rng.random() < 0.5 else _text(rng, time_ms),
    }
    fields |= _details(draw, source)
    received_ms = rng.choice([time_ms, time_ms, time_ms - 300_000, time_ms - 300_001, -1])
    return source, account, fields, received_ms


def _text(rng: Random, time_ms: int) -> str:
    """Return an instant as text: with an offset, with more digits than anyone needs."""
    shift_min = rng.choice([0, 0, -210, 345])
    text = rfc3339(time_ms + shift_min * MINUTE_MS)[:-1] + rng.choice(
        ["", "9", "999", "999999", "4999999999"]
    )
    sign = "-" if shift_min < 0 else "+"
    return text + ("Z" if shift_min == 0 else f"{sign}{abs(shift_min) // 60:02d}:{abs(shift_min) % 60:02d}")


def _when(draw: Draw) -> int:
    """Return an instant: mostly soon, often exactly where something begins or ends, now and then late."""
    rng = draw.rng
    match rng.randrange(8):
        case 0 | 1:
            edge = start_of_day(draw.zone, local_day(draw.zone, draw.at_ms) + rng.choice([0, 1, 1, 1, 2, 7]))
        case 2 | 3 | 4:
            edge = rng.choice(draw.instants) + rng.choice(GAPS_MS)
        case 5:
            edge = rng.choice(draw.instants) + rng.choice(GAPS_MS) + GRACE_MS
        case 6:
            edge = draw.at_ms + rng.randrange(12 * HOUR_MS)
        case _:
            edge = draw.at_ms - rng.choice([0, MINUTE_MS, GRACE_MS, HOUR_MS, DAY_MS, 7 * DAY_MS, 14 * DAY_MS])
    edge = min(edge, draw.at_ms + 3 * DAY_MS)
    return edge + rng.choice(NEAR_MS)


def _details(draw: Draw, source: Input) -> Tree:
    rng = draw.rng
    if source is Input.ACCOUNT_FACTS:
        return _facts(draw)
    if source is Input.LOGINS:
        return {"success": rng.random() < 0.8}
    if source is Input.TICKETS:
        actions = ["opened", "commented", "escalated", "resolved", "reopened", "teleported"]
        return {"ticket_id": rng.choice(["T1", "T2", f"T{draw.count}"]), "action": rng.choice(actions)}
    if source is Input.PAYMENTS:
        statuses = ["due", "succeeded", "failed", "failed", "refunded", "disputed", "lost"]
        return {"payment_id": rng.choice(["P1", f"P{draw.count}"]), "status": rng.choice(statuses)}
    page = {"path": rng.choice(PATHS)} if rng.random() < 0.7 else {"url": rng.choice(URLS)}
    return page | {"user_role": rng.choice([None, "admin", "Owner", "BILLING", "member"])}


def _facts(draw: Draw) -> Tree:
    rng = draw.rng
    told: Tree = {}
    for name, values in {
        "nps": NPS,
        "csm_sentiment": CATEGORIES,
        "seats": (None, -6, 0, 2.4994, 2.4995, 2.5, 9, 10, "many", False),
        "owner": (None, "ana", "ben"),
        "kind": KINDS,
    }.items():
        if rng.random() < (0.2 if name == "kind" else 0.5):
            told[name] = rng.choice(values)
    expires_ms = draw.at_ms + rng.choice(GAPS_MS) + rng.choice(NEAR_MS) if rng.random() < 0.4 else None
    if rng.random() < 0.2:
        expires_ms = start_of_day(draw.zone, local_day(draw.zone, draw.at_ms) + 1)
    return {"facts": told, "expires_at": expires_ms}


def _with_bad(rng: Random, good: list[Sent], *, halt: bool) -> list[Sent]:
    """Return events with repeats and broken records among them, and once a hundred of these in a row to halt at."""
    found: list[Sent] = []
    halt_at = rng.randrange(len(good)) if halt else -1
    for number, sent in enumerate(good):
        found.append(sent)
        if number == halt_at:
            found += [(sent[0], sent[1], b"{", -1)] * rng.choice([98, 99, 100, 101])
        source, account, fields, received_ms = sent
        if rng.random() < 0.08:
            found.append(rng.choice(found[-rng.choice([2, 8, 16, 50]) :]))
        if rng.random() < 0.02:
            found.append((source, account, fields | {"event_id": f"again-{len(found)}"}, received_ms))
        if rng.random() < 0.05:
            text = json.dumps(fields).encode()
            found.append((source, account, rng.choice(_broken(fields, text)), received_ms))
    return found


def _broken(fields: Tree, text: bytes) -> list[Tree | bytes | None]:
    return [
        None,
        b"",
        text[: len(text) // 2],
        text + b"x",
        text.replace(b'"event_id"', b'"event_id": 5, "event_id"'),
        b"\xff",
        fields | {"account_id": "somebody-else"},
        fields | {"occurred_at": 0},
        fields | {"event_id": 5},
        fields | {"occurred_at": fields["occurred_at"], "unknown": [10**30, {"a": None}]},
        {name: value for name, value in fields.items() if name != "occurred_at"},
    ]


def _broken_lines(line: Tree) -> list[bytes]:
    text = json.dumps(line).encode()
    changes: list[Tree] = [
        {"type": "teapot"},
        {"type": 5},
        {"account_id": 5},
        {"account_id": ""},
        {"account_id": "x" * 257},
        {"account_id": "a\nb"},
        {"occurred_at": 0},
        {"received_at": "yesterday"},
        {"received_at": 1.5},
        {"received_at": None},
        {"action": 5, "status": 5, "facts": 5, "url": 5, "method": 5},
    ]
    whole = [json.dumps(line | change).encode() for change in changes]
    return [
        *whole,
        text + b"}",
        text[:-9],
        b"",
        b"  ",
        b"[]",
        text + b"\r",
        text.replace(b'"type"', b'"type": 5, "type"'),
    ]
