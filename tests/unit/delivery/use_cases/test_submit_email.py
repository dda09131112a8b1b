import asyncio
from datetime import datetime, timedelta

import pytest

from delivery.domain.emails import ClaimedEmail
from delivery.domain.outcomes import Answer, Outcome
from delivery.use_cases.submit_email import submit_email
from tests.unit.delivery.builders import NOW, claimed, policy, seconds

NEEDS = seconds(17)
MAX_WAIT = seconds(300)


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
            policy=policy(max_wait=MAX_WAIT),
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


@pytest.mark.parametrize(
    "too_late",
    [{"expires_at": NOW}, {"waiting_since": NOW - MAX_WAIT - seconds(1)}],
    ids=["expired", "overdue"],
)
def test_an_email_whose_time_is_over_is_not_submitted(too_late: dict[str, datetime]) -> None:
    provider = Provider()
    assert _submit(provider, claimed(**too_late)) is None
    assert provider.submitted == []


def test_an_email_that_has_just_its_time_is_submitted() -> None:
    provider = Provider()
    _submit(provider, claimed(expires_at=NOW + seconds(1), waiting_since=NOW - MAX_WAIT))
    assert len(provider.submitted) == 1
