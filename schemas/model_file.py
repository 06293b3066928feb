"""The declarative model file: dimensions -> components -> one metric each, bands, hysteresis."""

from __future__ import annotations

import itertools
from contextlib import suppress
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field

from schemas.component import POINTS_MAX, Component, Exact, Name, Weight
from schemas.parts import MistakeAt, Place, Strict, WrongPart

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

COMPONENTS_MAX = 64
WEIGHTS_MAX: Final = 4 * 10**13
"""Of weights that are multiplied by those of other dimensions: twice their sum times all points fits into 64 bits."""


class Dimension(Strict):
    """A named group of components; its weight is the sum of theirs."""

    name: Name
    weight: Weight
    components: Annotated[list[Component], Field(min_length=1)]

    def checks(self) -> Iterable[Iterator[MistakeAt]]:
        """Return the check that the components' weights add up."""
        return (self._weights_add_up(),)

    def _weights_add_up(self) -> Iterator[MistakeAt]:
        found = sum(component.weight for component in self.components)
        if found != self.weight:
            yield MistakeAt(
                f"the components' weights add up to {found}, the dimension says {self.weight}", "weight"
            )


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
Named = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=200)]], Field(min_length=1, max_length=100)
]
AgeDays = Annotated[int, Field(ge=1, le=36_500, strict=True)]
End = Annotated[int, Field(ge=0, le=POINTS_MAX, strict=True)]


class Age(Strict):
    """From which to which day of an account's age, both included; its first day is 1."""

    from_days: AgeDays | None = None
    to_days: AgeDays | None = None

    def checks(self) -> Iterable[Iterator[MistakeAt]]:
        """Return the check of the two ends."""
        return (self._ends(),)

    def _ends(self) -> Iterator[MistakeAt]:
        if self.from_days is None and self.to_days is None:
            yield MistakeAt("give from_days, to_days or both")
        elif self.from_days is not None and self.to_days is not None and self.from_days > self.to_days:
            yield MistakeAt(f"from_days {self.from_days} must not be more than to_days {self.to_days}")


class AppliesTo(Strict):
    """Which accounts a model scores: those of which all holds that is given."""

    kind: Annotated[list[Literal["customer", "trial", "partner", "internal", "closed"]], Field(min_length=1)]
    segment: Named | None = None
    plan: Named | None = None
    age: Age | None = None


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
    def measures(self) -> str:
        """All that decides what the components measure and contribute, as one text."""
        parts = [(part.name, part.model_dump_json(exclude_none=True)) for part in self.components]
        return repr((parts, [(group.name, group.weight) for group in self.dimensions], self.missing))

    @cached_property
    def levels(self) -> list[Sequence[Level]]:
        """The bands, or the levels of both axes."""
        return list(self.grid.values()) if self.grid else [self.bands or []]

    @cached_property
    def band_names(self) -> list[str]:
        """Names of all bands in rising order; of a grid the cells, letter by letter."""
        return ["".join(level.name for level in cell) for cell in itertools.product(*self.levels)]

    def checks(self) -> Iterable[Iterator[MistakeAt]]:
        """Return the checks of the whole: weights, names, scale, bands or grid."""
        return (
            self._weights_add_up(), self._weights_are_exact(), self._not_too_many(), self._component_names(),
            self._dimension_names(), self._scale_rises(), self._counts_from_0(), self._points_on_the_scale(),
            self._bands_or_grid(), *self._level_checks(), self._axes(), self._level_names(),
        )  # fmt: skip

    def _weights_add_up(self) -> Iterator[MistakeAt]:
        found = sum(dimension.weight for dimension in self.dimensions)
        if found == self.denominator:
            return
        with suppress(WrongPart):  # then it is the weight of a dimension that is wrong, and it is told there
            if sum(component.weight for component in self.components) == self.denominator:
                return
        yield MistakeAt(
            f"the weights add up to {found}, the denominator is {self.denominator}", "denominator"
        )

    def _weights_are_exact(self) -> Iterator[MistakeAt]:
        combined = self.denominator * prod(dimension.weight for dimension in self.dimensions)
        if self.missing == "spread_in_dimension" and combined > WEIGHTS_MAX:
            yield MistakeAt(
                f"the denominator times the weights of all dimensions is {combined}; with `missing: "
                f"spread_in_dimension` at most {WEIGHTS_MAX} is exact: give smaller weights",
                "denominator",
            )

    def _not_too_many(self) -> Iterator[MistakeAt]:
        count = sum(1 for _ in self._placed_components())
        if count > COMPONENTS_MAX:
            yield MistakeAt(f"{count} components; at most {COMPONENTS_MAX} are supported", "dimensions")

    def _placed_components(self) -> Iterator[tuple[Place, Component]]:
        for d, dimension in enumerate(self.dimensions):
            with suppress(WrongPart):
                for c, component in enumerate(dimension.components):
                    yield ("dimensions", d, "components", c), component

    def _component_names(self) -> Iterator[MistakeAt]:
        yield from _repeated("components", self._placed_components())

    def _dimension_names(self) -> Iterator[MistakeAt]:
        placed = ((("dimensions", d), dimension) for d, dimension in enumerate(self.dimensions))
        yield from _repeated("dimensions", placed)

    def _rising_scale(self) -> tuple[int, int]:
        low, high = self.scale
        if low >= high:
            raise WrongPart
        return low, high

    def _scale_rises(self) -> Iterator[MistakeAt]:
        low, high = self.scale
        if low >= high:
            yield MistakeAt(f"the scale must rise, from {low} to more than that", "scale")

    def _counts_from_0(self) -> Iterator[MistakeAt]:
        low, _ = self._rising_scale()
        if self.missing == "count" and low != 0:
            yield MistakeAt(f"`missing: count` counts from 0; the scale begins at {low}", "missing")

    def _points_on_the_scale(self) -> Iterator[MistakeAt]:
        low, high = self._rising_scale()
        for where, component in self._placed_components():
            with suppress(WrongPart):
                for place, points in component.points:
                    with suppress(WrongPart):
                        if not low <= points <= high:
                            told = f"{points:g} points are not on the model's scale, {low}..{high}"
                            yield MistakeAt(told, *where, *place)

    def _bands_or_grid(self) -> Iterator[MistakeAt]:
        if (self.bands is None) == (self.grid is None):
            yield MistakeAt("give exactly one of bands and grid")

    def _level_checks(self) -> Iterator[Iterator[MistakeAt]]:
        with suppress(WrongPart):
            axes: dict[Place, Sequence[Level]] = {
                ("grid", axis): levels for axis, levels in (self.grid or {}).items()
            }
            for where, levels in axes.items() if self.bands is None else [(("bands",), self.bands)]:
                yield self._first_level(where, levels)
                yield self._rising_levels(where, levels)
                yield _repeated("bands", (((*where, i), level) for i, level in enumerate(levels)))

    def _first_level(self, where: Place, levels: Sequence[Level]) -> Iterator[MistakeAt]:
        low, _ = self._rising_scale()
        if not _is_falling(levels) and (levels[0].start != low or levels[0].closed != "left"):
            yield MistakeAt(f"the first band must start at {low} and be closed: left", *where, 0)

    def _rising_levels(self, where: Place, levels: Sequence[Level]) -> Iterator[MistakeAt]:
        if _is_falling(levels):
            yield MistakeAt("bands must be in rising order of `from`; these fall, turn them round", *where)
            return
        for number, (lower, upper) in enumerate(itertools.pairwise(levels), 1):
            with suppress(WrongPart):
                if lower.start >= upper.start:
                    yield MistakeAt(
                        f"bands must be in rising order of `from`: {upper.name!r} starts at {upper.start:g}, "
                        f"{lower.name!r} before it at {lower.start:g}",
                        *where, number,
                    )  # fmt: skip
        low, high = self._rising_scale()
        for number, level in enumerate(levels):
            with suppress(WrongPart):
                if level.start > high:
                    yield MistakeAt(
                        f"{level.start:g} is not on the model's scale, {low}..{high}", *where, number
                    )

    def _axes(self) -> Iterator[MistakeAt]:
        names = [dimension.name for dimension in self.dimensions]
        if self.grid is not None and list(self.grid) != names:
            yield MistakeAt(
                f"the axes of a grid are the model's two dimensions in their order, {', '.join(names)}; "
                f"found {', '.join(self.grid)}",
                "grid",
            )

    def _level_names(self) -> Iterator[MistakeAt]:
        names = [dimension.name for dimension in self.dimensions]
        for place, (axis, levels) in enumerate((self.grid or {}).items()):
            # Two if axes are exchanged, which is told.
            places = {place, names.index(axis) if axis in names else place}
            named = "digits 1..9" if place else "letters A..Z"
            for i, level in enumerate(levels):
                with suppress(WrongPart):
                    if int(level.name.isdigit()) not in places:
                        yield MistakeAt(
                            f"the levels of this axis are named by {named}", "grid", axis, i, "name"
                        )


def _is_falling(levels: Sequence[Level]) -> bool:
    return all(upper.start < lower.start for lower, upper in itertools.pairwise(levels))


def _repeated(what: str, named: Iterable[tuple[Place, Component | Dimension | Level]]) -> Iterator[MistakeAt]:
    """Yield a mistake for each name that stood before."""
    seen = set[str]()
    for place, part in named:
        with suppress(WrongPart):
            name = part.name
            if name in seen:
                yield MistakeAt(f"two {what} have the name {name!r}; give each its own", *place, "name")
            seen.add(name)
