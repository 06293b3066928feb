"""The score of one account by one model at one instant, in exact fractions, and the band that it falls in."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import TYPE_CHECKING, NamedTuple

from schemas.catalogue import SOURCE_BY_NAME, Signal
from schemas.reasons import INSUFFICIENT_EVIDENCE, NOT_APPLICABLE
from tests.auditor.exact import half_up
from tests.auditor.history import is_readable

if TYPE_CHECKING:
    from tests.auditor.history import History
    from tests.auditor.settings import Band, Component, Model

RATIO_MAX = 1_000_000


class Moment(NamedTuple):
    """An account at an instant."""

    history: History
    now_ms: int
    day: int

    @property
    def age_days(self) -> int:
        assert self.history.first_day is not None
        return self.day - self.history.first_day + 1


class Scored(NamedTuple):
    """A score in thousandths with its parts; `band` is a fixed word when there is no score, else None."""

    score: int | None
    word: str | None
    coverage: int
    dimensions: tuple[int | None, ...]
    contributions: tuple[int | None, ...]


def unscored(model: Model, word: str, coverage: int) -> Scored:
    """Return the absence of a score."""
    return Scored(None, word, coverage, (None,) * len(model.dimensions), (None,) * len(model.components))


def measure(component: Component, at: Moment) -> int | str | None:
    """Return a component's metric in its integer units, a category, or None if it is missing."""
    match component.feature:
        case "count":
            return _count(component, at)
        case "active_days":
            return _active_days(component, at)
        case "ratio":
            return _ratio(component, at)
        case "since_last":
            last_day = at.history.last_day.get(component.source or "")
            return None if last_day is None else at.day - last_day
        case "rhythm":
            return _silence_in_gaps(at)
        case "fact":
            return _fact(component, at)
    raise AssertionError(component.feature)


def _count(component: Component, at: Moment) -> int | None:
    source = component.source or ""
    if SOURCE_BY_NAME[source].signal is Signal.VOLUME and at.age_days < component.window:
        return None
    return at.history.total(source, at.day - component.window + 1, at.day)


def _active_days(component: Component, at: Moment) -> int | None:
    if at.age_days < component.window:
        return None
    days = range(at.day - component.window + 1, at.day + 1)
    return sum(at.history.on_day(component.source or "", day) > 0 for day in days)


def _ratio(component: Component, at: Moment) -> int | None:
    source, window, lag = component.source or "", component.window, component.lag
    if at.age_days < window + lag or source not in at.history.last_day:
        return None
    now = at.history.total(source, at.day - window + 1, at.day)
    then = at.history.total(source, at.day - window - lag + 1, at.day - window)
    if then == 0:
        return RATIO_MAX if now > 0 else 0
    return min(half_up(Fraction(1000 * now * lag, then * window)), RATIO_MAX)


def _silence_in_gaps(at: Moment) -> int | None:
    if not at.history.active:
        return None
    silent_days = at.day - at.history.last_active_day
    return min(floor(1000 * silent_days / at.history.usual_gap_days() + 0.5), RATIO_MAX)


def _fact(component: Component, at: Moment) -> int | str | None:
    value = at.history.fact(component.source or "", at.now_ms)
    if not is_readable(component.source or "", value):
        return None
    if component.curve == "table":
        return str(value) if value in component.table else None
    return half_up(Fraction(value) * 1000)


def points(component: Component, metric: int | str) -> int:
    """Return the points of a metric in thousandths."""
    if isinstance(metric, str):
        return component.table[metric]
    if component.curve == "steps":
        reached = [y for x, y in component.anchors if x <= metric]
        return reached[-1] if reached else component.anchors[0][1]
    return _on_ramp(component.anchors, metric)


def _on_ramp(anchors: tuple[tuple[int, int], ...], metric: int) -> int:
    if metric <= anchors[0][0]:
        return anchors[0][1]
    for (x0, y0), (x1, y1) in pairwise(anchors):
        if x0 <= metric <= x1:
            return y0 + half_up(Fraction((y1 - y0) * (metric - x0), x1 - x0))
    return anchors[-1][1]


def judge(model: Model, at: Moment) -> Scored:
    """Return the score of an account at an instant."""
    if at.history.kind(at.now_ms) not in model.kinds:
        return unscored(model, NOT_APPLICABLE, 0)
    metrics = [measure(component, at) for component in model.components]
    weighed = [
        None if metric is None else (component.weight, points(component, metric))
        for component, metric in zip(model.components, metrics, strict=True)
    ]
    weight = sum(pair[0] for pair in weighed if pair)
    coverage = Fraction(1000 * weight, model.denominator)
    if coverage < model.min_coverage or weight == 0:
        return unscored(model, INSUFFICIENT_EVIDENCE, half_up(coverage))
    return Scored(
        half_up(_mean(weighed)), None, half_up(coverage), _dimensions(model, weighed), _contributions(weighed)
    )


Weighed = list[tuple[int, int] | None]


def _mean(weighed: Weighed) -> Fraction:
    present = [pair for pair in weighed if pair]
    return Fraction(sum(w * p for w, p in present), sum(w for w, _ in present))


def _dimensions(model: Model, weighed: Weighed) -> tuple[int | None, ...]:
    found: list[int | None] = []
    start = 0
    for _, components in model.dimensions:
        own = weighed[start : start + len(components)]
        found.append(half_up(_mean(own)) if any(own) else None)
        start += len(components)
    return tuple(found)


def _contributions(weighed: Weighed) -> tuple[int | None, ...]:
    """Share the score out: whole thousandths first, then one each to the largest remainders."""
    weight = sum(pair[0] for pair in weighed if pair)
    exact = [None if pair is None else Fraction(pair[0] * pair[1], weight) for pair in weighed]
    shares = [None if part is None else floor(part) for part in exact]
    left = half_up(_mean(weighed)) - sum(share for share in shares if share is not None)
    by_remainder = sorted((floor(part) - part, i) for i, part in enumerate(exact) if part is not None)
    for _, i in by_remainder[:left]:
        share = shares[i]
        assert share is not None
        shares[i] = share + 1
    return tuple(shares)


def plain_band(bands: tuple[Band, ...], score: int) -> int:
    """Return the index of the band that a score is in by the plain cuts."""
    return max(i for i, band in enumerate(bands) if i == 0 or _above(band, score, 0))


def _above(band: Band, score: int, shift: int) -> bool:
    """Tell whether a score is on the upper side of a band's cut, moved by a shift."""
    cut = band.cut + shift
    return score >= cut if band.closed == "left" else score > cut


def next_band(model: Model, present: int, score: int, now_ms: int, fell_at_ms: int | None) -> int:
    """Return the index of the band of an account that has one already: margin both ways, dwell on the way up."""
    plain = plain_band(model.bands, score)
    if plain < present:
        return present if _above(model.bands[present], score, -model.margin) else plain
    if plain > present:
        is_past = _above(model.bands[present + 1], score, model.margin)
        is_free = fell_at_ms is None or now_ms >= fell_at_ms + model.dwell_ms
        return plain if is_past and is_free else present
    return present
