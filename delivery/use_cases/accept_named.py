"""Accept emails whose ids are made from ids of their caller's own: one email an id, for good."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from delivery.domain.emails import NewEmail
from delivery.domain.errors import IdReused, NotStored, PostroomError
from delivery.use_cases.accept_emails import HandOver, NewEmails, accept_emails


class NamedEmails(NewEmails, Protocol):
    def content_hashes(self, email_ids: Iterable[str]) -> dict[str, str]: ...


def accept_named(
    emails: Sequence[NewEmail], *, store: NamedEmails, hand_over: HandOver
) -> list[bool | PostroomError]:
    """Tells of each whether it was there before, with the same content, or the error that its caller hears.

    Raises StoreUnavailable; repeating the call is safe.
    """
    firsts: dict[str, NewEmail] = {}
    for email in emails:
        firsts.setdefault(email.email_id, email)
    inserted = accept_emails(list(firsts.values()), emails=store, hand_over=hand_over)
    hashes = {email_id: first.content_hash for email_id, first in firsts.items()}
    if inserted.known:
        hashes.update(store.content_hashes(inserted.known))
    answers: list[bool | PostroomError] = []
    for email in emails:
        if email.email_id in inserted.failed:
            answers.append(NotStored("the store did not take it"))
        elif hashes[email.email_id] != email.content_hash:
            answers.append(IdReused())
        else:
            answers.append(email.email_id in inserted.known or email is not firsts[email.email_id])
    return answers
