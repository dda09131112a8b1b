import json
from datetime import timedelta
from http import HTTPStatus

import pytest
from flask import Flask, abort
from werkzeug.exceptions import default_exceptions

from api import errors as api_errors
from delivery.config_values import InvalidConfiguration
from delivery.domain import errors
from delivery.domain.rates import Allowance
from tests.unit.api.fakes import FakeApi

STATUSES: dict[type[errors.PostroomError], HTTPStatus] = {
    errors.InvalidRequest: HTTPStatus.BAD_REQUEST,
    errors.ComesTooLate: HTTPStatus.BAD_REQUEST,
    errors.RequestTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.NotAuthenticated: HTTPStatus.UNAUTHORIZED,
    errors.NotAllowed: HTTPStatus.FORBIDDEN,
    errors.AlreadyThere: HTTPStatus.CONFLICT,
    errors.KeyReused: HTTPStatus.CONFLICT,
    errors.KeyInFlight: HTTPStatus.CONFLICT,
    errors.RateExceeded: HTTPStatus.TOO_MANY_REQUESTS,
    errors.IdReused: HTTPStatus.CONFLICT,
    errors.TooLate: HTTPStatus.BAD_REQUEST,
    errors.UnknownEmail: HTTPStatus.NOT_FOUND,
    errors.NotStored: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.StoreOutcomeUnknown: HTTPStatus.SERVICE_UNAVAILABLE,
}
NEVER_IN_A_REQUEST = {
    errors.PostroomError,
    errors.AttachmentsMissing,
    errors.BrokerUnavailable,
    InvalidConfiguration,
}


def _tree(kind: type[errors.PostroomError]) -> set[type[errors.PostroomError]]:
    return {kind}.union(*(_tree(below) for below in kind.__subclasses__()))


def _answer_to(error: Exception) -> tuple[int, dict[str, str], dict[str, str]]:
    app = Flask("test")
    api_errors.register(app)

    def raising() -> str:
        raise error

    app.add_url_rule("/", view_func=raising)
    response = app.test_client().get("/")
    assert response.mimetype == "application/json"
    body: dict[str, str] = json.loads(response.data)
    assert body["status"] == ("error" if response.status_code >= 500 else "denied")
    assert body["reason"]
    return response.status_code, body, dict(response.headers)


def test_every_error_that_a_request_can_meet_has_a_status() -> None:
    ours = {kind for kind in _tree(errors.PostroomError) if kind.__module__.startswith("delivery.")}
    assert ours - NEVER_IN_A_REQUEST == set(STATUSES)


@pytest.mark.parametrize(("kind", "status"), STATUSES.items())
def test_an_error_is_answered_with_its_status(kind: type[errors.PostroomError], status: HTTPStatus) -> None:
    assert _answer_to(_made(kind))[0] == status


def _made(kind: type[errors.PostroomError]) -> errors.PostroomError:
    if kind is errors.RateExceeded:
        return rate_exceeded()
    speaks_for_itself = kind in (errors.KeyReused, errors.KeyInFlight, errors.IdReused)
    return kind() if speaks_for_itself else kind("why")


def rate_exceeded(*, again_in: timedelta = timedelta(seconds=0.1)) -> errors.RateExceeded:
    second = timedelta(seconds=1)
    return errors.RateExceeded(
        Allowance(limit=1, remaining=0, reset=second, window=second), again_in=again_in
    )


@pytest.mark.parametrize(("seconds", "told"), [(0.0, "1"), (0.1, "1"), (1.0, "1"), (1.1, "2"), (99.5, "100")])
def test_who_made_too_many_requests_is_told_whole_seconds(seconds: float, told: str) -> None:
    error = rate_exceeded(again_in=timedelta(seconds=seconds))
    assert _answer_to(error)[2]["Retry-After"] == told


@pytest.mark.parametrize("kind", [errors.InvalidRequest, errors.NotAuthenticated, errors.NotAllowed])
def test_a_denial_says_why(kind: type[errors.PostroomError]) -> None:
    assert _answer_to(kind("the reason"))[1]["reason"] == "the reason"


@pytest.mark.parametrize("kind", [errors.StoreUnavailable, errors.UnknownEmail])
def test_our_own_troubles_are_not_the_callers_to_read(kind: type[errors.PostroomError]) -> None:
    assert "10.0.0.7" not in _answer_to(kind("10.0.0.7:27017"))[1]["reason"]


def test_an_unauthenticated_caller_is_told_how_to_authenticate() -> None:
    assert _answer_to(errors.NotAuthenticated("x"))[2]["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("kind", [errors.StoreUnavailable, errors.StoreOutcomeUnknown])
def test_a_caller_is_told_when_to_try_again(kind: type[errors.PostroomError]) -> None:
    assert _answer_to(kind("x"))[2]["Retry-After"] == api_errors.RETRY_AFTER


def test_an_unexpected_error_is_answered_and_logged_without_what_it_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    status, body, _ = _answer_to(KeyError("ann@example.com"))
    assert status == HTTPStatus.INTERNAL_SERVER_ERROR
    assert body == {"status": "error", "reason": "internal error"}
    assert "KeyError" in caplog.text
    assert "test_errors.py" in caplog.text
    assert "ann@example.com" not in caplog.text


def test_an_error_that_no_request_should_meet_is_unexpected(caplog: pytest.LogCaptureFixture) -> None:
    assert _answer_to(InvalidConfiguration("x"))[0] == HTTPStatus.INTERNAL_SERVER_ERROR
    assert "InvalidConfiguration" in caplog.text


@pytest.mark.parametrize("code", sorted(default_exceptions))
def test_every_error_of_http_itself_is_json(code: int) -> None:
    app = Flask("test")
    api_errors.register(app)

    def aborting() -> str:
        abort(code)

    app.add_url_rule("/", view_func=aborting)
    response = app.test_client().get("/")
    assert response.status_code == code
    assert response.mimetype == "application/json"
    assert json.loads(response.data)["reason"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/favicon.ico", 404),
        ("GET", "/status/", 404),
        ("GET", "//livez", 404),
        ("GET", "/livez//", 404),
        ("POST", "/webhooks/other", 404),
        ("GET", "/send", 405),
        ("DELETE", "/send", 405),
        ("OPTIONS", "/send", 405),
        ("POST", "/livez", 405),
        ("POST", "/status", 405),
        ("TRACE", "/livez", 405),
    ],
)
def test_where_nothing_is_the_answer_is_json_all_the_same(
    api: FakeApi, method: str, path: str, status: int
) -> None:
    # The test client takes the path //livez for a host.
    response = api.client.open(path, method=method, headers={"Host": "localhost"})
    assert response.status_code == status
    assert response.mimetype == "application/json"
    assert json.loads(response.data)["status"] == "denied"


def test_a_wrong_method_is_told_the_right_ones(api: FakeApi) -> None:
    assert api.client.get("/send").headers["Allow"] == "POST"
