"""From points back to the metric that gave them: exact, and only as far as it follows."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from schemas.catalogue import FACT_BY_NAME, FEATURE_BY_NAME
from streams.layout import PAYMENTS, TICKETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.component import Component, Metric

UNLIMITED: Final = 1 << 61
"""Beyond all metrics."""
_SHARES: Final = ("key_features", "pattern")


class Curve(NamedTuple):
    """How a component's metric becomes points: ``anchors`` of x, in the kernel's unit, and thousandths of points.

    ``kind`` is ``ramp``, ``steps`` or ``table`` (x: codes of categories); no metric is below ``least`` or above ``most``.
    """

    kind: str
    anchors: tuple[tuple[int, int], ...]
    least: int
    most: int


class Between(NamedTuple):
    """The least and the largest metric."""

    least: int
    most: int


def curve_of(part: Component) -> Curve:
    """Return the curve of a component."""
    feature = FEATURE_BY_NAME[part.metric.feature]
    least, most = _limits(part.metric)
    if part.table is not None:
        codes = FACT_BY_NAME[part.metric.source or ""].values
        anchors = [(codes.index(name), round(1000 * points)) for name, points in part.table.items()]
        return Curve("table", tuple(anchors), least, most)
    given = [(round(x * feature.scale), round(1000 * y)) for x, y in part.ramp or part.steps or []]
    return Curve("ramp" if part.ramp else "steps", tuple(given), least, most)


def _limits(metric: Metric) -> Between:
    """Return between what a metric lies, in the kernel's unit."""
    if metric.feature == "fact":
        allowed = FACT_BY_NAME[metric.source or ""].range
        return Between(1000 * allowed[0], 1000 * allowed[1]) if allowed else Between(-UNLIMITED, UNLIMITED)
    if metric.feature in _SHARES:
        return Between(0, 1000)
    known = {"active_days": metric.window_days, "open_tickets": TICKETS, "late_payments": PAYMENTS}
    return Between(0, known.get(metric.feature) or UNLIMITED)


def metrics_between(curve: Curve, low: int, high: int) -> Between | None:
    """Return between what a metric lies that gives ``low`` to ``high`` thousandths, if all in between do; else None."""
    if curve.kind == "table":
        codes = [code for code, points in curve.anchors if low <= points <= high]
        return Between(codes[0], codes[0]) if len(codes) == 1 else None
    found: Between | None = None
    for part in _within(curve, low, high):
        least, most = max(part.least, curve.least), min(part.most, curve.most)
        if least > most:
            continue
        if found is not None and least > found.most + 1:
            return None
        found = Between(least if found is None else found.least, most)
    return found


def _within(curve: Curve, low: int, high: int) -> Iterator[Between]:
    """Yield, in rising order, where each piece of a curve has ``low`` to ``high`` thousandths."""
    anchors = curve.anchors
    (first, y), last = anchors[0], anchors[-1]
    if low <= y <= high:
        yield Between(-UNLIMITED, first)
    for (x0, y0), (x1, y1) in pairwise(anchors):
        if curve.kind == "steps" or y0 == y1:
            if low <= y0 <= high:
                yield Between(x0, x1 - 1)
        elif y1 > y0:
            yield Between(_reaches(x0, y0, x1, y1, low), _reaches(x0, y0, x1, y1, high + 1) - 1)
        else:
            yield Between(_reaches(x0, y0, x1, y1, high + 1) + 1, _reaches(x0, y0, x1, y1, low))
    if low <= last[1] <= high:
        yield Between(last[0], UNLIMITED)


def _reaches(x0: int, y0: int, x1: int, y1: int, points: int) -> int:
    """Return the first metric of a rising piece of a ramp, the last of a falling one, with at least so many points.

    It is one beyond the piece if none has. On it the points are ``y0 + half_up((y1 - y0)(x - x0), x1 - x0)``.
    """
    rise, run = y1 - y0, x1 - x0
    need = -((run - 2 * run * (points - y0)) // 2)  # rise * (x - x0) is at least this
    if rise > 0:
        return min(max(x0 - -need // rise, x0), x1 + 1)
    return min(max(x0 + need // rise, x0 - 1), x1)


def points_between(contribution: int, weight: int, whole: int) -> tuple[int, int]:
    """Return between what thousandths of points lie that contribute so much: floor(weight * points / whole), or one more.

    The one more is only given where something is left over.
    """
    return (contribution - 1) * whole // weight + 1, -(-(contribution + 1) * whole // weight) - 1
