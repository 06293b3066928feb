"""The table in which the kernel notes what happened; ``streams/messages.py`` makes outputs of it.

One row per effect, int64: the head columns below, then for a score change the dimensions, contributions and override last
sent and now (old dimensions, new dimensions, old contributions, new contributions, each as wide as the model has them,
old override, new override), what the components measure now and what each of them moved the score, for an episode the
``since`` of each rule and the evidence cells. IS_KNOWN says whether what was last sent was measured by the same file of the
model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from schemas.reasons import Rule
from streams.compiled import int64, kernel

if TYPE_CHECKING:
    import numpy.typing as npt

    from streams.plan import Plan, Program

KIND, ROW, EVENT, CAUSE, AT, PLACE, STANDING, EFFECT_HEAD = range(8)
"""EVENT is the index of the event in its batch that caused the effect or, for ``TIME`` and ``EVIDENCE``, before
which the instant fired (the length of the batch: fired by the clock). PLACE is where it stands in the order of the
partition, whoever came upon it first: an instant that the clock had reached (STANDING is 1) stands at itself, all else at
the clock of its event."""
SCORE_CHANGE, DISENGAGEMENT, OPPORTUNITY, END = range(4)
BY_EVENT, BY_TIME, BY_EVIDENCE, BY_MODEL, BY_ERASURE, BY_RETIREMENT, BY_MERGE, BY_JOIN = range(8)
BY_ITSELF: Final = -1
"""No cause but the instant: by time, or by evidence that expires."""
MODEL, ORDINAL, OLD_SCORE, OLD_BAND, OLD_COVERAGE, NEW_SCORE, NEW_BAND, NEW_COVERAGE, IS_KNOWN, SCORE_HEAD = (
    range(EFFECT_HEAD, EFFECT_HEAD + 10)
)
STATUS, SEVERITY, EPISODE_ORDINAL, SINCE, REASONS, EPISODE_CLOSED, VALUE, UNMUTED, RULE_SINCE = range(
    EFFECT_HEAD, EFFECT_HEAD + 9
)
EVIDENCE: Final = RULE_SINCE + len(Rule)
(
    AT_SILENT_FOR, AT_USUAL_GAP, AT_GAPS_KNOWN, AT_PROBABILITY, AT_ABSOLUTE_SILENT_FOR, AT_VISITS, AT_LAST_VISIT, AT_ADMIN,
    AT_RECENT_DAYS, AT_EARLIER_DAYS, AT_DAYS_SINCE_START, AT_LATE, AT_FAILED, AT_REVERSED, AT_OPENED, AT_USUALLY_OPENED,
    AT_ESCALATED, AT_UNRESOLVED, AT_BAND, AT_BAND_BEFORE, AT_POINTS_LOST, AT_USERS, AT_USERS_BEFORE, AT_RETURNED_DAY,
    AT_ACTIVE_DAYS, AT_SILENT_DAYS, AT_SURGE, AT_USUAL_EVENTS, AT_UPGRADE_VISITS, EVIDENCE_CELLS,
) = range(30)  # fmt: skip
"""The evidence of all rules, from the cell ``EVIDENCE`` of an episode's line on."""
FIRING, ESCALATED, RESOLVED = range(3)
CAPACITY: Final = 4096


class Effects(NamedTuple):
    """The kernel's notebook: ``table`` (capacity, columns) int64, ``used`` (1,) int64."""

    table: npt.NDArray[np.int64]
    used: npt.NDArray[np.int64]


def make_effects(program: Program, capacity: int = CAPACITY) -> Effects:
    """Return an empty notebook for a program."""
    widest = max(2 * len(model.dimensions) + 4 * len(model.components) for model in program.models)
    columns = max(SCORE_HEAD + widest + 2, EVIDENCE + EVIDENCE_CELLS)
    return Effects(np.zeros((capacity, columns), np.int64), np.zeros(1, np.int64))


@kernel
def room(effects: Effects, plan: Plan) -> bool:
    """Return whether the notebook has room for the effects of one evaluation, or of an end, of which there are fewer."""
    return bool(effects.used[0] + plan.models.shape[0] + 2 <= effects.table.shape[0])


@kernel
def note(effects: Effects, kind: int, row: int, event: int, cause: int, at: int) -> int:
    """Open a new line in the notebook and return its number."""
    line = int64(effects.used[0])
    effects.used[0] += 1
    effects.table[line, KIND] = kind
    effects.table[line, ROW] = row
    effects.table[line, EVENT] = event
    effects.table[line, CAUSE] = cause
    effects.table[line, AT] = at
    return line


@kernel
def place(effects: Effects, first: int, clock_ms: int, standing: bool) -> None:  # noqa: FBT001
    """Say of all lines from ``first`` on where they stand in the order: at the clock, or ``standing`` instants before it."""
    for line in range(first, effects.used[0]):
        at = int64(effects.table[line, AT])
        effects.table[line, STANDING] = standing and at <= clock_ms
        effects.table[line, PLACE] = at if standing and at <= clock_ms else clock_ms
