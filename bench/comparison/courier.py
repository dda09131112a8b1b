"""Delivers the plain provider's webhooks: signed, over kept connections, repeated until they are taken."""

import asyncio
import hmac
from collections import deque
from http import HTTPStatus

from bench.raw_http import Caller, connect, post

_CONNECTIONS = 32


class Courier:
    """taken: how many webhooks were answered 2xx. Each connection has one out at a time."""

    def __init__(self, url: str, *, secret: bytes, again_seconds: float = 1.0) -> None:
        self._url, self._secret, self._again_seconds = url, secret, again_seconds
        self._due: deque[bytes] = deque()
        self._idle: list[Caller] = []
        self._out: dict[Caller, bytes] = {}
        self._connections = 0
        self._connecting: set[asyncio.Task[None]] = set()
        self.taken = 0
        self.failed_tries = 0
        self.pending = 0

    def tell(self, body: bytes) -> None:
        self.pending += 1
        signature = hmac.digest(self._secret, body, "sha256").hex()
        self._send(post(self._url, body, X_Signature=f"sha256={signature}"))

    def _send(self, request: bytes) -> None:
        if self._idle:
            self._hand_to(self._idle.pop(), request)
            return
        self._due.append(request)
        if self._connections < _CONNECTIONS:
            self._connections += 1
            task = asyncio.get_running_loop().create_task(self._connect())
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _connect(self) -> None:
        try:
            caller = await connect(self._url, self._answered, self._lost)
        except OSError:
            self._connections -= 1
            if self._due:
                self._fail(self._due.popleft())
        else:
            self._go_on(caller)

    def _go_on(self, caller: Caller) -> None:
        if self._due:
            self._hand_to(caller, self._due.popleft())
        else:
            self._idle.append(caller)

    def _hand_to(self, caller: Caller, request: bytes) -> None:
        self._out[caller] = request
        caller.send(request)

    def _answered(self, caller: Caller, status: int, _body: bytes) -> None:
        request = self._out.pop(caller)
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            self.taken += 1
            self.pending -= 1
        else:
            self._fail(request)
        self._go_on(caller)

    def _lost(self, caller: Caller) -> None:
        self._connections -= 1
        if caller in self._idle:
            self._idle.remove(caller)
        if caller in self._out:
            self._fail(self._out.pop(caller))

    def _fail(self, request: bytes) -> None:
        self.failed_tries += 1
        asyncio.get_running_loop().call_later(self._again_seconds, self._send, request)
