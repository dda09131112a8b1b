"""A small HTTP server that answers as it is told: an error, nothing at all, or only after a while."""

import json
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """status None: the connection is closed without a word. body: JSON, or text as it is."""

    status: int | None = 200
    body: object = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Received:
    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


class ScriptedServer:
    """Gives the answers of its `script` in turn, and for ever the last one; `received` has the requests.

    Close it at the end.
    """

    def __init__(self) -> None:
        self.script: deque[Answer] = deque([Answer()])
        self.received: list[Received] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"script": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="scripted-server"
        )
        self._thread.start()

    def answers(self, *script: Answer) -> None:
        """From the next request on."""
        with self._lock:
            self.script = deque(script)

    def take(self, request: Received) -> Answer:
        with self._lock:
            self.received.append(request)
            answer = self.script.popleft() if len(self.script) > 1 else self.script[0]
        self.may_answer.wait(30)
        return answer

    def close(self) -> None:
        self.may_answer.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: ScriptedServer

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.loads(raw) if raw else None
        answer = self.script.take(Received(self.command, self.path, dict(self.headers), body))
        if answer.status is None:
            self.close_connection = True
            return
        content = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content.encode())))
        self.end_headers()
        self.wfile.write(content.encode())

    do_GET = do_POST = do_PATCH = _serve  # noqa: N815 (the names are its base class's)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is its base class's)
        """Says nothing."""
