"""Score changes as JSON: that of each model is encoded once with blanks, and each change fills them.

Nine in ten of the messages are score changes, and most of one are names that never change.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import msgspec

from schemas.outputs import Cause, Contribution, DimensionChange, Level, ScoreChange
from streams import effects as fx
from streams.change_text import ChangeText
from streams.layout import NO_OVERRIDE
from streams.levels import FIRST_BAND, OVERRIDE, band_name, grid_cell, override_points, points

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.model_file import ModelFile
    from schemas.words import Words

_BLANK: Final[Any] = msgspec.Raw(b"%b")
"""Stands for what a change fills in; names of models and their parts have no percent sign."""
_PLAIN: Final[Any] = msgspec.Raw(b'"%b"')
"""The same of a text that needs no escapes: an id or an instant."""
_REMEMBERED: Final = 1 << 15


class _Decimals(dict[int, bytes]):
    """Thousandths as decimals in JSON; the first so many that are asked for are remembered."""

    def __init__(self, decimal: Callable[[int], float | None]) -> None:
        super().__init__()
        self._decimal = decimal

    def __missing__(self, thousandths: int) -> bytes:
        text = msgspec.json.encode(self._decimal(thousandths))
        if len(self) < _REMEMBERED:
            self[thousandths] = text
        return text


_POINTS = _Decimals(points)
_MOVES = _Decimals(lambda thousandths: thousandths / 1000)
"""What components moved a score: one of the numbers means null among points."""


class ChangeForm:
    """The score changes of one model, told in one language."""

    def __init__(self, model: ModelFile, words: Words) -> None:
        """Encode all that its changes share."""
        self.model, self._text = model, ChangeText(model, words)
        self._dims, self._parts = len(model.dimensions), len(model.components)
        names = [
            (band_name(model, code), grid_cell(model, code))
            for code in range(FIRST_BAND + len(model.band_names))
        ]
        self._bands = [(band, msgspec.json.encode(band), msgspec.json.encode(cell)) for band, cell in names]
        level: Any = Level(score=_BLANK, band=_BLANK, coverage=_BLANK)
        parts = [
            Contribution(component=part.name, old=_BLANK, new=_BLANK, delta=_BLANK)
            for part in model.components
        ]
        with_override: Any = msgspec.Raw(msgspec.json.encode(parts)[:-1] + b"%b]")
        change = ScoreChange(
            change_id=_PLAIN,
            account_id=_BLANK,
            model=model.model,
            model_version=model.version,
            cause=_BLANK,
            effective_at=_PLAIN,
            old=level,
            new=level,
            scale=model.scale,
            grid=_BLANK,
            dimensions=[DimensionChange(name=each.name, old=_BLANK, new=_BLANK) for each in model.dimensions],
            contributions=with_override,
            summary=_BLANK,
        )
        self._form = msgspec.json.encode(change)

    def fill(
        self,
        line: list[int],
        before: ModelFile,
        change_id: str,
        account: str,
        cause: Cause,
        effective_at: str,
    ) -> bytes:
        """Return a score change.

        Args:
            line: of the notebook.
            before: the model's file by which the last change was sent.
            change_id: its id.
            account: id of the account.
            cause: what made it.
            effective_at: since when, as text.
        """
        dims, parts = self._dims, self._parts
        first = fx.SCORE_HEAD + 2 * dims
        end = first + 2 * parts
        measured = end + 2
        deltas = line[measured + parts : measured + 2 * parts]
        was = band_name(before, line[fx.OLD_BAND])
        now, band, cell = self._bands[min(line[fx.NEW_BAND], len(self._bands) - 1)]
        judged_delta, override = _judged(line[end], line[end + 1])
        summary = self._text.summary(
            line[fx.OLD_SCORE],
            line[fx.NEW_SCORE],
            was,
            now,
            [*deltas, judged_delta],
            line[first : first + parts] if line[fx.IS_KNOWN] else None,
            line[measured : measured + parts],
        )
        told = list(map(_POINTS.__getitem__, line[fx.SCORE_HEAD : end]))
        old_dims, new_dims = told[:dims], told[dims : 2 * dims]
        old_parts, new_parts = told[2 * dims : 2 * dims + parts], told[2 * dims + parts :]
        moves = map(_MOVES.__getitem__, deltas)
        return self._form % (
            change_id.encode(),
            msgspec.json.encode(account),
            msgspec.json.encode(cause),
            effective_at.encode(),
            _POINTS[line[fx.OLD_SCORE]],
            msgspec.json.encode(was),
            _POINTS[line[fx.OLD_COVERAGE]],
            _POINTS[line[fx.NEW_SCORE]],
            band,
            _POINTS[line[fx.NEW_COVERAGE]],
            cell,
            *chain.from_iterable(zip(old_dims, new_dims, strict=True)),
            *chain.from_iterable(zip(old_parts, new_parts, moves, strict=True)),
            override,
            msgspec.json.encode(summary),
        )


def _judged(old: int, new: int) -> tuple[int, bytes]:
    """Return what a score moved by manual judgement, in thousandths, and that as the last contribution, if there is any."""
    if old == new == NO_OVERRIDE:
        return 0, b""
    delta = (0 if new == NO_OVERRIDE else new) - (0 if old == NO_OVERRIDE else old)
    part = Contribution(
        component=OVERRIDE, old=override_points(old), new=override_points(new), delta=delta / 1000
    )
    return delta, b"," + msgspec.json.encode(part)
