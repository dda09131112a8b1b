from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedTo, Written
from delivery.domain.states import State
from delivery.domain.waiting import EXPIRED, OVERDUE, Over, Waiting
from delivery.domain.watermarks import Way
from delivery.use_cases.end_overdue import BATCH, EndOverdue
from tests.unit.delivery.builders import NOW, owed_email, policy, seconds

MAX_WAIT = timedelta(minutes=5)
LANES = {lane: policy(max_wait=MAX_WAIT) for lane in Lane}
STANDARD = Way(Lane.STANDARD, 1)


class Emails:
    """Lanes in memory; what has ended waits no more. elsewhere: what a report moved meanwhile."""

    def __init__(self, *waiting: Waiting, way: Way = STANDARD) -> None:
        self.waits = {way: list(waiting)}
        self.ended: dict[str, Over] = {}
        self.elsewhere: set[str] = set()
        self.looked_at = 0

    def waiting(
        self, way: Way, *, since: datetime | None, skip: int, now: datetime, limit: int
    ) -> list[Waiting]:
        found = [email for email in self.waits.get(way, []) if since is None or email.came_at >= since]
        found = sorted(found, key=lambda email: email.came_at)[skip : skip + limit]
        self.looked_at += len(found)
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


def test_what_has_waited_too_long_dies_what_has_expired_ends_and_the_rest_waits_on() -> None:
    emails = Emails(
        _waiting("overdue", waited=301), _waiting("expired", expires_in=0), _waiting("patient", waited=299)
    )
    ended = EndOverdue(emails=emails, lanes=LANES)(now=NOW)
    assert emails.ended == {"overdue": OVERDUE, "expired": EXPIRED}
    assert [owed.email_id for owed in ended.owed] == ["overdue"]
    assert {(told.email_id, told.lane, told.state) for told in ended.happened} == {
        ("overdue", Lane.STANDARD, State.DEAD),
        ("expired", Lane.STANDARD, State.EXPIRED),
    }


def test_each_lane_has_its_own_patience() -> None:
    lanes = {**LANES, Lane.BULK: policy(max_wait=MAX_WAIT * 2)}
    emails = Emails(_waiting("a", waited=400), way=Way(Lane.BULK, 0))
    EndOverdue(emails=emails, lanes=lanes)(now=NOW)
    assert emails.ended == {}


def test_nothing_is_told_of_an_email_that_was_elsewhere_by_then() -> None:
    emails = Emails(_waiting("a", waited=301), _waiting("b", waited=301))
    emails.elsewhere = {"a"}
    ended = EndOverdue(emails=emails, lanes=LANES)(now=NOW)
    assert [told.email_id for told in ended.happened] == ["b"]


def test_a_backlog_is_looked_at_batch_by_batch_and_then_again() -> None:
    emails = Emails(*(_waiting(str(number), came=number) for number in range(BATCH + 10)))
    end_overdue = EndOverdue(emails=emails, lanes=LANES)
    looked_at = []
    for _ in range(4):
        end_overdue(now=NOW)
        looked_at.append(emails.looked_at)
    assert looked_at == [BATCH, BATCH + 10, 2 * BATCH + 10, 2 * BATCH + 20]


def test_however_many_came_at_the_same_time_each_is_looked_at() -> None:
    same = [_waiting(f"{number:05}") for number in range(3 * BATCH)]
    late = replace(_waiting("last", waited=301), came_at=NOW)
    emails = Emails(*same, late)
    end_overdue = EndOverdue(emails=emails, lanes=LANES)
    for _ in range(4):
        end_overdue(now=NOW)
    assert emails.ended == {"last": OVERDUE}


def test_a_whole_backlog_that_is_over_its_time_ends_in_as_many_turns_as_it_has_batches() -> None:
    for came in (0.0, 1.0):  # all at the same time, or one after the other
        backlog = (_waiting(str(number), waited=400, came=came * number) for number in range(3 * BATCH))
        emails = Emails(*backlog)
        end_overdue = EndOverdue(emails=emails, lanes=LANES)
        for _ in range(3):
            end_overdue(now=NOW)
        assert len(emails.ended) == 3 * BATCH
