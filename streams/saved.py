"""All accounts of a partition at once, as a snapshot keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from schemas.records import Snapshot
from streams.cells import STALE, WRITTEN
from streams.layout import NOW, UNSET

if TYPE_CHECKING:
    from streams.accounts import Accounts


def saved_state(accounts: Accounts, others: list[tuple[bytes, bytes]]) -> Snapshot:
    """Return all that the changelog holds, with what it holds of others, once all that is to be written is.

    Rows are not copied. Some are ahead of the changelog: instants passed at which nothing was told. Of accounts that are not
    there, read of or ended, the key is empty: no id of an erased one is kept.
    """
    count, cells = len(accounts), accounts.cells
    assert not (cells.changed & WRITTEN).any(), "rows are changed and not yet written"
    is_there = (cells.i64[:count, NOW] != UNSET).tolist()
    keys = [key if there else b"" for key, there in zip(accounts.keys, is_there, strict=True)]
    warming = np.nonzero(np.any(cells.known[:count], axis=1))[0].tolist()
    tails = {row: accounts.tail(row) for row in accounts.cold.keys() | warming}
    stale = np.nonzero(cells.changed[:count] & STALE)[0].tolist()
    return Snapshot(accounts.program.layout.fingerprint, keys, cells.bytes[:count], tails, stale, others)
