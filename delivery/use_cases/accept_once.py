"""Accept what comes with an idempotency key: at most one email a key and item, whoever repeats it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from delivery.domain.emails import NewEmail, Standing
from delivery.domain.errors import KeyInFlight, KeyReused, NotStored, PostroomError
from delivery.domain.idempotency import PATIENCE, KeyRecord, RefusedItem, Repeat, repeat_of
from delivery.domain.inserted import Inserted
from delivery.use_cases.accept_emails import HandOver, NewEmails, accept_emails


class Keys(Protocol):
    def insert(self, records: Sequence[KeyRecord]) -> Inserted: ...

    def find(self, record_ids: Iterable[str]) -> dict[str, KeyRecord]: ...

    def replace(self, old: KeyRecord, new: KeyRecord) -> bool: ...


class Emails(NewEmails, Protocol):
    def standings(self, email_ids: Iterable[str]) -> dict[str, Standing]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedRequest:
    """Emails to accept under one key. record: what is kept of it if it is the first; its ids are theirs."""

    record: KeyRecord
    emails: tuple[NewEmail, ...]

    @property
    def size(self) -> int:
        """About how many bytes it has."""
        return sum(email.request.size for email in self.emails)


@dataclass(frozen=True, slots=True)
class Once:
    """The emails of a key, in the order of its request's items. is_replay: accepted before.

    refused: the items that were not accepted with the others, then or now.
    """

    email_ids: tuple[str, ...]
    is_replay: bool
    refused: tuple[RefusedItem, ...] = ()


class AcceptOnce:
    """Accepts a batch of requests in a few calls to the store."""

    def __init__(
        self,
        *,
        keys: Keys,
        emails: Emails,
        hand_over: HandOver,
        clock: Callable[[], datetime],
        patience: timedelta = PATIENCE,
    ) -> None:
        """patience: how long a request that is not finished is left to whoever began it."""
        self._keys = keys
        self._emails = emails
        self._hand_over = hand_over
        self._clock = clock
        self._patience = patience

    def __call__(self, requests: Sequence[KeyedRequest]) -> list[Once | PostroomError]:
        """Each request's emails, or the error that its caller hears. Raises StoreUnavailable."""
        firsts: dict[str, KeyedRequest] = {}
        for request in requests:
            firsts.setdefault(request.record.record_id, request)
        inserted = self._keys.insert([request.record for request in firsts.values()])
        known = self._keys.find(inserted.known) if inserted.known else {}
        found = self._emails.standings([i for r in known.values() for i in r.email_ids]) if known else {}
        works = [
            self._known(request, known, set(found))
            if request.record.record_id in inserted.known
            else _new(request, first=firsts[request.record.record_id], inserted=inserted)
            for request in requests
        ]
        failed = self._accept([work for work in works if isinstance(work, _Work)])
        return [_answer(work, failed) if isinstance(work, _Work) else work for work in works]

    def answered(self, record_id: str, *, fingerprint: str) -> Once | None:
        """What this request was answered before, if it was. Raises StoreUnavailable."""
        record = self._keys.find([record_id]).get(record_id)
        if record is None:
            return None
        found = set(self._emails.standings(record.email_ids))
        repeat = repeat_of(
            record, fingerprint=fingerprint, found=found, patience=self._patience, now=self._clock()
        )
        return _once(record, is_replay=True) if repeat is Repeat.REPLAY else None

    def _known(
        self, request: KeyedRequest, known: Mapping[str, KeyRecord], found: set[str]
    ) -> "_Work | PostroomError":
        record = known.get(request.record.record_id)
        if record is None:  # it expired between two calls to the store
            return KeyInFlight()
        match repeat_of(
            record,
            fingerprint=request.record.fingerprint,
            found=found,
            patience=self._patience,
            now=self._clock(),
        ):
            case Repeat.OTHER_BODY:
                return KeyReused()
            case Repeat.REPLAY:
                return _Work((), _once(record, is_replay=True))
            case Repeat.UNFINISHED if _lines_up(record, request):
                return _Work(_under(record, request), _once(record, is_replay=True))
            case Repeat.UNFINISHED:
                return KeyReused()
            case Repeat.EXPIRED if self._keys.replace(record, request.record):
                return _Work(request.emails, _once(request.record, is_replay=False))
            case Repeat.EXPIRED | Repeat.IN_FLIGHT:
                return KeyInFlight()

    def _accept(self, works: Sequence["_Work"]) -> frozenset[str]:
        """Returns the ids that the store did not take."""
        emails = {email.email_id: email for work in works for email in work.emails}
        if not emails:
            return frozenset()
        return accept_emails(list(emails.values()), emails=self._emails, hand_over=self._hand_over).failed


@dataclass(frozen=True, slots=True)
class _Work:
    """emails: to be accepted first; those that are there already are left alone."""

    emails: tuple[NewEmail, ...]
    once: Once


def _new(request: KeyedRequest, *, first: KeyedRequest, inserted: Inserted) -> _Work | PostroomError:
    """A request whose key nobody had used before this batch."""
    if request.record.record_id in inserted.failed:
        return NotStored("the store did not take it")
    if request.record.fingerprint != first.record.fingerprint:
        return KeyReused()
    return _Work(first.emails, _once(first.record, is_replay=request is not first))


def _once(record: KeyRecord, *, is_replay: bool) -> Once:
    return Once(record.email_ids, is_replay, record.refused)


def _lines_up(record: KeyRecord, request: KeyedRequest) -> bool:
    """Whether the same items are accepted as at first: what was valid then may have come too late now."""
    then = [item.index for item in record.refused]
    now = [item.index for item in request.record.refused]
    return then == now and len(record.email_ids) == len(request.emails)


def _under(record: KeyRecord, request: KeyedRequest) -> tuple[NewEmail, ...]:
    """The request's emails under the ids that the first request with this key chose."""
    return tuple(
        replace(email, email_id=email_id)
        for email, email_id in zip(request.emails, record.email_ids, strict=True)
    )


def _answer(work: _Work, failed: frozenset[str]) -> Once | PostroomError:
    if failed.intersection(work.once.email_ids):
        return NotStored("the store did not take it")
    return work.once
