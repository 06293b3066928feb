"""The judge finds what it is there to find."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.topics import Output
from tests.worker.judge import Messages, differences, told_twice

FIRST, SECOND, TIED, LAST = (
    {"change_id": name, "effective_at": at} for name, at in [("c", "1"), ("b", "2"), ("a", "2"), ("d", "3")]
)
EXPECTED = [FIRST, TIED, SECOND, LAST]


def changes(payloads: list[dict[str, Any]]) -> Messages:
    return {(Output.SCORE_CHANGES, "acme"): payloads}


def test_changes_of_one_instant_may_come_in_either_order() -> None:
    assert differences(changes([FIRST, SECOND, TIED, LAST]), changes(EXPECTED)) == []


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param([FIRST, TIED, SECOND], id="the last one lost"),
        pytest.param([TIED, SECOND, LAST], id="the first one lost"),
        pytest.param([FIRST, TIED, SECOND, LAST, LAST], id="one twice"),
        pytest.param([SECOND, TIED, FIRST, LAST], id="another order"),
        pytest.param([FIRST, TIED, {**SECOND, "new": 1}, LAST], id="another payload"),
        pytest.param([], id="nothing"),
    ],
)
def test_the_judge_finds(seen: list[dict[str, Any]]) -> None:
    (found,) = differences(changes(seen), changes(EXPECTED))
    assert "acme" in found


def test_an_account_that_should_not_be_there_is_found() -> None:
    assert len(differences(changes(EXPECTED), {})) == 1


def test_what_was_told_twice_is_named() -> None:
    assert told_twice(changes([FIRST, LAST, FIRST])) == ["c"]
    assert told_twice(changes(EXPECTED)) == []
