"""Score changes as JSON: that of each model is encoded once with blanks, and each change fills them.

Nine in ten of the messages are score changes, and most of one are names that never change.
"""

from __future__ import annotations

import re
from copy import copy
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from schemas.outputs import Cause, Contribution, DimensionChange, Level, ScoreChange
from streams import effects as fx
from streams.change_numbers import (
    JUDGED,
    JUDGED_MOVE,
    MOVE,
    NAME,
    NOTHING,
    POINTS,
    UNLESS_JUDGED,
    ChangeNumbers,
    Segment,
)
from streams.change_text import ChangeText
from streams.layout import NO_OVERRIDE
from streams.levels import FIRST_BAND, OVERRIDE, band_name, grid_cell

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from schemas.model_file import ModelFile
    from schemas.words import Words

_TEXT: Final = b"%b"
"""Stands for a text that a change fills in; names of models and their parts have no percent sign."""
_BLANK: Final[Any] = msgspec.Raw(_TEXT)
_PLAIN: Final[Any] = msgspec.Raw(b'"%b"')
"""The same of a text that needs no escapes: an id or an instant."""
_NUMBER: Final = re.compile(rb"%(\d+) (\d+)%")
"""What ``_number`` leaves."""
WAS, NOW, CELL = range(NAME, NAME + 3)
"""Names: the band before, the band now, and the cell of the grid."""


def _number(blank: int, column: int) -> Any:
    """Stand for what is filled in of a cell of the notebook's line."""
    return msgspec.Raw(b"%%%d %d%%" % (blank, column))


def _level(score: int, blank: int, band: int, coverage: int) -> Level:
    return Level(score=_number(POINTS, score), band=_number(blank, band), coverage=_number(POINTS, coverage))


class ChangeForm:
    """The score changes of one model, told in one language."""

    def __init__(self, model: ModelFile, words: Words) -> None:
        """Encode all that its changes share."""
        self.model, self._text = model, ChangeText(model, words)
        self._parts = len(model.components)
        self._first = fx.SCORE_HEAD + 2 * len(model.dimensions)
        self._judged = self._first + 2 * self._parts
        self.now = self.was = _bands(model)
        """Names of bands; ``was`` those of the file by which the score before was told."""
        first, *rest = _NUMBER.split(msgspec.json.encode(self._change()))
        head, _, opening = first.rpartition(_TEXT)
        closing, _, tail = rest[-1].partition(_TEXT)
        self._head, self._tail = head + _TEXT, tail
        self._texts = [opening, *rest[2:-1:3], closing]
        self._blanks = [*zip(map(int, rest[::3]), map(int, rest[1::3]), strict=True), (NOTHING, 0)]

    def _change(self) -> ScoreChange:
        """Return a change with blanks: those between the instant and the summary are numbers, or names of bands."""
        model, dims, parts = self.model, len(self.model.dimensions), self._parts
        first, judged = self._first, self._judged
        moves = judged + 2 + parts
        contributions = [
            Contribution(
                component=part.name,
                old=_number(POINTS, first + place),
                new=_number(POINTS, first + parts + place),
                delta=_number(MOVE, moves + place),
            )
            for place, part in enumerate(model.components)
        ]
        override = Contribution(
            component=OVERRIDE,
            old=_number(JUDGED, judged),
            new=_number(JUDGED, judged + 1),
            delta=_number(JUDGED_MOVE, judged),
        )
        unless, end = bytes(_number(UNLESS_JUDGED, judged)), bytes(_number(NOTHING, judged))
        told = msgspec.json.encode(contributions)[:-1] + unless + b"," + msgspec.json.encode(override) + end
        return ScoreChange(
            change_id=_PLAIN,
            account_id=_BLANK,
            model=model.model,
            model_version=model.version,
            cause=_BLANK,
            effective_at=_PLAIN,
            old=_level(fx.OLD_SCORE, WAS, fx.OLD_BAND, fx.OLD_COVERAGE),
            new=_level(fx.NEW_SCORE, NOW, fx.NEW_BAND, fx.NEW_COVERAGE),
            scale=model.scale,
            grid=_number(CELL, fx.NEW_BAND),
            dimensions=[
                DimensionChange(
                    name=each.name,
                    old=_number(POINTS, fx.SCORE_HEAD + place),
                    new=_number(POINTS, fx.SCORE_HEAD + dims + place),
                )
                for place, each in enumerate(model.dimensions)
            ],
            contributions=cast("Any", msgspec.Raw(told + b"]")),
            summary=_BLANK,
        )

    def leaving(self, before: ModelFile) -> ChangeForm:
        """Return the same for changes whose score before was by another file of the model."""
        other = copy(self)
        other.was = _bands(before)
        return other

    def segments(self) -> list[Segment]:
        """Return what is not text."""
        model = self.model
        cells = [grid_cell(model, code) for code in range(len(self.now))]
        names: dict[int, Sequence[str | None]] = {WAS: self.was, NOW: self.now, CELL: cells}
        return [
            Segment(
                text, min(blank, NAME), column, [msgspec.json.encode(name) for name in names.get(blank, ())]
            )
            for text, (blank, column) in zip(self._texts, self._blanks, strict=True)
        ]

    def fill(
        self, line: list[int], numbers: bytes, change_id: str, account: str, cause: Cause, effective_at: str
    ) -> bytes:
        """Return a score change.

        Args:
            line: of the notebook.
            numbers: what is not text of it.
            change_id: its id.
            account: id of the account.
            cause: what made it.
            effective_at: since when, as text.
        """
        first, judged, parts = self._first, self._judged, self._parts
        metrics = judged + 2
        old, new = line[judged], line[judged + 1]
        judged_delta = (0 if new == NO_OVERRIDE else new) - (0 if old == NO_OVERRIDE else old)
        summary = self._text.summary(
            line[fx.OLD_SCORE],
            line[fx.NEW_SCORE],
            _named(self.was, line[fx.OLD_BAND]),
            _named(self.now, line[fx.NEW_BAND]),
            [*line[metrics + parts : metrics + 2 * parts], judged_delta],
            line[first : first + parts] if line[fx.IS_KNOWN] else None,
            line[metrics : metrics + parts],
        )
        encode = msgspec.json.encode
        head = self._head % (change_id.encode(), encode(account), encode(cause), effective_at.encode())
        return b"".join((head, numbers, encode(summary), self._tail))


class ChangeForms:
    """The score changes of all models of a program."""

    def __init__(self, forms: Iterable[ChangeForm]) -> None:
        self._forms = tuple(forms)
        self._numbers = ChangeNumbers([form.segments() for form in self._forms])
        self.bytes_max = self._numbers.bytes_max

    def __getitem__(self, model: int) -> ChangeForm:
        """Return the form of a model."""
        return self._forms[model]

    def numbers(self, lines: npt.NDArray[np.int64]) -> list[bytes]:
        """Return of each line of the notebook what is not text of it, see ``ChangeNumbers.fill``."""
        return self._numbers.fill(lines)

    def leaving(self, before: Mapping[str, ModelFile]) -> ChangeForms:
        """Return the same for changes whose scores before were by these files, of models of these names."""
        return ChangeForms(form.leaving(before.get(form.model.model, form.model)) for form in self._forms)


def forms_of(models: Iterable[ModelFile], words: Words) -> ChangeForms:
    """Return how the score changes of models are told in one language."""
    return ChangeForms(ChangeForm(model, words) for model in models)


def _bands(model: ModelFile) -> list[str]:
    return [band_name(model, code) for code in range(FIRST_BAND + len(model.band_names))]


def _named(names: Sequence[str], code: int) -> str:
    """Return the name of a band cell's code, of one beyond all, which were more once, the last."""
    return names[min(code, len(names) - 1)]
