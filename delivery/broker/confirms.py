"""Publish a batch on a channel with confirms: one write, and one future for all its verdicts.

This is the one place that reaches below the methods of aiormq's channel, whose own publish is a coroutine, a
future, two deadlines and five callbacks for each message. It takes part in that channel's books: the count of
what was published (``delivery_tag``), who awaits which confirm (``confirmations``), and whose a returned
message is (``message_id_delivery_tag``). aiormq's reader does the rest.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

from aiormq import Channel
from aiormq.abc import ChannelFrame

from delivery.broker.frames import Frames
from delivery.use_cases.messages import Outgoing, Verdict

log = logging.getLogger(__name__)


class ConfirmingChannel:
    """A channel, and the frames that it publishes messages in."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._frames = Frames(channel.number, max_body=channel.max_content_size)

    def batch(self, messages: Sequence[Outgoing]) -> "Batch":
        return Batch(messages, channel=self.channel, frames=self._frames)


class Batch:
    """Messages that are published together, and their verdicts, in order, as they come in.

    What can't be encoded is refused from the first: it spoils no other's verdict.
    """

    def __init__(self, messages: Sequence[Outgoing], *, channel: Channel, frames: Frames) -> None:
        self.verdicts = [Verdict.UNKNOWN] * len(messages)
        self._channel = channel
        self._frames: list[bytes] = []
        self._sent: list[tuple[int, str | None]] = []
        self._open = 0
        self._last: asyncio.Future[None]
        at = datetime.now(UTC)
        for place, message in enumerate(messages):
            message_id = frames.next_id()
            try:
                self._frames.append(frames.marshal(message, message_id=message_id, at=at))
            except Exception as error:
                log.error("publish failed exchange=%s error=%s", message.exchange, type(error).__name__)
                self.verdicts[place] = Verdict.REFUSED
            else:
                self._sent.append((place, message_id if message.mandatory else None))

    @property
    def is_empty(self) -> bool:
        """Whether nothing of it can be published."""
        return not self._sent

    async def publish(self) -> None:
        """Write all, and wait for the last verdict. When that is cut short, the verdicts that came stand.

        Raises what ends the channel.
        """
        if self.is_empty:
            return
        channel = self._channel
        try:
            async with channel.lock:
                await channel.write_queue.put(ChannelFrame(b"".join(self._frames), should_close=False))
                last = self._enter()  # without a break since the write: no verdict comes before
            await last
        finally:
            self._open = 0
            for _, message_id in self._sent:
                channel.message_id_delivery_tag.pop(message_id or "", None)

    def _enter(self) -> "asyncio.Future[None]":
        """Into the channel's books, as published and as waited for; returns what the last verdict ends."""
        channel = self._channel
        self._open = len(self._sent)
        self._last = channel.create_future()  # the channel's end ends it
        for place, message_id in self._sent:
            channel.delivery_tag += 1
            # It is called as the future is that belongs there.
            confirmation = cast("asyncio.Future[None]", _Confirmation(self, place))
            channel.confirmations[channel.delivery_tag] = confirmation
            if message_id is not None:
                channel.message_id_delivery_tag[message_id] = channel.delivery_tag
        return self._last

    @property
    def is_over(self) -> bool:
        return self._open == 0

    def settle(self, place: int, verdict: Verdict) -> None:
        if self._open == 0:
            return
        self.verdicts[place] = verdict
        self._open -= 1
        if self._open == 0 and not self._last.done():
            self._last.set_result(None)


class _Confirmation:
    """Awaits the verdict of one message: what aiormq asks of a future, in a tenth of the time."""

    __slots__ = ("_batch", "_place")

    def __init__(self, batch: Batch, place: int) -> None:
        self._batch = batch
        self._place = place

    def done(self) -> bool:
        """Whether its verdict comes too late. Else it is the first one: aiormq forgets whom it told."""
        return self._batch.is_over

    cancelled = done

    def set_result(self, _: object) -> None:
        self._batch.settle(self._place, Verdict.CONFIRMED)

    def set_exception(self, _: BaseException) -> None:
        """Nacked, or returned as unroutable."""
        self._batch.settle(self._place, Verdict.REFUSED)
