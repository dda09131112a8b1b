"""The Python client against a server that answers as it is told."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from postroom_client import (
    ApiError,
    Conflict,
    Email,
    InFlight,
    InvalidRequest,
    NoAnswer,
    NotAllowed,
    NotAuthenticated,
    NotFinal,
    NotFound,
    Patience,
    Postroom,
    RateLimited,
    ServerError,
    Unavailable,
    UnexpectedAnswer,
)

from tests.harness.ports import free_ports
from tests.harness.scripted_server import Answer, ScriptedServer

EMAIL = Email(to="ann@example.com", sender="shop@example.com", text="Hello")
ACCEPTED = Answer(200, {"emailId": "an-id"})
QUICK = Patience(total=30, first_pause=0.01, longest_pause=0.02)
SHORT = Patience(attempt=0.2, total=0.5, first_pause=0.01, longest_pause=0.02)
SILENCE = Answer(None)
NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)


def failed(status: int, code: str, message: str = "no", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"error": {"code": code, "message": message}}, named)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.close()


@pytest.fixture
def postroom(server: ScriptedServer) -> Iterator[Postroom]:
    with Postroom(server.url, "pr_secret", patience=QUICK) as postroom:
        yield postroom


def keys(server: ScriptedServer) -> list[str]:
    return [request.headers["Idempotency-Key"] for request in server.received]


# What is asked


def test_an_email_is_handed_over_with_the_callers_key(server: ScriptedServer, postroom: Postroom) -> None:
    server.answers(ACCEPTED)
    assert postroom.emails.send(EMAIL, idempotency_key="order-4711") == "an-id"
    (request,) = server.received
    assert (request.method, request.path, request.body) == ("POST", "/api/v1/emails", EMAIL.as_json())
    assert request.headers["Idempotency-Key"] == "order-4711"
    assert request.headers["Authorization"] == "Bearer pr_secret"


def test_each_email_without_a_key_gets_one_of_its_own(server: ScriptedServer, postroom: Postroom) -> None:
    server.answers(ACCEPTED)
    for _ in range(3):
        postroom.emails.send(EMAIL)
    assert len(set(keys(server))) == 3


@pytest.mark.parametrize("key", ["", "x" * 257, "caf\u00e9", "line\nbreak", " padded "])
def test_a_key_that_can_be_none_is_refused_before_anything_is_sent(
    server: ScriptedServer, postroom: Postroom, key: str
) -> None:
    with pytest.raises(ValueError, match="idempotency_key"):
        postroom.emails.send(EMAIL, idempotency_key=key)
    assert server.received == []


def test_a_login_in_netrc_does_not_take_the_keys_place(
    server: ScriptedServer, postroom: Postroom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    server.answers(ACCEPTED)
    postroom.emails.send(EMAIL)
    assert server.received[0].headers["Authorization"] == "Bearer pr_secret"


def test_the_batch_says_how_it_wants_to_be_looked_at(server: ScriptedServer, postroom: Postroom) -> None:
    server.answers(Answer(200, {"data": [{"emailId": "1"}, {"emailId": "2"}]}))
    assert postroom.emails.batch([EMAIL, EMAIL]).email_ids == ("1", "2")
    server.answers(
        Answer(200, {"data": [{"emailId": "2"}], "errors": [{"index": 0, "message": "to is wrong"}]})
    )
    batch = postroom.emails.batch([EMAIL, EMAIL], permissive=True)
    assert batch.email_ids == (None, "2")
    strict, permissive = server.received
    assert "x-batch-validation" not in strict.headers
    assert permissive.headers["x-batch-validation"] == "permissive"
    assert permissive.path == "/api/v1/emails/batch"


def test_an_id_is_never_another_path(server: ScriptedServer, postroom: Postroom) -> None:
    server.answers(Answer(200, {"emailId": "x"}))
    postroom.emails.cancel("../../stats?x=1")
    assert server.received[0].path == "/api/v1/emails/..%2F..%2Fstats%3Fx%3D1/cancel"


@pytest.mark.parametrize("url", ["postroom.example", "ftp://postroom.example", "http://", "http://a?b=c"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="url must be"):
        Postroom(url, "pr_secret")


# What is answered


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (failed(400, "BAD_REQUEST", "missing to field"), InvalidRequest),
        (failed(401, "UNAUTHORIZED"), NotAuthenticated),
        (failed(403, "FORBIDDEN"), NotAllowed),
        (failed(404, "NOT_FOUND"), NotFound),
        (failed(409, "NOT_UNIQUE"), Conflict),
        (Answer(413, "<html>too large</html>"), InvalidRequest),
        (Answer(302, "", {"Location": "https://login.example"}), UnexpectedAnswer),
        (Answer(418, {"status": "denied", "reason": "no"}), UnexpectedAnswer),
        (failed(500, "INTERNAL_SERVER_ERROR"), ServerError),
        (Answer(200, "<html>welcome</html>"), UnexpectedAnswer),
        (Answer(200, {"request_id": "an-id"}), UnexpectedAnswer),
    ],
)
def test_what_another_try_would_not_change_is_raised_at_once(
    server: ScriptedServer, postroom: Postroom, answer: Answer, kind: type[ApiError]
) -> None:
    server.answers(answer)
    with pytest.raises(ApiError) as raised:
        postroom.emails.send(EMAIL)
    assert type(raised.value) is kind
    assert raised.value.status == answer.status
    assert [raised.value.idempotency_key] == keys(server)


def test_an_error_has_what_the_answer_says(server: ScriptedServer, postroom: Postroom) -> None:
    server.answers(failed(400, "BAD_REQUEST", "missing to field"))
    with pytest.raises(InvalidRequest) as raised:
        postroom.emails.send(EMAIL)
    assert (raised.value.code, raised.value.message) == ("BAD_REQUEST", "missing to field")
    assert str(raised.value) == "400 BAD_REQUEST: missing to field"


def test_an_error_of_the_other_shape_is_read_as_well(server: ScriptedServer) -> None:
    body = {"status": "error", "reason": "the email may have been accepted", "request_id": "an-id"}
    server.answers(Answer(503, body, {"Retry-After": "3600"}))
    with Postroom(server.url, patience=QUICK) as postroom, pytest.raises(Unavailable) as raised:
        postroom.emails.send(EMAIL)
    error = raised.value
    assert (error.message, error.code) == ("the email may have been accepted", "SERVICE_UNAVAILABLE")
    assert (error.request_id, error.retry_after) == ("an-id", 3600)


def test_no_error_shows_the_key(server: ScriptedServer, postroom: Postroom) -> None:
    server.answers(failed(401, "UNAUTHORIZED"))
    with pytest.raises(NotAuthenticated) as raised:
        postroom.emails.send(EMAIL)
    assert "pr_secret" not in repr((raised.value, vars(raised.value), postroom))


# What is tried again

PASSING: dict[str, Answer] = {
    "429": failed(429, "RATE_LIMITED", Retry_After="0"),
    "503": failed(503, "SERVICE_UNAVAILABLE", Retry_After="0"),
    "502 of a proxy": Answer(502, "<html>bad gateway</html>"),
    "504 of a proxy": Answer(504, "<html>timeout</html>"),
    "408": Answer(408, {"status": "denied", "reason": "too slow"}),
    "in flight": failed(409, "NOT_UNIQUE", Retry_After="0"),
    "a lost connection": SILENCE,
}


@pytest.mark.parametrize("trouble", PASSING)
def test_an_email_is_handed_over_again_with_the_same_key_and_body(
    server: ScriptedServer, postroom: Postroom, trouble: str
) -> None:
    server.answers(*[PASSING[trouble]] * 3, ACCEPTED)
    assert postroom.emails.send(EMAIL) == "an-id"
    assert len(server.received) == 4
    assert len(set(keys(server))) == 1
    assert all(request.body == EMAIL.as_json() for request in server.received)


@pytest.mark.parametrize("trouble", PASSING)
def test_a_look_is_repeated_freely(server: ScriptedServer, postroom: Postroom, trouble: str) -> None:
    server.answers(PASSING[trouble], Answer(200, {"id": "x", "state": "queued", "latestStatus": "QUEUED"}))
    assert postroom.emails.get("x").state == "queued"


def test_an_answer_that_does_not_come_is_asked_for_with_the_same_key(server: ScriptedServer) -> None:
    server.may_answer.clear()
    with Postroom(server.url, patience=SHORT) as postroom, pytest.raises(NoAnswer) as raised:
        postroom.emails.send(EMAIL)
    server.may_answer.set()
    assert len(server.received) >= 2
    assert set(keys(server)) == {raised.value.idempotency_key}


def test_a_server_that_is_not_there_is_no_answer() -> None:
    (port,) = free_ports(1)
    with Postroom(f"http://127.0.0.1:{port}", patience=SHORT) as postroom, pytest.raises(NoAnswer) as raised:
        postroom.emails.send(EMAIL, idempotency_key="order-4711")
    assert raised.value.idempotency_key == "order-4711"


def test_nobody_waits_for_a_retry_after_beyond_the_total_time(
    server: ScriptedServer, postroom: Postroom
) -> None:
    server.answers(failed(429, "RATE_LIMITED", Retry_After="3600"))
    with pytest.raises(RateLimited) as raised:
        postroom.emails.send(EMAIL)
    assert raised.value.retry_after == 3600
    assert len(server.received) == 1


def test_a_key_in_flight_for_ever_is_told_in_the_end(server: ScriptedServer) -> None:
    server.answers(failed(409, "NOT_UNIQUE", Retry_After="0"))
    with Postroom(server.url, patience=SHORT) as postroom, pytest.raises(InFlight):
        postroom.emails.send(EMAIL)
    assert len(server.received) > 2


def test_a_cancellation_is_repeated_and_a_change_of_time_is_not(
    server: ScriptedServer, postroom: Postroom
) -> None:
    server.answers(SILENCE, Answer(200, {"emailId": "x"}))
    postroom.emails.cancel("x")
    assert len(server.received) == 2
    server.answers(SILENCE, Answer(200, {"emailId": "x"}))
    with pytest.raises(NoAnswer):
        postroom.emails.reschedule("x", NOON)
    assert len(server.received) == 3


def test_many_threads_in_a_storm_get_each_email_through_once(
    server: ScriptedServer, postroom: Postroom
) -> None:
    storm = list(PASSING.values()) * 20
    server.answers(*storm, ACCEPTED)
    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(lambda _: postroom.emails.send(EMAIL), range(32))) == {"an-id"}
    assert len(set(keys(server))) == 32
    assert len(server.received) == len(storm) + 32


# Waiting for the end


def looks(*details: str) -> list[Answer]:
    return [Answer(200, {"status": "processing", "detail": detail}) for detail in details]


@pytest.mark.parametrize(
    ("status", "detail"), [("sent", "delivered"), ("sent", "submitted"), ("failed", "dead")]
)
def test_an_email_is_awaited_to_its_end(
    server: ScriptedServer, postroom: Postroom, status: str, detail: str
) -> None:
    server.answers(
        *looks("queued", "submitting"),
        PASSING["503"],
        *looks("submitted"),
        Answer(200, {"status": status, "detail": detail}),
        Answer(200, {"id": "x", "state": detail, "latestStatus": "ITS WORD"}),
    )
    standing = postroom.emails.wait_until_final("x", timeout=30)
    assert (standing.state, standing.status) == (detail, "ITS WORD")
    assert [request.path for request in server.received] == ["/status/x"] * 5 + ["/api/v1/emails/x"]


def test_an_email_that_does_not_end_in_time_is_told_with_its_last_state(
    server: ScriptedServer, postroom: Postroom
) -> None:
    server.answers(*looks("submitted"))
    with pytest.raises(NotFinal, match="still submitted") as raised:
        postroom.emails.wait_until_final("x", timeout=0.3)
    assert raised.value.status == "submitted"


def test_a_server_that_goes_silent_while_it_is_asked_ends_the_wait_in_time(
    server: ScriptedServer, postroom: Postroom
) -> None:
    server.answers(*looks("submitted"), SILENCE)
    with pytest.raises(NotFinal, match="still submitted"):
        postroom.emails.wait_until_final("x", timeout=0.5)


def test_an_unknown_email_is_not_waited_for(server: ScriptedServer, postroom: Postroom) -> None:
    server.answers(failed(404, "NOT_FOUND"))
    with pytest.raises(NotFound):
        postroom.emails.wait_until_final("x", timeout=30)


# Forked processes


def test_a_forked_process_has_connections_of_its_own(server: ScriptedServer, postroom: Postroom) -> None:
    server.answers(ACCEPTED)
    postroom.emails.send(EMAIL, idempotency_key="parent")
    child = os.fork()
    if child == 0:  # with the parent's open connection at hand
        try:
            for _ in range(20):
                postroom.emails.send(EMAIL, idempotency_key="child")
            os._exit(0)
        except BaseException:
            os._exit(1)
    for _ in range(20):
        postroom.emails.send(EMAIL, idempotency_key="parent")
    assert os.waitpid(child, 0)[1] == 0
    assert sorted(keys(server)) == ["child"] * 20 + ["parent"] * 21
