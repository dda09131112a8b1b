"""`python -m stack run`: the whole system in the foreground, until it is stopped or a part dies."""

import os
import signal
from pathlib import Path

from rich.console import Console

from delivery.config_values import EXTRA_FIELDS
from stack.announcement import announcement
from stack.broker import RabbitMQMissing
from stack.credentials import load_credentials
from stack.home import AlreadyRunning, Home, RunningStack
from stack.leftovers import end_leftovers
from stack.part import PartFailed
from stack.plan import Ports, make_plan
from stack.progress import RunProgress
from stack.services import Surroundings
from stack.settings import InvalidSettings, read_given
from stack.supervisor import Supervisor

_GRACE = "5"
"""Seconds: RabbitMQ takes long to stop, so consumers may not take their usual time over open calls."""


def run(*, folder: Path, ports: Ports, consumers: int, is_extended: bool, console: Console) -> int:
    """Return the exit status: 0 after a stop that was asked for, 1 otherwise.

    is_extended: the provider takes all extra fields.
    """
    home = Home(folder)
    try:
        with home.locked():
            return _run_locked(
                home, ports=ports, consumers=consumers, is_extended=is_extended, console=console
            )
    except (AlreadyRunning, InvalidSettings) as error:
        _say(console, f"postroom: {error}")
    except RabbitMQMissing:
        _say(
            console,
            "postroom: RabbitMQ is missing. Install it (as root: apt-get install rabbitmq-server), "
            "or set AMQP_URL to a broker of your own.",
        )
    return 1


def _run_locked(home: Home, *, ports: Ports, consumers: int, is_extended: bool, console: Console) -> int:
    # Whoever held the folder before is gone, but may have been killed before it could clean up.
    end_leftovers(home.owner)
    home.start_new_logs()
    given = read_given(os.environ)
    credentials = load_credentials(home.folder)
    environ = {"CONSUMERS_GRACE_SECONDS": _GRACE, **os.environ}
    if is_extended:
        environ["PROVIDER_EXTRA_FIELDS"] = ",".join(EXTRA_FIELDS)
    around = Surroundings(environ=environ, logs=home.logs, owner=home.owner)
    plan = make_plan(
        given,
        ports=ports,
        credentials=credentials,
        folder=home.folder,
        around=around,
        consumers=consumers,
        is_extended=is_extended,
    )
    supervisor = Supervisor(plan, credentials=credentials, owner=home.owner)
    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, lambda *_: supervisor.stop_requested.set())
    running = RunningStack(
        pid=os.getpid(),
        api_url=plan.wiring.api_url,
        mongodb_uri=plan.wiring.mongodb_uri,
        amqp_url=plan.wiring.amqp_url,
        provider_control_url=plan.provider_control_url,
    )
    status = 0
    try:
        with RunProgress(console) as starting:
            started = supervisor.start(starting)
        if started:
            with home.announced(running):
                for line in announcement(plan, credentials=credentials, given=given, logs=home.logs):
                    _say(console, line)
                supervisor.watch()
    except PartFailed as failure:
        status = 1
        _say(console, f"\npostroom stops: {failure}")
    finally:
        with RunProgress(console) as stopping:
            supervisor.stop(stopping)
    return status


def _say(console: Console, line: str) -> None:
    """As it is: no colours, no line breaks, so that it can be copied and pasted."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)
