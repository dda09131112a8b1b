"""Publish batches on a channel with confirms: one write, and one future for all the verdicts of a batch.

Nobody else publishes on that channel. What the broker says of its messages comes from the connection's sieve
(sifting.py), past aiormq, whose own publish is a coroutine, a future, two deadlines and five callbacks each.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from delivery.broker.frames import Frames, number_of
from delivery.broker.sifting import Sieve
from delivery.use_cases.messages import Outgoing, Verdict

log = logging.getLogger(__name__)


class ConfirmingChannel:
    """A channel that is open and in confirm mode, from here to its close; then there is another one.

    It counts what it publishes as the broker does: the first message is number 1.
    """

    def __init__(self, number: int, *, max_body: int, sieve: Sieve) -> None:
        """max_body: how much of a body one frame may carry. Raises ConnectionError if it is closed again."""
        self._frames = Frames(number, max_body=max_body)
        self._writer = sieve.writer
        self._published = 0
        self._open: list[_Batch] = []
        self.is_closed = False
        sieve.confirm(number, self)

    async def publish(self, messages: Sequence[Outgoing], verdicts: list[Verdict]) -> bool:
        """Write all, and wait for the last verdict; False if there was nothing to write.

        verdicts: of each message, unknown at first. They are filled in as they come, so that those which came
        stand when the wait is cut short. What can't be encoded is refused at once, and spoils no other's.
        Raises ConnectionError when the channel ends.
        """
        if self.is_closed or self._writer.is_closing():
            raise ConnectionError("the channel is closed")
        first = self._published + 1
        frames, places = self._marshalled(messages, verdicts)
        if not frames:
            return False
        batch = _Batch(first, places, verdicts)
        self._open.append(batch)
        try:
            self._writer.write(b"".join(frames))
            await batch.is_settled
        finally:
            self._open.remove(batch)  # what is said of it from now on, nobody hears
        return True

    def _marshalled(
        self, messages: Sequence[Outgoing], verdicts: list[Verdict]
    ) -> tuple[list[bytes], list[int]]:
        frames, places, at = [], [], datetime.now(UTC)
        for place, message in enumerate(messages):
            try:
                frames.append(self._frames.marshal(message, number=self._published + 1, at=at))
            except Exception as error:
                log.error("publish failed exchange=%s error=%s", message.exchange, type(error).__name__)
                verdicts[place] = Verdict.REFUSED
            else:
                self._published += 1
                places.append(place)
        return frames, places

    def confirmed(self, tag: int, *, multiple: bool) -> None:
        self._settle(tag, Verdict.CONFIRMED, multiple=multiple)

    def refused(self, tag: int, *, multiple: bool) -> None:
        self._settle(tag, Verdict.REFUSED, multiple=multiple)

    def _settle(self, tag: int, verdict: Verdict, *, multiple: bool) -> None:
        for batch in self._open:
            batch.settle(tag, verdict, multiple=multiple)

    def returned(self, message_id: str) -> None:
        number = number_of(message_id)
        for batch in self._open:
            batch.note_returned(number)

    def close(self) -> None:
        self.is_closed = True
        for batch in self._open:
            batch.give_up()


class _Batch:
    """Messages that were published together. Their numbers follow each other; ``places`` are those of their
    verdicts."""

    __slots__ = ("_first", "_has_verdict", "_left", "_places", "_verdicts", "is_settled")

    def __init__(self, first: int, places: Sequence[int], verdicts: list[Verdict]) -> None:
        self._first = first
        self._places = places
        self._verdicts = verdicts
        self._has_verdict = bytearray(len(places))
        self._left = len(places)
        self.is_settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self, tag: int, verdict: Verdict, *, multiple: bool) -> None:
        last = tag - self._first
        if last < 0 or (last >= len(self._places) and not multiple):
            return
        for index in range(0 if multiple else last, min(last + 1, len(self._places))):
            if not self._has_verdict[index]:
                self._has_verdict[index] = True
                self._left -= 1
                place = self._places[index]
                if self._verdicts[place] is Verdict.UNKNOWN:
                    self._verdicts[place] = verdict
        if self._left == 0 and not self.is_settled.done():
            self.is_settled.set_result(None)

    def note_returned(self, number: int) -> None:
        """It had no route. The broker confirms it all the same, right after."""
        index = number - self._first
        if 0 <= index < len(self._places):
            self._verdicts[self._places[index]] = Verdict.RETURNED

    def give_up(self) -> None:
        if not self.is_settled.done():
            self.is_settled.set_exception(ConnectionError("the channel was closed"))
