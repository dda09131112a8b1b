"""``GET /livez`` and ``GET /readyz`` of a consumer process, on loopback or inside its container."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

from aiohttp import web

from consumers.pace import CallsAtOnce


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a consumer process needs to do its work, and its calls to the provider."""

    consuming: bool
    broker: bool
    store: bool
    calls: CallsAtOnce

    @property
    def is_ready(self) -> bool:
        return self.consuming and self.broker and self.store


async def serve_health(port: int, look: Callable[[], Awaitable[Health]]) -> web.AppRunner:
    """Serve until the returned runner is cleaned up."""

    async def livez(_: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def readyz(_: web.Request) -> web.Response:
        health = await look()
        body = {
            "status": "ready" if health.is_ready else "down",
            "consuming": health.consuming,
            "broker": "connected" if health.broker else "away",
            "store": "reachable" if health.store else "away",
            "calls": asdict(health.calls),
        }
        return web.json_response(body, status=200 if health.is_ready else 503)

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner
