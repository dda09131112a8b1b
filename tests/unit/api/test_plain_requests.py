from itertools import chain

import pytest
from gunicorn.config import Config
from gunicorn.http import RequestParser
from hypothesis import given
from hypothesis import strategies as st

from api.plain_requests import PlainRequest, read_plain

ORDINARY = (
    b"POST /send HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
)


def _with(field: bytes) -> bytes:
    return ORDINARY.replace(b"Host: localhost\r\n", b"Host: localhost\r\n" + field + b"\r\n")


def test_an_ordinary_request_is_read() -> None:
    headers = {"host": "localhost", "content-type": "application/json", "content-length": "2"}
    assert read_plain(ORDINARY) == PlainRequest("/send", headers, b"{}")


@pytest.mark.parametrize(
    "field",
    [b"User-Agent: x/1 (y; z)", b"Accept: */*", b"X-Signature:sha256=00", b"Connection: Keep-Alive"],
)
def test_what_else_its_head_says_is_no_matter(field: bytes) -> None:
    assert read_plain(_with(field)) is not None


@pytest.mark.parametrize(
    "received",
    [
        b"",
        ORDINARY[:-1],
        ORDINARY + b"P",
        ORDINARY + ORDINARY,
        ORDINARY.replace(b"POST", b"GET"),
        ORDINARY.replace(b"1.1", b"1.0"),
        ORDINARY.replace(b"/send", b"/send?wait=1"),
        ORDINARY.replace(b"/send", b"/%73end"),
        ORDINARY.replace(b"/send", b"http://localhost/send"),
        ORDINARY.replace(b"Host: localhost\r\n", b""),
        ORDINARY.replace(b"Length: 2", b"Length: +2"),
        ORDINARY.replace(b"Length: 2", b"Length: 02"),
        ORDINARY.replace(b"Content-Length: 2\r\n", b""),
        ORDINARY.replace(b"\r\n", b"\n"),
        ORDINARY.replace(b"localhost", b"a..b"),
        ORDINARY.replace(b"localhost", b"x" * 64),
        ORDINARY.replace(b"localhost", b"[::1"),
        ORDINARY.replace(b"localhost", b"a@b"),
        _with(b"Content-Length: 2"),
        _with(b"Host: elsewhere"),
        _with(b"Transfer-Encoding: chunked"),
        _with(b"Expect: 100-continue"),
        _with(b"Connection: close"),
        _with(b"Connection: upgrade"),
        _with(b"Prefer: wait=2"),
        _with(b"Content-Encoding: gzip"),
        _with(b" folded: x"),
        _with(b"X Y: z"),
        _with(b"X_Y: z"),
        _with(b"X-Forwarded-Ssl: on"),
        _with(b"Empty:"),
        _with(b"Bell: \a"),
        _with(b"Latin: \xe9"),
        _with(b"Long: " + b"x" * 5000),
        _with(b"\r\n".join(b"X-%d: y" % number for number in range(70))),
        ORDINARY.replace(b"Length: 2", b"Length: 70000")[:-2] + b"x" * 70000,
    ],
    ids=range(36),
)
def test_what_is_out_of_the_ordinary_is_left_to_gunicorn(received: bytes) -> None:
    assert read_plain(received) is None


_NAMES = st.sampled_from(
    [
        "Accept",
        "X-Forwarded-Proto",
        "X-Forwarded-Ssl",
        "X-Forwarded-Protocol",
        "Te",
        "Range",
        "Cookie",
        "Host",
    ]
)
_TEXTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=8)


@given(
    method=st.sampled_from(["POST", "post", "PUT"]),
    path=st.one_of(st.sampled_from(["/send", "//send", "*", "/webhooks/mail-delivery-service"]), _TEXTS),
    fields=st.lists(st.tuples(st.one_of(_NAMES, _TEXTS), st.one_of(st.just("https"), _TEXTS)), max_size=4),
    body=st.binary(max_size=4),
    more=st.integers(-1, 1),
)
def test_gunicorn_reads_the_same(
    method: str, path: str, fields: list[tuple[str, str]], body: bytes, more: int
) -> None:
    every = chain([("Host", "localhost")], fields, [("Content-Length", str(len(body) + more))])
    head = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in every), "", ""]
    received = "\r\n".join(head).encode("latin-1") + body
    plain = read_plain(received)
    if plain is not None:
        request = next(RequestParser(Config(), iter([received]), ("127.0.0.1", 1)))
        assert (request.method, request.path, request.query) == ("POST", plain.path, "")
        assert {name.lower(): value for name, value in request.headers} == plain.headers
        assert request.body is not None
        assert (request.body.read(), request.should_close()) == (plain.body, False)
