"""Scheduling, rescheduling and canceling, between everything else that can happen to an email.

What a tenant or the due loop looked at and what it writes then are rules of their own: anything may have
happened in between.
"""

from datetime import datetime

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from delivery.domain.clocks import CLOCK_MARGIN
from delivery.domain.emails import NewEmail, Standing
from delivery.domain.errors import InvalidRequest, TooLate
from delivery.domain.lanes import Lane, OnUnknown
from delivery.domain.owed import OwedTo
from delivery.domain.scheduling import DueEmail, check_cancelable, check_reschedulable
from delivery.domain.states import State
from delivery.use_cases.cancel_email import REASON, cancel_email
from delivery.use_cases.reschedule_email import reschedule_email
from tests.harness.interleavings import PICK, Call, Interleavings
from tests.harness.one_scheduled_email import OneScheduledEmail
from tests.unit.delivery.builders import EMAIL_ID, NOW, new_email, seconds

AHEAD = st.sampled_from([None, 5, 60, 600])
"""Seconds; None: at once."""


class TakingBack(Interleavings):
    store: OneScheduledEmail

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[Standing] = []
        self.due: list[DueEmail] = []

    def open_store(self, new: NewEmail) -> OneScheduledEmail:
        return OneScheduledEmail(new)

    @initialize(
        lane=st.sampled_from([Lane.CRITICAL, Lane.STANDARD]),
        send_in=AHEAD,
        expires_in=st.sampled_from([None, None, 601, 7200]),
    )
    def accept(self, lane: Lane, send_in: int | None, expires_in: int | None) -> None:
        self.lane = lane
        self.expires_at = NOW + seconds(expires_in) if expires_in else None
        self.store = self.open_store(
            new_email(
                lane=lane,
                send_at=NOW + seconds(send_in) if send_in else None,
                expires_at=self.expires_at,
                on_unknown=OnUnknown.RESEND,
            )
        )

    @precondition(lambda self: self.email.owed in (OwedTo.LANE, OwedTo.DELAY))
    @rule(accepts_after=st.sampled_from([10, 120]))
    def nobody_learns_of_an_attempt_until_its_deadline(self, accepts_after: float) -> None:
        self._attempt(accepts_after, 0)
        self.now += seconds(3000)
        self.a_deadline_is_noticed(is_written_at_once=True)

    # The due loop

    @precondition(lambda self: self.email.state is State.SCHEDULED)
    @rule()
    def the_due_are_looked_for(self) -> None:
        self.due += self.store.due_emails(self.lane, now=self.now, limit=1)

    @precondition(lambda self: self.due)
    @rule(is_written_twice=st.booleans())
    def the_due_are_queued(self, is_written_twice: bool) -> None:
        found = self.due.pop()
        for _ in range(2 if is_written_twice else 1):
            if found.has_expired(now=self.now):
                self.store.expire_scheduled([found.email_id], now=self.now)
            else:
                self.store.queue([found.email_id], now=self.now)

    # The tenant

    @rule()
    def its_tenant_looks(self) -> None:
        self.looks += self.store.standings([EMAIL_ID]).values()

    @rule()
    def its_tenant_cancels(self) -> None:
        try:
            cancel_email("default", EMAIL_ID, emails=self.store, scheduled=self.store, now=self.now)
        except TooLate:
            assert self.email.state is not State.SCHEDULED
        else:
            assert self.email.state is State.CANCELED

    @precondition(lambda self: self.looks)
    @rule(pick=PICK)
    def its_tenant_cancels_what_it_saw(self, pick: int) -> None:
        seen = self.looks.pop(pick % len(self.looks))
        try:
            check_cancelable(seen)
        except TooLate:
            return
        if self.store.cancel(seen, reason=REASON, now=self.now):
            assert self.email.state is State.CANCELED

    @rule(send_in=AHEAD)
    def its_tenant_reschedules(self, send_in: int | None) -> None:
        send_at = self._time(send_in)
        try:
            reschedule_email(
                "default", EMAIL_ID, send_at=send_at, emails=self.store, scheduled=self.store, now=self.now
            )
        except (TooLate, InvalidRequest):
            return
        assert (self.email.state, self.email.due_at) == (State.SCHEDULED, send_at or self.now)

    @precondition(lambda self: self.looks)
    @rule(pick=PICK, send_in=AHEAD)
    def its_tenant_reschedules_what_it_saw(self, pick: int, send_in: int | None) -> None:
        seen, send_at = self.looks.pop(pick % len(self.looks)), self._time(send_in)
        try:
            check_reschedulable(seen, send_at=send_at)
        except (TooLate, InvalidRequest):
            return
        self.store.reschedule(seen, send_at=send_at or self.now, now=self.now)

    def _time(self, ahead: int | None) -> datetime | None:
        return self.now + seconds(ahead) if ahead else None

    # What always holds

    def _call(self, call: Call, accepts_after: float | None) -> None:
        super()._call(call, accepts_after)
        if call.is_made:
            assert self.email.state is not State.CANCELED, "it is sent although it was canceled"
            assert call.claimed.due_at <= self.now + CLOCK_MARGIN, "it is sent too early"

    @invariant()
    def what_is_canceled_is_never_accepted(self) -> None:
        if self.email.state is State.CANCELED:
            assert self.truth.accepts == []
            assert self.email.owed is None

    @invariant()
    def what_is_scheduled_owes_nothing(self) -> None:
        if self.email.state is State.SCHEDULED:
            assert (self.email.owed, self.messages) == (None, [])
