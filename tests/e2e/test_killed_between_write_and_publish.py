"""A process is killed between a write and the message that the write requires, at each such place.

It kills itself there while a few dozen emails flow: sent and refused by the provider, retried, dead,
ingested, rejected, reported on. What it leaves is looked at while no consumer runs; then others take over.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path

import pytest
import requests

from tests.e2e.conftest import Whole
from tests.e2e.mixed_emails import CONFIG, SLOTS, Flow, bring_to_their_end, clear_away, start_flow
from tests.harness.amqp import AmqpClient
from tests.harness.api import email
from tests.harness.deadline import wait_until
from tests.harness.failing_parts import failing_api, failing_consumers, wait_until_killed_by
from tests.harness.failpoints import Failpoint, Fault
from tests.harness.owed import assert_nothing_waits_unowed, letters
from topology import names

# What a claim takes is more than a lease of a millisecond over the call's needs: nearly all are given back.
GIVES_BACK = CONFIG.replace('lease = "2500ms"', 'lease = "2101ms"')


def before(part: str, method: str, only: str | None = None, nth: int = 1) -> Failpoint:
    return Failpoint(fault=Fault.KILL_BEFORE, part=part, method=method, only=only, nth=nth)


def after(part: str, method: str, only: str | None = None, nth: int = 1) -> Failpoint:
    return Failpoint(fault=Fault.KILL_AFTER, part=part, method=method, only=only, nth=nth)


# In the order in which an email meets them. What stands between two neighbours is one place to die in.
CONSUMERS_DIE = [
    after("claims", "claim", nth=2),
    after("provider", "submit", only="accepted", nth=3),
    after("provider", "submit", only="unavailable"),
    after("claims", "settle", only="delay"),
    before("publisher", "publish", only="delay.1s"),
    after("publisher", "publish", only="delay.1s"),
    after("emails", "clear_owed", only="delay"),
    before("publisher", "publish", only="dead"),
    after("publisher", "publish", only="dead"),
    # a provider event
    after("reported", "apply"),
    after("effects", "record_effects"),
    after("events", "record_effects"),
    # an email that a service publishes
    after("emails", "insert"),
    before("publisher", "publish", only="rejected"),
    after("publisher", "publish", only="rejected"),
]

REVIVERS_DIE = [after("emails", "revive"), after("publisher", "publish", only="transactional")]

API_DIES = [
    before("emails", "insert", nth=3),
    after("emails", "insert", nth=3),
    before("publisher", "publish", only="transactional", nth=3),
    after("publisher", "publish", only="transactional", nth=3),
    after("emails", "clear_owed"),
    # a provider event
    after("events", "insert"),
    before("publisher", "publish", only="provider_event"),
    after("publisher", "publish", only="provider_event"),
]


@pytest.fixture(scope="module")
def whole(start_whole: Callable[..., Whole]) -> Whole:
    return start_whole(config=CONFIG, simulator_options=["--webhook-retry-delays", "1,1,2,4,8"])


@pytest.fixture(autouse=True)
def _from_rest(whole: Whole, request: pytest.FixtureRequest) -> None:
    """Every part up but the consumers."""
    whole.system.start()
    whole.system.consumers[0].kill()
    clear_away(whole)
    request.node.addfinalizer(lambda: print(whole.system.logs()))


@pytest.fixture
def service(whole: Whole) -> Iterator[AmqpClient]:
    client = AmqpClient(whole.vhost.service_url)
    yield client
    client.close()


@pytest.mark.parametrize("failpoint", CONSUMERS_DIE, ids=str)
def test_what_killed_consumers_left_is_finished(
    whole: Whole, service: AmqpClient, failpoint: Failpoint
) -> None:
    with failing_consumers(whole.system, failpoint) as consumers:
        flow = start_flow(whole, service, text=str(failpoint))
        wait_until_killed_by(failpoint, consumers)
    assert_nothing_waits_unowed(whole.database, whole.vhost)
    assert_others_finish(whole, flow)


@pytest.mark.parametrize("failpoint", REVIVERS_DIE, ids=str)
def test_letters_that_killed_consumers_were_reviving_are_revived(
    whole: Whole, service: AmqpClient, failpoint: Failpoint
) -> None:
    with failing_consumers(whole.system, failpoint) as consumers:
        # None by AMQP: their messages would have the same key as those of the revived.
        flow = start_flow(whole, service, text=str(failpoint), ingested=0)
        wait_until(lambda: letters(whole.vhost), within=60, what="there is a letter")
        whole.vhost.move_messages(names.DEAD_QUEUE, names.REQUEUE_QUEUE)
        wait_until_killed_by(failpoint, consumers)
    assert_nothing_waits_unowed(whole.database, whole.vhost)
    assert_others_finish(whole, flow)


def test_claims_that_killed_consumers_gave_back_are_taken_by_others(
    whole: Whole, service: AmqpClient, tmp_path: Path
) -> None:
    config = tmp_path / "gives-back.toml"
    config.write_text(GIVES_BACK)
    failpoint = after("claims", "give_back")
    with failing_consumers(whole.system, failpoint, config=config) as consumers:
        flow = start_flow(whole, service, text=str(failpoint))
        wait_until_killed_by(failpoint, consumers)
    assert_nothing_waits_unowed(whole.database, whole.vhost)
    assert_others_finish(whole, flow)


@pytest.mark.parametrize("failpoint", API_DIES, ids=str)
def test_what_a_killed_api_accepted_is_sent(whole: Whole, failpoint: Failpoint) -> None:
    whole.system.api_process.kill()
    with failing_api(whole.system, failpoint) as api:
        if failpoint.part == "events" or failpoint.only == "provider_event":
            whole.system.consumers[0].start()
        flow = Flow(str(failpoint), accepted=send_until_killed(whole, str(failpoint)))
        wait_until_killed_by(failpoint, api)
    whole.system.consumers[0].kill()
    assert_nothing_waits_unowed(whole.database, whole.vhost)
    assert_others_finish(whole, flow)


def send_until_killed(whole: Whole, text: str) -> set[str]:
    """Send from several connections, some on each, or until the API is gone; returns what it accepted."""

    def send(number: int) -> list[str]:
        accepted: list[str] = []
        with requests.Session() as session:
            session.trust_env = False
            for _ in range(8):
                try:
                    answer = session.post(
                        f"{whole.system.api.url}/send", json=email(message=text), timeout=30
                    )
                except requests.RequestException:
                    return accepted
                if answer.status_code == HTTPStatus.ACCEPTED:
                    accepted.append(answer.json()["request_id"])
        return accepted

    with ThreadPoolExecutor(4) as threads:
        return {request_id for accepted in threads.map(send, range(4)) for request_id in accepted}


def assert_others_finish(whole: Whole, flow: Flow) -> None:
    """Consumers without a failpoint bring everything to its end, and nothing is submitted twice in vain.

    Unconfirmed is at most what the killed process had in its hands.
    """
    whole.system.start()
    emails = bring_to_their_end(whole, flow)
    unconfirmed = [found for found in emails if found["state"] == "unconfirmed"]
    assert len(unconfirmed) <= SLOTS
    assert {found["last_error"] for found in unconfirmed} <= {"lease ran out"}
