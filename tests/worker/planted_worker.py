"""A worker with a planted bug, by its name: a negative control. Else it is `latido worker`."""

from __future__ import annotations

import asyncio
import logging
import sys

from agents.run import run_worker
from agents.settings import Settings
from tests.faults.planted import BUGS
from tests.planting import planted

if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    with planted(next(bug for bug in BUGS if bug.name == sys.argv[1])):
        sys.exit(asyncio.run(run_worker(Settings.load())))
