"""Two tenants with keys of their own, made as an operator makes them: from a shell."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
import requests

from tests.e2e.conftest import Whole
from tests.e2e.tenants_apart import requests_that_name_an_email
from tests.harness.amqp import AmqpClient, Outgoing
from tests.harness.api import Api, email
from tests.harness.deadline import wait_until
from tests.harness.ports import free_ports
from tests.harness.shell import Shell
from tests.harness.store import StoreDatabase
from tests.harness.system import API_WORKERS


@pytest.fixture(scope="module")
def whole(start_whole: Callable[..., Whole]) -> Whole:
    started: Whole = start_whole()
    return started


@pytest.fixture(scope="module")
def shell(whole: Whole) -> Shell:
    shell = Shell(whole.database.uri)
    shell("tenants", "create", "acme", "--senders", "*@acme.example", "--lanes", "transactional,bulk")
    shell("tenants", "create", "other")
    return shell


@pytest.fixture
def service(whole: Whole) -> Iterator[AmqpClient]:
    client = AmqpClient(whole.vhost.service_url)
    yield client
    client.close()


@pytest.fixture
def api_of(whole: Whole, shell: Shell) -> Callable[..., Api]:
    """An API client with a fresh key of a tenant."""

    def make(tenant: str, *, scope: str = "send,read") -> Api:
        token = shell("keys", "create", tenant, "--scope", scope, "--name", "test")["token"]
        api = Api(whole.system.wiring.api_url, key=token)
        wait_until(
            lambda: Api(whole.system.wiring.api_url).get("/status").status_code == 401,
            within=30,
            what="nobody calls without a key",
        )
        return api

    return make


def test_a_tenant_sends_and_reads_its_own_and_nobody_elses(api_of: Callable[..., Api]) -> None:
    acme, other = api_of("acme"), api_of("other")
    sent = acme.post(email(sender="shop@acme.example"))
    assert sent.status_code == 202
    request_id = sent.json()["request_id"]
    for path in (f"/status/{request_id}", f"/status?request_id={request_id}"):
        assert acme.get(path).json()["request_id"] == request_id
        refused = other.get(path)
        assert (refused.status_code, refused.json()["reason"]) == (404, "unknown request_id")


def test_every_route_keeps_an_email_from_other_tenants(api_of: Callable[..., Api]) -> None:
    """To them it is one that nobody has: the same status, the same words."""
    acme, other = api_of("acme"), api_of("other")
    request_id = acme.send(sender="shop@acme.example")
    nobodys = request_id[:-12] + "000000000000"
    for asking in requests_that_name_an_email():
        answers = {
            whose: api.request(asking.method, asking.form.format(email_id), json=asking.body)
            for whose, api, email_id in (
                ("other's", other, request_id),
                ("nobody's", other, nobodys),
                ("own", acme, request_id),
            )
        }
        assert (asking.endpoint, answers["other's"].status_code) == (asking.endpoint, 404)
        assert (asking.endpoint, answers["other's"].content) == (asking.endpoint, answers["nobody's"].content)
        assert (asking.endpoint, answers["own"].status_code) != (asking.endpoint, 404)


def test_a_webhooks_email_id_is_one_email_for_good_whoever_asks_at_once(
    api_of: Callable[..., Api], shell: Shell, whole: Whole
) -> None:
    shell("tenants", "change", "other", "--sender-default", "billing@other.example")
    shell("tenants", "create", "third", "--sender-default", "billing@third.example")
    other, third = api_of("other"), api_of("third")
    notice = {"email_id": "invoice-1", "user": "ann@example.com", "body": "Your invoice"}

    def post(api: Api, **changes: str) -> requests.Response:
        return requests.post(
            f"{api.url}/webhook/email",
            json={**notice, **changes},
            headers={"Authorization": api.session.headers["Authorization"]},
            timeout=30,
        )

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: post(other), range(64)))
    assert Counter(answer.status_code for answer in answers) == {202: 1, 200: 63}
    (request_id,) = {answer.json()["request_id"] for answer in answers}
    assert post(other, body="Another").status_code == 409
    assert post(third).json()["request_id"] != request_id
    other.wait_for_status(request_id, "sent")
    assert post(other).json()["status"] == "sent"
    whole.system.provider.assert_accepted_once([request_id])
    refused = post(api_of("acme"))
    assert (refused.status_code, "no default sender" in refused.json()["reason"]) == (403, True)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"sender": "shop@evil.example"}, "sender is not among this tenant's addresses"),
        ({"lane": "critical"}, "lane critical is not among this tenant's lanes"),
    ],
)
def test_what_a_tenant_may_not_send_is_refused(
    api_of: Callable[..., Api], whole: Whole, fields: dict[str, str], reason: str
) -> None:
    before = whole.database["emails"].count_documents({})
    refused = api_of("acme").post(email(**{"sender": "shop@acme.example", **fields}))
    assert (refused.status_code, refused.json()) == (403, {"status": "denied", "reason": reason})
    assert whole.database["emails"].count_documents({}) == before


def test_a_key_does_what_it_is_for_and_nothing_else(api_of: Callable[..., Api]) -> None:
    reader = api_of("other", scope="read")
    refused = reader.post(email())
    assert (refused.status_code, refused.json()["reason"]) == (403, "this key lacks the scope send")
    assert reader.get("/status").status_code == 400
    assert api_of("other", scope="send").get("/status").status_code == 403


def test_a_revoked_key_is_refused_within_seconds_and_its_use_is_known(
    api_of: Callable[..., Api], shell: Shell
) -> None:
    api = api_of("other")
    assert api.post(email()).status_code == 202
    key = shell("keys", "list", "other")[-1]
    assert key["state"] == "active"
    assert key["last_used"] is not None
    shell("keys", "revoke", "other", key["key"])
    wait_until(lambda: api.post(email()).status_code == 401, within=30, what="the key is refused")
    assert shell("keys", "list", "other")[-1]["state"] == "revoked"


def test_what_a_user_of_the_broker_publishes_is_its_tenants(
    whole: Whole, shell: Shell, service: AmqpClient, api_of: Callable[..., Api]
) -> None:
    shell("tenants", "create", "shop", "--amqp-users", whole.vhost.service, "--lanes", "transactional")
    api = api_of("shop")

    def publish(message_id: str, key: str = "transactional.shop") -> Any:
        message = Outgoing(body=email(), message_id=message_id, user_id=whole.vhost.service)
        return service.call("email.ingest", key, message, within=30)

    numbers = count()
    wait_until(
        lambda: api.get(f"/status/{publish(str(next(numbers)))['request_id']}").status_code == 200,
        within=30,
        what="its tenant sees what it published",
    )
    reason = "lane bulk is not among this tenant's lanes"
    assert publish("refused", key="bulk.shop") == {"status": "denied", "reason": reason}


def test_an_api_that_others_can_reach_does_not_start_without_a_key(database: StoreDatabase) -> None:
    command = [sys.executable, "-m", "gunicorn", "-c", "api/gunicorn_conf.py", "api:create_app()"]
    environ = {"API_HOST": "0.0.0.0", "API_PORT": str(free_ports(1)[0]), "MONGODB_URI": database.uri}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert "not started: API_HOST is 0.0.0.0" in done.stderr
    assert "postroom keys create" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_token_is_nowhere_in_the_store(whole: Whole, shell: Shell) -> None:
    token = shell("keys", "create", "other", "--scope", "read", "--name", "secret")["token"]
    documents = str([list(whole.database[name].find()) for name in ("api_keys", "tenants")])
    assert token[:15] in documents
    assert token[16:] not in documents


def test_a_tenant_has_one_rate_over_all_workers(shell: Shell, api_of: Callable[..., Api]) -> None:
    assert shell("tenants", "create", "limited", "--rate", "1", "--burst", "20")["burst"] == 20
    api = api_of("limited", scope="read")

    def ask(_: int) -> requests.Response:
        """Over a connection of its own, so that every worker gets its share."""
        headers = {"Authorization": api.session.headers["Authorization"]}
        return requests.get(f"{api.url}/status", headers=headers, timeout=30)

    began = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        asked = list(threads.map(ask, range(100)))
    took = time.monotonic() - began
    admitted = [answer for answer in asked if answer.status_code == 400]
    refused = [answer for answer in asked if answer.status_code == 429]
    assert len(admitted) + len(refused) == 100
    assert 20 <= len(admitted) <= 20 + took + API_WORKERS, "each may have taken one that it gives out late"
    assert {answer.headers["RateLimit-Limit"] for answer in asked} == {"20"}
    assert refused
    assert {answer.headers["Retry-After"] for answer in refused} == {"1"}
    assert shell("tenants", "change", "limited", "--rate", "none")["rate"] == "none"
    wait_until(lambda: not api.get("/status").headers.get("RateLimit-Limit"), within=30, what="no limit")


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["tenants", "create", "acme"], 1, "there is a tenant acme already"),
        (["tenants", "create", "No Name"], 1, "a tenant's name has"),
        (["tenants", "change", "nobody", "--lanes", "bulk"], 1, "there is no tenant nobody"),
        (["tenants", "change", "other", "--lanes", "fast"], 1, "fast is no lane"),
        (["tenants", "change", "acme", "--lanes", ""], 1, "a tenant needs a lane"),
        (["tenants", "change", "acme", "--senders", ""], 1, "or * for all"),
        (["tenants", "change", "acme", "--senders", "*acme.example"], 1, "--senders are addresses"),
        (["tenants", "change", "acme", "--senders", "\udcff@acme.example"], 1, "not UTF-8"),
        (["tenants", "change", "other", "--rate", "0"], 1, "--rate is a whole number between 1 and 100000"),
        (["tenants", "change", "other", "--burst", "9"], 1, "--burst needs a --rate"),
        (["tenants", "change", "other", "--rate", "none", "--burst", "9"], 1, "--rate is a whole number"),
        (["tenants", "change", "other", "--share", "0"], 1, "--share is a whole number between 1 and 1000"),
        (["keys", "create", "other", "--scope", "all", "--name", "x"], 1, "all is no scope"),
        (["keys", "revoke", "acme", "pr_000000000000"], 1, "acme has no key"),
        (["keys"], 2, "usage"),
    ],
)
def test_a_mistake_in_a_shell_is_explained(shell: Shell, arguments: list[str], code: int, text: str) -> None:
    done = shell.run(*arguments)
    assert done.returncode == code
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_a_key_in_a_table_can_be_copied(shell: Shell) -> None:
    name = "a name that takes much of a narrow terminal"
    key = shell("keys", "create", "other", "--scope", "send,read,webhooks", "--name", name)["key"]
    assert key in shell.run("keys", "list", "other").stdout


def test_a_token_that_leaked_is_revoked_by_itself_and_not_repeated(shell: Shell) -> None:
    made = shell("keys", "create", "other", "--scope", "read", "--name", "leaked")
    for given in (made["token"], made["token"], made["token"][:-1]):
        done = shell.run("keys", "revoke", "other", given)
        assert made["token"][16:-1] not in done.stdout + done.stderr
    (state,) = [key["state"] for key in shell("keys", "list", "other") if key["key"] == made["key"]]
    assert state == "revoked"


def test_a_limit_to_senders_can_be_lifted(shell: Shell) -> None:
    shell("tenants", "create", "restricted", "--senders", "a@restricted.example")
    assert shell("tenants", "change", "restricted", "--senders", "*")["senders"] == []


@pytest.mark.parametrize(
    "uri", ["mongodb://user:se@cret@127.0.0.1:9/x", "mongodb://127.0.0.1:9/x?connectTimeoutMS=secret"]
)
def test_a_shell_says_that_the_address_of_the_store_is_wrong(uri: str) -> None:
    command = [sys.executable, "-m", "cli", "tenants", "list"]
    done = subprocess.run(command, env={"MONGODB_URI": uri}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "MONGODB_URI can't be used" in done.stderr
    assert "Traceback" not in done.stderr
    assert "cret" not in done.stderr


def test_a_shell_says_that_the_store_is_away() -> None:
    command = [sys.executable, "-m", "cli", "tenants", "list"]
    away = {"MONGODB_URI": "mongodb://127.0.0.1:9/postroom?serverSelectionTimeoutMS=100"}
    done = subprocess.run(command, env=away, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert "the store is away" in done.stderr
