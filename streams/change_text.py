"""The sentence of a score change: scores, bands, and what moved it most, in words.

Most of it is put together once for each model: a change costs little, and there are many.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final

from schemas.reasons import INSUFFICIENT_EVIDENCE, NOT_APPLICABLE
from streams.layout import NONE
from streams.wording import band_text, many, model_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.component import Metric
    from schemas.model_file import ModelFile
    from schemas.words import Words

PARTS_TOLD: Final = 3
TOLD: Final = 50
"""Thousandths from which a number does not read as 0."""


def metric_text(metric: Metric, words: Words) -> str:
    """Return what a metric measures, as in ``activity in 28 days against the 28 days before``."""
    given = {
        name: many(days, words.days, words)
        for name, days in (
            ("window", metric.window_days),
            ("lag", metric.lag_days),
            ("of", metric.of_days),
            ("half_life", metric.half_life_days),
        )
        if days is not None
    }
    return words.features[metric.feature].format(source=source_text(metric, words), **given)


def source_text(metric: Metric, words: Words) -> str:
    """Return the source, measurement or fact of a metric in words; empty if it has none."""
    names = {"fact": words.facts, "mean": words.measurements}.get(metric.feature, words.sources)
    return "" if metric.source is None else names[metric.source]


class ChangeText:
    """How the score changes of one model are told in one language."""

    def __init__(self, model: ModelFile, words: Words) -> None:
        """Put together what all changes of a model share; the last of its parts is manual judgement."""
        self._mark, self._no_score = words.decimal_mark, words.no_score
        self._model = model_text(model.model, words)
        parts = [*(metric_text(part.metric, words) for part in model.components), words.judgement]
        self._part = lru_cache(maxsize=4096)(partial(part_text, parts, words.decimal_mark))
        self._more = [
            words.more.format(n=n - PARTS_TOLD) if n > PARTS_TOLD else "" for n in range(len(parts) + 1)
        ]
        names = (*model.band_names, INSUFFICIENT_EVIDENCE, NOT_APPLICABLE)
        self._bands, self._words = {name: band_text(name, words) for name in names}, words

    def summary(self, old: int, new: int, old_band: str, new_band: str, deltas: Sequence[int]) -> str:
        """Return the sentence of a change.

        Args:
            old: the score before, in thousandths, ``NONE`` for null.
            new: the score now, likewise.
            old_band: name of the band before, perhaps of an earlier version of the model.
            new_band: name of the band now.
            deltas: what the score moved by each component, in the order of the model file, then by manual judgement (may be
                left out); in thousandths.
        """
        mark, bands = self._mark, self._bands
        was = bands.get(old_band) or band_text(old_band, self._words)
        before = self._no_score if old == NONE else tenths_text((old + 50) // 100, mark)
        now = self._no_score if new == NONE else tenths_text((new + 50) // 100, mark)
        head = f"{self._model} {before} -> {now} ({was} -> {bands[new_band]})"
        moved = []
        for place, delta in enumerate(deltas):
            if delta >= TOLD:
                moved.append((-delta, place, (delta + 50) // 100))
            elif delta <= -TOLD:
                moved.append((delta, place, -((50 - delta) // 100)))
        if new == NONE or not moved:
            return f"{head}."
        moved.sort()
        part = self._part
        told = ", ".join([part(place, tenths) for _, place, tenths in moved[:PARTS_TOLD]])
        return f"{head}: {told}{self._more[len(moved)]}."


@lru_cache(maxsize=4096)
def tenths_text(tenths: int, mark: str) -> str:
    """Return a number of tenths >= 0 with at most one decimal: ``62.3``, ``54``."""
    whole, tenth = divmod(tenths, 10)
    return f"{whole}{mark}{tenth}" if tenth else str(whole)


def part_text(parts: Sequence[str], mark: str, place: int, tenths: int) -> str:
    """Return the part at a place with what the score moved by it, in tenths: ``NPS (-6.2)``."""
    return f"{parts[place]} ({'+' if tenths > 0 else '-'}{tenths_text(abs(tenths), mark)})"
