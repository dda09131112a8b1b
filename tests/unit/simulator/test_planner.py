from collections import Counter
from random import Random

import pytest

from simulator.durations import Duration, fixed
from simulator.faults import Faults
from simulator.planner import Planner
from simulator.plans import Plan
from simulator.tag_parser import parse_recipient


def planner_of(faults: Faults) -> Planner:
    return Planner(faults=faults, random=Random(1))


def answers(planner: Planner, recipient: str, *, request_id: str = "a", times: int = 3) -> list[str]:
    tags = parse_recipient(recipient)
    return [planner.plan(request_id=request_id, tags=tags).answer.name for _ in range(times)]


def test_a_healthy_provider_accepts_and_delivers() -> None:
    assert planner_of(Faults()).plan(request_id="a", tags=()) == Plan(webhook_delay=0.1)


def test_a_counted_tag_hits_the_first_submissions_of_an_email() -> None:
    assert answers(planner_of(Faults()), "fault+error.2@example.com") == ["error", "error", "accepted"]


def test_each_email_is_counted_for_itself() -> None:
    planner = planner_of(Faults())
    assert answers(planner, "fault+hang.1@example.com", request_id="a", times=2) == ["hang", "accepted"]
    assert answers(planner, "fault+hang.1@example.com", request_id="b", times=2) == ["hang", "accepted"]


def test_forgetting_starts_the_count_anew() -> None:
    planner = planner_of(Faults())
    answers(planner, "fault+503.1@example.com")
    planner.forget()
    assert answers(planner, "fault+503.1@example.com", times=1) == ["503"]


def test_several_tags_work_together() -> None:
    plan = planner_of(Faults()).plan(
        request_id="a", tags=parse_recipient("fault+slow.2+webhook-dup.3+webhook-failed@example.com")
    )
    assert (plan.latency, plan.copies, plan.reports) == (2, 3, ("FAILED",))


def test_rates_hit_their_share_of_the_emails() -> None:
    planner = planner_of(Faults(error_rate=0.2, rates={"hang": 0.1, "429": 0.3}))
    drawn = Counter(planner.plan(request_id=str(i), tags=()).answer.name for i in range(10_000))
    shares = {name: count / 10_000 for name, count in drawn.items()}
    assert shares == pytest.approx({"error": 0.2, "hang": 0.1, "429": 0.3, "accepted": 0.4}, abs=0.02)


def test_rates_of_different_axes_hit_the_same_email() -> None:
    planner = planner_of(Faults(error_rate=1, rates={"webhook-lost": 1, "slow.3": 1}))
    plan = planner.plan(request_id="a", tags=())
    assert (plan.answer.name, plan.copies, plan.latency) == ("error", 0, 3)


def test_on_its_axis_a_tag_outdoes_the_rates() -> None:
    planner = planner_of(Faults(error_rate=1, rates={"webhook-lost": 1}))
    plan = planner.plan(request_id="a", tags=parse_recipient("fault+hang@example.com"))
    assert (plan.answer.name, plan.copies) == ("hang", 0)


def test_a_tag_that_has_worn_off_still_outdoes_the_rates() -> None:
    planner = planner_of(Faults(error_rate=1))
    assert answers(planner, "fault+503.1@example.com", times=2) == ["503", "accepted"]


def test_a_slow_email_takes_its_own_time_instead_of_the_latency() -> None:
    planner = planner_of(Faults(latency=fixed(1)))
    assert planner.plan(request_id="a", tags=()).latency == 1
    assert planner.plan(request_id="a", tags=parse_recipient("fault+slow.2@example.com")).latency == 2


def test_new_settings_count_from_the_next_submission() -> None:
    planner = planner_of(Faults(error_rate=1))
    planner.follow(Faults())
    assert answers(planner, "anna@example.com", times=1) == ["accepted"]


def test_the_same_seed_draws_the_same() -> None:
    faults = Faults(
        latency=Duration("uniform", (0, 1)),
        error_rate=0.5,
        rates={"webhook-lost": 0.5, "webhook-late.5": 0.5},
    )
    first, second = (
        [planner.plan(request_id=str(i), tags=()) for i in range(50)]
        for planner in (planner_of(faults), planner_of(faults))
    )
    assert first == second
