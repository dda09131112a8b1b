from delivery.domain.states import State
from tests.chaos.oracle import judge
from tests.chaos.report import rows, table
from tests.unit.chaos.builders import SOON, call, left_behind, resent, stored


def test_every_email_is_counted_once() -> None:
    counted = rows(left_behind(stored(fault="hang"), calls=(call(accepted=False), call())))["hang"]
    assert (counted.accepted, counted.unanswered, counted.calls) == (1, 0, 2)
    assert (counted.ends, counted.waiting.total(), counted.twice) == ({"delivered": 1}, 0, [])


def test_an_email_whose_caller_heard_nothing_is_counted_apart() -> None:
    counted = rows(left_behind(stored(), calls=(call(),), accepted=frozenset()))["none"]
    assert (counted.accepted, counted.unanswered) == (0, 1)


def test_a_waiting_email_is_counted_with_what_it_waits_for() -> None:
    counted = rows(left_behind(stored(State.UNCONFIRMED, question={"decide_at": SOON})))["none"]
    assert (counted.ends.total(), counted.waiting) == (0, {"unconfirmed: its policy decides": 1})


def test_the_report_names_what_the_policy_sent_twice() -> None:
    evidence = left_behind(resent(lane="critical", fault="504-then-accept"), calls=(call(), call()))
    named = "504-then-accept, accepted more than once (and resent by policy): email-1 x2 (1)"
    assert named in table("no kill", evidence, judge(evidence))


def test_the_report_says_that_the_sum_is_right_and_what_is_not() -> None:
    evidence = left_behind(stored(), stored(State.QUEUED, _id="email-2"), calls=(call(),))
    told = table("no kill", evidence, judge(evidence))
    assert "2 accepted + 0 unanswered = 1 ended + 1 waiting" in told
    assert "broken promises: 1\n  neither ended nor is anything to come: email-2" in told
