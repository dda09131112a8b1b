"""Broker and store in containers, where a Docker engine answers and the images are there.

POSTROOM_TEST_CONTAINERS=1 insists on them (a missing engine or image is an error), =0 declines them;
RABBITMQ_IMAGE and MONGO_IMAGE name others than the usual.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import docker  # type: ignore[import-untyped]  # it ships no types
from docker.errors import DockerException  # type: ignore[import-untyped]  # it ships no types
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

_USER = "guest"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerContainer:
    host: str
    amqp_port: int
    management_port: int
    user: str
    password: str


def broker_image() -> str:
    return os.environ.get("RABBITMQ_IMAGE", "rabbitmq:4-management")


def store_image() -> str:
    return os.environ.get("MONGO_IMAGE", "mongo:8")


@cache
def wanted(image: str) -> bool:
    """Whether tests shall use this image's container."""
    choice = os.environ.get("POSTROOM_TEST_CONTAINERS", "")
    if choice == "1":
        return True
    return choice != "0" and _image_is_there(image) and _reaper_is_there()


@contextmanager
def broker() -> Iterator[BrokerContainer]:
    """RabbitMQ with the management and shovel plugins."""
    container = DockerContainer(broker_image()).with_exposed_ports(5672, 15672)
    with container:
        container.exec(["rabbitmq-plugins", "enable", "rabbitmq_shovel", "rabbitmq_shovel_management"])
        yield BrokerContainer(
            host=container.get_container_host_ip(),
            amqp_port=int(container.get_exposed_port(5672)),
            management_port=int(container.get_exposed_port(15672)),
            user=_USER,
            password=_USER,
        )


@contextmanager
def store() -> Iterator[str]:
    """MongoDB, one node; yields its URI."""
    with DockerContainer(store_image()).with_exposed_ports(27017) as container:
        host, port = container.get_container_host_ip(), container.get_exposed_port(27017)
        yield f"mongodb://{host}:{port}/postroom?directConnection=true&retryWrites=false"


def _image_is_there(image: str) -> bool:
    try:
        docker.from_env(timeout=2).images.get(image)
    except DockerException:
        return False
    return True


def _reaper_is_there() -> bool:
    """testcontainers starts a container of its own that clears up after it, unless told not to."""
    return testcontainers_config.ryuk_disabled or _image_is_there(testcontainers_config.ryuk_image)
