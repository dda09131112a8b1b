"""Whatever speaks first settles an unknown outcome: a webhook, the status endpoint, the policy at the end.

Two systems, each with all of its emails on their way at once: one whose provider can be asked, and one whose
status endpoint refuses from the first call on.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from delivery.domain.call_budget import CallBudget
from tests.e2e.conftest import Whole
from tests.harness.api import email
from tests.harness.deadline import wait_for_value, wait_until
from tests.harness.system import System
from tests.harness.webhooks import event, post_signed

# Every time of the checks is about a minute's worth of seconds; "never" is longer than any test.
TIMES = """
[provider]
connect_timeout = "1s"
total_timeout = "2s"
[claims]
lease = "4s"
margin = "500ms"
[loops]
reconcile_interval = "500ms"
check_interval = "200ms"
[lanes.transactional]
retry = ["1s", "1s"]
"""

NEVER = "9999"


def until_settled(system: System, request_id: str, **status: str) -> dict[str, Any]:
    """Wait until GET /status answers so, and return the answer."""

    def is_settled() -> dict[str, Any]:
        answer = system.api.status(request_id)
        assert status.items() <= answer.items(), str(answer)
        return answer

    return wait_until(is_settled, within=120, what=f"{request_id} is {status}")


def report(system: System, request_id: str, status: str) -> None:
    """The provider's webhook, whose own is lost or never due."""
    assert post_signed(system.api, event(request_id, status), secret=system.wiring.webhook_secrets).ok


def states_of(whole: Whole, request_id: str) -> list[str]:
    stored = whole.database["emails"].find_one({"_id": request_id})
    assert stored is not None
    return [entry["state"] for entry in stored["history"]]


def sent_by(system: System, tags: list[str]) -> dict[str, str]:
    """Send an email for each; tag -> request_id."""
    ids = system.api.send_many([email(recipient=f"fault+{tag}@example.com") for tag in tags])
    return dict(zip(tags, ids, strict=True))


# A provider that can be asked

ASKED = """
[checks]
offsets = ["1s", "4s", "6s", "8s"]
late_accept = "3s"
report_overdue = "3s"
calls_per_minute = 6000
[lanes.transactional]
unknown_deadline = "5m"
"""

ACCEPTED = [
    "504-then-accept.2+webhook-lost",  # asked before it is accepted, and again after that
    "hang-accepted+webhook-lost",
    "reset-after+webhook-lost",
    "garbage-200+webhook-lost",
]
NEVER_ACCEPTED = ["504-never.1", "hang.1", "reset-after-lost.1", "502.1"]
ACCEPTED_ONLY = [f"webhook-late.{NEVER}", f"reset-after+webhook-late.{NEVER}"]
"""What the provider has accepted and says no more about: for a known and for an unknown outcome."""
REFUSED = {"reset-after+webhook-lost+webhook-rejected": "rejected", "webhook-lost+webhook-failed": "failed"}


@pytest.fixture(scope="module")
def asked(start_whole: Callable[..., Whole]) -> Whole:
    whole = start_whole(config=TIMES.replace("[lanes.transactional]", ASKED))
    whole.system.provider.set_faults(status_budget=None)
    return whole


@pytest.fixture(scope="module")
def in_doubt(asked: Whole) -> dict[str, str]:
    tags = [*ACCEPTED, *NEVER_ACCEPTED, *ACCEPTED_ONLY, *REFUSED, "webhook-lost"]
    return sent_by(asked.system, tags)


@pytest.fixture(autouse=True)
def _show_logs(request: pytest.FixtureRequest) -> Iterator[None]:
    """A failed test shows the end of every log of its system."""
    yield
    for name in {"asked", "refusing"} & set(request.fixturenames):
        print(request.getfixturevalue(name).system.logs())


@pytest.mark.parametrize("tag", ACCEPTED)
def test_what_the_provider_took_is_found_by_asking_and_not_sent_again(
    asked: Whole, in_doubt: dict[str, str], tag: str
) -> None:
    request_id = in_doubt[tag]
    until_settled(asked.system, request_id, status="sent", detail="delivered")
    assert "unconfirmed" in states_of(asked, request_id)
    assert "retrying" not in states_of(asked, request_id)
    assert len(asked.system.provider.submissions_of(request_id)) == 1


@pytest.mark.parametrize("tag", NEVER_ACCEPTED)
def test_what_the_provider_never_saw_is_sent_again_with_the_same_id(
    asked: Whole, in_doubt: dict[str, str], tag: str
) -> None:
    request_id = in_doubt[tag]
    answer = until_settled(asked.system, request_id, status="sent", detail="delivered")
    assert answer["attempts"] == 2
    assert states_of(asked, request_id)[:2] == ["unconfirmed", "retrying"]
    assert len(asked.system.provider.submissions_of(request_id)) == 2
    asked.system.provider.assert_accepted_once([request_id])


@pytest.mark.parametrize("tag", REFUSED)
def test_a_failure_that_only_the_status_endpoint_tells_is_final(
    asked: Whole, in_doubt: dict[str, str], tag: str
) -> None:
    answer = until_settled(asked.system, in_doubt[tag], status="failed", detail=REFUSED[tag])
    assert answer["reason"] == "reported by the provider"
    assert len(asked.system.provider.submissions_of(in_doubt[tag])) == 1


def test_a_report_that_does_not_come_is_asked_for(asked: Whole, in_doubt: dict[str, str]) -> None:
    request_id = in_doubt["webhook-lost"]
    until_settled(asked.system, request_id, status="sent", detail="delivered")
    assert states_of(asked, request_id) == ["submitted", "delivered"]
    assert len(asked.system.provider.submissions_of(request_id)) == 1


@pytest.mark.parametrize("tag", ACCEPTED_ONLY)
def test_what_stays_without_a_report_counts_as_sent_and_a_late_report_still_counts(
    asked: Whole, in_doubt: dict[str, str], tag: str
) -> None:
    request_id = in_doubt[tag]
    until_settled(asked.system, request_id, status="sent", detail="unreported")
    asked_about = [call for call in asked.system.provider.status_calls() if call["request_id"] == request_id]
    assert asked_about
    report(asked.system, request_id, "DELIVERED")
    until_settled(asked.system, request_id, status="sent", detail="delivered")
    assert len(asked.system.provider.submissions_of(request_id)) == 1


# A status endpoint that refuses, so that only webhooks and deadlines speak

REFUSING = """
[checks]
offsets = ["1s", "3s"]
late_accept = "1s"
report_overdue = "2s"
[lanes.critical]
retry = ["1s", "1s"]
unknown_deadline = "3s"
[lanes.standard]
unknown_deadline = "5s"
[lanes.transactional]
unknown_deadline = "5s"
"""


@pytest.fixture(scope="module")
def refusing(start_whole: Callable[..., Whole]) -> Whole:
    whole = start_whole(config=TIMES.replace("[lanes.transactional]", REFUSING))
    whole.system.provider.set_faults(status_budget=0, status_ban=3600)
    return whole


@pytest.fixture(scope="module")
def undecided(refusing: Whole) -> dict[str, str]:
    """Emails of which nobody will hear, by what is to become of them."""
    api = refusing.system.api
    lost, late = "504-never.1", f"hang-accepted.1+webhook-late.{NEVER}"
    bodies = {
        "held by its lane": email(lane="standard", recipient=f"fault+{lost}@example.com"),
        "held by its request": email(
            lane="critical", on_unknown="hold", unknown_deadline=4, recipient=f"fault+{lost}@example.com"
        ),
        "held and reported": email(lane="standard", recipient=f"fault+{late}@example.com"),
        "resent by its lane": email(lane="critical", recipient=f"fault+{late}@example.com"),
        "resent by its request": email(
            lane="transactional", on_unknown="resend", recipient=f"fault+{late}@example.com"
        ),
        "expired": email(lane="critical", ttl=2, recipient=f"fault+{lost}@example.com"),
        "unreported": email(recipient="fault+webhook-lost@example.com"),
    }
    return dict(zip(bodies, api.send_many(list(bodies.values())), strict=True))


@pytest.fixture(scope="module")
def letters(refusing: Whole, undecided: dict[str, str]) -> dict[str, Any]:
    """The headers of the letters in email.held, by what is to become of their emails.

    One of these is reported on while it is parked; then a person moves them all.
    """
    held = {undecided[fate]: fate for fate in undecided if fate.startswith("held")}
    found: dict[str, Any] = {}

    def all_lie_there() -> bool:
        for letter in refusing.vhost.peek("email.held"):
            found[held[json.loads(letter["payload"])["id"]]] = letter["properties"]["headers"]
        return found.keys() == set(held.values())

    wait_until(all_lie_there, within=120, what=f"the letters of {sorted(held.values())} lie in email.held")
    for request_id in held:
        until_settled(refusing.system, request_id, status="failed", detail="held", reason="outcome unknown")
        assert len(refusing.system.provider.submissions_of(request_id)) == 1
    report(refusing.system, undecided["held and reported"], "DELIVERED")
    until_settled(refusing.system, undecided["held and reported"], status="sent", detail="delivered")
    refusing.vhost.move_messages("email.held", "email.requeue")
    return found


@pytest.mark.parametrize(
    ("fate", "lane"), [("held by its lane", "standard"), ("held by its request", "critical")]
)
def test_what_nobody_knows_at_the_deadline_is_parked_for_a_person(
    letters: dict[str, Any], fate: str, lane: str
) -> None:
    headers = letters[fate]
    told = {"reason": "outcome unknown", "attempts": 1, "last_error": "HTTP 504", "lane": lane}
    assert told.items() <= headers.items()
    assert headers["accepted_at"] < headers["died_at"]


@pytest.mark.parametrize("fate", ["held by its lane", "held by its request"])
def test_moving_its_letter_sends_it(
    refusing: Whole, undecided: dict[str, str], letters: dict[str, Any], fate: str
) -> None:
    until_settled(refusing.system, undecided[fate], status="sent", detail="delivered")
    assert len(refusing.system.provider.submissions_of(undecided[fate])) == 2
    refusing.system.provider.assert_accepted_once([undecided[fate]])


def test_evidence_that_comes_after_the_decision_settles_it_and_its_letter_is_worthless(
    refusing: Whole, undecided: dict[str, str], letters: dict[str, Any]
) -> None:
    answer = refusing.system.api.status(undecided["held and reported"])
    assert (answer["detail"], answer.get("reason")) == ("delivered", None)
    assert len(refusing.system.provider.submissions_of(undecided["held and reported"])) == 1


RESENT = ["resent by its lane", "resent by its request"]


@pytest.mark.parametrize("fate", RESENT)
def test_where_the_policy_says_so_it_is_sent_once_more(
    refusing: Whole, undecided: dict[str, str], fate: str
) -> None:
    request_id = undecided[fate]
    wait_for_value(
        lambda: states_of(refusing, request_id),
        ["unconfirmed", "retrying", "submitted"],
        within=120,
        what="the second call is accepted",
    )
    assert len(refusing.system.provider.submissions_of(request_id)) == 2


def test_what_expired_meanwhile_is_never_sent_again(refusing: Whole, undecided: dict[str, str]) -> None:
    request_id = undecided["expired"]
    answer = until_settled(refusing.system, request_id, status="failed", detail="expired")
    assert answer["reason"] == "expired while unconfirmed"
    assert len(refusing.system.provider.submissions_of(request_id)) == 1


def test_no_email_stays_processing_because_nobody_can_be_asked(
    refusing: Whole, undecided: dict[str, str]
) -> None:
    request_id = undecided["unreported"]
    until_settled(refusing.system, request_id, status="sent", detail="unreported")
    report(refusing.system, request_id, "DELIVERED")
    until_settled(refusing.system, request_id, status="sent", detail="delivered")


def test_only_what_somebody_decided_to_resend_is_accepted_twice(
    refusing: Whole, undecided: dict[str, str], letters: dict[str, Any]
) -> None:
    resent = {undecided[fate] for fate in RESENT}
    wait_for_value(
        lambda: set(refusing.system.provider.summary()["duplicates"]),
        resent,
        within=60,
        what="what was resent, and nothing else, was accepted twice",
    )


def test_an_endpoint_that_refuses_is_left_alone(refusing: Whole, letters: dict[str, Any]) -> None:
    """By now it would have been asked about every email above."""
    answers = [call["answer"] for call in refusing.system.provider.status_calls()]
    assert answers[0] == 429
    assert len(answers) <= CallBudget(60).burst, "more than left together"
    (consumers,) = refusing.system.consumers
    assert "status checks paused by the provider seconds=3600" in consumers.log.read_text()
