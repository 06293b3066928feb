"""Two accounts become one: the one ends and what is kept of it is packed, the other takes that in or is begun by it.

partition of OLD    ....... merge at E': OLD ends, a join is written ..............
partition of NEW    ............................. join at E'': folded, one evaluation
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

from schemas.control import CONTROL_BYTES_MAX, JoinAccount, MergeAccounts, control_key
from schemas.events import OCCURRED_AT_END_MS
from schemas.reasons import Merged
from streams import effects as fx
from streams.cells import WRITTEN, view
from streams.compiled import entry, int64, kernel, reference
from streams.conditions import GOOD_NEWS
from streams.drop import forget_scores
from streams.effects import place
from streams.ending import end
from streams.fold import fold
from streams.foreign import Foreign
from streams.identity import identity
from streams.kernel import sweep
from streams.layout import (
    ABSENT,
    DAY,
    FINGERPRINT_BYTES,
    HELD,
    HELD_FIRING,
    NOTHING,
    NOW,
    OPEN,
    QUIET,
    UNSET,
    VIEW_DUE,
    ZONE,
    template,
)  # fmt: skip
from streams.messages import STORIES
from streams.migration import ORDINAL_BASE_S, describe
from streams.move import move_to, roll
from streams.plan import CHANGE, DAILY, IN_FORCE_FROM

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.policy import Policy
    from schemas.topics import Output
    from streams.accounts import Accounts
    from streams.cells import Cells
    from streams.control import Entry
    from streams.effects import Effects
    from streams.messages import Messages
    from streams.plan import Plan
    from streams.stored import ColdFact

    Emit = Callable[[Effects], None]
    Pair = tuple[bytes, bytes | None]

JOIN_AFTER_MS: Final = 60_000
"""For so long a join is on its way to a partition that has come as far into the present as one can have."""
OWN_FACTS: Final = ("kind", "time_zone")
"""What an account is: that of the one that ends says nothing of the one that goes on."""
_OTHER: Final = 0


def join_delay_ms(policy: Policy) -> int:
    """Return by how much a join counts later than its merge: by then no key beyond it has come, and no clock is there."""
    return (policy.grace_s + policy.max_future_skew_s) * 1000 + JOIN_AFTER_MS


class _Packed(NamedTuple):
    """An account that has ended, in the row ``_OTHER`` of cells of its own, and its facts."""

    cells: Cells
    facts: dict[str, ColdFact]


@entry
def depart(cells: Cells, plan: Plan, effects: Effects, row: int, at: int, clock_ms: int) -> None:
    """End an account at ``at`` by a merge, and leave out what of it is late."""
    cells, plan, effects = reference(cells), reference(plan), reference(effects)
    told = int64(effects.used[0])
    end(cells, plan, effects, row, 0, fx.BY_MERGE, at)
    place(effects, told, clock_ms, False)  # noqa: FBT003
    cells.erased[row], cells.merged[row] = max(int64(cells.erased[row]), at), 1


@kernel
def begin_as(cells: Cells, plan: Plan, row: int, others: Cells, other: int, at: int) -> None:
    """Begin an account with all that another one had; who was told of that one's episodes is not told of them again."""
    cells.there[0] += 1
    for i in range(others.bytes.shape[1]):
        cells.bytes[row, i] = others.bytes[other, i]
    for k in range(others.known.shape[1]):
        cells.known[row, k] = others.known[other, k]
    for m in range(plan.models.shape[0]):
        change = plan.models[m, CHANGE]
        cells.i32[row, change] = max(int64(cells.i32[row, change]), at // 1000 - ORDINAL_BASE_S)
    open_reasons, mask = int64(cells.u16[row, OPEN]), int64(GOOD_NEWS)
    for story in range(2):
        if open_reasons & mask if story else open_reasons & ~mask:
            held = int64(cells.u8[row, HELD + story])
            cells.u8[row, HELD + story] = QUIET if held in (NOTHING, QUIET) else HELD_FIRING


@entry
def arrive(cells: Cells, plan: Plan, others: Cells, row: int, other: int, at: int) -> None:
    """Take an account that has ended, in the row ``other`` of ``others``, in; ``at`` is the next instant of who took it."""
    cells, plan, others = reference(cells), reference(plan), reference(others)
    if cells.i64[row, NOW] == UNSET:
        begin_as(cells, plan, row, others, other, at)
        move_to(cells, plan, row, at)
    else:
        move_to(cells, plan, row, at)
        roll(others, plan, other, int64(cells.u16[row, DAY]))
        fold(cells, plan, row, others, other)
        if plan.scalars[DAILY] != ABSENT:
            forget_scores(cells, plan, row)
    cells.due[row] = at
    cells.changed[row] |= WRITTEN


def succeed(
    accounts: Accounts,
    stop: Entry,
    clock_ms: int,
    messages: Messages,
    application: str | None,
    is_held: Callable[[bytes, Output], bool],
) -> tuple[Merged, list[Pair]]:
    """Let a merge or a join count now; return what became of it, and the control records that are to be written.

    Of a merge that is the join, of a join that is withdrawn: what it told is in the account. ``is_held`` tells whether the
    brake holds an account's episode of a topic.

    Raises:
        StateError: a join was written by a newer program, or its zone is none of the time zone database.
    """
    if isinstance(stop.record, MergeAccounts):
        outcome, join = end_account(accounts, stop, clock_ms, messages.emit, application or "", is_held)
        return outcome, [] if join is None else [(control_key(join), msgspec.json.encode(join))]
    outcome, row = join_account(accounts, stop, clock_ms, messages.emit)
    if row is not None:
        messages.urgent.add(row)
    return outcome, [(control_key(stop.record), None)]


def end_account(
    accounts: Accounts,
    stop: Entry,
    clock_ms: int,
    emit: Emit,
    application: str,
    is_held: Callable[[bytes, Output], bool],
) -> tuple[Merged, JoinAccount | None]:
    """End an account as a merge says that counts now; return what became of it, and what its successor is to take in."""
    record, at_ms = stop.record, stop.at_ms
    assert isinstance(record, MergeAccounts)
    if record.old == record.new:
        return Merged.SAME, None
    row = accounts.row_of(record.old.encode())
    if row is None or not _is_there(accounts, row, at_ms, clock_ms, emit):
        return Merged.NOT_THERE, None
    value, policy = _packed(accounts, row, is_held), accounts.program.policy
    join = JoinAccount(
        id=identity("join", application, record.old, record.new, at_ms),
        application=application,
        effective_at=min(at_ms + join_delay_ms(policy), OCCURRED_AT_END_MS - 1),
        author=record.author, into=record.new, old=record.old, row=value, layout=describe(accounts.program.layout),
    )  # fmt: skip
    if len(msgspec.json.encode(join)) > CONTROL_BYTES_MAX:
        return Merged.TOO_LARGE, None
    depart(accounts.cells, accounts.plan, accounts.effects, row, at_ms, clock_ms)
    accounts.empty(emit)
    accounts.remember_ended(row)
    return Merged.ENDED, join


def _packed(accounts: Accounts, row: int, is_held: Callable[[bytes, Output], bool]) -> bytes:
    """Pack an account; an episode that waits for its hour goes along as one that nobody was told of.

    Whether a view of it is due depends on when others were committed: of that nothing goes along.
    """
    cells = accounts.cells.u8[row]
    as_it_is, waits = cells.copy(), [is_held(accounts.keys[row], story.topic) for story in STORIES]
    cells[HELD : HELD + len(STORIES)][waits] = HELD_FIRING
    cells[VIEW_DUE] = 0
    ((_, value),) = accounts.packed(np.array([row])).pairs()
    cells[:] = as_it_is
    assert value is not None
    return value


def join_account(accounts: Accounts, stop: Entry, clock_ms: int, emit: Emit) -> tuple[Merged, int | None]:
    """Take an account that has ended in as a join says that counts now; return what became of it, and the row."""
    record, at_ms = stop.record, stop.at_ms
    assert isinstance(record, JoinAccount)
    key = record.into.encode()
    if at_ms <= accounts.erased.until(key) and not accounts.erased.is_merged(key):
        return Merged.ERASED, None
    found = accounts.row_of(key)
    row = accounts.create(key, record.into) if found is None else found
    is_there, packed = _is_there(accounts, row, at_ms, clock_ms, emit), _unpacked(accounts, record)
    known = accounts.cold.get(row, {})
    for name, fact in packed.facts.items():
        if not is_there or (name not in OWN_FACTS and (name not in known or fact[1] > known[name][1])):
            known[name] = fact
    if known:
        accounts.cold[row] = known
        accounts.derive_facts(row)
    code = int(packed.cells.i32[_OTHER, ZONE])
    if not is_there and code != 0:
        accounts.cells.zone[row] = accounts.zone_of(code)
    arrive(accounts.cells, accounts.plan, packed.cells, row, _OTHER, at_ms)
    _fire(accounts, row, at_ms, clock_ms, emit, fx.BY_JOIN)
    return Merged.JOINED if is_there else Merged.RENAMED, row


def _is_there(accounts: Accounts, row: int, at_ms: int, clock_ms: int, emit: Emit) -> bool:
    """Fire an account's instants up to ``at_ms``; return whether it is there then."""
    _fire(accounts, row, at_ms, clock_ms, emit, fx.BY_ITSELF)
    return bool(accounts.cells.i64[row, NOW] != UNSET)


def _fire(accounts: Accounts, row: int, until_ms: int, clock_ms: int, emit: Emit, why: int) -> None:
    cells, plan, effects, has_fired = accounts.cells, accounts.plan, accounts.effects, False
    while not has_fired:
        has_fired = sweep(cells, plan, effects, row, row + 1, 1, until_ms, clock_ms, 0, why) > row
        accounts.empty(emit)


def _unpacked(accounts: Accounts, record: JoinAccount) -> _Packed:
    """Read a packed account under the layout in force."""
    program, foreign = accounts.program, Foreign()
    foreign.learn_layout(record.row[:FINGERPRINT_BYTES], record.layout)
    foreign.put(record.old.encode(), record.row)
    (read,) = foreign.read(program.layout, int(accounts.plan.scalars[IN_FORCE_FROM]))
    # Two, so that they are laid out in memory as many are, and nothing is compiled anew.
    rows = np.repeat(read.rows, 2)
    cells = view(
        rows, None, template(program.layout), facts=len(program.facts), targets=len(program.overrides),
        knowledge=len(program.layout.knowledge), components=len(program.plan.components),
    )  # fmt: skip
    cells.known[_OTHER] = read.known[0]
    return _Packed(cells, read.tails[0][0] if 0 in read.tails else {})
