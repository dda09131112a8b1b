"""The health port of a consumer process."""

import asyncio
import socket

import pytest

from consumers.counters import Counters
from consumers.health import Health, serve_health
from delivery.config_values import InvalidConfiguration


async def _nobody_looks() -> Health:
    raise AssertionError("nobody asked")


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            InvalidConfiguration, match=f"CONSUMERS_HEALTH_PORT {port}: address already in use"
        ):
            asyncio.run(serve_health(port, _nobody_looks, counters=Counters()))
