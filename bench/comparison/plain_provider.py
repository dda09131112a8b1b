"""``python -m bench.comparison.plain_provider``: a provider that does no more than it must.

It accepts every call and reports each email as delivered, for a fifth of the CPU time that simulator/ takes,
which looks closely at what it gets and can do everything wrong: so more is left for whoever is measured. It
is steered and looked at by the simulator's control routes, as far as the benchmarks need them. All routes are
on both ports.
"""

import argparse
import asyncio
import json
import os
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import uvloop

from bench.comparison.courier import Courier
from bench.raw_http import Respond, Served, answer

SECRET_VARIABLE = "SIMULATOR_WEBHOOK_SECRET"
_ACCEPTED = answer(HTTPStatus.OK, b'{"STATUS":"ACCEPTED"}')
_SUBMIT = b"POST /api/emails "


class PlainProvider:
    """courier: who is told of deliveries; None: nobody. Times in seconds."""

    def __init__(self, courier: Courier | None) -> None:
        self._courier = courier
        self._submissions: list[tuple[str, float]] = []
        self._accepted = 0
        self._ids: set[str] = set()
        self._duplicates: set[str] = set()
        self._in_flight = 0
        self.heal()

    def heal(self) -> None:
        self._latency = self._webhook_delay = 0.0
        self._tells = True

    def set_faults(
        self,
        *,
        latency: float | None = None,
        webhook_delay: float | None = None,
        rates: Mapping[str, float] | None = None,
    ) -> None:
        """Some of the simulator's settings. rates: all webhooks are lost, or none."""
        if latency is not None:
            self._latency = latency
        if webhook_delay is not None:
            self._webhook_delay = webhook_delay
        if rates is not None:
            self._tells = not rates.get("webhook-lost")

    def submit(self, body: bytes, respond: Respond) -> None:
        request_id = json.loads(body)["request_id"]
        self._submissions.append((request_id, time.time()))
        if self._latency:
            self._in_flight += 1
            asyncio.get_running_loop().call_later(self._latency, self._answer_late, request_id, respond)
        else:
            self._answer(request_id, respond)

    def _answer_late(self, request_id: str, respond: Respond) -> None:
        self._in_flight -= 1
        self._answer(request_id, respond)

    def _answer(self, request_id: str, respond: Respond) -> None:
        respond(_ACCEPTED)
        self._accepted += 1
        if request_id in self._ids:
            self._duplicates.add(request_id)
        self._ids.add(request_id)
        if self._courier is None or not self._tells:
            return
        report = b'{"ID": "%b", "STATUS": "DELIVERED"}' % request_id.encode()
        if self._webhook_delay:
            asyncio.get_running_loop().call_later(self._webhook_delay, self._courier.tell, report)
        else:
            self._courier.tell(report)

    def summary(self, *, with_ids: bool) -> dict[str, object]:
        """As the simulator's."""
        courier = self._courier
        counts: dict[str, object] = {
            "received": len(self._submissions),
            "accepted": self._accepted,
            "duplicates": sorted(self._duplicates),
            "in_flight": self._in_flight,
            "pending_accepts": 0,
            "webhooks": {
                "taken": courier.taken if courier else 0,
                "pending": courier.pending if courier else 0,
                "failed_tries": courier.failed_tries if courier else 0,
            },
        }
        return {**counts, "accepted_ids": sorted(self._ids)} if with_ids else counts

    def page(self, *, since: int, limit: int) -> dict[str, object]:
        """As the simulator's."""
        chosen = self._submissions[since : since + limit]
        return {
            "submissions": [{"request_id": request_id, "received_at": at} for request_id, at in chosen],
            "next": since + len(chosen),
            "total": len(self._submissions),
        }


class Routes:
    def __init__(self, provider: PlainProvider) -> None:
        self._provider = provider
        self._control: dict[tuple[str, str], Callable[[dict[str, list[str]], bytes], object]] = {
            ("GET", "/readyz"): lambda _query, _body: {"status": "ready"},
            ("POST", "/_faults"): lambda _query, body: provider.set_faults(**json.loads(body)),
            ("DELETE", "/_faults"): lambda _query, _body: provider.heal(),
            ("GET", "/_log"): lambda query, _body: provider.page(
                since=int(query["since"][0]), limit=int(query["limit"][0])
            ),
            ("GET", "/_log/summary"): lambda query, _body: provider.summary(
                with_ids=query.get("ids") != ["false"]
            ),
        }

    def serve(self, line: bytes, body: bytes, respond: Respond) -> None:
        if line.startswith(_SUBMIT):
            self._provider.submit(body, respond)
            return
        method, target, _ = line.decode().split(" ")
        url = urlsplit(target)
        route = self._control.get((method, url.path))
        if route is None:
            respond(answer(HTTPStatus.NOT_FOUND, b'{"STATUS":"UNKNOWN"}'))
            return
        try:
            told = route(parse_qs(url.query), body)
        except (ValueError, TypeError, KeyError) as error:
            respond(answer(HTTPStatus.BAD_REQUEST, json.dumps({"errors": [str(error)]}).encode()))
        else:
            respond(answer(HTTPStatus.OK, json.dumps(told).encode()))


async def _serve(*, host: str, ports: list[int], webhook_url: str | None, secret: str) -> None:
    courier = Courier(webhook_url, secret=secret.encode()) if webhook_url else None
    routes = Routes(PlainProvider(courier))
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda: Served(routes.serve), host, port) for port in ports]
    await asyncio.gather(*(server.serve_forever() for server in servers))


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.comparison.plain_provider")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--control-port", type=int, required=True)
    parser.add_argument("--webhook-url", help="where reports go; without it none are sent")
    options = parser.parse_args()
    uvloop.run(
        _serve(
            host=options.host,
            ports=[options.port, options.control_port],
            webhook_url=options.webhook_url,
            secret=os.environ.get(SECRET_VARIABLE, ""),
        )
    )


if __name__ == "__main__":
    main()
