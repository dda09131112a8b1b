import re

import pytest

from tests.unit.api.fakes import FakeApi, Start


def test_the_page_loads_nothing_from_elsewhere(api: FakeApi) -> None:
    page = api.client.get("/docs")
    assert page.mimetype == "text/html"
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(named) == 4
    for name in named:
        assert re.fullmatch(r"docs/[\w.-]+", name)
        assert api.client.get(f"/{name}").status_code == 200
    assert "http" not in page.text + api.client.get("/docs/start.js").text.partition("\n")[2]


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/docs", "text/html"),
        ("/docs/start.js", "text/javascript"),
        ("/docs/swagger-ui-bundle.js", "text/javascript"),
        ("/docs/swagger-ui.css", "text/css"),
        ("/docs/favicon-32x32.png", "image/png"),
    ],
)
def test_browsers_may_load_and_call_nothing_else(start: Start, path: str, media_type: str) -> None:
    response = start(API_KEYS="key").client.get(path)
    assert (response.status_code, response.mimetype) == (200, media_type)
    policy = response.headers["Content-Security-Policy"].split("; ")
    assert "default-src 'none'" in policy
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    assert not [source for source in policy if re.search(r"https?:|\*", source)]
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("name", ["nothing", "index.html", "..%2fapp.py", "%2e%2e%2fapp.py", "VERSION"])
def test_no_other_file_is_served(api: FakeApi, name: str) -> None:
    response = api.client.get(f"/docs/{name}")
    assert (response.status_code, response.json) == (404, {"status": "denied", "reason": "not found"})


def test_the_description_is_open_and_the_same_for_all(start: Start) -> None:
    api = start(API_KEYS="key")
    without = api.client.get("/openapi.json")
    assert without.status_code == 200
    assert without.json == api.client.get("/openapi.json", headers={"X-Api-Key": "key"}).json
