"""The budgets of the providers' status endpoints: one document each, shared by all processes."""

from datetime import UTC, datetime, timedelta

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from delivery.domain.call_budget import CallBudget
from delivery.store.client import Document, store_errors

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class CallBudgets:
    """Every method raises StoreUnavailable when the store is away; then nothing may be asked."""

    def __init__(self, db: Database[Document]) -> None:
        self._budgets = db.call_budgets

    def take(self, provider: str, wanted: int, *, budget: CallBudget, now: datetime) -> int:
        """How many of the wanted calls may leave now; 0 also when another process was quicker."""
        with store_errors():
            found = self._budgets.find_one({"_id": provider})
            if found is None:
                try:
                    self._budgets.insert_one({"_id": provider, "free_at": _LONG_AGO})
                except DuplicateKeyError:
                    return 0
                found = {"free_at": _LONG_AGO}
            free_at = found["free_at"]
            allowed, next_free_at = budget.take(wanted, free_at=free_at, now=now)
            if allowed == 0:
                return 0
            result = self._budgets.update_one(
                {"_id": provider, "free_at": free_at}, {"$set": {"free_at": _rounded_up(next_free_at)}}
            )
            return allowed if result.modified_count == 1 else 0

    def pause(self, provider: str, *, until: datetime) -> None:
        """No call leaves before ``until``."""
        with store_errors():
            self._budgets.update_one(
                {"_id": provider, "free_at": {"$lt": until}}, {"$set": {"free_at": _rounded_up(until)}}
            )


def _rounded_up(at: datetime) -> datetime:
    """To whole milliseconds. MongoDB cuts the rest off, which a large budget would feel."""
    return at + timedelta(microseconds=-at.microsecond % 1000)
