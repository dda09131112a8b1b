"""List a tenant's emails, the newest first, page by page.

A list is walked backwards in time, window by window, and a request looks at a bounded number of emails:
whoever filters much out of many gets short pages, and goes on behind the place where the last one ended.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from delivery.domain.clocks import CLOCK_MARGIN, TICK
from delivery.domain.errors import InvalidRequest
from delivery.domain.idempotency import KeyRecord, record_id
from delivery.domain.readings import MOST_BY_PAGE, EmailPage, EmailReading, Listed, Part, Place, Wanted

MOST_EXAMINED = 5000
"""Emails that one request looks at, and no more are counted."""

AT_ONCE = 1000
"""Emails of one look into the store."""

FIRST_WINDOW = timedelta(seconds=1)
GROWTH = 4
"""SecantusDB reads all of a window, however little is asked for: so the first is short, each next longer."""

BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)
"""There is no older email."""


class ListedEmails(Protocol):
    def listed(
        self, tenant_id: str, *, recipient: str | None, since: datetime, until: datetime, limit: int
    ) -> list[Listed]: ...

    def read(self, tenant_id: str, email_ids: Sequence[str]) -> list[EmailReading]: ...


class Keys(Protocol):
    def find(self, record_ids: Iterable[str]) -> dict[str, KeyRecord]: ...


def list_emails(
    tenant_id: str, wanted: Wanted, part: Part, *, emails: ListedEmails, keys: Keys, now: datetime
) -> EmailPage:
    """One page. Raises InvalidRequest for a page too far off; StoreUnavailable."""
    if part.behind is None and part.page * part.limit > MOST_BY_PAGE:
        raise InvalidRequest(f"pages go as far as {MOST_BY_PAGE} emails; go on with cursor")
    if wanted.key is not None:
        return _of_key(tenant_id, wanted, part, key=wanted.key, emails=emails, keys=keys)
    walk = _Walk(tenant_id, wanted, emails=emails, behind=part.behind, now=now)
    first = 0 if part.behind is not None else (part.page - 1) * part.limit
    most = part.limit + 1 if part.behind is not None else MOST_EXAMINED
    matches = list(walk.matches(most))
    shown = matches[first : first + part.limit]
    readings = {email.standing.email_id: email for email in emails.read(tenant_id, _ids(shown))}
    is_full = len(matches) > first + part.limit
    return EmailPage(
        emails=tuple(readings[email_id] for email_id in _ids(shown) if email_id in readings),
        count=len(matches),
        next=shown[-1] if is_full else walk.left_at,
    )


def _of_key(
    tenant_id: str, wanted: Wanted, part: Part, *, key: str, emails: ListedEmails, keys: Keys
) -> EmailPage:
    """The emails of a key, for as long as the key is known: at most a batch."""
    record = keys.find([record_id(tenant_id, key)]).get(record_id(tenant_id, key))
    found = emails.read(tenant_id, record.email_ids) if record is not None else []
    matches = sorted((email for email in found if wanted.takes_reading(email)), key=_place, reverse=True)
    behind = [email for email in matches if part.behind is None or _place(email) < part.behind]
    first = 0 if part.behind is not None else (part.page - 1) * part.limit
    shown = behind[first : first + part.limit]
    is_full = len(behind) > first + part.limit
    return EmailPage(emails=tuple(shown), count=len(matches), next=_place(shown[-1]) if is_full else None)


def _place(email: EmailReading) -> Place:
    return Place(email.standing.accepted_at, email.standing.email_id)


def _ids(places: Iterable[Place]) -> list[str]:
    return [place.email_id for place in places]


class _Walk:
    """left_at: where it gave up, if it did: there is more behind it that nobody has looked at."""

    def __init__(
        self, tenant_id: str, wanted: Wanted, *, emails: ListedEmails, behind: Place | None, now: datetime
    ) -> None:
        self._tenant_id = tenant_id
        self._wanted = wanted
        self._emails = emails
        self._behind = behind
        newest = now + CLOCK_MARGIN
        ends = [newest, wanted.until or newest, behind.at if behind else newest]
        self._until = min(ends)
        self.left_at: Place | None = None

    def matches(self, most: int) -> Iterator[Place]:
        """The places of wanted emails, no more than ``most``."""
        matched = 0
        for examined, email in enumerate(self._walk()):
            if matched == most or examined == MOST_EXAMINED:
                return
            self.left_at = email.place
            if self._wanted.takes(email):
                matched += 1
                yield email.place
        self.left_at = None

    def _walk(self) -> Iterator[Listed]:
        """From the newest to the oldest, each once."""
        oldest = self._wanted.since or BEGINNING
        until, behind, length, limit = self._until, self._behind, FIRST_WINDOW, AT_ONCE
        while until >= oldest:
            since = max(oldest, until - length)
            found = self._emails.listed(
                self._tenant_id, recipient=self._wanted.recipient, since=since, until=until, limit=limit
            )
            fresh = [email for email in found if behind is None or email.place < behind]
            yield from fresh
            if len(found) < limit:
                until, length = since - TICK, length * GROWTH
            elif fresh:
                until, behind, limit = fresh[-1].place.at, fresh[-1].place, AT_ONCE
            else:  # as many were accepted in the same instant
                limit *= 2
