"""A worker that cuts nobody off: the negative control. Else it is `latido worker`."""

from __future__ import annotations

import asyncio
import logging
import sys

from agents.run import run_worker
from agents.settings import Settings
from tests.delivery.ledger import NoFence

if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    sys.exit(asyncio.run(run_worker(Settings.load(), fence=NoFence())))
