import pytest

from tests.unit.api.fakes import FakeApi


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
    api.store.reachable, api.publishing.is_connected = store, broker
    response = api.client.get("/readyz")
    assert response.status_code == status
    assert response.json == {
        "status": word,
        "store": "reachable" if store else "away",
        "broker": "connected" if broker else "away",
    }
    assert ("Retry-After" in response.headers) is (status == 503)


def test_a_process_is_alive_whatever_is_away(api: FakeApi) -> None:
    api.store.reachable = api.publishing.is_connected = False
    response = api.client.get("/livez")
    assert (response.status_code, response.json) == (200, {"status": "alive"})
