"""What to do when a server that a test needs cannot be had on this machine."""

from __future__ import annotations

import os


class ServerMissing(Exception):
    """A server cannot be started here.

    Cause: a program it needs is not installed, or could not be fetched. Fix: ``how`` says it.
    """

    def __init__(self, server: str, why: str, how: str) -> None:
        super().__init__(f"{server}: {why}; {how}")
        self.server = server
        self.why = why
        self.how = how


def servers_required() -> bool:
    """Tell whether a missing server fails a test (``LATIDO_REQUIRE_SERVERS=1``) instead of skipping it."""
    return os.environ.get("LATIDO_REQUIRE_SERVERS", "") == "1"
