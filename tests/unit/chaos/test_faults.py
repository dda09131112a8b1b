from collections import Counter

import pytest

from delivery.domain.lanes import Lane
from delivery.domain.states import State
from simulator.tag_parser import parse_recipient
from tests.chaos.faults import FAULTS, KINDS, MATRIX, bodies, fault_of
from tests.chaos.next_steps import STEPS
from tests.chaos.times import Times

TIMES = Times(factor=15)
COUNT = 12

ENDED = {
    State.DELIVERED,
    State.BOUNCED,
    State.COMPLAINED,
    State.REJECTED,
    State.FAILED,
    State.DEAD,
    State.HELD,
    State.SUPPRESSED,
    State.CANCELED,
    State.EXPIRED,
}


def test_every_fault_has_as_many_emails_as_it_should() -> None:
    counted = Counter(fault_of(str(body["recipient"])) for body in bodies(COUNT, times=TIMES, seed=1))
    assert counted == {name: COUNT * fault.share for name, fault in FAULTS.items()}


@pytest.mark.parametrize("fault", MATRIX, ids=lambda fault: fault.name)
def test_every_fault_comes_in_every_lane_and_with_every_wish(fault: object) -> None:
    ours = [
        body
        for body in bodies(COUNT, times=TIMES, seed=1)
        if FAULTS[fault_of(str(body["recipient"]))] is fault
    ]
    assert {body["lane"] for body in ours} == set(Lane)
    assert len({(body["lane"], body.get("on_unknown")) for body in ours}) == len(KINDS)


def test_the_simulator_knows_every_tag() -> None:
    for body in bodies(COUNT, times=TIMES, seed=1):
        recipient = str(body["recipient"])
        assert bool(parse_recipient(recipient)) == bool(FAULTS[fault_of(recipient)].tags)


def test_every_state_either_ends_or_has_its_next_steps() -> None:
    assert set(STEPS) | ENDED == set(State)
    assert not set(STEPS) & ENDED
