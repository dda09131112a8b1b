from consumers.lane_heads import look_within
from delivery.domain.lanes import Lane
from delivery.domain.tenants import MOST_TENANTS


def test_the_more_queues_are_looked_at_the_longer_a_look_may_take() -> None:
    times = [look_within(queues) for queues in (0, len(Lane), MOST_TENANTS * len(Lane))]
    assert times == sorted(set(times))
