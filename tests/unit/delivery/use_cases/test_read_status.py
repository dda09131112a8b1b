import pytest

from delivery.domain.emails import Standing
from delivery.domain.errors import UnknownEmail
from delivery.use_cases.read_status import read_status
from tests.unit.delivery.builders import EMAIL_ID, standing


class Emails:
    def get(self, tenant_id: str, email_id: str) -> Standing | None:
        return standing() if (tenant_id, email_id) == ("ours", EMAIL_ID) else None


def test_a_tenants_own_email_is_found() -> None:
    assert read_status("ours", EMAIL_ID, emails=Emails()) == standing()


@pytest.mark.parametrize(("tenant", "email_id"), [("theirs", EMAIL_ID), ("ours", "other")])
def test_anybody_elses_is_unknown(tenant: str, email_id: str) -> None:
    with pytest.raises(UnknownEmail):
        read_status(tenant, email_id, emails=Emails())
