from collections.abc import Iterable
from dataclasses import replace

from delivery.domain.emails import EmailRequest
from delivery.domain.errors import InvalidRequest, NotAllowed
from delivery.domain.lanes import Lane
from delivery.domain.tenants import THE_DEFAULT
from delivery.use_cases.admit_emails import admit_emails
from tests.unit.delivery.builders import CONTENT, EMAIL_ID

PLAIN = EmailRequest(content=CONTENT)
ANSWER = EmailRequest(content=replace(CONTENT, in_reply_to=EMAIL_ID))


class Emails:
    """These are the tenant's; the questions are counted."""

    def __init__(self, *own: str) -> None:
        self._own = set(own)
        self.asked: list[set[str]] = []

    def own(self, tenant_id: str, email_ids: Iterable[str]) -> set[str]:
        assert tenant_id == THE_DEFAULT.tenant_id
        self.asked.append(set(email_ids))
        return self._own & set(email_ids)


def test_what_is_valid_is_admitted_in_its_order_and_the_rest_keeps_its_place() -> None:
    wrong, bulk = InvalidRequest("missing to field"), replace(PLAIN, lane=Lane.BULK)
    admission = admit_emails([PLAIN, wrong, bulk], tenant=THE_DEFAULT, emails=Emails())
    assert admission.admitted == (PLAIN, bulk)
    assert admission.refused == {1: wrong}


def test_each_email_must_be_its_tenants_to_send() -> None:
    tenant = replace(THE_DEFAULT, lanes=frozenset({Lane.BULK}))
    admission = admit_emails([replace(PLAIN, lane=Lane.BULK), PLAIN], tenant=tenant, emails=Emails())
    assert len(admission.admitted) == 1
    assert isinstance(admission.refused[1], NotAllowed)


def test_what_is_answered_must_be_the_tenants_own() -> None:
    emails = Emails(EMAIL_ID)
    assert admit_emails([ANSWER, ANSWER], tenant=THE_DEFAULT, emails=emails).admitted == (ANSWER, ANSWER)
    assert emails.asked == [{EMAIL_ID}]
    refused = admit_emails([ANSWER], tenant=THE_DEFAULT, emails=Emails()).refused
    assert str(refused[0]) == "inReplyToId is the id of no email that was sent before"


def test_the_store_is_asked_only_if_something_is_answered() -> None:
    emails = Emails()
    admit_emails([PLAIN], tenant=THE_DEFAULT, emails=emails)
    assert emails.asked == []
