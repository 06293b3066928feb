"""A test of the tests: bugs planted into the core must show as differences from the auditor, and without them none.

Functions of the plain core are replaced where they are called; compiled, there is nothing to replace.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from streams import bands, kernel, memory, metrics, rhythm, rules, score, tiles
from streams.cells import FACT_AT, FACT_EXPIRES, FACT_VALUE, Cells
from streams.days import local_day
from streams.effects import BY_EVENT
from streams.layout import LAST_ACTIVE_DAY, UNSET
from streams.plan import DWELL, REFRACTORY
from tests.auditor import edges
from tests.auditor.core import differences, run_core
from tests.auditor.reference import Audit, audit

if TYPE_CHECKING:
    from streams.plan import Plan

pytestmark = pytest.mark.skipif(
    os.environ.get("LATIDO_TEST_COMPILED") == "1", reason="compiled functions call each other directly"
)
SEEDS = range(7)
Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]


@cache
def right(seed: int) -> Audit:
    records, world = edges.case(seed)
    return audit(records, **world._asdict())


def differs(seed: int) -> bool:
    records, world = edges.case(seed)
    return bool(differences(run_core(records, **world._asdict()), right(seed)))


# --- the bugs ----------------------------------------------------------------------------------------------------


def window_short_of_a_tile(patch: Patch) -> None:
    def window_sum(cells: Cells, plan: Plan, row: int, ring: int, first: int, last: int) -> int:
        return tiles.window_sum(cells, plan, row, ring, first + 1, last)

    patch.setattr(metrics, "window_sum", window_sum)


def tile_of_the_day_before(patch: Patch) -> None:
    def count_event(cells: Cells, plan: Plan, row: int, mask: int, day: int) -> bool:
        return tiles.count_event(cells, plan, row, mask, day - 1)

    patch.setattr(kernel, "count_event", count_event)


def late_event_that_moves_the_rhythm(patch: Patch) -> None:
    note_activity = rhythm.note_activity

    def set_back(cells: Cells, plan: Plan, row: int, day: int, t: int) -> bool:
        cells.u16[row, LAST_ACTIVE_DAY] = min(int(cells.u16[row, LAST_ACTIVE_DAY]), day)
        return note_activity(cells, plan, row, day, t)

    patch.setattr(kernel, "note_activity", set_back)


def missing_counted_as_zero(patch: Patch) -> None:
    def metric(cells: Cells, plan: Plan, row: int, c: int, now: int) -> tuple[int, bool]:
        x, moving = metrics.metric(cells, plan, row, c, now)
        return 0 if x == metrics.NO_VALUE else x, moving

    patch.setattr(score, "metric", metric)


def score_rounded_down(patch: Patch) -> None:
    patch.setattr(kernel, "half_up", lambda numerator, denominator: numerator // denominator)


def score_rounded_half_to_even(patch: Patch) -> None:
    def half_even(numerator: int, denominator: int) -> int:
        whole, rest = divmod(numerator, denominator)
        return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1))

    patch.setattr(score, "half_up", half_even)


def timer_fired_twice(patch: Patch) -> None:
    """What a timer did to the account is forgotten, and it fires again."""
    evaluate = kernel.evaluate

    def again(cells: Cells, *others: Any) -> None:
        row, cause = others[2], others[4]
        if cause != BY_EVENT:
            arrays: tuple[Any, ...] = (cells.i64, cells.f64, cells.i32, cells.u16, cells.u8)
            before = [array[row].copy() for array in arrays]
            evaluate(cells, *others)
            for array, was in zip(arrays, before, strict=True):
                array[row] = was
        evaluate(cells, *others)

    patch.setattr(kernel, "evaluate", again)


def timer_not_set(patch: Patch) -> None:
    """The end of a dwell, which nothing else reminds of."""
    next_due = kernel.next_due

    def forgetful(cells: Cells, plan: Plan, row: int, moving: bool, now: int) -> int:  # noqa: FBT001
        models = plan.models.copy()
        models[:, DWELL] = -(1 << 61)
        return next_due(cells, plan._replace(models=models), row, moving, now)

    patch.setattr(kernel, "next_due", forgetful)


def cut_on_the_wrong_side(patch: Patch) -> None:
    def passed(plan: Plan, band: int, score: int, shift: int) -> bool:
        cut = int(plan.bands[band, 0]) + shift
        return bool(score >= cut if plan.bands[band, 1] else score > cut)

    patch.setattr(bands, "passed", passed)


def fact_read_at_its_expiry(patch: Patch) -> None:
    def fact(cells: Cells, row: int, slot: int, now: int) -> int:
        known = cells.facts[row, slot]
        return int(known[FACT_VALUE]) if known[FACT_EXPIRES] >= now else metrics.NO_VALUE

    patch.setattr(metrics, "fact", fact)


def older_fact_wins(patch: Patch) -> None:
    apply_facts = kernel.apply_facts

    def careless(cells: Cells, row: int, *others: Any) -> int:
        cells.facts[row, :, FACT_AT] = UNSET
        return apply_facts(cells, row, *others)

    patch.setattr(kernel, "apply_facts", careless)


def repeat_applied(patch: Patch) -> None:
    patch.setattr(memory.Memory, "judge", lambda *_: 0)


def refractory_time_forgotten(patch: Patch) -> None:
    join_and_leave = rules.join_and_leave

    def eager(cells: Cells, plan: Plan, row: int, now: int) -> tuple[int, int]:
        table = plan.rules.copy()
        table[:, REFRACTORY] = 0
        return join_and_leave(cells, plan._replace(rules=table), row, now)

    patch.setattr(kernel, "join_and_leave", eager)


def midnight_a_millisecond_early(patch: Patch) -> None:
    patch.setattr(kernel, "local_day", lambda zone, t: local_day(zone, t + 1))


BUGS: tuple[Plant, ...] = (
    window_short_of_a_tile,
    tile_of_the_day_before,
    late_event_that_moves_the_rhythm,
    missing_counted_as_zero,
    score_rounded_down,
    score_rounded_half_to_even,
    timer_fired_twice,
    timer_not_set,
    cut_on_the_wrong_side,
    fact_read_at_its_expiry,
    older_fact_wins,
    repeat_applied,
    refractory_time_forgotten,
    midnight_a_millisecond_early,
)


@pytest.mark.parametrize("plant", BUGS, ids=lambda plant: plant.__name__)
def test_a_planted_bug_shows(monkeypatch: Patch, plant: Plant) -> None:
    plant(monkeypatch)
    assert any(differs(seed) for seed in SEEDS)


def test_without_a_bug_nothing_shows() -> None:
    assert not any(differs(seed) for seed in SEEDS)


def test_an_account_that_is_evaluated_twice_at_an_instant_says_nothing_more(monkeypatch: Patch) -> None:
    evaluate = kernel.evaluate

    def again(*arguments: Any) -> None:
        evaluate(*arguments)
        evaluate(*arguments)

    monkeypatch.setattr(kernel, "evaluate", again)
    assert not any(differs(seed) for seed in SEEDS)
