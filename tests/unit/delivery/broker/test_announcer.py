from collections.abc import Sequence

from delivery.broker.announcer import MAX_WAITING, Announcer
from delivery.domain.happenings import Happening
from delivery.domain.lanes import Lane
from delivery.domain.states import State
from delivery.use_cases.messages import Outgoing, Verdict
from tests.unit.delivery.builders import EMAIL_ID, NOW


class Publisher:
    async def publish(self, messages: Sequence[Outgoing]) -> list[Verdict]:
        return [Verdict.UNKNOWN] * len(messages)


def test_all_that_happens_is_counted_told_or_not() -> None:
    counted: list[Happening] = []
    announcer = Announcer(Publisher(), count=counted.extend)
    happening = Happening(
        tenant_id="default", email_id=EMAIL_ID, lane=Lane.BULK, state=State.DELIVERED, at=NOW
    )
    announcer.tell([happening] * MAX_WAITING)
    announcer.tell([happening] * 2)
    assert len(counted) == MAX_WAITING + 2
