"""A write happened and its answer was lost: the consumers repeat it, and nothing is doubled or forgotten."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Whole
from tests.e2e.mixed_emails import CONFIG, bring_to_their_end, clear_away, start_flow
from tests.harness.amqp import AmqpClient
from tests.harness.deadline import wait_until
from tests.harness.failing_parts import failing_consumers, has_fired
from tests.harness.failpoints import Failpoint, Fault

# What a claim takes is more than a lease of a millisecond over the call's needs: nearly all are given back.
GIVES_BACK = CONFIG.replace('lease = "2500ms"', 'lease = "2101ms"')

LONGER_THAN_A_LEASE = 7.0
"""Seconds: the lease, the reconciler's margin for clocks, and its next turn."""


def lost(part: str, method: str, only: str | None = None, *, away: float = 0.0, nth: int = 1) -> Failpoint:
    return Failpoint(fault=Fault.LOSE_ANSWER, part=part, method=method, only=only, away=away, nth=nth)


LOST = [
    lost("claims", "claim", nth=2),
    lost("claims", "settle", only="submitted"),
    lost("claims", "settle", only="delay"),
    lost("claims", "settle", only="dead"),
    lost("emails", "clear_owed"),
    lost("emails", "insert"),
    lost("emails", "revive"),
    lost("reported", "apply"),
    lost("events", "record_effects"),
    lost("claims", "claim", nth=2, away=LONGER_THAN_A_LEASE),
]


@pytest.fixture(scope="module")
def whole(start_whole: Callable[..., Whole]) -> Whole:
    whole = start_whole(config=CONFIG)
    whole.system.consumers[0].kill()
    return whole


@pytest.fixture(autouse=True)
def _from_rest(whole: Whole, request: pytest.FixtureRequest) -> None:
    clear_away(whole)
    request.node.addfinalizer(lambda: print(whole.system.logs()))


@pytest.fixture
def service(whole: Whole) -> Iterator[AmqpClient]:
    client = AmqpClient(whole.vhost.service_url)
    yield client
    client.close()


@pytest.mark.parametrize("failpoint", LOST, ids=lambda point: f"{point}-away-{point.away:g}s")
def test_a_write_that_is_repeated_changes_nothing(
    whole: Whole, service: AmqpClient, failpoint: Failpoint
) -> None:
    with failing_consumers(whole.system, failpoint) as consumers:
        flow = start_flow(whole, service, text=str(failpoint))
        emails = bring_to_their_end(whole, flow)
        assert has_fired(failpoint, consumers)
    assert {found["state"] for found in emails} == {"delivered"}


def test_a_claim_that_is_given_back_twice_is_sent_by_others(
    whole: Whole, service: AmqpClient, tmp_path: Path
) -> None:
    config = tmp_path / "gives-back.toml"
    config.write_text(GIVES_BACK)
    failpoint = lost("claims", "give_back")
    with failing_consumers(whole.system, failpoint, config=config) as consumers:
        flow = start_flow(whole, service, text=str(failpoint))
        wait_until(lambda: has_fired(failpoint, consumers), within=60, what="a claim is given back")
        whole.system.consumers[0].start()
        whole.system.consumers[0].wait_ready(60)
        consumers.stop(within=20)
    emails = bring_to_their_end(whole, flow)
    whole.system.consumers[0].kill()
    assert {found["state"] for found in emails} == {"delivered"}
