"""``python -m bench.comparison.static_answer <port>``: answers as the provider does, and looks at nothing."""

import asyncio
import sys

_BODY = b'{"STATUS":"ACCEPTED"}'
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(_BODY),
    _BODY,
)
_LENGTH = b"content-length:"


class StaticAnswer(asyncio.Protocol):
    """One connection of a client that waits for each answer before it sends its next request."""

    def __init__(self) -> None:
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    # asyncio's name: https://docs.python.org/3/library/asyncio-protocol.html
    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if end and len(body) >= _length(head):
            self._received = b""
            assert self._transport is not None
            self._transport.write(_ANSWER)


def _length(head: bytes) -> int:
    lines = head.lower().split(b"\r\n")
    return next((int(line[len(_LENGTH) :]) for line in lines if line.startswith(_LENGTH)), 0)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(StaticAnswer, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
