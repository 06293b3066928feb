"""One seed, judged."""

from __future__ import annotations

import gc
import traceback
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.faults.judge import audited, judge
from tests.faults.world import Simulation, Violation

if TYPE_CHECKING:
    from collections.abc import Callable

COLLECTED_EVERY: Final = 10


def _collect(*, whole: bool) -> None:
    """Set the collector free again: a worker pauses it while it loads, may end there, and freezes what it has."""
    gc.enable()
    gc.unfreeze()
    if whole:
        gc.collect()


class Verdict(NamedTuple):
    """What became of a seed: what is wrong (nothing, if all is well), and what happened in it."""

    findings: list[str]
    last_steps: list[str]
    digest: str
    counts: Counter[str]


def verdict(seed: int, tell: Callable[[str], None] = lambda _line: None) -> Verdict:
    """Run a seed and judge it; some are compared with the independent auditor as well."""
    simulation = Simulation(seed, tell)
    try:
        result = simulation.run()
        findings, digest = judge(result), result.digest
        if simulation.scenario.is_audited:
            findings += audited(result)
    except Violation as violation:
        findings, digest = [str(violation)], ""
    except Exception:  # noqa: BLE001 - a finding, told with its seed
        findings, digest = [traceback.format_exc()], ""
    finally:
        simulation.close()
        _collect(whole=seed % COLLECTED_EVERY == 0)
    return Verdict(findings, [*simulation.steps], digest, simulation.counts)
