"""Just enough HTTP/1.1 to keep a connection busy, at a fraction of a client library's cost."""

import asyncio
import json
from urllib.parse import urlsplit


class Connection:
    """One kept connection. Requests go one after the other."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._host, self._port, self._netloc = target.hostname, target.port, target.netloc
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, payload: bytes) -> tuple[int, bytes]:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._netloc}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(payload)}\r\n\r\n"
        )
        return await self._ask(head.encode() + payload)

    async def get_json(self, path: str) -> dict[str, object]:
        _, body = await self._ask(f"GET {path} HTTP/1.1\r\nHost: {self._netloc}\r\n\r\n".encode())
        answer: dict[str, object] = json.loads(body)
        return answer

    async def _ask(self, request: bytes) -> tuple[int, bytes]:
        if self._ends is None:
            self._ends = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._ends
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        return int(lines[0].split()[1]), await reader.readexactly(length)
