import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.domain.delays import DelayStep
from delivery.domain.errors import InvalidRequest
from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedTo
from delivery.use_cases.messages import (
    EmailMessage,
    Outgoing,
    decode_email,
    decode_events,
    email_message,
    encode_email,
    encode_events,
    events_message,
)
from tests.unit.delivery.builders import EMAIL_ID, NOW, owed_email, seconds

STEPS = (DelayStep(seconds(5), "5s"),)


def _message(**changes: object) -> Outgoing:
    return email_message(owed_email(**changes), now=NOW, steps=STEPS)


@pytest.mark.parametrize("gen", [1, 7, 999_999_999])
def test_a_message_between_our_parts_is_an_id_and_a_generation(gen: int) -> None:
    body = encode_email(EMAIL_ID, gen)
    assert json.loads(body) == {"id": EMAIL_ID, "gen": gen}
    assert decode_email(body) == EmailMessage(EMAIL_ID, gen)


def test_what_a_person_wrote_may_be_spaced_and_ordered_as_they_like() -> None:
    body = b' {"gen": 2,\n "id": "%b", "note": "by hand"}' % EMAIL_ID.encode()
    assert decode_email(body) == EmailMessage(EMAIL_ID, 2)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b"[" * 100_000,
        json.dumps({"id": EMAIL_ID}).encode(),
        json.dumps({"gen": 1}).encode(),
        json.dumps({"id": EMAIL_ID, "gen": "1"}).encode(),
        json.dumps({"id": EMAIL_ID, "gen": True}).encode(),
        json.dumps({"id": EMAIL_ID, "gen": 1.0}).encode(),
        json.dumps({"id": EMAIL_ID, "gen": -1}).encode(),
        json.dumps({"id": EMAIL_ID, "gen": 2**63}).encode(),
        json.dumps({"id": 1, "gen": 1}).encode(),
        json.dumps({"id": "x", "gen": 1}).encode(),
        json.dumps({"id": "\ud800" * 36, "gen": 1}).encode(),
        json.dumps({"id": [[]], "gen": 1}).encode(),
    ],
    ids=lambda body: ascii(body)[:60],
)
def test_what_is_no_email_message_is_refused_and_nothing_else(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="not an email message"):
        decode_email(body)


@given(
    st.binary()
    | st.dictionaries(
        st.sampled_from(["id", "gen", "ids"]), st.text() | st.integers() | st.lists(st.text() | st.none())
    ).map(lambda d: json.dumps(d).encode())
    | st.text().map(lambda text: json.dumps(text).encode())
)
def test_no_message_breaks_its_consumer(body: bytes) -> None:
    for decode in (decode_email, decode_events):
        try:
            decode(body)
        except InvalidRequest:
            continue


@given(st.lists(st.from_regex(r"[a-z0-9][a-z0-9-]*:[!-~]+", fullmatch=True), min_size=1))
def test_a_message_of_events_names_them_in_order(event_ids: list[str]) -> None:
    message = events_message(event_ids)
    assert decode_events(message.body) == event_ids
    assert (message.exchange, message.routing_key, message.mandatory) == ("email", "provider_event", True)


def test_a_message_of_one_event_is_what_it_was_before_there_were_several() -> None:
    assert json.loads(encode_events(["p:1"])) == {"id": "p:1"}
    assert decode_events(b'{"id": "p:a/b="}') == ["p:a/b="]
    assert decode_events(b'{"ids": ["p:1"]}') == ["p:1"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"id":1}',
        b'{"id":"\\ud800"}',
        b"[" * 100_000,
        encode_email(EMAIL_ID, 1),
        b'{"id":"p:"}',
        b'{"id":":x"}',
        b'{"id":"p:x y"}',
        b'"ids"',
        b'{"ids":"p:1"}',
        b'{"ids":[]}',
        b'{"ids":["p:1",1]}',
        b'{"ids":["p:1","p:x y"]}',
    ],
    ids=lambda body: ascii(body)[:30],
)
def test_what_is_no_event_message_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="not an event message"):
        decode_events(body)


def test_a_due_email_goes_into_its_lane_and_says_nothing_private() -> None:
    message = _message(lane=Lane.BULK, priority=3, gen=4)
    assert (message.exchange, message.routing_key, message.priority) == ("email", "bulk", 3)
    assert message.body == encode_email(EMAIL_ID, 4)
    assert dict(message.headers) == {}
    assert message.mandatory


def test_an_email_to_wait_goes_into_a_delay_with_its_lane_as_the_key() -> None:
    message = _message(to=OwedTo.DELAY, due_at=NOW + seconds(3), lane=Lane.CRITICAL, attempts=1)
    assert (message.exchange, message.routing_key, message.priority) == ("delay.5s", "critical", 4)


@pytest.mark.parametrize("to", [OwedTo.LANE, OwedTo.DELAY])
def test_what_is_for_a_tenants_queue_says_so_that_it_is_there_in_time(to: OwedTo) -> None:
    message = _message(to=to, due_at=NOW + seconds(3), lane=Lane.BULK, tenant_id="acme", attempts=1)
    assert (message.exchange, message.lane_key) == ("delay.5s", "bulk.acme")
    assert _message(to=OwedTo.DEAD, tenant_id="acme").lane_key is None


@pytest.mark.parametrize(("to", "key"), [(OwedTo.DEAD, "dead"), (OwedTo.HELD, "held")])
def test_a_letter_tells_an_operator_what_happened(to: OwedTo, key: str) -> None:
    message = _message(
        to=to, attempts=3, reason="attempts_exhausted", last_error="HTTP 503", died_at=NOW + seconds(60)
    )
    assert (message.exchange, message.routing_key) == ("email", key)
    assert dict(message.headers) == {
        "reason": "attempts_exhausted",
        "attempts": 3,
        "last_error": "HTTP 503",
        "lane": "transactional",
        "accepted_at": "2026-03-01T12:00:00+00:00",
        "died_at": "2026-03-01T12:01:00+00:00",
    }


def test_a_letter_without_details_is_a_letter_all_the_same() -> None:
    headers = _message(to=OwedTo.DEAD).headers
    assert (headers["reason"], headers["last_error"]) == ("", "")
    assert "died_at" not in headers


def test_no_header_of_ours_looks_like_one_of_the_brokers() -> None:
    assert not [name for name in _message(to=OwedTo.DEAD, died_at=NOW).headers if name.startswith("x-")]
