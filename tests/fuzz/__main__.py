"""`make fuzz`: records that nobody would write through the compiled core, and files that nobody would write, by seed."""

from __future__ import annotations

import argparse
import faulthandler
import secrets
import sys
from collections import Counter
from random import Random
from time import perf_counter

from agents.program import load_program
from agents.warm import compile_core
from tests.fuzz import files, judge

HANGS_AFTER_S = 120
FILES_EVERY = 1000
"""Inputs for each policy or model file."""


def main() -> None:
    """Judge rounds until enough inputs went through; the first that fails ends it, and is told by its seed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}: {arguments.inputs:,} inputs", flush=True)
    compile_core(load_program("default"))
    begin = told = perf_counter()
    outcomes, read, number = Counter[str](), Counter[str](), 0
    while outcomes.total() < arguments.inputs:
        seed = f"{arguments.seed} {number}"
        faulthandler.dump_traceback_later(HANGS_AFTER_S, exit=True)
        try:
            outcomes += judge.judge(Random(seed), share=0.6, sampled=0.02)
            while read.total() * FILES_EVERY < outcomes.total():
                seed = f"{arguments.seed} file {read.total()}"
                read += files.judge(Random(seed))
        except Exception:
            print(f"failed: Random({seed!r})", file=sys.stderr)
            raise
        number += 1
        if perf_counter() - told > 30:
            told = perf_counter()
            print(f"  {outcomes.total():,} inputs, {outcomes.total() / (told - begin):,.0f}/s", flush=True)
    faulthandler.cancel_dump_traceback_later()
    seconds = perf_counter() - begin
    print(
        f"{outcomes.total():,} inputs in {seconds:.0f} s, {outcomes.total() / seconds:,.0f}/s, seed {arguments.seed}"
    )
    print("records: " + ", ".join(f"{name} {count:,}" for name, count in outcomes.most_common()))
    print("files: " + ", ".join(f"{name} {count:,}" for name, count in read.most_common()))


if __name__ == "__main__":
    main()
