"""Whoever repeats a request with a key, and whatever dies meanwhile: at most one email a key."""

from collections import Counter
from collections.abc import Callable, Iterator

import psutil
import pytest
import requests

from tests.e2e.conftest import Whole
from tests.harness.amqp import AmqpClient, Outgoing
from tests.harness.api import Api, email
from tests.harness.deadline import wait_until
from tests.harness.hammering import CLIENTS, HAMMERED, Hammering, texts_of
from tests.harness.store import StoreDatabase
from tests.harness.system import System

KILLS = 2
WORKERS = 3

Publish = Callable[..., dict[str, str]]


@pytest.fixture(scope="module")
def whole(start_whole: Callable[..., Whole]) -> Whole:
    started: Whole = start_whole(api_workers=WORKERS)
    return started


@pytest.fixture
def publish(whole: Whole) -> Iterator[Publish]:
    """Publishes an email with a key over AMQP, and returns the reply."""
    client = AmqpClient(whole.vhost.service_url)

    def publish(key: str, *, message_id: str, text: str) -> dict[str, str]:
        message = Outgoing(
            body=email(message=text),
            message_id=message_id,
            user_id=whole.vhost.service,
            headers={"idempotency-key": key},
        )
        return client.call("email.ingest", "transactional.shop", message, within=30)

    yield publish
    client.close()


@pytest.fixture
def api(whole: Whole) -> Api:
    return whole.system.api


def send(api: Api, key: str, **fields: object) -> requests.Response:
    return api.post(email(**fields), Idempotency_Key=key)


def test_a_repeated_request_is_answered_alike_and_sends_nothing(whole: Whole, api: Api) -> None:
    first = send(api, "order-1", message="one")
    assert (first.status_code, "Idempotency-Replay" in first.headers) == (202, False)
    again = send(api, "order-1", message="one")
    assert (again.status_code, again.headers["Idempotency-Replay"]) == (202, "true")
    assert again.json() == first.json()
    api.wait_for_status(first.json()["request_id"], "sent")
    whole.system.provider.assert_accepted_once([first.json()["request_id"]])


def test_a_key_with_another_body_is_refused(api: Api) -> None:
    assert send(api, "order-2", message="one").status_code == 202
    refused = send(api, "order-2", message="two")
    assert refused.status_code == 409
    assert refused.json()["reason"] == "Idempotency-Key was used before with another request"


def test_what_was_denied_can_be_corrected_under_the_same_key(api: Api) -> None:
    assert send(api, "order-3", recipient="nobody").status_code == 400
    corrected = send(api, "order-3")
    assert (corrected.status_code, "Idempotency-Replay" in corrected.headers) == (202, False)


def test_a_key_is_one_key_over_http_and_amqp(whole: Whole, api: Api, publish: Publish) -> None:
    sent = send(api, "order-5", message="one", lane="transactional").json()
    assert publish("order-5", message_id="m1", text="one") == sent
    assert publish("order-5", message_id="m2", text="one") == sent
    refused = publish("order-5", message_id="m3", text="two")
    assert refused["reason"] == "Idempotency-Key was used before with another request"


def test_what_comes_first_over_amqp_is_repeated_over_http(api: Api, publish: Publish) -> None:
    first = publish("order-6", message_id="m4", text="one")
    assert publish("order-6", message_id="m4", text="one") == first
    again = send(api, "order-6", message="one")
    assert (again.json(), again.headers["Idempotency-Replay"]) == (first, "true")


def test_a_message_id_is_used_once_whatever_its_key(publish: Publish) -> None:
    first = publish("order-7", message_id="m5", text="one")
    assert publish("order-8", message_id="m5", text="one") == first
    refused = publish("order-9", message_id="m5", text="two")
    assert refused["reason"] == "message_id was used before with other content"
    corrected = publish("order-9", message_id="m6", text="two")
    assert corrected["status"] == "accepted"
    assert corrected["request_id"] != first["request_id"]


def test_a_wait_for_the_providers_answer_may_be_repeated(api: Api) -> None:
    def ask() -> requests.Response:
        return api.post(email(), Idempotency_Key="order-4", Prefer="wait=10")

    first, again = ask(), ask()
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["request_id"] == again.json()["request_id"]
    assert again.headers["Idempotency-Replay"] == "true"


def test_no_key_ever_has_two_emails_whoever_repeats_it_and_whatever_dies(whole: Whole) -> None:
    system, hammering = whole.system, Hammering(whole.system.api.url)
    with hammering.by_all_clients():
        for _ in range(KILLS):
            hammering.wait_for_more(CLIENTS)
            system.api_process.kill()
            system.start()
    print(f"API of {WORKERS} workers killed {KILLS} times: {dict(hammering.answers)}")
    assert_one_email_each(system, whole.database, hammering)


def test_the_only_worker_is_replaced_and_who_repeats_gets_through(
    start_system: Callable[..., System], database: StoreDatabase
) -> None:
    system = start_system(api_workers=1)
    hammering, gunicorn = Hammering(system.api.url), psutil.Process(system.api_process.pid)
    workers = set(gunicorn.children())
    with hammering.by_all_clients():
        for _ in range(KILLS):
            hammering.wait_for_more(CLIENTS)
            (worker,) = gunicorn.children()
            worker.kill()
            wait_until(lambda: set(gunicorn.children()) - workers, within=60, what="there is another")
            workers.update(gunicorn.children())
    print(f"the only worker killed {KILLS} times: {dict(hammering.answers)}")
    assert len(workers) == 1 + KILLS
    assert_one_email_each(system, database, hammering)


def assert_one_email_each(system: System, database: StoreDatabase, hammering: Hammering) -> None:
    """Every key is accepted, always under the same ids, and each of its emails is stored and sent once."""
    hammering.accept_all()
    assert set(hammering.answers) <= {"202", "202 replay", "200", "200 replay", "409", "503", "no answer"}
    assert {key: len(answers) for key, answers in hammering.email_ids.items()} == dict.fromkeys(HAMMERED, 1)
    by_text = {
        text: email_id
        for key, (email_ids,) in hammering.email_ids.items()
        for text, email_id in zip(texts_of(key), email_ids, strict=True)
    }
    stored = list(database["emails"].find({"content.message": {"$regex": "^hammered"}}))
    assert Counter(document["content"]["message"] for document in stored) == dict.fromkeys(by_text, 1)
    assert {document["content"]["message"]: document["_id"] for document in stored} == by_text
    request_ids = list(by_text.values())
    for request_id in request_ids:
        system.api.wait_for_status(request_id, "sent")
    system.provider.assert_accepted_once(request_ids)
