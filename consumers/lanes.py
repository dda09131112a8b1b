"""``email.critical``, ``email.transactional``, ``email.standard``, ``email.bulk``, and the tenants' queues in
these lanes: claim, submit, settle.

Nothing is claimed before there is a slot for it. Each submission is a task of its own, which outlives the
connection its message came on. Outcomes are written together, and only then are messages acknowledged.
"""

import asyncio
import logging
from collections.abc import Container, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from consumers.attachment_memory import AttachmentMemory
from consumers.breaker import BreakerWatch
from consumers.claim_turns import AllTurns, ClaimTurns
from consumers.claiming import Claiming
from consumers.lane_buffers import LaneBuffers
from consumers.lane_heads import Head, LaneHeads
from consumers.lane_subscriptions import LaneSubscriptions
from consumers.leases import Leases
from consumers.outcomes import Answered, Outcomes
from consumers.pace import Pace
from consumers.precedence import Precedence
from consumers.probing import Tried
from consumers.settlement import acknowledge, give_back, refuse
from consumers.strays import StrayMessage, Strays
from consumers.watermarks import Watermarks
from delivery.bootstrap import ConsumerParts, utc_now
from delivery.broker.announcer import Announcer
from delivery.broker.connection import Connection
from delivery.broker.delivery import Message
from delivery.broker.outbox import Outbox
from delivery.domain.emails import ClaimedEmail
from delivery.domain.errors import InvalidRequest
from delivery.domain.outcomes import Answer, Outcome
from delivery.domain.slots import Slots
from delivery.domain.tenant_lanes import TenantLane
from delivery.domain.watermarks import PROBE_ID
from delivery.use_cases.claim_emails import ClaimResult
from delivery.use_cases.messages import EmailMessage, decode_email
from delivery.use_cases.submit_email import submit_email
from topology.names import lane_queue

log = logging.getLogger(__name__)

SETTLING_GRACE = 2.0
"""Seconds that a stop waits for the store to take the last outcomes."""


@dataclass(frozen=True, slots=True)
class _Readable:
    place: TenantLane
    message: Message
    email: EmailMessage


class LanesConsumer:
    def __init__(
        self,
        parts: ConsumerParts,
        *,
        outbox: Outbox,
        announcer: Announcer,
        leases: Leases,
        watermarks: Watermarks,
        breaker: BreakerWatch,
        precedence: Precedence,
    ) -> None:
        config = parts.config
        self._parts = parts
        self._outbox = outbox
        self._outcomes = Outcomes(
            parts,
            outbox=outbox,
            announcer=announcer,
            leases=leases,
            written=self._release,
            give_way=precedence.give_way,
        )
        self._watermarks = watermarks
        self._leases = leases
        self._slots = Slots(
            total=config.provider.max_in_flight,
            reserved=config.reserved_slots,
            weights={lane: policy.weight for lane, policy in config.lanes.items()},
        )
        self._turns = AllTurns(precedence)
        self.pace = Pace(
            parts.provider, config=config.provider, slots=self._slots, may_begin=self._turns.wake
        )
        self._buffers = LaneBuffers(self._slots)
        self._announcer = announcer
        self._strays = Strays(parts, outbox=outbox, announcer=announcer)
        self._call_needs = config.provider.total_timeout + config.claims.margin
        self._claims = Claiming(parts, leases)
        self._attachments = AttachmentMemory(parts.store)
        self._tasks: set[asyncio.Task[None]] = set()
        self._breaker = breaker
        self._heads: LaneHeads | None = None
        self._connection: Connection | None = None
        self._is_paused = False
        self._is_stopping = False
        self._subscriptions = LaneSubscriptions(
            slots=self._slots, buffers=self._buffers, arrived=self._arrive
        )

    async def follow(self, shares: dict[str, int]) -> None:
        """Take also what new tenants send, and give each its share of a lane: by tenant_id, all there are."""
        await self._subscriptions.follow(shares)

    async def start(self, connection: Connection) -> None:
        self.pace.announce()
        self._connection = connection
        self._heads = LaneHeads(connection)
        if not self._is_paused:
            await self._take_all()

    async def pause(self) -> None:
        """Take no more, and give back what was not begun; calls that are out come to their end."""
        self._is_paused = True
        await self._take_none()

    async def resume(self) -> None:
        """Go on, with few calls at once at first."""
        self._is_paused = False
        self.pace.restart()
        self._turns.wake()  # for what came in before the broker had heard of the pause
        await self._take_all()

    @property
    def is_connected(self) -> bool:
        """Whether there is a broker to take messages from."""
        return self._connection is not None and self._connection.connected.is_set()

    async def next_head(self, *, avoid: Container[str]) -> Head | None:
        if self._heads is None:
            return None
        return await self._heads.next(self._subscriptions.places, avoid=avoid)

    async def try_head(self, head: Head) -> Tried:
        """Claim and submit this one message though the lanes are paused. It takes the ordinary way.

        What was passed over for it is not lost: it says nothing about how far its lane has come.
        """
        if self._is_stopping or not self._buffers.take_slot(head.place):
            await give_back([head.message])
            return Tried.NO_ROOM
        marks = self._watermarks if head.is_first else Watermarks()
        async with self._turns.of(head.place.lane).claiming:
            is_begun = await self._claim([(head.place, head.message)], marks)
        return Tried.CALLED if is_begun else Tried.NOT_CALLED

    async def claim_forever(self) -> None:
        await self._turns.take(self._claim_next)

    async def _claim_next(self, turns: ClaimTurns, most: int) -> bool:
        if not self._may_begin() or not (taken := self._buffers.take(turns.lanes, most=most)):
            return False
        async with turns.claiming:
            await self._claim(taken, self._watermarks)
        return True

    def _may_begin(self) -> bool:
        return not (self._is_stopping or self._is_paused or self.pace.is_resting)

    async def settle_forever(self) -> None:
        await self._outcomes.run()

    async def stop(self, within: timedelta) -> None:
        """Take no more, give back what was not begun, let the calls that are out come to their end.

        A call that is still out at the end of ``within`` is abandoned; its outcome is then unknown.
        """
        self._is_stopping = True
        deadline = asyncio.get_running_loop().time() + within.total_seconds()
        await self._take_none()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await self._turns.over()  # what is just being claimed is begun, and then given back
        self._claims.give_up()
        await self._finish_calls(deadline - asyncio.get_running_loop().time())
        await self._outcomes.settled(within=SETTLING_GRACE)

    async def _take_all(self) -> None:
        if self._connection is not None and not self._is_stopping:
            await self._subscriptions.start(self._connection)

    async def _take_none(self) -> None:
        await self._subscriptions.stop()
        await give_back(self._buffers.clear())

    async def _finish_calls(self, seconds: float) -> None:
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=max(0.0, seconds))
        for task in late:
            task.cancel()
        if late:
            log.warning("calls abandoned count=%d", len(late))
            await asyncio.wait(late, timeout=1)

    def _arrive(self, place: TenantLane, message: Message) -> None:
        self._buffers.add(place, message)
        self._turns.arrived(place.lane)

    async def _claim(self, taken: list[tuple[TenantLane, Message]], marks: Watermarks) -> bool:
        """Returns whether anything was won, and its submission begun."""
        readable = await self._read(taken, marks)
        if not readable:
            return False
        result = await self._claims.claim([item.email for item in readable])
        self._announcer.tell(result.happened)
        self._begin(readable, result, marks)
        return bool(result.won)

    async def _read(self, taken: list[tuple[TenantLane, Message]], marks: Watermarks) -> list[_Readable]:
        readable = []
        for place, message in taken:
            try:
                email = decode_email(message.body)
            except InvalidRequest as error:  # a person moved something into a lane that is no email
                self._buffers.release(place)
                # In a task of its own: a publish that hangs must not hold up the claims of every lane.
                self._spawn(self._refuse(place, message, str(error)))
                continue
            if email.email_id == PROBE_ID:
                self._buffers.release(place)
                marks.note(place, message)
                await acknowledge([message])
            else:
                readable.append(_Readable(place, message, email))
        return readable

    async def _refuse(self, place: TenantLane, message: Message, reason: str) -> None:
        await refuse(message, queue=lane_queue(place.key), reason=reason, publisher=self._parts.publisher)

    def _begin(self, readable: list[_Readable], result: ClaimResult, marks: Watermarks) -> None:
        """Start a submission for what was won; each stray message is settled besides."""
        won = dict(result.won)
        fates = {(email.email_id, email.gen): (stray, standing) for email, stray, standing in result.strays}
        strays: list[StrayMessage] = []
        for item in readable:
            email = won.get(item.email.email_id)
            if email is not None and email.gen == item.email.gen:
                del won[item.email.email_id]
                marks.note(item.place, item.message, due_at=email.due_at)
                self._spawn(self._submit(item, email))
            else:
                self._buffers.release(item.place)
                stray, standing = fates[item.email.email_id, item.email.gen]
                strays.append(StrayMessage(item.place, item.message, item.email, stray, standing))
        if strays:
            self._turns.wake()
            self._spawn(self._strays.settle(strays))

    async def _submit(self, item: _Readable, email: ClaimedEmail) -> None:
        answer: Answer | None = None
        try:
            answer = await self._breaker.call(email.email_id, partial(self._call, email))
        except asyncio.CancelledError:  # the grace time of a shutdown is over
            answer = Answer(Outcome.UNKNOWN, "abandoned at shutdown")
        except Exception as error:
            log.error("submission failed error=%s", type(error).__name__)
            answer = Answer(Outcome.UNKNOWN, f"our own fault: {type(error).__name__}")
        self._outcomes.add(Answered(item.place, item.message, email, answer))

    async def _call(self, email: ClaimedEmail) -> Answer | None:
        if self._is_stopping:
            return None
        return await submit_email(
            email,
            provider=self.pace,
            attachments=self._attachments,
            lease_remaining=self._leases.remaining,
            call_needs=self._call_needs,
            clock=utc_now,
        )

    def _release(self, written: Sequence[Answered]) -> None:
        """A slot is held until the outcome is written: released with the answer, a lane with a full prefetch
        of unwritten outcomes would lose its share to the others."""
        for item in written:
            self._buffers.release(item.place)
        self._turns.wake()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
