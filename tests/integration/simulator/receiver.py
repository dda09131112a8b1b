"""A receiver of webhooks that remembers them and answers as it is told."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.harness.deadline import wait_until


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook as it came in. `at` in epoch seconds."""

    path: str
    signature: str | None
    body: bytes
    at: float

    @property
    def report(self) -> tuple[str, str]:
        content: dict[str, Any] = json.loads(self.body)
        assert set(content) == {"ID", "STATUS"}
        return content["ID"], content["STATUS"]


class Receiver:
    """`answer` gets the number of the webhook, from 0, and returns the HTTP status to answer with."""

    def __init__(self) -> None:
        self.webhooks: list[Webhook] = []
        self.answer: Callable[[int], int] = lambda _: 204
        self.url = ""
        self._lock = threading.Lock()

    def take(self, webhook: Webhook) -> int:
        with self._lock:
            self.webhooks.append(webhook)
            return self.answer(len(self.webhooks) - 1)

    def reports(self) -> list[tuple[str, str]]:
        return [webhook.report for webhook in self.webhooks]

    def wait_for(self, count: int) -> list[tuple[str, str]]:
        """The reports, once there are `count`."""
        wait_until(lambda: len(self.webhooks) >= count, within=30, what=f"{count} webhooks have come")
        return self.reports()


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver on a free port until the block ends."""
    remembered = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            webhook = Webhook(self.path, self.headers.get("X-Signature"), body, time.time())
            self.send_response(remembered.take(webhook))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    remembered.url = f"http://127.0.0.1:{server.server_port}/webhooks"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield remembered
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
