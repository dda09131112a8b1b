from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedTo, Written
from delivery.domain.states import State
from delivery.domain.waiting import EXPIRED, OVERDUE, Over, Waiting
from delivery.domain.watermarks import Way, ways_of
from delivery.use_cases.end_overdue import BATCH, Ended, EndOverdue
from tests.unit.delivery.builders import NOW, owed_email, policy, seconds

MAX_WAIT = timedelta(minutes=5)
LANES = {lane: policy(max_wait=MAX_WAIT) for lane in Lane}
AWAY_SINCE = NOW - timedelta(days=1)
STANDARD = Way(Lane.STANDARD, 1)
WAYS = ways_of(["default"])


class Emails:
    """Lanes in memory; what has ended waits no more. elsewhere: what a report moved meanwhile."""

    def __init__(self, *waiting: Waiting, way: Way = STANDARD) -> None:
        self.waits = {way: list(waiting)}
        self.ended: dict[str, Over] = {}
        self.elsewhere: set[str] = set()
        self.looked_at: set[str] = set()
        self.most_at_once = 0

    def waiting(
        self, way: Way, *, since: datetime | None, until: datetime, skip: int, limit: int
    ) -> list[Waiting]:
        waits = sorted(self.waits.get(way, []), key=lambda email: email.came_at)
        found = [email for email in waits if (since is None or email.came_at >= since)]
        found = [email for email in found if email.came_at <= until][skip : skip + limit]
        self.looked_at |= {email.email_id for email in found}
        self.most_at_once = max(self.most_at_once, len(found))
        return found

    def end(self, emails: Sequence[Waiting], over: Over, *, now: datetime) -> Written:
        moved = {email.email_id for email in emails} - self.elsewhere
        self.ended |= dict.fromkeys(moved, over)
        for way, waits in self.waits.items():
            self.waits[way] = [email for email in waits if email not in emails]
        owing = sorted(moved) if over.owed else []
        return Written(
            moved=frozenset(moved),
            owed=[owed_email(email_id=email_id, to=OwedTo.DEAD) for email_id in owing],
        )


def _waiting(
    email_id: str, *, waited: float = 0, expires_in: float | None = None, came: float = 0
) -> Waiting:
    return Waiting(
        email_id=email_id,
        tenant_id="default",
        gen=1,
        came_at=NOW + seconds(came),
        waiting_since=NOW - seconds(waited),
        expires_at=None if expires_in is None else NOW + seconds(expires_in),
    )


def _go_round(emails: Emails, *, turns: int = 100) -> Ended:
    """So many turns, each a second after the last; all that ended."""
    end_overdue, all_ended = EndOverdue(emails=emails, lanes=LANES), Ended()
    for turn in range(turns):
        ended = end_overdue(WAYS, away_since=AWAY_SINCE, now=NOW + seconds(turn * 0.001))
        all_ended.owed += ended.owed
        all_ended.happened += ended.happened
    return all_ended


def test_what_has_waited_too_long_dies_what_has_expired_ends_and_the_rest_waits_on() -> None:
    emails = Emails(
        _waiting("overdue", waited=301, came=-301),
        _waiting("overdue retry", waited=301, came=-100),
        _waiting("expired", expires_in=0, came=-7),
        _waiting("patient", waited=290, came=-290),
        _waiting("fresh"),
    )
    ended = _go_round(emails, turns=10)
    assert emails.ended == {"overdue": OVERDUE, "overdue retry": OVERDUE, "expired": EXPIRED}
    assert {owed.email_id for owed in ended.owed} == {"overdue", "overdue retry"}
    assert {(told.email_id, told.lane, told.state) for told in ended.happened} == {
        ("overdue", Lane.STANDARD, State.DEAD),
        ("overdue retry", Lane.STANDARD, State.DEAD),
        ("expired", Lane.STANDARD, State.EXPIRED),
    }


def test_what_came_before_its_lanes_wait_began_ends_in_the_first_turn() -> None:
    emails = Emails(_waiting("a", waited=301, came=-301))
    _go_round(emails, turns=1)
    assert emails.ended == {"a": OVERDUE}


@pytest.mark.parametrize(("away_for", "ends"), [(299, False), (301, True)])
def test_what_had_waited_for_us_before_has_all_its_lanes_wait_from_then_on(
    away_for: float, ends: bool
) -> None:
    emails = Emails(_waiting("a", waited=9000, came=-9000))
    EndOverdue(emails=emails, lanes=LANES)(WAYS, away_since=NOW - seconds(away_for), now=NOW)
    assert bool(emails.ended) is ends


def test_what_is_not_over_its_time_yet_is_looked_at_again_and_again() -> None:
    emails = Emails(_waiting("overdue"), _waiting("expired", expires_in=100))
    end_overdue = EndOverdue(emails=emails, lanes=LANES)
    ended = []
    for second in range(330):
        if end_overdue(WAYS, away_since=AWAY_SINCE, now=NOW + seconds(second)).happened:
            ended.append(second)
    assert emails.ended == {"overdue": OVERDUE, "expired": EXPIRED}
    assert all(late in range(10) for late in (ended[0] - 100, ended[1] - 300))


def test_each_lane_has_its_own_patience() -> None:
    emails = Emails(_waiting("a", waited=400, came=-400), way=Way(Lane.BULK, 0))
    end_overdue = EndOverdue(emails=emails, lanes={**LANES, Lane.BULK: policy(max_wait=MAX_WAIT * 2)})
    for _ in range(20):
        end_overdue(WAYS, away_since=AWAY_SINCE, now=NOW)
    assert emails.looked_at == {"a"}
    assert emails.ended == {}


def test_nothing_is_told_of_an_email_that_was_elsewhere_by_then() -> None:
    emails = Emails(_waiting("a", waited=301, came=-301), _waiting("b", waited=301, came=-301))
    emails.elsewhere = {"a"}
    assert [told.email_id for told in _go_round(emails, turns=1).happened] == ["b"]


@settings(max_examples=25)
@given(st.lists(st.integers(0, 400), max_size=40), st.integers(1, 3))
def test_every_email_is_looked_at_however_they_came_and_never_many_at_once(
    bursts: list[int], rounds: int
) -> None:
    """Bursts of a thousand at the same moment among single ones."""
    came = [-at for at in bursts] + [-bursts[0]] * 1000 * rounds if bursts else []
    emails = Emails(*(_waiting(str(number), came=at) for number, at in enumerate(came)))
    _go_round(emails)
    assert emails.looked_at == {str(number) for number in range(len(came))}
    assert emails.most_at_once <= BATCH
    assert emails.ended == {}


def test_a_whole_backlog_that_is_over_its_time_ends_in_as_many_turns_as_it_has_batches() -> None:
    for apart in (0.0, 1.0):  # all at the same time, or one after the other
        backlog = (
            _waiting(str(number), waited=9000, came=-5000 + apart * number) for number in range(3 * BATCH)
        )
        emails = Emails(*backlog)
        _go_round(emails, turns=3)
        assert len(emails.ended) == 3 * BATCH
