"""Let a tenant make so many requests, over all API processes together.

A process takes tokens from the store in blocks, a twentieth of a second's worth, and gives them out itself: a
round trip for each request would cost as much as accepting it. In any t seconds a tenant makes at most
``burst + per_second * t`` requests, and a block for each process more.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from delivery.domain.errors import RateExceeded, StoreUnavailable
from delivery.domain.rates import Allowance, Rate

MOST_REMEMBERED = 10_000

_PATIENCE = 1.5
"""Seconds. Whoever waits this long for another thread's look into the store finds it away as well."""


class TakenTokens(Protocol):
    @property
    def tokens(self) -> int: ...

    @property
    def free_at(self) -> int: ...


class Budgets(Protocol):
    def take(self, tenant_id: str, wanted: int, *, rate: Rate, now: int) -> TakenTokens: ...

    def charge(self, tenant_id: str, tokens: int, *, rate: Rate, now: int) -> None: ...


@dataclass(slots=True)
class _Bucket:
    """tokens: taken from the store, and not used yet. free_at: as the store had it."""

    tokens: int = 0
    free_at: int = 0
    lock: Lock = field(default_factory=Lock)

    @contextmanager
    def held(self) -> Iterator[None]:
        if not self.lock.acquire(timeout=_PATIENCE):
            raise StoreUnavailable("no answer about the request rate")
        try:
            yield
        finally:
            self.lock.release()


class RateLimits:
    """Safe to use from many threads. Every method raises StoreUnavailable.

    default: for tenants that have no rate of their own. clock: nanoseconds of the Unix epoch.
    """

    def __init__(self, budgets: Budgets, *, default: Rate, clock: Callable[[], int]) -> None:
        self._budgets = budgets
        self._default = default
        self._clock = clock
        self._buckets: dict[tuple[str, Rate], _Bucket] = {}
        self._lock = Lock()

    def admit(self, tenant_id: str, own: Rate | None) -> Allowance | None:
        """Use up one request; None where there is no limit. Raises RateExceeded."""
        rate = self._rate(own)
        if rate.is_unlimited:
            return None
        bucket = self._bucket(tenant_id, rate)
        with bucket.held():
            now = self._clock()
            if bucket.tokens == 0 and rate.room(free_at=bucket.free_at, now=now):  # else there are none
                taken = self._budgets.take(tenant_id, rate.block, rate=rate, now=now)
                bucket.tokens, bucket.free_at = taken.tokens, taken.free_at
            if bucket.tokens == 0:
                raise RateExceeded(
                    _allowance(bucket, rate, now), again_in=rate.next_in(free_at=bucket.free_at, now=now)
                )
            bucket.tokens -= 1
            return _allowance(bucket, rate, now)

    def may_admit_at_hand(self, tenant_id: str, own: Rate | None) -> bool:
        """Whether it is worth reading a request: at this moment admit_at_hand() would admit it."""
        rate = self._rate(own)
        return rate.is_unlimited or self._bucket(tenant_id, rate).tokens > 0

    def admit_at_hand(self, tenant_id: str, own: Rate | None) -> tuple[bool, Allowance | None]:
        """Use up one request if that takes neither a look into the store nor waiting.

        False, and nothing is used up: admit() has the word.
        """
        rate = self._rate(own)
        if rate.is_unlimited:
            return True, None
        bucket = self._bucket(tenant_id, rate)
        if not bucket.lock.acquire(blocking=False):
            return False, None
        try:
            if bucket.tokens == 0:
                return False, None
            bucket.tokens -= 1
            return True, _allowance(bucket, rate, self._clock())
        finally:
            bucket.lock.release()

    def charge(self, tenant_id: str, own: Rate | None, more: int) -> None:
        """Use up more, for a request that was admitted and turned out to be worth several.

        It is never refused, else nobody could make one that is worth more than the burst: later ones wait.
        """
        rate = self._rate(own)
        if not rate.is_unlimited and more > 0:
            self._budgets.charge(tenant_id, more, rate=rate, now=self._clock())

    def _rate(self, own: Rate | None) -> Rate:
        return self._default if own is None else own

    def _bucket(self, tenant_id: str, rate: Rate) -> _Bucket:
        """By the rate, too: one that was changed leaves what was taken under the other."""
        with self._lock:
            if len(self._buckets) >= MOST_REMEMBERED:
                self._buckets.clear()
            return self._buckets.setdefault((tenant_id, rate), _Bucket())


def _allowance(bucket: _Bucket, rate: Rate, now: int) -> Allowance:
    left = bucket.tokens + rate.room(free_at=bucket.free_at, now=now)
    return Allowance(
        limit=rate.burst,
        remaining=min(rate.burst, left),
        reset=rate.full_in(free_at=bucket.free_at, now=now),
        window=rate.window,
    )
