"""What the tests of the tests share: a bug that is planted into the core shows as a difference from the auditor, or not."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest

from tests import planting
from tests.auditor import edges
from tests.auditor.core import differences, run_core
from tests.auditor.reference import Audit, audit

only_uncompiled = pytest.mark.skipif(
    os.environ.get("LATIDO_TEST_COMPILED") == "1", reason="compiled functions call each other directly"
)
SEEDS = range(28)


@dataclass(frozen=True)
class Bug(planting.Bug):
    """A bug in the core that histories show, each drawn by its seed."""

    case: Callable[[int], edges.Case] = edges.case

    def shows(self) -> bool:
        """Return whether any history shows the bug, which must be planted."""
        return any(differs(seed, self.case) for seed in (self.seed, *SEEDS))


@cache
def right(seed: int, case: Callable[[int], edges.Case]) -> Audit:
    records, world = case(seed)
    return audit(records, **world._asdict())


def differs(seed: int, case: Callable[[int], edges.Case] = edges.case) -> bool:
    records, world = case(seed)
    return bool(differences(run_core(records, **world._asdict()), right(seed, case)))
