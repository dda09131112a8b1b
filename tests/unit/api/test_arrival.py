import pytest

from api.arrival import MOST_HEAD, Arrival, Ending

LIMIT = 100
POST = b"POST /send HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

WHOLE = {
    "no body": b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
    "an empty line before it": b"\r\nGET /livez HTTP/1.1\r\n\r\n",
    "an empty body": POST + b"Content-Length: 0\r\n\r\n",
    "a body": POST + b"Content-Length: 5\r\n\r\nabcde",
    "a body of the largest size": POST + b"content-length:100\r\n\r\n" + b"x" * LIMIT,
    "chunks": CHUNKED + b"5\r\nabcde\r\nA;b=c\r\n0123456789\r\n0\r\n\r\n",
    "chunks that look like an end": CHUNKED + b"9\r\n0\r\n\r\n0\r\n\r\r\n0\r\n\r\n",
    "no chunks": CHUNKED + b"0\r\n\r\n",
    "chunks and trailers": CHUNKED + b"1\r\na\r\n0\r\nA: b\r\nC: d\r\n\r\n",
    "a compressed body in chunks": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
}
CUT_OFF = {
    "a length over the limit": POST + b"Content-Length: 101\r\n\r\n",
    "a length that is none": POST + b"Content-Length: abc\r\n\r\n",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a length that no machine holds": POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "two lengths": POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\n",
    "a length and chunks": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a coding that is not chunked": POST + b"Transfer-Encoding: rot13\r\n\r\n",
    "an expectation nobody knows": POST + b"Content-Length: 5\r\nExpect: wonders\r\n\r\n",
    "a chunk whose size is none": CHUNKED + b"zz\r\n",
    "a chunk over the limit": CHUNKED + b"1000\r\n" + b"x" * LIMIT,
    "chunks over the limit": CHUNKED + b"32\r\n" + b"x" * 50 + b"\r\n33\r\n" + b"x" * 50,
    "a size line without an end": CHUNKED + b"1;" + b"a" * 9000,
    "trailers without an end": CHUNKED + b"0\r\n" + b"a: b\r\n" * 20_000,
    "more framing than body": CHUNKED + (b"1;" + b"a" * 4000 + b"\r\nx\r\n") * 20,
}


def _fed(request: bytes, *, by: int) -> tuple[Ending | None, int]:
    """How it ends, and after how many bytes."""
    arrival = Arrival(most_body=lambda _: LIMIT)
    for start in range(0, len(request), by):
        arrival.feed(request[start : start + by])
        if arrival.ending is not None:
            break
    return arrival.ending, len(arrival.received)


@pytest.mark.parametrize("by", [1, 2, 3, 7])
@pytest.mark.parametrize("request_bytes", WHOLE.values(), ids=WHOLE)
def test_a_request_is_whole_with_its_last_byte_and_not_before(request_bytes: bytes, by: int) -> None:
    assert _fed(request_bytes, by=by) == (Ending.WHOLE, len(request_bytes))
    assert _fed(request_bytes[:-1], by=by)[0] is None


@pytest.mark.parametrize("by", [1, 1_000_000])
@pytest.mark.parametrize("request_bytes", CUT_OFF.values(), ids=CUT_OFF)
def test_of_what_will_be_refused_no_more_is_awaited(request_bytes: bytes, by: int) -> None:
    assert _fed(request_bytes, by=by)[0] is Ending.CUT_OFF


def test_of_a_body_over_the_limit_in_chunks_as_much_as_the_limit_is_awaited() -> None:
    assert _fed(CUT_OFF["chunks over the limit"][:-1], by=1)[0] is None
    assert _fed(CUT_OFF["a chunk over the limit"][:-1], by=1)[0] is None


def test_a_head_without_an_end_is_too_large() -> None:
    endless = b"GET /livez HTTP/1.1\r\n" + b"A: b\r\n" * MOST_HEAD
    ending, taken = _fed(endless, by=1000)
    assert ending is Ending.HEAD_TOO_LARGE
    assert taken < MOST_HEAD + 2000


def test_what_follows_a_whole_request_is_kept_with_it() -> None:
    two = WHOLE["a body"] + WHOLE["no body"]
    arrival = Arrival(most_body=lambda _: LIMIT)
    arrival.feed(two)
    assert (arrival.ending, bytes(arrival.received)) == (Ending.WHOLE, two)


@pytest.mark.parametrize("framing", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_a_client_that_waits_is_told_to_continue(framing: bytes) -> None:
    arrival = Arrival(most_body=lambda _: LIMIT)
    arrival.feed(POST + framing + b"\r\nExpect: 100-Continue\r\n\r\n")
    assert arrival.expects_continue
    assert arrival.ending is None


@pytest.mark.parametrize(
    "request_bytes",
    [
        POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\na",
        POST + b"Expect: 100-continue\r\nContent-Length: 0\r\n\r\n",
        POST + b"Expect: 100-continue\r\nContent-Length: 101\r\n\r\n",
        POST + b"Expect: 100-continue\r\n\r\n",
        POST.replace(b"1.1", b"1.0") + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        POST + b"Content-Length: 5\r\n\r\n",
    ],
)
def test_one_that_does_not_wait_or_will_be_refused_is_not(request_bytes: bytes) -> None:
    arrival = Arrival(most_body=lambda _: LIMIT)
    arrival.feed(request_bytes)
    assert not arrival.expects_continue


def test_a_client_that_sends_no_more_cuts_its_request_off() -> None:
    arrival = Arrival(most_body=lambda _: LIMIT)
    arrival.feed(POST)
    arrival.end()
    assert arrival.ending is Ending.CUT_OFF
