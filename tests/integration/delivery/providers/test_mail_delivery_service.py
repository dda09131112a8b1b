"""The adapter against the real simulator, and against a provider that breaks HTTP."""

import asyncio
import hashlib
import json
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from delivery.config import load_config
from delivery.domain.emails import Attachment, ClaimedEmail
from delivery.domain.outcomes import Answer, Outcome
from delivery.domain.unknowns import Found
from delivery.providers.mail_delivery_service import MailDeliveryService
from delivery.use_cases.ask_about_emails import LookUp
from tests.harness.deadline import wait_for_value
from tests.integration.simulator.running import Simulator, simulator
from tests.unit.delivery.builders import CONTENT, claimed

O = Outcome  # noqa: E741 - it heads a table
CONFIG = """
[provider]
connect_timeout = "500ms"
total_timeout = "2s"
[claims]
lease = "90s"
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[Simulator]:
    with simulator("--control-port", "0", "--extended") as running:
        yield running


@pytest.fixture(autouse=True)
def _healthy(provider: Simulator) -> None:
    provider.delete("/_faults")


def email(tags: str = "", **content: Any) -> ClaimedEmail:
    """``tags``: fault tags of the simulator."""
    recipient = f"fault+{tags}@example.com" if tags else "ann@example.com"
    changed = replace(CONTENT, **{"recipient": recipient, **content})
    return claimed(email_id=str(uuid.uuid4()), content=changed)


@asynccontextmanager
async def adapter(url: str, folder: Path, *, config: str = CONFIG) -> AsyncIterator[MailDeliveryService]:
    path = folder / "postroom.toml"
    path.write_text(config, encoding="utf-8")
    loaded = load_config({"POSTROOM_CONFIG": str(path), "PROVIDER_URL": url})
    service = MailDeliveryService(loaded.provider)
    try:
        yield service
    finally:
        await service.close()


@pytest.fixture
def submit(provider: Simulator, tmp_path: Path) -> Callable[..., list[Answer]]:
    """Submits these emails at the same time; to the simulator, unless told otherwise."""

    def submit(*emails: ClaimedEmail, url: str | None = None) -> list[Answer]:
        async def all_at_once() -> list[Answer]:
            async with adapter(url or provider.url, tmp_path) as service:
                return await asyncio.gather(*(service.submit(email) for email in emails))

        return asyncio.run(all_at_once())

    return submit


SubmitAll = Callable[..., list[Answer]]

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


# Its status endpoint


@pytest.fixture
def look_up(provider: Simulator, tmp_path: Path) -> Callable[..., list[LookUp]]:
    """Asks about these ids one after the other; the simulator, unless told otherwise."""

    def look_up(*email_ids: str, url: str | None = None) -> list[LookUp]:
        async def one_by_one() -> list[LookUp]:
            async with adapter(url or provider.url, tmp_path) as service:
                return [await service.look_up(email_id) for email_id in email_ids]

        return asyncio.run(one_by_one())

    return look_up


LookUpAll = Callable[..., list[LookUp]]

KNOWN = {
    "webhook-late.9999": Found.ACCEPTED,
    "webhook-lost": Found.DELIVERED,
    "webhook-lost+webhook-rejected": Found.REJECTED,
    "webhook-lost+webhook-failed": Found.FAILED,
    "error": Found.NEVER_SEEN,
    "504-then-accept.9999": Found.NEVER_SEEN,
}


def test_the_status_endpoint_tells_what_became_of_an_email(
    provider: Simulator, submit: SubmitAll, look_up: LookUpAll
) -> None:
    provider.faults(status_budget=None, webhook_delay=0)
    emails = {tags: email(tags) for tags in KNOWN}
    submit(*emails.values())

    def told() -> list[Found]:
        return [answer.found for answer in look_up(*(email.email_id for email in emails.values()))]

    wait_for_value(told, list(KNOWN.values()), within=30, what="each email is where its tags bring it")
    provider.delete("/_log")


def test_a_status_endpoint_that_has_had_enough_says_for_how_long(
    provider: Simulator, look_up: LookUpAll
) -> None:
    provider.delete("/_log")
    provider.faults(status_budget=1, status_ban=77)
    never, too_many, banned = look_up("a", "b", "c")
    assert never == LookUp(Found.NEVER_SEEN)
    assert too_many == LookUp(Found.CANT_TELL, pause=timedelta(seconds=77))
    assert banned == LookUp(Found.CANT_TELL, pause=timedelta(minutes=5))
    provider.delete("/_log")


def test_a_provider_that_is_down_can_tell_nothing(provider: Simulator, look_up: LookUpAll) -> None:
    for mode in ("refuse", "503"):
        provider.faults(down={"mode": mode, "seconds": None})
        assert look_up("a") == [LookUp(Found.CANT_TELL)]


@pytest.mark.parametrize("answer", [None, b"", b"nonsense\r\n\r\n"], ids=["hangs up", "hangs", "nonsense"])
def test_an_answer_that_is_none_tells_nothing(tmp_path: Path, answer: bytes | None) -> None:
    async def talk() -> LookUp:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer or b"")
            if answer != b"":
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with (
            server,
            adapter(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", tmp_path) as service,
        ):
            return await service.look_up("a")

    assert asyncio.run(talk()) == LookUp(Found.CANT_TELL)


def test_a_check_does_not_wait_until_a_submission_has_left(provider: Simulator, tmp_path: Path) -> None:
    """Every slot of the process is taken by a call that hangs."""

    async def ask_meanwhile() -> LookUp:
        patient = CONFIG.replace('total_timeout = "2s"', 'total_timeout = "40s"')
        async with adapter(provider.url, tmp_path, config=patient) as service:
            calls = [asyncio.create_task(service.submit(email("hang"))) for _ in range(32)]
            await asyncio.to_thread(
                wait_for_value,
                lambda: provider.summary()["in_flight"],
                len(calls),
                within=30,
                what="all calls are out",
            )
            answer = await service.look_up("a")
            assert not any(call.done() for call in calls)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            return answer

    assert asyncio.run(ask_meanwhile()) == LookUp(Found.NEVER_SEEN)


# A provider, or what stands before it, that breaks HTTP

Connection = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
ACCEPTED = b'{"STATUS":"ACCEPTED"}'


def _answer(status: str, body: bytes, *, length: int | None = None, more: str = "") -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{more}\r\n".encode() + body


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    """The body of one request; empty if the connection ends before one comes."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return await reader.readexactly(int(lengths[0].partition(b":")[2]))


class RawProvider:
    """Answers each request with the next of these bytes; None closes the connection instead."""

    def __init__(self, *answers: bytes | None, closes_after_each: bool = False) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.closed = asyncio.Event()
        self._closes_after_each = closes_after_each

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while body := await _read_request(reader):
            self.requests.append(body)
            answer = self.answers.pop(0)
            if answer is None:
                break
            writer.write(answer)
            if self._closes_after_each:
                break
        writer.close()
        await writer.wait_closed()
        self.closed.set()


def _talk(
    raw: Callable[[], RawProvider], folder: Path, calls: int = 1
) -> tuple[list[Answer], Sequence[bytes]]:
    """Submit so many emails one after the other; returns the answers and what the provider received."""

    async def talk() -> tuple[list[Answer], Sequence[bytes]]:
        provider = raw()
        server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        answers = []
        async with server, adapter(url, folder) as service:
            for number in range(calls):
                if number and provider._closes_after_each:
                    await provider.closed.wait()
                    provider.closed.clear()
                    await asyncio.to_thread(int)  # a turn of the loop, which shows the adapter the end
                answers.append(await service.submit(email()))
        return answers, provider.requests

    return asyncio.run(talk())


BROKEN = {
    "hangs up": (None, O.UNKNOWN),
    "says nothing": (b"", O.UNKNOWN),
    "says nonsense": (b"nonsense\r\n\r\n", O.UNKNOWN),
    "says yes": (_answer("200 OK", ACCEPTED), O.ACCEPTED),
    "breaks off": (_answer("200 OK", ACCEPTED, length=500), O.UNKNOWN),
    "breaks off an error": (_answer("500 Oops", b'{"STATUS":"ERR', length=500), O.UNKNOWN),
    "says far too much": (_answer("200 OK", b" " * 200_000 + ACCEPTED), O.UNKNOWN),
    "redirects": (_answer("302 Found", b"", more="Location: http://127.0.0.1:1/\r\n"), O.MISCONFIGURED),
    "says that it is compressed": (_answer("200 OK", ACCEPTED, more="Content-Encoding: gzip\r\n"), O.UNKNOWN),
}


@pytest.mark.parametrize(("answer", "outcome"), BROKEN.values(), ids=BROKEN)
def test_broken_answers_are_taken_for_what_they_are(
    tmp_path: Path, answer: bytes | None, outcome: Outcome
) -> None:
    answers, requests = _talk(lambda: RawProvider(answer, closes_after_each=answer != b""), tmp_path)
    assert [answer.outcome for answer in answers] == [outcome]
    assert len(requests) == 1


def test_an_unknown_outcome_is_not_tried_again_by_the_client_itself(tmp_path: Path) -> None:
    """A kept connection that breaks under the second call: the call went out, and nobody knows."""
    answers, requests = _talk(lambda: RawProvider(_answer("200 OK", ACCEPTED), None), tmp_path, calls=2)
    assert [answer.outcome for answer in answers] == [O.ACCEPTED, O.UNKNOWN]
    ids = [json.loads(request)["request_id"] for request in requests]
    assert len(ids) == len(set(ids)) == 2


def test_a_kept_connection_that_the_provider_closed_between_two_calls_is_replaced(tmp_path: Path) -> None:
    yes = _answer("200 OK", ACCEPTED)
    answers, requests = _talk(lambda: RawProvider(yes, yes, closes_after_each=True), tmp_path, calls=2)
    assert [answer.outcome for answer in answers] == [O.ACCEPTED, O.ACCEPTED]
    assert len(requests) == 2


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
