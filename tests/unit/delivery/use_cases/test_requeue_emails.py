from collections.abc import Iterable
from datetime import datetime

from delivery.domain.owed import OwedEmail
from delivery.use_cases.messages import EmailMessage
from delivery.use_cases.requeue_emails import requeue_emails
from tests.unit.delivery.builders import NOW, owed_email


class Parked:
    """Revives what is parked in generation 3."""

    def revive(self, letters: Iterable[tuple[str, int]], *, now: datetime) -> list[OwedEmail]:
        assert now == NOW
        return [owed_email(email_id=email_id, gen=gen + 1) for email_id, gen in letters if gen == 3]


def test_a_letter_revives_its_email_in_its_own_generation_only() -> None:
    letters = [EmailMessage("a", 3), EmailMessage("b", 2)]
    assert requeue_emails(letters, emails=Parked(), now=NOW) == [owed_email(email_id="a", gen=4)]
