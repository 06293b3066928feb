"""The declarative model file: dimensions -> components -> one metric each, bands, hysteresis."""

from __future__ import annotations

import itertools
from fractions import Fraction
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from schemas.catalogue import (
    FACT_BY_NAME,
    FEATURE_BY_NAME,
    MEASUREMENT_BY_NAME,
    READABLE_FACTS,
    SOURCE_BY_NAME,
    EventKind,
)
from schemas.yaml_file import MistakeAt

if TYPE_CHECKING:
    from collections.abc import Sequence


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
POINTS_MAX: Final = 100
WEIGHTS_MAX: Final = 4 * 10**13
"""Of weights that are multiplied by those of other dimensions: twice their sum times all points fits into 64 bits."""


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
            raise MistakeAt(
                f"unknown feature {self.feature!r}; known: {', '.join(FEATURE_BY_NAME)}", "feature"
            )
        for argument in ("source", "window_days", "lag_days", "of_days", "half_life_days"):
            given = getattr(self, argument) is not None
            if given != (argument in feature.needs):
                verb = "needs" if argument in feature.needs else "takes no"
                raise ValueError(f"feature {self.feature!r} {verb} {argument}")
        known = known_sources(self.feature)
        if self.source is not None and self.source not in known:
            raise MistakeAt(f"unknown source {self.source!r}; known: {', '.join(known)}", "source")
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
            raise MistakeAt(
                f"unknown category {unknown[0]!r}; known: {', '.join(categories)}", "table", unknown[0]
            )
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
            raise MistakeAt(
                f"the components' weights add up to {found}, the dimension says {self.weight}", "weight"
            )
        return self


class Level(Strict):
    """A level of an axis starts at ``from``; ``closed: left`` includes that score, ``closed: right`` begins just above it."""

    name: Annotated[str, Field(pattern=r"^([A-Z]|[1-9])$")]
    start: Annotated[float, Field(alias="from", ge=0, le=POINTS_MAX, allow_inf_nan=False), Exact]
    closed: Literal["left", "right"]


class Band(Level):
    """A band of scores; ``service`` is what an account of that band is entitled to, shown in its view."""

    name: Name
    service: Annotated[str, Field(min_length=1, max_length=500)] | None = None


Axis = Annotated[list[Level], Field(min_length=2, max_length=9)]
End = Annotated[int, Field(ge=0, le=POINTS_MAX, strict=True)]


class AppliesTo(Strict):
    """Which accounts a model scores."""

    kind: Annotated[list[Literal["customer", "trial", "partner", "internal", "closed"]], Field(min_length=1)]


class ModelFile(Strict):
    """One scoring model."""

    model: Name
    version: Annotated[int, Field(ge=1, strict=True)]
    scale: tuple[End, End]
    denominator: Weight
    min_coverage: Annotated[float, Field(ge=0, le=1), Exact]
    missing: Literal["spread", "count", "spread_in_dimension"]
    applies_to: AppliesTo
    dimensions: Annotated[list[Dimension], Field(min_length=1)]
    bands: Annotated[list[Band], Field(min_length=2, max_length=16)] | None = None
    grid: Annotated[dict[Name, Axis], Field(min_length=2, max_length=2)] | None = None
    hysteresis: Annotated[float, Field(ge=0, le=50), Exact]
    dwell_h: Annotated[int, Field(ge=0, le=8760)]
    min_change: Annotated[float, Field(gt=0, le=100), Exact]

    @cached_property
    def components(self) -> list[Component]:
        """All components, in file order."""
        return [component for dimension in self.dimensions for component in dimension.components]

    @cached_property
    def levels(self) -> list[Sequence[Level]]:
        """The bands, or the levels of both axes."""
        return list(self.grid.values()) if self.grid else [self.bands or []]

    @cached_property
    def band_names(self) -> list[str]:
        """Names of all bands in rising order; of a grid the cells, letter by letter."""
        return ["".join(level.name for level in cell) for cell in itertools.product(*self.levels)]

    @model_validator(mode="after")
    def _weights(self) -> Self:
        found = sum(dimension.weight for dimension in self.dimensions)
        if found != self.denominator:
            raise MistakeAt(
                f"the weights add up to {found}, the denominator is {self.denominator}", "denominator"
            )
        places = [(d, c) for d, group in enumerate(self.dimensions) for c in range(len(group.components))]
        twice = repeated([component.name for component in self.components])
        if twice is not None:
            d, c = places[twice]
            name = self.components[twice].name
            where = ("dimensions", d, "components", c, "name")
            raise MistakeAt(f"two components have the name {name!r}; give each its own", *where)
        twice = repeated([dimension.name for dimension in self.dimensions])
        if twice is not None:
            name = self.dimensions[twice].name
            raise MistakeAt(
                f"two dimensions have the name {name!r}; give each its own", "dimensions", twice, "name"
            )
        if len(self.components) > COMPONENTS_MAX:
            raise MistakeAt(
                f"{len(self.components)} components; at most {COMPONENTS_MAX} are supported", "dimensions"
            )
        combined = self.denominator * prod(dimension.weight for dimension in self.dimensions)
        if self.missing == "spread_in_dimension" and combined > WEIGHTS_MAX:
            raise MistakeAt(
                f"the denominator times the weights of all dimensions is {combined}; with `missing: "
                f"spread_in_dimension` at most {WEIGHTS_MAX} is exact: give smaller weights",
                "denominator",
            )
        return self

    @model_validator(mode="after")
    def _on_the_scale(self) -> Self:
        low, high = self.scale
        if low >= high:
            raise MistakeAt(f"the scale must rise, from {low} to more than that", "scale")
        if self.missing == "count" and low != 0:
            raise MistakeAt(f"`missing: count` counts from 0; the scale begins at {low}", "missing")
        for d, dimension in enumerate(self.dimensions):
            for c, component in enumerate(dimension.components):
                curve, outside = _outside(component, low, high)
                if outside is not None:
                    where = ("dimensions", d, "components", c, curve)
                    raise MistakeAt(f"{outside:g} points are not on the model's scale, {low}..{high}", *where)
        return self

    @model_validator(mode="after")
    def _bands_or_grid(self) -> Self:
        if (self.bands is None) == (self.grid is None):
            raise ValueError("give exactly one of bands and grid")
        for found, where in zip(self.levels, self.grid or ("bands",), strict=True):
            _require_rising(found, self.scale, ("grid", where) if self.grid else (where,))
        if self.grid is None:
            return self
        names = [dimension.name for dimension in self.dimensions]
        if list(self.grid) != names:
            raise MistakeAt(
                f"the axes of a grid are the model's two dimensions in their order, {', '.join(names)}; "
                f"found {', '.join(self.grid)}",
                "grid",
            )
        for (axis, found), kind, named in zip(
            self.grid.items(), (str.isalpha, str.isdigit), ("letters A..Z", "digits 1..9"), strict=True
        ):
            other = next((i for i, level in enumerate(found) if not kind(level.name)), None)
            if other is not None:
                raise MistakeAt(f"the levels of this axis are named by {named}", "grid", axis, other, "name")
        return self


def repeated(names: Sequence[str]) -> int | None:
    """Return the number of the first name that stood before."""
    first: dict[str, int] = {}
    return next((i for i, name in enumerate(names) if first.setdefault(name, i) != i), None)


def _outside(component: Component, low: int, high: int) -> tuple[str, float | None]:
    """Return the kind of a component's curve, and points of it that are not on the scale."""
    if component.table is not None:
        kind, points = "table", list(component.table.values())
    else:
        kind = "ramp" if component.ramp else "steps"
        points = [y for _, y in component.ramp or component.steps or []]
    return kind, next((y for y in points if not low <= y <= high), None)


def _require_rising(levels: Sequence[Level], scale: tuple[int, int], where: tuple[str, ...]) -> None:
    low, high = scale
    if levels[0].start != low or levels[0].closed != "left":
        raise MistakeAt(f"the first band must start at {low} and be closed: left", *where, 0)
    for number, (lower, upper) in enumerate(itertools.pairwise(levels), 1):
        if lower.start >= upper.start:
            raise MistakeAt(
                f"bands must be in rising order of `from`: {upper.name!r} starts at {upper.start:g}, "
                f"{lower.name!r} before it at {lower.start:g}",
                *where, number,
            )  # fmt: skip
        if upper.start > high:
            raise MistakeAt(f"{upper.start:g} is not on the model's scale, {low}..{high}", *where, number)
    names = [level.name for level in levels]
    twice = repeated(names)
    if twice is not None:
        raise MistakeAt(f"two bands have the name {names[twice]!r}; give each its own", *where, twice)
