"""What the API works with."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from delivery.bootstrap.names_and_time import utc_now
from delivery.bootstrap.publishing import build_publisher, publish_owed, strikes_of
from delivery.bootstrap.store import CONSUMERS_STORE_TIMEOUT, Store, build_store
from delivery.broker.publisher import Publisher
from delivery.broker.thread import PublishingThread
from delivery.config_values import Config
from delivery.contract.emails import EmailsContract
from delivery.contract.send import SendContract
from delivery.domain.emails import NewEmail
from delivery.domain.errors import NotStored, PostroomError
from delivery.domain.provider_events import ProviderEvent
from delivery.store.client import calls_within, time_to_write
from delivery.store.group_commit import GroupCommit
from delivery.use_cases.accept_emails import accept_emails
from delivery.use_cases.accept_named import accept_named
from delivery.use_cases.accept_once import AcceptOnce, KeyedRequest, Once
from delivery.use_cases.identify_callers import Callers
from delivery.use_cases.limit_rates import RateLimits
from delivery.use_cases.record_provider_events import record_provider_events

API_STORE_TIMEOUT = timedelta(seconds=1.5)
"""A caller of the API hears within 2 s that the store is away."""

MOST_OF_BATCHES = 100
"""Emails in one call: as many as a batch may have. Several batches together would run into a timeout where
the store is slow, and none would gain by the others."""

RECORDING_PAUSE = timedelta(milliseconds=10)
"""Between two calls that store provider events: a provider minds no hundredth of a second."""


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
