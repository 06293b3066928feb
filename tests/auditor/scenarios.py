"""What the auditor's own tests are told in: short events of one account, small models and policies, one runner.

run([login("2026-01-05 10:00"), visit("2026-01-06 09:00", "/cancel")], until="2026-01-21 00:00")
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from schemas.events import RECORDED_TYPES
from tests.auditor.exact import partition_of
from tests.auditor.reference import Audit, Recorded, audit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from schemas.topics import Input

Tree = dict[str, Any]
SCHEMAS = Path(__file__).parents[2] / "schemas"
DEFAULT_POLICY = SCHEMAS / "policies" / "default.yaml"


def at(text: str) -> int:
    """Return an instant that is written as `2026-01-05 10:00`, with seconds if wanted, in UTC."""
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def shown(text: str) -> str:
    """Return an instant as messages show it."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def default_policy(**changes: Any) -> Tree:
    """Return the shipped policy, without what the auditor does not know, and with some of its keys replaced."""
    policy: Tree = yaml.safe_load(DEFAULT_POLICY.read_text())
    return policy | {"stalled_sources": None, "brake": None} | changes


def retention() -> Tree:
    """Return the shipped model of retention."""
    model: Tree = yaml.safe_load((SCHEMAS / "models" / "retention.yaml").read_text())
    return model


def only(**rules: Tree) -> Tree:
    """Return a policy of the test model with these rules and no other."""
    return default_policy(models=["test"], rules=rules)


def component(name: str, weight: int = 1, **parts: Any) -> Tree:
    """Return a component; without parts it shows the fact of its name, 0..100, as it is."""
    as_it_is = {"metric": {"feature": "fact", "source": name}, "ramp": [[0, 0], [100, 100]]}
    return {"name": name, "weight": weight} | (parts or as_it_is)


def model(*components: Tree, **changes: Any) -> Tree:
    """Return a model of one dimension with the cut and margin of the worked examples: 50, 2 points, 24 hours."""
    weight = sum(c["weight"] for c in components)
    return {
        "model": "test",
        "version": 1,
        "scale": [0, 100],
        "denominator": weight,
        "min_coverage": 0.5,
        "missing": "spread",
        "applies_to": {"kind": ["customer"]},
        "dimensions": [{"name": "all", "weight": weight, "components": list(components)}],
        "bands": [
            {"name": "low", "from": 0, "closed": "left"},
            {"name": "high", "from": 50, "closed": "left"},
        ],
        "hysteresis": 2,
        "dwell_h": 24,
        "min_change": 100,
    } | changes


NPS = model(component("nps"))
"""The score is the fact `nps`."""


def event(kind: str, when: str | int, **fields: Any) -> Tree:
    """Return a line of a recorded file."""
    time_ms = at(when) if isinstance(when, str) else when
    return {"type": kind, "account_id": "acme", "occurred_at": time_ms} | fields


def login(when: str | int, **fields: Any) -> Tree:
    return event("login", when, **fields)


def visit(when: str | int, path: str, **fields: Any) -> Tree:
    return event("page_visit", when, path=path, **fields)


def ticket(when: str | int, action: str, **fields: Any) -> Tree:
    return event("ticket", when, **({"ticket_id": "T1", "action": action} | fields))


def payment(when: str | int, status: str, **fields: Any) -> Tree:
    return event("payment", when, **({"payment_id": "P1", "status": status} | fields))


def facts(when: str | int, expires_at: str | None = None, **told: Any) -> Tree:
    """Return what is told of the account; a value of None deletes."""
    expires_ms = None if expires_at is None else at(expires_at)
    return event("facts", when, facts=told, expires_at=expires_ms)


def records(
    events: Iterable[Tree | bytes], source: Input | None = None, partitions: int = 1
) -> list[Recorded]:
    """Return records without keys; events get ids of their own, raw bytes go to partition 0 of the input given."""
    found: list[Recorded] = []
    ordinals: Counter[tuple[Input, int]] = Counter()
    for number, line in enumerate(events):
        if isinstance(line, bytes):
            assert source is not None, "bytes need an input"
            place, value, timestamp_ms = (source, 0), line, -1
        else:
            place = (RECORDED_TYPES[line["type"]], partition_of(line["account_id"], partitions))
            value = json.dumps({"event_id": f"e{number}"} | line).encode()
            timestamp_ms = line.get("received_at", -1)
        found.append(Recorded(*place, ordinals[place], None, value, timestamp_ms))
        ordinals[place] += 1
    return found


def run(
    events: Sequence[Tree],
    *,
    until: str | None = None,
    policy: Tree | None = None,
    models: Sequence[Tree] = (NPS,),
) -> Audit:
    """Return the audit of a recorded file of one partition."""
    return audit(
        records(events),
        policy=only() if policy is None else policy,
        models={tree["model"]: tree for tree in models},
        partitions=1,
        until_ms=None if until is None else at(until),
        keyed=False,
    )


def bands(result: Audit) -> list[tuple[str, str, str]]:
    """Return the score changes: when, the band, and the kind of cause."""
    return [(c["effective_at"], c["new"]["band"], c["cause"]["kind"]) for c in result.score_changes]


def alerts(result: Audit) -> list[tuple[str, str, str, list[str]]]:
    """Return the messages of episodes: when, status, severity, rules."""
    return [
        (m["effective_at"], m["status"], m["severity"], [reason["rule"] for reason in m["reasons"]])
        for m in result.disengagements
    ]
