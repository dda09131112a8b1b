"""Services hand emails over by publishing to `email.ingest`."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from aio_pika.abc import AbstractIncomingMessage

from stack.management import put_service
from tests.e2e.conftest import Whole
from tests.harness.amqp import AmqpClient, Outgoing
from tests.harness.api import Api, email
from tests.harness.broker import VirtualHost
from tests.harness.deadline import wait_until
from tests.harness.replies import Replies
from tests.harness.store import StoreDatabase

LANES = ("critical", "transactional", "standard", "bulk")
MEBIBYTE = 1024 * 1024
WITHIN = 30.0


@pytest.fixture(scope="module")
def whole(start_whole: Callable[..., Whole]) -> Whole:
    return start_whole()


@pytest.fixture
def vhost(whole: Whole) -> VirtualHost:
    return whole.vhost


@pytest.fixture
def database(whole: Whole) -> StoreDatabase:
    return whole.database


@pytest.fixture
def api(whole: Whole) -> Api:
    return whole.system.api


@pytest.fixture
def publish(whole: Whole, service: AmqpClient) -> Iterator[Callable[..., None]]:
    """Publishes as the service; afterwards a good message still goes all the way."""

    def send(message: Outgoing, *, key: str = "transactional.shop") -> None:
        service.publish("email.ingest", key, [message])

    yield send
    answer = ask(service, outgoing(whole.vhost))
    whole.system.api.wait_for_status(answer["request_id"], "sent")


def outgoing(vhost: VirtualHost, **changes: Any) -> Outgoing:
    """A good message of the service, with a message_id of its own, and `changes`."""
    return replace(Outgoing(body=email(), user_id=vhost.service), **changes)


def ask(service: AmqpClient, message: Outgoing, *, key: str = "transactional.shop") -> dict[str, Any]:
    """Publish with direct reply-to and return the reply."""
    return service.call("email.ingest", key, message, within=WITHIN)


def take_rejected(vhost: VirtualHost) -> AbstractIncomingMessage:
    message = wait_until(
        lambda: vhost.amqp.take("email.rejected"), within=WITHIN, what="a message is in email.rejected"
    )
    assert message is not None
    return message


# Accepted


@pytest.mark.parametrize("lane", LANES)
def test_a_published_email_is_accepted_and_sent_in_the_lane_of_its_key(
    vhost: VirtualHost, service: AmqpClient, api: Api, database: StoreDatabase, lane: str
) -> None:
    answer = ask(service, outgoing(vhost), key=f"{lane}.shop")
    assert answer == {"status": "accepted", "request_id": answer["request_id"]}
    api.wait_for_status(answer["request_id"], "sent")
    stored = database["emails"].find_one({"_id": answer["request_id"]})
    assert stored is not None
    assert stored["lane"] == lane


def test_replies_come_to_the_services_own_queue_with_the_correlation_id(
    vhost: VirtualHost, service: AmqpClient
) -> None:
    replies = Replies(service, user=vhost.service)
    good = outgoing(vhost, reply_to=replies.queue, correlation_id="the good one")
    bad = outgoing(vhost, reply_to=replies.queue, correlation_id="the bad one", body=email(recipient=""))
    service.publish("email.ingest", "bulk.shop", [good, bad])
    answers = replies.take(2)
    assert answers["the good one"]["status"] == "accepted"
    assert answers["the bad one"] == {"status": "denied", "reason": "recipient is empty"}
    take_rejected(vhost)


def test_a_message_that_asks_for_no_reply_is_sent(
    vhost: VirtualHost, service: AmqpClient, database: StoreDatabase, api: Api
) -> None:
    service.publish("email.ingest", "standard.shop", [outgoing(vhost, body=email(message="no reply"))])
    stored = wait_until(
        lambda: database["emails"].find_one({"content.message": "no reply"}),
        within=WITHIN,
        what="it is stored",
    )
    assert stored is not None
    api.wait_for_status(stored["_id"], "sent")


def test_a_reply_that_nobody_awaits_any_more_changes_nothing(
    vhost: VirtualHost, service: AmqpClient, api: Api, whole: Whole
) -> None:
    message = outgoing(vhost, message_id="no-queue", reply_to=f"reply.{vhost.service}.gone")
    service.publish("email.ingest", "transactional.shop", [message])
    request_id = ask(service, outgoing(vhost, message_id="no-queue"))["request_id"]
    api.wait_for_status(request_id, "sent")
    whole.system.provider.assert_accepted_once([request_id])


def test_a_reply_raises_no_alarm_in_the_log(vhost: VirtualHost, service: AmqpClient, whole: Whole) -> None:
    ask(service, outgoing(vhost))  # the broker returns a mandatory direct reply though it delivers it
    service.publish("email.ingest", "bulk.shop", [outgoing(vhost, reply_to=f"reply.{vhost.service}.gone")])
    ask(service, outgoing(vhost))
    (consumers,) = whole.system.consumers
    assert "ERROR" not in consumers.log.read_text()


# Published again


def test_publishing_the_same_message_again_is_harmless_for_good(
    vhost: VirtualHost, service: AmqpClient, api: Api, whole: Whole, database: StoreDatabase
) -> None:
    replies = Replies(service, user=vhost.service)
    message = outgoing(vhost, message_id="order-4711", body=email(message="order 4711"))
    copies = [replace(message, reply_to=replies.queue, correlation_id=str(number)) for number in range(5)]
    for copy in copies:  # one by one: two in flight with one message_id swap their confirms
        service.publish("email.ingest", "transactional.shop", [copy])
    (request_id,) = {answer["request_id"] for answer in replies.take(5).values()}
    api.wait_for_status(request_id, "sent")
    assert ask(service, message) == {"status": "accepted", "request_id": request_id}
    assert database["emails"].count_documents({"content.message": "order 4711"}) == 1
    assert len(whole.system.provider.submissions_of(request_id)) == 1


def test_a_message_id_with_other_content_is_refused_and_kept(
    vhost: VirtualHost, service: AmqpClient, api: Api, whole: Whole
) -> None:
    first = ask(service, outgoing(vhost, message_id="order-4712"))
    second = outgoing(vhost, message_id="order-4712", body=email(message="something else"))
    assert ask(service, second) == {
        "status": "denied",
        "reason": "message_id was used before with other content",
    }
    kept = take_rejected(vhost)
    assert (kept.body, kept.headers["reason"]) == (
        second.message().body,
        "message_id was used before with other content",
    )
    api.wait_for_status(first["request_id"], "sent")
    assert len(whole.system.provider.submissions_of(first["request_id"])) == 1


def test_a_message_id_in_another_lane_is_refused(vhost: VirtualHost, service: AmqpClient, api: Api) -> None:
    first = outgoing(vhost, message_id="order-4713")
    request_id = ask(service, first, key="bulk.shop")["request_id"]
    denied = {"status": "denied", "reason": "message_id was used before with other content"}
    assert ask(service, first, key="critical.shop") == denied
    take_rejected(vhost)
    assert ask(service, first, key="bulk.shop") == {"status": "accepted", "request_id": request_id}
    api.wait_for_status(request_id, "sent")


def test_two_services_may_use_the_same_message_id(vhost: VirtualHost, service: AmqpClient, api: Api) -> None:
    other_user = f"other-{vhost.service}"
    put_service(vhost.server.management, vhost=vhost.name, user=other_user, password="known")
    other = AmqpClient(vhost.server.url(vhost.name, user=other_user, password="known"))
    ours = ask(service, outgoing(vhost, message_id="1"))
    theirs = ask(other, outgoing(vhost, message_id="1", user_id=other_user))
    other.close()
    assert ours["request_id"] != theirs["request_id"]
    api.wait_for_all([ours["request_id"], theirs["request_id"]], "sent", within=WITHIN)


# Refused


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "garbage": ({"body": b"\xff\x00 garbage"}, "body is not JSON"),
    "no object": ({"body": ["an", "array"]}, "body must be a JSON object"),
    "a missing field": ({"body": {"sender": "a@example.com", "message": "m"}}, "missing recipient field"),
    "another content type": ({"content_type": "text/plain"}, "content_type must be application/json"),
    "2 MiB": (
        {"body": email(message="x" * 2 * MEBIBYTE)},
        f"body is larger than {MEBIBYTE} bytes",
    ),
    "CC headers": (
        {"headers": {"CC": ["bulk.other"]}},
        "CC header is not allowed: to the broker it is a routing key",
    ),
    "a lane that contradicts the key": (
        {"body": email(lane="bulk")},
        "lane is bulk in the body but transactional in the routing key",
    ),
    "no user_id": ({"user_id": None}, "missing user_id property"),
    "a message_id with a line break": (
        {"message_id": "one\ntwo"},
        "message_id must be at most 255 printable characters",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_kept_with_the_reason(
    vhost: VirtualHost, publish: Callable[..., None], case: str
) -> None:
    changes, reason = REFUSED[case]
    message = outgoing(vhost, **changes)
    publish(message)
    kept = take_rejected(vhost)
    assert kept.headers["reason"] == reason
    assert kept.body == message.message().body
    assert kept.headers["routing_key"] == "transactional.shop"
    assert kept.headers["user_id"] == (message.user_id or "")
    assert vhost.depth("email.rejected") == 0


def test_a_message_without_message_id_is_refused_and_kept(
    vhost: VirtualHost, publish: Callable[..., None]
) -> None:
    # AMQP clients add one by themselves, and the management API publishes as its user.
    body = {
        "routing_key": "transactional.shop",
        "payload": "{}",
        "payload_encoding": "string",
        "properties": {"user_id": vhost.server.user},
    }
    management = vhost.server.management
    management.request("POST", "exchanges", vhost.name, "email.ingest", "publish", json=body)
    assert take_rejected(vhost).headers["reason"] == "missing message_id property"


@pytest.mark.parametrize("queue", ["reply.bank.answers", "email.critical"])
def test_a_reply_to_somebody_elses_queue_is_refused_and_gets_no_reply(
    vhost: VirtualHost, publish: Callable[..., None], queue: str
) -> None:
    if queue != "email.critical":
        vhost.server.management.request("PUT", "queues", vhost.name, queue, json={"durable": True})
    publish(outgoing(vhost, reply_to=queue))
    kept = take_rejected(vhost)
    assert kept.headers["reason"] == "reply_to must be amq.rabbitmq.reply-to or begin with reply.<user>."
    assert vhost.depth(queue) == 0


def test_a_denied_message_is_answered_with_the_reason(vhost: VirtualHost, service: AmqpClient) -> None:
    assert ask(service, outgoing(vhost, body=b"garbage")) == {
        "status": "denied",
        "reason": "body is not JSON",
    }
    take_rejected(vhost)


def test_bad_messages_spoil_no_good_ones_beside_them(
    vhost: VirtualHost, service: AmqpClient, api: Api, whole: Whole
) -> None:
    replies = Replies(service, user=vhost.service)
    good = [outgoing(vhost, reply_to=replies.queue, correlation_id=str(n)) for n in range(20)]
    bad = [outgoing(vhost, body=b"garbage") for _ in range(20)]
    service.publish(
        "email.ingest", "bulk.shop", [message for pair in zip(good, bad, strict=True) for message in pair]
    )
    request_ids = [answer["request_id"] for answer in replies.take(20).values()]
    api.wait_for_all(request_ids, "sent", within=60)
    whole.system.provider.assert_accepted_once(request_ids)
    assert [take_rejected(vhost).body for _ in bad] == [b"garbage"] * 20


def test_a_key_of_no_lane_is_kept_in_unrouted(vhost: VirtualHost, publish: Callable[..., None]) -> None:
    publish(outgoing(vhost, body=email(message="urgent")), key="urgent.shop")
    kept = vhost.amqp.take("unrouted")
    assert kept is not None
    assert kept.body == outgoing(vhost, body=email(message="urgent")).message().body
