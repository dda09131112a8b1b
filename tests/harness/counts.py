"""Whether ``GET /stats`` says what the emails in the store say."""

from collections import Counter

from delivery.domain.counts import Bin, bin_of
from delivery.domain.states import State
from tests.harness.api import Api
from tests.harness.deadline import wait_until
from tests.harness.store import StoreDatabase


def wait_for_right_counts(api: Api, database: StoreDatabase, *, tenant: str) -> None:
    """Wait until the counts of the tenant, whose key the caller has, are those of its emails."""

    def are_right() -> bool:
        stats, expected = api.get("/stats").json(), _counted(database, tenant)
        told = {
            (lane, each): count
            for lane, bins in stats["lanes"].items()
            for each, count in bins.items()
            if count
        }
        assert told == dict(expected)
        assert stats["received"] == sum(stats[each] for each in Bin if each is not Bin.RECEIVED)
        return True

    wait_until(are_right, within=30, what=f"the counts of {tenant} are right")


def _counted(database: StoreDatabase, tenant: str) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for email in database["emails"].find({"tenant_id": tenant}):
        found = bin_of(State(email["state"]), reports_deliveries=True, is_discarded="discarded" in email)
        counts.update([(email["lane"], Bin.RECEIVED.value), (email["lane"], found.value)])
    return counts
