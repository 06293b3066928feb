"""Where two models of one account disagree most: one sees it low among its bands, the other high, each for a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from schemas.words_en import ENGLISH
from streams.wording import band_text, model_text, number_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.model_file import ModelFile
    from schemas.outputs import AccountView, DimensionScore, ModelScore

GAP_MIN: Final = 0.5
"""Of the way from the lowest band to the highest; what lies closer together is no disagreement."""


class Disagreement(NamedTuple):
    """How far two models are apart on an account, as a share of the way through their bands, and why in words."""

    gap: float
    text: str


class Disagreements:
    """What models of accounts disagree on: at most one disagreement an account, as of its latest view."""

    def __init__(self, models: Sequence[ModelFile]) -> None:
        """Take models with bands; the cells of a grid have no order."""
        self._bands = {model.model: model.band_names for model in models if not model.grid}
        self._known: dict[str, Disagreement] = {}

    def take(self, view: AccountView) -> None:
        """Take the latest view of an account."""
        placed = [(self._place(score), score) for score in view.scores if self._is_placed(score)]
        low, high = (pick(placed, key=lambda one: one[0], default=None) for pick in (min, max))
        self._known.pop(view.account_id, None)
        if low is not None and high is not None and high[0] - low[0] >= GAP_MIN:
            text = f"{view.account_id}: {_why(low[1], high[1])}"
            self._known[view.account_id] = Disagreement(high[0] - low[0], text)

    def drop(self, account: str) -> None:
        """Forget an account that has ended."""
        self._known.pop(account, None)

    def widest(self) -> str | None:
        """Return in words where two models are furthest apart, none if they nowhere are."""
        return max(self._known.values(), key=lambda one: one.gap).text if self._known else None

    def _is_placed(self, score: ModelScore) -> bool:
        return score.score is not None and score.band in self._bands.get(score.model, ())

    def _place(self, score: ModelScore) -> float:
        bands = self._bands[score.model]
        return bands.index(score.band) / (len(bands) - 1)


def _why(low: ModelScore, high: ModelScore) -> str:
    weak = min(_known(low), key=lambda part: part.score or 0)
    strong = max(_known(high), key=lambda part: part.score or 0)
    return f"{_level(low)}, {_level(high)}: {_part(weak)} is low, {_part(strong)} holds"


def _known(score: ModelScore) -> list[DimensionScore]:
    return [part for part in score.dimensions if part.score is not None]


def _level(score: ModelScore) -> str:
    model, band = model_text(score.model, ENGLISH), band_text(score.band, ENGLISH)
    return f"{model} {band} ({number_text(score.score or 0.0, ENGLISH)})"


def _part(part: DimensionScore) -> str:
    return f"{band_text(part.name, ENGLISH)} ({number_text(part.score or 0.0, ENGLISH)})"
