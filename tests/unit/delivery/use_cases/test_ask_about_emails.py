import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from delivery.domain.call_budget import CallBudget
from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedTo, Written
from delivery.domain.questions import About
from delivery.domain.states import State
from delivery.domain.unknowns import Found, Questionable, Verdict
from delivery.use_cases.ask_about_emails import LONGEST_HESITATION, Asked, LookUp, ask_about_emails
from tests.unit.delivery.builders import CHECKS, NOW, overdue, owed_email, policy, seconds, unconfirmed

LANES = {lane: policy(5) for lane in Lane}
LATE = NOW + timedelta(minutes=5)
"""Late enough for "never seen" to count."""


class World:
    """Store, budget and provider in one, and a clock that the test moves.

    ``left``: how many calls the budget allows. ``answers``: by email id; else it can't tell.
    """

    def __init__(
        self, *due: Questionable, left: int = 100, answers: Mapping[str, LookUp | Found] | None = None
    ) -> None:
        self.open = list(due)
        self.left = left
        self.answers = answers or {}
        self.now = LATE
        self.budget_takes = seconds(0)
        self.answer_takes = seconds(0)
        self.asked: list[str] = []
        self.looked: list[tuple[About, Lane, int]] = []
        self.budgets: list[tuple[str, CallBudget]] = []
        self.paused: list[tuple[str, datetime]] = []
        self.concluded: list[tuple[str, Verdict]] = []
        self.elsewhere: set[str] = set()

    def clock(self) -> datetime:
        return self.now

    def due(self, about: About, lane: Lane, *, now: datetime, limit: int) -> list[Questionable]:
        assert limit > 0
        self.looked.append((about, lane, limit))
        fitting = [email for email in self.open if (email.question.about, email.lane) == (about, lane)]
        return fitting[:limit]

    def conclude(self, verdicts: Sequence[tuple[Questionable, Verdict]]) -> Written:
        self.concluded += [(email.email_id, verdict) for email, verdict in verdicts]
        moved = [(email, verdict) for email, verdict in verdicts if email.email_id not in self.elsewhere]
        return Written(
            moved=frozenset(email.email_id for email, verdict in moved if verdict.state is not None),
            owed=[
                owed_email(email_id=email.email_id, gen=email.gen + 1, to=verdict.owed)
                for email, verdict in moved
                if verdict.owed
            ],
        )

    def take(self, provider: str, wanted: int, *, budget: CallBudget, now: datetime) -> int:
        assert now == self.now
        self.budgets.append((provider, budget))
        self.now += self.budget_takes
        allowed = min(wanted, self.left)
        self.left -= allowed
        return allowed

    def pause(self, provider: str, *, until: datetime) -> None:
        self.paused.append((provider, until))

    async def look_up(self, email_id: str) -> LookUp:
        self.asked.append(email_id)
        if len(self.asked) == 1:
            self.now += self.answer_takes
        answer = self.answers.get(email_id, Found.CANT_TELL)
        return answer if isinstance(answer, LookUp) else LookUp(answer)

    def ask(self, calls_per_minute: int = 600) -> Asked:
        return asyncio.run(
            ask_about_emails(
                provider_name="mail-delivery-service",
                provider=self,
                questions=self,
                budgets=self,
                lanes=LANES,
                policy=replace(CHECKS, calls_per_minute=calls_per_minute),
                clock=self.clock,
            )
        )


def emails(count: int, **changes: object) -> list[Questionable]:
    return [unconfirmed(email_id=f"{number:03}", **changes) for number in range(count)]


def test_what_the_provider_says_is_concluded_and_told() -> None:
    world = World(unconfirmed(email_id="a", lane=Lane.BULK), answers={"a": Found.DELIVERED})
    asked = world.ask()
    assert asked.asked == 1
    assert [(email_id, verdict.state) for email_id, verdict in world.concluded] == [("a", State.DELIVERED)]
    assert asked.happened == [
        Happening(tenant_id="default", email_id="a", lane=Lane.BULK, state=State.DELIVERED, at=LATE)
    ]
    assert (asked.owed, asked.pause) == ([], None)


def test_what_was_settled_while_it_was_asked_about_is_not_told_again() -> None:
    world = World(
        unconfirmed(email_id="a"), unconfirmed(email_id="b"), answers=dict.fromkeys("ab", Found.DELIVERED)
    )
    world.elsewhere = {"a"}
    assert [happening.email_id for happening in world.ask().happened] == ["b"]


def test_what_is_to_be_sent_again_is_owed() -> None:
    world = World(unconfirmed(email_id="a"), answers={"a": Found.NEVER_SEEN})
    assert [(debt.email_id, debt.to) for debt in world.ask().owed] == [("a", OwedTo.LANE)]


def test_no_news_is_concluded_but_nothing_happened() -> None:
    world = World(unconfirmed(email_id="a"))
    asked = world.ask()
    assert (asked.asked, asked.happened) == (1, [])
    ((_, verdict),) = world.concluded
    assert (verdict.state, verdict.checks) == (None, 1)


def test_unknown_outcomes_go_before_overdue_reports_and_urgent_lanes_before_others() -> None:
    due = [
        make(email_id=f"{make.__name__} {lane}", lane=lane)
        for lane in reversed(Lane)
        for make in (overdue, unconfirmed)
    ]
    world = World(*due)
    world.ask()
    order = [f"{about} {lane}" for about in ("unconfirmed", "overdue") for lane in Lane]
    assert world.asked == order


def test_no_more_are_fetched_than_may_be_asked_at_once() -> None:
    world = World(*emails(100, lane=Lane.STANDARD))
    world.ask(calls_per_minute=60)
    assert world.asked == ["000", "001", "002"]
    outcome = About.OUTCOME
    assert world.looked == [
        (outcome, Lane.CRITICAL, 3),
        (outcome, Lane.TRANSACTIONAL, 3),
        (outcome, Lane.STANDARD, 3),
    ]


def test_what_the_budget_does_not_allow_is_not_asked_and_stays_due() -> None:
    world = World(*emails(10), left=4)
    assert world.ask().asked == 4
    assert world.asked == ["000", "001", "002", "003"]
    assert [email_id for email_id, _ in world.concluded] == world.asked
    assert world.ask().asked == 0


def test_the_budget_is_that_of_the_provider() -> None:
    world = World(*emails(1))
    world.ask(calls_per_minute=600)
    assert world.budgets == [("mail-delivery-service", CallBudget(600))]


def test_nothing_due_spends_nothing() -> None:
    world = World()
    assert world.ask() == Asked()
    assert (world.budgets, world.asked) == ([], [])


def test_a_provider_that_wants_to_be_left_alone_is_from_when_it_said_so() -> None:
    refusal = LookUp(Found.CANT_TELL, pause=seconds(60))
    world = World(*emails(2), answers={"000": refusal, "001": replace(refusal, pause=seconds(90))})
    world.answer_takes = seconds(7)
    asked = world.ask()
    assert asked.pause == seconds(90)
    assert world.paused == [("mail-delivery-service", LATE + seconds(7 + 90))]
    assert [verdict.state for _, verdict in world.concluded] == [None, None]


def test_an_answer_counts_from_when_it_was_asked_for() -> None:
    """The provider may have accepted it while its answer was on the way."""
    email = unconfirmed(email_id="a", ended_at=LATE - CHECKS.late_accept + seconds(1))
    world = World(email, answers={"a": Found.NEVER_SEEN})
    world.answer_takes = seconds(10)
    world.ask()
    assert [verdict.state for _, verdict in world.concluded] == [None]


def test_a_process_that_slept_after_it_was_allowed_to_ask_does_not_ask() -> None:
    world = World(*emails(3))
    world.budget_takes = LONGEST_HESITATION + timedelta(microseconds=1)
    assert world.ask() == Asked()
    assert (world.asked, world.concluded) == ([], [])


def test_a_store_that_takes_its_time_does_not_keep_it_from_asking() -> None:
    world = World(*emails(3))
    world.budget_takes = LONGEST_HESITATION
    assert world.ask().asked == 3
