"""Rows by key: what a dictionary finds is found, whatever came and went, however keys look."""

from __future__ import annotations

import os

import numpy as np
import pytest

from streams import key_index
from streams.key_index import HASH_BITS, HASH_MASK, NOBODY, PRIME, KeyIndex
from streams.roster import Roster

ROUNDS = 60
ALPHABET = np.frombuffer(b"ab\0\xff", np.uint8)


def drawn_keys(random: np.random.Generator, count: int) -> list[bytes]:
    """Draw different keys: short ones of few letters, empty ones never, and some of the greatest size."""
    keys = {random.choice(ALPHABET, random.integers(1, 7)).tobytes() for _ in range(count)}
    return [*keys, b"x" * 256, b"x" * 255][: count + 2]


def found(index: KeyIndex, keys: list[bytes]) -> list[int]:
    rows: list[int] = index.rows_of(keys).tolist()
    return rows


@pytest.mark.parametrize("seed", range(4))
def test_it_finds_what_a_dictionary_finds(seed: int) -> None:
    random, index = np.random.default_rng(seed), KeyIndex()
    known: dict[bytes, int] = {}
    for first in range(0, ROUNDS * 100, 100):
        keys = drawn_keys(random, int(random.integers(0, 90)))
        new = [key for key in keys if key not in known]
        rows = np.arange(first, first + len(new))
        index.add(new, rows)
        known.update(zip(new, rows.tolist(), strict=True))
        for key in [key for key in known if random.random() < 0.3]:
            index.remove(key)
            del known[key]
        asked = [*keys, *known, *drawn_keys(random, 50)]
        assert found(index, asked) == [known.get(key, NOBODY) for key in asked]


def test_it_takes_no_more_room_for_keys_that_come_and_go() -> None:
    index = KeyIndex()
    index.add([b"stays"], np.array([7]))
    sizes = set()
    for turn in range(3_000):
        index.add([b"%030d" % turn], np.array([turn]))
        index.remove(b"%030d" % turn)
        sizes.add((len(index._slots), len(index._arena)))
    assert sizes == {(key_index._SLOTS_MIN, key_index._BYTES_MIN)}
    assert found(index, [b"stays", b"%030d" % 2_999]) == [7, NOBODY]


def test_it_grows_with_its_keys_and_half_of_it_stays_empty() -> None:
    index, keys = KeyIndex(), [b"account-%d" % n for n in range(5_000)]
    for first in range(0, 5_000, 500):
        index.add(keys[first : first + 500], np.arange(first, first + 500))
        assert 2 * np.count_nonzero(index._slots[:, key_index.WHOSE]) <= len(index._slots)
    assert found(index, keys) == list(range(5_000))


def test_keys_whose_hashes_are_equal_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_index, "SEED", 1)
    one, other = _of_one_hash(seed=1, count=1 << 22)
    assert one != other
    index = KeyIndex()
    index.add([one], np.array([3]))
    assert found(index, [one, other]) == [3, NOBODY]
    index.add([other], np.array([4]))
    assert found(index, [one, other]) == [3, 4]
    index.remove(one)
    assert found(index, [one, other]) == [NOBODY, 4]


@pytest.mark.skipif(
    os.environ.get("LATIDO_TEST_COMPILED") == "1", reason="compiled functions call each other directly"
)
def test_keys_that_all_meet_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_index, "_hash", lambda *_: 5)
    index, keys = KeyIndex(), [b"a", b"ab", b"abc", b"b", b"ba"]
    for row, key in enumerate(keys):
        assert found(index, keys) == [*range(row), *[NOBODY] * (len(keys) - row)]
        index.add([key], np.array([row]))
    index.remove(b"ab")
    assert found(index, [*keys, b""]) == [0, NOBODY, 2, 3, 4, NOBODY]


def test_a_key_that_has_no_row_cannot_go() -> None:
    index = KeyIndex()
    with pytest.raises(KeyError, match="absent"):
        index.remove(b"absent")
    roster = Roster()
    roster.add(b"a", "a")
    roster.give_back(0)
    with pytest.raises(KeyError):
        roster.give_back(0)
    assert [roster.add(b"x", "x"), roster.add(b"y", "y")] == [0, 1]


def _of_one_hash(seed: int, count: int) -> tuple[bytes, bytes]:
    """Return two keys of eight digits with the same hash, computed by its definition."""
    hashes = np.full(count, seed)
    for place in range(8):
        digits = np.arange(count) // 10 ** (7 - place) % 10 + ord("0")
        hashes = ((hashes ^ digits) * PRIME) & HASH_MASK
    hashes ^= hashes >> (HASH_BITS // 2)
    order = np.argsort(hashes)
    first = int(np.flatnonzero(np.diff(hashes[order]) == 0)[0])
    one, other = (b"%08d" % order[place] for place in (first, first + 1))
    return one, other


def test_of_keys_joined_by_nul_each_is_found_and_of_a_key_with_one_in_it_nobody() -> None:
    roster = Roster()
    assert roster.rows_of(b"", 0).tolist() == []
    for name in ("a", "b", "España ☃"):
        roster.add(name.encode(), name)
    joined = "\0".join(("b", "España ☃", "c", "a")).encode()
    assert roster.rows_of(joined, 4).tolist() == [1, 2, NOBODY, 0]
    assert roster.rows_of(b"a\0b", 1).tolist() == [NOBODY]
    assert roster.rows_of(b"", 1).tolist() == [NOBODY]


def test_keys_of_rows_stand_behind_each_other() -> None:
    roster = Roster()
    keys = [b"account-%d" % (n * n) for n in range(3_000)]
    for first in range(0, 3_000, 700):
        roster.add_all(keys[first : first + 700])
    roster.give_back(5)
    assert roster.add(b"other", "other") == 5
    joined, ends = roster.keys_of(np.array([2_999, 5, 0, 1_500, 5]))
    assert joined.tobytes() == b"".join([keys[2_999], b"other", keys[0], keys[1_500], b"other"])
    assert np.diff(ends, prepend=0).tolist() == [len(keys[2_999]), 5, len(keys[0]), len(keys[1_500]), 5]
    assert [part.tolist() for part in roster.keys_of(np.zeros(0, np.int64))] == [[], []]


def test_rows_are_given_in_order_and_a_row_of_nobody_is_used_again() -> None:
    roster = Roster()
    roster.add_all([b"a", b"", b"b"])
    assert roster.rows_for([b"c", b"b", b"d"]).tolist() == [3, 2, 4]
    assert roster.add(b"e", "e") == 1
    roster.give_back(2)
    assert (roster.row_of(b"b"), roster.names[2], roster.keys[2]) == (None, "", b"")
    assert roster.add(b"b", "b") == 2
    assert [roster.row_of(key) for key in roster.keys] == [0, 1, 2, 3, 4]
    assert roster.unborn == {1, 2}
