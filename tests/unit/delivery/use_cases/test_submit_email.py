import asyncio
from datetime import timedelta

import pytest

from delivery.domain.emails import ClaimedEmail
from delivery.domain.outcomes import Answer, Outcome
from delivery.use_cases.submit_email import submit_email
from tests.unit.delivery.builders import NOW, claimed, seconds

NEEDS = seconds(17)


class Provider:
    def __init__(self) -> None:
        self.submitted: list[ClaimedEmail] = []

    async def submit(self, email: ClaimedEmail) -> Answer:
        self.submitted.append(email)
        return Answer(Outcome.ACCEPTED, "HTTP 200")


def _submit(
    provider: Provider, email: ClaimedEmail | None = None, *, remaining: timedelta = NEEDS * 2
) -> Answer | None:
    return asyncio.run(
        submit_email(
            email or claimed(),
            provider=provider,
            lease_remaining=lambda token: remaining if token == "token" else seconds(0),
            call_needs=NEEDS,
            now=NOW,
        )
    )


def test_an_email_under_a_good_lease_is_submitted() -> None:
    provider = Provider()
    assert _submit(provider, remaining=NEEDS + seconds(1)) == Answer(Outcome.ACCEPTED, "HTTP 200")
    assert provider.submitted == [claimed()]


@pytest.mark.parametrize("remaining", [NEEDS, NEEDS - seconds(1), seconds(0), seconds(-60)])
def test_nothing_is_called_under_a_lease_that_may_end_before_the_call(remaining: timedelta) -> None:
    provider = Provider()
    assert _submit(provider, remaining=remaining) is None
    assert provider.submitted == []


def test_an_email_whose_time_is_over_is_not_submitted() -> None:
    provider = Provider()
    assert _submit(provider, claimed(expires_at=NOW)) is None
    assert provider.submitted == []


def test_an_email_that_waited_long_for_us_is_submitted() -> None:
    provider = Provider()
    _submit(provider, claimed(waiting_since=NOW - timedelta(days=30)))
    assert len(provider.submitted) == 1


def test_an_email_that_has_just_its_time_is_submitted() -> None:
    provider = Provider()
    _submit(provider, claimed(expires_at=NOW + seconds(1)))
    assert len(provider.submitted) == 1
