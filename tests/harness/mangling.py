"""Requests that nobody should make: valid ones with something wrong in them, and bytes.

Hypothesis draws; what is drawn says all, so that a failing input can be made again.
"""

import json
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

Json = Any

LONG = "x" * 5000
TEXTS = [
    "",
    " ",
    "\0",
    "a\r\nBcc: b@example.com",
    "\ud800",
    "\u202egnp.exe",
    "\u2028",
    "é" * 300,
    "👩‍👩‍👧" * 90,
    LONG,
    "a@b",
    "@",
    "a@[127.0.0.1]",
    '"a b"@example.com',
    "Ann <ann@example.com>",
    "ann@exämple.com",
    f"{'a' * 65}@example.com",
    "<script>",
    "{{7*7}}",
    "%s%n",
    "$where",
    "2030-01-31T12:00:00Z",
    "9999-12-31T23:59:59.999999-23:59",
    "0001-01-01T00:00:00+23:59",
    "2030-W01-1T00:00:00+00:00",
    "01a201dd-46e8-75da-aeb0-7ae16905b066",
    "====",
    "aGVsbG8=",
]
NUMBERS = [0, -1, 1, 3, 5.0, 1.5, 2**31, 2**63, 2**64, -(2**63) - 1, 10**300, 1e308, 10**4000]
NESTED: list[Json] = [[], {}, [[]], {"a": {"a": {}}}, ["a@b.example"] * 60, {"$gt": ""}, {"": None}, [None]]
KNOWN: st.SearchStrategy[Json] = st.sampled_from([*TEXTS, *NUMBERS, *NESTED, None, True, False])
VALUES = KNOWN.map(deepcopy) | st.text(max_size=8) | st.floats()
NAMES = st.sampled_from(["", "$where", "a.b", "_id", "__proto__", "constructor", "\ud800", LONG, "tenant_id"])
RAW = [b"", b"{", b"[", b'"', b"\xff", b"\0", b",", b"}", b"]", b"1e999", b"NaN", b"\\u0000", b"\\ud800"]


@st.composite
def changed(draw: st.DrawFn, valid: Sequence[dict[str, Json]]) -> Json:
    """One of these with up to two of its values changed, taken away or added, however deep they are."""
    body: Json = json.loads(json.dumps(draw(st.sampled_from(valid))))
    for _ in range(draw(st.integers(0, 2))):
        place: Json = body
        while True:
            inner = [value for value in _values(place) if isinstance(value, dict | list) and value]
            if not inner or draw(st.booleans()):
                break
            place = inner[draw(st.integers(0, len(inner) - 1))]
        _change(draw, place)
    return body


def _values(place: Json) -> list[Json]:
    return list(place.values()) if isinstance(place, dict) else place


def _change(draw: st.DrawFn, place: Json) -> None:
    keys = list(place) if isinstance(place, dict) else list(range(len(place)))
    what = draw(st.sampled_from(["value", "value", "value", "away", "more"]))
    if what == "more" or not keys:
        name, value = draw(NAMES), draw(VALUES)
        place.update({name: value}) if isinstance(place, dict) else place.append(value)
        return
    key = keys[draw(st.integers(0, len(keys) - 1))]
    if what == "away":
        del place[key]
    else:
        place[key] = draw(VALUES)


@st.composite
def mangled(draw: st.DrawFn, valid: Sequence[dict[str, Json]], *, in_a_list: bool = False) -> bytes:
    """The bytes of such a body; of some, with a piece cut out and another put in."""
    body = draw(changed(valid))
    if in_a_list:
        body = [body] * draw(st.sampled_from([0, 1, 1, 1, 2, 101]))
    raw = json.dumps(body, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 3)) == 0:
        start = draw(st.integers(0, len(raw)))
        raw = raw[:start] + draw(st.sampled_from(RAW)) + raw[start + draw(st.integers(0, 20)) :]
    return raw


_JSON = "application/json"
_USUAL = st.just({"Content-Type": _JSON})
_UNUSUAL = st.fixed_dictionaries(
    {"Content-Type": st.sampled_from([*[_JSON] * 5, "text/plain", "application/json; charset=x"])},
    optional={
        "Idempotency-Key": st.sampled_from(["a", "b" * 256, "b" * 257, "", "\xe9", "a,b"]),
        "Prefer": st.sampled_from(["wait=0", "wait=", "wait=x, respond-async", "wait=00", ",;="]),
        "x-batch-validation": st.sampled_from(["strict", "permissive", "", "x"]),
    },
)
HEADERS: st.SearchStrategy[dict[str, str]] = _USUAL | _UNUSUAL

_HEAD = b"POST /send HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
_BODY = b'{"sender": "shop@example.com", "recipient": "ann@example.com", "message": "Hello"}'
_REQUESTS = [
    b"%sContent-Length: %d\r\n\r\n%s" % (_HEAD, len(_BODY), _BODY),
    b"%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (_HEAD, len(_BODY), _BODY),
    b"%sExpect: 100-continue\r\nContent-Length: 0\r\n\r\n" % _HEAD,
    b"GET /status?request_id=%41%00%ff&x[]=;a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\n\r\n",
    b"GET /livez HTTP/1.0\r\n\r\nGET /api/v1/emails HTTP/1.1\r\nHost: localhost\r\n\r\n",
]
_PIECES = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b":",
    b"\xff\xfe",
    b"%",
    b"/../",
    b"//",
    b"http://[",
    b"Content-Length: 5\r\n",
    b"Content-Length: -1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: \x0bchunked\r\n",
    b"Host: x\r\n",
    b"ffffffffffffffff\r\n",
    b"0\r\n\r\n",
    b"HTTP/1.1",
    b"A" * 9000,
]


@st.composite
def requests_in_bytes(draw: st.DrawFn) -> bytes:
    """What resembles a request, with up to three pieces cut out or put in; or only bytes."""
    if draw(st.integers(0, 4)) == 0:
        return draw(st.binary(max_size=300))
    raw: bytes = draw(st.sampled_from(_REQUESTS))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(raw)))
        piece = draw(st.sampled_from(_PIECES) | st.binary(max_size=4))
        raw = raw[:start] + piece + raw[start + draw(st.integers(0, 8)) :]
    return raw
