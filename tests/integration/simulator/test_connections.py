import json
import signal
import socket
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
import requests

from tests.harness.deadline import wait_until
from tests.integration.simulator.running import CALL_S, Simulator, simulator, submission


def address_of(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def post(path: str, content: object) -> bytes:
    """A request as it goes over the wire."""
    body = json.dumps(content).encode()
    return b"POST %b HTTP/1.1\r\nHost: provider\r\nContent-Length: %d\r\n\r\n%b" % (
        path.encode(),
        len(body),
        body,
    )


def begin_call(provider: Simulator, recipient: str) -> socket.socket:
    """Submits over a bare socket, where a reset can be told from a close."""
    connection = socket.create_connection(address_of(provider.url), timeout=CALL_S)
    connection.sendall(post("/api/emails", submission(recipient)))
    return connection


def call_raw(provider: Simulator, recipient: str) -> bytes:
    """Raises ConnectionResetError."""
    with begin_call(provider, recipient) as connection:
        return connection.recv(65_536)


def refuses(provider: Simulator) -> bool:
    try:
        socket.create_connection(address_of(provider.url), timeout=CALL_S).close()
    except ConnectionRefusedError:
        return True
    return False


def is_up(provider: Simulator) -> bool:
    return provider.get("/_faults")["down"] is None


@pytest.mark.parametrize(
    ("tag", "accepted"), [("reset-before", 0), ("reset-after", 1), ("reset-after-lost", 0)]
)
def test_a_reset_leaves_the_caller_guessing(provider: Simulator, tag: str, accepted: int) -> None:
    with pytest.raises(ConnectionResetError):
        call_raw(provider, f"fault+{tag}@example.com")
    assert provider.summary()["accepted"] == accepted
    (entry,) = provider.log()
    assert (entry["answer"], entry["answered_at"]) == (tag, None)


def test_new_connections_can_be_reset_before_anything_is_read(provider: Simulator) -> None:
    provider.faults(reset_connections=1)
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        call_raw(provider, "anna@example.com")
    assert provider.summary()["received"] == 0
    provider.faults(reset_connections=0)
    assert call_raw(provider, "anna@example.com").startswith(b"HTTP/1.1 200")


def test_while_it_refuses_nobody_can_connect_but_the_control_port_answers(provider: Simulator) -> None:
    provider.faults(down={"mode": "refuse"})
    assert refuses(provider)
    assert provider.get("/readyz") == {"status": "ready"}
    provider.faults(down=None)
    assert provider.submit("anna@example.com").status_code == 200


def test_it_opens_again_after_the_seconds_it_was_down() -> None:
    with simulator() as alone:
        assert alone.faults(down={"mode": "refuse", "seconds": 2})["down"]["seconds"] <= 2
        assert refuses(alone)
        wait_until(lambda: not refuses(alone), within=30, what="the provider is up again")
        assert alone.submit("anna@example.com").status_code == 200
        assert alone.get("/_faults")["down"] is None


def test_being_down_again_counts_anew(provider: Simulator) -> None:
    provider.faults(down={"mode": "503", "seconds": 0.3})
    provider.faults(down={"mode": "503", "seconds": 60})
    assert provider.faults(latency=0)["down"]["seconds"] > 30
    provider.faults(down={"mode": "503", "seconds": 0.1})
    wait_until(lambda: is_up(provider), within=30, what="the provider is up again")


def test_refusing_can_be_repeated(provider: Simulator) -> None:
    for _ in range(3):
        provider.faults(down={"mode": "refuse"})
        assert refuses(provider)
        provider.faults(down=None)
        assert not refuses(provider)


def test_down_may_mean_503_and_the_control_routes_stay_up(provider: Simulator) -> None:
    provider.faults(down={"mode": "503"})
    assert provider.submit("fault+hang@example.com", request_id="a").status_code == 503
    assert provider.ask("a").status_code == 503
    assert requests.get(f"{provider.url}/readyz", timeout=CALL_S).status_code == 200
    requests.delete(f"{provider.url}/_faults", timeout=CALL_S).raise_for_status()
    assert provider.submit("anna@example.com").status_code == 200
    assert provider.summary()["answers"] == {"down": 1, "accepted": 1}


@pytest.mark.parametrize("mode", ["refuse", "503"])
def test_a_call_in_flight_finishes(provider: Simulator, mode: str) -> None:
    with begin_call(provider, "fault+slow.1@example.com") as connection:
        wait_until(lambda: provider.summary()["in_flight"], within=10, what="the call is in flight")
        provider.faults(down={"mode": mode})
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")


def test_whoever_was_connected_when_it_began_to_refuse_is_served(provider: Simulator) -> None:
    for _ in range(3):
        with ExitStack() as open_sockets:
            control = open_sockets.enter_context(socket.create_connection(address_of(provider.control_url)))
            control.sendall(b"GET /readyz HTTP/1.1\r\nHost: provider\r\n\r\n")
            control.recv(65_536)
            provider.process.send_signal(signal.SIGSTOP)
            control.sendall(post("/_faults", {"down": {"mode": "refuse"}}))
            calls = [open_sockets.enter_context(begin_call(provider, "anna@example.com")) for _ in range(200)]
            provider.process.send_signal(signal.SIGCONT)
            answers = {call.recv(65_536)[:12] for call in calls}
            assert answers <= {b"HTTP/1.1 200", b"HTTP/1.1 503"}
            provider.faults(down=None)


def test_an_open_connection_gets_503_and_is_closed_while_new_ones_are_refused(provider: Simulator) -> None:
    with requests.Session() as session:
        url = f"{provider.url}/api/emails"
        assert session.post(url, json=submission("anna@example.com"), timeout=CALL_S).status_code == 200
        provider.faults(down={"mode": "refuse"})
        assert session.post(url, json=submission("anna@example.com"), timeout=CALL_S).status_code == 503
        with pytest.raises(requests.ConnectionError):
            session.post(url, json=submission("anna@example.com"), timeout=CALL_S)


def test_nobody_else_is_given_the_port_while_it_refuses(provider: Simulator) -> None:
    provider.faults(down={"mode": "refuse"})
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(address_of(provider.url))


def test_late_acceptances_survive_being_down(provider: Simulator) -> None:
    provider.submit("fault+504-then-accept.0.5@example.com", request_id="late")
    provider.faults(down={"mode": "refuse"})
    provider.wait_until_quiet()
    assert provider.summary()["accepted_ids"] == ["late"]
