"""The collections over a fresh database in the session's store."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from delivery.domain.emails import ClaimedEmail, NewEmail
from delivery.domain.happenings import Happening
from delivery.domain.inserted import Inserted
from delivery.domain.lanes import Lane
from delivery.domain.questions import CheckPolicy
from delivery.domain.settlement import Settlement
from delivery.domain.states import State
from delivery.store.claims import Claims
from delivery.store.client import Document, connect, database
from delivery.store.email_readings import EmailReadings
from delivery.store.emails import Emails
from delivery.store.indexes import create_indexes
from delivery.store.leadership import Leadership
from delivery.store.provider_events import ProviderEvents
from delivery.store.questions import Questions
from delivery.store.reported_emails import ReportedEmails
from delivery.store.scheduled_emails import ScheduledEmails
from tests.harness.store import StoreDatabase
from tests.unit.delivery.builders import NOW, new_email, seconds

UNTIL = NOW + seconds(45)
AFTER_LEASE = UNTIL + seconds(1)
CHECKS = CheckPolicy(
    offsets=(timedelta(minutes=1),), late_accept=seconds(150), report_overdue=None, calls_per_minute=60
)


class Store:
    """The collections of one database, and short words for what tests do with them."""

    def __init__(self, uri: str, *, timeout: timedelta = timedelta(seconds=10)) -> None:
        self.client = connect(uri, timeout=timeout)
        self.db: Database[Document] = database(self.client, uri)
        self.emails = Emails(self.db, hash_key=b"key")
        self.claims = Claims(self.db)
        self.questions = Questions(self.db)
        self.scheduled = ScheduledEmails(self.db)
        self.readings = EmailReadings(self.db, hash_key=b"key")
        self.events = ProviderEvents(self.db, hash_key=b"key")
        self.reported = ReportedEmails(self.db)

    def leadership(self, owner: str) -> Leadership:
        return Leadership(self.db, owner=owner)

    def insert(self, *email_ids: str, **changes: Any) -> list[NewEmail]:
        new = [new_email(email_id, **changes) for email_id in email_ids]
        assert self.emails.insert(new) == Inserted()
        return new

    def change(self, email_id: str, **values: Any) -> None:
        """Put the email where the test needs it, past every rule."""
        self.db.emails.update_one({"_id": email_id}, {"$set": values})

    def claim(
        self, *email_ids: str, gen: int = 1, token: str = "token", now: datetime = NOW
    ) -> list[ClaimedEmail]:
        won = self.claims.claim(email_ids, gen=gen, token=token, until=UNTIL, now=now)
        return sorted(won, key=lambda email: email.email_id)

    def claim_one(self, email_id: str = "a", **changes: Any) -> ClaimedEmail:
        (claimed,) = self.claim(email_id, **changes)
        return claimed

    def settle(self, *claimed: ClaimedEmail, state: State, **changes: Any) -> list[Any]:
        batch = [(email, settlement(email, state=state, **changes)) for email in claimed]
        return self.claims.settle(batch).owed

    def run_out(self, *, before: datetime = AFTER_LEASE) -> list[Happening]:
        return self.questions.run_out(
            before=before,
            now=AFTER_LEASE,
            deadlines=dict.fromkeys(Lane, timedelta(minutes=45)),
            policy=CHECKS,
            limit=100,
        )

    def document(self, email_id: str = "a") -> Document:
        found = self.db.emails.find_one({"_id": email_id})
        assert found is not None
        return found

    def state(self, email_id: str = "a") -> State:
        return State(self.document(email_id)["state"])


def settlement(email: ClaimedEmail, *, state: State, **changes: Any) -> Settlement:
    values: dict[str, Any] = {
        "state": state,
        "attempts": email.attempts + 1,
        "waits": email.waits,
        "at": NOW + seconds(1),
    }
    return Settlement(**{**values, **changes})


def lost(email: ClaimedEmail) -> ClaimedEmail:
    """The claim of a worker whose token is no longer the email's."""
    return replace(email, token="another")


@pytest.fixture
def open_store() -> Iterator[Callable[..., Store]]:
    """Opens the collections of a database, with the indexes unless told otherwise."""
    with ExitStack() as stack:

        def open_at(uri: str, *, indexes: bool = True, **options: Any) -> Store:
            opened = Store(uri, **options)
            stack.callback(opened.client.close)
            if indexes:
                create_indexes(opened.db)
            return opened

        yield open_at


@pytest.fixture
def postroom(database: StoreDatabase, open_store: Callable[..., Store]) -> Store:
    opened: Store = open_store(database.uri)
    return opened


def ids(found: Sequence[Any]) -> list[str]:
    return sorted(item.email_id for item in found)
