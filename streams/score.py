"""Points, weighted score, coverage, exact contributions: integers throughout, in thousandths of a point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.cells import FACT_EXPIRES, FACT_VALUE
from streams.compiled import int64, kernel
from streams.layout import NO_OVERRIDE, NONE
from streams.metrics import NO_VALUE, half_up, metric
from streams.plan import (
    ANCHOR,
    ANCHOR_END,
    CATEGORIES,
    COUNTED,
    CURVE,
    DENOMINATOR,
    DIM,
    DIM_END,
    DIMENSION,
    GRID,
    IN_DIMENSION,
    MIN_COVERAGE,
    MISSING,
    PART,
    PART_END,
    STEPS,
    TARGET,
    WEIGHT,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from streams.cells import Cells
    from streams.plan import Plan


@kernel
def curve(plan: Plan, c: int, x: int) -> int:
    """Return the points of metric ``x`` on the curve of component ``c``, or ``NONE``."""
    first, end = plan.components[c, ANCHOR], plan.components[c, ANCHOR_END]
    anchors, kind = plan.anchors, plan.components[c, CURVE]
    if kind == CATEGORIES:
        for i in range(first, end):
            if anchors[i, 0] == x:
                return int64(anchors[i, 1])
        return int64(NONE)
    if x <= anchors[first, 0]:
        return int64(anchors[first, 1])
    i = first
    while i + 1 < end and anchors[i + 1, 0] <= x:
        i += 1
    if i + 1 == end or kind == STEPS:
        return int64(anchors[i, 1])
    rise = (anchors[i + 1, 1] - anchors[i, 1]) * (x - anchors[i, 0])
    return int64(anchors[i, 1]) + half_up(rise, anchors[i + 1, 0] - anchors[i, 0])


@kernel
def weigh(cells: Cells, plan: Plan, row: int, m: int, now: int) -> tuple[int, int, bool]:
    """Put what model ``m``'s components measure into ``cells.measured``, and their points into ``cells.parts``.

    Returns:
        weighted sum and present weight as they are if what is missing is spread, and whether a coming midnight may change
        either.
    """
    total, present, moving = int64(0), int64(0), False
    for c in range(plan.models[m, PART], plan.models[m, PART_END]):
        x, moves = metric(cells, plan, row, c, now)
        moving = moving or moves
        points = int64(NONE) if x == NO_VALUE else curve(plan, c, x)
        cells.parts[c], cells.measured[c] = points, x
        if points != NONE:
            total += plan.components[c, WEIGHT] * points
            present += plan.components[c, WEIGHT]
    return total, present, moving


@kernel
def weights_of(plan: Plan, points: npt.NDArray[np.int64], m: int, d: int) -> tuple[int, int]:
    """Return the weight of what is present in dimension ``d``, and of all of it."""
    present, whole = int64(0), int64(0)
    for c in range(plan.models[m, PART], plan.models[m, PART_END]):
        if plan.components[c, DIMENSION] == d:
            whole += plan.components[c, WEIGHT]
            if points[c] != NONE:
                present += plan.components[c, WEIGHT]
    return present, whole


@kernel
def weight_in_score(plan: Plan, points: npt.NDArray[np.int64], m: int, c: int) -> int:
    """Return what component ``c``, which is present, weighs in the score of model ``m``."""
    weight = int64(plan.components[c, WEIGHT])
    if plan.models[m, MISSING] == IN_DIMENSION:
        for d in range(plan.models[m, DIM], plan.models[m, DIM_END]):
            present, whole = weights_of(plan, points, m, d)
            if d == plan.components[c, DIMENSION]:
                weight *= whole
            elif present > 0:
                weight *= present
    return weight


@kernel
def weighted(plan: Plan, points: npt.NDArray[np.int64], m: int) -> tuple[int, int]:
    """Return the weighted sum of points, and the weight by which it is divided."""
    total, present = int64(0), int64(0)
    for c in range(plan.models[m, PART], plan.models[m, PART_END]):
        if points[c] != NONE:
            weight = weight_in_score(plan, points, m, c)
            total += weight * points[c]
            present += weight
    return total, int64(plan.models[m, DENOMINATOR]) if plan.models[m, MISSING] == COUNTED else present


@kernel
def has_evidence(plan: Plan, points: npt.NDArray[np.int64], m: int, present: int) -> bool:
    """Return whether enough of model ``m`` is present, of a grid also of each axis, to tell a score."""
    least = plan.models[m, MIN_COVERAGE]
    if present == 0 or 1000 * present < least * plan.models[m, DENOMINATOR]:
        return False
    if plan.models[m, GRID] == 0:
        return True
    for d in range(plan.models[m, DIM], plan.models[m, DIM_END]):
        there, whole = weights_of(plan, points, m, d)
        if there == 0 or 1000 * there < least * whole:
            return False
    return True


@kernel
def pinned(cells: Cells, row: int, target: int, now: int) -> int:
    """Return what an override pins its target to at ``now``, in thousandths of a point, or ``NONE``."""
    block = int64(cells.block[row])
    if block < 0 or cells.overrides[block, target, FACT_EXPIRES] <= now:
        return int64(NONE)
    return int64(cells.overrides[block, target, FACT_VALUE])


@kernel
def override_of(cells: Cells, plan: Plan, row: int, m: int, evidence: int, now: int) -> tuple[int, int]:
    """Return the score of model ``m`` with manual judgement, and what that adds to the evidence or ``NO_OVERRIDE``.

    ``cells.parts`` must hold the points of the components, ``evidence`` is the score that follows from them. If components
    are pinned, ``cells.judged`` then holds the points with theirs in place.
    """
    if cells.block[row] < 0:
        return evidence, int64(NO_OVERRIDE)
    target, first = plan.models[m, TARGET], plan.models[m, PART]
    pin = pinned(cells, row, target, now)
    if pin != NONE:
        return pin, pin - max(evidence, 0)
    any_pinned = False
    for c in range(first, plan.models[m, PART_END]):
        points, pin = int64(cells.parts[c]), pinned(cells, row, target + 1 + c - first, now)
        if pin != NONE:
            points, any_pinned = pin, True
        cells.judged[c] = points
    if evidence == NONE or not any_pinned:
        return evidence, int64(NO_OVERRIDE)
    total, present = weighted(plan, cells.judged, m)
    score = half_up(total, present)
    return score, score - evidence


@kernel
def dimension(plan: Plan, points: npt.NDArray[np.int64], m: int, d: int) -> int:
    """Return the mean of the components of dimension ``d`` as its model weighs them, or ``NONE``."""
    total, present = int64(0), int64(0)
    for c in range(plan.models[m, PART], plan.models[m, PART_END]):
        if plan.components[c, DIMENSION] == d and points[c] != NONE:
            total += plan.components[c, WEIGHT] * points[c]
            present += plan.components[c, WEIGHT]
    if present == 0:
        return int64(NONE)
    return half_up(
        total, weights_of(plan, points, m, d)[1] if plan.models[m, MISSING] == COUNTED else present
    )


@kernel
def contributions(plan: Plan, points: npt.NDArray[np.int64], m: int, score: int, present: int) -> None:
    """Turn points into contributions that sum to ``score``: largest remainder, equal ones to the earlier.

    ``present`` is the weight by which the weighted sum was divided.
    """
    first, end = plan.models[m, PART], plan.models[m, PART_END]
    left = int64(score)
    for c in range(first, end):
        if points[c] != NONE:
            points[c] *= weight_in_score(plan, points, m, c)
            left -= points[c] // present
    for _ in range(left):
        best, most = int64(-1), int64(-1)
        for c in range(first, end):
            if points[c] >= 0 and points[c] % present > most:
                best, most = int64(c), points[c] % present
        points[best] += present - most
    for c in range(first, end):
        if points[c] != NONE:
            points[c] //= present
