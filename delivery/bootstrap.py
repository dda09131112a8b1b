"""The composition root: builds the parts from the configuration. Nothing happens at import."""

import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Protocol
from uuid import uuid4

from pymongo import MongoClient
from pymongo.database import Database
from uuid_utils import uuid7

from delivery.broker.publisher import Publisher
from delivery.broker.strikes import Strikes
from delivery.broker.thread import PublishingThread
from delivery.config_values import Config
from delivery.contract.emails import EmailsContract
from delivery.contract.send import SendContract
from delivery.domain import counts
from delivery.domain.emails import NewEmail
from delivery.domain.errors import NotStored, PostroomError
from delivery.domain.happenings import Happening
from delivery.domain.provider_events import PendingEvent, ProviderEvent
from delivery.providers.mail_delivery_service import MailDeliveryService
from delivery.store.api_keys import ApiKeys
from delivery.store.attachments import Attachments
from delivery.store.breakers import Breakers
from delivery.store.call_budgets import CallBudgets
from delivery.store.claims import Claims
from delivery.store.client import Document, calls_within, connect, database, ping, time_to_write
from delivery.store.counts import StoredCounts
from delivery.store.effects import Effects
from delivery.store.email_readings import EmailReadings
from delivery.store.emails import Emails
from delivery.store.group_commit import GroupCommit
from delivery.store.idempotency_keys import IdempotencyKeys
from delivery.store.leadership import Leadership
from delivery.store.overdue_emails import OverdueEmails
from delivery.store.parked_emails import ParkedEmails
from delivery.store.provider_events import ProviderEvents
from delivery.store.questions import Questions
from delivery.store.rate_budgets import RateBudgets
from delivery.store.records import Records
from delivery.store.reported_emails import ReportedEmails
from delivery.store.scheduled_emails import ScheduledEmails
from delivery.store.tally import Tally
from delivery.store.tenants import Tenants
from delivery.store.waiting_emails import WaitingEmails
from delivery.use_cases.accept_emails import accept_emails
from delivery.use_cases.accept_named import accept_named
from delivery.use_cases.accept_once import AcceptOnce, KeyedRequest, Once
from delivery.use_cases.apply_provider_events import apply_provider_events
from delivery.use_cases.ask_about_emails import StatusEndpoint
from delivery.use_cases.identify_callers import Callers
from delivery.use_cases.limit_rates import RateLimits
from delivery.use_cases.publish_owed import MessagePublisher, Owed, PublishOwed, Strike
from delivery.use_cases.record_provider_events import record_provider_events
from delivery.use_cases.submit_email import Provider
from topology.definition import postroom_topology
from topology.model import Topology

API_STORE_TIMEOUT = timedelta(seconds=1.5)
"""A caller of the API hears within 2 s that the store is away."""

MOST_OF_BATCHES = 100
"""Emails in one call: as many as a batch may have. Several batches together would run into a timeout where
the store is slow, and none would gain by the others."""

RECORDING_PAUSE = timedelta(milliseconds=10)
"""Between two calls that store provider events: a provider minds no hundredth of a second."""

CONSUMERS_STORE_TIMEOUT = timedelta(seconds=5)


def utc_now() -> datetime:
    return datetime.now(UTC)


def new_email_id() -> str:
    """Time-ordered, so that inserts go to the end of the index. RFC 9562, version 7."""
    return str(uuid7())


def process_name() -> str:
    """Unique among all processes that share a store or a broker."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"


def topology_of(config: Config) -> Topology:
    return postroom_topology(delay_steps=[step.name for step in config.delay_steps])


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """The collections, over one client."""

    client: MongoClient[Document]
    db: Database[Document]
    emails: Emails
    attachments: Attachments
    claims: Claims
    events: ProviderEvents
    effects: Effects
    reported: ReportedEmails
    waiting: WaitingEmails
    scheduled: ScheduledEmails
    readings: EmailReadings
    questions: Questions
    overdue: OverdueEmails
    parked: ParkedEmails
    records: Records
    breakers: Breakers
    budgets: CallBudgets
    rates: RateBudgets
    leadership: Leadership
    tenants: Tenants
    api_keys: ApiKeys
    idempotency_keys: IdempotencyKeys
    counts: StoredCounts
    tally: Tally
    provider_reports_deliveries: bool

    def is_reachable(self) -> bool:
        return ping(self.db)

    def count(self, happenings: Sequence[Happening]) -> None:
        """In memory for about a second; never fails."""
        self.tally.add(counts.happened(happenings, reports_deliveries=self.provider_reports_deliveries))

    def apply_events(self, pending: Sequence[PendingEvent]) -> list[Happening]:
        return apply_provider_events(
            self.effects.not_applied(pending),
            events=self.effects,
            emails=self.emails,
            reported=self.reported,
            now=utc_now(),
        )

    def flush(self) -> None:
        """Write what is kept in memory for a moment. Never fails."""
        self.effects.flush()
        self.tally.flush()


def build_store(config: Config, *, timeout: timedelta) -> Store:
    client = connect(config.mongodb_uri, timeout=timeout)
    db = database(client, config.mongodb_uri)
    stored_counts = StoredCounts(db)
    tally = Tally(stored_counts.add)
    events = ProviderEvents(db, hash_key=config.recipient_hash_key)
    return Store(
        client=client,
        db=db,
        emails=Emails(
            db, hash_key=config.recipient_hash_key, count=lambda new: tally.add(counts.accepted(new))
        ),
        attachments=Attachments(db),
        claims=Claims(db),
        events=events,
        effects=Effects(events.record_effects, relay_grace=config.loops.relay_grace),
        reported=ReportedEmails(db),
        waiting=WaitingEmails(db),
        scheduled=ScheduledEmails(db),
        readings=EmailReadings(db, hash_key=config.recipient_hash_key),
        questions=Questions(db),
        overdue=OverdueEmails(db),
        parked=ParkedEmails(db),
        records=Records(db, hash_key=config.recipient_hash_key),
        breakers=Breakers(db),
        budgets=CallBudgets(db),
        rates=RateBudgets(db),
        leadership=Leadership(db, owner=process_name()),
        tenants=Tenants(db),
        api_keys=ApiKeys(db),
        idempotency_keys=IdempotencyKeys(db),
        counts=stored_counts,
        tally=tally,
        provider_reports_deliveries=config.provider.reports_deliveries,
    )


def callers_of(config: Config, store: Store) -> Callers:
    return Callers(keys=store.api_keys, tenants=store.tenants, configured=config.api.keys, clock=utc_now)


def may_listen(config: Config) -> bool:
    """Whether the API may listen where it is told to: elsewhere than on this machine only with some key.

    Raises StoreUnavailable when only the store can tell, and it is away. Safe to call before a fork.
    """
    if config.api.is_for_this_machine or config.api.keys:
        return True
    store = build_store(config, timeout=CONSUMERS_STORE_TIMEOUT)
    try:
        return store.api_keys.exist()
    finally:
        store.client.close()


def build_publisher(config: Config, *, role: str) -> Publisher:
    """Its name on the broker says whose it is: ``role``, and the process."""
    return Publisher(config.amqp_url, name=f"postroom {role} {process_name()}", topology=topology_of(config))


def build_replies_publisher(config: Config) -> Publisher:
    """A connection for replies alone: the broker may close it over an address that a service made up."""
    nothing = Topology(exchanges=(), queues=(), bindings=())
    return Publisher(config.amqp_url, name=f"postroom replies {process_name()}", topology=nothing)


def publish_owed(
    config: Config, *, publisher: MessagePublisher, strike: Strike
) -> Callable[[Sequence[Owed]], Awaitable[int]]:
    return PublishOwed(publisher=publisher, strike=strike, steps=config.delay_steps, clock=utc_now)


def strikes_of(config: Config, store: Store) -> Strikes:
    """Call it on the event loop that it will run on."""
    return Strikes(store.emails, relay_grace=config.loops.relay_grace, clock=utc_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiParts:
    """What the API works with. One per process, built after the fork.

    accept, accept_once, accept_named, record and those for batches share their round trips to the store with
    whatever other threads commit.
    """

    config: Config
    store: Store
    callers: Callers
    limits: RateLimits
    contract: SendContract
    publishing: PublishingThread
    emails_contract: EmailsContract
    accept: GroupCommit[NewEmail, None]
    accept_batch: GroupCommit[Sequence[NewEmail], None]
    accept_once: GroupCommit[KeyedRequest, Once]
    accept_batch_once: GroupCommit[KeyedRequest, Once]
    answered: Callable[..., Once | None]
    accept_named: GroupCommit[NewEmail, bool]
    record: GroupCommit[ProviderEvent, None]


def build_api(config: Config) -> ApiParts:
    return join_api(
        config,
        store=build_store(config, timeout=API_STORE_TIMEOUT),
        make_publisher=lambda: build_publisher(config, role="api"),
    )


def join_api(config: Config, *, store: Store, make_publisher: Callable[[], Publisher]) -> ApiParts:
    """The API's parts over this store and this publisher (made on the publishing thread's own loop)."""
    publishing = PublishingThread(
        make_publisher=make_publisher,
        make_strikes=lambda: strikes_of(config, store),
        make_publish=lambda publisher, strikes: publish_owed(config, publisher=publisher, strike=strikes.add),
    )

    def accept(new: Sequence[NewEmail]) -> Sequence[NotStored | None]:
        inserted = accept_emails(new, emails=store.emails, hand_over=publishing.hand_over)
        return [inserted.failure_of(email.email_id) for email in new]

    def accept_batch(batches: Sequence[Sequence[NewEmail]]) -> Sequence[NotStored | None]:
        new = [email for batch in batches for email in batch]
        with calls_within(time_to_write(sum(email.request.size for email in new))):
            failures = iter(accept(new))
        return [_first(islice(failures, len(batch))) for batch in batches]

    accept_once = AcceptOnce(
        keys=store.idempotency_keys, emails=store.emails, hand_over=publishing.hand_over, clock=utc_now
    )

    def accept_batch_once(requests: Sequence[KeyedRequest]) -> Sequence[Once | PostroomError]:
        with calls_within(time_to_write(sum(request.size for request in requests))):
            return accept_once(requests)

    def named(new: Sequence[NewEmail]) -> Sequence[bool | PostroomError]:
        return accept_named(new, store=store.emails, hand_over=publishing.hand_over)

    def record(events: Sequence[ProviderEvent]) -> Sequence[NotStored | None]:
        inserted = record_provider_events(
            events, store=store.events, hand_over=publishing.hand_over, now=utc_now()
        )
        return [inserted.failure_of(event.event_id) for event in events]

    return ApiParts(
        config=config,
        store=store,
        callers=callers_of(config, store),
        limits=RateLimits(store.rates, default=config.api.rate, clock=time.time_ns),
        contract=SendContract(extra_fields=config.provider.extra_fields),
        emails_contract=EmailsContract(extra_fields=config.provider.extra_fields),
        publishing=publishing,
        accept=GroupCommit(accept, name="accepting", size=lambda email: email.request.size),
        accept_batch=GroupCommit(
            accept_batch,
            name="accepting batches",
            size=lambda batch: sum(each.request.size for each in batch),
            count=len,
            most=MOST_OF_BATCHES,
        ),
        accept_once=GroupCommit(accept_once, name="accepting once", size=lambda request: request.size),
        accept_batch_once=GroupCommit(
            accept_batch_once,
            name="accepting batches once",
            size=lambda request: request.size,
            count=lambda request: len(request.emails),
            most=MOST_OF_BATCHES,
        ),
        answered=accept_once.answered,
        accept_named=GroupCommit(
            named, name="accepting under own ids", size=lambda email: email.request.content.size
        ),
        record=GroupCommit(
            record, name="recording", size=lambda event: len(event.raw), pause=RECORDING_PAUSE
        ),
    )


def _first(failures: Iterable[NotStored | None]) -> NotStored | None:
    return next((failure for failure in list(failures) if failure is not None), None)


class MailProvider(Provider, StatusEndpoint, Protocol):
    """All that the consumers ask of a provider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerParts:
    """What the consumers work with. One per process."""

    config: Config
    store: Store
    contract: SendContract
    topology: Topology
    publisher: Publisher
    replies: Publisher
    provider: MailProvider
    close_provider: Callable[[], Awaitable[None]]


def build_consumers(config: Config) -> ConsumerParts:
    provider = MailDeliveryService(config.provider)
    return ConsumerParts(
        config=config,
        store=build_store(config, timeout=CONSUMERS_STORE_TIMEOUT),
        contract=SendContract(extra_fields=config.provider.extra_fields),
        topology=topology_of(config),
        publisher=build_publisher(config, role="consumers"),
        replies=build_replies_publisher(config),
        provider=provider,
        close_provider=provider.close,
    )
