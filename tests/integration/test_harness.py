"""The harness itself: what other tests rely on."""

from collections.abc import Callable
from urllib.parse import urlsplit

import pymongo
import pytest
from pymongo.errors import NetworkTimeout, PyMongoError

from tests.harness.amqp import Outgoing
from tests.harness.broker import BrokerServer, VirtualHost
from tests.harness.deadline import wait_until
from tests.harness.line import Line
from tests.harness.store import StoreDatabase, StoreServer


def test_every_test_has_a_virtual_host_of_its_own(vhost: VirtualHost) -> None:
    vhost.server.management.request("PUT", "queues", vhost.name, "letters", json={"durable": True})
    vhost.amqp.publish("", "letters", [Outgoing(body={"n": n}) for n in range(250)])

    assert vhost.depth("letters") == 250


def test_an_operator_moves_messages_with_a_real_shovel(vhost: VirtualHost) -> None:
    for queue in ("here", "there"):
        vhost.server.management.request("PUT", "queues", vhost.name, queue, json={"durable": True})
    vhost.amqp.publish("", "here", [Outgoing(body={"n": n}) for n in range(250)])

    vhost.move_messages("here", "there")

    assert (vhost.depth("here"), vhost.depth("there")) == (0, 250)


def test_every_test_has_a_database_of_its_own(database: StoreDatabase) -> None:
    database["emails"].insert_one({"_id": 1})

    assert database["emails"].count_documents({}) == 1


def test_a_killed_broker_comes_back_with_its_messages(own_broker: Callable[[], BrokerServer]) -> None:
    server = own_broker()
    with server.vhost() as vhost:
        queue = {"durable": True, "arguments": {"x-queue-type": "quorum"}}
        server.management.request("PUT", "queues", vhost.name, "letters", json=queue)
        vhost.amqp.publish("", "letters", [Outgoing(body={"n": n}) for n in range(100)])

        server.crash()
        server.start_again()

        wait_until(lambda: vhost.depth("letters") == 100, within=30, what="all letters are back")


def test_a_killed_store_comes_back_with_its_documents(own_store: Callable[[], StoreServer]) -> None:
    server = own_store()
    with server.database() as database:
        durable = database["emails"].with_options(write_concern=pymongo.WriteConcern("majority", j=True))
        durable.insert_many([{"_id": n} for n in range(100)])

        server.crash()
        server.start_again()

        assert database["emails"].count_documents({}) == 100


def test_a_line_can_be_cut_stalled_and_restored(
    own_store: Callable[[], StoreServer], line_to: Callable[[int], Line]
) -> None:
    server = own_store()
    line = line_to(urlsplit(server.uri).port or 0)
    client: pymongo.MongoClient[dict[str, int]] = pymongo.MongoClient(
        f"mongodb://127.0.0.1:{line.port}/?directConnection=true&retryWrites=false&retryReads=false",
        serverSelectionTimeoutMS=500,
        socketTimeoutMS=500,
    )

    assert client.admin.command("ping")["ok"]
    line.cut()
    with pytest.raises(PyMongoError):
        client.admin.command("ping")
    line.restore()
    assert wait_until(lambda: client.admin.command("ping")["ok"], within=20, what="the line is back")
    line.stall()
    with pytest.raises(PyMongoError):
        client.admin.command("ping")
    line.restore()
    assert wait_until(lambda: client.admin.command("ping")["ok"], within=20, what="the line is back")
    client.close()


def test_the_connections_of_a_line_can_be_lost_without_a_word(
    own_store: Callable[[], StoreServer], line_to: Callable[[int], Line]
) -> None:
    line = line_to(urlsplit(own_store().uri).port or 0)
    uri = f"mongodb://127.0.0.1:{line.port}/?directConnection=true&retryWrites=false&retryReads=false"
    before: pymongo.MongoClient[dict[str, int]] = pymongo.MongoClient(uri, socketTimeoutMS=500)
    after: pymongo.MongoClient[dict[str, int]] = pymongo.MongoClient(uri)
    assert before.admin.command("ping")["ok"]
    line.lose_connections()
    with pytest.raises(NetworkTimeout):
        before.admin.command("ping")
    assert after.admin.command("ping")["ok"]
    before.close()
    after.close()
