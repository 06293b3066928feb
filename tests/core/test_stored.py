"""A row as a changelog value: packed against the fresh row, read back to the last bit, and when it is written at all."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.beside import LAYOUT
from agents.partition import Partition
from schemas.errors import StateError
from schemas.records import Chunk, parts
from schemas.topics import Input, Output
from streams.kernel import WRITE_DAYS
from streams.layout import FINGERPRINT_BYTES, NOW, template
from streams.stored import join_tail, join_values, split_values
from tests.core.conftest import DAY_MS, START_MS, Machine, company

if TYPE_CHECKING:
    from streams.plan import Program

HEAD = bytes(range(FINGERPRINT_BYTES))
FULL = 0xFFFF_FFFF
WORDS = st.sampled_from([0, 1, 1 << 31, FULL]) | st.integers(0, FULL)


def rows_of(words: list[list[int]]) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    dtype = np.dtype([("u4", np.uint32, (len(words[0]),))])
    return np.array(words, np.uint32).view(dtype).reshape(len(words))


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[list[int]], list[int]]:
    """Rows and a fresh row, of any number of words; most words are as in the fresh one."""
    width = draw(st.integers(1, 70))
    fresh = draw(st.lists(WORDS, min_size=width, max_size=width))
    changes = st.dictionaries(st.integers(0, width - 1), WORDS, max_size=8)
    rows = [
        {**dict(enumerate(fresh)), **change} for change in draw(st.lists(changes, min_size=1, max_size=4))
    ]
    return [list(row.values()) for row in rows], fresh


@settings(max_examples=60, deadline=None)
@given(tables(), st.data())
def test_what_was_packed_is_read_back_to_the_last_bit(
    table: tuple[list[list[int]], list[int]], data: st.DataObject
) -> None:
    words, fresh = table
    rows, base = rows_of(words), rows_of([fresh])
    chosen = np.array(data.draw(st.lists(st.integers(0, len(words) - 1), min_size=1, max_size=5)))
    tails = [({"plan": ("pro", n, 9, None)}, {"users": n}) for n in range(len(chosen))]
    with_tail = [data.draw(st.booleans()) for _ in chosen]
    values = [
        value + join_tail(*tail) * told
        for value, tail, told in zip(
            parts(*join_values(HEAD, rows, chosen, base)), tails, with_tail, strict=True
        )
    ]
    found, read = split_values({b"%d" % n: v for n, v in enumerate(values)}, rows.dtype, base)
    assert found.tobytes() == rows[chosen].tobytes()
    assert read == {n: tails[n] for n, told in enumerate(with_tail) if told}


def test_a_fresh_row_costs_a_bit_a_word_and_a_changed_word_itself() -> None:
    fresh = rows_of([[7] * 64])
    rows = rows_of([[7] * 64, [7] * 63 + [8], [8] * 64])
    sizes = [len(value) for value in parts(*join_values(HEAD, rows, np.arange(3), fresh))]
    assert sizes == [8 + 8, 8 + 8 + 4, 8 + 8 + 64 * 4]
    assert parts(*join_values(HEAD, rows, np.arange(0), fresh)) == []


@pytest.mark.parametrize("is_packed", [True, False])
def test_a_value_that_ends_too_early_is_refused_wherever_it_ends(*, is_packed: bool) -> None:
    rows, fresh = rows_of([[3] * 40, [5] * 40]), rows_of([[0] * 40])
    whole = parts(*join_values(HEAD, rows, np.arange(2), fresh))
    if not is_packed:
        whole = [HEAD + rows[n : n + 1].tobytes() for n in range(2)]
    for size in range(FINGERPRINT_BYTES, len(whole[1])):
        values = {b"acme": whole[0], b"beta": whole[1][:size]}
        with pytest.raises(StateError, match=rf"'beta' ends after {size} bytes: the changelog is damaged"):
            split_values(values, rows.dtype, fresh if is_packed else None)


def test_rows_that_an_older_latido_wrote_unpacked_are_read(program: Program) -> None:
    machine = Machine(program, company(seed=3, accounts=4, days=15))
    machine.run(random.Random(1))
    accounts, old = machine.partition.accounts, b"unpacked"
    described = msgspec.json.encode({"state_version": 1, "columns": program.layout.columns})
    rows = accounts._rows[: len(accounts)]
    made = Partition(program, partition=0, partitions=1, keyed=False)
    made.load(accounts.keys, [old + row.tobytes() for row in rows])
    made.load([LAYOUT + old], [described])
    made.loaded()
    assert made.accounts.keys == accounts.keys
    found = made.accounts._rows[: len(accounts)]
    assert found.tobytes() == rows.tobytes()
    assert program.layout.fingerprint != old


def test_a_midnight_that_tells_nothing_is_written_on_some_days_only_and_fired_again_by_the_next_owner(
    program: Program,
) -> None:
    """
    day      0        1 .. 8 (nothing happens)
    events   log-in
    written  *        twice, 4 days apart
    """
    first = quiet(program)
    written = []
    for day in range(1, 9):
        go_on(first, day)
        batch = first.drain()
        written += [(day, value) for key, value in batch.changelog if key == b"acme"]
        assert [record.topic for record in batch.outputs] == [Output.ACCOUNTS], "it is shown all the same"
    assert len(written) == 8 // WRITE_DAYS
    second = Partition(program, partition=0, partitions=1)
    second.load([b"acme"], [written[0][1]])
    second.loaded()
    go_on(second, 8)
    second.drain()
    assert second.accounts._rows[0].tobytes() == first.accounts._rows[0].tobytes()
    assert int(second.accounts.cells.i64[0, NOW]) == START_MS + 8 * DAY_MS


def quiet(program: Program) -> Partition:
    """A partition with one account, whose first day is written."""
    made = Partition(program, partition=0, partitions=1)
    login = b'{"event_id":"1","account_id":"acme","occurred_at":%d}' % (START_MS + 1000)
    made.offer(Input.LOGINS, Chunk([b"acme"], [login], np.zeros(1, np.int64), np.full(1, -1)))
    go_on(made, 0)
    made.drain()
    return made


def go_on(partition: Partition, day: int) -> None:
    """Let the clock come to the beginning of a day."""
    for topic in Input:
        partition.end_reached(topic, START_MS + day * DAY_MS + partition.grace_ms)
    while partition.step(100) or partition.due_now():
        pass


def test_the_fresh_row_of_a_program_packs_to_nothing(program: Program) -> None:
    fresh = template(program.layout)
    (value,) = parts(*join_values(HEAD, fresh, np.zeros(1, np.int64), fresh))
    assert not any(value[FINGERPRINT_BYTES:])
