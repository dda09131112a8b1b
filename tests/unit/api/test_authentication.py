import pytest

from tests.unit.api.fakes import FakeApi, Start

KEYS = {"API_KEYS": "first, second"}


def test_webhooks_authenticate_by_themselves(start: Start) -> None:
    api = start(**KEYS)
    for path in ("/webhooks/mail-delivery-service", "/webhooks/mail-delivery-service/x"):
        assert api.client.post(path, data=b"{}").status_code == 401


@pytest.mark.parametrize("path", ["/", "/nothing", "/send/more", "/statuses"])
def test_without_a_key_nobody_learns_which_routes_there_are(start: Start, path: str) -> None:
    api = start(**KEYS)
    assert api.client.get(path).status_code == 401
    assert api.client.get(path, headers={"Authorization": "Bearer first"}).status_code == 404


@pytest.mark.parametrize("key", ["first", "second"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_each_key_is_taken(start: Start, scheme: str, key: str) -> None:
    response = start(**KEYS).client.get("/status", headers={"Authorization": f"{scheme} {key}"})
    assert response.status_code == 400


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer third",
        "Bearer firs",
        "Bearer first2",
        "Bearer first second",
        "Bearer first, second",
        "Bearer FIRST",
        "first",
        "Basic first",
        "Token first",
        "Bearer \u00e9",
    ],
    ids=ascii,
)
def test_anything_else_is_refused_with_how_to_do_it(start: Start, header: str) -> None:
    response = start(**KEYS).client.get("/status", headers={"Authorization": header} if header else {})
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.json == {
        "status": "denied",
        "reason": "missing or wrong API key; send it as 'Authorization: Bearer <key>'",
    }


def test_with_keys_a_caller_may_be_anywhere(start: Start) -> None:
    response = start(**KEYS, API_HOST="0.0.0.0").client.get(
        "/status",
        headers={"Authorization": "Bearer first", "X-Forwarded-For": "1.2.3.4"},
        environ_overrides={"REMOTE_ADDR": "192.0.2.1"},
    )
    assert response.status_code == 400


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1"])
def test_without_keys_this_machine_may_call(api: FakeApi, address: str) -> None:
    assert api.client.get("/status", environ_overrides={"REMOTE_ADDR": address}).status_code == 400


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "::ffff:192.0.2.1", "2001:db8::1", "", "unix:"])
def test_without_keys_nobody_else_may(api: FakeApi, address: str) -> None:
    response = api.client.get("/status", environ_overrides={"REMOTE_ADDR": address})
    assert response.status_code == 403
    assert response.json == {"status": "denied", "reason": "without API keys, only this machine may call"}


@pytest.mark.parametrize(
    "header",
    [
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "x-forwarded-anything",
        "X-Real-IP",
        "Via",
        "Client-IP",
        "X-Client-IP",
        "True-Client-IP",
        "X-Cluster-Client-IP",
        "CF-Connecting-IP",
    ],
)
def test_without_keys_a_forwarded_request_is_refused(api: FakeApi, header: str) -> None:
    response = api.client.get("/status", headers={header: "127.0.0.1"})
    assert response.status_code == 403
    assert response.json == {"status": "denied", "reason": "without API keys, forwarded requests are refused"}


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "LOCALHOST", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8080"]
)
def test_without_keys_this_machine_has_these_names(api: FakeApi, host: str) -> None:
    response = api.client.get("/status", headers={"Host": host, "Origin": f"http://{host}"})
    assert response.status_code == 400


@pytest.mark.parametrize(
    "host",
    [
        "",
        "rebound.example.com",
        "rebound.example.com:8080",
        "localhost.example.com",
        "127.0.0.1.example.com",
        "example.com@localhost",
        "localhost,example.com",
        "localhost:",
        "::1",
        "0.0.0.0",
        "192.0.2.1",
    ],
)
def test_without_keys_any_other_host_is_refused(api: FakeApi, host: str) -> None:
    response = api.client.get("/status", headers={"Host": host})
    assert response.status_code == 403
    reason = "without API keys, the Host must be localhost, 127.0.0.1 or [::1]"
    assert response.json == {"status": "denied", "reason": reason}


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "https://example.com",
        "http://localhost.example.com",
        "http://localhost, http://example.com",
    ],
)
def test_without_keys_pages_from_elsewhere_are_refused(api: FakeApi, origin: str) -> None:
    response = api.client.get("/status", headers={"Origin": origin})
    assert response.status_code == 403
    assert response.json == {
        "status": "denied",
        "reason": "without API keys, pages from elsewhere may not call",
    }


def test_with_keys_any_host_and_origin_will_do(start: Start) -> None:
    headers = {"Authorization": "Bearer first", "Host": "mail.example.com", "Origin": "https://example.com"}
    assert start(**KEYS).client.get("/status", headers=headers).status_code == 400


def test_webhooks_are_open_to_all(api: FakeApi) -> None:
    response = api.client.post(
        "/webhooks/mail-delivery-service/token",
        data=b'{"ID": "01a201dd-46e8-75da-aeb0-7ae16905b066", "STATUS": "DELIVERED"}',
        headers={"Host": "mail.example.com", "X-Forwarded-For": "192.0.2.1", "Origin": "null"},
        environ_overrides={"REMOTE_ADDR": "192.0.2.1"},
    )
    assert response.status_code == 200


@pytest.mark.parametrize("environ", [{}, KEYS])
def test_health_is_open_to_all(start: Start, environ: dict[str, str]) -> None:
    api = start(**environ)
    for path in ("/livez", "/readyz"):
        response = api.client.get(
            path,
            headers={"X-Forwarded-For": "1.2.3.4", "Host": "mail.example.com"},
            environ_overrides={"REMOTE_ADDR": "192.0.2.1"},
        )
        assert response.status_code == 200
