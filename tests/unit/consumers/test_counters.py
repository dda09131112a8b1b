from consumers.counters import HELP, Count, Counters
from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane
from delivery.domain.states import State
from tests.unit.delivery.builders import NOW


def happening(state: State) -> Happening:
    return Happening(tenant_id="default", email_id="a", lane=Lane.BULK, state=state, at=NOW)


def test_a_counter_has_its_type_its_help_and_a_value_from_the_start() -> None:
    lines = Counters().text().splitlines()
    assert lines[:3] == [
        "# HELP postroom_relayed_messages_total Owed messages that the relay published.",
        "# TYPE postroom_relayed_messages_total counter",
        "postroom_relayed_messages_total 0",
    ]
    assert len(lines) == 3 * len(Count)


def test_counts_add_up_each_state_by_itself() -> None:
    counters = Counters()
    for states in ([State.HELD] * 3 + [State.RETRYING], [State.HELD] * 2):
        counters.add_states(Count.DECIDED, [happening(state) for state in states])
    counters.add(Count.RELAYED, 7)
    counters.add(Count.RELAYED, 1)
    told = [line for line in counters.text().splitlines() if not line.startswith("#")]
    assert 'postroom_emails_decided_at_deadline_total{state="held"} 5' in told
    assert 'postroom_emails_decided_at_deadline_total{state="retrying"} 1' in told
    assert "postroom_relayed_messages_total 8" in told


def test_every_counter_says_what_it_counts() -> None:
    assert set(HELP) == set(Count)
