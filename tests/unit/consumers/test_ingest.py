import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from consumers.batch_consumer import BatchConsumer
from consumers.ingest import ingest_consumer
from consumers.ingest_accepting import REUSED
from consumers.ingest_message import content_hash
from delivery.bootstrap import ConsumerParts
from delivery.broker.outbox import Outbox
from delivery.contract.send import SendContract
from delivery.domain.emails import EmailRequest, NewEmail, Standing
from delivery.domain.idempotency import KEPT, KeyRecord
from delivery.domain.inserted import Inserted
from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedEmail
from delivery.domain.tenants import Tenant
from tests.unit.consumers.fakes import Incoming, Publisher, consume
from tests.unit.delivery.builders import standing
from topology import names
from topology.definition import postroom_topology

BODY = b'{"sender": "a@example.com", "recipient": "b@example.com", "message": "m"}'
OTHER = POISON = BODY.replace(b'"m"', b'"n"')
LATE = BODY.replace(b"}", b', "expires_at": "2001-01-01T00:00:00Z"}')


class Emails:
    """A store that does not take an email with this content."""

    def __init__(self) -> None:
        self.stored: dict[str, NewEmail] = {}
        self.refused_content: str | None = None
        self.keys = Keys()
        self.rejected = Publisher()

    def standings(self, email_ids: Iterable[str]) -> dict[str, Standing]:
        return {i: standing(email_id=i) for i in email_ids if i in self.stored}

    def insert(self, new: Sequence[NewEmail]) -> Inserted:
        known = frozenset(email.email_id for email in new) & self.stored.keys()
        failed = frozenset(e.email_id for e in new if e.content_hash == self.refused_content)
        self.stored |= {e.email_id: e for e in new if e.email_id not in known | failed}
        return Inserted(known, failed)

    def owing(self, email_ids: Iterable[str]) -> list[OwedEmail]:
        return []

    def content_hashes(self, email_ids: Iterable[str]) -> dict[str, str]:
        return {i: self.stored[i].content_hash or "" for i in email_ids if i in self.stored}


class Keys:
    """Records of idempotency keys."""

    def __init__(self) -> None:
        self.records: dict[str, KeyRecord] = {}

    def insert(self, records: Sequence[KeyRecord]) -> Inserted:
        known = frozenset(record.record_id for record in records) & self.records.keys()
        self.records |= {r.record_id: r for r in records if r.record_id not in known}
        return Inserted(known)

    def find(self, record_ids: Iterable[str]) -> dict[str, KeyRecord]:
        return {i: self.records[i] for i in record_ids if i in self.records}

    def replace(self, old: KeyRecord, new: KeyRecord) -> bool:
        self.records[old.record_id] = new
        return True


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
            publisher=emails.rejected,
            replies=Publisher(),
            store=SimpleNamespace(emails=emails, tenants=NoTenants(), idempotency_keys=emails.keys),
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


def _keyed(key: str, *, message_id: str, body: bytes = BODY) -> Incoming:
    return Incoming(body=body, message_id=message_id, headers={"idempotency-key": key})


def _contents(emails: Emails) -> list[str]:
    return sorted(email.request.content.message for email in emails.stored.values())


def _reasons(emails: Emails) -> list[object]:
    return [message.headers["reason"] for message in emails.rejected.messages]


@pytest.mark.parametrize("are_together", [True, False])
def test_what_was_refused_uses_up_no_key(are_together: bool) -> None:
    """Else the same content under a message_id of its own would be answered, and never sent."""
    emails = Emails()
    batches = [_keyed("a", message_id="1"), _keyed("b", message_id="1", body=OTHER)]
    for batch in [batches] if are_together else [[message] for message in batches]:
        _consume(*batch, emails=emails)
    assert _reasons(emails) == [REUSED]
    _consume(_keyed("b", message_id="2", body=OTHER), emails=emails)
    assert _contents(emails) == ["m", "n"]


def test_after_a_day_a_key_is_none_for_another_content_of_a_used_message_id() -> None:
    emails = Emails()
    _consume(_keyed("a", message_id="1"), emails=emails)
    emails.keys.records = {
        i: replace(r, created_at=r.created_at - KEPT) for i, r in emails.keys.records.items()
    }
    _consume(_keyed("a", message_id="1", body=OTHER), emails=emails)
    assert _reasons(emails) == [REUSED]
    _consume(_keyed("a", message_id="2", body=OTHER), emails=emails)
    assert _contents(emails) == ["m", "n"]


def test_what_was_begun_under_a_message_id_comes_before_other_content() -> None:
    emails = Emails()
    first, other = _keyed("a", message_id="1"), _keyed("b", message_id="1", body=OTHER)
    _consume(first, emails=emails)
    emails.stored.clear()  # as if it had died after the record
    _consume(other, _keyed("a", message_id="1"), emails=emails)
    assert (_reasons(emails), _contents(emails)) == ([REUSED], ["m"])


def test_with_a_key_the_order_of_fields_makes_no_other_content() -> None:
    emails = Emails()
    turned = json.dumps(dict(reversed(json.loads(BODY).items()))).encode()
    _consume(_keyed("a", message_id="1"), emails=emails)
    _consume(_keyed("a", message_id="1", body=turned), emails=emails)
    assert (_reasons(emails), _contents(emails)) == ([], ["m"])


def test_a_resend_finds_the_email_that_another_request_finished_under_its_key() -> None:
    emails = Emails()
    _consume(_keyed("a", message_id="1"), emails=emails)
    emails.stored = {i: replace(email, content_hash=None) for i, email in emails.stored.items()}
    _consume(_keyed("a", message_id="1"), emails=emails)
    assert (_reasons(emails), _contents(emails)) == ([], ["m"])


def test_what_a_process_with_a_faster_clock_began_is_finished_at_once() -> None:
    emails = Emails()
    _consume(_keyed("a", message_id="1"), emails=emails)
    (record,) = emails.keys.records.values()
    emails.keys.records = {record.record_id: replace(record, created_at=record.created_at + KEPT)}
    emails.stored.clear()
    assert _consume(_keyed("a", message_id="1"), emails=emails) == [["ack"]]
    assert _contents(emails) == ["m"]


def test_what_was_accepted_in_time_is_no_news_when_it_comes_again_too_late() -> None:
    emails = Emails()
    _consume(Incoming(body=BODY), emails=emails)
    accepted = content_hash(LATE, lane=Lane.BULK)
    emails.stored = {i: replace(email, content_hash=accepted) for i, email in emails.stored.items()}
    _consume(Incoming(body=LATE), Incoming(body=LATE, message_id="2"), emails=emails)
    assert _reasons(emails) == ["expires_at is in the past"], "that of the second message alone"
    assert len(emails.stored) == 1
