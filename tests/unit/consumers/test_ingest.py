import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any, cast

from consumers.batch_consumer import BatchConsumer
from consumers.ingest import ingest_consumer
from consumers.ingest_message import content_hash
from delivery.bootstrap import ConsumerParts
from delivery.broker.outbox import Outbox
from delivery.contract.send import SendContract
from delivery.domain.emails import EmailRequest, NewEmail
from delivery.domain.inserted import Inserted
from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedEmail
from delivery.domain.tenants import Tenant
from tests.unit.consumers.fakes import Incoming, Publisher, consume
from topology import names
from topology.definition import postroom_topology

BODY = b'{"sender": "a@example.com", "recipient": "b@example.com", "message": "m"}'
POISON = BODY.replace(b'"m"', b'"n"')


class Emails:
    """A store that does not take an email with this content."""

    def __init__(self) -> None:
        self.stored: dict[str, NewEmail] = {}
        self.refused_content: str | None = None

    def insert(self, new: Sequence[NewEmail]) -> Inserted:
        known = frozenset(email.email_id for email in new) & self.stored.keys()
        failed = frozenset(e.email_id for e in new if e.content_hash == self.refused_content)
        self.stored |= {e.email_id: e for e in new if e.email_id not in known | failed}
        return Inserted(known, failed)

    def owing(self, email_ids: Iterable[str]) -> list[OwedEmail]:
        return []

    def content_hashes(self, tenant_id: str, email_ids: Iterable[str]) -> dict[str, str]:
        return {email_id: self.stored[email_id].content_hash or "" for email_id in email_ids}


class NoTenants:
    def get(self, tenant_id: str) -> None:
        return None

    def of_amqp_users(self, users: Iterable[str]) -> dict[str, Tenant]:
        return {}


def _contract() -> SendContract:
    return SendContract(extra_fields=frozenset())


def _consume(
    *messages: Incoming, emails: Emails, make_contract: Callable[[], Any] = _contract
) -> list[list[str]]:
    async def publish(owed: Sequence[object]) -> int:
        return len(owed)

    def make() -> BatchConsumer:
        parts = SimpleNamespace(
            config=SimpleNamespace(api=SimpleNamespace(max_body_bytes=1000)),
            contract=make_contract(),
            publisher=Publisher(),
            replies=Publisher(),
            store=SimpleNamespace(emails=emails, tenants=NoTenants()),
            topology=postroom_topology(delay_steps=[]),
        )
        return ingest_consumer(names.INGEST_QUEUE, cast(ConsumerParts, parts), Outbox(publish))

    asyncio.run(consume(make, messages))
    return [message.verdicts for message in messages]


class SlowContract:
    """Reads a body only once the event loop it is made on has gone on meanwhile."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._contract = _contract()

    def parse(self, raw: bytes, **more: Any) -> EmailRequest:
        went_on = threading.Event()
        self._loop.call_soon_threadsafe(went_on.set)
        assert went_on.wait(10)
        return self._contract.parse(raw, **more)


def test_the_loop_goes_on_while_a_batch_is_read() -> None:
    emails = Emails()
    assert _consume(Incoming(body=BODY), emails=emails, make_contract=SlowContract) == [["ack"]]
    assert len(emails.stored) == 1


def test_one_that_the_store_does_not_take_goes_back_and_spoils_no_other() -> None:
    emails = Emails()
    emails.refused_content = content_hash(POISON, lane=Lane.BULK)
    messages = [Incoming(body=BODY, message_id="1"), Incoming(body=POISON, message_id="2")]
    assert _consume(*messages, emails=emails) == [["ack"], ["nack"]]
    assert len(emails.stored) == 1
