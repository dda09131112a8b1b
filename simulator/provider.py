"""The provider itself: takes a submission, carries out its plan, and knows what became of each email."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from random import Random

from simulator.faults import Beyond, Faults
from simulator.planner import Planner
from simulator.plans import Acceptance, Answer, Plan
from simulator.status_budget import StatusBudget, StatusCall, StatusLog
from simulator.submission_body import BodyError, parse_body
from simulator.submissions import Submission, SubmissionLog
from simulator.tag_parser import Tag, TagError, parse_further, parse_recipient
from simulator.webhooks import WebhookCourier

DOWN = Answer("down", 503, b'{"error":"down"}')
OVER_CAPACITY = Answer("over-capacity", 429, b'{"error":"too many at once"}', says_retry_after=True)


class Provider:
    """One provider. `follow` changes its faults at any time; submissions under way keep their plan."""

    def __init__(self, *, faults: Faults, courier: WebhookCourier, random: Random, extended: bool) -> None:
        self.faults = faults
        self._planner = Planner(faults=faults, random=random)
        self._courier = courier
        self._extended = extended
        self._budget = StatusBudget()
        self._in_flight = 0
        self._at_work = 0
        self._late: set[asyncio.Task[None]] = set()
        self._start_logs()

    def _start_logs(self) -> None:
        self.log = SubmissionLog()
        self.status_log = StatusLog()
        self._max_in_flight = self._in_flight
        self._pending_accepts = 0

    def follow(self, faults: Faults) -> None:
        self.faults = faults
        self._planner.follow(faults)

    def forget(self) -> None:
        """Starts with empty logs; late acceptances and webhooks that are still due are dropped."""
        self._start_logs()
        self._planner.forget()
        self._courier.forget()
        self._budget.pardon()

    def summary(self, *, with_ids: bool) -> dict[str, object]:
        return {
            **self.log.summary(with_ids=with_ids),
            "in_flight": self._in_flight,
            "max_in_flight": self._max_in_flight,
            "pending_accepts": self._pending_accepts,
            "webhooks": self._courier.summary(),
            "status": self.status_log.summary(),
        }

    def begin_call(self) -> None:
        self._in_flight += 1
        self._max_in_flight = max(self._max_in_flight, self._in_flight)

    def end_call(self) -> None:
        self._in_flight -= 1

    async def submit(self, raw: bytes) -> tuple[Submission, Answer]:
        """Receives one submission; returns when its answer is due, the email accepted if that comes first."""
        log = self.log
        submission, tags, mistakes = self._read(raw)
        log.add(submission)
        if self.faults.down is not None:
            submission.answer = DOWN.name
            return submission, DOWN
        if mistakes:
            submission.answer = "invalid"
            return submission, Answer("invalid", 400, json.dumps({"errors": mistakes}).encode())
        if self._is_over_capacity():
            submission.answer = OVER_CAPACITY.name
            return submission, OVER_CAPACITY
        self._at_work += 1
        try:
            return submission, await self._carry_out(log, submission, tags)
        finally:
            self._at_work -= 1

    def _is_over_capacity(self) -> bool:
        capacity = self.faults.capacity
        return capacity is not None and capacity.beyond is Beyond.REFUSED and self._at_work >= capacity.calls

    async def _carry_out(
        self, log: SubmissionLog, submission: Submission, tags: Sequence[tuple[Tag, ...]]
    ) -> Answer:
        plans = self._plans(submission, tags)
        plan = plans[0]
        submission.answer = plan.answer.name
        if plan.latency and not plan.answer.skips_latency:
            await asyncio.sleep(plan.latency * self._slowness())
        if plan.answer.acceptance is Acceptance.BEFORE_THE_ANSWER:
            await self._accept(log, submission, plans)
        elif plan.answer.acceptance is Acceptance.AFTER_THE_ANSWER:
            self._accept_later(log, submission, plans)
        return plan.answer

    def _plans(self, submission: Submission, tags: Sequence[tuple[Tag, ...]]) -> list[Plan]:
        """For each recipient the plan of its delivery; the first one's decides the answer, too."""
        plans = [self._planner.plan(request_id=submission.request_id, tags=each) for each in tags]
        if len(plans) == 1:
            return plans
        return [replace(plan, about=who) for plan, who in zip(plans, submission.recipients, strict=True)]

    def _slowness(self) -> float:
        """By how much latency grows for the submissions that are at work now."""
        capacity = self.faults.capacity
        if capacity is None or capacity.beyond is not Beyond.SLOW:
            return 1.0
        return max(1.0, self._at_work / max(capacity.calls, 1))

    def _read(self, raw: bytes) -> tuple[Submission, list[tuple[Tag, ...]], tuple[str, ...]]:
        """The submission, the tags of each recipient, and the mistakes."""
        received_at = time.time()
        try:
            body = parse_body(raw, extended=self._extended)
        except BodyError as error:
            return Submission(error.request_id, "", 0, received_at), [], error.mistakes
        submission = Submission(
            body.request_id,
            body.recipient,
            body.message_length,
            received_at,
            recipients=body.recipients,
            extra=body.extra,
        )
        try:
            first, *further = body.recipients
            return submission, [parse_recipient(first), *(parse_further(each) for each in further)], ()
        except TagError as error:
            return submission, [], error.mistakes

    async def _accept(self, log: SubmissionLog, submission: Submission, plans: Sequence[Plan]) -> None:
        log.accept(submission, at=time.time())
        for plan in plans:
            if plan.webhook_first:
                self._end_delivery(log, submission, plan)
                await self._courier.send_now(submission, plan)
            else:
                self._courier.send_later(
                    submission,
                    plan,
                    shuffle=self.faults.webhook_shuffle,
                    when_due=partial(self._end_delivery, log, submission, plan),
                )

    def _accept_later(self, log: SubmissionLog, submission: Submission, plans: Sequence[Plan]) -> None:
        self._pending_accepts += 1
        loop = asyncio.get_running_loop()
        loop.call_later(plans[0].accept_after, self._accept_late, log, submission, plans)

    def _accept_late(self, log: SubmissionLog, submission: Submission, plans: Sequence[Plan]) -> None:
        if log is not self.log:
            return
        self._pending_accepts -= 1
        task = asyncio.get_running_loop().create_task(self._accept(log, submission, plans))
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    @staticmethod
    def _end_delivery(log: SubmissionLog, submission: Submission, plan: Plan) -> None:
        log.finish(submission.request_id, plan.reports[0], recipients=len(submission.recipients))

    def answer_status(self, request_id: str) -> tuple[int, str]:
        """Spends from the budget and says what is known: an HTTP status and, with 200 and 404, the STATUS."""
        now = time.time()
        faults = self.faults
        if faults.down is not None:
            answer, known = DOWN.status, ""
        else:
            answer = self._budget.spend(now=now, budget=faults.status_budget, ban=faults.status_ban)
            known = self.log.status(request_id) or "UNKNOWN"
            if answer == 200 and known == "UNKNOWN":
                answer = 404
        self.status_log.add(StatusCall(request_id, now, answer))
        return answer, known
