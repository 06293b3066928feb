"""The accounts of one owned partition: rows, what is derived from them, and the cold facts beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.records import PackedRows
from streams.advance import advance
from streams.apply import FACT_UPDATE_COLUMNS
from streams.blocks import Blocks
from streams.cells import (
    AHEAD,
    EVALUATED,
    FACT_AT,
    FACT_EXPIRES,
    FACT_VALUE,
    NO_FACT,
    STALE,
    WRITTEN,
    Cells,
    view,
)
from streams.days import add_zone, unknown_zone
from streams.effects import BY_ITSELF, Effects, make_effects
from streams.ending import forget
from streams.erased import NOT_ERASED, Erased
from streams.events import EVENT_ROW, EVENT_TIME
from streams.fact_cells import expiry, fact_cell
from streams.foreign import Foreign
from streams.intervals import judge_at_ends, tell_at_ends
from streams.kernel import adopt, rearm, sweep
from streams.key_index import NOBODY
from streams.layout import NOW, UNSET, ZONE, template
from streams.migration import describe
from streams.plan import IN_FORCE_FROM
from streams.roster import Roster
from streams.stored import join_tail, join_values, read_tail, split_values

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import numpy.typing as npt

    from schemas.events import AccountFacts
    from schemas.records import Snapshot
    from streams.clock import Clock
    from streams.control import News
    from streams.plan import Program
    from streams.stored import ColdFact, Tail

_ROWS_MIN: Final = 1024


class Accounts:
    """Rows by account id, advanced in place; there is no undo."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.plan = program.plan
        self.roster, self.erased = Roster(), Erased()
        self.names, self.keys = self.roster.names, self.roster.keys
        self.cold: dict[int, dict[str, ColdFact]] = {}
        self._zones: dict[str, int] = {program.policy.time_zone: 0}
        self._blocks = Blocks()
        self._slots = {name: slot for slot, name in enumerate(program.facts)} | {
            name: len(program.facts) + pin.target for name, pin in program.overrides.items()
        }
        self._known_as = {knowledge.name: k for k, knowledge in enumerate(program.layout.knowledge)}
        self.foreign = Foreign()
        self._template = template(program.layout)
        self._rows = np.empty(_ROWS_MIN, self._template.dtype)
        self.cells = self._view(None)
        self.effects: Effects = make_effects(program)
        self._swept = 0

    def __len__(self) -> int:
        return len(self.roster)

    # -- accounts ---------------------------------------------------------------------------------------------

    def row_of(self, key: bytes) -> int | None:
        """Return the row of a key, None if there is none yet."""
        return self.roster.row_of(key)

    def create(self, key: bytes, name: str) -> int:
        """Give an account a fresh row and return the row's number."""
        row = self.roster.add(key, name)
        self._make_room()
        self._rows[row] = self._template[0]
        self.cells.erased[row], self.cells.merged[row] = self.erased.until(key), self.erased.is_merged(key)
        return row

    def _make_room(self) -> None:
        """Let there be a row for everybody; nobody has written the new ones yet."""
        size = len(self._rows)
        if len(self) <= size:
            return
        rows = np.empty(max(2 * size, len(self)), self._rows.dtype)
        rows[:size] = self._rows
        self._rows, old = rows, self.cells
        self.cells = self._view(old)

    def give_back(self, awaited: Callable[[], set[int]]) -> None:
        """Let rows be used again whose accounts are not there, but those of ``awaited``: there are events of them to come."""
        unborn = self.roster.unborn
        rows = np.fromiter(unborn, np.int64, len(unborn))
        unborn.difference_update(rows[self.cells.i64[rows, NOW] != UNSET].tolist())
        for row in unborn - awaited() if unborn else ():
            self.roster.give_back(row)
            self.cells.erased[row], self.cells.merged[row] = NOT_ERASED, 0
            self._blocks.take_back(self.cells, row)

    def _view(self, old: Cells | None) -> Cells:
        program = self.program
        return view(
            self._rows, old, self._template, facts=len(program.facts), targets=len(program.overrides),
            knowledge=len(program.layout.knowledge), components=len(self.plan.components),
        )  # fmt: skip

    def _give_block(self, row: int) -> None:
        self.cells = self._blocks.give(self.cells, row)

    # -- advancing --------------------------------------------------------------------------------------------

    def advance(
        self,
        columns: npt.NDArray[np.int64],
        facts: Sequence[tuple[int, AccountFacts]],
        clock: Clock,
        emit: Callable[[Effects], None],
    ) -> None:
        """Take events in order, from the clock before them; ``emit`` is called when the notebook holds effects."""
        cursors = np.zeros(3, np.int64)
        updates = self._updates(columns, facts)
        while True:
            erased = advance(self.cells, self.plan, self.effects, clock, columns, updates, cursors)
            self.empty(emit)
            if erased != NOBODY:
                self.remember_ended(erased)
            if cursors[0] == len(columns):
                return

    def remember_ended(self, row: int) -> None:
        """Remember that late events of an account that has ended are left out."""
        cells, key = self.cells, self.keys[row]
        gone = self.erased.remember(key, int(cells.erased[row]), is_merged=bool(cells.merged[row]))
        if gone:
            rows = np.nonzero(np.isin(self.cells.erased[: len(self)], gone))[0].tolist()
            self.cells.erased[rows] = self.erased.until_each([self.keys[row] for row in rows])

    def ended(self, row: int) -> None:
        """Forget the facts of an account that has ended."""
        self.cold.pop(row, None)
        self.roster.unborn.add(row)

    def sweep(self, clock_ms: int, rows_max: int, event: int, emit: Callable[[Effects], None]) -> bool:
        """Fire what is due by the clock in at most ``rows_max`` rows; return whether nothing due is left."""
        start, stop, at = self._swept, len(self.cells.due), (clock_ms, clock_ms, event, BY_ITSELF)
        self._swept = sweep(self.cells, self.plan, self.effects, start, stop, rows_max, *at)
        self.empty(emit)
        if self._swept == stop:
            self._swept = 0
            return start == 0
        return False

    def mute(self, intervals: npt.NDArray[np.int64]) -> None:
        """Hold alerts back in these intervals, (intervals, 2) in ms; what was held is told at the end of one."""
        self.plan = self.plan._replace(mutes=intervals)
        tell_at_ends(self.cells, len(self), intervals)

    def guard(self, intervals: npt.NDArray[np.int64]) -> None:
        """Let silences wait in these intervals, (intervals, 2) in ms; at the end of one every account is judged."""
        self.plan = self.plan._replace(guards=intervals)
        judge_at_ends(self.cells, len(self), intervals)

    def adopt(self, rows_max: int, clock_ms: int, news: News, emit: Callable[[Effects], None]) -> bool:
        """Let at most ``rows_max`` accounts adopt the policy in force (see ``kernel.adopt``); return whether all have."""
        self._swept = adopt(
            self.cells, self.plan, self.effects, self._swept, len(self), rows_max, clock_ms, *news, 0
        )
        self.empty(emit)
        if self._swept < len(self):
            return False
        self._swept = 0
        return True

    def empty(self, emit: Callable[[Effects], None]) -> None:
        """Let ``emit`` take what the notebook holds."""
        if self.effects.used[0]:
            emit(self.effects)
            self.effects.used[0] = 0

    # -- facts ------------------------------------------------------------------------------------------------

    def tell(self, row: int, told: AccountFacts, at: int) -> None:
        """Remember the facts of one event taken at ``at``: the newest wins, of equal times the later in the order."""
        known = self.cold.setdefault(row, {})
        for name, value in told.facts.items():
            if name not in known or at >= known[name][1]:
                known[name] = (value, at, expiry(name, told, at), told.author)

    def fact(self, row: int, name: str, now: int) -> Any:
        """Return a fact's value at ``now``, None if it is absent or expired."""
        value, _, expires, _ = self.cold.get(row, {}).get(name, (None, 0, 0, None))
        return value if expires > now else None

    def _updates(
        self, columns: npt.NDArray[np.int64], facts: Sequence[tuple[int, AccountFacts]]
    ) -> npt.NDArray[np.int64]:
        updates = []
        for event, told in facts:
            if columns[event, EVENT_ROW] < 0:
                continue
            row, at = int(columns[event, EVENT_ROW]), int(columns[event, EVENT_TIME])
            for name in told.facts.keys() & self._slots.keys():
                slot = self._slots[name]
                if slot >= len(self.program.facts):
                    self._give_block(row)
                updates.append((event, slot, self._cell(name, told.facts[name]), at, expiry(name, told, at)))
        return np.array(updates, np.int64).reshape(len(updates), FACT_UPDATE_COLUMNS)

    def _cell(self, name: str, value: Any) -> int:
        return fact_cell(name, value, self.program, self._zone_number)

    def _zone_number(self, name: str) -> int:
        """Return the number of a zone in the plan, which learns it if it is new."""
        number = self._zones.get(name)
        if number is None:
            zone = self.program.zones.table(name)
            if zone is None:
                return NO_FACT
            number = self._zones[name] = len(self.plan.zones.counts)
            self.plan = self.plan._replace(zones=add_zone(self.plan.zones, zone, name))
        return number

    # -- changelog --------------------------------------------------------------------------------------------

    @property
    def changed_bytes(self) -> int:
        """About how many bytes the changed rows take in the changelog, packed to half of theirs, without their cold facts."""
        return int(np.count_nonzero(self.cells.changed & WRITTEN)) * self._rows.itemsize // 2

    def take_evaluated(self) -> list[int]:
        """Return the rows that were evaluated since the last call."""
        evaluated = np.nonzero(self.cells.changed & EVALUATED)[0]
        self.cells.changed[evaluated] ^= EVALUATED
        return evaluated.tolist()

    def take_changed(self) -> tuple[PackedRows, list[tuple[bytes, bytes | None]]]:
        """Return the changelog records of the rows that are to be written, and of the accounts that have ended."""
        changed = np.nonzero(self.cells.changed & WRITTEN)[0]
        self.cells.changed[changed] &= EVALUATED
        is_there = self.cells.i64[changed, NOW] != UNSET
        ended: list[tuple[bytes, bytes | None]] = [
            (self.keys[row], None) for row in changed[~is_there].tolist()
        ]
        return self.packed(changed[is_there]), ended

    def unwritten(self) -> npt.NDArray[np.int64]:
        """Return the rows that the changelog does not hold as they are."""
        return np.nonzero(self.cells.changed & (WRITTEN | AHEAD))[0]

    def under(self, program: Program) -> Accounts:
        """Return the same accounts, each in the same row, as another program reads what this one writes; not yet ``loaded``."""
        other, mine = Accounts(program), self.program.layout
        other.foreign.learn_layout(mine.fingerprint, describe(mine))
        other.roster, other.erased, other.names, other.keys = self.roster, self.erased, self.names, self.keys
        other._make_room()
        other._rows[: len(other)] = other._template
        written = self.packed(np.array(self.existing(), np.int64)).pairs()
        other.load([key for key, _ in written], [value for _, value in written])
        other.foreign.take_over(self.foreign)
        return other

    def packed(self, chosen: npt.NDArray[np.int64]) -> PackedRows:
        """Return the changelog records of rows."""
        values, value_ends = join_values(self.program.layout.fingerprint, self._rows, chosen, self._template)
        keys, key_ends = self.roster.keys_of(chosen)
        known = self.cells.known[chosen]
        warming = set(chosen[known.any(axis=1)].tolist()) if known.any() else set()
        told = enumerate(chosen.tolist()) if self.cold or warming else ()
        tails = {i: self.tail(row) for i, row in told if row in self.cold or row in warming}
        return PackedRows(keys, key_ends, values, value_ends, tails)

    def tail(self, row: int) -> bytes:
        """Return what stands behind a row in the changelog, if it is one that needs it."""
        unknown = {name: int(day) for name, k in self._known_as.items() if (day := self.cells.known[row, k])}
        return join_tail(self.cold.get(row, {}), unknown)

    def load(self, keys: Sequence[bytes], values: Sequence[bytes | None]) -> None:
        """Take changelog records of accounts, in order. Those of other layouts wait for ``loaded``."""
        own = self.program.layout.fingerprint
        mine: dict[bytes, bytes] = {}
        for key, value in zip(keys, values, strict=True):
            if value is None:
                self._load_end(key, mine)
            elif value.startswith(own):
                mine[key] = value
                self.foreign.drop(key)
            else:
                self.foreign.put(key, value)
        if mine:
            block, tails = split_values(mine, self._rows.dtype, self._template)
            rows = self._put(mine, block, self._knowledge(tails, len(block)), tails)
            self.cells.changed[rows] = 0

    def _load_end(self, key: bytes, read: dict[bytes, bytes]) -> None:
        """Take the changelog record of an account that has ended, of which a row may have been ``read`` just before."""
        read.pop(key, None)
        self.foreign.drop(key)
        if (row := self.row_of(key)) is not None:
            forget(self.cells, row)
            self.ended(row)

    def _knowledge(self, tails: Mapping[int, Tail], count: int) -> npt.NDArray[np.uint16]:
        known = np.zeros((count, len(self._known_as)), np.uint16)
        for i, (_, unknown) in tails.items():
            known[i, [self._known_as[name] for name in unknown]] = list(unknown.values())
        return known

    def _put(
        self,
        keys: Collection[bytes],
        block: npt.NDArray[np.void],
        known: npt.NDArray[np.uint16],
        tails: Mapping[int, Tail],
    ) -> npt.NDArray[np.int64]:
        rows = self.roster.rows_for(list(keys))
        self._make_room()
        self._rows[rows], self.cells.known[rows] = block, known
        for i, row in enumerate(rows.tolist()):
            if i in tails:
                self.cold[row] = tails[i][0]
            else:  # it may have ended and begun again between two commits
                self.cold.pop(row, None)
        return rows

    def restore(self, saved: Snapshot) -> None:
        """Take the accounts of a snapshot of this layout, its rows without copying, before anything of the changelog."""
        assert saved.fingerprint == self.program.layout.fingerprint
        if not saved.keys:
            return
        self._rows = saved.rows.view(self._rows.dtype)[:, 0]
        self.cells = self._view(None)
        self.roster.add_all(saved.keys)
        tails = {row: read_tail(tail) for row, tail in saved.tails.items()}
        self.cold = {row: facts for row, (facts, _) in tails.items()}
        self.cells.known[:] = self._knowledge(tails, len(self))
        self.cells.changed[self.existing()] = AHEAD
        self.cells.changed[saved.stale] = AHEAD | STALE

    def loaded(self) -> None:
        """Read what was written under other layouts, and derive what is not written: facts, zones, next due instants.

        Raises:
            StateError: a layout is not described, or an account's zone is none of the time zone database.
        """
        for read in self.foreign.read(self.program.layout, int(self.plan.scalars[IN_FORCE_FROM])):
            rows = self._put(*read)  # cells may be others after it
            self.cells.changed[rows] = STALE
        for row in self.cold:
            self.derive_facts(row)
        codes = self.cells.i32[: len(self), ZONE]
        for code in np.unique(codes[codes != 0]).tolist():
            self.cells.zone[: len(self)][codes == code] = self.zone_of(code)
        rearm(self.cells, self.plan, len(self))
        is_there = self.cells.i64[: len(self), NOW] != UNSET
        self.cells.there[0] = np.count_nonzero(is_there)
        self.roster.unborn |= {row for row in np.nonzero(~is_there)[0].tolist() if self.keys[row]}
        self.cells.erased[: len(self)] = self.erased.until_each(self.keys)
        self.cells.merged[: len(self)] = self.erased.merged_each(self.keys)

    def derive_facts(self, row: int) -> None:
        """Derive the facts that the plan reads of the cold facts of an account."""
        facts, known = len(self.program.facts), self.cold[row]
        for name in known.keys() & self._slots.keys():
            slot, (value, at, expires, _) = self._slots[name], known[name]
            if slot >= facts:
                self._give_block(row)
                cell = self.cells.overrides[self.cells.block[row], slot - facts]
            else:
                cell = self.cells.facts[row, slot]
            cell[FACT_VALUE], cell[FACT_AT] = self._cell(name, value), at
            cell[FACT_EXPIRES] = NO_FACT if cell[FACT_VALUE] == NO_FACT else expires

    def zone_of(self, code: int) -> int:
        """Return the number in the plan of the zone of a row's code; it raises a ``StateError`` if nobody knows that."""
        zone = self.program.zones.name_of(code)
        number = NO_FACT if zone is None else self._zone_number(zone)
        if number == NO_FACT:
            raise unknown_zone(code)
        return number

    def existing(self) -> list[int]:
        """Return the rows of accounts that have had an event."""
        return np.nonzero(self.cells.i64[: len(self), NOW] != UNSET)[0].tolist()
