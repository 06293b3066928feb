"""Timelines: what a person reads is what is run, through the real core, and what must come out of it.

    day      0         10        20        30        40
    login    x.x.x.x.x.x.x.x.x.x........................x
    silence  .......................................F...R

The first line is a ruler: a column is a `day` (also an `hour` or a `week`), and day 0 is Monday, 2026-01-05. Another
ruler below goes on with the same timeline. Everything else is a lane:

- what happens, at noon of its day, at the full hour, or at noon of the first days of its week:
  `login` and `visit` (x, or how many; by weeks on how many days), `users` (how many, each with an id of its own),
  `cancel` and `upgrade` (x, A by an administrator), `erase` (x), `opened` (how many tickets, each with an id of its own),
  tickets `T1`.. (o opened, c commented, e escalated, r resolved, R reopened),
  payments `P1`.. (d due, s succeeded, f failed, r refunded, D disputed), and facts: a value at its column, - deletes it;
- what comes out, all of it: `score` and `band` of the first model, a value at the column of each change sent; rules by
  name: F, E, R the message fires, escalates, resolves and lists the rule; `severity` of each message: i, w, c.

A rule is in force if it has a lane (with the shipped numbers), or is named in `rules`. Instants are told as "day hour".
"""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import yaml

from agents.joins import fold_with_joins
from agents.observer import NullPartitionObserver
from agents.partition import Partition
from agents.zones import ZoneDatabase
from schemas.catalogue import FACT_BY_NAME, OVERRIDE_PREFIX
from schemas.events import RECORDED_TYPES
from schemas.model_file import ModelFile
from schemas.policy import Policy
from schemas.reasons import EventNote, Merged, Rule
from schemas.records import Chunk
from schemas.topics import Input, Output
from streams.clock import ENDLESS_MS
from streams.control import ControlLine
from streams.plan import compile_program
from streams.views import view_records
from tests.auditor.scenarios import NPS, component

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from schemas.records import OutputRecord
    from streams.plan import Program

Tree = dict[str, Any]
START: Final = datetime(2026, 1, 5, tzinfo=UTC)
UNITS: Final = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
NOON: Final = timedelta(hours=12)
RULES: Final = tuple(rule.label for rule in Rule)
TICKETS: Final = {
    "o": "opened", "c": "commented", "e": "escalated", "r": "resolved", "R": "reopened",
}  # fmt: skip
PAYMENTS: Final = {"d": "due", "s": "succeeded", "f": "failed", "r": "refunded", "D": "disputed"}
COUNTED: Final[dict[str, Tree]] = {
    "login": {"type": "login"},
    "users": {"type": "login"},
    "visit": {"type": "page_visit", "path": "/app"},
    "opened": {"type": "ticket", "action": "opened"},
    "erase": {"type": "facts", "facts": {}, "erase": True},
}
"""Lanes whose marks may be numbers."""
OUTCOMES: Final = {*RULES, "score", "band", "severity"}
"""Lanes of what comes out."""
SHIPPED: Final[Tree] = yaml.safe_load(
    (Path(__file__).parents[2] / "schemas" / "policies" / "default.yaml").read_text()
)


# --- instants and events -------------------------------------------------------------------------------------------


def moment(text: str) -> datetime:
    """Return the instant of a text like `3 09:30`, with seconds and milliseconds if wanted: day 3, half past nine UTC."""
    day, _, clock = text.partition(" ")
    hours, minutes, seconds = ([*clock.split(":"), "0"] if clock else ["0", "0", "0"])[:3]
    return START + timedelta(
        days=int(day), hours=int(hours), minutes=int(minutes), milliseconds=round(1000 * float(seconds))
    )


def millis(text: str) -> int:
    """Return the instant of a text in milliseconds since 1970."""
    return _millis(moment(text))


def date_of(day: int) -> str:
    """Return the date of a day of the timeline."""
    return f"{START + timedelta(days=day):%Y-%m-%d}"


def instant(text: str) -> str:
    """Return the instant of a message as timelines write it."""
    return _written(datetime.fromisoformat(text))


def _written(when: datetime) -> str:
    clock = f"{when:%H:%M:%S.%f}"[:-3].removesuffix(".000").removesuffix(":00")
    return f"{(when - START).days} {clock}"


def event(kind: str, when: str, **fields: Any) -> Tree:
    return {"type": kind, "account_id": "acme", "occurred_at": millis(when)} | fields


def login(when: str, **fields: Any) -> Tree:
    return event("login", when, **fields)


def visit(when: str, path: str = "/app", **fields: Any) -> Tree:
    return event("page_visit", when, path=path, **fields)


def ticket(when: str, action: str, ticket_id: str = "T1", **fields: Any) -> Tree:
    return event("ticket", when, ticket_id=ticket_id, action=action, **fields)


def payment(when: str, status: str, payment_id: str = "P1", **fields: Any) -> Tree:
    return event("payment", when, payment_id=payment_id, status=status, **fields)


def facts(when: str, expires: str | None = None, **told: Any) -> Tree:
    """Return what is told of the account; a value of None deletes, `__` stands for the dot of an override."""
    named = {name.replace("__", "."): value for name, value in told.items()}
    return event("facts", when, facts=named, expires_at=None if expires is None else millis(expires))


def _millis(when: datetime) -> int:
    return (when - START) // timedelta(milliseconds=1) + 1000 * int(START.timestamp())


# --- models --------------------------------------------------------------------------------------------------------


def measured(feature: str, top: int, **arguments: Any) -> Tree:
    """Return a component of a metric: 0 at 0, 100 at `top`."""
    return component("it", metric={"feature": feature} | arguments, ramp=[[0, 0], [top, 100]])


def bands(*cuts: tuple[str, float, str]) -> list[Tree]:
    return [{"name": name, "from": start, "closed": side} for name, start, side in cuts]


# --- what came out -------------------------------------------------------------------------------------------------


class Story(NamedTuple):
    """What came out, in its order: score changes, messages of both episodes, notes, views as of the end; and of merges."""

    changes: list[Tree]
    alerts: list[Tree]
    order: list[str]
    notes: Counter[str]
    views: dict[str, Tree]
    in_shadow: list[Tree]
    merged: list[str]

    @property
    def scores(self) -> list[str]:
        """When, the score, the band, and by what kind of cause."""
        return [_change_text(change) for change in self.changes]

    @property
    def shadow_scores(self) -> list[str]:
        """The same of models in shadow."""
        return [_change_text(change) for change in self.in_shadow]

    @property
    def messages(self) -> list[str]:
        """When, status, severity, rules, and of a resolved one by what."""
        return [
            f"{instant(m['effective_at'])} {m['status']} {m['severity']} "
            + "+".join(reason["rule"] for reason in m["reasons"])
            + (f" by {m['resolved_by']}" if m["resolved_by"] else "")
            for m in self.alerts
        ]

    def evidence(self, rule: str, message: int = 0) -> Tree:
        """Return the evidence of a rule in the message of this number."""
        found: Tree = next(r["evidence"] for r in self.alerts[message]["reasons"] if r["rule"] == rule)
        return found

    @property
    def view(self) -> Tree:
        """The account `acme` at the end."""
        return self.views["acme"]

    @property
    def open_reasons(self) -> list[str]:
        """The open reasons at the end, each with its since."""
        return [
            f"{reason['rule']} since {instant(reason['since'])}"
            for episode in self.view["episodes"]
            for reason in episode["reasons"]
        ]


class _Heard(NullPartitionObserver):
    def __init__(self) -> None:
        self.notes: Counter[str] = Counter()
        self.merged: list[str] = []

    def on_merged(self, partition: int, outcome: Merged) -> None:
        self.merged.append(outcome.value)

    def on_notes(self, partition: int, notes: dict[EventNote, int]) -> None:
        self.notes.update({note.value: count for note, count in notes.items() if count})


def policy_of(models: Sequence[Tree], rules: Tree | None, **policy: Any) -> Tree:
    """Return the shipped policy with these models, rules (their numbers on top of the shipped ones) and other keys."""
    numbers = {name: SHIPPED["rules"][name] | own for name, own in (rules or {}).items()}
    return SHIPPED | {"models": [each["model"] for each in models], "rules": numbers} | policy


def run(
    *events: Tree,
    until: str,
    models: Sequence[Tree] = (NPS,),
    rules: Tree | None = None,
    control: Sequence[Tree] = (),
    **policy: Any,
) -> Story:
    """Return what the core makes of events in their order of arrival; the clock goes on, and they are taken, `until`.

    `received` of an event is the timestamp of its record. Keys of the policy replace those of the shipped one.
    """
    program = compile_program(
        Policy.model_validate(policy_of(models, rules, **policy)),
        [ModelFile.model_validate(each) for each in models],
        ZoneDatabase(),
    )
    stories: list[Story] = []

    def fold(_: int, lines: Sequence[ControlLine]) -> list[tuple[bytes, bytes | None]]:
        partition, heard = _folded(events, program, lines, until)
        batch = partition.drain()
        stories.append(_story(partition, heard, batch.outputs))
        return list(batch.control)

    lines = [ControlLine(at, None, json.dumps(each).encode()) for at, each in enumerate(control)]
    fold_with_joins(lines, 1, fold)
    return stories[-1]


def _folded(
    events: Sequence[Tree], program: Program, control: Sequence[ControlLine], until: str
) -> tuple[Partition, _Heard]:
    heard = _Heard()
    partition = Partition(program, partition=0, partitions=1, observer=heard, keyed=False)
    partition.merge.until_ms = millis(until)
    partition.take_control(control)
    lanes: dict[Input, list[Tree]] = {}
    for number, each in enumerate(events):
        lanes.setdefault(RECORDED_TYPES[each["type"]], []).append({"event_id": f"e{number}"} | each)
    for source in Input:
        if lane := lanes.get(source):
            stamps = [millis(each["received"]) if "received" in each else -1 for each in lane]
            values: list[bytes | None] = [json.dumps(each).encode() for each in lane]
            offsets = np.arange(len(lane), dtype=np.int64)
            partition.offer(source, Chunk([None] * len(lane), values, offsets, np.array(stamps, np.int64)))
        partition.end_reached(source, ENDLESS_MS)
    while partition.step(64) or partition.due_now():
        pass
    partition.merge.clock_ms = max(partition.merge.clock_ms, millis(until))
    partition.sweep_all()
    return partition, heard


def _story(partition: Partition, heard: _Heard, outputs: Sequence[OutputRecord]) -> Story:
    story = Story([], [], [], heard.notes, {}, [], heard.merged)
    for record in outputs:
        if record.topic in {Output.DISENGAGEMENTS, Output.OPPORTUNITIES}:
            story.alerts.append(json.loads(record.value))
            story.order.append(record.topic.value)
        elif record.topic is Output.SCORE_CHANGES:
            story.changes.append(json.loads(record.value))
            story.order.append(story.changes[-1]["model"])
        elif record.topic is Output.SHADOW_SCORES:
            story.in_shadow.append(json.loads(record.value))
        else:
            assert record.topic in {Output.ACCOUNTS, Output.OPERATIONS}, record
    for record in view_records(partition.accounts, list(partition.accounts.existing())):
        view = json.loads(record.value)
        story.views[view["account_id"]] = view
    return story


def _change_text(c: Tree) -> str:
    return f"{instant(c['effective_at'])} {_number(c['new']['score'])} {c['new']['band']} by {c['cause']['kind']}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


# --- timelines -----------------------------------------------------------------------------------------------------


class _Lane(NamedTuple):
    """A line below a ruler: its marks with the columns at which they begin."""

    name: str
    marks: list[tuple[int, str]]


class _Picture(NamedTuple):
    """A timeline as it was read; `end` is the column after the last."""

    unit: str
    lanes: list[_Lane]
    end: int

    def drawn(self, name: str) -> list[tuple[int, str]]:
        """Return the marks of all lanes of a name."""
        return [mark for lane in self.lanes if lane.name == name for mark in lane.marks]


def play(text: str, *more: Tree, until: str | None = None, rules: Tree | None = None, **world: Any) -> Story:
    """Run a timeline (and further events), compare all its lanes of what comes out, and return what came out.

    `until` is by default the end of the last column; the arguments beyond are those of `run`.
    """
    picture = _read(text)
    names = {lane.name for lane in picture.lanes}
    numbers: Tree = {name: {} for name in RULES if name in names} | (rules or {})
    events = sorted([*_events(picture), *more], key=lambda each: each["occurred_at"])
    end = until or _written(START + picture.end * UNITS[picture.unit] - timedelta(milliseconds=1))
    story = run(*events, until=end, rules=numbers, **world)
    for name in sorted(names & OUTCOMES):
        assert _shown(story, name, picture.unit) == picture.drawn(name), (
            f"{name}: {story.scores} {story.messages}"
        )
    return story


def _read(text: str) -> _Picture:
    lanes: list[_Lane] = []
    unit, margin, first, end = "", 0, 0, 0
    for line in filter(str.strip, text.splitlines()):
        if line.split()[0] in UNITS:
            unit, margin, first = _ruler(line, unit)
            continue
        name, body = line[:margin].strip(), line[margin:].rstrip()
        assert name, f"no ruler above, or no name of a lane: {line}"
        # Values are words at their column; marks are single characters.
        found = re.finditer(r"[^\s.]\S*" if _is_of_values(name) else r"[^\s.]", body)
        lanes.append(_Lane(name, [(first + each.start(), each.group()) for each in found]))
        end = max(end, first + len(body))
    return _Picture(unit, lanes, end)


def _ruler(line: str, unit: str) -> tuple[str, int, int]:
    """Return the unit of a ruler, where its columns begin, and the number of the first."""
    labels = [(found.start(), int(found.group())) for found in re.finditer(r"\d+", line)]
    margin, first = labels[0]
    assert unit in {"", line.split(maxsplit=1)[0]}, f"a timeline of two units: {line}"
    assert all(number - first == at - margin for at, number in labels), f"labels out of place: {line}"
    return line.split(maxsplit=1)[0], margin, first


def _is_of_values(name: str) -> bool:
    return name in {"score", "band"} or _is_fact(name)


def _is_fact(name: str) -> bool:
    return name in FACT_BY_NAME or name.startswith(OVERRIDE_PREFIX)


def _events(picture: _Picture) -> Iterator[Tree]:
    for name, marks in picture.lanes:
        if name in OUTCOMES:
            continue
        for column, mark in marks:
            when = START + column * UNITS[picture.unit] + (timedelta() if picture.unit == "hour" else NOON)
            count = int(mark, 36) if name in COUNTED and mark != "x" else 1
            for number in range(count):
                later = number * (timedelta(days=1) if picture.unit == "week" else timedelta(minutes=1))
                fields = {"account_id": "acme", "occurred_at": _millis(when + later)}
                yield fields | _happening(name, mark, column, number)


def _happening(name: str, mark: str, column: int, number: int) -> Tree:
    """Return the event that a mark of a lane stands for, of a number that of this number."""
    if name in COUNTED:
        own: dict[str, Tree] = {
            "users": {"user_id": f"user-{number}"},
            "opened": {"ticket_id": f"{column}-{number}"},
        }
        return COUNTED[name] | own.get(name, {})
    if name in {"cancel", "upgrade"}:
        return {"type": "page_visit", "path": f"/{name}", "user_role": "admin" if mark == "A" else "member"}
    if _is_fact(name):
        value = None if mark == "-" else float(mark) if re.fullmatch(r"-?[\d.]+", mark) else mark
        return {"type": "facts", "facts": {name: value}}
    assert re.fullmatch(r"[TP]\d+", name), f"no lane of this name: {name}"
    if name[0] == "T":
        return {"type": "ticket", "ticket_id": name, "action": TICKETS[mark]}
    return {"type": "payment", "payment_id": name, "status": PAYMENTS[mark]}


def _shown(story: Story, name: str, unit: str) -> list[tuple[int, str]]:
    if name in {"score", "band"}:
        return [
            (_column(c, unit), _number(c["new"][name]) if name == "score" else c["new"][name])
            for c in story.changes
            if c["model"] == story.view["scores"][0]["model"]
        ]
    if name == "severity":
        return [(_column(m, unit), m["severity"][0]) for m in story.alerts]
    return [
        (_column(m, unit), m["status"][0].upper())
        for m in story.alerts
        if name in {reason["rule"] for reason in m["reasons"]}
    ]


def _column(message: Tree, unit: str) -> int:
    return (datetime.fromisoformat(message["effective_at"]) - START) // UNITS[unit]
