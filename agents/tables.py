"""Tables for the terminal; where there is none (a pipe, a file) wide enough that a row is a line."""

from __future__ import annotations

import shutil
from io import StringIO
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WIDTH_WITHOUT_TERMINAL: Final = 240
LINES: Final = 24


def table_text(heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[str] = ()) -> str:
    """Return a table as text; the columns named in ``numbers`` are set to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in heads:
        table.add_column(head, justify="right" if head in numbers else "left", no_wrap=head in numbers)
    for row in rows:
        table.add_row(*map(Text, row))
    width = shutil.get_terminal_size((WIDTH_WITHOUT_TERMINAL, LINES)).columns
    written = Console(file=StringIO(), width=width, color_system=None)
    with written.capture() as told:
        written.print(table)
    return "\n".join(line.rstrip() for line in told.get().splitlines())
