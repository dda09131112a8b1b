"""How far each way (a tenant's lane, and a priority in it) has come, as this process's consumers see it."""

from datetime import UTC, datetime

from delivery.broker.delivery import Message
from delivery.domain.tenant_lanes import TenantLane
from delivery.domain.watermarks import Way


class Watermarks:
    """Collects what was handed out since it was last taken. Belongs to the event loop."""

    def __init__(self) -> None:
        self._marks: dict[Way, datetime] = {}

    def note(self, place: TenantLane, message: Message, *, due_at: datetime | None = None) -> None:
        """A message was handed out. due_at: when a delayed one was due in its lane.

        A message that a person moved tells nothing: it came another way than its timestamp says.
        """
        now = datetime.now(UTC)
        if message.timestamp is None or message.redelivered:
            return
        published_at = message.timestamp.replace(tzinfo=message.timestamp.tzinfo or UTC)
        came_at = max(published_at, due_at) if due_at is not None else published_at
        if came_at > now:  # a clock that is ahead must not make what waits look lost
            return
        way = Way(place.lane, message.priority or 0, place.tenant_id)
        if came_at > self._marks.get(way, came_at.min.replace(tzinfo=UTC)):
            self._marks[way] = came_at

    def take(self) -> dict[Way, datetime]:
        marks, self._marks = self._marks, {}
        return marks
