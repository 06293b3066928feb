"""`make faults`: the worker through accidents on a simulated broker, by seed."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections import Counter
from itertools import chain
from time import perf_counter
from typing import TYPE_CHECKING

from agents.numba_cache import use_cache

if TYPE_CHECKING:
    from tests.faults.run import Verdict

SEEDS_OF_A_BUG = 400
"""Within so many seeds each planted bug must be found."""
SEEDS_OF_EVERYTHING = 100
"""In so many seeds everything that is drawn must have happened."""


def main() -> int:
    """Run seeds; the first that fails ends it, and is told with its last steps and how to replay it."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many")
    parser.add_argument("--first", type=int, help="the first of them; by chance if it is not given")
    parser.add_argument("--seed", type=int, help="this one alone, with every step")
    parser.add_argument("--planted", action="store_true", help="see whether planted bugs are found")
    arguments = parser.parse_args()
    use_cache()
    print("loading the core (compiled on first use, about 15 s)", file=sys.stderr, flush=True)
    _compile()
    if arguments.seed is not None:
        return _replay(arguments.seed)
    if arguments.planted:
        return _find_planted()
    first = secrets.randbits(30) if arguments.first is None else arguments.first
    return run(first, arguments.seeds)


def _compile() -> None:
    """Compile before the first seed: within one, writing the compiler's cache would draw from its chance."""
    from agents.program import load_program
    from agents.warm import compile_core

    compile_core(load_program("default"))


def run(first: int, seeds: int) -> int:
    """Run seeds; return 0 if all is well with them and everything happened that is drawn."""
    from tests.faults.run import verdict
    from tests.faults.undisturbed import HAPPENS

    print(f"seeds {first} to {first + seeds - 1}", flush=True)
    begin = told = perf_counter()
    counts = Counter[str]()
    for seed in range(first, first + seeds):
        found = verdict(seed)
        counts += found.counts
        if found.findings:
            _tell_failure(seed, found)
            return 1
        if perf_counter() - told > 30:
            told = perf_counter()
            print(f"  {seed - first + 1:,} seeds, {(seed - first + 1) / (told - begin):.1f}/s", flush=True)
    seconds = perf_counter() - begin
    print(f"{seeds:,} seeds in {seconds:.0f} s, {seeds / seconds:.1f}/s: nothing lost, nothing twice")
    print(", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())))
    missing = [name for name in HAPPENS if not counts[name]]
    if missing and seeds >= SEEDS_OF_EVERYTHING:
        print(
            f"never seen in {seeds:,} seeds: {', '.join(missing)}; draw more of it (tests/faults/scenario.py)"
        )
        return 1
    return 0


def _replay(seed: int) -> int:
    from tests.faults.run import verdict

    found = verdict(seed, print)
    print(f"seed {seed}: {found.digest or 'did not end'}", *found.findings, sep="\n")
    return 1 if found.findings else 0


def _tell_failure(seed: int, found: Verdict) -> None:
    print(f"seed {seed} FAILED; to see every step: make faults SEED={seed}", *found.findings, sep="\n  ")
    print("the last steps:", *found.last_steps, sep="\n  ", flush=True)


def _find_planted() -> int:
    from tests.faults.planted import BUGS
    from tests.faults.run import verdict
    from tests.planting import planted

    missed = 0
    for bug in BUGS:
        with planted(bug):
            seeds = chain([bug.seed], range(SEEDS_OF_A_BUG))
            seed = next((seed for seed in seeds if _is_found(verdict(seed))), None)
        missed += seed is None
        where = f"not found in {SEEDS_OF_A_BUG} seeds" if seed is None else f"found by seed {seed}"
        print(f"{bug.name}: {where}", flush=True)
    return 1 if missed else 0


def _is_found(found: Verdict) -> bool:
    """Tell whether a planted bug was found: by what it does, not because its text is no good."""
    assert not any("NameError" in finding for finding in found.findings), found.findings
    return bool(found.findings)


if __name__ == "__main__":
    sys.exit(main())
