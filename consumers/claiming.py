"""Claiming on a thread, which may win only after nobody waits for it any more."""

from collections.abc import Sequence
from uuid import uuid4

from consumers.leases import Leases
from consumers.settlement import until_store_answers
from delivery.bootstrap import ConsumerParts, utc_now
from delivery.use_cases.claim_emails import ClaimResult, claim_emails
from delivery.use_cases.messages import EmailMessage


class Claiming:
    def __init__(self, parts: ConsumerParts, leases: Leases) -> None:
        self._parts = parts
        self._leases = leases
        self._is_given_up = False

    async def claim(self, emails: Sequence[EmailMessage]) -> ClaimResult:
        """Claim a batch, however long the store is away, and hold the leases of what was won."""
        token = str(uuid4())
        _, ends = self._leases.end_of_new()
        result = await until_store_answers(lambda: self._claim(emails, token))
        self._leases.hold(token, list(result.won), ends=ends)
        return result

    def give_up(self) -> None:
        """From now on nobody waits for a claim. What a thread that is still at it wins, it gives back: else
        these emails, never called, would count as unconfirmed once their lease has run out."""
        self._is_given_up = True

    def _claim(self, emails: Sequence[EmailMessage], token: str) -> ClaimResult:
        claims = self._parts.store.claims
        until, _ = self._leases.end_of_new()
        result = claim_emails(
            emails, claims=claims, emails=self._parts.store.emails, token=token, until=until, now=utc_now()
        )
        if self._is_given_up:
            claims.give_back(list(result.won.values()), now=utc_now())
        return result
