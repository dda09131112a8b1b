"""Claim what arrived in a lane, and say what is to be done with the messages that won nothing."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from delivery.domain.emails import ClaimedEmail, Standing
from delivery.domain.happenings import Happening, happening_of
from delivery.domain.states import CLAIMABLE, REVIVABLE, State
from delivery.use_cases.messages import EmailMessage


class Stray(StrEnum):
    """What a message is that won no claim."""

    STALE = "stale"  # doubled, or of another generation, or its email is done
    EXPIRED = "expired"
    EARLY = "early"
    LETTER = "letter"  # a person moved a parked letter into the lane


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """won: by email id, one message each. strays: the other messages, with the email where it matters.
    happened: to the emails of these."""

    won: dict[str, ClaimedEmail] = field(default_factory=dict)
    strays: list[tuple[EmailMessage, Stray, Standing | None]] = field(default_factory=list)
    happened: list[Happening] = field(default_factory=list)


class ClaimStore(Protocol):
    def claim(
        self, email_ids: Sequence[str], *, gen: int, token: str, until: datetime, now: datetime
    ) -> list[ClaimedEmail]: ...

    def expire(self, email_ids: Sequence[str], *, now: datetime) -> list[str]: ...


class Standings(Protocol):
    def standings(self, email_ids: Iterable[str]) -> dict[str, Standing]: ...


def claim_emails(
    messages: Sequence[EmailMessage],
    *,
    claims: ClaimStore,
    emails: Standings,
    token: str,
    until: datetime,
    now: datetime,
) -> ClaimResult:
    """Claim a batch: two round trips per generation, a third only for messages that won nothing.

    Raises StoreUnavailable; repeat the call with the same token then, and what it won already is found.
    """
    result = ClaimResult()
    by_gen: dict[int, list[str]] = defaultdict(list)
    for message in messages:
        by_gen[message.gen].append(message.email_id)
    for gen, email_ids in by_gen.items():
        for email in claims.claim(email_ids, gen=gen, token=token, until=until, now=now):
            result.won[email.email_id] = email
    lost = _without_claim(messages, result.won)
    if lost:
        standings = emails.standings({message.email_id for message in lost})
        for message in lost:
            standing = standings.get(message.email_id)
            result.strays.append((message, _stray(message, standing, now=now), standing))
        over = {message.email_id for message, stray, _ in result.strays if stray is Stray.EXPIRED}
        expired = claims.expire(sorted(over), now=now) if over else []
        result.happened.extend(happening_of(standings[one], State.EXPIRED, at=now) for one in expired)
    return result


def _without_claim(messages: Sequence[EmailMessage], won: dict[str, ClaimedEmail]) -> list[EmailMessage]:
    unmatched = {(email.email_id, email.gen) for email in won.values()}
    lost = []
    for message in messages:
        if (message.email_id, message.gen) in unmatched:
            unmatched.remove((message.email_id, message.gen))
        else:
            lost.append(message)
    return lost


def _stray(message: EmailMessage, standing: Standing | None, *, now: datetime) -> Stray:
    if standing is None or standing.gen != message.gen:
        return Stray.STALE
    if standing.state in REVIVABLE:
        return Stray.LETTER
    if standing.state not in CLAIMABLE:
        return Stray.STALE
    if standing.expires_at is not None and standing.expires_at <= now:
        return Stray.EXPIRED
    return Stray.EARLY
