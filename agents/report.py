"""What a partition's observer hears of a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agents.observer import Waits
from schemas.topics import Input
from streams.cells import BEGAN_TO_WAIT, NOTE_OF
from streams.events import EVENT_INPUT

if TYPE_CHECKING:
    import numpy.typing as npt

    from agents.observer import PartitionObserver
    from schemas.reasons import EventNote
    from streams.events import Taken


def report(
    observer: PartitionObserver,
    partition: int,
    taken: Taken,
    noted: npt.NDArray[np.int64],
    notes: dict[EventNote, int],
) -> int:
    """Tell what was taken, and what the kernel noted, (NOTES,) int64, which is emptied; ``notes`` are those of before.

    Returns:
        how many more reasons wait for a stalled input.
    """
    waits = Waits(0, 0, 0)
    if noted.any():
        notes |= {note: int(noted[cell]) for cell, note in NOTE_OF.items() if noted[cell]}
        waits = Waits(*noted[BEGAN_TO_WAIT:].tolist())
        noted[:] = 0
        if any(waits):
            observer.on_waits(partition, waits)
    if notes:
        observer.on_notes(partition, notes)
    counts = np.bincount(taken.columns[:, EVENT_INPUT], minlength=len(Input)).tolist()
    rejects = [(topic, reject.reason) for topic, reject in taken.rejects]
    observer.on_step(partition, dict(zip(Input, counts, strict=True)), rejects)
    return waits.began - waits.joined - waits.in_vain
