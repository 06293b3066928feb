"""Instants as RFC 3339 text in UTC with milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from agents.simulation.arrays import Ints


def instant_text(at_ms: int) -> str:
    """Return one instant, for example ``2026-03-01T08:30:00.000Z``."""
    return f"{np.datetime64(at_ms, 'ms')}Z"


def instant_texts(at_ms: Ints) -> list[str]:
    """Return many instants at once."""
    stamps = at_ms.astype("datetime64[ms]")
    texts: list[str] = np.datetime_as_string(stamps, unit="ms", timezone="UTC").tolist()
    return texts
