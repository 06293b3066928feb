"""How the core is compiled: one place, so that every kernel function is treated alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba
import numpy as np

from streams.linking import Part, Whole, address, contiguous_row, copy_bytes, fetch_ahead

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

Function = TypeVar("Function", bound="Callable[..., object]")
Table = TypeVar("Table", bound="npt.NDArray[Any]")
Fields = TypeVar("Fields", bound="tuple[Any, ...]")


def kernel(function: Function) -> Function:
    """Compile a function of the core; its result is inlined into the entries that call it.

    Without reference counts (``_nrt``): the kernel allocates nothing, and counting every array of ``Cells`` and ``Plan``
    at every call costs ten times the work itself. Without wrappers: only entries are called from outside.
    """
    options: dict[str, Any] = {
        "nogil": True,
        "_nrt": False,
        "no_cfunc_wrapper": True,
        "no_cpython_wrapper": True,
        "pipeline_class": Part,
    }
    return cast("Function", numba.njit(**options)(function))


def entry(function: Function) -> Function:
    """Compile a function that the shell calls, and keep the result in the cache folder.

    The cache knows only this function's own source file: the shell names the cache folder after the sources of
    the whole core, so that a change of any of them starts an empty one.
    """
    options: dict[str, Any] = {"nogil": True, "_nrt": False, "no_cfunc_wrapper": True, "cache": True}
    options["pipeline_class"] = Whole
    return cast("Function", numba.njit(**options)(function))


if TYPE_CHECKING or numba.config.DISABLE_JIT:

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
    reference, copy, prefetch, row_cells = address, copy_bytes, fetch_ahead, contiguous_row


if TYPE_CHECKING:

    def int64(value: Any) -> int:
        """Return ``value`` as a 64-bit integer: an explicit cast, so that compiled and plain runs compute alike."""
        return int(value)
else:
    int64 = np.int64
