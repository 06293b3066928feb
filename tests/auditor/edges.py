"""Random small histories that are concentrated on edges: midnights, equal instants, the ends of every duration.

A policy and models of `worlds.py`; a few accounts; the times of events are drawn around the instants at which
something begins or ends.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from schemas.events import RECORDED_TYPES
from schemas.topics import Input
from tests.auditor.days import local_day, start_of_day
from tests.auditor.event import OCCURRED_AT_END_MS, Recorded
from tests.auditor.exact import DAY_MS, EPOCH, HOUR_MS, partition_of, rfc3339
from tests.auditor.worlds import ZONES, World, world

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.auditor.scenarios import Tree

MINUTE_MS = 60_000
STARTED_AFTER = 60
"""So many events the first account alone is active."""
GRACE_MS = 120_000
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
"""Distances that mean something in the policies or the models."""
SHORT_GAPS_MS = (0, 999, 1000, 30 * MINUTE_MS, HOUR_MS)
NEAR_MS = (-1000, -1, 0, 0, 0, 1, 1000)
NAMED = {Input.TICKETS: "ticket_id", Input.PAYMENTS: "payment_id"}
NAMES = {source: name for name, source in RECORDED_TYPES.items()}
PATHS = (
    "/cancel",
    "/refund",
    "/app/reports/7",
    "/app/x",
    "/pricing",
    "/upgrade",
    "/elsewhere",
    "/Cancel",
    "",
    None,
)
URLS = (
    "https://example.com/cancel?why=price",
    "https://example.com?/cancel",
    "https://example.com/x#/cancel",
    "https://CANCEL.example/",
    "/cancel#top",
    "//example.com/cancel",
    "https://example.com/%63ancel",
    "https://example.com/app/reports?7",
    None,
)
NPS = (
    None,
    -100.0006,
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
    100.0004,
    100.0005,
    1e16,
)
TOLD: tuple[tuple[str, float, tuple[Any, ...]], ...] = (
    ("nps", 0.5, NPS),
    ("csm_sentiment", 0.5, (None, "good", "neutral", "poor", "unheard-of", 7, True)),
    ("seats", 0.5, (None, -6, 0, 0.5, 1, 2.4994, 2.4995, 2.5, 9, 10, "many", False)),
    ("owner", 0.3, (None, "ana", "ben")),
    ("kind", 0.15, (None, "customer", "customer", "trial", "partner", "closed", "unheard-of")),
    ("arr", 0.3, (None, 0, 12.499, 12.5, 999.999, 1000, 5000, "dear", True)),
    (
        "time_zone",
        0.2,
        (
            None,
            "UTC",
            "Europe/Madrid",
            "America/Santiago",
            "Pacific/Kiritimati",
            "Pacific/Pago_Pago",
            "Asia/Kathmandu",
            "Mars/Olympus",
            "",
            5,
        ),
    ),
)
"""Names, how often they are told, and their values: on either side of what models cut at, and such as mean nothing."""
DAYS_FROM_NOW = (-400, -40, -8, -7, -2, -1, 0, 1, 6, 7, 8, 30, 60, 90, 91)
LEAPS_DAYS = (254, 255, 256, 262)
"""After so many days a day of the cycle that users are remembered by comes again."""
BAD_DATES = (
    None,
    "1989-12-31",
    "1990-01-01",
    "2099-12-31",
    "2100-01-01",
    "2026-02-30",
    "2026-1-5",
    "20260105",
    "2026-01-05T00:00:00Z",
    "\uff12026-01-05",
    20_260_105,
    True,
)
OVERRIDES = (None, 0, 29.999, 33.3335, 50, 100, 100.0001, -0.001, "50", True)
ROLES = (None, None, "member", "member", "admin", "Owner", "BILLING")
USERS = (None, "", *(f"user-{n}" for n in range(9)), "Üser")


class Case(NamedTuple):
    records: list[Recorded]
    world: World


class Last(NamedTuple):
    """The ticket or payment that was told of last."""

    account: str
    name: str
    time_ms: int


@dataclass
class Draw:
    """A seeded company of a few accounts.

    Attributes:
        at_ms: how far it has come.
        pins: what overrides may name.
        is_calm: no ticket is escalated and no payment goes wrong, so that what is more quiet shows.
        last: per input the ticket or payment told of last; often something more happens to it within a second.
    """

    rng: Random
    zone: str
    pins: list[str]
    accounts: list[str]
    at_ms: int
    instants: list[int]
    is_calm: bool
    count: int = 0
    last: dict[Input, Last] = field(default_factory=dict)


def case(seed: int, events: int = 250) -> Case:
    """Return the case of a seed: records as the broker holds them, hostile ones among them."""
    return drawn(Random(f"records {seed}"), world(seed), events)


def drawn(rng: Random, its: World, events: int, accounts_min: int = 1) -> Case:
    """Return a case of a world."""
    draw = company(rng, its, accounts_min)
    good = [_event(draw) for _ in range(events)]
    rests = rng.random() < 0.3
    if rests:
        good += [_renewal(draw, account) for account in draw.accounts]
    if rng.random() < 0.3:
        draw.at_ms += rng.choice(LEAPS_DAYS) * DAY_MS
        draw.instants = [draw.at_ms]
        good += [_event(draw) for _ in range(events // 8)]
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
    until_ms = rng.choice(
        [
            None,
            None,
            None,
            draw.at_ms,
            rng.choice(draw.instants),
            draw.at_ms + 30 * DAY_MS,
            draw.at_ms + 91 * DAY_MS,
        ]
    )
    if rests:
        until_ms = draw.at_ms + 91 * DAY_MS
    return Case(found, its._replace(until_ms=until_ms))


def recorded_lines(seed: int, its: World, events: int = 250) -> bytes:
    """Return a recorded file of a seed: what is late is so by the grace at most, some lines are no events at all."""
    rng = Random(f"lines {seed}")
    draw = company(rng, its)
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


def company(rng: Random, its: World, accounts_min: int = 1) -> Draw:
    """Return a company before its first event, some days before something happens to the clocks of its zone."""
    zone = its.policy["time_zone"]
    start_ms = start_of_day(zone, date.fromisoformat(ZONES[zone]).toordinal() - EPOCH.date().toordinal())
    accounts = [f"account-{n}" for n in range(rng.randint(accounts_min, 4))]
    return Draw(rng, zone, _pins(its), accounts, start_ms, [start_ms], is_calm=rng.random() < 0.4)


def _pins(its: World) -> list[str]:
    """Return what overrides may name: models, components, and what does not exist."""
    components = [
        f"{name}.{part['name']}"
        for name, tree in its.models.items()
        for dimension in tree["dimensions"]
        for part in dimension["components"]
    ]
    first = its.policy["models"][0]
    return [
        *[first] * 8,
        *its.models,
        *its.models,
        *components,
        "nobody",
        "first.nothing",
        "first.nps.more",
        "",
    ]


Sent = tuple[Input, str, Any, int]


def _event(draw: Draw) -> Sent:
    rng = draw.rng
    source = rng.choices(list(Input), weights=[4, 4, 3, 3, 4])[0]
    last = draw.last.get(source) if source in NAMED and rng.random() < 0.3 else None
    time_ms = _when(draw) if last is None else last.time_ms + rng.choice(NEAR_MS)
    draw.at_ms = max(draw.at_ms, time_ms)
    draw.instants = [*draw.instants[-40:], time_ms]
    draw.count += 1
    account = rng.choice(draw.accounts) if last is None else last.account
    if draw.count < STARTED_AFTER and source in {Input.LOGINS, Input.TICKETS, Input.PAGE_VISITS}:
        account = draw.accounts[0]
    fields: Tree = {
        "event_id": f"e{draw.count}",
        "account_id": account,
        "occurred_at": time_ms if rng.random() < 0.5 else _text(rng, time_ms),
    }
    fields |= _details(draw, source)
    if last is not None:
        fields[NAMED[source]] = last.name
    if source in NAMED:
        draw.last[source] = Last(account, fields[NAMED[source]], time_ms)
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
        case 2 | 3:
            edge = rng.choice(draw.instants) + rng.choice(GAPS_MS)
        case 4:
            edge = rng.choice(draw.instants[-3:]) + rng.choice(SHORT_GAPS_MS)
        case 5:
            edge = rng.choice(draw.instants) + rng.choice(GAPS_MS) + GRACE_MS
        case 6:
            edge = draw.at_ms + rng.randrange(12 * HOUR_MS)
        case _:
            edge = draw.at_ms - rng.choice([0, MINUTE_MS, GRACE_MS, HOUR_MS, DAY_MS, 7 * DAY_MS, 14 * DAY_MS])
    edge = min(edge, draw.at_ms + 3 * DAY_MS)
    if rng.random() < 0.015:
        edge = max(edge, draw.at_ms) + rng.choice([4, 8, 15]) * DAY_MS
    return edge + rng.choice(NEAR_MS)


def _details(draw: Draw, source: Input) -> Tree:
    rng = draw.rng
    if source is Input.ACCOUNT_FACTS:
        return _facts(draw)
    user = {"user_id": rng.choice(USERS)} if rng.random() < 0.9 else {"user_id": f"user {draw.count}"}
    if source is Input.LOGINS:
        return user | {"success": rng.random() < 0.8}
    if source is Input.TICKETS:
        return user | _ticket(draw)
    if source is Input.PAYMENTS:
        return user | _payment(draw)
    page = {"path": rng.choice(PATHS)} if rng.random() < 0.7 else {"url": rng.choice(URLS)}
    feature = {"feature": rng.choice([None, None, "reports", "automation", "unheard-of"])}
    return user | page | feature | {"user_role": rng.choice(ROLES)}


def _ticket(draw: Draw) -> Tree:
    """Return an action on one of more tickets than there are slots, in any order of actions."""
    rng = draw.rng
    actions = ["opened", "opened", "commented", "escalated", "resolved", "resolved", "reopened", "teleported"]
    if draw.is_calm:
        actions.remove("escalated")
    return {
        "ticket_id": rng.choice(["T1", "T1", "T1", "T1", *(f"T{n}" for n in range(2, 9)), f"T{draw.count}"]),
        "action": rng.choice(actions),
        "tags": rng.choice([[], ["idea"], ["bug"], ["Bug"], ["bug", "idea", "bug"], ["unheard-of", ""]]),
        "csat": rng.choice([None, None, 1, 4, 5]),
    }


def _payment(draw: Draw) -> Tree:
    """Return a status of one of more payments than there are slots, due about now or once, with any amount."""
    rng = draw.rng
    wrong = [] if draw.is_calm else ["failed", "failed", "refunded", "disputed"]
    statuses = ["due", "due", "succeeded", "lost", *wrong]
    fields: Tree = {
        "payment_id": rng.choice(["P1", "P1", "P1", *(f"P{n}" for n in range(2, 6)), f"P{draw.count}"]),
        "status": rng.choice(statuses),
        "amount_minor": rng.choice([None, -1, 0, 1, 99, 10_000, 10_000, 10**15, (1 << 63) - 1]),
        "currency": rng.choice(["EUR", "EUR", "eur", "USD", "EURO", "E1R", "", "ÄÖÜ", None]),
    }
    if rng.random() < 0.7:
        near_ms = (
            rng.choice(draw.instants)
            + rng.choice([*GAPS_MS, -2 * DAY_MS, -90 * DAY_MS])
            + rng.choice(NEAR_MS)
        )
        fields["due_at"] = rng.choice([near_ms, near_ms, rfc3339(near_ms), None, -1, 0, OCCURRED_AT_END_MS])
    return fields


def _facts(draw: Draw) -> Tree:
    """Return what is told of an account, good and bad, some of it until an edge."""
    rng = draw.rng
    told: Tree = {}
    for name, chance, values in TOLD:
        if rng.random() < chance:
            told[name] = rng.choice(values)
    today = local_day(draw.zone, draw.at_ms)
    for name in ("customer_since", "renewal_date"):
        if rng.random() < 0.3:
            told[name] = rng.choice([*BAD_DATES, *(_date(today + days) for days in DAYS_FROM_NOW)])
    if rng.random() < 0.25:
        told[f"override.{rng.choice(draw.pins)}"] = rng.choice(OVERRIDES)
    if not told:
        told["owner"] = "cleo"
    expires_ms = draw.at_ms + rng.choice(GAPS_MS) + rng.choice(NEAR_MS) if rng.random() < 0.4 else None
    if rng.random() < 0.2:
        expires_ms = start_of_day(draw.zone, local_day(draw.zone, draw.at_ms) + 1)
    return {"facts": told, "expires_at": expires_ms}


def _renewal(draw: Draw, account: str) -> Sent:
    """Return the fact of a renewal that comes near long after everything else has come to rest."""
    draw.count += 1
    renewal = _date(local_day(draw.zone, draw.at_ms) + draw.rng.choice([50, 70, 90]))
    fields = {"event_id": f"e{draw.count}", "account_id": account, "occurred_at": draw.at_ms}
    return Input.ACCOUNT_FACTS, account, fields | {"facts": {"renewal_date": renewal}}, -1


def _date(day: int) -> str:
    return (EPOCH + timedelta(days=day)).date().isoformat()


def with_erase(record: Recorded, value: Callable[[], object]) -> Recorded:
    """Return a record whose body says ``erase``; the record itself if that is no JSON object."""
    try:
        fields = json.loads(record.value or b"")
    except ValueError:
        return record
    if not isinstance(fields, dict):
        return record
    return record._replace(value=json.dumps(fields | {"erase": value()}).encode())


def perhaps_erasing(rng: Random, record: Recorded, chance: float) -> Recorded:
    """Return a record of facts that says `erase` by chance, most often true; any other as it is."""
    if record.input is not Input.ACCOUNT_FACTS or not record.value or rng.random() > chance:
        return record
    return with_erase(record, lambda: rng.choice([True, True, True, True, False, None, 1]))


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
        if rng.random() < 0.06:
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
