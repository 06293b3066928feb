"""What the tests of the tests share: a bug is planted into the core, and shows as a difference from the auditor or not.

A bug is a place in the source of one function and what stands there instead. The changed function takes the place of the
right one in every module that uses it; compiled, there is nothing to replace.
"""

from __future__ import annotations
import __future__

import inspect
import os
import sys
import textwrap
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import pytest

from tests.auditor import edges
from tests.auditor.core import differences, run_core
from tests.auditor.reference import Audit, audit

only_uncompiled = pytest.mark.skipif(
    os.environ.get("LATIDO_TEST_COMPILED") == "1", reason="compiled functions call each other directly"
)
SEEDS = range(28)


class Bug(NamedTuple):
    """In the source of ``where``, ``right`` (which stands there once) is replaced by ``wrong``; shown by histories by seed."""

    name: str
    where: Callable[..., Any]
    right: str
    wrong: str
    case: Callable[[int], edges.Case] = edges.case
    first: int = 0
    """The history that is tried first, because it showed the bug when this was written."""

    def shows(self) -> bool:
        """Return whether any history shows the bug, which must be planted."""
        return any(differs(seed, self.case) for seed in (self.first, *SEEDS))


@cache
def right(seed: int, case: Callable[[int], edges.Case]) -> Audit:
    records, world = case(seed)
    return audit(records, **world._asdict())


def differs(seed: int, case: Callable[[int], edges.Case] = edges.case) -> bool:
    records, world = case(seed)
    return bool(differences(run_core(records, **world._asdict()), right(seed, case)))


def plant(patch: pytest.MonkeyPatch, bug: Bug) -> None:
    """Put the changed function into every module and class of the core that has the right one."""
    source = textwrap.dedent(inspect.getsource(bug.where))
    assert source.count(bug.right) == 1, (
        f"{bug.where.__qualname__} has {bug.right!r} {source.count(bug.right)} times"
    )
    changed: dict[str, Any] = {}
    flags = __future__.annotations.compiler_flag
    code = compile(source.replace(bug.right, bug.wrong), f"<{bug.name}>", "exec", flags, dont_inherit=True)
    exec(code, bug.where.__globals__, changed)  # noqa: S102  # the text is that of the core and of the table above
    core = [module for name, module in sys.modules.items() if name.startswith("streams.")]
    owners = [
        *core,
        *(value for module in core for value in vars(module).values() if isinstance(value, type)),
    ]
    for owner in owners:
        if vars(owner).get(bug.where.__name__) is bug.where:
            patch.setattr(owner, bug.where.__name__, changed[bug.where.__name__])
