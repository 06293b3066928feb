"""What a library says again and again, said once in a while: a broker that is away gives a hundred lines a second."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY_S: Final = 10.0
KINDS_MAX: Final = 200
LIBRARIES: Final = ("aiokafka", "faust", "mode")


def say_repeats_once() -> None:
    """Let what is logged pass through ``Repeats``."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(Repeats())


class Repeats(logging.Filter):
    """Lets a message of a library pass once in ten seconds, and then says how often it was left out.

    Messages are of one kind if their logger and their text before its values are put in are the same. Ours all pass.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now_s = now_s
        self._passed: dict[tuple[str, str], tuple[float, int]] = {}
        """When a kind passed last, and how often it was left out since."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record passes."""
        if record.name.partition(".")[0] not in LIBRARIES:
            return True
        kind, now_s = (record.name, str(record.msg)), self._now_s()
        passed_s, left_out = self._passed.get(kind, (-EVERY_S, 0))
        if now_s - passed_s < EVERY_S:
            self._passed[kind] = passed_s, left_out + 1
            return False
        if len(self._passed) >= KINDS_MAX:
            self._passed.clear()
        self._passed[kind] = now_s, 0
        if left_out:
            record.msg = f"{record.msg} (and {left_out} more of this kind in {now_s - passed_s:.0f} s)"
        return True
