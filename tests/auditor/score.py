"""The score of one account by one model at one instant, in exact fractions, and the band that it falls in."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import TYPE_CHECKING, NamedTuple

from schemas.reasons import INSUFFICIENT_EVIDENCE, NOT_APPLICABLE
from tests.auditor.exact import half_up
from tests.auditor.facts import thousandths
from tests.auditor.metrics import Moment, measure

if TYPE_CHECKING:
    from tests.auditor.settings import Band, Component, Model


class Scored(NamedTuple):
    """A score in thousandths with its parts; `word` is a fixed word when there is no score, else None.

    Coverage, dimensions and contributions are those of the evidence, the score without overrides. `override` is what
    overrides add to it, None if none is taken into account.
    """

    score: int | None
    word: str | None
    coverage: int
    dimensions: tuple[int | None, ...]
    contributions: tuple[int | None, ...]
    evidence: int | None = None
    override: int | None = None


def unscored(model: Model, word: str, coverage: int) -> Scored:
    """Return the absence of a score."""
    return Scored(None, word, coverage, (None,) * len(model.dimensions), (None,) * len(model.components))


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
    pin = _pinned(model.pin, at)
    pins = [_pinned(name, at) for name in model.component_pins]
    if at.history.kind(at.now_ms) not in model.kinds:
        return unscored(model, NOT_APPLICABLE, 0)
    metrics = [measure(component, at) for component in model.components]
    earned = [
        None if metric is None else points(component, metric)
        for component, metric in zip(model.components, metrics, strict=True)
    ]
    found = _evidence(model, _weighed(model, earned))
    if pin is not None:
        return _overridden(found, pin)
    if found.evidence is not None and any(value is not None for value in pins):
        with_pins = [own if value is None else value for own, value in zip(earned, pins, strict=True)]
        return _overridden(found, half_up(_mean(_weighed(model, with_pins))))
    return found


def _pinned(name: str, at: Moment) -> int | None:
    """Return the thousandths at which an override holds a score or a component's points, None if there is none."""
    value = at.history.readable_fact(name, at.now_ms)
    return None if value is None else thousandths(value)


def _overridden(found: Scored, score: int) -> Scored:
    return found._replace(score=score, word=None, override=score - (found.evidence or 0))


def _evidence(model: Model, weighed: Weighed) -> Scored:
    """Return the score without overrides."""
    weight = sum(pair[0] for pair in weighed if pair)
    coverage = Fraction(1000 * weight, model.denominator)
    if coverage < model.min_coverage or weight == 0:
        return unscored(model, INSUFFICIENT_EVIDENCE, half_up(coverage))
    score = half_up(_mean(weighed))
    parts = _dimensions(model, weighed), _contributions(weighed)
    return Scored(score, None, half_up(coverage), *parts, evidence=score)


Weighed = list[tuple[int, int] | None]


def _weighed(model: Model, earned: list[int | None]) -> Weighed:
    """Return weight and points of each component, None for those that are missing."""
    return [
        None if points is None else (component.weight, points)
        for component, points in zip(model.components, earned, strict=True)
    ]


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
