"""A provider, or what stands before it, that breaks HTTP."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from delivery.domain.outcomes import Answer, Outcome
from tests.integration.delivery.providers.mail_delivery_service.calling import adapter, email

O = Outcome  # noqa: E741 - it heads a table
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
