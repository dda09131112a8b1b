from collections.abc import Iterable
from datetime import datetime

from delivery.domain.emails import Standing
from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedEmail
from delivery.domain.states import State
from delivery.use_cases.messages import EmailMessage
from delivery.use_cases.requeue_emails import Requeued, requeue_emails
from tests.unit.delivery.builders import NOW, owed_email, standing


class Parked:
    """Revives what is parked in generation 3."""

    def revive(self, letters: Iterable[tuple[str, int]], *, now: datetime) -> list[OwedEmail]:
        assert now == NOW
        return [owed_email(email_id=email_id, gen=gen + 1) for email_id, gen in letters if gen == 3]

    def standings(self, email_ids: Iterable[str]) -> dict[str, Standing]:
        return {
            email_id: standing(email_id=email_id, lane=Lane.BULK, state=State.HELD) for email_id in email_ids
        }


def test_a_letter_revives_its_email_in_its_own_generation_only() -> None:
    letters = [EmailMessage("a", 3), EmailMessage("b", 2)]
    requeued = requeue_emails(letters, emails=Parked(), now=NOW)
    assert requeued.owed == [owed_email(email_id="a", gen=4)]
    assert requeued.happened == [
        Happening(
            tenant_id="default",
            email_id="a",
            lane=Lane.BULK,
            state=State.QUEUED,
            at=NOW,
            was=State.HELD,
        )
    ]


def test_letters_that_revive_nothing_tell_nothing() -> None:
    assert requeue_emails([EmailMessage("b", 2)], emails=Parked(), now=NOW) == Requeued()
