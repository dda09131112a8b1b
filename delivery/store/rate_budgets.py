"""What each tenant has left of its request rate: one document each, shared by all API processes."""

from dataclasses import dataclass

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from delivery.domain.rates import Rate
from delivery.store.client import Document, store_errors

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Taken:
    """tokens: those that were taken. free_at: the bucket afterwards, as domain/rates.py has it."""

    tokens: int
    free_at: int


class RateBudgets:
    """Times are nanoseconds of the Unix epoch. Every method raises StoreUnavailable while it is away."""

    def __init__(self, db: Database[Document]) -> None:
        self._budgets = db.rate_budgets

    def take(self, tenant_id: str, wanted: int, *, rate: Rate, now: int) -> Taken:
        """As many of the wanted tokens as there are; none also when others were quicker, again and again."""
        with store_errors():
            for _ in range(_TRIES):
                free_at = self._free_at(tenant_id)
                tokens = min(wanted, rate.room(free_at=free_at, now=now))
                if tokens == 0:
                    break
                after = self._take(tenant_id, tokens, free_at, rate, now)
                if after is not None:
                    return Taken(tokens, after)
        return Taken(0, free_at)

    def charge(self, tenant_id: str, tokens: int, *, rate: Rate, now: int) -> None:
        """Take them whether they are there or not: later requests wait for it."""
        price, full = tokens * rate.interval, now - rate.earliest
        with store_errors():
            # A bucket that has been full for a while is no fuller for that.
            rested = self._budgets.update_one(
                {"_id": tenant_id, "free_at": {"$lt": full}}, {"$set": {"free_at": full + price}}
            )
            if not rested.matched_count:
                self._budgets.update_one({"_id": tenant_id}, {"$inc": {"free_at": price}})

    def _free_at(self, tenant_id: str) -> int:
        found = self._budgets.find_one({"_id": tenant_id})
        if found is None:
            try:
                self._budgets.insert_one({"_id": tenant_id, "free_at": 0})
            except DuplicateKeyError:
                return self._free_at(tenant_id)
        return int(found["free_at"]) if found else 0

    def _take(self, tenant_id: str, tokens: int, free_at: int, rate: Rate, now: int) -> int | None:
        """Where the bucket stands then; None if another process changed it, and these tokens are not there.

        A bucket that isn't full is added to, wherever others moved it meanwhile: many processes that take
        from one bucket don't keep each other from it.
        """
        price, full = tokens * rate.interval, now - rate.earliest
        if free_at < full:
            after = full + price
            query: Document = {"_id": tenant_id, "free_at": free_at}
            change: Document = {"$set": {"free_at": after}}
        else:
            after = free_at + price
            latest = now - (tokens - 1) * rate.interval
            query = {"_id": tenant_id, "free_at": {"$gte": full, "$lte": latest}}
            change = {"$inc": {"free_at": price}}
        changed = self._budgets.update_one(query, change)
        return after if changed.modified_count else None
