from datetime import timedelta

from delivery.contract.health import provider_health
from delivery.domain.breaker import Breaker, closed, opened, probing
from tests.unit.delivery.builders import BREAKER, NOW

OPEN = opened(Breaker(), reason="HTTP 503", is_misconfigured=False, policy=BREAKER, now=NOW)


def test_of_a_breaker_that_is_closed_nothing_more_is_told() -> None:
    assert provider_health(Breaker()) == {"breaker": "closed"}
    assert provider_health(closed(OPEN, now=NOW)) == {"breaker": "closed"}


def test_of_one_that_is_open_it_tells_since_when_and_why() -> None:
    told = {"since": "2026-03-01T12:00:00+00:00", "reason": "HTTP 503"}
    assert provider_health(OPEN) == {"breaker": "open", **told}
    half_open = probing(OPEN, until=NOW + timedelta(seconds=15))
    assert provider_health(half_open) == {"breaker": "half_open", **told}
