"""What the people who test with the simulator call: faults, logs, readiness."""

import json
from collections.abc import Callable
from re import fullmatch

from aiohttp import web

from simulator.fault_control import FaultControl
from simulator.faults_parser import FaultsError
from simulator.provider import Provider

PAGE = 1_000
LONGEST_PAGE = 10_000
INDEX = r"[0-9]{1,9}"


class ControlRoutes:
    def __init__(self, *, provider: Provider, control: FaultControl) -> None:
        self._provider = provider
        self._control = control

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/readyz", self.ready),
            web.get("/_faults", self.show_faults),
            web.post("/_faults", self.change_faults),
            web.delete("/_faults", self.reset_faults),
            web.get("/_log", self.log),
            web.get("/_log/summary", self.summary),
            web.get("/_log/status", self.status_log),
            web.delete("/_log", self.clear_log),
        ]

    async def ready(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ready"})

    async def show_faults(self, _: web.Request) -> web.Response:
        return web.json_response(self._control.show())

    async def change_faults(self, request: web.Request) -> web.Response:
        try:
            self._control.change(json.loads(await request.read()))
        except FaultsError as error:
            return _refusal(*error.mistakes)
        except ValueError:
            return _refusal("body is not JSON")
        return web.json_response(self._control.show())

    async def reset_faults(self, _: web.Request) -> web.Response:
        self._control.reset()
        return web.json_response(self._control.show())

    async def log(self, request: web.Request) -> web.Response:
        return _page(request, self._provider.log.page)

    async def status_log(self, request: web.Request) -> web.Response:
        return _page(request, self._provider.status_log.page)

    async def summary(self, request: web.Request) -> web.Response:
        with_ids = request.query.get("ids", "true") != "false"
        return web.json_response(self._provider.summary(with_ids=with_ids))

    async def clear_log(self, _: web.Request) -> web.Response:
        self._provider.forget()
        return web.Response(status=204)


def _page(request: web.Request, page: Callable[..., dict[str, object]]) -> web.Response:
    """`?since=<index>&limit=<count>`: 1,000 from the start by default, at most 10,000."""
    since, limit = request.query.get("since", "0"), request.query.get("limit", str(PAGE))
    if not (fullmatch(INDEX, since) and fullmatch(INDEX, limit)):
        return _refusal("since and limit must be whole numbers, 0 or more")
    return web.json_response(page(since=int(since), limit=min(int(limit), LONGEST_PAGE)))


def _refusal(*mistakes: str) -> web.Response:
    return web.json_response({"errors": list(mistakes)}, status=400)
