"""How the core is compiled: one place, so that every kernel function is treated alike."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

Function = TypeVar("Function", bound="Callable[..., object]")
Table = TypeVar("Table", bound="npt.NDArray[Any]")
Fields = TypeVar("Fields", bound="tuple[Any, ...]")

UNCOMPILED: Final = os.environ.get("NUMBA_DISABLE_JIT") == "1"
"""The core as plain Python, as most tests run it: numba, half a second of every start, is not even imported."""

if TYPE_CHECKING or UNCOMPILED:

    def kernel(function: Function) -> Function:
        """Compile a function of the core; its result is inlined into the entries that call it."""
        return function

    def entry(function: Function) -> Function:
        """Compile a function that the shell calls, and keep the result in the cache folder.

        The cache knows only this function's own source file: the shell names the cache folder after the sources of
        the whole core, so that a change of any of them starts an empty one.
        """
        return function

    def reference(value: Fields) -> Fields:
        """Return a named tuple of arrays as the kernel passes it on: compiled, by its address on the caller's stack."""
        return value

    def copy(
        out: npt.NDArray[np.uint8], at: int, data: npt.NDArray[np.uint8], start: int, count: int
    ) -> None:
        """Copy ``count`` bytes of ``data``, from ``start`` on, to ``out`` at ``at``; compiled, no bounds are checked."""
        out[at : at + count] = data[start : start + count]

    def row_cells(table: Table, row: int) -> Table:
        """Return a row of a table whose cells lie side by side, so that loops over them may take many at once.

        Compiled, the row's number is not checked, only those of its cells.
        """
        return cast("Table", table[row])

    def prefetch(table: npt.NDArray[Any], row: int) -> None:
        """Let a row of a contiguous table be brought from memory while other work goes on; compiled, no bounds are checked."""
else:
    from streams import linking

    kernel, entry, reference, copy = linking.kernel, linking.entry, linking.address, linking.copy_bytes
    row_cells, prefetch = linking.contiguous_row, linking.fetch_ahead


if TYPE_CHECKING:

    def int64(value: Any) -> int:
        """Return ``value`` as a 64-bit integer: an explicit cast, so that compiled and plain runs compute alike."""
        return int(value)
else:
    int64 = np.int64
