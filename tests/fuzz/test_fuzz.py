"""Some thousand of the inputs of `make fuzz`, uncompiled, their seeds drawn by hypothesis."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.reasons import RejectReason
from tests.fuzz import files, judge

SEEDS = st.integers(0, (1 << 32) - 1)


@settings(max_examples=8)
@given(seed=SEEDS)
def test_whatever_comes_every_record_has_its_outcome_and_every_output_its_schema(seed: int) -> None:
    judge.judge(Random(seed), share=0.6)


def test_the_records_drawn_are_accepted_and_rejected_for_every_reason() -> None:
    """But for the size and floods of accounts, which are not drawn, and the partition, of which there is one."""
    outcomes = sum((judge.judge(Random(seed), share=0.6, sampled=0.0) for seed in range(6)), Counter[str]())
    not_drawn = {RejectReason.VALUE_TOO_LARGE, RejectReason.WRONG_PARTITION, RejectReason.TOO_MANY_ACCOUNTS}
    assert all(outcomes[reason] for reason in set(RejectReason) - not_drawn), outcomes
    assert outcomes["accepted"] > outcomes.total() / 4


@given(seed=SEEDS)
def test_whatever_a_policy_or_model_file_says_it_compiles_or_is_refused_with_the_place(seed: int) -> None:
    files.judge(Random(seed))
