"""The accounts of one owned partition: rows, what is derived from them, and the cold facts beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.errors import StateError
from schemas.records import PackedRows, Snapshot
from streams.apply import FACT_UPDATE_COLUMNS
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
    override_blocks,
    view,
)
from streams.days import add_zone
from streams.effects import Effects, make_effects
from streams.events import EVENT_ROW, EVENT_TIME
from streams.fact_cells import expiry, fact_cell
from streams.intervals import judge_at_ends, tell_at_ends
from streams.kernel import adopt, advance, rearm, sweep
from streams.layout import FINGERPRINT_BYTES, NOW, UNSET, ZONE, template
from streams.migration import describe, read_description, read_rows, unreadable
from streams.stored import join_tail, join_values, read_tail, split_values

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import numpy.typing as npt

    from schemas.events import AccountFacts
    from streams.clock import Clock
    from streams.migration import Described
    from streams.plan import Program
    from streams.stored import ColdFact, Tail

_ROWS_MIN: Final = 1024
MIGRATED_AT_ONCE: Final = 16_384


class Accounts:
    """Rows by account id, advanced in place; there is no undo."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.plan = program.plan
        self.names: list[str] = []
        self.keys: list[bytes] = []
        self.cold: dict[int, dict[str, ColdFact]] = {}
        self._index: dict[bytes | None, int] = {}
        self._zones: dict[str, int] = {program.policy.time_zone: 0}
        self._blocks = 0
        self._slots = {name: slot for slot, name in enumerate(program.facts)} | {
            name: len(program.facts) + pin.target for name, pin in program.overrides.items()
        }
        self._known_as = {knowledge.name: k for k, knowledge in enumerate(program.layout.knowledge)}
        self._layouts: dict[bytes, Described] = {}
        self._foreign: dict[bytes, bytes] = {}
        self._template = template(program.layout)
        self._rows = np.empty(_ROWS_MIN, self._template.dtype)
        self.cells = self._view(None)
        self.effects: Effects = make_effects(program)
        self._swept = 0

    def __len__(self) -> int:
        return len(self.names)

    # -- accounts ---------------------------------------------------------------------------------------------

    def rows_of(self, keys: Sequence[bytes | None]) -> list[Any]:
        """Return the row of each key, None where there is none yet."""
        return list(map(self._index.get, keys))

    def names_of(self, rows: Sequence[int]) -> list[str]:
        """Return the account ids of rows."""
        return list(map(self.names.__getitem__, rows))

    def row_of(self, key: bytes) -> int | None:
        """Return the row of a key, None if there is none yet."""
        return self._index.get(key)

    def create(self, key: bytes, name: str) -> int:
        """Add an account with a fresh row and return the row's number."""
        row = len(self.names)
        self._make_room(1)
        self._rows[row] = self._template[0]
        self._index[key] = row
        self.names.append(name)
        self.keys.append(key)
        return row

    def _make_room(self, count: int) -> None:
        """Let ``count`` more accounts have rows, which nobody has written yet."""
        used, size = len(self.names), len(self._rows)
        if used + count <= size:
            return
        rows = np.empty(max(2 * size, used + count), self._rows.dtype)
        rows[:used] = self._rows[:used]
        self._rows, old = rows, self.cells
        self.cells = self._view(old)

    def _view(self, old: Cells | None) -> Cells:
        program = self.program
        return view(
            self._rows, old, facts=len(program.facts), targets=len(program.overrides),
            knowledge=len(program.layout.knowledge), components=len(self.plan.components),
        )  # fmt: skip

    def _give_block(self, row: int) -> None:
        """Give an account room for overrides, which few have."""
        if self.cells.block[row] >= 0:
            return
        if self._blocks == len(self.cells.overrides):
            more = override_blocks(self._blocks, len(self.program.overrides))
            self.cells = self.cells._replace(overrides=np.concatenate([self.cells.overrides, more]))
        self.cells.block[row] = self._blocks
        self._blocks += 1

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
        while cursors[0] < len(columns):
            advance(self.cells, self.plan, self.effects, clock, columns, updates, cursors)
            self._empty(emit)

    def sweep(self, clock_ms: int, rows_max: int, event: int, emit: Callable[[Effects], None]) -> bool:
        """Fire what is due by the clock in at most ``rows_max`` rows; return whether nothing due is left."""
        start = self._swept
        self._swept = sweep(self.cells, self.plan, self.effects, start, rows_max, clock_ms, event)
        self._empty(emit)
        if self._swept == len(self.cells.due):
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

    def adopt(self, rows_max: int, clock_ms: int, fresh: int, emit: Callable[[Effects], None]) -> bool:
        """Let at most ``rows_max`` accounts adopt the policy in force (see ``kernel.adopt``); return whether all have."""
        self._swept = adopt(
            self.cells, self.plan, self.effects, self._swept, len(self), rows_max, clock_ms, fresh, 0
        )
        self._empty(emit)
        if self._swept < len(self):
            return False
        self._swept = 0
        return True

    def _empty(self, emit: Callable[[Effects], None]) -> None:
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
        """About how many bytes the changed rows take in the changelog, without their cold facts."""
        return int(np.count_nonzero(self.cells.changed & WRITTEN)) * self._rows.itemsize

    def take_evaluated(self) -> list[int]:
        """Return the rows that were evaluated since the last call."""
        evaluated = np.nonzero(self.cells.changed & EVALUATED)[0]
        self.cells.changed[evaluated] ^= EVALUATED
        return evaluated.tolist()

    def take_changed(self) -> PackedRows:
        """Return the changelog records of the rows that are to be written."""
        changed = np.nonzero(self.cells.changed & WRITTEN)[0]
        self.cells.changed[changed] &= EVALUATED
        return self.packed(changed)

    def unwritten(self) -> npt.NDArray[np.int64]:
        """Return the rows that the changelog does not hold as they are."""
        return np.nonzero(self.cells.changed & (WRITTEN | AHEAD))[0]

    def under(self, program: Program) -> Accounts:
        """Return the same accounts, each in the same row, as another program reads what this one writes; not yet ``loaded``."""
        other, mine = Accounts(program), self.program.layout
        other._layouts = {**self._layouts, mine.fingerprint: read_description(describe(mine))}
        written = self.packed(np.arange(len(self))).pairs()
        other.load([key for key, _ in written], [value for _, value in written])
        other._foreign |= self._foreign
        return other

    def packed(self, chosen: npt.NDArray[np.int64]) -> PackedRows:
        """Return the changelog records of rows."""
        rows: list[int] = chosen.tolist()
        values, value_ends = join_values(self.program.layout.fingerprint, self._rows, chosen, self._template)
        keys = list(map(self.keys.__getitem__, rows))
        key_ends = np.cumsum(np.fromiter(map(len, keys), np.int64, len(keys)))
        warming = set(chosen[np.any(self.cells.known[chosen], axis=1)].tolist())
        told = enumerate(rows) if self.cold or warming else ()
        tails = {i: self._tail(row) for i, row in told if row in self.cold or row in warming}
        return PackedRows(np.frombuffer(b"".join(keys), np.uint8), key_ends, values, value_ends, tails)

    def _tail(self, row: int) -> bytes:
        unknown = {name: int(day) for name, k in self._known_as.items() if (day := self.cells.known[row, k])}
        return join_tail(self.cold.get(row, {}), unknown)

    def learn_layout(self, fingerprint: bytes, description: bytes) -> None:
        """Take the description of a layout under which rows were written.

        Raises:
            StateError: it is of a newer program.
        """
        self._layouts[fingerprint] = read_description(description)

    def load(self, keys: Sequence[bytes], values: Sequence[bytes | None]) -> None:
        """Take changelog records of accounts, in order. Those of other layouts wait for ``loaded``."""
        own, mine = self.program.layout.fingerprint, {}
        for key, value in zip(keys, values, strict=True):
            if value is None:
                continue
            if value.startswith(own):
                mine[key] = value
                if self._foreign:
                    self._foreign.pop(key, None)
            else:
                self._foreign[key] = value
        if mine:
            block, tails = split_values(mine, self._rows.dtype, self._template)
            rows = self._put(mine, block, self._knowledge(tails, len(block)), tails)
            self.cells.changed[rows] = 0

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
    ) -> list[int]:
        rows = self._rows_made(keys)
        self._rows[rows], self.cells.known[rows] = block, known
        for i, (facts, _) in tails.items():
            self.cold[rows[i]] = facts
        return rows

    def _rows_made(self, keys: Collection[bytes]) -> list[int]:
        """Return the rows of accounts, of which there may be none yet."""
        new = [key for key in keys if key not in self._index]
        self._make_room(len(new))
        first = len(self.names)
        self._index.update(zip(new, range(first, first + len(new)), strict=True))
        self.names += [key.decode("utf-8", "surrogatepass") for key in new]
        self.keys += new
        return list(map(self._index.__getitem__, keys))

    def saved(self, others: list[tuple[bytes, bytes]]) -> Snapshot:
        """Return all that the changelog holds, with what it holds of others, once all that is to be written is.

        Rows are not copied. Some are ahead of the changelog: instants passed at which nothing was told.
        """
        count, cells = len(self), self.cells
        assert not (cells.changed & WRITTEN).any(), "rows are changed and not yet written"
        rows = self._rows[:count].view(np.uint8).reshape(count, self._rows.itemsize)
        warming = np.nonzero(np.any(cells.known[:count], axis=1))[0].tolist()
        tails = {row: self._tail(row) for row in self.cold.keys() | warming}
        stale = np.nonzero(cells.changed[:count] & STALE)[0].tolist()
        return Snapshot(self.program.layout.fingerprint, self.keys, rows, tails, stale, others)

    def restore(self, saved: Snapshot) -> None:
        """Take the accounts of a snapshot of this layout, its rows without copying, before anything of the changelog."""
        assert saved.fingerprint == self.program.layout.fingerprint
        if not saved.keys:
            return
        self._rows = saved.rows.view(self._rows.dtype)[:, 0]
        self.cells = self._view(None)
        self._rows_made(saved.keys)
        tails = {row: read_tail(tail) for row, tail in saved.tails.items()}
        self.cold = {row: facts for row, (facts, _) in tails.items()}
        self.cells.known[:] = self._knowledge(tails, len(self))
        self.cells.changed[:] = AHEAD
        self.cells.changed[saved.stale] = AHEAD | STALE

    def _migrate(self) -> None:
        """Read the rows of other layouts, some at a time."""
        by_layout: dict[bytes, list[bytes]] = {}
        for key, value in self._foreign.items():
            by_layout.setdefault(value[:FINGERPRINT_BYTES], []).append(key)
        for fingerprint, keys in by_layout.items():
            described = self._layouts.get(fingerprint)
            if described is None:
                raise unreadable(fingerprint, len(keys))
            for start in range(0, len(keys), MIGRATED_AT_ONCE):
                some = {key: self._foreign.pop(key) for key in keys[start : start + MIGRATED_AT_ONCE]}
                rows = self._put(some, *read_rows(described, some, self.program.layout))
                self.cells.changed[rows] = STALE
        self._layouts.clear()

    def loaded(self) -> None:
        """Read what was written under other layouts, and derive what is not written: facts, zones, next due instants.

        Raises:
            StateError: a layout is not described, or an account's zone is none of the time zone database.
        """
        self._migrate()
        facts = len(self.program.facts)
        for row, known in self.cold.items():
            for name in known.keys() & self._slots.keys():
                slot, (value, at, expires, _) = self._slots[name], known[name]
                if slot >= facts:
                    self._give_block(row)
                    cell = self.cells.overrides[self.cells.block[row], slot - facts]
                else:
                    cell = self.cells.facts[row, slot]
                cell[FACT_VALUE], cell[FACT_AT] = self._cell(name, value), at
                cell[FACT_EXPIRES] = NO_FACT if cell[FACT_VALUE] == NO_FACT else expires
        codes = self.cells.i32[: len(self), ZONE]
        for code in np.unique(codes[codes != 0]).tolist():
            zone = self.program.zones.name_of(code)
            number = NO_FACT if zone is None else self._zone_number(zone)
            if number == NO_FACT:
                raise StateError(
                    f"An account lives in a time zone (code {code}) that this machine's time zone database does not know. "
                    "Install the newest tzdata."
                )
            self.cells.zone[: len(self)][codes == code] = number
        rearm(self.cells, self.plan, len(self))

    def existing(self) -> list[int]:
        """Return the rows of accounts that have had an event."""
        return np.nonzero(self.cells.i64[: len(self), NOW] != UNSET)[0].tolist()
