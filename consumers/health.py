"""``GET /livez``, ``/readyz`` and ``/metrics`` of a consumer process, on loopback or inside its container."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

from aiohttp import web

from consumers.counters import CONTENT_TYPE, Counters
from consumers.pace import CallsAtOnce
from delivery.config_values import InvalidConfiguration
from delivery.contract.health import provider_health
from delivery.domain.breaker import Breaker


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a consumer process needs, its calls to the provider, and its breaker as it last saw it."""

    consuming: bool
    broker: bool
    store: bool
    calls: CallsAtOnce
    breaker: Breaker

    @property
    def is_ready(self) -> bool:
        """It is ready, too, while the breaker is open: that is no reason to replace the process."""
        return self.consuming and self.broker and self.store

    @property
    def status(self) -> str:
        if not self.is_ready:
            return "down"
        return "ready" if self.breaker.is_closed else "degraded"


async def serve_health(
    port: int, look: Callable[[], Awaitable[Health]], *, counters: Counters
) -> web.AppRunner:
    """Serve until the returned runner is cleaned up. Raises InvalidConfiguration where the port is taken."""

    async def livez(_: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def readyz(_: web.Request) -> web.Response:
        health = await look()
        body = {
            "status": health.status,
            "consuming": health.consuming,
            "broker": "connected" if health.broker else "away",
            "store": "reachable" if health.store else "away",
            "calls": asdict(health.calls),
            "provider": provider_health(health.breaker),
        }
        return web.json_response(body, status=200 if health.is_ready else 503)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text=counters.text(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
    except OSError as error:
        await runner.cleanup()
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise InvalidConfiguration(f"CONSUMERS_HEALTH_PORT {port}: {reason.lower()}") from error
    return runner
