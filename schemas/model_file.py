"""The declarative model file: dimensions -> components -> one metric each, bands, hysteresis."""

from __future__ import annotations

import itertools
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from schemas.catalogue import (
    FACT_BY_NAME,
    FEATURE_BY_NAME,
    MEASUREMENT_BY_NAME,
    READABLE_FACTS,
    SOURCE_BY_NAME,
    EventKind,
)


def _exact(value: float) -> float:
    if Fraction(str(value)) * 1000 % 1:
        raise ValueError(f"{value} has more than three decimals; scores are exact to 0.001, round it")
    return value


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
Weight = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
Exact = AfterValidator(_exact)
Points = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False), Exact]
Anchor = tuple[Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)], Points]
WINDOW_DAYS_MAX = 182
COMPONENTS_MAX = 64


class Strict(BaseModel):
    """Base of everything read from a file: unknown keys are mistakes, instances are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Metric(Strict):
    """What a component measures: a feature of the catalogue, and its arguments."""

    feature: str
    source: str | None = None
    window_days: Annotated[int, Field(ge=7, le=WINDOW_DAYS_MAX, multiple_of=7, strict=True)] | None = None
    lag_days: Annotated[int, Field(ge=7, le=WINDOW_DAYS_MAX, multiple_of=7, strict=True)] | None = None
    of_days: Annotated[int, Field(ge=7, le=WINDOW_DAYS_MAX, multiple_of=7, strict=True)] | None = None
    half_life_days: Annotated[int, Field(ge=1, le=WINDOW_DAYS_MAX, strict=True)] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        feature = FEATURE_BY_NAME.get(self.feature)
        if feature is None:
            raise ValueError(f"unknown feature {self.feature!r}; known: {', '.join(FEATURE_BY_NAME)}")
        for argument in ("source", "window_days", "lag_days", "of_days", "half_life_days"):
            given = getattr(self, argument) is not None
            if given != (argument in feature.needs):
                verb = "needs" if argument in feature.needs else "takes no"
                raise ValueError(f"feature {self.feature!r} {verb} {argument}")
        known = known_sources(self.feature)
        if self.source is not None and self.source not in known:
            raise ValueError(f"unknown source {self.source!r}; known: {', '.join(known)}")
        if self.of_days is not None and self.window_days is not None and self.of_days <= self.window_days:
            raise ValueError(f"of_days {self.of_days} must be longer than window_days {self.window_days}")
        return self


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

    @model_validator(mode="after")
    def _one_curve(self) -> Self:
        if sum(curve is not None for curve in (self.ramp, self.steps, self.table)) != 1:
            raise ValueError("give exactly one of ramp, steps and table")
        anchors = self.ramp or self.steps or []
        if any(a[0] >= b[0] for a, b in itertools.pairwise(anchors)):
            raise ValueError("the x of ramp and steps must rise strictly")
        feature = FEATURE_BY_NAME[self.metric.feature]
        finer = [x for x, _ in anchors if Fraction(str(x)) * feature.scale % 1]
        if finer:
            raise ValueError(
                f"x {finer[0]} is finer than feature {feature.name!r} is measured; "
                f"write multiples of {1 / feature.scale:g}"
            )
        fact = FACT_BY_NAME.get(self.metric.source or "") if self.metric.feature == "fact" else None
        categories = fact.values if fact else ()
        if bool(categories) != (self.table is not None):
            raise ValueError("a table goes with a categorical fact, ramp and steps with a number")
        unknown = [key for key in self.table or {} if key not in categories]
        if unknown:
            raise ValueError(f"unknown category {unknown[0]!r}; known: {', '.join(categories)}")
        return self


class Dimension(Strict):
    """A named group of components; its weight is the sum of theirs."""

    name: Name
    weight: Weight
    components: Annotated[list[Component], Field(min_length=1)]

    @model_validator(mode="after")
    def _weights_add_up(self) -> Self:
        found = sum(component.weight for component in self.components)
        if found != self.weight:
            raise ValueError(f"the components' weights add up to {found}, the dimension says {self.weight}")
        return self


class Band(Strict):
    """A band starts at ``from``; ``closed: left`` includes that score, ``closed: right`` begins just above it."""

    name: Name
    start: Annotated[float, Field(alias="from", ge=0, le=100, allow_inf_nan=False), Exact]
    closed: Literal["left", "right"]


class AppliesTo(Strict):
    """Which accounts a model scores."""

    kind: Annotated[list[Literal["customer", "trial", "partner", "internal", "closed"]], Field(min_length=1)]


class ModelFile(Strict):
    """One scoring model."""

    model: Name
    version: Annotated[int, Field(ge=1, strict=True)]
    scale: tuple[Literal[0], Literal[100]]
    denominator: Weight
    min_coverage: Annotated[float, Field(ge=0, le=1), Exact]
    missing: Literal["spread"]
    applies_to: AppliesTo
    dimensions: Annotated[list[Dimension], Field(min_length=1)]
    bands: Annotated[list[Band], Field(min_length=2, max_length=16)]
    hysteresis: Annotated[float, Field(ge=0, le=50), Exact]
    dwell_h: Annotated[int, Field(ge=0, le=8760)]
    min_change: Annotated[float, Field(gt=0, le=100), Exact]

    @cached_property
    def components(self) -> list[Component]:
        """All components, in file order."""
        return [component for dimension in self.dimensions for component in dimension.components]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        found = sum(dimension.weight for dimension in self.dimensions)
        if found != self.denominator:
            raise ValueError(f"the weights add up to {found}, the denominator is {self.denominator}")
        names = [component.name for component in self.components]
        if len(set(names)) != len(names):
            raise ValueError("two components have the same name")
        if len(names) > COMPONENTS_MAX:
            raise ValueError(f"{len(names)} components; at most {COMPONENTS_MAX} are supported")
        starts = [band.start for band in self.bands]
        if starts[0] != 0 or self.bands[0].closed != "left":
            raise ValueError("the first band must start at 0 and be closed: left")
        if any(a >= b for a, b in itertools.pairwise(starts)):
            raise ValueError("bands must be in rising order of `from`")
        return self
