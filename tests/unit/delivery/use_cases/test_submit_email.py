import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from delivery.domain.emails import Attachment, ClaimedEmail
from delivery.domain.errors import AttachmentsMissing
from delivery.domain.outcomes import Answer, Outcome
from delivery.use_cases.submit_email import submit_email
from tests.unit.delivery.builders import CONTENT, NOW, claimed, seconds

NEEDS = seconds(17)
WITH_INVOICE = claimed(content=replace(CONTENT, attachments=(Attachment(filename="invoice.pdf", size=3),)))


class Provider:
    def __init__(self) -> None:
        self.submitted: list[ClaimedEmail] = []

    async def submit(self, email: ClaimedEmail) -> Answer:
        self.submitted.append(email)
        return Answer(Outcome.ACCEPTED, "HTTP 200")


class Attachments:
    """Loads this, or meets this error."""

    def __init__(self, error: BaseException | None = None) -> None:
        self._error = error
        self.held = 0

    async def load(self, email: ClaimedEmail) -> tuple[bytes, ...]:
        if self._error is not None:
            raise self._error
        self.held += 1
        return tuple(b"x" * attachment.size for attachment in email.content.attachments)

    def release(self, email: ClaimedEmail) -> None:
        self.held -= 1


def _submit(
    provider: Provider,
    email: ClaimedEmail | None = None,
    *,
    remaining: timedelta = NEEDS * 2,
    attachments: Attachments | None = None,
) -> Answer | None:
    return asyncio.run(
        submit_email(
            email or claimed(),
            provider=provider,
            attachments=attachments or Attachments(),
            lease_remaining=lambda token: remaining if token == "token" else seconds(0),
            call_needs=NEEDS,
            clock=lambda: NOW,
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


def test_attachments_are_in_memory_for_the_time_of_the_call() -> None:
    provider, attachments = Provider(), Attachments()
    assert _submit(provider, WITH_INVOICE, attachments=attachments) == Answer(Outcome.ACCEPTED, "HTTP 200")
    assert provider.submitted == [replace(WITH_INVOICE, attached=(b"xxx",))]
    assert attachments.held == 0


def test_nothing_is_called_if_the_lease_ran_out_while_attachments_were_loaded() -> None:
    provider, attachments = Provider(), Attachments()
    assert _submit(provider, WITH_INVOICE, remaining=NEEDS, attachments=attachments) is None
    assert (provider.submitted, attachments.held) == ([], 0)


def test_an_email_whose_attachments_are_gone_is_never_sent_without_them() -> None:
    provider = Provider()
    answer = _submit(provider, WITH_INVOICE, attachments=Attachments(AttachmentsMissing()))
    assert answer is not None
    assert (answer.outcome, provider.submitted) == (Outcome.REJECTED, [])


def test_a_shutdown_while_attachments_are_loaded_leaves_the_email_plainly_unsent() -> None:
    provider = Provider()
    assert _submit(provider, WITH_INVOICE, attachments=Attachments(asyncio.CancelledError())) is None
    assert provider.submitted == []
