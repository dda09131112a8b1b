import pytest

from delivery.domain.breaker import Breaker, opened
from tests.unit.api.fakes import FakeApi
from tests.unit.delivery.builders import BREAKER, NOW


@pytest.mark.parametrize(
    ("store", "broker", "status", "word"),
    [
        (True, True, 200, "ready"),
        (True, False, 200, "degraded"),
        (False, True, 503, "down"),
        (False, False, 503, "down"),
    ],
)
def test_accepting_needs_the_store_alone(
    api: FakeApi, store: bool, broker: bool, status: int, word: str
) -> None:
    api.store.breakers.reachable, api.publishing.is_connected = store, broker
    response = api.client.get("/readyz")
    assert response.status_code == status
    assert response.json == {
        "status": word,
        "store": "reachable" if store else "away",
        "broker": "connected" if broker else "away",
        **({"provider": {"breaker": "closed"}} if store else {}),
    }
    assert ("Retry-After" in response.headers) is (status == 503)


def test_an_open_breaker_degrades_and_says_since_when_and_why(api: FakeApi) -> None:
    api.store.breakers.breaker = opened(
        Breaker(), reason="20 calls in a row failed", is_misconfigured=False, policy=BREAKER, now=NOW
    )
    response = api.client.get("/readyz")
    assert response.status_code == 200
    assert response.json is not None
    assert response.json["status"] == "degraded"
    assert response.json["provider"] == {
        "breaker": "open",
        "since": "2026-03-01T12:00:00+00:00",
        "reason": "20 calls in a row failed",
    }


def test_a_process_is_alive_whatever_is_away(api: FakeApi) -> None:
    api.store.breakers.reachable = api.publishing.is_connected = False
    response = api.client.get("/livez")
    assert (response.status_code, response.json) == (200, {"status": "alive"})
