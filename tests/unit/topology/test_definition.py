"""The rules behind the definition that need no broker to be broken."""

import pytest

from topology import names
from topology.definition import postroom_topology, with_tenants
from topology.model import ExchangeType, Queue, Topology

PORTABLE_ARGUMENTS = {
    "x-queue-type",
    "x-max-priority",
    "x-delivery-limit",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-overflow",
}
"""Arguments that mean the same from RabbitMQ 3.10 to 4.x."""


@pytest.fixture
def topology() -> Topology:
    return postroom_topology()


def queue(topology: Topology, name: str) -> Queue:
    return next(queue for queue in topology.queues if queue.name == name)


def keys(topology: Topology, exchange: str) -> dict[str, str]:
    """Routing key -> queue."""
    return {
        binding.routing_key: binding.queue for binding in topology.bindings if binding.exchange == exchange
    }


def test_no_name_is_used_twice(topology: Topology) -> None:
    for entities in (topology.exchanges, topology.queues):
        entity_names = [entity.name for entity in entities]
        assert len(entity_names) == len(set(entity_names))
    assert len(topology.bindings) == len(set(topology.bindings))


def test_every_entity_says_why_it_is_there(topology: Topology) -> None:
    assert all(exchange.why for exchange in topology.exchanges)
    assert all(queue.why for queue in topology.queues)


def test_every_binding_joins_what_is_declared(topology: Topology) -> None:
    exchanges = {exchange.name for exchange in topology.exchanges}
    queues = {queue.name for queue in topology.queues}
    assert {binding.exchange for binding in topology.bindings} <= exchanges
    assert {binding.queue for binding in topology.bindings} <= queues


def test_every_queue_says_its_type_and_uses_portable_arguments_only(topology: Topology) -> None:
    for each in topology.queues:
        assert each.arguments["x-queue-type"] in {"classic", "quorum"}
        assert set(each.arguments) <= PORTABLE_ARGUMENTS


def test_nothing_but_a_delay_expires_and_nothing_drops_its_oldest(topology: Topology) -> None:
    for each in topology.queues:
        assert ("x-message-ttl" in each.arguments) == each.name.startswith("delay.")
        assert each.arguments.get("x-overflow", "reject-publish") == "reject-publish"


def test_dead_lettering_is_at_least_once_and_ends_in_a_queue(topology: Topology) -> None:
    for each in topology.queues:
        if "x-dead-letter-exchange" not in each.arguments:
            continue
        assert each.arguments["x-queue-type"] == "quorum"
        assert each.arguments["x-dead-letter-strategy"] == "at-least-once"
        assert each.arguments["x-overflow"] == "reject-publish"
        known_keys = keys(topology, str(each.arguments["x-dead-letter-exchange"]))
        assert each.arguments.get("x-dead-letter-routing-key", names.LANES[0]) in known_keys


@pytest.mark.parametrize("lane", ["critical", "transactional", "standard", "bulk"])
def test_a_lane_is_a_classic_queue_with_priorities_up_to_4(topology: Topology, lane: str) -> None:
    assert queue(topology, f"email.{lane}").arguments == {"x-queue-type": "classic", "x-max-priority": 4}


@pytest.mark.parametrize(
    "name",
    ["email.dead", "email.held", "email.requeue", "email.rejected", "unrouted", "provider_event"],
)
def test_what_a_person_looks_at_is_kept(topology: Topology, name: str) -> None:
    assert queue(topology, name).arguments == {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}


@pytest.mark.parametrize("name", ["email.ingest", "email.ingest.critical"])
def test_poison_in_ingest_is_set_aside(topology: Topology, name: str) -> None:
    arguments = queue(topology, name).arguments
    assert arguments["x-delivery-limit"] == 20
    assert arguments["x-dead-letter-routing-key"] == "rejected"


def test_a_delay_step_is_a_fanout_exchange_and_a_queue_that_keeps_the_lane(topology: Topology) -> None:
    exchange = next(exchange for exchange in topology.exchanges if exchange.name == "delay.15m")
    assert exchange.type == ExchangeType.FANOUT
    assert keys(topology, "delay.15m") == {"": "delay.15m"}
    arguments = queue(topology, "delay.15m").arguments
    assert arguments["x-message-ttl"] == 15 * 60 * 1000
    assert "x-dead-letter-routing-key" not in arguments
    assert arguments["x-dead-letter-exchange"] == "email.due"


def test_what_is_due_reaches_the_lanes_and_nothing_else(topology: Topology) -> None:
    assert keys(topology, "email.due") == {lane: f"email.{lane}" for lane in names.LANES}


def test_private_publishes_reach_exactly_these_queues(topology: Topology) -> None:
    assert keys(topology, "email") == {
        "critical": "email.critical",
        "transactional": "email.transactional",
        "standard": "email.standard",
        "bulk": "email.bulk",
        "dead": "email.dead",
        "held": "email.held",
        "rejected": "email.rejected",
        "provider_event": "provider_event",
    }


def test_a_tenant_has_queues_of_its_own_like_those_of_the_lanes(topology: Topology) -> None:
    more = with_tenants(topology, keys=["bulk.acme", "bulk"])
    assert len(more.queues) == len(topology.queues) + 1
    assert queue(more, "email.bulk.acme").arguments == queue(more, "email.bulk").arguments
    for exchange in ("email", "email.due"):
        assert keys(more, exchange) == {**keys(topology, exchange), "bulk.acme": "email.bulk.acme"}


def test_an_unroutable_private_publish_is_caught_by_no_alternate_exchange(topology: Topology) -> None:
    alternates = {
        exchange.name: exchange.arguments.get("alternate-exchange") for exchange in topology.exchanges
    }
    assert {name: alternate for name, alternate in alternates.items() if alternate} == {
        "email.due": "unrouted",
        "email.ingest": "unrouted",
    }


def test_services_reach_ingest_by_lane(topology: Topology) -> None:
    assert keys(topology, "email.ingest") == {
        "critical.#": "email.ingest.critical",
        "transactional.#": "email.ingest",
        "standard.#": "email.ingest",
        "bulk.#": "email.ingest",
    }


def test_the_steps_of_a_schedule_replace_the_usual_ones_in_order_and_once() -> None:
    topology = postroom_topology(delay_steps=["10m", "2s", "10m"])
    assert [queue.name for queue in topology.queues if queue.name.startswith("delay.")] == [
        "delay.2s",
        "delay.10m",
    ]


def test_a_step_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="'soon'"):
        postroom_topology(delay_steps=["1s", "soon"])
