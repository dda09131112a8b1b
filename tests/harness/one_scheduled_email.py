"""The email in memory, as far as it may be scheduled, rescheduled and canceled."""

from collections.abc import Sequence
from datetime import datetime

from delivery.domain.emails import Standing
from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedEmail, OwedTo
from delivery.domain.scheduling import DueEmail
from delivery.domain.states import State
from tests.harness.one_email import OneEmail


class OneScheduledEmail(OneEmail):
    """May be scheduled, and be sent at once."""

    def due_emails(self, lane: Lane, *, now: datetime, limit: int) -> list[DueEmail]:
        new = self.email.new
        if self.email.state is not State.SCHEDULED or self.email.due_at > now:
            return []
        expires_at = new.request.expires_at
        return [DueEmail(email_id=new.email_id, tenant_id=new.tenant_id, expires_at=expires_at)]

    def queue(self, email_ids: Sequence[str], *, now: datetime) -> list[OwedEmail]:
        email = self.email
        if email.state is State.SCHEDULED and email.due_at <= now:
            self._move(State.QUEUED, now)
            email.waiting_since, email.owed = now, OwedTo.LANE
        return self.owing([]) if email.gen == 1 else []

    def expire_scheduled(self, email_ids: Sequence[str], *, now: datetime) -> list[str]:
        email, expires_at = self.email, self.email.new.request.expires_at
        is_over = expires_at is not None and expires_at <= now
        if email.state is State.SCHEDULED and email.due_at <= now and is_over:
            self._move(State.EXPIRED, now)
        return list(email_ids) if (email.state, email.updated_at) == (State.EXPIRED, now) else []

    def cancel(self, seen: Standing, *, reason: str, now: datetime) -> bool:
        email = self.email
        if (email.state, email.gen) != (seen.state, seen.gen) or email.may_be_sent:
            return False
        self._move(State.CANCELED, now)
        email.owed = None
        return True

    def reschedule(self, seen: Standing, *, send_at: datetime, now: datetime) -> bool:
        email = self.email
        if (email.state, email.gen) != (seen.state, seen.gen):
            return False
        email.due_at, email.updated_at = send_at, now
        return True
