from collections.abc import Mapping
from datetime import datetime

from delivery.domain.lanes import Lane
from delivery.domain.owed import OwedEmail
from delivery.domain.watermarks import Way, ways_of
from delivery.use_cases.find_lost_messages import BATCH, LostMessages, find_lost_messages
from tests.unit.delivery.builders import NOW, owed_email, seconds

MARGIN = seconds(60)
CRITICAL, BULK = Way(Lane.CRITICAL, 1), Way(Lane.BULK, 1)


class Waiting:
    """When the messages of each way came in, and how far each way has come."""

    def __init__(self, waiting: Mapping[Way, list[datetime]], marks: Mapping[Way, datetime]) -> None:
        self._waiting = {way: sorted(times) for way, times in waiting.items()}
        self._marks = marks

    def came(self, way: Way, *, since: datetime | None, until: datetime) -> bool:
        times = self._waiting.get(way, [])
        return any((since is None or at >= since) and at <= until for at in times)

    def owe_again(self, way: Way, *, before: datetime, now: datetime, limit: int) -> list[OwedEmail]:
        times = self._waiting.get(way, [])
        lost = [at for at in times if at < before][:limit]
        self._waiting[way] = times[len(lost) :]
        return [owed_email(lane=way.lane) for _ in lost]

    def watermarks(self) -> Mapping[Way, datetime]:
        return self._marks


def find(waiting: Waiting, *, already_probed: tuple[Way, ...] = ()) -> LostMessages:
    return find_lost_messages(
        ways_of(["acme", "default"]),
        waiting=waiting,
        may_probe=lambda way: way not in already_probed,
        margin=MARGIN,
        now=NOW,
    )


def test_what_was_overtaken_is_published_again_the_most_urgent_first() -> None:
    overtaken = [NOW - seconds(100)]
    waiting = Waiting({BULK: overtaken, CRITICAL: overtaken}, marks={BULK: NOW, CRITICAL: NOW})
    assert [owed.lane for owed in find(waiting).owed] == [Lane.CRITICAL, Lane.BULK]


def test_what_waits_behind_its_watermark_is_left_alone() -> None:
    backlog = [NOW - seconds(number) for number in range(3600)]
    found = find(Waiting({BULK: backlog}, marks={BULK: NOW - seconds(3599)}))
    assert found.owed == []


def test_only_messages_of_the_same_tenant_overtake_each_other() -> None:
    acme = Way(Lane.BULK, 1, "acme")
    waiting = {way: [NOW - seconds(100)] for way in (BULK, acme)}
    assert len(find(Waiting(waiting, marks={BULK: NOW, acme: NOW - seconds(100)})).owed) == 1


def test_a_turn_is_bounded() -> None:
    waiting = Waiting({BULK: [NOW - seconds(100)] * (BATCH + 1)}, marks={BULK: NOW})
    assert len(find(waiting).owed) == BATCH
    assert len(find(waiting).owed) == 1


def test_a_way_that_stands_still_is_probed_once_in_a_while() -> None:
    waiting = Waiting({BULK: [NOW - seconds(600)]}, marks={})
    assert find(waiting).probes == [BULK]
    assert find(waiting, already_probed=(BULK,)).probes == []


def test_nothing_waiting_is_nothing_to_do() -> None:
    assert find(Waiting({}, marks={BULK: NOW})) == LostMessages()
