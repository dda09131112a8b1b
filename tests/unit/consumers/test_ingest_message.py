import json
import uuid
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from consumers.ingest_message import MAX_MESSAGE_ID, ReplyTo, keyed, read_ingest, reply_to
from delivery.broker.delivery import Message
from delivery.contract.send import SendContract
from delivery.domain.emails import NewEmail
from delivery.domain.errors import InvalidRequest, NotAllowed
from delivery.domain.lanes import Lane
from delivery.domain.tenants import THE_DEFAULT, Tenant
from delivery.use_cases.accept_once import KeyedRequest
from tests.unit.delivery.builders import NOW

VALID = {"sender": "shop@example.com", "recipient": "ann@example.com", "message": "Hello"}
ACME = Tenant(tenant_id="acme", lanes=frozenset({Lane.BULK}))
TENANTS = {"shop": THE_DEFAULT, "blog": THE_DEFAULT, "shop1": THE_DEFAULT, "acme-shop": ACME}
DIRECT = "amq.rabbitmq.reply-to.g1h3D3JlcGx5QGxvY2FsaG9zdAAAAp0AAAAAZ0Gl0w==.5Ni+2q/XT4KvQkRSNQxNsA=="


@dataclass
class Incoming:
    """What read_ingest looks at of a delivered message."""

    body: bytes = field(default_factory=lambda: json.dumps(VALID).encode())
    routing_key: str | None = "transactional.shop"
    user_id: str | None = "shop"
    message_id: str | None = "order-1"
    content_type: str | None = "application/json"
    reply_to: str | None = None
    correlation_id: str | None = None
    headers: dict[str, Any] = field(default_factory=dict)


def _incoming(**changes: Any) -> Message:
    return cast(Message, Incoming(**changes))


def _read(**changes: Any) -> NewEmail:
    return read_ingest(
        _incoming(**changes),
        tenants=TENANTS,
        contract=SendContract(extra_fields=frozenset()),
        max_body_bytes=1000,
        now=NOW,
    )


def _reason(**changes: Any) -> str:
    with pytest.raises(InvalidRequest) as refused:
        _read(**changes)
    return str(refused.value)


def test_a_message_becomes_an_email_of_its_routing_keys_lane() -> None:
    email = _read(routing_key="bulk.newsletter")
    assert email.request.lane is Lane.BULK
    assert email.request.content.recipient == "ann@example.com"
    assert (email.tenant_id, email.accepted_at) == ("default", NOW)


def test_an_email_is_its_users_tenants() -> None:
    assert _read(user_id="acme-shop", routing_key="bulk").tenant_id == "acme"


def test_what_its_tenant_may_not_send_is_refused() -> None:
    with pytest.raises(NotAllowed, match="lane critical"):
        _read(user_id="acme-shop", routing_key="critical")


@pytest.mark.parametrize("lane", list(Lane))
@pytest.mark.parametrize("rest", ["", ".shop", ".shop.eu"])
def test_the_first_word_of_the_routing_key_is_the_lane(lane: Lane, rest: str) -> None:
    assert _read(routing_key=f"{lane}{rest}").request.lane is lane


@pytest.mark.parametrize("routing_key", [None, "", "urgent.shop", "shop.bulk", "bulkier", "Bulk"])
def test_any_other_routing_key_is_refused(routing_key: str | None) -> None:
    expected = "the routing key must begin with critical, transactional, standard, bulk"
    assert _reason(routing_key=routing_key) == expected


# The id: what makes a resend harmless


def test_a_resend_of_the_same_message_is_the_same_email_with_the_same_content() -> None:
    assert _read() == _read()


def test_an_id_is_a_uuid_of_version_8() -> None:
    parsed = uuid.UUID(_read().email_id)
    assert (parsed.version, parsed.variant) == (8, uuid.RFC_4122)


def test_ids_differ_by_message_and_by_user() -> None:
    ids = {
        _read(message_id=message_id, user_id=user).email_id
        for message_id in ("1", "2", "a\u00e9")
        for user in ("shop", "blog", "shop1")
    }
    assert len(ids) == 9


def test_the_same_id_with_other_content_can_be_told_apart() -> None:
    other = json.dumps({**VALID, "message": "Bye"}).encode()
    assert _read().email_id == _read(body=other).email_id
    assert _read().content_hash != _read(body=other).content_hash


def test_the_same_id_in_another_lane_can_be_told_apart() -> None:
    assert _read(routing_key="bulk.shop").email_id == _read(routing_key="critical.shop").email_id
    assert _read(routing_key="bulk.shop").content_hash != _read(routing_key="critical.shop").content_hash
    assert _read(routing_key="bulk.shop").content_hash == _read(routing_key="bulk.blog").content_hash


def test_a_message_is_the_same_email_whichever_tenant_its_user_is_given_to() -> None:
    acme = _read(user_id="acme-shop", routing_key="bulk")
    before = read_ingest(
        _incoming(user_id="acme-shop", routing_key="bulk"),
        tenants={"acme-shop": THE_DEFAULT},
        contract=SendContract(extra_fields=frozenset()),
        max_body_bytes=1000,
        now=NOW,
    )
    assert acme.email_id == before.email_id
    assert (acme.tenant_id, before.tenant_id) == ("acme", "default")


# The idempotency key


def _keyed(**headers: Any) -> KeyedRequest | None:
    contract = SendContract(extra_fields=frozenset())
    return keyed(_incoming(headers=headers), _read(), contract=contract)


def test_without_the_header_there_is_no_key() -> None:
    assert _keyed(trace="1") is None


def test_the_headers_name_may_be_written_as_over_http() -> None:
    one, other = _keyed(**{"idempotency-key": "a"}), _keyed(**{"Idempotency-Key": "a"})
    assert one is not None
    assert one == other


@pytest.mark.parametrize(
    "headers",
    [
        {"idempotency-key": 7},
        {"idempotency-key": b"\xff"},
        {"idempotency-key": None},
        {"idempotency-key": ""},
        {"idempotency-key": "a", "Idempotency-Key": "b"},
    ],
)
def test_what_can_be_no_key_is_refused_rather_than_ignored(headers: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=r"(?i)idempotency-key"):
        _keyed(**headers)


# What is refused


@pytest.mark.parametrize("user_id", [None, ""])
def test_who_publishes_must_be_verified_by_the_broker(user_id: str | None) -> None:
    assert _reason(user_id=user_id) == "missing user_id property"


@pytest.mark.parametrize("message_id", [None, ""])
def test_a_message_id_is_required(message_id: str | None) -> None:
    assert _reason(message_id=message_id) == "missing message_id property"


@pytest.mark.parametrize(
    "message_id", ["a\0b", "a\nb", "\x7f", "x" * (MAX_MESSAGE_ID + 1), "\ud800"], ids=ascii
)
def test_a_message_id_is_printable_and_short(message_id: str) -> None:
    assert _reason(message_id=message_id) == "message_id must be at most 255 printable characters"


@pytest.mark.parametrize("content_type", [None, "", "application/json"])
def test_a_body_is_json_whether_it_says_so_or_not(content_type: str | None) -> None:
    assert _read(content_type=content_type)


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "json"])
def test_another_content_type_is_refused(content_type: str) -> None:
    assert _reason(content_type=content_type) == "content_type must be application/json"


@pytest.mark.parametrize("header", ["CC", "BCC"])
def test_headers_that_route_are_refused(header: str) -> None:
    assert header in _reason(headers={header: ["bulk"]})


def test_other_headers_are_nobodys_business() -> None:
    assert _read(headers={"trace": "1", "x-death": []})


def test_a_body_over_the_limit_is_refused() -> None:
    assert _reason(body=b"x" * 1001) == "body is larger than 1000 bytes"


@pytest.mark.parametrize("body", [b"", b"\xff\xfe\x00", b"<xml/>", b"[" * 30])
def test_garbage_is_refused(body: bytes) -> None:
    assert _reason(body=body) == "body is not JSON"


def test_a_bodys_faults_are_named_as_over_http() -> None:
    assert _reason(body=b'{"sender":"shop@example.com","message":"x"}') == "missing recipient field"


def test_a_body_that_contradicts_its_routing_key_is_refused() -> None:
    body = json.dumps({**VALID, "lane": "critical"}).encode()
    assert _reason(body=body, routing_key="bulk.shop").startswith("lane is critical in the body")


# Replies


@pytest.mark.parametrize("queue", [DIRECT, "reply.shop.1", "reply.shop."])
def test_a_reply_goes_where_the_service_itself_reads(queue: str) -> None:
    message = _incoming(reply_to=queue, correlation_id="7")
    assert reply_to(message) == ReplyTo(queue=queue, correlation_id="7")
    assert _read(reply_to=queue)


@pytest.mark.parametrize(
    "queue", ["reply.blog.1", "reply.shopping.1", "reply.shop", "email.bulk", "amq.rabbitmq.reply-to", "x"]
)
def test_a_reply_to_anywhere_else_is_refused_and_not_sent(queue: str) -> None:
    assert _reason(reply_to=queue) == "reply_to must be amq.rabbitmq.reply-to or begin with reply.<user>."
    assert reply_to(_incoming(reply_to=queue)) is None


@pytest.mark.parametrize(
    "token",
    [
        "",
        "!!!.x",
        "AAAA",
        "AAAA.",
        ".AAAA",
        "AAAA.AAAA.AAAA",
        "AAA.AAAA",
        "AAAA.AAA=A",
        "====.AAAA",
        "AA\n.AAAA",
    ],
)
def test_a_direct_reply_goes_only_to_what_the_broker_itself_can_have_made(token: str) -> None:
    queue = f"amq.rabbitmq.reply-to.{token}"
    assert _reason(reply_to=queue).startswith("reply_to must be")
    assert reply_to(_incoming(reply_to=queue)) is None


@pytest.mark.parametrize("queue", [None, ""])
def test_nobody_is_replied_to_who_did_not_ask(queue: str | None) -> None:
    assert reply_to(_incoming(reply_to=queue)) is None


def test_without_a_user_no_queue_of_a_user_is_replied_to() -> None:
    assert reply_to(_incoming(reply_to="reply.None.1", user_id=None)) is None
