"""What options of commands take."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from schemas.events import OCCURRED_AT_END_MS

recorded_files = click.argument(
    "files", metavar="FILE...", nargs=-1, required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)  # fmt: skip
"""Files of recorded events, at least one."""


def instant(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    """Return an option's instant in ms: RFC 3339 with a zone, or integer ms."""
    if text is None:
        return None
    at_ms = int(text) if text.isascii() and text.isdigit() else _milliseconds(text)
    if at_ms is None or not 0 <= at_ms <= OCCURRED_AT_END_MS:
        raise click.BadParameter(
            f"{text!r} is neither RFC 3339 with a zone (2026-01-31T00:00:00Z) nor milliseconds since 1970, "
            "from 1970 to 2100."
        )
    return at_ms


def _milliseconds(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None else round(moment.timestamp() * 1000)
