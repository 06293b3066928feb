"""What comes of an account: without any event, and after one log-in; computed on throw-away copies of its state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from agents.explanation import IfActive, Move, Step
from schemas.catalogue import EventKind
from schemas.outputs import AccountView
from schemas.records import Chunk
from schemas.topics import Input, Output
from streams.instants import instant_text
from streams.views import view_records

if TYPE_CHECKING:
    from agents.account_state import AccountState
    from agents.partition import Partition

ROW: Final = 0
"""Of the one account in a machine."""
STEP_ROWS: Final = 10
UNDATED: Final = -1
"""Of a record without a timestamp, against which no event is in the future."""
ALERTS: Final = (Output.DISENGAGEMENTS, Output.OPPORTUNITIES)


def view_of(machine: Partition) -> AccountView:
    """Return the view of the one account in a machine."""
    (record,) = view_records(machine.accounts, [ROW])
    return msgspec.json.decode(record.value, type=AccountView)


def move_to(machine: Partition, state: AccountState) -> None:
    """Move a machine to the account's now: facts that tell nothing change nothing but the day."""
    sweep(machine, state.present_ms)
    _taken(machine, state, Input.ACCOUNT_FACTS, {"facts": {}})


def _taken(machine: Partition, state: AccountState, topic: Input, told: dict[str, Any]) -> list[Step]:
    """Let a machine take one event at the account's now, and return what goes out."""
    head = {"event_id": "if", "account_id": state.account, "occurred_at": state.present_ms}
    value = msgspec.json.encode(head | told)
    machine.offer(topic, Chunk([None], [value], np.zeros(1, np.int64), np.full(1, UNDATED, np.int64)))
    for each in Input:
        machine.end_reached(each, state.present_ms)
    while machine.step(STEP_ROWS) or machine.due_now():
        pass
    return _gone_out(machine)


def sweep(machine: Partition, until_ms: int) -> list[Step]:
    """Move a machine's clock on without any event, and return what goes out."""
    machine.merge.clock_ms = max(machine.merge.clock_ms, until_ms)
    machine.sweep_all()
    return _gone_out(machine)


def _gone_out(machine: Partition) -> list[Step]:
    steps = []
    for record in machine.drain().outputs:
        if record.topic is not Output.ACCOUNTS:
            message = msgspec.json.decode(record.value)
            steps.append(Step(effective_at=message["effective_at"], topic=record.topic, message=message))
    return steps


def if_active(state: AccountState, until_ms: int, ahead: list[Step]) -> IfActive:
    """Return what one log-in at the account's now changes; ``ahead`` is what comes without any event up to ``until_ms``."""
    at, machine = state.present_ms, state.machine()
    move_to(machine, state)
    before = view_of(machine)
    messages = _taken(machine, state, Input.LOGINS, {"success": True})
    after = view_of(machine)
    return IfActive(
        at=instant_text(at),
        is_activity=EventKind.LOGIN.label in state.program.policy.activity,
        scores=[
            Move(
                model=old.model,
                shadow=old in before.shadow,
                old_score=old.score,
                old_band=old.band,
                new_score=new.score,
                new_band=new.band,
            )
            for old, new in zip(before.scores + before.shadow, after.scores + after.shadow, strict=True)
        ],
        messages=messages,
        next_alert_at=_next_alert(sweep(machine, until_ms), at),
        next_alert_at_without=_next_alert(ahead, at),
    )


def _next_alert(steps: list[Step], after_ms: int) -> str | None:
    after = instant_text(after_ms)
    alerts = (step for step in steps if step.topic in ALERTS and step.message["status"] != "resolved")
    return next((step.effective_at for step in alerts if step.effective_at > after), None)
