"""The simulator as the provider, and calls to it."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from delivery.domain.emails import ClaimedEmail
from delivery.domain.outcomes import Answer
from delivery.use_cases.ask_about_emails import LookUp
from tests.integration.delivery.providers.mail_delivery_service.calling import adapter
from tests.integration.simulator.running import Simulator, simulator

SubmitAll = Callable[..., list[Answer]]
LookUpAll = Callable[..., list[LookUp]]


@pytest.fixture(scope="session")
def shared_provider() -> Iterator[Simulator]:
    with simulator("--control-port", "0", "--extended") as running:
        yield running


@pytest.fixture
def provider(shared_provider: Simulator) -> Simulator:
    """Healthy."""
    shared_provider.delete("/_faults")
    return shared_provider


@pytest.fixture
def submit(provider: Simulator, tmp_path: Path) -> SubmitAll:
    """Submits these emails at the same time; to the simulator, unless told otherwise."""

    def submit(*emails: ClaimedEmail, url: str | None = None) -> list[Answer]:
        async def all_at_once() -> list[Answer]:
            async with adapter(url or provider.url, tmp_path) as service:
                return await asyncio.gather(*(service.submit(email) for email in emails))

        return asyncio.run(all_at_once())

    return submit


@pytest.fixture
def look_up(provider: Simulator, tmp_path: Path) -> LookUpAll:
    """Asks about these ids one after the other; the simulator, unless told otherwise."""

    def look_up(*email_ids: str, url: str | None = None) -> list[LookUp]:
        async def one_by_one() -> list[LookUp]:
            async with adapter(url or provider.url, tmp_path) as service:
                return [await service.look_up(email_id) for email_id in email_ids]

        return asyncio.run(one_by_one())

    return look_up
