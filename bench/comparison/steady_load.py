"""``python -m bench.comparison.steady_load``: as much load as keeps the backlog flat.

A process of its own. It sends over many connections, but no more than a window's worth of emails ahead of the
webhooks that the provider got rid of: what the whole chain can't take, it doesn't send. Prints ``flat`` when
the window was full for the first time (or has not filled within some seconds: then accepting is what bounds),
and when its standard input ends, one JSON object.
"""

import argparse
import asyncio
import json
import sys
import time
from http import HTTPStatus

from bench.comparison.backlog import CONTENT
from bench.comparison.raw_http import Connection

_POLL_SECONDS = 0.05
_FILL_SECONDS = 5.0
_BODY = json.dumps({**CONTENT, "lane": "transactional"}).encode()


class SteadyLoad:
    def __init__(self, *, api_url: str, control_url: str, window: int) -> None:
        self._api_url = api_url
        self._control = Connection(control_url)
        self._window = window
        self._may_send = asyncio.Event()
        self._stopped = False
        self.accepted = 0
        self.failures = 0

    async def run(self, connections: int) -> None:
        watching = asyncio.create_task(self._watch())
        sending = asyncio.gather(*(self._send() for _ in range(connections)))
        await asyncio.to_thread(sys.stdin.read)
        self._stopped = True
        self._may_send.set()
        await sending
        await watching

    async def _send(self) -> None:
        connection = Connection(self._api_url)
        while not self._stopped:
            await self._may_send.wait()
            status, _ = await connection.post("/send", _BODY)
            if status == HTTPStatus.ACCEPTED:
                self.accepted += 1
            else:
                self.failures += 1

    async def _watch(self) -> None:
        before = await self._reported()
        began, is_flat = time.monotonic(), False
        while not self._stopped:
            ahead = self.accepted - (await self._reported() - before)
            if ahead < self._window:
                self._may_send.set()
            else:
                self._may_send.clear()
            if not is_flat and (ahead >= self._window or time.monotonic() > began + _FILL_SECONDS):
                is_flat = True
                print("flat", flush=True)
            await asyncio.sleep(_POLL_SECONDS)

    async def _reported(self) -> int:
        summary = await self._control.get_json("/_log/summary?ids=false")
        webhooks = summary["webhooks"]
        assert isinstance(webhooks, dict)
        return int(webhooks["taken"])


async def _main() -> None:
    parser = argparse.ArgumentParser(prog="bench.comparison.steady_load")
    parser.add_argument("--api-url", required=True)
    parser.add_argument("--control-url", required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--window", type=int, required=True)
    options = parser.parse_args()
    load = SteadyLoad(api_url=options.api_url, control_url=options.control_url, window=options.window)
    await load.run(options.connections)
    print(json.dumps({"accepted": load.accepted, "failures": load.failures}))


if __name__ == "__main__":
    asyncio.run(_main())
