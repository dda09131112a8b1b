from collections.abc import Iterable

from delivery.domain.emails import Standing
from delivery.domain.states import State
from delivery.use_cases.messages import encode_email
from delivery.use_cases.sweep_letters import StaleLetters
from tests.unit.delivery.builders import EMAIL_ID, standing

OTHER_ID = EMAIL_ID[:-1] + "8"


class Emails:
    def __init__(self, *emails: Standing) -> None:
        self._emails = {email.email_id: email for email in emails}

    def standings(self, email_ids: Iterable[str]) -> dict[str, Standing]:
        return {email_id: self._emails[email_id] for email_id in email_ids if email_id in self._emails}


def test_only_what_stands_for_nothing_goes() -> None:
    judge = StaleLetters(
        Emails(
            standing(state=State.DEAD, gen=2),
            standing(email_id=OTHER_ID, state=State.QUEUED, gen=3),
        )
    )
    letters = [encode_email(EMAIL_ID, 2), encode_email(OTHER_ID, 2), encode_email(EMAIL_ID, 1)]
    assert judge(letters) == [False, True, True]


def test_of_two_equal_letters_one_goes_also_in_another_batch() -> None:
    judge = StaleLetters(Emails(standing(state=State.HELD, gen=2)))
    letter = encode_email(EMAIL_ID, 2)
    assert judge([letter, letter]) == [False, True]
    assert judge([letter]) == [True]


def test_what_nobody_knows_or_can_read_stays() -> None:
    judge = StaleLetters(Emails())
    assert judge([encode_email(EMAIL_ID, 1), b"\xff garbage", b"{}"]) == [False, False, False]
