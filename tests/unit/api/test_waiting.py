import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from api.waiting import OutcomeWaits, Waited
from delivery.domain.emails import Standing
from delivery.domain.errors import StoreUnavailable
from delivery.domain.states import ANSWERED, State
from tests.harness.deadline import wait_until
from tests.unit.delivery.builders import standing

LONG = timedelta(seconds=60)


class Emails:
    """Where emails stand; every question is remembered."""

    def __init__(self) -> None:
        self.states: dict[str, State] = {}
        self.questions: list[set[str]] = []
        self.error: Exception | None = None

    def standings(self, email_ids: Iterable[str]) -> dict[str, Standing]:
        wanted = set(email_ids)
        self.questions.append(wanted)
        if self.error is not None:
            raise self.error
        return {
            email_id: standing(email_id=email_id, state=self.states[email_id])
            for email_id in wanted & self.states.keys()
        }

    def wait_for_question(self, *email_ids: str) -> None:
        wait_until(
            lambda: bool(self.questions) and self.questions[-1] == set(email_ids),
            within=30,
            what=f"one question is about {email_ids}",
        )


@pytest.mark.parametrize("state", sorted(ANSWERED))
def test_a_wait_ends_with_the_answer(state: State) -> None:
    emails = Emails()
    emails.states["a"] = state
    waited = OutcomeWaits(emails, most=1).wait("a", within=LONG)
    assert waited == Waited(standing(email_id="a", state=state), was_honoured=True)


@pytest.mark.parametrize("state", sorted(set(State) - ANSWERED))
def test_without_an_answer_a_wait_ends_at_its_time(state: State) -> None:
    emails = Emails()
    emails.states["a"] = state
    waited = OutcomeWaits(emails, most=1).wait("a", within=timedelta(seconds=0.1))
    assert waited == Waited(None, was_honoured=True)


def test_all_waiters_share_one_question() -> None:
    emails = Emails()
    emails.states = dict.fromkeys("abc", State.QUEUED)
    waits = OutcomeWaits(emails, most=3)
    with ThreadPoolExecutor(3) as threads:
        futures = [threads.submit(waits.wait, email_id, within=LONG) for email_id in "abc"]
        emails.wait_for_question("a", "b", "c")
        emails.states = dict.fromkeys("abc", State.SUBMITTED)
        for future in futures:
            assert future.result().standing is not None


def test_one_answer_ends_one_wait_only() -> None:
    emails = Emails()
    emails.states = dict.fromkeys("ab", State.QUEUED)
    waits = OutcomeWaits(emails, most=2)
    with ThreadPoolExecutor(2) as threads:
        one, other = (threads.submit(waits.wait, email_id, within=LONG) for email_id in "ab")
        emails.wait_for_question("a", "b")
        emails.states["a"] = State.SUBMITTED
        assert one.result().standing is not None
        emails.wait_for_question("b")
        assert not other.done()
        emails.states["b"] = State.DEAD
        assert other.result().standing is not None


def test_whoever_asks_again_about_an_email_waits_beside_the_first() -> None:
    emails = Emails()
    emails.states["a"] = State.QUEUED
    waits = OutcomeWaits(emails, most=2)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(waits.wait, "a", within=LONG)
        emails.wait_for_question("a")
        assert waits.wait("a", within=timedelta(seconds=0.1)).standing is None
        again = threads.submit(waits.wait, "a", within=LONG)
        emails.states["a"] = State.SUBMITTED
        assert again.result().standing == first.result().standing is not None


def test_beyond_the_most_nobody_waits() -> None:
    emails = Emails()
    waits = OutcomeWaits(emails, most=1)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(waits.wait, "a", within=LONG)
        emails.wait_for_question("a")
        assert waits.wait("b", within=LONG) == Waited(None, was_honoured=False)
        emails.states["a"] = State.SUBMITTED
        assert first.result().was_honoured
    emails.states["b"] = State.SUBMITTED
    assert waits.wait("b", within=LONG).was_honoured


@pytest.mark.parametrize("error", [StoreUnavailable("away"), RuntimeError("a fault of ours")])
def test_whatever_an_attempt_met_the_store_is_asked_again(error: Exception) -> None:
    emails = Emails()
    emails.error = error
    emails.states["a"] = State.SUBMITTED
    waits = OutcomeWaits(emails, most=1)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(waits.wait, "a", within=LONG)
        wait_until(lambda: len(emails.questions) >= 2, within=30, what="it was asked again")
        assert not waiting.done()
        emails.error = None
        assert waiting.result().standing is not None


def test_nobody_asks_while_nobody_waits() -> None:
    emails = Emails()
    emails.states["a"] = State.SUBMITTED
    waits = OutcomeWaits(emails, most=1)
    waits.wait("a", within=LONG)
    threads = [thread for thread in threading.enumerate() if thread.name == "waiting"]
    assert threads
    assert emails.questions[-1] == {"a"}
