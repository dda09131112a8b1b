"""Submitting to the real simulator, with each of its faults."""

import hashlib
import socket
import uuid
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest

from delivery.domain.emails import Attachment
from delivery.domain.outcomes import Answer, Outcome
from tests.integration.delivery.providers.mail_delivery_service.calling import email
from tests.integration.delivery.providers.mail_delivery_service.conftest import SubmitAll
from tests.integration.simulator.running import Simulator, simulator
from tests.unit.delivery.builders import CONTENT

O = Outcome  # noqa: E741 - it heads a table

# What each fault of the simulator must be taken for, and whether the provider has the email then.
FAULTS = [
    ("", O.ACCEPTED, True),
    ("slow.0.5", O.ACCEPTED, True),
    ("reject", O.REJECTED, False),
    ("413", O.REJECTED, False),
    ("422", O.REJECTED, False),
    ("429", O.THROTTLED, False),
    ("401", O.MISCONFIGURED, False),
    ("403", O.MISCONFIGURED, False),
    ("404", O.MISCONFIGURED, False),
    ("error", O.UNAVAILABLE, False),
    ("200-error", O.UNAVAILABLE, False),
    ("408", O.UNAVAILABLE, False),
    ("503", O.UNAVAILABLE, False),
    ("502", O.UNKNOWN, False),
    ("504-never", O.UNKNOWN, False),
    ("504-then-accept.0", O.UNKNOWN, True),
    ("garbage-200", O.UNKNOWN, True),
    ("garbage-200-lost", O.UNKNOWN, False),
    ("garbage-500", O.UNKNOWN, False),
    ("hang", O.UNKNOWN, False),
    ("hang-accepted", O.UNKNOWN, True),
    ("slow.3", O.UNKNOWN, True),
    ("reset-before", O.UNKNOWN, False),
    ("reset-after", O.UNKNOWN, True),
    ("reset-after-lost", O.UNKNOWN, False),
]


def test_each_fault_is_taken_for_what_it_is_and_what_was_accepted_is_never_taken_for_unsent(
    provider: Simulator, submit: SubmitAll
) -> None:
    provider.delete("/_log")
    emails = {tags: email(tags) for tags, _, _ in FAULTS}
    answers = dict(zip(emails, submit(*emails.values()), strict=True))
    assert {tags: answer.outcome for tags, answer in answers.items()} == {
        tags: outcome for tags, outcome, _ in FAULTS
    }
    provider.wait_until_quiet()
    accepted = {emails[tags].email_id for tags, _, is_accepted in FAULTS if is_accepted}
    assert set(provider.summary()["accepted_ids"]) == accepted


def test_the_contract_is_kept_to_the_letter(provider: Simulator, submit: SubmitAll) -> None:
    """The simulator answers 400 to a body with a field too much or too few."""
    plain, extended = email(), email(subject="Hi", text="plain")
    assert [answer.outcome for answer in submit(plain, extended)] == [O.ACCEPTED] * 2
    received = {entry["request_id"]: entry for entry in provider.log()}
    assert received[plain.email_id]["recipient"] == "ann@example.com"
    assert received[plain.email_id]["message_length"] == len(CONTENT.message)


def test_any_text_arrives_whole(provider: Simulator, submit: SubmitAll) -> None:
    long = email(message="ünï – 😀\r\n\0" * 10_000)
    (answer,) = submit(long)
    assert answer.outcome is O.ACCEPTED
    received = {entry["request_id"]: entry for entry in provider.log()}
    assert received[long.email_id]["message_length"] == len(long.content.message)


def test_a_throttled_email_is_told_how_long_to_wait(provider: Simulator, submit: SubmitAll) -> None:
    provider.faults(retry_after=7)
    (answer,) = submit(email("429"))
    assert answer.retry_after == timedelta(seconds=7)


def test_a_refused_connection_is_unavailable(provider: Simulator, submit: SubmitAll) -> None:
    provider.faults(down={"mode": "refuse", "seconds": None})
    (answer,) = submit(email())
    assert answer == Answer(O.UNAVAILABLE, "not connected: ConnectionRefusedError")
    provider.faults(down=None)
    (answer,) = submit(email())
    assert answer.outcome is O.ACCEPTED


@pytest.mark.parametrize(
    "url", ["http://no-such-host.invalid", "https://127.0.0.1:{port}"], ids=["no such host", "no TLS"]
)
def test_a_provider_that_cant_be_reached_is_unavailable(
    provider: Simulator, submit: SubmitAll, url: str
) -> None:
    (answer,) = submit(email(), url=url.format(port=provider.url.rpartition(":")[2]))
    assert answer.outcome is O.UNAVAILABLE


def test_a_connection_that_does_not_come_about_in_time_is_unavailable(submit: SubmitAll) -> None:
    with closing(socket.socket()) as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for other in waiting:
            other.setblocking(False)
            other.connect_ex(address)
        (answer,) = submit(email(), url=f"http://127.0.0.1:{address[1]}")
        for other in waiting:
            other.close()
    assert answer == Answer(O.UNAVAILABLE, "not connected: TimeoutError")


def test_an_extended_provider_gets_all_that_an_email_has_and_every_byte(submit: SubmitAll) -> None:
    """Attachments leave in pieces, whose ends are not those of the base64's groups of three bytes."""
    bodies = (bytes(range(256)) * 800 + b"!", b"x")
    rich = email(
        message="",
        html="<p>Hello</p>",
        subject="Hi",
        sender_name="Bücher & Mehr",
        to=("ben@example.com",),
        cc=("cat@example.com",),
        bcc=("dan@example.com",),
        reply_to=("desk@example.com",),
        headers=(("X-Order", "4711"),),
        in_reply_to=str(uuid.uuid4()),
        attachments=(
            Attachment(filename="a.bin", size=len(bodies[0]), content_type="application/octet-stream"),
            Attachment(filename='"b".txt', size=1),
        ),
    )
    with simulator("--extended") as extended:
        (answer,) = submit(replace(rich, attached=bodies), url=extended.url)
        (entry,) = extended.log()
    assert answer.outcome is O.ACCEPTED
    assert entry["recipients"] == list(rich.content.recipients)
    digests = [hashlib.sha256(body).hexdigest() for body in bodies]
    assert [each["sha256"] for each in entry["extra"].pop("attachments")] == digests
    assert entry["extra"] == {
        "html": 12,
        "subject": "Hi",
        "sender_name": "Bücher & Mehr",
        "to": ["ben@example.com"],
        "cc": ["cat@example.com"],
        "bcc": ["dan@example.com"],
        "reply_to": ["desk@example.com"],
        "headers": {"X-Order": "4711"},
        "in_reply_to": rich.content.in_reply_to,
    }
