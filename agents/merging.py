"""What `latido accounts merge` shows before it asks: both accounts as they are, and what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agents.account_state import from_changelog, standing
from agents.outlook import ROW, view_of
from agents.tables import table_text
from schemas.catalogue import DEFAULT_KIND
from schemas.errors import ConfigError
from streams.instants import day_text, instant_text
from streams.layout import FIRST_DAY, LAST_ACTIVE, UNSET
from streams.succession import join_delay_ms

if TYPE_CHECKING:
    from agents.account_state import AccountState
    from agents.settings import Settings
    from schemas.outputs import Episode, ModelScore
    from streams.plan import Program

HEADS = ("account", "partition", "since", "last active", "kind", "scores", "open alerts")


class Pair(NamedTuple):
    """Two accounts as the workers have committed them; there may be no ``new``. ``joins_ms`` is when it takes the other in."""

    old: AccountState
    new: AccountState | None
    names: tuple[str, str]
    joins_ms: int


def both(settings: Settings, program: Program, old: str, new: str, at_ms: int) -> Pair:
    """Return two accounts that are to be merged at an instant.

    Raises:
        AccountError: the first one is not there.
        ConfigError: the second one was erased, and nothing of the first one would be kept.
        StateError, TopicsError, BrokerError: as ``from_changelog``.
    """
    ends = from_changelog(settings, program, old)
    goes_on, erased = standing(settings, program, new)
    joins_ms = at_ms + join_delay_ms(ends.program.policy)
    key = new.encode("utf-8", "surrogatepass")
    if joins_ms <= erased.until(key) and not erased.is_merged(key):
        raise ConfigError(
            f"{new!r} was erased, and what comes of it up to {instant_text(erased.until(key))} is left out: nothing of {old!r} "
            "would be kept. Nothing was changed. Give an --at after that, or a NEW that was not erased."
        )
    return Pair(ends, goes_on, (old, new), joins_ms)


def merge_text(pair: Pair, at_ms: int) -> str:
    """Return both accounts as a table, and what becomes of them."""
    old, new = pair.names
    there = [state for state in (pair.old, pair.new) if state is not None]
    found = table_text(HEADS, [_row(state) for state in there])
    ends = (
        f"{old} ends at {instant_text(at_ms)}: its open alerts are resolved (by `merged`), its view is deleted, and what of it "
        "comes late, up to that instant, is left out."
    )
    goes_on = (
        f"There is no {new}. At {instant_text(pair.joins_ms)} it begins with all that is kept of {old}; that alerts nobody."
        if pair.new is None
        else f"At {instant_text(pair.joins_ms)} {new} takes in what is kept of {old}: counts add, days and users unite, the "
        "newer fact wins. Its scores may change then, with the cause `merge`."
    )
    return f"{found}\n\n{ends}\n{goes_on}\nThis cannot be undone."


def _row(state: AccountState) -> list[str]:
    machine = state.machine()
    view, cells = view_of(machine), machine.accounts.cells
    active = int(cells.i64[ROW, LAST_ACTIVE])
    return [
        state.account,
        f"{state.partition} of {state.partitions}",
        day_text(int(cells.u16[ROW, FIRST_DAY])),
        "never" if active == UNSET else instant_text(active),
        str(view.facts.get("kind") or DEFAULT_KIND),
        ", ".join(map(_score, view.scores)),
        "; ".join(map(_episode, view.episodes)) or "none",
    ]


def _score(told: ModelScore) -> str:
    return f"{told.model} {'-' if told.score is None else f'{told.score:g}'} {told.band}"


def _episode(told: Episode) -> str:
    reasons = "+".join(str(reason.__struct_config__.tag) for reason in told.reasons)
    return f"{told.severity} {reasons} since {told.since}"
