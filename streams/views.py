"""The view of an account: all its scores now, its open episode, its facts, and when something changes next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from schemas.outputs import SCHEMA_VERSION
from schemas.reasons import Rule, Severity
from schemas.records import OutputRecord
from schemas.topics import Output
from streams.cells import FOREVER
from streams.compiled import entry
from streams.layout import (
    ABSOLUTE_SILENT_FOR,
    EPISODE,
    EPISODE_SINCE,
    GAPS_KNOWN,
    NONE,
    NOW,
    OPEN,
    PROBABILITY,
    RISK_ADMIN,
    RISK_COUNT,
    RISK_LAST,
    SEVERITY,
    SILENT_FOR,
    USUAL_GAP,
)  # fmt: skip
from streams.messages import band_name, cloud_event, identity, instant_text, points, reason
from streams.metrics import half_up
from streams.plan import DENOMINATOR, DIM, DIM_END, MIN_COVERAGE, PART, PART_END, PRESENT_BAND
from streams.score import contributions, dimension, weigh

if TYPE_CHECKING:
    import numpy.typing as npt

    from streams.accounts import Accounts
    from streams.cells import Cells
    from streams.plan import Plan


@entry
def inspect(cells: Cells, plan: Plan, row: int, m: int, now: int, out: npt.NDArray[np.int64]) -> int:
    """Put a model's score, coverage, dimensions and contributions at ``now`` into ``out``; return how many cells."""
    total, present, _ = weigh(cells, plan, row, m, now)
    known = present > 0 and 1000 * present >= plan.models[m, MIN_COVERAGE] * plan.models[m, DENOMINATOR]
    out[0] = half_up(total, present) if known else NONE
    out[1] = half_up(1000 * present, plan.models[m, DENOMINATOR])
    used = 2
    for d in range(plan.models[m, DIM], plan.models[m, DIM_END]):
        out[used] = dimension(plan, cells.parts, m, d) if known else NONE
        used += 1
    if known:
        contributions(plan, cells.parts, m, out[0], present)
    for c in range(plan.models[m, PART], plan.models[m, PART_END]):
        out[used] = cells.parts[c] if known else NONE
        used += 1
    return used


def view(accounts: Accounts, row: int) -> dict[str, Any]:
    """Return the account view of a row as of its own present instant."""
    cells, now = accounts.cells, int(accounts.cells.i64[row, NOW])
    due = int(cells.due[row])
    return {
        "schema_version": SCHEMA_VERSION,
        "account_id": accounts.names[row],
        "as_of": instant_text(now),
        "scores": [_score(accounts, row, m, now) for m in range(len(accounts.program.models))],
        "episodes": _episodes(accounts, row),
        "facts": {name: accounts.fact(row, name, now) for name in accounts.cold.get(row, {})},
        "next_change_at": None if due >= FOREVER else instant_text(due),
    }


def view_record(accounts: Accounts, row: int) -> OutputRecord:
    """Return the account view as a record of the ``accounts`` topic."""
    told = view(accounts, row)
    identifier = identity("view", told["account_id"], told["as_of"])
    headers = cloud_event(Output.ACCOUNTS, "accounts", identifier, told["as_of"])
    return OutputRecord(Output.ACCOUNTS, accounts.keys[row], msgspec.json.encode(told), headers)


def _score(accounts: Accounts, row: int, m: int, now: int) -> dict[str, Any]:
    model, plan = accounts.program.models[m], accounts.program.plan
    band = int(accounts.cells.u8[row, plan.models[m, PRESENT_BAND]])
    out = np.full(2 + len(model.dimensions) + len(model.components), NONE, np.int64)
    out[1] = 0
    name = band_name(model.bands, band)
    if name != "not_applicable":
        inspect(accounts.cells, plan, row, m, now, out)
    cells = out.tolist()
    return {
        "model": model.model,
        "version": model.version,
        "score": points(cells[0]),
        "scale": model.scale,
        "band": name,
        "coverage": cells[1] / 1000,
        "grid": None,
        "dimensions": [
            {"name": d.name, "score": points(x)} for d, x in zip(model.dimensions, cells[2:], strict=False)
        ],
        "components": [
            {"name": c.name, "contribution": points(x)}
            for c, x in zip(model.components, cells[2 + len(model.dimensions) :], strict=True)
        ],
    }


def _episodes(accounts: Accounts, row: int) -> list[dict[str, Any]]:
    cells, policy = accounts.cells, accounts.program.policy
    mask = int(cells.u16[row, OPEN])
    if not mask:
        return []
    evidence = [
        int(cell)
        for cell in (
            cells.i32[row, SILENT_FOR], cells.i32[row, USUAL_GAP], cells.u16[row, GAPS_KNOWN],
            cells.i32[row, PROBABILITY], cells.i32[row, ABSOLUTE_SILENT_FOR], cells.u16[row, RISK_COUNT],
            cells.i64[row, RISK_LAST], cells.u8[row, RISK_ADMIN],
        )
    ]  # fmt: skip
    since, slots = int(cells.i64[row, EPISODE_SINCE]), accounts.program.layout.rule_since
    rules = [rule for rule in Rule if mask >> rule & 1]
    return [
        {
            "episode_id": identity("episode", accounts.names[row], since, int(cells.i32[row, EPISODE])),
            "since": instant_text(since),
            "severity": Severity(int(cells.u8[row, SEVERITY])).label,
            "reasons": [reason(policy, rule, int(cells.i64[row, slots[rule]]), evidence) for rule in rules],
        }
    ]
