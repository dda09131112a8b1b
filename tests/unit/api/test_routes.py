"""Walks every route that there is: a new one fails here until it is authenticated."""

import re
from collections.abc import Iterator

from werkzeug.routing import Rule

from api.authentication import OPEN_ENDPOINTS, SCOPES
from tests.unit.api.fakes import FakeApi, Start

KEYS = {"API_KEYS": "first"}
OPEN = {
    "health.livez",
    "health.readyz",
    "documentation.document",
    "documentation.page",
    "documentation.asset",
    # These authenticate the provider by themselves.
    "webhooks.signed",
    "webhooks.with_token",
}
"""The short list of routes that want no key."""


def rules(api: FakeApi) -> Iterator[tuple[Rule, str]]:
    """Every route, with each of its methods."""
    for rule in api.app.url_map.iter_rules():
        for method in sorted(rule.methods or ()):
            yield rule, method


def path(rule: Rule, value: str) -> str:
    filled = re.sub(r"<(?:[^<>:]+:)?[^<>]+>", value, rule.rule)
    assert "<" not in filled
    return filled


def test_every_route_but_those_on_the_short_list_wants_a_key(start: Start) -> None:
    api = start(**KEYS)
    walked = {
        (rule.endpoint, method): api.client.open(path(rule, "x"), method=method).status_code
        for rule, method in rules(api)
    }
    assert {endpoint for (endpoint, _), status in walked.items() if status != 401} <= OPEN
    assert walked["sending.send", "POST"] == 401
    assert walked["status.by_path", "GET"] == 401


def test_the_short_list_is_short() -> None:
    assert OPEN_ENDPOINTS == OPEN


def test_every_other_route_says_what_a_key_must_be_for(api: FakeApi) -> None:
    assert {rule.endpoint for rule, _ in rules(api)} == OPEN | SCOPES.keys()
