"""Laws of the core: cutting, sweeping and recovering change nothing; parts sum to the whole."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.conftest import Machine, by_account, company

if TYPE_CHECKING:
    from streams.plan import Program
    from tests.core.conftest import Events

few = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def events() -> Events:
    return company(seed=5, accounts=10, days=75)


@pytest.fixture(scope="module")
def whole(program: Program, events: Events) -> list[bytes]:
    """Outputs without any interruption, in big steps."""
    return Machine(program, events).run(random.Random(0), commit=0.01, rows_max=50_000)


@pytest.mark.compiled
@few
@given(seed=st.integers(0, 1 << 30))
def test_how_the_input_is_cut_and_when_sweeps_run_changes_no_output(
    program: Program, events: Events, whole: list[bytes], seed: int
) -> None:
    cut = Machine(program, events).run(random.Random(seed))
    assert len(whole) > 30
    assert by_account(cut) == by_account(whole)


@pytest.mark.compiled
@few
@given(seed=st.integers(0, 1 << 30))
def test_a_crash_between_any_two_commits_loses_nothing_and_repeats_nothing(
    program: Program, events: Events, whole: list[bytes], seed: int
) -> None:
    crashed = Machine(program, events).run(random.Random(seed), crash=0.1)
    assert by_account(crashed) == by_account(whole)


def test_contributions_sum_to_the_score_and_their_differences_to_the_change(whole: list[bytes]) -> None:
    changes = [json.loads(value) for value in whole if b"change_id" in value]
    assert changes
    for change in changes:
        for side in ("old", "new"):
            parts = [round(1000 * (part[side] or 0)) for part in change["contributions"]]
            assert sum(parts) == round(1000 * (change[side]["score"] or 0))
        difference = round(1000 * (change["new"]["score"] or 0)) - round(1000 * (change["old"]["score"] or 0))
        assert sum(round(1000 * part["delta"]) for part in change["contributions"]) == difference
