"""The sentence of a score change: scores, bands, and what moved it most, in words.

Most of it is put together once for each model, the rest is remembered: a change costs little, and there are many.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Final

from schemas.reasons import INSUFFICIENT_EVIDENCE, NOT_APPLICABLE
from streams.layout import NONE
from streams.measured import Before, Measured
from streams.wording import band_text, model_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.model_file import ModelFile
    from schemas.words import Words

PARTS_TOLD: Final = 3
TOLD: Final = 50
"""Thousandths from which a number does not read as 0."""
REMEMBERED: Final = 1 << 15
"""Of each component: values in words, and what followed from a contribution. Of most there are fewer in all."""


class ChangeText:
    """How the score changes of one model are told in one language."""

    def __init__(self, model: ModelFile, words: Words) -> None:
        """Put together what all changes of a model share; the last of its parts is manual judgement."""
        self._mark, self._no_score, self._judgement = words.decimal_mark, words.no_score, words.judgement
        self._model = model_text(model.model, words)
        measured = [Measured(part, words) for part in model.components]
        self._heads = [each.head for each in measured]
        self._tails = [each.tail for each in measured]
        self._now = [lru_cache(maxsize=REMEMBERED)(each.value) for each in measured]
        self._before = [lru_cache(maxsize=REMEMBERED)(each.before) for each in measured]
        self._all_weights = _weights(model, (True,) * len(measured))
        self._weights = lru_cache(maxsize=REMEMBERED)(lambda present: _weights(model, present))
        counts = range(len(measured) + 2)
        self._more = [words.more.format(n=n - PARTS_TOLD) if n > PARTS_TOLD else "" for n in counts]
        names = (*model.band_names, INSUFFICIENT_EVIDENCE, NOT_APPLICABLE)
        self._bands, self._words = {name: band_text(name, words) for name in names}, words

    def summary(
        self,
        old: int,
        new: int,
        old_band: str,
        new_band: str,
        deltas: Sequence[int],
        contributions: Sequence[int] | None,
        metrics: Sequence[int],
    ) -> str:
        """Return the sentence of a change.

        Args:
            old: the score before, in thousandths, ``NONE`` for null.
            new: the score now, likewise.
            old_band: name of the band before, perhaps of an earlier version of the model.
            new_band: name of the band now.
            deltas: what the score moved by each component, in the order of the model file, then by manual judgement (may be
                left out); in thousandths.
            contributions: those last sent, ``NONE`` for a component that was missing; None if the model's file was another one.
            metrics: what the components measure now, in the kernel's units, ``NO_VALUE`` for nothing.
        """
        mark, bands = self._mark, self._bands
        was = bands.get(old_band) or band_text(old_band, self._words)
        before = self._no_score if old == NONE else tenths_text((old + 50) // 100, mark)
        now = self._no_score if new == NONE else tenths_text((new + 50) // 100, mark)
        head = f"{self._model} {before} -> {now} ({was} -> {bands[new_band]})"
        moved = _moved(deltas)
        if new == NONE or not moved:
            return f"{head}."
        weights, whole = self._all_weights
        if contributions is None:
            whole = 0
        elif NONE in contributions:
            weights, whole = self._weights(tuple([part != NONE for part in contributions]))
        told = []
        for _, place, tenths in moved[:PARTS_TOLD]:
            part = self._judgement
            if place < len(metrics):
                then = self._before[place](contributions[place], weights[place], whole) if whole else None  # type: ignore[index]
                part = self._part(place, then, metrics[place])
            told.append(f"{part} ({signed_text(tenths, mark)})")
        return f"{head}: {', '.join(told)}{self._more[len(moved)]}."

    def _part(self, place: int, then: Before | None, metric: int) -> str:
        """Return what a component measures now and, if that is known to be another value, measured then."""
        now = self._now[place](metric)
        if then is None or then.now == now or then.least <= metric <= then.most:
            return f"{self._heads[place]} {now}{self._tails[place]}"
        return f"{self._heads[place]} {then.text} -> {now}{self._tails[place]}"


def _moved(deltas: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return what moved a score, the most first: the size of a move as a negative number, its place, its tenths."""
    moved = []
    for place, delta in enumerate(deltas):
        if delta >= TOLD:
            moved.append((-delta, place, (delta + 50) // 100))
        elif delta <= -TOLD:
            moved.append((delta, place, -((50 - delta) // 100)))
    moved.sort()
    return moved


def _weights(model: ModelFile, present: tuple[bool, ...]) -> tuple[list[int], int]:
    """Return what each component weighs in the score if these are present, and by what the sum is divided; 0 if none is."""
    weights = [part.weight for part in model.components]
    if model.missing == "count":
        return weights, model.denominator if any(present) else 0
    if model.missing == "spread_in_dimension":
        shown = iter(present)
        known = [sum(part.weight for part in group.components if next(shown)) for group in model.dimensions]
        weights = [
            part.weight * group.weight * prod(w for other, w in enumerate(known) if w and other != number)
            for number, group in enumerate(model.dimensions)
            for part in group.components
        ]
    return weights, sum(weight for weight, there in zip(weights, present, strict=True) if there)


@lru_cache(maxsize=4096)
def tenths_text(tenths: int, mark: str) -> str:
    """Return a number of tenths >= 0 with at most one decimal: ``62.3``, ``54``."""
    whole, tenth = divmod(tenths, 10)
    return f"{whole}{mark}{tenth}" if tenth else str(whole)


@lru_cache(maxsize=4096)
def signed_text(tenths: int, mark: str) -> str:
    """Return a number of tenths with its sign: ``-6.2``, ``+54``."""
    return f"{'+' if tenths > 0 else '-'}{tenths_text(abs(tenths), mark)}"
