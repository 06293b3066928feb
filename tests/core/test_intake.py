"""Path patterns: what they match, and that no path takes longer than it is read."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase
from random import Random
from typing import TYPE_CHECKING

from schemas.catalogue import RISK_BIT
from schemas.policy import Policy
from streams import intake
from streams.intake import ADDRESS_CHARACTERS_MAX, PageMasks

if TYPE_CHECKING:
    import pytest


def masks(*patterns: str) -> PageMasks:
    return PageMasks(
        Policy(policy="p", version=1, models=["m"], activity=["login"], pages={"cancel": list(patterns)})
    )


def test_a_star_is_any_characters_wherever_it_stands() -> None:
    rng, matched = Random(1), 0
    for _ in range(3_000):
        pattern = "/" + "".join(rng.choices("ab*", k=rng.randrange(7)))
        path = "/" + "".join(rng.choices("ab", k=rng.randrange(7)))
        matches = masks(pattern)[path] >> RISK_BIT & 1 == 1
        assert matches == fnmatchcase(path, pattern), (pattern, path)
        matched += matches
    assert 500 < matched < 2_500


def test_addresses_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "PATHS_MAX", 3)
    known = masks("/cancel")
    for number in range(10):
        assert known[f"/{number}"] >> RISK_BIT & 1 == 0
        assert known["/cancel"] >> RISK_BIT & 1 == 1
        assert len(known) <= 3


def test_many_stars_against_a_long_path_take_no_longer_than_few() -> None:
    begin = time.perf_counter()
    assert masks("/" + "*a" * 90 + "*b")["/" + "a" * (ADDRESS_CHARACTERS_MAX - 1)] >> RISK_BIT & 1 == 0
    assert time.perf_counter() - begin < 2
