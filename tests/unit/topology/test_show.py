from topology.definition import postroom_topology
from topology.model import Exchange, Queue
from topology.permissions import service_permissions
from topology.show import show


def test_every_entity_is_shown_with_its_arguments_and_why() -> None:
    topology = postroom_topology()
    shown = show(topology, width=200)
    entities: list[Exchange | Queue] = [*topology.exchanges, *topology.queues]
    for entity in entities:
        assert entity.name in shown
        assert entity.why in shown
        assert all(f"{name}: {value}" in shown for name, value in entity.arguments.items())
    assert all(binding.routing_key in shown for binding in topology.bindings)


def test_the_queues_of_tenants_are_shown_by_their_pattern() -> None:
    assert "email.<lane>.<tenant>" in show(postroom_topology(), width=200)


def test_the_permissions_are_shown() -> None:
    shown = show(postroom_topology(), width=200)
    assert "policymaker" in shown
    assert service_permissions("shop").write in shown


def test_a_narrow_terminal_hides_no_name() -> None:
    shown = show(postroom_topology(), width=80)
    assert "email.ingest.critical" in shown
    assert "x-dead-letter-routing-key: rejected" in shown
