from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

import pytest

from delivery.domain.emails import ClaimedEmail, Standing
from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane
from delivery.domain.states import CLAIMABLE, REVIVABLE, State
from delivery.use_cases.claim_emails import ClaimResult, Stray, claim_emails
from delivery.use_cases.messages import EmailMessage
from tests.unit.delivery.builders import NOW, claimed, seconds, standing

UNTIL = NOW + seconds(45)


class Store:
    """Emails by where they stand. ``claim`` wins what is waiting, due and of the right generation."""

    def __init__(self, *standings: Standing) -> None:
        self.emails = {email.email_id: email for email in standings}
        self.claims: list[tuple[list[str], int]] = []
        self.looked_up: list[set[str]] = []
        self.expired: list[str] = []
        self.elsewhere: set[str] = set()

    def claim(
        self, email_ids: Sequence[str], *, gen: int, token: str, until: datetime, now: datetime
    ) -> list[ClaimedEmail]:
        assert (token, until, now) == ("token", UNTIL, NOW)
        self.claims.append((list(email_ids), gen))
        won = []
        for email_id in dict.fromkeys(email_ids):
            email = self.emails.get(email_id)
            if email and email.gen == gen and self._can_be_claimed(email):
                won.append(claimed(email_id=email_id, gen=gen))
                self.emails[email_id] = replace(email, state=State.SUBMITTING)
        return won

    def expire(self, email_ids: Sequence[str], *, now: datetime) -> list[str]:
        self.expired += email_ids
        return [email_id for email_id in email_ids if email_id not in self.elsewhere]

    def standings(self, email_ids: Iterable[str]) -> dict[str, Standing]:
        wanted = set(email_ids)
        self.looked_up.append(wanted)
        return {email_id: self.emails[email_id] for email_id in wanted & self.emails.keys()}

    def _can_be_claimed(self, email: Standing) -> bool:
        is_over = email.expires_at is not None and email.expires_at <= NOW
        return email.state in CLAIMABLE and email.due_at <= NOW and not is_over


def _claim(store: Store, *messages: tuple[str, int]) -> ClaimResult:
    return claim_emails(
        [EmailMessage(*message) for message in messages],
        claims=store,
        emails=store,
        token="token",
        until=UNTIL,
        now=NOW,
    )


def _strays(result: ClaimResult) -> list[tuple[str, int, Stray]]:
    return [(message.email_id, message.gen, stray) for message, stray, _ in result.strays]


def test_what_waits_and_is_due_is_won() -> None:
    result = _claim(Store(standing(email_id="a"), standing(email_id="b")), ("a", 1), ("b", 1))
    assert result.won.keys() == {"a", "b"}
    assert result.strays == []


def test_a_generation_is_claimed_in_one_call_and_winners_are_not_looked_up() -> None:
    store = Store(standing(email_id="a"), standing(email_id="b"), standing(email_id="c", gen=2))
    _claim(store, ("a", 1), ("c", 2), ("b", 1))
    assert store.claims == [(["a", "b"], 1), (["c"], 2)]
    assert store.looked_up == []


def test_losers_are_looked_up_together() -> None:
    store = Store(standing(email_id="a"), standing(email_id="b", gen=2), standing(email_id="c", gen=2))
    _claim(store, ("a", 1), ("b", 1), ("c", 1))
    assert store.looked_up == [{"b", "c"}]


def test_a_message_of_an_email_that_is_gone_is_stale() -> None:
    assert _strays(_claim(Store(), ("a", 1))) == [("a", 1, Stray.STALE)]


@pytest.mark.parametrize("gen", [1, 3])
def test_a_message_of_another_generation_is_stale(gen: int) -> None:
    assert _strays(_claim(Store(standing(email_id="a", gen=2)), ("a", gen))) == [("a", gen, Stray.STALE)]


@pytest.mark.parametrize("state", [state for state in State if state not in CLAIMABLE | REVIVABLE])
def test_a_message_of_an_email_that_waits_no_more_is_stale(state: State) -> None:
    assert _strays(_claim(Store(standing(email_id="a", state=state)), ("a", 1))) == [("a", 1, Stray.STALE)]


@pytest.mark.parametrize("state", sorted(REVIVABLE))
def test_a_parked_emails_own_letter_in_a_lane_is_a_letter(state: State) -> None:
    assert _strays(_claim(Store(standing(email_id="a", state=state)), ("a", 1))) == [("a", 1, Stray.LETTER)]


@pytest.mark.parametrize("state", sorted(REVIVABLE))
def test_an_older_message_of_a_parked_email_is_no_letter(state: State) -> None:
    store = Store(standing(email_id="a", state=state, gen=2))
    assert _strays(_claim(store, ("a", 1))) == [("a", 1, Stray.STALE)]


@pytest.mark.parametrize("state", sorted(CLAIMABLE))
def test_what_is_only_early_is_told_so_with_where_it_stands(state: State) -> None:
    early = standing(email_id="a", state=state, due_at=NOW + seconds(1))
    result = _claim(Store(early), ("a", 1))
    assert result.strays == [(EmailMessage("a", 1), Stray.EARLY, early)]


@pytest.mark.parametrize("state", sorted(CLAIMABLE))
@pytest.mark.parametrize("due_in", [0.0, 60.0])
def test_what_has_expired_is_ended(state: State, due_in: float) -> None:
    store = Store(standing(email_id="a", state=state, expires_at=NOW, due_at=NOW + seconds(due_in)))
    assert _strays(_claim(store, ("a", 1))) == [("a", 1, Stray.EXPIRED)]
    assert store.expired == ["a"]


def test_what_ended_is_told_but_not_what_was_elsewhere_by_then() -> None:
    store = Store(*(standing(email_id=name, lane=Lane.BULK, expires_at=NOW) for name in "ab"))
    store.elsewhere = {"b"}
    assert _claim(store, ("a", 1), ("b", 1)).happened == [
        Happening(tenant_id="default", email_id="a", lane=Lane.BULK, state=State.EXPIRED, at=NOW)
    ]


def test_only_what_has_expired_is_ended() -> None:
    store = Store(standing(email_id="a", state=State.DEAD), standing(email_id="b", due_at=UNTIL))
    _claim(store, ("a", 1), ("b", 1), ("c", 1))
    assert store.expired == []


def test_of_two_equal_messages_in_one_batch_one_wins_and_the_other_is_stale() -> None:
    result = _claim(Store(standing(email_id="a")), ("a", 1), ("a", 1))
    assert result.won.keys() == {"a"}
    assert _strays(result) == [("a", 1, Stray.STALE)]


@pytest.mark.parametrize("order", [[1, 2], [2, 1]])
def test_of_two_generations_in_one_batch_only_the_emails_own_wins(order: list[int]) -> None:
    result = _claim(Store(standing(email_id="a", gen=2)), *(("a", gen) for gen in order))
    assert result.won["a"].gen == 2
    assert _strays(result) == [("a", 1, Stray.STALE)]


def test_every_message_is_accounted_for_exactly_once() -> None:
    store = Store(
        standing(email_id="a"),
        standing(email_id="b", gen=2),
        standing(email_id="c", state=State.DEAD),
        standing(email_id="d", due_at=UNTIL),
        standing(email_id="e", expires_at=NOW),
    )
    messages = [(email_id, gen) for email_id in "abcdef" for gen in (1, 2, 1)]
    result = _claim(store, *messages)
    assert len(result.won) + len(result.strays) == len(messages)
