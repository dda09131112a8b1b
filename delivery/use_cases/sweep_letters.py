"""Tell which letters stand for nothing any more; without them the queue is as long as what is parked."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from delivery.domain.emails import Standing
from delivery.domain.errors import InvalidRequest
from delivery.domain.parking import is_stale
from delivery.use_cases.messages import EmailMessage, decode_email


class Standings(Protocol):
    def standings(self, email_ids: Iterable[str]) -> dict[str, Standing]: ...


class StaleLetters:
    """Judges one pass over a queue. A second letter of the same email and generation is stale, too."""

    def __init__(self, emails: Standings) -> None:
        self._emails = emails
        self._seen: set[EmailMessage] = set()

    def __call__(self, bodies: Sequence[bytes]) -> list[bool]:
        """For each letter, in order, whether it is to be removed. What is no letter stays where it is.

        Raises StoreUnavailable.
        """
        letters = [_letter(body) for body in bodies]
        standings = self._emails.standings({letter.email_id for letter in letters if letter is not None})
        return [
            letter is not None and self._is_stale(letter, standings.get(letter.email_id))
            for letter in letters
        ]

    def _is_stale(self, letter: EmailMessage, email: Standing | None) -> bool:
        if letter in self._seen:
            return True
        self._seen.add(letter)
        if email is None:
            return False
        return is_stale(email.state, gen=email.gen, letter_gen=letter.gen)


def _letter(body: bytes) -> EmailMessage | None:
    try:
        return decode_email(body)
    except InvalidRequest:
        return None
