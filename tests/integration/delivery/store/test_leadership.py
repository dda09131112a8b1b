from concurrent.futures import ThreadPoolExecutor

from tests.integration.delivery.store.conftest import Store
from tests.unit.delivery.builders import NOW, seconds

TTL = seconds(30)


def test_one_owner_at_a_time_leads_and_may_go_on_leading(postroom: Store) -> None:
    one, other = postroom.leadership("one"), postroom.leadership("other")
    assert one.hold("relay", now=NOW, ttl=TTL)
    assert not other.hold("relay", now=NOW, ttl=TTL)
    assert one.hold("relay", now=NOW + seconds(29), ttl=TTL)
    assert not other.hold("relay", now=NOW + seconds(31), ttl=TTL)


def test_another_takes_over_once_the_lease_is_over(postroom: Store) -> None:
    one, other = postroom.leadership("one"), postroom.leadership("other")
    one.hold("relay", now=NOW, ttl=TTL)
    assert not other.hold("relay", now=NOW + TTL, ttl=TTL)
    assert other.hold("relay", now=NOW + TTL + seconds(1), ttl=TTL)
    assert not one.hold("relay", now=NOW + TTL + seconds(2), ttl=TTL)


def test_each_loop_has_a_leader_of_its_own(postroom: Store) -> None:
    assert postroom.leadership("one").hold("relay", now=NOW, ttl=TTL)
    assert postroom.leadership("other").hold("reconciler", now=NOW, ttl=TTL)


def test_who_gives_it_up_need_not_be_waited_for(postroom: Store) -> None:
    one, other = postroom.leadership("one"), postroom.leadership("other")
    one.hold("relay", now=NOW, ttl=TTL)
    other.release("relay")
    assert not other.hold("relay", now=NOW, ttl=TTL)
    one.release("relay")
    assert other.hold("relay", now=NOW, ttl=TTL)


def test_of_many_that_begin_together_one_leads(postroom: Store) -> None:
    leaders = [postroom.leadership(str(number)) for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        held = list(threads.map(lambda leader: leader.hold("relay", now=NOW, ttl=TTL), leaders))
    assert held.count(True) == 1
