import asyncio
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import cast

from consumers.claiming import Claiming
from consumers.leases import Leases
from delivery.bootstrap import ConsumerParts, utc_now
from delivery.domain.emails import ClaimedEmail, Standing
from delivery.domain.owed import OwedEmail
from delivery.use_cases.messages import EmailMessage
from tests.unit.delivery.builders import claimed

PATIENCE = 60.0


class Store:
    """Every claim wins, once the store answers."""

    def __init__(self) -> None:
        self.was_asked = threading.Event()
        self.answers = threading.Event()
        self.given_back: list[str] = []
        self.is_done = threading.Event()

    def claim(
        self, email_ids: Sequence[str], *, gen: int, token: str, until: datetime, now: datetime
    ) -> list[ClaimedEmail]:
        self.was_asked.set()
        assert self.answers.wait(PATIENCE)
        return [claimed(email_id=email_id, gen=gen, token=token) for email_id in email_ids]

    def expire(self, email_ids: Sequence[str], *, now: datetime) -> list[str]:
        return []

    def standings(self, email_ids: Iterable[str]) -> dict[str, Standing]:
        return {}

    def give_back(self, claims: Sequence[ClaimedEmail], *, now: datetime) -> list[OwedEmail]:
        self.given_back += [email.email_id for email in claims]
        self.is_done.set()
        return []

    def renew(self, email_ids: Sequence[str], *, tokens: Sequence[str], until: datetime) -> None:
        raise AssertionError("nothing renews here")


def claiming(store: Store) -> tuple[Claiming, Leases]:
    leases = Leases(store, lease=timedelta(seconds=45), clock=utc_now)
    parts = SimpleNamespace(store=SimpleNamespace(claims=store, emails=store))
    return Claiming(cast(ConsumerParts, parts), leases), leases


def test_the_leases_of_what_was_won_are_held() -> None:
    store = Store()
    store.answers.set()
    claims, leases = claiming(store)
    result = asyncio.run(claims.claim([EmailMessage("a", 1)]))
    assert leases.remaining(result.won["a"].token) > timedelta(0)
    assert store.given_back == []


def test_what_is_won_after_nobody_waits_for_it_is_given_back() -> None:
    """A stop does not wait for ever for a store that is away; its thread may reach the store all the same."""
    store = Store()
    claims, _ = claiming(store)

    async def stop_meanwhile() -> None:
        claim = asyncio.create_task(claims.claim([EmailMessage("a", 1)]))
        assert await asyncio.to_thread(store.was_asked.wait, PATIENCE)
        claims.give_up()
        claim.cancel()
        with suppress(asyncio.CancelledError):
            await claim
        store.answers.set()

    asyncio.run(stop_meanwhile())
    assert store.is_done.wait(PATIENCE)
    assert store.given_back == ["a"]
