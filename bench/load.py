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
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

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
    accepted: Callable[[dict[str, Any]], int]

    def requests(self) -> Callable[[], bytes]:
        """Makes the next request: the same as the last, or the same but for its key."""
        target, payload = urlsplit(self.url), json.dumps(self.body).encode()
        head = (
            f"POST {target.path} HTTP/1.1\r\nHost: {target.netloc}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(payload)}\r\n"
        ).encode()
        if not self.is_keyed:
            return lambda: head + b"\r\n" + payload
        return lambda: head + b"Idempotency-Key: %s\r\n\r\n" % uuid4().hex.encode() + payload


def send_kind(url: str, *, message: str, lane: str, is_keyed: bool) -> Kind:
    """POST /send"""
    body = {"sender": SENDER, "recipient": RECIPIENT, "message": message, "lane": lane}
    return Kind(
        url=f"{url}/send",
        body=body,
        is_keyed=is_keyed,
        status=202,
        accepted=lambda answer: int("request_id" in answer),
    )


def batch_kind(url: str, *, message: str, lane: str, count: int, is_keyed: bool) -> Kind:
    """POST /api/v1/emails/batch with so many emails."""
    item = {"from": SENDER, "to": RECIPIENT, "text": message, "lane": lane}
    return Kind(
        url=f"{url}/api/v1/emails/batch",
        body=[item] * count,
        is_keyed=is_keyed,
        status=200,
        accepted=lambda answer: len(answer["data"]),
    )


async def send_over(
    kind: Kind, *, connections: int, count: int | None, seconds: float | None
) -> tuple[Record, float]:
    """Send over so many connections until there were ``count`` requests or ``seconds`` are over.

    Returns the record and how long it took.
    """
    target, next_request = urlsplit(kind.url), kind.requests()
    record = Record()
    left = iter(range(count)) if count is not None else None
    opened = [await asyncio.open_connection(target.hostname, target.port) for _ in range(connections)]
    started = time.perf_counter()
    ends = started + seconds if seconds is not None else None

    async def keep_busy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (left is None or next(left, None) is not None) and (ends is None or time.perf_counter() < ends):
            request = next_request()
            began = time.perf_counter()
            writer.write(request)
            status, answer = await _read_answer(reader)
            record.latencies.append(time.perf_counter() - began)
            if status == kind.status:
                record.emails += kind.accepted(json.loads(answer))
            else:
                record.failures += 1
        writer.close()

    await asyncio.gather(*(keep_busy(reader, writer) for reader, writer in opened))
    return record, time.perf_counter() - started


async def _read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
    return int(lines[0].split()[1]), await reader.readexactly(length)


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
    record, took = asyncio.run(
        send_over(kind, connections=arguments.connections, count=arguments.count, seconds=arguments.seconds)
    )
    print(json.dumps({"took": took, **asdict(record)}))


if __name__ == "__main__":
    main()
