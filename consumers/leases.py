"""The leases that this process holds, renewed by a thread of their own.

A thread, because a loop that is busy for long must not lose its leases, while a process that is stopped
altogether must.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from delivery.domain.errors import StoreUnavailable

log = logging.getLogger(__name__)


class RenewableClaims(Protocol):
    def renew(self, email_ids: Sequence[str], *, tokens: Sequence[str], until: datetime) -> None: ...


@dataclass(slots=True)
class _Lease:
    email_ids: set[str]
    ends: float


class Leases:
    """``remaining`` is safe to call from any thread; its clock goes on while the process is stopped."""

    def __init__(
        self,
        claims: RenewableClaims,
        *,
        lease: timedelta,
        clock: Callable[[], datetime],
        renew_every: timedelta | None = None,
    ) -> None:
        """renew_every: a third of the lease unless told otherwise."""
        self._claims = claims
        self._lease = lease
        self._clock = clock
        self._renew_every = renew_every or lease / 3
        self._held: dict[str, _Lease] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew_forever, name="leases", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Renew no more. A renewal that is under way is not waited for."""
        self._stop.set()

    def end_of_new(self) -> tuple[datetime, float]:
        """When a lease taken now ends: for the document, and on the monotonic clock.

        Ask before the claim is written, so that ours never outlasts the store's.
        """
        return self._clock() + self._lease, time.monotonic() + self._lease.total_seconds()

    def hold(self, token: str, email_ids: Sequence[str], *, ends: float) -> None:
        """Renew from now on what was claimed with this token; nothing, if it won nothing."""
        if email_ids:
            with self._lock:
                self._held[token] = _Lease(set(email_ids), ends)

    def let_go(self, token: str, email_id: str) -> None:
        with self._lock:
            lease = self._held.get(token)
            if lease is not None:
                lease.email_ids.discard(email_id)
                if not lease.email_ids:
                    del self._held[token]

    def remaining(self, token: str) -> timedelta:
        with self._lock:
            lease = self._held.get(token)
            return timedelta(seconds=lease.ends - time.monotonic()) if lease else timedelta(0)

    def _renew_forever(self) -> None:
        while not self._stop.wait(self._renew_every.total_seconds()):
            try:
                self._renew()
            except StoreUnavailable:
                log.warning("store away: leases not renewed")
            except Exception as error:  # whatever one renewal met, the next one may save the leases
                log.error("leases not renewed error=%s", type(error).__name__)

    def _renew(self) -> None:
        until, ends = self.end_of_new()
        now = time.monotonic()
        with self._lock:
            # One that has run out may have been taken for dead already: it is not brought back to life.
            held = {token: set(lease.email_ids) for token, lease in self._held.items() if lease.ends > now}
        if not held:
            return
        self._claims.renew([i for ids in held.values() for i in ids], tokens=list(held), until=until)
        with self._lock:
            for token in held:
                if token in self._held:
                    self._held[token].ends = ends
