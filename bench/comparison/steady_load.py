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

import uvloop

from bench.comparison.backlog import CONTENT
from bench.raw_http import Caller, connect, get, post

_POLL_SECONDS = 0.05
_FILL_SECONDS = 5.0
_BODY = json.dumps({**CONTENT, "lane": "transactional"}).encode()


class SteadyLoad:
    """Callers that may not send wait in ``_waiting``."""

    def __init__(self, *, api_url: str, control_url: str, connections: int, window: int) -> None:
        self._api_url, self._request = api_url, post(f"{api_url}/send", _BODY)
        self._control_url = control_url
        self._connections, self._window = connections, window
        self._waiting: list[Caller] = []
        self._may_send = self._stopped = False
        self._over = asyncio.get_running_loop().create_future()
        self.accepted = 0
        self.failures = 0

    async def run(self) -> None:
        """Until standard input ends. Raises ConnectionError when a connection breaks."""
        for _ in range(self._connections):
            self._waiting.append(await connect(self._api_url, self._answered, self._lost))
        watching = asyncio.create_task(self._watch())
        reading = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        await asyncio.wait([reading, watching, self._over], return_when=asyncio.FIRST_COMPLETED)
        self._stopped = True
        await watching
        self._end_if_all_wait()
        await self._over

    def _answered(self, caller: Caller, status: int, _body: bytes) -> None:
        if status == HTTPStatus.ACCEPTED:
            self.accepted += 1
        else:
            self.failures += 1
        if self._may_send and not self._stopped:
            caller.send(self._request)
        else:
            self._waiting.append(caller)
            self._end_if_all_wait()

    def _end_if_all_wait(self) -> None:
        if self._stopped and len(self._waiting) == self._connections and not self._over.done():
            self._over.set_result(None)

    def _lost(self, _caller: Caller) -> None:
        if not self._over.done():
            self._over.set_exception(ConnectionError("a connection broke under load"))

    async def _watch(self) -> None:
        reports = _Reports(self._control_url)
        before = await reports.taken()
        began, is_flat = time.monotonic(), False
        while not self._stopped:
            ahead = self.accepted - (await reports.taken() - before)
            self._may_send = ahead < self._window
            if self._may_send:
                callers, self._waiting = self._waiting, []
                for caller in callers:
                    caller.send(self._request)
            if not is_flat and (ahead >= self._window or time.monotonic() > began + _FILL_SECONDS):
                is_flat = True
                print("flat", flush=True)
            await asyncio.sleep(_POLL_SECONDS)


class _Reports:
    """How many webhooks the provider got rid of, asked over one connection."""

    def __init__(self, control_url: str) -> None:
        self._url, self._request = control_url, get(f"{control_url}/_log/summary?ids=false")
        self._caller: Caller | None = None
        self._answer = asyncio.get_running_loop().create_future()

    async def taken(self) -> int:
        if self._caller is None:
            self._caller = await connect(self._url, self._answered, self._lost)
        self._answer = asyncio.get_running_loop().create_future()
        self._caller.send(self._request)
        return int(json.loads(await self._answer)["webhooks"]["taken"])

    def _answered(self, _caller: Caller, _status: int, body: bytes) -> None:
        self._answer.set_result(body)

    def _lost(self, _caller: Caller) -> None:
        if not self._answer.done():
            self._answer.set_exception(ConnectionError("the provider hung up"))


async def _main() -> None:
    parser = argparse.ArgumentParser(prog="bench.comparison.steady_load")
    parser.add_argument("--api-url", required=True)
    parser.add_argument("--control-url", required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--window", type=int, required=True)
    options = parser.parse_args()
    load = SteadyLoad(
        api_url=options.api_url,
        control_url=options.control_url,
        connections=options.connections,
        window=options.window,
    )
    await load.run()
    print(json.dumps({"accepted": load.accepted, "failures": load.failures}))


if __name__ == "__main__":
    uvloop.run(_main())
