import asyncio
from types import SimpleNamespace
from typing import cast

import pytest

from consumers.shared_breaker import SharedBreaker
from delivery.bootstrap import ConsumerParts
from delivery.domain.breaker import Breaker
from delivery.domain.errors import StoreOutcomeUnknown, StoreUnavailable
from delivery.domain.outcomes import Answer, Outcome
from tests.unit.delivery.builders import BREAKER, seconds

REFUSED = Answer(Outcome.MISCONFIGURED, "HTTP 401")


class Breakers:
    """A document that can't be written."""

    def __init__(self, error: StoreUnavailable) -> None:
        self.error = error

    def change(self, provider: str, *, seen: Breaker, to: Breaker) -> bool:
        raise self.error


def _shared(breakers: Breakers) -> SharedBreaker:
    config = SimpleNamespace(
        breaker=BREAKER,
        provider=SimpleNamespace(name="mail-delivery-service", total_timeout=seconds(15)),
        claims=SimpleNamespace(margin=seconds(2)),
    )
    parts = SimpleNamespace(config=config, store=SimpleNamespace(breakers=breakers))
    return SharedBreaker(cast(ConsumerParts, parts))


@pytest.mark.parametrize(
    ("error", "alarms"), [(StoreOutcomeUnknown("NetworkTimeout"), 1), (StoreUnavailable("away"), 0)]
)
def test_an_alarm_is_not_lost_with_the_stores_answer(
    error: StoreUnavailable, alarms: int, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(type(error)):
        asyncio.run(_shared(Breakers(error)).open("refused", REFUSED))
    assert caplog.text.count("ALARM") == alarms
