"""The accounts of one owned partition: rows, what is derived from them, and the cold facts beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.catalogue import DATE_FACTS, FACT_BY_NAME, OVERRIDE_PREFIX, ZONE_FACT
from schemas.errors import StateError
from streams.apply import FACT_UPDATE_COLUMNS
from streams.cells import FACT_AT, FACT_COLUMNS, FACT_EXPIRES, FACT_VALUE, FOREVER, NO_FACT, NOTES, Cells
from streams.days import add_zone
from streams.effects import Effects, make_effects
from streams.events import EVENT_ROW, EVENT_TIME
from streams.fact_cells import date_cell, expiry, number_cell
from streams.kernel import adopt, advance, rearm, sweep
from streams.layout import FINGERPRINT_BYTES, HELD, HELD_ESCALATED, NOW, UNSET, ZONE, row_dtype, template
from streams.migration import migrate, read_description, unreadable
from streams.plan import MUTE_END
from streams.stored import join_tail, join_values, split_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy.typing as npt

    from schemas.events import AccountFacts
    from streams.clock import Clock
    from streams.layout import Column
    from streams.plan import Program
    from streams.stored import ColdFact, Tail

_ROWS_MIN: Final = 1024
MIGRATED_AT_ONCE: Final = 16_384
_BLOCKS_MIN: Final = 16
POINTS_MAX: Final = 100


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
            name: len(program.facts) + target for name, target in program.overrides.items()
        }
        self._known_as = {knowledge.name: k for k, knowledge in enumerate(program.layout.knowledge)}
        self._layouts: dict[bytes, list[Column]] = {}
        self._foreign: dict[bytes, bytes] = {}
        self._template = template(program.layout)
        self._rows = np.repeat(self._template, _ROWS_MIN)
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
        if row == len(self._rows):
            self._rows = np.concatenate([self._rows, np.repeat(self._template, row)])
            self.cells = self._view(self.cells)
        self._index[key] = row
        self.names.append(name)
        self.keys.append(key)
        return row

    def _view(self, old: Cells | None) -> Cells:
        size, rows = len(self._rows), self._rows
        new = Cells(
            rows["i64"], rows["f64"], rows["i32"], rows["u16"], rows["u8"],
            facts=np.full((size, len(self.program.facts), FACT_COLUMNS), NO_FACT, np.int64),
            block=np.full(size, -1, np.int64),
            overrides=self._override_blocks(_BLOCKS_MIN) if old is None else old.overrides,
            zone=np.zeros(size, np.int64),
            known=np.zeros((size, len(self.program.layout.knowledge)), np.uint16),
            due=np.full(size, FOREVER, np.int64),
            changed=np.zeros(size, np.uint8),
            parts=np.zeros(len(self.plan.components) + 1, np.int64),
            notes=np.zeros(NOTES, np.int64) if old is None else old.notes,
        )  # fmt: skip
        if old is not None:
            for name in ("facts", "block", "zone", "known", "due", "changed"):
                getattr(new, name)[: len(old.due)] = getattr(old, name)
        return new

    def _override_blocks(self, count: int) -> npt.NDArray[np.int64]:
        return np.full((count, len(self.program.overrides), FACT_COLUMNS), NO_FACT, np.int64)

    def _give_block(self, row: int) -> None:
        """Give an account room for overrides, which few have."""
        if self.cells.block[row] >= 0:
            return
        if self._blocks == len(self.cells.overrides):
            more = self._override_blocks(self._blocks)
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
        cursors = np.zeros(2, np.int64)
        updates = self._updates(columns, facts)
        while True:
            advance(self.cells, self.plan, self.effects, clock, columns, updates, cursors)
            self._empty(emit)
            if cursors[0] == len(columns):
                return

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
        size = len(self)
        holds = np.nonzero(self.cells.u8[:size, HELD : HELD + 2].max(axis=1) >= HELD_ESCALATED)[0]
        for end_ms in intervals[:, MUTE_END].tolist():
            waits = holds[self.cells.i64[holds, NOW] < end_ms]
            self.cells.due[waits] = np.minimum(self.cells.due[waits], end_ms)

    def adopt(self, rows_max: int, clock_ms: int, fresh: int, emit: Callable[[Effects], None]) -> bool:
        """Let at most ``rows_max`` accounts adopt the policy in force (see ``kernel.adopt``); return whether all have."""
        self._swept = adopt(self.cells, self.plan, self.effects, self._swept, rows_max, clock_ms, fresh, 0)
        self._empty(emit)
        if self._swept < len(self.cells.due):
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
        """Return the cell of a fact's or an override's value, ``NO_FACT`` for one that is not read."""
        if name == ZONE_FACT:
            return self._zone_number(value) if isinstance(value, str) else NO_FACT
        if name.startswith(OVERRIDE_PREFIX):
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            return number_cell(value) if is_number and 0 <= value <= POINTS_MAX else NO_FACT
        if name in DATE_FACTS:
            return date_cell(value)
        categories = FACT_BY_NAME[name].values
        if categories:
            return categories.index(value) if value in categories else NO_FACT
        return number_cell(value)

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
        return int(np.count_nonzero(self.cells.changed)) * self._rows.itemsize

    def changed(self) -> list[int]:
        """Return the rows touched since ``take_changed``."""
        return np.nonzero(self.cells.changed)[0].tolist()

    def take_changed(self, rows: list[int]) -> list[tuple[bytes, bytes | None]]:
        """Return the changelog records of ``changed`` rows, which then count as unchanged."""
        self.cells.changed[rows] = 0
        return self._written(rows)

    def under(self, program: Program) -> Accounts:
        """Return the same accounts, each in the same row, as another program reads what this one writes; not yet ``loaded``."""
        other, rows = Accounts(program), list(range(len(self)))
        other._layouts = {**self._layouts, self.program.layout.fingerprint: list(self.program.layout.columns)}
        written = self._written(rows)
        other.load([key for key, _ in written], [value for _, value in written])
        other._foreign |= self._foreign
        return other

    def _written(self, rows: list[int]) -> list[tuple[bytes, bytes | None]]:
        changed = np.array(rows, np.int64)
        values = join_values(self.program.layout.fingerprint, self._rows[changed])
        warming: list[bool] = np.any(self.cells.known[changed], axis=1).tolist()
        if self.cold or any(warming):
            for i, row in enumerate(rows):
                if warming[i] or row in self.cold:
                    values[i] += join_tail(self.cold.get(row, {}), self._unknown(row))
        return list(zip(map(self.keys.__getitem__, rows), values, strict=True))

    def _unknown(self, row: int) -> dict[str, int]:
        return {name: int(day) for name, k in self._known_as.items() if (day := self.cells.known[row, k])}

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
                self._foreign.pop(key, None)
            else:
                self._foreign[key] = value
        if mine:
            block, tails = split_values(mine, self._rows.dtype)
            known = np.zeros((len(block), len(self._known_as)), np.uint16)
            for i, tail in tails.items():
                for name, day in tail[1].items():
                    known[i, self._known_as[name]] = day
            self._put(mine, block, known, tails)

    def _put(
        self,
        keys: Iterable[bytes],
        block: npt.NDArray[np.void],
        known: npt.NDArray[np.uint16],
        tails: Mapping[int, Tail],
    ) -> list[int]:
        rows = [
            self.create(key, key.decode("utf-8", "surrogatepass"))
            if (row := self._index.get(key)) is None
            else row
            for key in keys
        ]
        self._rows[rows], self.cells.known[rows] = block, known
        for i, (facts, _) in tails.items():
            self.cold[rows[i]] = facts
        return rows

    def _migrate(self) -> npt.NDArray[np.bool_]:
        """Read the rows of other layouts, some at a time; return which accounts they are."""
        by_layout: dict[bytes, list[bytes]] = {}
        for key, value in self._foreign.items():
            by_layout.setdefault(value[:FINGERPRINT_BYTES], []).append(key)
        migrated: list[int] = []
        for fingerprint, keys in by_layout.items():
            columns = self._layouts.get(fingerprint)
            if columns is None:
                raise unreadable(fingerprint, len(keys))
            for start in range(0, len(keys), MIGRATED_AT_ONCE):
                some = {key: self._foreign.pop(key) for key in keys[start : start + MIGRATED_AT_ONCE]}
                old, tails = split_values(some, row_dtype(columns))
                unknown = {name: np.zeros(len(old), np.int64) for _, told in tails.values() for name in told}
                for i, (_, told) in tails.items():
                    for name, day in told.items():
                        unknown[name][i] = day
                block, known = migrate(columns, old, unknown, self.program.layout)
                migrated += self._put(some, block, known, tails)
        self._layouts.clear()
        marks = np.zeros(len(self), np.bool_)
        marks[migrated] = True
        return marks

    def loaded(self) -> None:
        """Read what was written under other layouts, and derive what is not written: facts, zones, next due instants.

        Raises:
            StateError: a layout is not described, or an account's zone is none of the time zone database.
        """
        migrated = self._migrate()
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
        rearm(self.cells, self.plan, migrated)

    def existing(self) -> list[int]:
        """Return the rows of accounts that have had an event."""
        return np.nonzero(self.cells.i64[: len(self), NOW] != UNSET)[0].tolist()
