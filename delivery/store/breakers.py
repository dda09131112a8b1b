"""The providers' circuit breakers: one document each, shared by all processes; the first change wins."""

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from delivery.domain.breaker import Breaker, Phase
from delivery.store.client import Document, store_errors


class Breakers:
    """Every method raises StoreUnavailable when the store is away; then what was last seen holds."""

    def __init__(self, db: Database[Document]) -> None:
        self._breakers = db.breakers

    def get(self, provider: str) -> Breaker:
        """Closed, where nothing was ever written."""
        with store_errors():
            found = self._breakers.find_one({"_id": provider})
        return _breaker(found) if found else Breaker()

    def change(self, provider: str, *, seen: Breaker, to: Breaker) -> bool:
        """Write it, if it still is as it was seen; False if another process was quicker."""
        document = _document(to)
        with store_errors():
            if seen.version == 0:
                try:
                    self._breakers.insert_one({"_id": provider, **document})
                except DuplicateKeyError:
                    return False
                return True
            result = self._breakers.replace_one({"_id": provider, "version": seen.version}, document)
        return result.matched_count == 1


def _document(breaker: Breaker) -> Document:
    return {
        "phase": breaker.phase.value,
        "since": breaker.since,
        "until": breaker.until,
        "failures": breaker.failures,
        "reason": breaker.reason,
        "is_misconfigured": breaker.is_misconfigured,
        "version": breaker.version,
    }


def _breaker(document: Document) -> Breaker:
    return Breaker(
        phase=Phase(document["phase"]),
        since=document["since"],
        until=document["until"],
        failures=document["failures"],
        reason=document["reason"],
        is_misconfigured=document["is_misconfigured"],
        version=document["version"],
    )
