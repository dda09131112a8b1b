"""``python -m bench.load``: a load generator of its own process. Prints one JSON object.

It speaks just enough HTTP/1.1 to keep a connection busy: on a machine with few cores, a whole client library
would take a large part of what it is there to measure.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from uuid import uuid4

import uvloop

from bench.raw_http import Caller, connect, post

SENDER, RECIPIENT = "bench@example.com", "somebody@example.com"


@dataclass(slots=True)
class Record:
    """What one run saw. latencies: seconds, one per answered request; emails: how many were accepted."""

    latencies: list[float] = field(default_factory=list)
    emails: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What is asked again and again. accepted: how many emails an answer of this status has accepted."""

    url: str
    body: object
    is_keyed: bool
    status: int
    accepted: Callable[[bytes], int]

    def requests(self) -> Callable[[], bytes]:
        """Makes the next request: the same as the last, or the same but for its key."""
        payload = json.dumps(self.body).encode()
        if self.is_keyed:
            return lambda: post(self.url, payload, Idempotency_Key=uuid4().hex)
        request = post(self.url, payload)
        return lambda: request


def send_kind(url: str, *, message: str, lane: str, is_keyed: bool) -> Kind:
    """POST /send"""
    body = {"sender": SENDER, "recipient": RECIPIENT, "message": message, "lane": lane}
    return Kind(
        url=f"{url}/send",
        body=body,
        is_keyed=is_keyed,
        status=202,
        accepted=lambda answer: int(b'"request_id"' in answer),
    )


def batch_kind(url: str, *, message: str, lane: str, count: int, is_keyed: bool) -> Kind:
    """POST /api/v1/emails/batch with so many emails."""
    item = {"from": SENDER, "to": RECIPIENT, "text": message, "lane": lane}
    return Kind(
        url=f"{url}/api/v1/emails/batch",
        body=[item] * count,
        is_keyed=is_keyed,
        status=200,
        accepted=lambda answer: len(json.loads(answer)["data"]),
    )


async def send_over(
    kind: Kind, *, connections: int, count: int | None, seconds: float | None
) -> tuple[Record, float]:
    """Send over so many connections until there were ``count`` requests or ``seconds`` are over.

    Returns the record and how long it took.
    """
    load = _Load(kind, count=count, seconds=seconds)
    callers = [await connect(kind.url, load.answered, load.lost) for _ in range(connections)]
    started = time.perf_counter()
    await load.run(callers)
    return load.record, time.perf_counter() - started


class _Load:
    """Each of its callers sends its next request when it has its answer."""

    def __init__(self, kind: Kind, *, count: int | None, seconds: float | None) -> None:
        self.record = Record()
        self._kind, self._next_request = kind, kind.requests()
        self._left, self._seconds = count, seconds
        self._ends = float("inf")
        self._began: dict[Caller, float] = {}
        self._over = asyncio.get_running_loop().create_future()

    async def run(self, callers: list[Caller]) -> None:
        """Raises ConnectionError when a connection breaks."""
        if self._seconds is not None:
            self._ends = time.perf_counter() + self._seconds
        for caller in callers:
            self._send(caller)
        if self._began:
            await self._over
        for caller in callers:
            caller.close()

    def answered(self, caller: Caller, status: int, body: bytes) -> None:
        self.record.latencies.append(time.perf_counter() - self._began.pop(caller))
        if status == self._kind.status:
            self.record.emails += self._kind.accepted(body)
        else:
            self.record.failures += 1
        self._send(caller)
        if not self._began and not self._over.done():
            self._over.set_result(None)

    def lost(self, caller: Caller) -> None:
        if caller in self._began and not self._over.done():
            self._over.set_exception(ConnectionError("a connection broke under load"))

    def _send(self, caller: Caller) -> None:
        """The next request, if there is to be one."""
        now = time.perf_counter()
        if self._left == 0 or now >= self._ends:
            return
        if self._left is not None:
            self._left -= 1
        self._began[caller] = now
        caller.send(self._next_request())


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.load")
    parser.add_argument("--url", required=True, help="of the API")
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--count", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--lane", default="transactional")
    parser.add_argument("--message-bytes", type=int, default=500)
    parser.add_argument("--keyed", action="store_true", help="with an Idempotency-Key, a new one each time")
    parser.add_argument("--batch", type=int, help="as batches of so many emails; else by POST /send")
    arguments = parser.parse_args()
    message = "x" * arguments.message_bytes
    if arguments.batch:
        kind = batch_kind(
            arguments.url,
            message=message,
            lane=arguments.lane,
            count=arguments.batch,
            is_keyed=arguments.keyed,
        )
    else:
        kind = send_kind(arguments.url, message=message, lane=arguments.lane, is_keyed=arguments.keyed)
    record, took = uvloop.run(
        send_over(kind, connections=arguments.connections, count=arguments.count, seconds=arguments.seconds)
    )
    print(json.dumps({"took": took, **asdict(record)}))


if __name__ == "__main__":
    main()
