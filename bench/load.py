"""``python -m bench.load``: a load generator of its own process. Prints one JSON object.

It speaks just enough HTTP/1.1 to keep a connection busy: on a machine with few cores, a whole client library
would take a large part of what it is there to measure.
"""

import argparse
import asyncio
import json
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(slots=True)
class Record:
    """What one run saw. latencies: seconds, one per answered request; accepted: answers with 202."""

    latencies: list[float] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    failures: int = 0


async def send_over(
    url: str, *, connections: int, count: int | None, seconds: float | None, body: dict[str, object]
) -> tuple[Record, float]:
    """Send over so many connections until ``count`` are sent or ``seconds`` are over.

    Returns the record and how long it took.
    """
    target = urlsplit(url)
    payload = json.dumps(body).encode()
    request = (
        f"POST {target.path} HTTP/1.1\r\nHost: {target.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(payload)}\r\n\r\n"
    ).encode() + payload
    record = Record()
    left = iter(range(count)) if count is not None else None
    started = time.perf_counter()
    ends = started + seconds if seconds is not None else None

    async def keep_busy() -> None:
        reader, writer = await asyncio.open_connection(target.hostname, target.port)
        while (left is None or next(left, None) is not None) and (ends is None or time.perf_counter() < ends):
            began = time.perf_counter()
            writer.write(request)
            status, answer = await _read_answer(reader)
            record.latencies.append(time.perf_counter() - began)
            if status == 202:
                record.ids.append(json.loads(answer)["request_id"])
            else:
                record.failures += 1
        writer.close()

    await asyncio.gather(*(keep_busy() for _ in range(connections)))
    return record, time.perf_counter() - started


async def _read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
    return int(lines[0].split()[1]), await reader.readexactly(length)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.load")
    parser.add_argument("--url", required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--count", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--lane", default="transactional")
    parser.add_argument("--message-bytes", type=int, default=500)
    arguments = parser.parse_args()
    body: dict[str, object] = {
        "sender": "bench@example.com",
        "recipient": "somebody@example.com",
        "message": "x" * arguments.message_bytes,
        "lane": arguments.lane,
    }
    record, took = asyncio.run(
        send_over(
            arguments.url,
            connections=arguments.connections,
            count=arguments.count,
            seconds=arguments.seconds,
            body=body,
        )
    )
    print(json.dumps({"took": took, "latencies": record.latencies, "failures": record.failures}))


if __name__ == "__main__":
    main()
