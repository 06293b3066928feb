"""Names of the array types, and arithmetic on ragged rows (a varying number of items per owner)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def owners_of(counts: Ints) -> Ints:
    """Return the owner's index of every item: ``[2, 0, 1]`` gives ``[0, 0, 2]``."""
    return np.repeat(np.arange(len(counts)), counts)


def places_in(counts: Ints) -> Ints:
    """Return each item's place within its owner: ``[2, 0, 1]`` gives ``[0, 1, 0]``."""
    ends = np.cumsum(counts)
    return np.arange(int(counts.sum())) - np.repeat(ends - counts, counts)


def running_sums(values: Floats, counts: Ints) -> Floats:
    """Return the sum of the earlier items of the same owner, for every item (the first one gets 0)."""
    before = np.concatenate(([0.0], np.cumsum(values)[:-1])) if len(values) else values
    firsts = np.cumsum(counts) - counts
    held = counts > 0
    sums: Floats = before - np.repeat(before[firsts[held]], counts[held])
    return sums
