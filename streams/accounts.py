"""The accounts of one owned partition: rows, what is derived from them, and the cold facts beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from schemas.catalogue import FACT_BY_NAME
from schemas.errors import StateError
from streams.cells import FACT_AT, FACT_EXPIRES, FACT_VALUE, FOREVER, NO_FACT, Cells
from streams.decode import instant_ms
from streams.effects import Effects, make_effects
from streams.events import EVENT_ROW
from streams.kernel import FIXED_FACT_COLUMNS, advance, rearm, sweep
from streams.layout import NOW, UNSET, template

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from schemas.events import AccountFacts
    from streams.clock import Clock
    from streams.plan import Program

_ROWS_MIN: Final = 1024
FACT_MAX: Final = 10**15

ColdFact = tuple[Any, int, int, str | None]
"""Value, time, expiry (``FOREVER``: none) and author of a fact."""


class Accounts:
    """Rows by account id, advanced in place; there is no undo."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.names: list[str] = []
        self.keys: list[bytes] = []
        self.cold: dict[int, dict[str, ColdFact]] = {}
        self._index: dict[bytes | None, int] = {}
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
        facts = np.full((size, len(self.program.facts), 3), NO_FACT, np.int64)
        due, changed = np.full(size, FOREVER, np.int64), np.zeros(size, np.uint8)
        if old is not None:
            facts[: len(old.due)], due[: len(old.due)], changed[: len(old.due)] = (
                old.facts,
                old.due,
                old.changed,
            )
        parts = np.zeros(len(self.program.plan.components), np.int64)
        notes = np.zeros(2, np.int64) if old is None else old.notes
        return Cells(
            rows["i64"], rows["f64"], rows["i32"], rows["u16"], rows["u8"], facts, due, changed, parts, notes
        )

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
            advance(self.cells, self.program.plan, self.effects, clock, columns, updates, cursors)
            self._empty(emit)
            if cursors[0] == len(columns):
                return

    def sweep(self, clock_ms: int, rows_max: int, event: int, emit: Callable[[Effects], None]) -> bool:
        """Fire what is due by the clock in at most ``rows_max`` rows; return whether nothing due is left."""
        start = self._swept
        self._swept = sweep(self.cells, self.program.plan, self.effects, start, rows_max, clock_ms, event)
        self._empty(emit)
        if self._swept == len(self.cells.due):
            self._swept = 0
            return start == 0
        return False

    def _empty(self, emit: Callable[[Effects], None]) -> None:
        if self.effects.used[0]:
            emit(self.effects)
            self.effects.used[0] = 0

    # -- facts ------------------------------------------------------------------------------------------------

    def tell(self, row: int, told: AccountFacts, at: int) -> None:
        """Remember the facts of one event taken at ``at``: the newest wins, of equal times the later in the order."""
        expires = FOREVER if told.expires_at is None else instant_ms(told.expires_at)
        known = self.cold.setdefault(row, {})
        for name, value in told.facts.items():
            if name not in known or at >= known[name][1]:
                known[name] = (value, at, expires, told.author)

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
            expires = FOREVER if told.expires_at is None else instant_ms(told.expires_at)
            for slot, name in enumerate(self.program.facts):
                if name in told.facts:
                    at = int(columns[event, 1])
                    updates.append((event, slot, cell_value(name, told.facts[name]), at, expires))
        return np.array(updates, np.int64).reshape(len(updates), FIXED_FACT_COLUMNS)

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
        changed = np.array(rows, np.int64)
        self.cells.changed[changed] = 0
        head = np.frombuffer(self.program.layout.fingerprint, np.uint8)
        size = len(head) + self._rows.itemsize
        block = np.empty((len(changed), size), np.uint8)
        block[:, : len(head)] = head
        block[:, len(head) :] = self._rows[changed].view(np.uint8).reshape(len(changed), self._rows.itemsize)
        blob = block.tobytes()
        values = [blob[start : start + size] for start in range(0, len(blob), size)]
        if self.cold:
            for i, row in enumerate(rows):
                if row in self.cold:
                    values[i] += msgspec.json.encode(self.cold[row])
        return list(zip(map(self.keys.__getitem__, rows), values, strict=True))

    def load(self, keys: Sequence[bytes], values: Sequence[bytes | None]) -> None:
        """Take changelog records of accounts, in order.

        Raises:
            StateError: a record has another layout than this program's.
        """
        size = self._rows.itemsize + len(self.program.layout.fingerprint)
        present = [(key, value) for key, value in zip(keys, values, strict=True) if value is not None]
        if not present:
            return
        names = [key for key, _ in present]
        rows = self.rows_of(names)
        for i, row in enumerate(rows):
            if row is None:
                known = self._index.get(names[i])
                rows[i] = (
                    self.create(names[i], names[i].decode("utf-8", "surrogatepass"))
                    if known is None
                    else known
                )
        block = np.frombuffer(b"".join(value[:size] for _, value in present), np.uint8)
        self._check_layout(block, len(present), size)
        body = np.ascontiguousarray(
            block.reshape(len(present), size)[:, len(self.program.layout.fingerprint) :]
        )
        self._rows[rows] = body.view(self._rows.dtype).reshape(len(present))
        for row, (_, value) in zip(rows, present, strict=True):
            if len(value) > size:
                self.cold[row] = {
                    name: tuple(fact) for name, fact in msgspec.json.decode(value[size:]).items()
                }

    def _check_layout(self, block: npt.NDArray[np.uint8], count: int, size: int) -> None:
        mark = np.frombuffer(self.program.layout.fingerprint, np.uint8)
        if len(block) != count * size or not (block.reshape(count, size)[:, : len(mark)] == mark).all():
            raise StateError(
                "The account table was written under another layout (other models or rules are enabled). Start with the "
                "policy it was written under, or under a new LATIDO_APPLICATION_ID, which reads the inputs from their start."
            )

    def loaded(self) -> None:
        """Derive what is not written: facts that models read, next due instants."""
        for row, known in self.cold.items():
            for slot, name in enumerate(self.program.facts):
                if name in known:
                    value, at, expires, _ = known[name]
                    cell = self.cells.facts[row, slot]
                    cell[FACT_VALUE], cell[FACT_AT] = cell_value(name, value), at
                    cell[FACT_EXPIRES] = NO_FACT if cell[FACT_VALUE] == NO_FACT else expires
        rearm(self.cells, self.program.plan, 0, len(self))

    def existing(self) -> list[int]:
        """Return the rows of accounts that have had an event."""
        return np.nonzero(self.cells.i64[: len(self), NOW] != UNSET)[0].tolist()


def cell_value(name: str, value: Any) -> int:
    """Return a fact's cell: thousandths of a number, the code of a category; ``NO_FACT`` for anything else."""
    categories = FACT_BY_NAME[name].values
    if categories:
        return categories.index(value) if value in categories else NO_FACT
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > FACT_MAX:
        return NO_FACT
    numerator, denominator = value.as_integer_ratio()
    return (2000 * numerator + denominator) // (2 * denominator)
