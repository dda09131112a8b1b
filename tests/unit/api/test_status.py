import pytest

from delivery.domain.errors import StoreUnavailable
from delivery.domain.states import State
from tests.unit.api.fakes import FakeApi, Start
from tests.unit.delivery.builders import EMAIL_ID, standing

FORMS = ["/status/{}", "/status?request_id={}"]


@pytest.mark.parametrize("form", FORMS)
def test_an_email_can_be_asked_about_by_path_and_by_query(api: FakeApi, form: str) -> None:
    api.emails.found[EMAIL_ID] = standing(state=State.DELIVERED, attempts=1)
    response = api.client.get(form.format(EMAIL_ID.upper()))
    assert response.status_code == 200
    assert response.json is not None
    assert response.json["request_id"] == EMAIL_ID
    assert (response.json["status"], response.json["detail"]) == ("sent", "delivered")


@pytest.mark.parametrize(("reports", "status"), [("true", "processing"), ("false", "sent")])
def test_submitted_is_the_end_where_the_provider_reports_nothing(
    start: Start, reports: str, status: str
) -> None:
    api = start(config=f"[provider]\nreports_deliveries = {reports}")
    api.emails.found[EMAIL_ID] = standing(state=State.SUBMITTED)
    response = api.client.get(f"/status/{EMAIL_ID}")
    assert response.json is not None
    assert response.json["status"] == status


@pytest.mark.parametrize("form", FORMS)
def test_an_unknown_id_is_404(api: FakeApi, form: str) -> None:
    response = api.client.get(form.format(EMAIL_ID))
    assert response.status_code == 404
    assert response.json == {"status": "denied", "reason": "unknown request_id"}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("given", ["x", "123", EMAIL_ID[:-1], EMAIL_ID + "0"])
def test_a_malformed_id_is_400(api: FakeApi, form: str, given: str) -> None:
    response = api.client.get(form.format(given))
    assert response.status_code == 400
    assert response.json == {"status": "denied", "reason": "request_id is not a UUID"}


@pytest.mark.parametrize("path", ["/status", "/status?request_id=", "/status?id=1"])
def test_a_question_without_an_id_is_400(api: FakeApi, path: str) -> None:
    response = api.client.get(path)
    assert response.status_code == 400
    assert response.json == {"status": "denied", "reason": "missing request_id"}


def test_a_store_that_is_away_is_told_with_when_to_ask_again(api: FakeApi) -> None:
    api.emails.error = StoreUnavailable("x")
    response = api.client.get(f"/status/{EMAIL_ID}")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
