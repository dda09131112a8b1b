"""Who runs a loop that only one process at a time needs to run: a lease on one document."""

from datetime import datetime, timedelta

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from delivery.store.client import Document, store_errors


class Leadership:
    """A lease for efficiency, not for safety: what the loops do is harmless when two do it at once."""

    def __init__(self, db: Database[Document], *, owner: str) -> None:
        self._leases = db.loop_leases
        self._owner = owner

    def hold(self, loop: str, *, now: datetime, ttl: timedelta) -> bool:
        """Take or prolong the lease on ``loop``; False while another process has it.

        Raises StoreUnavailable.
        """
        try:
            with store_errors():
                self._leases.update_one(
                    {"_id": loop, "$or": [{"owner": self._owner}, {"until": {"$lt": now}}]},
                    {"$set": {"owner": self._owner, "until": now + ttl}},
                    upsert=True,
                )
        except DuplicateKeyError:
            return False
        return True

    def release(self, loop: str) -> None:
        """Give the lease up, so that another process need not wait for its end. Raises StoreUnavailable."""
        with store_errors():
            self._leases.delete_one({"_id": loop, "owner": self._owner})
