"""Files that YAML itself chokes on: one message with the place, at once."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
import yaml

from schemas.errors import ConfigError
from schemas.policy import Policy
from schemas.yaml_file import VALUES_MAX, parse_yaml
from tests.auditor.scenarios import DEFAULT_POLICY

BOMB = "\n".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in pairwise("abcdefghi"))
"""Some forty million values in eight lines."""


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            "calendar: {holidays: [2026-02-30]}",
            "found '2026-02-30', which is no timestamp; mend it, or quote it",
        ),
        (f"grace_s: {'9' * 5000}", f"found '{'9' * 79}..., which is no int"),
        (f"grace_s: 0x{'f' * 5000}", f"found '0x{'f' * 77}..., which is no int"),
        ("grace_s: !!float two", "found 'two', which is no float"),
        ("grace_s: !!timestamp two", "found 'two', which is no timestamp"),
    ],
)
def test_what_looks_like_a_number_or_a_date_and_is_none_is_told_with_its_line(
    more: str, message: str
) -> None:
    text = DEFAULT_POLICY.read_text().replace("grace_s: 120", "", 1)
    with pytest.raises(ConfigError) as refused:
        parse_yaml(f"{text}\n{more}\n", Policy, name="mine")
    assert message in str(refused.value)
    assert f"1 mistake(s)\n  line {text.count(chr(10)) + 2}: " in str(refused.value)


def test_values_repeated_beyond_all_bounds_are_refused_before_they_are_made() -> None:
    begin = time.perf_counter()
    with pytest.raises(ConfigError, match=f"more than {VALUES_MAX} values, repeated ones"):
        parse_yaml(f"{DEFAULT_POLICY.read_text()}\na: &a [x]\n{BOMB}\n", Policy, name="mine")
    assert time.perf_counter() - begin < 5


def test_values_may_be_repeated() -> None:
    text = DEFAULT_POLICY.read_text().replace("\npages:", "\npages: &pages", 1)
    assert "&pages" in text
    tree = yaml.safe_load(text)
    assert parse_yaml(text, Policy, name="mine").pages == tree["pages"]
