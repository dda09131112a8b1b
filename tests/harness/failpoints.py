"""Processes that fail at one chosen call, so that a test can look at what they leave behind.

A failpoint wraps one method of one part of the product. The part does the real thing; at the n-th call that
fits, its process is killed just before or just after, or falls asleep after it, or the answer is lost. The
product has no code for this: `failing_api.py` and `failing_consumers.py` compose its own parts with an armed
one among them.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from enum import StrEnum
from inspect import iscoroutinefunction
from typing import Any

from delivery.bootstrap import Store
from delivery.domain.errors import StoreOutcomeUnknown, StoreUnavailable
from delivery.domain.outcomes import Answer
from delivery.domain.owed import OwedEmail
from delivery.domain.settlement import Settlement
from delivery.store.effects import Effects
from delivery.use_cases.messages import Outgoing
from topology.names import EMAIL_EXCHANGE

FIRED = "failpoint fired"
"""What the process writes to its log at that moment."""

_VARIABLE = "POSTROOM_FAILPOINT"


class Fault(StrEnum):
    KILL_BEFORE = "killed before"
    KILL_AFTER = "killed after"
    LOSE_ANSWER = "answer lost of"
    SLEEP_AFTER = "asleep after"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failpoint:
    """Where and how a process fails.

    part, method: `publisher`, `provider` or a collection of the store, and one of its methods.
    only: fits a call if the text is among the traits of what it takes or returns: of a message the routing
    key, or the exchange where that is not `email` (`delay.1s`); of a settlement what is owed then, else the
    state; of a debt where it goes; of a provider's answer the outcome. None fits every call.
    away: with LOSE_ANSWER, the seconds for which every further call of the method finds no store.
    """

    fault: Fault
    part: str
    method: str
    only: str | None = None
    nth: int = 1
    away: float = 0.0

    def __str__(self) -> str:
        where = f"{self.part}.{self.method}" + (f"({self.only})" if self.only else "")
        return f"{self.fault} {where}".replace(" ", "-")

    def environment(self) -> dict[str, str]:
        return {_VARIABLE: json.dumps(asdict(self))}


def failpoint_of(environ: Mapping[str, str]) -> Failpoint:
    """What environment() said."""
    fields: dict[str, Any] = json.loads(environ[_VARIABLE])
    return Failpoint(**{**fields, "fault": Fault(fields["fault"])})


def arm(part: Any, failpoint: Failpoint) -> Any:
    """The same part, with the failpoint around its method."""
    return _Armed(part, failpoint)


def arm_store(store: Store, failpoint: Failpoint) -> Store:
    """The store with one collection armed, if the failpoint is in one; else as it is."""
    if failpoint.part not in ("emails", "claims", "events", "effects", "reported", "scheduled"):
        return store
    armed: dict[str, Any] = {failpoint.part: arm(getattr(store, failpoint.part), failpoint)}
    if failpoint.part == "events":
        armed["effects"] = Effects(armed["events"].record_effects, relay_grace=timedelta(seconds=1))
    return replace(store, **armed)


class _Armed:
    def __init__(self, part: Any, failpoint: Failpoint) -> None:
        self._part = part
        self._failpoint = failpoint
        self._lock = threading.Lock()
        self._fitting = 0
        self._away_until = 0.0

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._part, name)
        if name != self._failpoint.method:
            return call

        def armed(*arguments: Any, **named: Any) -> Any:
            seen = [*arguments, *named.values()]
            self._before(seen)
            return self._after(seen, call(*arguments, **named))

        async def armed_async(*arguments: Any, **named: Any) -> Any:
            seen = [*arguments, *named.values()]
            self._before(seen)
            return self._after(seen, await call(*arguments, **named))

        return armed_async if iscoroutinefunction(call) else armed

    def _before(self, seen: list[Any]) -> None:
        if time.monotonic() < self._away_until:
            raise StoreUnavailable("failpoint: away")
        if self._failpoint.fault is Fault.KILL_BEFORE and self._fires(seen):
            self._kill()

    def _after(self, seen: list[Any], result: Any) -> Any:
        if self._failpoint.fault is Fault.KILL_BEFORE or not self._fires([*seen, result]):
            return result
        if self._failpoint.fault is Fault.KILL_AFTER:
            self._kill()
        if self._failpoint.fault is Fault.SLEEP_AFTER:
            self._announce()
            os.killpg(0, signal.SIGSTOP)
            return result
        self._away_until = time.monotonic() + self._failpoint.away
        self._announce()
        raise StoreOutcomeUnknown("failpoint: the answer is lost")

    def _fires(self, seen: list[Any]) -> bool:
        if self._failpoint.only is not None and self._failpoint.only not in _traits(seen):
            return False
        with self._lock:
            self._fitting += 1
            return self._fitting == self._failpoint.nth

    def _kill(self) -> None:
        self._announce()
        os.killpg(0, signal.SIGKILL)  # the whole group: gunicorn would replace a worker that was killed

    def _announce(self) -> None:
        print(f"{FIRED}: {self._failpoint}", file=sys.stderr, flush=True)


def _traits(seen: Any) -> Iterator[str]:
    match seen:
        case Outgoing():
            yield seen.routing_key if seen.exchange == EMAIL_EXCHANGE else seen.exchange
        case Settlement():
            yield seen.owed or seen.state
        case OwedEmail():
            yield seen.to
        case Answer():
            yield seen.outcome
        case list() | tuple() | set():
            for item in seen:
                yield from _traits(item)
