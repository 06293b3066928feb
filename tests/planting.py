"""Tests of the tests: a bug is planted into the code, and must show.

A bug is a place in the source of one function and what stands there instead. The changed function takes the place of the
right one in every module and class that has it; what is compiled calls its like directly, there is nothing to replace.
"""

from __future__ import annotations
import __future__

import inspect
import sys
import textwrap
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES: Final = ("agents.", "streams.", "tests.faults.")


@dataclass(frozen=True)
class Bug:
    """In the source of ``where``, ``right`` (which stands there once) is replaced by ``wrong``.

    ``seed`` has found it once, so it is tried first; another will, should what that one draws have changed.
    """

    name: str
    where: Callable[..., Any]
    right: str
    wrong: str
    _: KW_ONLY
    seed: int = 0


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    """Put the changed function in the place of the right one, wherever a module or class has it."""
    source = textwrap.dedent(inspect.getsource(bug.where))
    assert source.count(bug.right) == 1, (
        f"{bug.where.__qualname__} has {bug.right!r} {source.count(bug.right)} times"
    )
    changed: dict[str, Any] = {}
    flags = __future__.annotations.compiler_flag
    code = compile(source.replace(bug.right, bug.wrong), f"<{bug.name}>", "exec", flags, dont_inherit=True)
    exec(code, bug.where.__globals__, changed)  # noqa: S102  # the text is that of the code and of a table of tests
    modules = [module for name, module in sys.modules.items() if name.startswith(PACKAGES)]
    owners = [
        *modules,
        *{value for module in modules for value in vars(module).values() if isinstance(value, type)},
    ]
    name = bug.where.__name__
    with ExitStack() as stack:
        for owner in owners:
            if vars(owner).get(name) is bug.where:
                stack.enter_context(patch.object(owner, name, changed[name]))
        yield
