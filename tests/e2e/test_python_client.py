"""The Python client against a running system: its README, and at most one email whatever dies."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import postroom_client
import pytest
from postroom_client import (
    ApiError,
    Attachment,
    Conflict,
    Denied,
    Email,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    Patience,
    PlainEmail,
    Postroom,
)
from postroom_client.amqp import AmqpSender

from delivery.config_values import EXTRA_FIELDS
from tests.e2e.conftest import Whole
from tests.harness import readme
from tests.harness.deadline import wait_until
from tests.harness.failing_parts import failing_api, wait_until_killed_by
from tests.harness.failpoints import Failpoint, Fault
from tests.harness.line import Line
from tests.harness.store import StoreDatabase
from tests.harness.system import System

KEY = "pr_for_tests"
CLIENT = Path(postroom_client.__file__).parents[1]
PATIENCE = Patience(attempt=5, total=120, longest_pause=1)
NOBODY = "01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.fixture(scope="module")
def whole(start_whole: Callable[..., Whole]) -> Whole:
    """With a provider that takes whatever an email may have."""
    return start_whole(
        api_key=KEY,
        env={"PROVIDER_EXTRA_FIELDS": ",".join(EXTRA_FIELDS)},
        simulator_options=["--extended"],
    )


@pytest.fixture(autouse=True)
def _all_run(whole: Whole) -> None:
    whole.system.start()


@pytest.fixture
def postroom(whole: Whole) -> Iterator[Postroom]:
    with Postroom(whole.system.api.url, KEY, patience=PATIENCE) as postroom:
        yield postroom


def email(text: str = "Hello", *, lane: str | None = None, scheduled_at: datetime | None = None) -> Email:
    return Email(
        to="ann@example.com",
        sender="shop@example.com",
        subject="A test",
        text=text,
        lane=lane,
        scheduled_at=scheduled_at,
    )


def assert_one_email_each(system: System, database: StoreDatabase, email_ids: dict[str, str]) -> None:
    """Of each text: in the store, and with the provider."""
    for email_id in email_ids.values():
        system.api.wait_for_status(email_id, "sent", within=60)
    found = database["emails"].find({"_id": {"$in": list(email_ids.values())}}, {"content.message": 1})
    assert {document["content"]["message"]: document["_id"] for document in found} == email_ids
    texts = Counter(document["content"]["message"] for document in database["emails"].find({}))
    assert {text: texts[text] for text in email_ids} == dict.fromkeys(email_ids, 1)
    system.provider.assert_accepted_once(list(email_ids.values()))


# The README


@pytest.mark.parametrize("number", range(len(readme.programs(readme.CLIENT_README))))
def test_the_programs_of_its_readme_print_what_it_says(whole: Whole, tmp_path: Path, number: int) -> None:
    source, printed = readme.programs(readme.CLIENT_README)[number]
    program = tmp_path / "program.py"
    program.write_text(source, encoding="utf-8")
    environ = {
        "POSTROOM_URL": whole.system.api.url,
        "POSTROOM_KEY": KEY,
        "AMQP_URL": whole.vhost.service_url,
        "PYTHONPATH": str(CLIENT),
    }
    done = subprocess.run(
        [sys.executable, str(program)], env=environ, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == (printed, 0), done.stderr


# What it says of an email


def test_an_email_goes_to_its_end_and_a_key_means_one_email(postroom: Postroom) -> None:
    email_id = postroom.emails.send(email(), idempotency_key="order-1")
    assert postroom.emails.send(email(), idempotency_key="order-1") == email_id
    standing = postroom.emails.wait_until_final(email_id, timeout=60)
    assert (standing.email_id, standing.state, standing.status) == (email_id, "delivered", "DELIVERED")
    with pytest.raises(Conflict):
        postroom.emails.send(email("other"), idempotency_key="order-1")


def test_a_batch_is_taken_whole_or_not_at_all_or_in_part_if_that_is_wanted(
    whole: Whole, postroom: Postroom
) -> None:
    good, bad = email("batch"), Email(to="nobody", sender="shop@example.com", subject="A test", text="batch")
    with pytest.raises(InvalidRequest):
        postroom.emails.batch([good, bad])
    assert whole.database["emails"].count_documents({"content.message": "batch"}) == 0

    batch = postroom.emails.batch([good, bad, good], idempotency_key="batch-1", permissive=True)
    assert [email_id is None for email_id in batch.email_ids] == [False, True, False]
    assert [each.index for each in batch.refused] == [1]
    assert postroom.emails.batch([good, bad, good], idempotency_key="batch-1", permissive=True) == batch
    accepted = [email_id for email_id in batch.email_ids if email_id is not None]
    whole.system.api.wait_for_all(accepted, "sent", within=60)


def test_an_email_has_all_that_it_was_given(postroom: Postroom) -> None:
    rich = Email(
        to=["ann@example.com", "bob@example.com"],
        cc="carol@example.com",
        bcc="dave@example.com",
        reply_to="help@example.com",
        sender="Shop <shop@example.com>",
        subject="Your order",
        text="It is on its way.",
        html="<p>It is on its way.</p>",
        headers={"X-Order": "4711"},
        attachments=[Attachment(filename="invoice.txt", content=b"1 EUR", content_type="text/plain")],
        priority=3,
        ttl=600,
    )
    sent = postroom.emails.wait_until_final(postroom.emails.send(rich), timeout=60)
    assert sent.state == "delivered"
    told = rich.as_json()
    for name in ("to", "cc", "bcc", "replyTo", "from", "subject", "text", "html", "headers"):
        assert sent.answer[name] == told[name]
    assert sent.answer["attachments"] == [{"filename": "invoice.txt", "size": 5, "contentType": "text/plain"}]


def test_a_scheduled_email_is_moved_and_canceled(postroom: Postroom) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    email_id = postroom.emails.send(email(scheduled_at=tomorrow))
    assert postroom.emails.get(email_id).state == "scheduled"
    postroom.emails.reschedule(email_id, tomorrow + timedelta(days=1))
    for _ in range(2):
        postroom.emails.cancel(email_id)
    canceled = postroom.emails.wait_until_final(email_id)
    assert (canceled.state, canceled.status) == ("canceled", "CANCELLED")
    with pytest.raises(ApiError):
        postroom.emails.reschedule(email_id, tomorrow)


def test_what_is_refused_is_an_error_of_its_kind(whole: Whole, postroom: Postroom) -> None:
    with pytest.raises(NotFound):
        postroom.emails.get(NOBODY)
    with pytest.raises(InvalidRequest, match="from") as raised:
        postroom.emails.send(Email(to="ann@example.com", sender="", subject="A test", text="Hello"))
    assert raised.value.code == "BAD_REQUEST"
    with Postroom(whole.system.api.url, "pr_wrong") as stranger, pytest.raises(NotAuthenticated):
        stranger.emails.send(email())


# At most one email


@pytest.mark.parametrize("fault", [Fault.KILL_BEFORE, Fault.KILL_AFTER])
def test_the_api_is_killed_before_it_answers_and_there_is_one_email(whole: Whole, fault: Fault) -> None:
    system, text = whole.system, f"answered by an API that is {fault} the write"
    system.api_process.kill()
    failpoint = Failpoint(fault=fault, part="emails", method="insert")
    with ThreadPoolExecutor(1) as thread, Postroom(system.api.url, KEY, patience=PATIENCE) as postroom:
        with failing_api(system, failpoint) as part:
            sending = thread.submit(postroom.emails.send, email(text))
            wait_until_killed_by(failpoint, part)
        assert not sending.done()
        system.start()
        email_id = sending.result(timeout=120)
    assert_one_email_each(system, whole.database, {text: email_id})


def test_a_tenant_over_its_rate_gets_every_email_through_once(whole: Whole) -> None:
    shell = [sys.executable, "-m", "cli"]
    environ = {"MONGODB_URI": whole.database.uri, "PATH": "/usr/bin:/bin"}

    def run(*arguments: str) -> dict[str, str]:
        done = subprocess.run([*shell, *arguments, "--json"], env=environ, capture_output=True, check=True)
        answer: dict[str, str] = json.loads(done.stdout)
        return answer

    run("tenants", "create", "eager", "--rate", "25", "--burst", "5")
    token = run("keys", "create", "eager", "--scope", "send,read", "--name", "test")["token"]
    texts = [f"eager {number}" for number in range(50)]
    with (
        Postroom(whole.system.api.url, token, patience=PATIENCE) as postroom,
        ThreadPoolExecutor(16) as threads,
    ):
        sent = threads.map(lambda text: postroom.emails.send(email(text)), texts)
        email_ids = dict(zip(texts, sent, strict=True))
    stored = Counter(
        document["content"]["message"] for document in whole.database["emails"].find({"tenant_id": "eager"})
    )
    assert stored == dict.fromkeys(texts, 1)
    wait_until(
        lambda: set(email_ids.values()) <= set(whole.system.provider.summary()["accepted_ids"]),
        within=60,
        what="the provider has all",
    )
    whole.system.provider.assert_accepted_once(list(email_ids.values()))


def test_two_processes_with_the_same_keys_while_the_api_dies_and_the_store_goes_away(
    start_system: Callable[..., System], database: StoreDatabase, line_to: Callable[[int], Line]
) -> None:
    line = line_to(database.port)
    system = start_system(mongodb_uri=line.over(database.uri), api_key=KEY)
    texts = [f"shared {number}" for number in range(80)]
    command = [sys.executable, "-m", "tests.harness.client_sends", "--url", system.api.url, "--key", KEY]
    environ = {"PYTHONPATH": f".:{CLIENT}", "PATH": "/usr/bin:/bin"}
    processes = [
        subprocess.Popen([*command, "--threads", "8", *texts], env=environ, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        wait_until(lambda: database["emails"].count_documents({}) >= 10, within=120, what="emails come in")
        system.api_process.kill()
        system.start()
        wait_until(lambda: database["emails"].count_documents({}) >= 30, within=120, what="more come in")
        line.cut()
        wait_until(
            lambda: system.api.get("/readyz").status_code == 503, within=60, what="the store is missed"
        )
        line.restore()
        heard = [json.loads(process.communicate(timeout=240)[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert heard[0] == heard[1]
    assert_one_email_each(system, database, heard[0])


# AMQP


def test_what_postroom_answers_over_amqp(whole: Whole, postroom: Postroom) -> None:
    plain = PlainEmail(sender="shop@example.com", recipient="ann@example.com", message="over AMQP")
    wrong = PlainEmail(sender="nobody", recipient="ann@example.com", message="over AMQP")

    async def send() -> tuple[str, str, str]:
        async with AmqpSender(whole.vhost.service_url, service="shop") as sender:
            first = await sender.send(plain, message_id="m1", idempotency_key="order-2")
            with pytest.raises(Denied) as raised:
                await sender.send(wrong, message_id="m2")
            with pytest.raises(Denied, match="used before with other content"):
                await sender.send(plain, message_id="m1", lane="bulk")
            return (
                first,
                await sender.send(plain, message_id="m3", idempotency_key="order-2"),
                raised.value.reason,
            )

    first, again, reason = asyncio.run(send())
    assert first == again
    assert reason.startswith("sender ")
    assert postroom.emails.wait_until_final(first).state == "delivered"
