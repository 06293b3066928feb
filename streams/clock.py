"""The clock of a partition, event by event: the least of what is known of the inputs, minus the grace.

It is a function of the order of events alone, so that what an event finds does not depend on how the input was cut.

    frontier of an input    taken up to its last event of the batch, and its end was reached: wall time of that end
                            else: the largest key taken of it
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from streams.compiled import int64, kernel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

NEVER_MS: Final = -(1 << 62)
ENDLESS_MS: Final = 1 << 62
"""Wall time of an input that will never have another record (in a replay)."""
FRONTIER, LEFT, ENDED, CLOCK_COLUMNS = range(4)


class Clock(NamedTuple):
    """The clock before an event, moved on by each: ``now_ms`` (1,) and ``inputs`` (inputs, CLOCK_COLUMNS), int64.

    Columns: the input's frontier; how many of its queued events are left; the wall time of its end, or ``NEVER_MS``.
    """

    now_ms: npt.NDArray[np.int64]
    inputs: npt.NDArray[np.int64]


@kernel
def move_clock(clock: Clock, topic: int, key: int, grace_ms: int) -> None:
    """Move the clock past an event of input ``topic`` with ``key``."""
    inputs = clock.inputs
    inputs[topic, LEFT] -= 1
    ended = inputs[topic, LEFT] == 0 and inputs[topic, ENDED] != NEVER_MS
    inputs[topic, FRONTIER] = inputs[topic, ENDED] if ended else key
    least = int64(inputs[0, FRONTIER])
    for other in range(1, inputs.shape[0]):
        least = min(least, int64(inputs[other, FRONTIER]))
    if NEVER_MS < least < ENDLESS_MS and least - grace_ms > clock.now_ms[0]:
        clock.now_ms[0] = least - grace_ms
