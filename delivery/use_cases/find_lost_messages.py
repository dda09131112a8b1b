"""Find emails whose message the broker lost, and let them owe another one, at a bounded rate."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from delivery.domain.owed import OwedEmail
from delivery.domain.watermarks import Way, lost_before, silence

BATCH = 500
"""Republished in one turn at the most."""


class WaitingEmails(Protocol):
    def came(self, way: Way, *, since: datetime | None, until: datetime) -> bool: ...

    def owe_again(self, way: Way, *, before: datetime, now: datetime, limit: int) -> list[OwedEmail]: ...

    def watermarks(self) -> Mapping[Way, datetime]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LostMessages:
    """owed: what is to be published again. probes: the ways that should be asked whether they are alive."""

    owed: list[OwedEmail] = field(default_factory=list)
    probes: list[Way] = field(default_factory=list)


def find_lost_messages(
    ways: Iterable[Way],
    *,
    waiting: WaitingEmails,
    may_probe: Callable[[Way], bool],
    margin: timedelta,
    now: datetime,
) -> LostMessages:
    """One turn over these ways, in this order. Raises StoreUnavailable; safe to repeat, and twice at once.

    may_probe: whether no probe was sent down this way lately.
    """
    lost = LostMessages()
    marks = waiting.watermarks()
    for way in ways:
        watermark = marks.get(way)
        before = lost_before(watermark, margin=margin, now=now)
        room = BATCH - len(lost.owed)
        if before is not None and room > 0:
            lost.owed.extend(waiting.owe_again(way, before=before, now=now, limit=room))
        silent = silence(watermark, margin=margin, now=now)
        if silent is not None and may_probe(way) and waiting.came(way, since=silent[0], until=silent[1]):
            lost.probes.append(way)
    return lost
