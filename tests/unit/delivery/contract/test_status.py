import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.contract.status import parse_request_id, render_status
from delivery.domain.errors import InvalidRequest
from delivery.domain.states import State
from tests.unit.delivery.builders import EMAIL_ID, NOW, seconds, standing


def _reason(text: str | None) -> str:
    with pytest.raises(InvalidRequest) as refused:
        parse_request_id(text)
    return str(refused.value)


def test_an_id_is_taken_in_either_case() -> None:
    assert parse_request_id(EMAIL_ID) == parse_request_id(EMAIL_ID.upper()) == EMAIL_ID


@pytest.mark.parametrize("text", [None, ""])
def test_no_id_is_missing(text: str | None) -> None:
    assert _reason(text) == "missing request_id"


@pytest.mark.parametrize(
    "text",
    [
        "x",
        EMAIL_ID + " ",
        EMAIL_ID[:-1],
        EMAIL_ID.replace("-", ""),
        f"{{{EMAIL_ID}}}",
        f"urn:uuid:{EMAIL_ID}",
        "{{{{" + EMAIL_ID.replace("-", ""),
        EMAIL_ID.replace("0", "٠"),
        "0_" + EMAIL_ID[2:],
        "\ud800",
    ],
    ids=ascii,
)
def test_what_is_not_written_as_a_uuid_is_refused(text: str) -> None:
    assert _reason(text) == "request_id is not a UUID"


@given(st.text(max_size=40))
def test_whatever_comes_is_an_id_or_refused(text: str) -> None:
    try:
        taken = parse_request_id(text)
    except InvalidRequest:
        return
    assert str(uuid.UUID(taken)) == text.lower()


def test_a_status_says_where_the_email_stands_and_nothing_private() -> None:
    rendered = render_status(
        standing(state=State.SUBMITTED, attempts=2, updated_at=NOW + seconds(1)),
        provider_reports_deliveries=False,
    )
    assert rendered == {
        "request_id": EMAIL_ID,
        "status": "sent",
        "detail": "submitted",
        "attempts": 2,
        "accepted_at": "2026-03-01T12:00:00+00:00",
        "updated_at": "2026-03-01T12:00:01+00:00",
    }


def test_a_report_that_nobody_could_find_is_said_to_be_missing() -> None:
    rendered = render_status(
        standing(state=State.SUBMITTED, is_unreported=True), provider_reports_deliveries=True
    )
    assert (rendered["status"], rendered["detail"]) == ("sent", "unreported")
    delivered = standing(state=State.DELIVERED, is_unreported=True)
    assert render_status(delivered, provider_reports_deliveries=True)["detail"] == "delivered"


def test_a_status_has_the_reason_where_there_is_one() -> None:
    dead = standing(state=State.DEAD, reason="attempts_exhausted")
    rendered = render_status(dead, provider_reports_deliveries=True)
    assert (rendered["status"], rendered["reason"]) == ("failed", "attempts_exhausted")


def test_an_email_whose_report_never_came_is_sent_and_says_so() -> None:
    rendered = render_status(
        standing(state=State.SUBMITTED, is_unreported=True), provider_reports_deliveries=True
    )
    assert (rendered["status"], rendered["detail"]) == ("sent", "unreported")


@pytest.mark.parametrize(
    ("state", "status"), [(State.DELIVERED, "sent"), (State.FAILED, "failed"), (State.COMPLAINED, "sent")]
)
def test_a_report_that_comes_after_all_goes_before(state: State, status: str) -> None:
    late = standing(state=state, is_unreported=True)
    rendered = render_status(late, provider_reports_deliveries=True)
    assert (rendered["status"], rendered["detail"]) == (status, state.value)


def test_a_scheduled_email_says_when_it_is_to_be_sent() -> None:
    later = NOW + seconds(60)
    scheduled = standing(state=State.SCHEDULED, due_at=later, send_at=later)
    rendered = render_status(scheduled, provider_reports_deliveries=True)
    assert (rendered["status"], rendered["detail"]) == ("processing", "scheduled")
    assert rendered["send_at"] == "2026-03-01T12:01:00+00:00"
    queued = standing(state=State.QUEUED, due_at=later, send_at=later)
    assert "send_at" not in render_status(queued, provider_reports_deliveries=True)
