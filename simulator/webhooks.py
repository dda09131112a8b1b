"""Sends the webhooks: signed, with bounded concurrency, tried again while the receiver doesn't take them."""

import asyncio
import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

import aiohttp

from simulator.plans import JSON, Plan, Report
from simulator.submissions import Submission, WebhookTry


@dataclass(frozen=True, slots=True)
class WebhookOptions:
    """`url` None: no webhooks. `secret` None: unsigned. Times in seconds; one more try after each delay."""

    url: str | None
    secret: bytes | None
    retry_delays: tuple[float, ...] = (1.0, 4.0, 15.0, 40.0)
    concurrency: int = 32
    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class Letter:
    """A row of reports about one email, to be sent in this order; `failures` counts the tries of the first.

    A `lost` one is only noted in the log. `epoch` tells what was pending before a `forget` from the rest.
    `about`: as in Plan.
    """

    submission: Submission
    reports: tuple[Report, ...]
    epoch: int
    failures: int = 0
    lost: bool = False
    about: str | None = None


def signature(*, secret: bytes, body: bytes) -> str:
    """The value of `X-Signature`: HMAC-SHA256 of the raw body."""
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


class WebhookCourier:
    """Waits until a webhook is due, then sends it through one of a few workers. Start it, and stop it."""

    def __init__(self, options: WebhookOptions, *, random: Random) -> None:
        self._options = options
        self._random = random
        self._due: asyncio.Queue[Letter] = asyncio.Queue()
        self._workers: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None
        self._epoch = 0
        self._pending = 0
        self._under_way = 0
        self._counts: Counter[str] = Counter()

    async def start(self) -> None:
        if self._options.url is None:
            return
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=self._options.timeout),
        )
        self._workers = [asyncio.create_task(self._work()) for _ in range(self._options.concurrency)]

    async def stop(self) -> None:
        """Drops what is pending."""
        for worker in self._workers:
            worker.cancel()
        if self._session is not None:
            await self._session.close()

    def forget(self) -> None:
        """Drops the counts and what is pending, other than the calls under way."""
        self._epoch += 1
        self._pending = self._under_way
        self._counts.clear()

    def summary(self) -> dict[str, int]:
        names = ("taken", "failed_tries", "given_up", "lost")
        return {"pending": self._pending, **{name: self._counts[name] for name in names}}

    async def send_now(self, submission: Submission, plan: Plan) -> None:
        """Makes the first try of each copy and returns; further reports and tries follow as usual."""
        await asyncio.gather(*(self._try(letter) for letter in self._letters(submission, plan)))

    def send_later(
        self, submission: Submission, plan: Plan, *, shuffle: float, when_due: Callable[[], None]
    ) -> None:
        """Sends after the plan's delay and, drawn for each copy, up to `shuffle` seconds more."""
        letters = self._letters(submission, plan)
        loop = asyncio.get_running_loop()
        loop.call_later(plan.webhook_delay, self._fall_due, letters, shuffle, when_due)

    def _letters(self, submission: Submission, plan: Plan) -> list[Letter]:
        if self._options.url is None:
            return []
        self._pending += max(1, plan.copies)
        if plan.copies == 0:
            return [Letter(submission, plan.reports, self._epoch, lost=True, about=plan.about)]
        letter = Letter(submission, plan.reports, self._epoch, about=plan.about)
        return [letter] * plan.copies

    def _fall_due(self, letters: list[Letter], shuffle: float, when_due: Callable[[], None]) -> None:
        when_due()
        for letter in letters:
            if shuffle:
                delay = self._random.uniform(0, shuffle)
                asyncio.get_running_loop().call_later(delay, self._due.put_nowait, letter)
            else:
                self._due.put_nowait(letter)

    async def _work(self) -> None:
        while True:
            await self._try(await self._due.get())

    async def _try(self, letter: Letter) -> None:
        if letter.epoch != self._epoch:
            return
        started = time.time()
        self._under_way += 1
        result = "lost" if letter.lost else await self._post(letter)
        self._under_way -= 1
        letter.submission.add_webhook(WebhookTry(letter.reports[0], started, result, letter.about))
        if letter.epoch == self._epoch:
            self._go_on(letter, result)
        else:
            self._pending -= 1

    def _go_on(self, letter: Letter, result: int | str) -> None:
        taken = isinstance(result, int) and 200 <= result < 300
        if not taken and not letter.lost:
            self._counts["failed_tries"] += 1
            if letter.failures < len(self._options.retry_delays):
                self._try_again(letter)
                return
        self._counts["lost" if letter.lost else "taken" if taken else "given_up"] += 1
        if len(letter.reports) > 1:
            self._due.put_nowait(replace(letter, reports=letter.reports[1:], failures=0))
        else:
            self._pending -= 1

    def _try_again(self, letter: Letter) -> None:
        delay = self._options.retry_delays[letter.failures]
        again = replace(letter, failures=letter.failures + 1)
        asyncio.get_running_loop().call_later(delay, self._due.put_nowait, again)

    async def _post(self, letter: Letter) -> int | str:
        """The HTTP status, or the name of what went wrong."""
        if self._session is None or self._options.url is None:
            raise RuntimeError("the courier was not started")
        told = {"ID": letter.submission.request_id, "STATUS": letter.reports[0]}
        if letter.about is not None:
            told["RECIPIENT"] = letter.about
        body = json.dumps(told).encode()
        headers = {"Content-Type": JSON}
        if self._options.secret is not None:
            headers["X-Signature"] = signature(secret=self._options.secret, body=body)
        try:
            async with self._session.post(self._options.url, data=body, headers=headers) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return type(error).__name__
