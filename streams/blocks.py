"""Room for overrides, which few accounts have: blocks are given to those that were told of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streams.cells import override_blocks

if TYPE_CHECKING:
    from streams.cells import Cells


class Blocks:
    """Which blocks of ``Cells.overrides`` are used; ``Cells.block`` says by whom."""

    def __init__(self) -> None:
        self._used, self._free = 0, list[int]()

    def give(self, cells: Cells, row: int) -> Cells:
        """Give an account a block if it has none; return the cells, with more blocks if all were used."""
        if cells.block[row] >= 0:
            return cells
        if self._free:
            cells.block[row] = self._free.pop()
            return cells
        if self._used == len(cells.overrides):
            more = override_blocks(self._used, cells.overrides.shape[1])
            cells = cells._replace(overrides=np.concatenate([cells.overrides, more]))
        cells.block[row] = self._used
        self._used += 1
        return cells

    def take_back(self, cells: Cells, row: int) -> None:
        """Let the block of an account, if it has one, be another's."""
        if cells.block[row] >= 0:
            self._free.append(int(cells.block[row]))
            cells.block[row] = -1
