"""Dead and held emails, searched, requeued and discarded from a shell, by reason, tenant and time."""

import json
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.conftest import BREAKER_STAYS_CLOSED, Whole
from tests.harness.api import Api, email
from tests.harness.counts import wait_for_right_counts
from tests.harness.deadline import wait_for_value, wait_until
from tests.harness.shell import Shell
from tests.harness.system import System

CONFIG = (
    BREAKER_STAYS_CLOSED
    + '[lanes.bulk]\nretry = ["1s"]\n[lanes.transactional]\nretry = ["1s"]\n[loops]\nrelay_grace = "1s"\n'
)

DIES_ONCE = "fault+error.2@example.com"
"""Fails twice, which is every attempt of its lane; the third, after a requeue, is accepted."""

LOST = "fault+504-never.1@example.com"
PRIVATE = ("example.com", "Hello")


@pytest.fixture(scope="module")
def whole(start_whole: Callable[..., Whole]) -> Whole:
    return start_whole(config=CONFIG)


@pytest.fixture(scope="module")
def shell(whole: Whole) -> Shell:
    shell = Shell.of(whole.system.wiring)
    shell("tenants", "create", "acme")
    return shell


@pytest.fixture(scope="module")
def api(whole: Whole, shell: Shell) -> Api:
    return api_of("default", whole, shell)


@pytest.fixture(scope="module")
def acme(whole: Whole, shell: Shell) -> Api:
    return api_of("acme", whole, shell)


@pytest.fixture
def system(whole: Whole) -> System:
    return whole.system


def api_of(tenant: str, whole: Whole, shell: Shell) -> Api:
    token = shell("keys", "create", tenant, "--scope", "send,read", "--name", "test")["token"]
    api = Api(whole.system.wiring.api_url, key=token)
    wait_until(
        lambda: Api(whole.system.wiring.api_url).get("/status").status_code == 401,
        within=30,
        what="the API has heard that there are keys",
    )
    return api


def test_dead_emails_are_listed_requeued_and_discarded_and_the_queue_is_as_long_as_the_list(
    whole: Whole, shell: Shell, api: Api, acme: Api
) -> None:
    ours = die(api, whole, 5, lane="bulk")
    theirs = die(acme, whole, 3)
    assert depth(whole, "email.dead") == 8

    groups = shell("dead", "list")
    assert [(g["tenant"], g["lane"], g["emails"]) for g in groups] == [
        ("default", "bulk", 5),
        ("acme", "transactional", 3),
    ]
    assert {(g["reason"], g["last_error"]) for g in groups} == {("attempts_exhausted", "HTTP 500 ERROR")}
    assert {each["email"] for each in shell("dead", "list", "--tenant", "acme", "--each")} == set(theirs)
    people = shell.text("dead", "list")
    assert "8 emails; 8 letters in email.dead" in people
    assert not any(word in people for word in PRIVATE)

    assert shell.run("dead", "requeue").returncode == 1, "nobody means all by saying nothing"
    dry = ("dead", "requeue", "--tenant", "acme", "--reason", "attempts_exhausted", "--dry-run")
    assert [group["emails"] for group in shell(*dry)] == [3]
    assert shell("dead", "requeue", "--since", "2030-01-01T00:00Z") == nothing("requeued")
    assert depth(whole, "email.dead") == 8

    assert shell(*dry[:-1]) == {"requeued": 3, "letters_removed": 3}
    acme.wait_for_all(theirs, "sent", within=60)
    wait_for_depth(whole, "email.dead", 5)
    wait_for_right_counts(api, whole.database, tenant="default")

    done = shell("dead", "discard", ours[0], ours[1], "--because", "sent by hand")
    assert done == {"discarded": 2, "letters_removed": 2}
    wait_for_depth(whole, "email.dead", 3)
    assert api.status(ours[0])["detail"] == "dead"
    assert shell("dead", "requeue", ours[0]) == nothing("requeued")
    assert "discarded: sent by hand" in shell.text("emails", "show", ours[0])

    assert shell("dead", "requeue", "--until", "0s", "--rate", "2") == {"requeued": 3, "letters_removed": 3}
    api.wait_for_all(ours[2:], "sent", within=60)
    wait_for_depth(whole, "email.dead", 0)
    assert shell("dead", "list") == []
    whole.system.provider.assert_accepted_once([*theirs, *ours[2:]])
    wait_for_right_counts(api, whole.database, tenant="default")
    wait_for_right_counts(acme, whole.database, tenant="acme")


def test_held_emails_have_the_same_commands(whole: Whole, shell: Shell, api: Api) -> None:
    body = email(recipient=LOST, on_unknown="hold", unknown_deadline=1)
    kept, again = api_ids(api, [body, body])
    wait_for_depth(whole, "email.held", 2)
    assert shell("held", "list")[0]["reason"] == "outcome unknown"
    assert shell("held", "discard", kept, "--because", "the provider has it") == {
        "discarded": 1,
        "letters_removed": 1,
    }
    assert shell("held", "requeue", "--all") == {"requeued": 1, "letters_removed": 1}
    api.wait_for_status(again, "sent")
    wait_for_depth(whole, "email.held", 0)
    assert len(whole.system.provider.submissions_of(kept)) == 1
    wait_for_right_counts(api, whole.database, tenant="default")


def test_a_requeue_that_is_killed_half_way_loses_and_doubles_nothing(
    whole: Whole, shell: Shell, api: Api
) -> None:
    """Killed between the emails' states and the letters: what is left of these, the next pass removes."""
    ids = die(api, whole, 40)
    running = shell.start("dead", "requeue", "--all", "--rate", "5")
    wait_until(lambda: len(shell("dead", "list", "--each")) < 40, within=60, what="some are requeued")
    running.send_signal(signal.SIGKILL)
    running.wait()
    left = len(shell("dead", "list", "--each"))
    assert 0 < left < 40
    assert depth(whole, "email.dead") == 40
    shell("dead", "tidy")
    wait_for_depth(whole, "email.dead", left)
    assert shell("dead", "requeue", "--all") == {"requeued": left, "letters_removed": left}
    api.wait_for_all(ids, "sent", within=60)
    whole.system.provider.assert_accepted_once(ids)
    wait_for_depth(whole, "email.dead", 0)


def test_without_the_broker_it_is_decided_all_the_same_and_letters_wait(
    whole: Whole, shell: Shell, api: Api
) -> None:
    (request_id,) = die(api, whole, 1)
    cut_off = Shell(whole.database.uri, AMQP_URL="amqp://x:y@127.0.0.1:1/")
    done = cut_off.run("dead", "requeue", request_id, "--json")
    assert (done.returncode, done.stderr) == (4, "postroom: the broker is away; is AMQP_URL right?\n")
    assert json.loads(done.stdout) == {"requeued": 1, "letters_removed": None}
    api.wait_for_status(request_id, "sent")
    assert depth(whole, "email.dead") == 1
    assert shell("dead", "tidy") == {"letters_removed": 1, "letters_left": 0}


def test_emails_are_found_and_shown_without_what_is_private(whole: Whole, shell: Shell, acme: Api) -> None:
    answer = acme.post(email(recipient="zoe@example.com"), Idempotency_Key="order-7")
    request_id = answer.json()["request_id"]
    acme.wait_for_detail(request_id, "delivered")

    def found(*options: str) -> list[str]:
        return [each["email"] for each in shell("emails", "search", *options)]

    assert found("--recipient", "Zoe@Example.com") == [request_id]
    assert found("--tenant", "acme", "--key", "order-7") == [request_id]
    assert found("--key", "order-7") == [], "of another tenant"
    assert request_id in found("--tenant", "acme", "--status", "delivered", "--lane", "transactional")
    assert found("--tenant", "acme", "--until", "1h") == []
    assert len(found("--limit", "2")) == 2

    shown = shell.text("emails", "show", request_id)
    assert "delivered" in shown
    assert "submitted" in shown
    assert not any(word in shown for word in ("zoe", "shop@", "Hello"))
    revealed = shell("emails", "show", request_id, "--reveal")
    assert (revealed["recipients"], revealed["message"]) == (["zoe@example.com"], "Hello")
    unknown = request_id[:-12] + "000000000000"
    assert shell.run("emails", "show", unknown).returncode == 1


def test_an_email_that_waits_is_canceled_and_one_that_does_not_is_not(
    whole: Whole, shell: Shell, acme: Api
) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    waits, goes = api_ids(acme, [email(send_at=later), email()])
    acme.wait_for_detail(goes, "delivered")
    assert shell("emails", "cancel", waits)[0]["canceled"] == "yes"
    assert acme.status(waits)["detail"] == "canceled"
    refused = shell.run("emails", "cancel", goes, waits)
    assert (refused.returncode, "1 of 2 can't be canceled" in refused.stderr) == (1, True)
    wait_for_right_counts(acme, whole.database, tenant="acme")


def test_the_topology_is_checked(shell: Shell) -> None:
    assert shell.text("topology", "check").endswith("the broker has what it should\n")
    assert "email.dead" in shell.text("topology", "show")


def die(api: Api, whole: Whole, count: int, **fields: object) -> list[str]:
    """Send emails that run out of attempts, and wait until there is a letter for each."""
    before = depth(whole, "email.dead")
    ids = api_ids(api, [email(recipient=DIES_ONCE, **fields) for _ in range(count)])
    api.wait_for_all(ids, "failed", within=60)
    wait_for_depth(whole, "email.dead", before + count)
    return ids


def api_ids(api: Api, bodies: list[dict[str, object]]) -> list[str]:
    return [api.post(body).json()["request_id"] for body in bodies]


def depth(whole: Whole, queue: str) -> int:
    return whole.vhost.depth(queue)


def wait_for_depth(whole: Whole, queue: str, count: int) -> None:
    wait_for_value(lambda: depth(whole, queue), count, within=60, what=f"{queue} is as long as the list")


def nothing(done: str) -> dict[str, Any]:
    return {done: 0, "letters_removed": 0}
