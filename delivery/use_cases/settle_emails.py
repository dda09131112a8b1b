"""Write what the provider's answers mean, before any message is acknowledged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from delivery.domain.emails import ClaimedEmail
from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane, LanePolicy
from delivery.domain.outcomes import Answer, Outcome
from delivery.domain.owed import OwedEmail, Written
from delivery.domain.questions import CheckPolicy, Question, outcome_question, report_question
from delivery.domain.settlement import Settlement, settle
from delivery.domain.states import State
from delivery.domain.waiting import settle_unsent


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What the emails of a batch owe now, and what happened to them."""

    owed: list[OwedEmail]
    happened: list[Happening]


class SettlingClaims(Protocol):
    def settle(self, settled: Sequence[tuple[ClaimedEmail, Settlement]]) -> Written: ...

    def give_back(self, claimed: Sequence[ClaimedEmail], *, now: datetime) -> list[OwedEmail]: ...


def settle_emails(
    answered: Sequence[tuple[ClaimedEmail, Answer | None]],
    *,
    claims: SettlingClaims,
    policies: Mapping[Lane, LanePolicy],
    checks: CheckPolicy,
    now: datetime,
) -> Settled:
    """Settle a batch; give back what was not called (no answer), or end it if its time is over.

    One ``now`` for the batch, so that equal outcomes are one write. Raises StoreUnavailable; repeating the
    call is safe, it is fenced by the claims' tokens.
    """
    settled: list[tuple[ClaimedEmail, Settlement]] = []
    unsent: list[ClaimedEmail] = []
    accepted: dict[tuple[Lane, int, int], Settlement] = {}
    for email, answer in answered:
        likeness = (email.lane, email.attempts, email.waits)
        settlement = accepted.get(likeness) if _is_accepted(answer) else None
        if settlement is None:
            settlement = _settle(email, answer, policy=policies[email.lane], checks=checks, now=now)
            if settlement is not None and _is_accepted(answer):
                accepted[likeness] = settlement
        if settlement is None:
            unsent.append(email)
        else:
            settled.append((email, settlement))
    written = claims.settle(settled) if settled else Written()
    given_back = claims.give_back(unsent, now=now) if unsent else []
    return Settled(
        owed=[*written.owed, *given_back],
        happened=[
            _happening(email, settlement) for email, settlement in settled if email.email_id in written.moved
        ],
    )


def _is_accepted(answer: Answer | None) -> bool:
    """Then nothing else of the answer or the email tells in what they end: most of a batch end alike."""
    return answer is not None and answer.outcome is Outcome.ACCEPTED


def _settle(
    email: ClaimedEmail, answer: Answer | None, *, policy: LanePolicy, checks: CheckPolicy, now: datetime
) -> Settlement | None:
    if answer is None:
        return settle_unsent(email, now=now)
    settlement = settle(email, answer, policy=policy, now=now)
    return replace(settlement, question=_question(email, settlement, policy=policy, checks=checks))


def _question(
    email: ClaimedEmail, settlement: Settlement, *, policy: LanePolicy, checks: CheckPolicy
) -> Question | None:
    """What is still to be found out about an email that the provider has, or may have."""
    of_lane = checks.of_lane(email.lane)
    match settlement.state:
        case State.UNCONFIRMED:
            return outcome_question(
                called_at=email.claimed_at,
                ended_at=settlement.at,
                deadline=email.unknown_deadline or policy.unknown_deadline,
                policy=of_lane,
                now=settlement.at,
            )
        case State.SUBMITTED:
            return report_question(submitted_at=settlement.at, policy=of_lane)
        case _:
            return None


def _happening(email: ClaimedEmail, settlement: Settlement) -> Happening:
    return Happening(
        tenant_id=email.tenant_id,
        email_id=email.email_id,
        lane=email.lane,
        state=settlement.state,
        at=settlement.at,
    )
