"""Starts the parts of a plan, watches them, and takes all down in order when one dies or a stop is asked."""

import threading
import time
from collections.abc import Sequence
from typing import Protocol

from stack.credentials import Credentials
from stack.leftovers import end_leftovers
from stack.management import put_operator, put_postroom, put_service
from stack.part import PartFailed
from stack.plan import OPERATOR_USER, POSTROOM_USER, SERVICE_USER, VHOST, Plan, StackPart

READY_SECONDS = 120.0
"""For the slowest part on a slow machine; usual is 6 s for RabbitMQ and 2 s for the others."""

STOP_SECONDS = 19.0
"""Until everything is gone. RabbitMQ takes 8 of them, of which its management plugin waits 5."""

# From the start of the stop: until when the API, and then the consumers, may end by themselves.
_API_SECONDS = 4.0
_CONSUMERS_SECONDS = 10.5

_WATCH_SECONDS = 0.2
_POLL_SECONDS = 0.05


class Observer(Protocol):
    """Is told what happens, to show it."""

    def starting(self, part: str) -> None: ...
    def ready(self, part: str) -> None: ...
    def stopping(self, part: str) -> None: ...
    def stopped(self, part: str) -> None: ...


class Supervisor:
    """Nothing here is started twice. `stop_requested` may be set at any time, from a signal handler too."""

    def __init__(self, plan: Plan, *, credentials: Credentials, owner: str) -> None:
        self.plan = plan
        self.stop_requested = threading.Event()
        self._credentials = credentials
        self._owner = owner

    def start(self, observer: Observer) -> bool:
        """Return True when all is ready, False if a stop was asked for meanwhile. Raises PartFailed."""
        if not self._start_all(self.plan.foundation, observer):
            return False
        self._prepare_broker()
        return self._start_all(self.plan.services, observer)

    def watch(self) -> None:
        """Return when a stop is asked for. Raises PartFailed as soon as a part has died."""
        while not self.stop_requested.wait(_WATCH_SECONDS):
            for part in self.plan.parts:
                part.check_running()

    def stop(self, observer: Observer) -> None:
        """Stop what runs, first what takes new work, last what keeps it; within STOP_SECONDS, by force."""
        began = time.monotonic()
        plan = self.plan
        for parts, seconds in (
            ([plan.api], _API_SECONDS),
            (plan.consumers, _CONSUMERS_SECONDS),
            (plan.foundation[::-1], STOP_SECONDS),
        ):
            _stop_together(parts, began + seconds, observer)
        end_leftovers(self._owner)

    def _start_all(self, parts: Sequence[StackPart], observer: Observer) -> bool:
        for part in parts:
            observer.starting(part.name)
            part.start()
        return self._wait_ready(parts, observer)

    def _wait_ready(self, parts: Sequence[StackPart], observer: Observer) -> bool:
        deadline = time.monotonic() + READY_SECONDS
        waiting = list(parts)
        while waiting:
            if self.stop_requested.wait(_POLL_SECONDS):
                return False
            for part in list(waiting):
                part.check_running()
                if part.is_ready():
                    waiting.remove(part)
                    observer.ready(part.name)
            if waiting and time.monotonic() > deadline:
                late = waiting[0]
                raise PartFailed(late.name, f"was not ready within {READY_SECONDS:g} s", late.log)
        return True

    def _prepare_broker(self) -> None:
        broker = self.plan.broker
        if broker is None:
            return
        management = broker.management
        if alarm := management.alarms():
            raise PartFailed(broker.name, f"takes no messages: {alarm}", broker.log)
        put_postroom(management, vhost=VHOST, user=POSTROOM_USER)
        put_operator(
            management, vhost=VHOST, user=OPERATOR_USER, password=self._credentials.operator_password
        )
        put_service(
            management, vhost=VHOST, user=SERVICE_USER, password=self._credentials.example_service_password
        )


def _stop_together(parts: Sequence[StackPart], deadline: float, observer: Observer) -> None:
    running = [part for part in parts if part.running()]
    for part in running:
        observer.stopping(part.name)
        part.terminate()
    for part in running:
        part.stop(max(deadline - time.monotonic(), 0.1))
        observer.stopped(part.name)
