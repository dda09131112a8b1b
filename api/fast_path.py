"""The way of most requests, without a thread and without Flask: an email to send, an event of the provider's.

Only what nobody but the store can refuse any more comes this way: a plain request, a caller who is known, a
right body. All else goes the ordinary way, through the routes, and they say what is wrong with it: each rule
and each word of refusal is in one place. docs/adr/0016-fast-path.md has what it saves.

Nothing here may wait: it runs in the loop that all clients of the process share.
"""

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from api import sending, webhooks
from api.authentication import SCOPES, require_loopback, token_in
from api.errors import told_of
from api.new_emails import keyed_request, new_email
from api.plain_requests import PlainRequest
from api.preferences import idempotency_key
from api.rate_limits import allowance_headers
from api.told import Told
from delivery.bootstrap import ApiParts, utc_now
from delivery.domain.errors import StoreOutcomeUnknown
from delivery.domain.tenants import Caller
from delivery.providers import mail_delivery_service
from delivery.use_cases.accept_once import Once


@dataclass(frozen=True, slots=True)
class Begun:
    """A request that waits for the store.

    commit: to be given up when it has not ended ``within``. tell: what to answer when it has ended well, or
    with an error.
    """

    commit: Future[Any]
    within: timedelta
    tell: Callable[[Any], Told]


class FastPath:
    """For the requests of one process. Safe to use from one thread, which never waits here."""

    def __init__(self, parts: ApiParts) -> None:
        self._parts = parts
        self._ways: dict[str, Callable[[PlainRequest, str], Begun | None]] = {
            sending.PATH: self._send,
            f"{webhooks.PREFIX}{webhooks.SIGNED}": self._record,
        }

    def begin(self, request: PlainRequest, *, remote: str) -> Begun | None:
        """None, and nothing has happened: the request goes the ordinary way. Else ``commit`` is to follow.

        remote: where it comes from.
        """
        way = self._ways.get(request.path)
        if way is None or len(request.body) > self._parts.config.api.max_body_bytes:
            return None
        try:
            return way(request, remote)
        except Exception:  # also what is unexpected: there it meets the ordinary way's handler
            return None

    def commit(self) -> None:
        """Have all that was begun committed. Once for what came together, so that it is written together."""
        with suppress(RuntimeError):  # no thread can be started: the next one tries again
            self._parts.accept.wake()
            self._parts.accept_once.wake()
            self._parts.record.wake()

    def _send(self, request: PlainRequest, remote: str) -> Begun | None:
        caller = self._caller(request, remote)
        if caller is None or _media_type(request) != "application/json":
            return None
        if not self._parts.limits.may_admit_at_hand(caller.tenant.tenant_id, caller.tenant.rate):
            return None  # before its body takes the loop's time
        contract, key = self._parts.contract, idempotency_key(request.headers.get("idempotency-key"))
        email = new_email(contract, request.body, tenant=caller.tenant, now=utc_now(), says_why=False)
        keyed = None if key is None else keyed_request(contract, request.body, email=email, key=key)
        is_admitted, allowance = self._parts.limits.admit_at_hand(caller.tenant.tenant_id, caller.tenant.rate)
        if not is_admitted:
            return None
        more = {} if allowance is None else allowance_headers(allowance)

        def tell(result: Any) -> Told:
            told = _sent(result, email.email_id) if keyed is None else _sent_once(result)
            return replace(told, headers={**told.headers, **more}) if more else told

        commit: Future[Any]
        commit = self._parts.accept.submit(email) if keyed is None else self._parts.accept_once.submit(keyed)
        return Begun(commit, sending.COMMIT_WITHIN, tell)

    def _record(self, request: PlainRequest, _remote: str) -> Begun | None:
        secrets = self._parts.config.provider.webhook_secrets
        mail_delivery_service.verify(request.body, request.headers.get("x-signature"), secrets=secrets)
        events = mail_delivery_service.parse_events(request.body)
        if len(events) != 1:
            return None
        return Begun(self._parts.record.submit(events[0]), sending.COMMIT_WITHIN, _recorded)

    def _caller(self, request: PlainRequest, remote: str) -> Caller | None:
        """Whoever may send. Raises NotAuthenticated and NotAllowed."""
        headers = request.headers
        token = token_in(headers.get("authorization", ""), _each(headers.get("x-api-key")))
        caller = self._parts.callers.at_hand(token)
        if caller is None:
            return None
        if not token:
            origins = _each(headers.get("origin"))
            require_loopback(remote=remote, host=headers["host"], origins=origins, names=headers)
        caller.check(SCOPES["sending.send"])
        return caller


def _sent(result: object, email_id: str) -> Told:
    if isinstance(result, StoreOutcomeUnknown):
        return sending.may_be_accepted(email_id)
    if isinstance(result, BaseException):
        return told_of(result, path=sending.PATH)
    return sending.accepted(email_id)


def _sent_once(result: object) -> Told:
    if isinstance(result, StoreOutcomeUnknown):
        return sending.may_be_accepted_once()
    if isinstance(result, BaseException):
        return told_of(result, path=sending.PATH)
    assert isinstance(result, Once)
    return sending.accepted_once(result)


def _recorded(result: object) -> Told:
    if isinstance(result, BaseException):
        return told_of(result, path=webhooks.PREFIX)
    return webhooks.RECORDED


def _each(value: str | None) -> list[str]:
    return [] if value is None else [value]


def _media_type(request: PlainRequest) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
