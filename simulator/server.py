"""Puts the simulator together and serves it until it is told to stop."""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random

from aiohttp import web

from simulator.connections import ProviderPort, ResetAtOnce
from simulator.control_routes import ControlRoutes
from simulator.fault_control import FaultControl
from simulator.faults import Faults
from simulator.provider import Provider
from simulator.provider_routes import ProviderRoutes
from simulator.webhooks import WebhookCourier, WebhookOptions

LARGEST_BODY = 24 * 1024 * 1024
GRACE_S = 0.2


@dataclass(frozen=True, slots=True)
class Options:
    """How to run. `port` 0: any free port; `control_port` None: the control routes are on `port` alone."""

    host: str
    port: int
    control_port: int | None
    faults: Faults
    webhooks: WebhookOptions
    extended: bool
    seed: int | None


async def serve(options: Options, *, announce: Callable[[str], None]) -> None:
    """Runs until SIGTERM or SIGINT, then drops what is pending. `announce` gets one line when it is ready.

    Raises OSError when a port is taken.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    random = Random(options.seed)
    courier = WebhookCourier(options.webhooks, random=random)
    provider = Provider(faults=options.faults, courier=courier, random=random, extended=options.extended)
    app = web.Application(client_max_size=LARGEST_BODY)
    runner = _runner(app)
    port = ProviderPort(
        host=options.host, port=options.port, protocol=partial(_connection, runner, provider, random)
    )
    control = FaultControl(
        faults=options.faults,
        provider=provider,
        port=port,
        has_control_port=options.control_port is not None,
    )
    control_routes = ControlRoutes(provider=provider, control=control).routes()
    app.add_routes([*ProviderRoutes(provider).routes(), *control_routes])
    await runner.setup()
    control_runner = await _serve_control(control_routes, options)
    await courier.start()
    control.start()
    announce(_ready_line(options.host, port.port, control_runner))
    await stop.wait()
    port.shut()
    await courier.stop()
    await runner.cleanup()
    await control_runner.cleanup()


def _runner(app: web.Application) -> web.AppRunner:
    return web.AppRunner(app, access_log=None, shutdown_timeout=GRACE_S)


async def _serve_control(routes: list[web.RouteDef], options: Options) -> web.AppRunner:
    """The control routes on a port of their own, if there is one; it is never refused."""
    app = web.Application()
    app.add_routes(routes)
    runner = _runner(app)
    await runner.setup()
    if options.control_port is not None:
        await web.TCPSite(runner, options.host, options.control_port).start()
    return runner


def _connection(runner: web.AppRunner, provider: Provider, random: Random) -> asyncio.BaseProtocol:
    """The protocol for one new connection to the provider's port."""
    rate = provider.faults.reset_connections
    if rate and random.random() < rate:
        return ResetAtOnce()
    if runner.server is None:
        raise RuntimeError("the runner is not set up")
    return runner.server()


def _ready_line(host: str, port: int, control: web.AppRunner) -> str:
    line = f"simulator is ready: http://{host}:{port}"
    return line + "".join(f" (control: http://{host}:{address[1]})" for address in control.addresses)
