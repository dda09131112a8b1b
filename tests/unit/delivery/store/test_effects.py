from collections.abc import Mapping, Sequence
from datetime import datetime

import pytest

from delivery.domain.errors import StoreOutcomeUnknown, StoreUnavailable
from delivery.domain.provider_events import PendingEvent
from delivery.domain.reports import Report
from delivery.store.effects import Effects
from tests.harness.deadline import wait_until
from tests.unit.delivery.builders import NOW, seconds

LATER = NOW + seconds(1)


class Written:
    def __init__(self) -> None:
        self.effects: list[dict[str, list[str]]] = []
        self.times: list[datetime] = []
        self.error: Exception | None = None

    def __call__(self, effects: Mapping[str, Sequence[str]], *, now: datetime) -> None:
        if self.error is not None:
            raise self.error
        self.effects.append({effect: list(event_ids) for effect, event_ids in effects.items()})
        self.times.append(now)


def kept_by(written: Written, *, relay_grace: float = 3600) -> Effects:
    return Effects(written, relay_grace=seconds(relay_grace))


def pending(event_id: str) -> PendingEvent:
    return PendingEvent(event_id=event_id, email_id="x", report=Report.DELIVERED, received_at=NOW)


def test_the_effects_of_several_batches_are_written_together() -> None:
    written = Written()
    effects = kept_by(written)
    effects.record_effects({"delivered": ["a"], "failed": ["b"]}, now=NOW)
    effects.record_effects({"delivered": ["c"]}, now=LATER)
    effects.flush()
    effects.flush()
    assert written.effects == [{"delivered": ["a", "c"], "failed": ["b"]}]
    assert written.times == [LATER], "no event is applied before it was received"


def test_they_are_written_after_a_while_by_themselves() -> None:
    written = Written()
    effects = kept_by(written, relay_grace=0.003)
    effects.record_effects({"delivered": ["a"]}, now=NOW)
    wait_until(lambda: written.effects == [{"delivered": ["a"]}], within=30, what="the first is written")
    effects.record_effects({"delivered": ["b"]}, now=NOW)
    wait_until(lambda: len(written.effects) == 2, within=30, what="the second is written")


def test_the_first_effect_of_an_event_is_its_effect() -> None:
    written = Written()
    effects = kept_by(written)
    effects.record_effects({"delivered": ["a"]}, now=NOW)
    effects.record_effects({"no_change": ["a"]}, now=NOW)
    effects.flush()
    assert written.effects == [{"delivered": ["a"]}]


def test_what_was_applied_a_moment_ago_is_told_and_then_written() -> None:
    written = Written()
    effects = kept_by(written)
    effects.record_effects({"delivered": ["a"]}, now=NOW)
    assert effects.not_applied([pending("a"), pending("b")]) == [pending("b")]
    assert written.effects == [{"delivered": ["a"]}]
    assert effects.not_applied([pending("a"), pending("b")]) == [pending("a"), pending("b")]


def test_what_is_new_costs_no_write() -> None:
    written = Written()
    effects = kept_by(written)
    effects.record_effects({"delivered": ["a"]}, now=NOW)
    assert effects.not_applied([pending("b")]) == [pending("b")]
    assert written.effects == []


@pytest.mark.parametrize("error", [StoreUnavailable("x"), StoreOutcomeUnknown("x")])
def test_while_the_store_is_away_they_wait(error: Exception) -> None:
    written = Written()
    effects = kept_by(written)
    effects.record_effects({"delivered": ["a"]}, now=NOW)
    written.error = error
    effects.flush()
    written.error = None
    assert effects.not_applied([pending("a")]) == []
    assert written.effects == [{"delivered": ["a"]}]


def test_what_can_not_be_written_is_left_to_the_reconciler(caplog: pytest.LogCaptureFixture) -> None:
    written = Written()
    effects = kept_by(written)
    effects.record_effects({"delivered": ["a"]}, now=NOW)
    written.error = ValueError("bug")
    effects.flush()
    assert "left to the reconciler" in caplog.text
    assert effects.not_applied([pending("a")]) == [pending("a")]
