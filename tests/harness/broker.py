"""The broker that tests use: AMQP_URL if set, else a container, else a private node."""

import os
import re
import secrets
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from stack.broker import Broker, BrokerPorts, BrokerSettings
from stack.management import Management, put_operator, put_postroom, put_service
from tests.harness import containers
from tests.harness.amqp import AmqpClient
from tests.harness.deadline import wait_until
from tests.harness.moving import move_messages
from tests.harness.ports import free_ports

OPERATOR = "operator"
SERVICE = "example-service"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerServer:
    """A running broker. `node` is its process where the tests own one."""

    host: str
    port: int
    user: str
    password: str
    management: Management
    node: Broker | None = None

    @contextmanager
    def vhost(self) -> Iterator["VirtualHost"]:
        """A fresh virtual host, deleted at the end if the broker still answers."""
        vhost = VirtualHost(self, f"test-{uuid.uuid4().hex[:12]}")
        try:
            yield vhost
        finally:
            vhost.close()
            if self.management.answers():
                self.management.delete_vhost(vhost.name)

    def crash(self) -> None:
        """SIGKILL. Only for a broker that belongs to the test (`own_broker`).

        Waits before until the node's list of quorum queues is on its disk: Ra writes it about a second after
        a declaration, and a node killed before that comes back with queues that answer nobody.
        """
        node = self._own_node()
        wait_until(
            lambda: quorum_queues_are_on_disk(node.folder),
            within=20,
            what="the broker's list of quorum queues is on disk",
        )
        node.kill()

    def stop(self) -> None:
        """An orderly shutdown (8 s). Only for a broker that belongs to the test."""
        self._own_node().stop(within=30)

    def start_again(self) -> None:
        """After crash() or stop(): the same ports, the same data. Returns when it is ready (5 s)."""
        self._own_node().start()
        self._own_node().wait_ready(90)

    def wipe(self) -> None:
        """Lose all data, as with a deleted data folder; start_again() then. Only for a stopped own broker."""
        shutil.rmtree(self._own_node().folder / "mnesia")

    def _own_node(self) -> Broker:
        if self.node is None:
            raise LookupError("this broker is not the test's own: use the fixture own_broker")
        return self.node

    def url(self, vhost: str, *, user: str, password: str) -> str:
        login = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return f"amqp://{login}@{self.host}:{self.port}/{quote(vhost, safe='')}"


class VirtualHost:
    """One test's virtual host, with our user, an operator and a service in it.

    `url` is for the processes under test. `amqp` is a client with our rights, for the test itself.
    """

    def __init__(self, server: BrokerServer, name: str) -> None:
        self.server = server
        self.name = name
        self._password = secrets.token_hex(8)
        # Users are the broker's, not the vhost's: their names must differ from test to test.
        self.operator = f"{OPERATOR}-{name}"
        self.service = f"{SERVICE}-{name}"
        self.create()
        self.url = server.url(name, user=server.user, password=server.password)
        self.service_url = server.url(name, user=self.service, password=self._password)
        self.amqp = AmqpClient(self.url)

    def create(self) -> None:
        """Create the virtual host and its users; again, after the broker lost its data."""
        management = self.server.management
        put_postroom(management, vhost=self.name, user=self.server.user)
        put_operator(management, vhost=self.name, user=self.operator, password=self._password)
        put_service(management, vhost=self.name, user=self.service, password=self._password)

    def close(self) -> None:
        self.amqp.close()
        if self.server.management.answers():
            for user in (self.operator, self.service):
                self.server.management.request("DELETE", "users", user)

    def depth(self, queue: str) -> int:
        """How many messages are ready in the queue, now."""
        return self.amqp.depth(queue)

    def queues(self) -> dict[str, dict[str, Any]]:
        """Every queue by name, as the management API describes it. Its counts lag by up to a second."""
        return {queue["name"]: queue for queue in self.server.management.request("GET", "queues", self.name)}

    def total(self, queue: str) -> int:
        """Ready and unacknowledged messages, and those that wait to be dead-lettered; lags by a second."""
        return int(self.queues()[queue].get("messages", 0))

    def connections(self, pattern: str) -> set[str]:
        """The connections whose name matches, each by its ports. They are listed some seconds late."""
        listed = self.server.management.request("GET", "vhosts", self.name, "connections")
        return {each["name"] for each in listed if re.fullmatch(pattern, each.get("user_provided_name", ""))}

    def peek(self, queue: str, count: int = 10_000) -> list[dict[str, Any]]:
        """Look at messages and put them back, as "Get messages" in the management UI."""
        body = {"count": count, "ackmode": "ack_requeue_true", "encoding": "auto"}
        answer: list[dict[str, Any]] = self.server.management.request(
            "POST", "queues", self.name, queue, "get", json=body
        )
        return answer

    def move_messages(
        self, source: str, destination: str, *, count: int | None = None, within: float = 60.0
    ) -> None:
        """What "Move messages" of the management UI does, with an operator's login: a shovel that moves what
        is in the queue now (or the first `count`) and then deletes itself. Returns when it has."""
        move_messages(
            Management(self.server.management.url, self.operator, self._password),
            vhost=self.name,
            source=source,
            destination=destination,
            count=count,
            within=within,
        )


@contextmanager
def running_broker(folder: Path) -> Iterator[BrokerServer]:
    """The broker of a test session. Raises RabbitMQMissing where there is none at all."""
    given = os.environ.get("AMQP_URL")
    if given:
        yield _given_broker(given)
    elif containers.wanted(containers.broker_image()):
        with containers.broker() as container:
            management = Management(
                f"http://{container.host}:{container.management_port}", container.user, container.password
            )
            wait_until(management.answers, within=90, what="the broker's container answers")
            yield BrokerServer(
                host=container.host,
                port=container.amqp_port,
                user=container.user,
                password=container.password,
                management=management,
            )
    else:
        with private_broker(folder) as server:
            yield server


@contextmanager
def private_broker(folder: Path) -> Iterator[BrokerServer]:
    """A node of the caller's own, which may crash(), stop() and start_again(). Takes 5 s to start."""
    amqp, management, prometheus, distribution, epmd = free_ports(5)
    settings = BrokerSettings(
        ports=BrokerPorts(
            amqp=amqp, management=management, prometheus=prometheus, distribution=distribution, epmd=epmd
        ),
        user="postroom",
        password=secrets.token_hex(8),
        cookie=secrets.token_hex(16),
        vhost="postroom",
        disk_free_limit="100MB",
        statistics_interval=500,
    )
    node = Broker(
        settings,
        folder=folder,
        log=folder / "rabbitmq.log",
        owner=str(folder),
        environ=os.environ,
    )
    try:
        node.start()
        node.wait_ready(90)
        yield BrokerServer(
            host="127.0.0.1",
            port=amqp,
            user=settings.user,
            password=settings.password,
            management=node.management,
            node=node,
        )
    finally:
        # Nobody needs its data any more, and an orderly shutdown takes 8 s.
        node.kill()
        node.stop(5)


def quorum_queues_are_on_disk(folder: Path) -> bool:
    """Whether a node with this folder would know all its quorum queues after a crash."""
    for names in folder.glob("mnesia/*/quorum/*/names.dets"):
        known = names.read_bytes()
        if not all(queue.name.encode() in known for queue in names.parent.iterdir() if queue.is_dir()):
            return False
    return True


def _given_broker(amqp_url: str) -> BrokerServer:
    """AMQP_URL's user must be an administrator; POSTROOM_MANAGEMENT_URL says where the management API is."""
    url = urlsplit(amqp_url)
    host = url.hostname or "127.0.0.1"
    user, password = url.username or "guest", url.password or "guest"
    management_url = os.environ.get("POSTROOM_MANAGEMENT_URL", f"http://{host}:15672")
    return BrokerServer(
        host=host,
        port=url.port or 5672,
        user=user,
        password=password,
        management=Management(management_url, user, password),
    )
