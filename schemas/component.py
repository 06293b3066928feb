"""A component of a model file: a metric, and how it becomes points."""

from __future__ import annotations

import itertools
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator, Field

from schemas.catalogue import (
    FACT_BY_NAME,
    FEATURE_BY_NAME,
    MEASUREMENT_BY_NAME,
    READABLE_FACTS,
    SOURCE_BY_NAME,
    EventKind,
)
from schemas.parts import MistakeAt, Place, Strict, WrongPart

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def _exact(value: float) -> float:
    if Fraction(str(value)) * 1000 % 1:
        raise ValueError(f"{value} has more than three decimals; scores are exact to 0.001, round it")
    return value


def _known_feature(name: str) -> str:
    if name not in FEATURE_BY_NAME:
        raise ValueError(f"unknown feature {name!r}; known: {', '.join(FEATURE_BY_NAME)}")
    return name


POINTS_MAX: Final = 100
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
Weight = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
Exact = AfterValidator(_exact)
Points = Annotated[float, Field(ge=0, le=POINTS_MAX, allow_inf_nan=False), Exact]
Anchor = tuple[Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)], Points]
WINDOW_DAYS_MAX = 182


class Metric(Strict):
    """What a component measures: a feature of the catalogue, and its arguments."""

    feature: Annotated[str, AfterValidator(_known_feature)]
    source: str | None = None
    window_days: Annotated[int, Field(ge=7, le=WINDOW_DAYS_MAX, multiple_of=7, strict=True)] | None = None
    lag_days: Annotated[int, Field(ge=7, le=WINDOW_DAYS_MAX, multiple_of=7, strict=True)] | None = None
    of_days: Annotated[int, Field(ge=7, le=WINDOW_DAYS_MAX, multiple_of=7, strict=True)] | None = None
    half_life_days: Annotated[int, Field(ge=1, le=WINDOW_DAYS_MAX, strict=True)] | None = None

    def checks(self) -> Iterable[Iterator[MistakeAt]]:
        """Return the checks of the arguments that the feature needs."""
        return self._arguments(), self._source(), self._nested()

    def _arguments(self) -> Iterator[MistakeAt]:
        needs = FEATURE_BY_NAME[self.feature].needs
        for argument in ("source", "window_days", "lag_days", "of_days", "half_life_days"):
            given = getattr(self, argument) is not None
            if given and argument not in needs:
                yield MistakeAt(f"feature {self.feature!r} takes no {argument}", argument)
            elif argument in needs and not given:
                yield MistakeAt(f"feature {self.feature!r} needs {argument}")

    def _source(self) -> Iterator[MistakeAt]:
        known = known_sources(self.feature)
        takes_one = self.source is not None and "source" in FEATURE_BY_NAME[self.feature].needs
        if takes_one and self.source not in known:
            yield MistakeAt(f"unknown source {self.source!r}; known: {', '.join(known)}", "source")

    def _nested(self) -> Iterator[MistakeAt]:
        takes_both = {"of_days", "window_days"} <= set(FEATURE_BY_NAME[self.feature].needs)
        if not takes_both or self.of_days is None or self.window_days is None:
            return
        if self.of_days <= self.window_days:
            told = f"of_days {self.of_days} must be longer than window_days {self.window_days}"
            yield MistakeAt(told, "of_days")


def known_sources(feature: str) -> tuple[str, ...]:
    """Return what a metric of a feature may name as its source."""
    if feature == "fact":
        return READABLE_FACTS
    if feature == "mean":
        return tuple(MEASUREMENT_BY_NAME)
    if feature == "sum":
        paid = {EventKind.PAYMENT_SUCCEEDED, EventKind.PAYMENT_FAILED}
        return tuple(name for name, source in SOURCE_BY_NAME.items() if paid & set(source.kinds))
    return tuple(SOURCE_BY_NAME)


class Component(Strict):
    """A metric, its weight, and how it becomes points: exactly one of ramp, steps and table."""

    name: Name
    weight: Weight
    metric: Metric
    ramp: Annotated[list[Anchor], Field(min_length=2, max_length=32)] | None = None
    steps: Annotated[list[Anchor], Field(min_length=1, max_length=32)] | None = None
    table: Annotated[dict[str, Points], Field(min_length=1)] | None = None

    @property
    def curves(self) -> dict[str, list[Anchor] | dict[str, float]]:
        """The curves that are given, by kind."""
        kinds = {"ramp": self.ramp, "steps": self.steps, "table": self.table}
        return {kind: curve for kind, curve in kinds.items() if curve is not None}

    @property
    def anchors(self) -> Iterator[tuple[Place, Anchor]]:
        """The anchors of ramp and steps, each with its place."""
        for kind, curve in (("ramp", self.ramp), ("steps", self.steps)):
            with suppress(WrongPart):
                for i, anchor in enumerate(curve or []):
                    yield (kind, i), anchor

    @property
    def points(self) -> Iterator[tuple[Place, float]]:
        """The points of all curves, each with its place."""
        for place, anchor in self.anchors:
            with suppress(WrongPart):
                yield place, anchor[1]
        with suppress(WrongPart):
            yield from ((("table", key), points) for key, points in (self.table or {}).items())

    def checks(self) -> Iterable[Iterator[MistakeAt]]:
        """Return the checks of the curve: that it is one, that it rises in x, that it goes with the metric."""
        return self._one_curve(), self._rising(), self._as_fine_as_measured(), self._of_its_kind()

    def _one_curve(self) -> Iterator[MistakeAt]:
        if len(self.curves) != 1:
            yield MistakeAt("give exactly one of ramp, steps and table")

    def _rising(self) -> Iterator[MistakeAt]:
        for (_, before), (place, anchor) in itertools.pairwise(self.anchors):
            with suppress(WrongPart):
                if place[1] != 0 and anchor[0] <= before[0]:
                    yield MistakeAt(
                        f"the x of ramp and steps must rise strictly; {anchor[0]:g} follows on {before[0]:g}",
                        *place,
                    )

    def _as_fine_as_measured(self) -> Iterator[MistakeAt]:
        feature = FEATURE_BY_NAME[self.metric.feature]
        for place, anchor in self.anchors:
            with suppress(WrongPart):
                if Fraction(str(anchor[0])) * feature.scale % 1:
                    yield MistakeAt(
                        f"x {anchor[0]} is finer than feature {feature.name!r} is measured; "
                        f"write multiples of {1 / feature.scale:g}",
                        *place,
                    )

    def _of_its_kind(self) -> Iterator[MistakeAt]:
        if len(self.curves) != 1 or (
            self.metric.source and self.metric.source not in known_sources(self.metric.feature)
        ):
            return
        fact = FACT_BY_NAME.get(self.metric.source or "") if self.metric.feature == "fact" else None
        categories = fact.values if fact else ()
        if bool(categories) != (self.table is not None):
            yield MistakeAt(
                "a table goes with a categorical fact, ramp and steps with a number", *self.curves
            )
        elif self.table is not None:
            for key in self.table:
                with suppress(WrongPart):
                    if key not in categories:
                        yield MistakeAt(
                            f"unknown category {key!r}; known: {', '.join(categories)}", "table", key
                        )
