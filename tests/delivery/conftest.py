"""The broker of the delivery tests, and an application with topics of its own on it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from agents.clients import Connection
from tests.delivery.support import Application

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session")
def bootstrap(request: pytest.FixtureRequest) -> str:
    """The address of a real Kafka: the one in LATIDO_TEST_BROKER, else one that the tests start."""
    given = os.environ.get("LATIDO_TEST_BROKER")
    return given or str(request.getfixturevalue("kafka").broker)


@pytest.fixture
def connection(bootstrap: str) -> Connection:
    return Connection(bootstrap)


@pytest.fixture
def make_application(bootstrap: str) -> Callable[[int], Application]:
    """Create an application with so many partitions."""

    def make(partitions: int) -> Application:
        application = Application(bootstrap, partitions)
        application.create_topics()
        return application

    return make
