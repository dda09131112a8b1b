"""What the API works with, in memory."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

from flask import Flask
from flask.testing import FlaskClient

from api import create_app
from delivery.bootstrap import ApiParts, Store
from delivery.broker.thread import PublishingThread
from delivery.config import load_config
from delivery.contract.emails import EmailsContract
from delivery.contract.send import SendContract
from delivery.domain.api_keys import ApiKey
from delivery.domain.breaker import Breaker
from delivery.domain.counts import TenantCounts
from delivery.domain.emails import NewEmail, Standing
from delivery.domain.errors import PostroomError, StoreUnavailable
from delivery.domain.happenings import Happening
from delivery.domain.idempotency import KeyRecord
from delivery.domain.inserted import Inserted
from delivery.domain.owed import OwedEmail
from delivery.domain.provider_events import ProviderEvent
from delivery.domain.rates import Rate
from delivery.domain.readings import EmailReading, Listed
from delivery.domain.states import State
from delivery.domain.tenants import Tenant
from delivery.store.group_commit import GroupCommit
from delivery.store.rate_budgets import Taken
from delivery.use_cases.accept_named import accept_named
from delivery.use_cases.accept_once import KeyedRequest, Once
from delivery.use_cases.identify_callers import Callers
from delivery.use_cases.limit_rates import RateLimits
from tests.unit.delivery.builders import listed, standing


def _as_stored(at: datetime) -> datetime:
    """To the millisecond, as MongoDB keeps times."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


class Emails:
    """Emails by id; what a test puts here is of every tenant. ``becomes``: what is accepted is so at once."""

    def __init__(self) -> None:
        self.accepted: list[NewEmail] = []
        self.found: dict[str, Standing] = {}
        self.tenants: dict[str, str] = {}
        self.error: Exception | None = None
        self.becomes = State.QUEUED
        self.are_replays = False
        self.keys: dict[tuple[str, str], tuple[str, ...]] = {}
        self.hashes: dict[str, str] = {}

    def accept(self, new: Sequence[NewEmail]) -> Sequence[None]:
        if self.error is not None:
            raise self.error
        self.accepted += new
        for email in new:
            self.tenants[email.email_id] = email.tenant_id
            self.found[email.email_id] = standing(
                email_id=email.email_id, state=self.becomes, accepted_at=_as_stored(email.accepted_at)
            )
        return [None] * len(new)

    def accept_batch(self, batches: Sequence[Sequence[NewEmail]]) -> Sequence[None]:
        self.accept([email for batch in batches for email in batch])
        return [None] * len(batches)

    def accept_once(self, requests: Sequence[KeyedRequest]) -> Sequence[Once]:
        self.accept([email for request in requests for email in request.emails])
        self.keys |= {(r.record.record_id, r.record.fingerprint): r.record.email_ids for r in requests}
        return [Once(request.record.email_ids, is_replay=self.are_replays) for request in requests]

    def accept_named(self, new: Sequence[NewEmail]) -> Sequence[bool | PostroomError]:
        if self.error is not None:
            raise self.error
        answers = accept_named(new, store=self, hand_over=lambda _: None)
        self.tenants |= {email.email_id: email.tenant_id for email in new}
        return answers

    def insert(self, new: Sequence[NewEmail]) -> Inserted:
        known = frozenset(email.email_id for email in new) & self.hashes.keys()
        fresh = [email for email in new if email.email_id not in known]
        self.accept(fresh)
        self.hashes |= {email.email_id: email.content_hash or "" for email in fresh}
        return Inserted(known)

    def owing(self, email_ids: Iterable[str]) -> list[OwedEmail]:
        return []

    def content_hashes(self, email_ids: Iterable[str]) -> dict[str, str]:
        return {email_id: self.hashes[email_id] for email_id in email_ids if email_id in self.hashes}

    def answered(self, record_id: str, *, fingerprint: str) -> Once | None:
        ids = self.keys.get((record_id, fingerprint))
        return Once(ids, is_replay=True) if ids else None

    def get(self, tenant_id: str, email_id: str) -> Standing | None:
        if self.error is not None:
            raise self.error
        is_its = self.tenants.get(email_id, tenant_id) == tenant_id
        return self.found.get(email_id) if is_its else None

    def own(self, tenant_id: str, email_ids: Iterable[str]) -> set[str]:
        return {email_id for email_id in email_ids if self.tenants.get(email_id) == tenant_id}

    def standings(self, email_ids: Iterable[str]) -> dict[str, Standing]:
        return {email_id: self.found[email_id] for email_id in email_ids if email_id in self.found}


class Events:
    def __init__(self) -> None:
        self.recorded: list[ProviderEvent] = []
        self.error: Exception | None = None

    def record(self, events: Sequence[ProviderEvent]) -> Sequence[None]:
        if self.error is not None:
            raise self.error
        self.recorded += events
        return [None] * len(events)


class Breakers:
    """The provider's breaker; while the store is away nobody can tell."""

    def __init__(self) -> None:
        self.breaker = Breaker()
        self.reachable = True

    def get(self, provider: str) -> Breaker:
        if not self.reachable:
            raise StoreUnavailable("NetworkTimeout")
        return self.breaker


class Keys:
    """The keys of the store; while it is away nobody can tell."""

    def __init__(self) -> None:
        self.made: dict[str, ApiKey] = {}
        self.reachable = True
        self.uses: list[str] = []

    def get(self, key_id: str) -> ApiKey | None:
        self._check()
        return self.made.get(key_id)

    def exist(self) -> bool:
        self._check()
        return bool(self.made)

    def note_use(self, key_id: str, *, now: datetime) -> None:
        self._check()
        self.uses.append(key_id)

    def _check(self) -> None:
        if not self.reachable:
            raise StoreUnavailable("NetworkTimeout")


class Tenants:
    def __init__(self) -> None:
        self.made: dict[str, Tenant] = {}

    def get(self, tenant_id: str) -> Tenant | None:
        return self.made.get(tenant_id)


class RateBudgets:
    """Full buckets; what was taken of each."""

    def __init__(self) -> None:
        self.free_at: dict[str, int] = {}

    def take(self, tenant_id: str, wanted: int, *, rate: Rate, now: int) -> Taken:
        free_at = max(self.free_at.get(tenant_id, 0), now - rate.earliest)
        tokens = min(wanted, rate.room(free_at=free_at, now=now))
        self.free_at[tenant_id] = free_at + tokens * rate.interval
        return Taken(tokens, self.free_at[tenant_id])

    def charge(self, tenant_id: str, tokens: int, *, rate: Rate, now: int) -> None:
        free_at = max(self.free_at.get(tenant_id, 0), now - rate.earliest)
        self.free_at[tenant_id] = free_at + tokens * rate.interval


class Readings:
    """What ``emails`` accepted, whole. seen: what was looked for."""

    def __init__(self, emails: Emails) -> None:
        self._emails = emails

    def get(self, tenant_id: str, email_id: str) -> EmailReading | None:
        found = self.read(tenant_id, [email_id])
        return found[0] if found else None

    def read(self, tenant_id: str, email_ids: Iterable[str]) -> list[EmailReading]:
        stands = {one: self._emails.get(tenant_id, one) for one in email_ids}
        contents = {email.email_id: email.request.content for email in self._emails.accepted}
        return [
            EmailReading(standing=standing, content=contents[one])
            for one, standing in stands.items()
            if standing is not None
        ]

    def listed(
        self, tenant_id: str, *, recipient: str | None, since: datetime, until: datetime, limit: int
    ) -> list[Listed]:
        there = self.read(tenant_id, [email.email_id for email in self._emails.accepted])
        return listed(there, recipient=recipient, since=since, until=until, limit=limit)


class Scheduled:
    """Of what ``emails`` has."""

    def __init__(self, emails: Emails) -> None:
        self._emails = emails

    def cancel(self, seen: Standing, *, reason: str, now: datetime) -> bool:
        self._emails.found[seen.email_id] = replace(seen, state=State.CANCELED, reason=reason)
        return True

    def reschedule(self, seen: Standing, *, send_at: datetime, now: datetime) -> bool:
        self._emails.found[seen.email_id] = replace(seen, due_at=send_at, send_at=send_at)
        return True


class IdempotencyKeys:
    """records: by their ids."""

    def __init__(self) -> None:
        self.records: dict[str, KeyRecord] = {}

    def find(self, record_ids: Iterable[str]) -> dict[str, KeyRecord]:
        return {one: self.records[one] for one in record_ids if one in self.records}


class StatsOfTenants:
    def __init__(self) -> None:
        self.found: dict[str, TenantCounts] = {}

    def of_tenant(self, tenant_id: str) -> TenantCounts:
        return self.found[tenant_id]


class FakeStore:
    def __init__(self) -> None:
        self.counts = StatsOfTenants()
        self.counted: list[Happening] = []
        self.api_keys = Keys()
        self.tenants = Tenants()
        self.emails = Emails()
        self.readings = Readings(self.emails)
        self.scheduled = Scheduled(self.emails)
        self.idempotency_keys = IdempotencyKeys()
        self.breakers = Breakers()
        self.rates = RateBudgets()

    def count(self, happenings: Sequence[Happening]) -> None:
        self.counted += happenings


class Publishing:
    def __init__(self) -> None:
        self.is_connected = True

    def start(self) -> None:
        pass


class FakeApi:
    """The app over fakes, and a client on this machine. For its rate limits time stands still."""

    NOW = 10**18

    def __init__(self, **environ: str) -> None:
        self._ahead = timedelta(0)
        self.store = FakeStore()
        self.emails = self.store.emails
        self.events = Events()
        self.publishing = Publishing()
        config = load_config({"WEBHOOK_SECRETS": "secret", "WEBHOOK_PATH_TOKENS": "token", **environ})
        parts = ApiParts(
            config=config,
            store=cast(Store, self.store),
            callers=Callers(
                keys=self.store.api_keys,
                tenants=self.store.tenants,
                configured=config.api.keys,
                clock=lambda: datetime.now(UTC) + self._ahead,
            ),
            limits=RateLimits(self.store.rates, default=config.api.rate, clock=lambda: FakeApi.NOW),
            contract=SendContract(extra_fields=config.provider.extra_fields),
            publishing=cast(PublishingThread, self.publishing),
            accept_once=GroupCommit(self.emails.accept_once, name="accepting once"),
            accept_batch_once=GroupCommit(self.emails.accept_once, name="accepting batches once"),
            answered=self.emails.answered,
            accept_named=GroupCommit(self.emails.accept_named, name="accepting under own ids"),
            emails_contract=EmailsContract(extra_fields=config.provider.extra_fields),
            accept_batch=GroupCommit(self.emails.accept_batch, name="accepting batches"),
            accept=GroupCommit(self.emails.accept, name="accepting"),
            record=GroupCommit(self.events.record, name="recording"),
        )
        self.app: Flask = create_app(parts)
        self.client: FlaskClient = self.app.test_client()

    def forget_callers(self) -> None:
        """Look tenants and keys up anew, as after some time."""
        self._ahead += timedelta(minutes=1)


Start = Callable[..., FakeApi]
