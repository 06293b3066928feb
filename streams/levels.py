"""Scores, bands and manual judgement as outputs tell them: decimals and names for what the kernel keeps as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.reasons import INSUFFICIENT_EVIDENCE, NOT_APPLICABLE
from streams.layout import NO_OVERRIDE, NONE

if TYPE_CHECKING:
    from schemas.model_file import ModelFile

FIRST_BAND: Final = 2
"""Band cells: 0 insufficient evidence, 1 not applicable, then the model's bands, or cells of its grid, in rising order."""
OVERRIDE: Final = "override"
"""The pseudo-component that carries what manual judgement adds to the evidence."""


def points(thousandths: int) -> float | None:
    """Return thousandths as a decimal, ``None`` for null."""
    return None if thousandths == NONE else thousandths / 1000


def band_name(model: ModelFile, code: int) -> str:
    """Return the name of a band cell's code; of one beyond the model's bands, which were more once, that of the last."""
    if code < FIRST_BAND:
        return (INSUFFICIENT_EVIDENCE, NOT_APPLICABLE)[code]
    return model.band_names[min(code - FIRST_BAND, len(model.band_names) - 1)]


def grid_cell(model: ModelFile, code: int) -> str | None:
    """Return the cell of a grid that a band cell's code means, if it does."""
    return band_name(model, code) if model.grid and code >= FIRST_BAND else None


def override_points(thousandths: int) -> float | None:
    """Return what manual judgement adds as a decimal, ``None`` without one."""
    return None if thousandths == NO_OVERRIDE else thousandths / 1000
