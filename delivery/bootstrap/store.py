"""The collections, over one client."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from pymongo import MongoClient
from pymongo.database import Database

from delivery.bootstrap.names_and_time import process_name, utc_now
from delivery.config_values import Config
from delivery.domain import counts
from delivery.domain.happenings import Happening
from delivery.domain.provider_events import PendingEvent
from delivery.store.api_keys import ApiKeys
from delivery.store.attachments import Attachments
from delivery.store.breakers import Breakers
from delivery.store.call_budgets import CallBudgets
from delivery.store.claims import Claims
from delivery.store.client import Document, connect, database, ping
from delivery.store.counts import StoredCounts
from delivery.store.effects import Effects
from delivery.store.email_readings import EmailReadings
from delivery.store.emails import Emails
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
from delivery.use_cases.apply_provider_events import apply_provider_events

CONSUMERS_STORE_TIMEOUT = timedelta(seconds=5)


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
